/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LIST_HEALTH_H
#define FLYBALL_LIST_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * How dirty a stream's list is: the share of recipients that bounced because
 * nobody is there: no such mailbox, no such domain. Counted over today and
 * yesterday (UTC), from zero when the stream is resumed. Zeroed is healthy.
 */
struct list_health {
	int64_t day; /* UTC, of counts[0] */
	struct list_counts {
		int64_t attempted, dirty;
	} counts[2];	  /* today, yesterday */
	bool is_held;	  /* too dirty; until list_health_resume() */
	int64_t since_us; /* UTC */
	bool is_alerted;  /* told once, until it is better again */
};

enum list_news { LIST_FINE, LIST_TURNED_BAD };

/* Recipients were attempted, some of them dirty. LIST_TURNED_BAD: once, when
 * the share is first reached; with LIST_HOLD it is held then. */
enum list_news list_health_add(struct list_health *h,
    const struct conf_list_health *conf, int64_t attempted, int64_t dirty,
    int64_t utc_us);
void list_health_resume(struct list_health *h);
/* "23 of 210 recipients don't exist, the limit is 8%" */
void list_health_say(const struct list_health *h,
    const struct conf_list_health *conf, char *out, size_t size);

#define LIST_HEALTH_TEXT_SIZE 192
char *list_health_format(const struct list_health *h,
    char out[LIST_HEALTH_TEXT_SIZE]);
int list_health_parse(struct list_health *h, const char *text);

#endif
