/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HISTORY_POINT_H
#define FLYBALL_HISTORY_POINT_H

#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"
#include "conf/reply_terms.h"

/* What happened on a lane within one minute or one hour, in recipients. */
#define HISTORY_REPLY_MAX 500 /* bytes of a reply that are kept */

enum history_kind { HISTORY_MINUTE, HISTORY_HOUR };
#define HISTORY_KINDS 2
/* How long one point is, and for how many of them there is room. */
extern const int64_t history_span_s[HISTORY_KINDS];
extern const int64_t history_ring[HISTORY_KINDS];

struct history_point {
	int64_t utc_s; /* its beginning */
	int64_t n_accepted, n_delivered, n_deferred, n_bounced;
	int64_t n_refused[CLASS_COUNT]; /* deferred or bounced */
	int64_t n_queued;		/* at its end */
	int64_t rate_milli;		/* allowed at its end; -1 = no limit */
	char reply[HISTORY_REPLY_MAX + 1]; /* of the last refusal; "" = none */
};

/* The ring's place under which a point is stored: what was there a day (400
 * days) ago is overwritten. Returns the key's length; 0: it is too long. */
size_t history_key(char *out, size_t size, enum history_kind kind,
    const char *lane, int64_t utc_s);
/* Everything but the place. */
size_t history_key_prefix(char *out, size_t size, enum history_kind kind,
    const char *lane);
/* Which kind's a stored key is; -1: it is none. */
int history_key_kind(const char *key, size_t len);

void history_point_format(const struct history_point *p, struct strbuf *out);
/* -1: it isn't one. */
int history_point_parse(const char *text, size_t len,
    struct history_point *out);
void history_point_set_reply(struct history_point *p, const char *reply);

#endif
