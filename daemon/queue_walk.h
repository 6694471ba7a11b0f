/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_QUEUE_WALK_H
#define FLYBALL_QUEUE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"
#include "daemon/spool.h"
#include "scheduler/sched.h"

/*
 * Goes through the deliveries that a command means: `ID...` or `where
 * KEY=VALUE...`, in portions, so that a walk over a million of them holds up
 * nothing. Deliveries that leave meanwhile are passed over.
 */
struct queue_walk;

#define QUEUE_WALK_IDS_MAX 1000

enum walk_result {
	WALK_FOUND,
	WALK_LATER, /* none among those it looked at: go on when there's time */
	WALK_END,
};

/* `words` are lent and must outlive the walk. Words that aren't understood and
 * IDs that aren't queued are refused before anything is done; `n` 0 is the
 * whole queue. *is_usage_out: the words were wrong. */
struct queue_walk *queue_walk_new(struct sched *s, struct spool_reader *reader,
    char *const *words, size_t n, bool *is_usage_out, struct err *err_out);
void queue_walk_free(struct queue_walk *w); /* before the scheduler */

/* The envelope with all the message's deliveries, if `with_envelope` or a
 * condition needs it (else NULL); lent until the next call. */
void queue_walk_want_envelopes(struct queue_walk *w);
enum walk_result queue_walk_next(struct queue_walk *w, int64_t now_utc_us,
    struct queue_view *out, const struct envelope **envelope_out);
/* How many could not be read from disk; they were passed over. */
uint64_t queue_walk_n_unread(const struct queue_walk *w);

/* The stored delivery of this number; NULL when it isn't there. */
const struct delivery *envelope_delivery(const struct envelope *e,
    uint32_t number);

#endif
