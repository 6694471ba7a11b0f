/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HISTORY_H
#define FLYBALL_HISTORY_H

#include <stdint.h>

#include "conf/reply_terms.h"

/*
 * What became of each lane's mail, counted by the governor as it happens. All
 * functions are for its thread.
 */
struct history;

struct history *history_new(void);
void history_free(struct history *h);

/* How one attempt's recipients fared; the reply is the gravest refusal. */
struct history_answers {
	uint32_t n_delivered;
	uint32_t n_deferred;
	uint32_t n_refused[CLASS_COUNT]; /* deferred or failed, by class */
	const char *reply;		 /* "" or NULL: no refusal */
};
void history_answered(struct history *h, const char *lane,
    const struct history_answers *a, int64_t now_utc_us);

/* Refusals since the start, by class; NULL: nothing is known of the lane. */
const uint64_t *history_refused(const struct history *h, const char *lane);

#endif
