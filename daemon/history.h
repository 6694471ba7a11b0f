/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HISTORY_H
#define FLYBALL_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/history_point.h"
#include "daemon/spool.h"
#include "scheduler/sched.h"

/*
 * What became of each lane's mail: since the start, by the minute for a day,
 * by the hour for 400 days. The last two are kept by the spool; what it is to
 * write is taken from here and goes with the next save. All functions are for
 * the governor's thread.
 */
struct history;

/* Sites of `other` that have a history of their own; further ones share their
 * route's, "ROUTE/other:(rest)". */
#define HISTORY_SITES_MAX 200

/* `reader` is lent; NULL: nothing was stored. */
struct history *history_new(struct spool_reader *reader);
void history_free(struct history *h);

void history_accepted(struct history *h, const char *lane, uint32_t n,
    int64_t now_utc_us);
/* How one attempt's recipients fared; the reply is the gravest refusal. */
struct history_answers {
	uint32_t n_delivered, n_deferred, n_bounced;
	uint32_t n_refused[CLASS_COUNT]; /* deferred or bounced, by class */
	const char *reply;		 /* "" or NULL: no refusal */
};
void history_answered(struct history *h, const char *lane,
    const struct history_answers *a, int64_t now_utc_us);

/* About once a second: looks at a part of the lanes, so that all have been
 * looked at within a minute. */
void history_tick(struct history *h, struct sched *s, int64_t now_us,
    int64_t now_utc_us);
/* Everything that isn't over yet too: at the end. */
void history_flush(struct history *h);
/* What is to be stored; the caller's. NULL: nothing. */
struct spool_fact *history_take(struct history *h);

/* Refusals since the start, by class; NULL: nothing is known of the lane. */
const uint64_t *history_refused(const struct history *h, const char *lane);
/* Points of a lane from since_utc_s on, in the order of time, the one under
 * way included. False: nothing is known of the lane. */
bool history_read(struct history *h, const char *lane, enum history_kind kind,
    int64_t since_utc_s, int64_t now_utc_s,
    void (*each)(const struct history_point *p, void *arg), void *arg);

#endif
