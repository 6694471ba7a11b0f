/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PLAN_LEARN_H
#define FLYBALL_PLAN_LEARN_H

#include "scheduler/sched_private.h"

/* What an answer adds to ledgers, to list health and to its sender domain's
 * standing. Called once a verdict, before the delivery is settled. */
void plan_learn(struct sched *s, struct delivery *d, struct lane *l,
    const struct verdict *v);
/* The same of mail that isn't here any more. */
struct learned {
	struct stream *stream;
	struct sender *sender;	  /* NULL: none */
	struct sender_gate *gate; /* NULL: none */
	int64_t left_us;
	int64_t n_attempted; /* by this verdict for the first time */
	bool is_notice;	     /* no list's mail */
};
void plan_learn_of(struct sched *s, const struct learned *of, struct lane *l,
    const struct verdict *v);
/* No next hop was asked: n recipients of a domain that can't take mail. */
void plan_learn_unroutable(struct sched *s, struct stream *st, uint32_t n);
/* n left by a route that isn't their stream's first: those before it note an
 * overflow. */
void plan_note_overflow(struct sched *s, const struct flow *f, int64_t n);

#endif
