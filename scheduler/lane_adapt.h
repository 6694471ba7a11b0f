/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LANE_ADAPT_H
#define FLYBALL_LANE_ADAPT_H

#include "scheduler/adapt.h"
#include "scheduler/breaker.h"
#include "scheduler/conn_cap.h"
#include "scheduler/sched_private.h"

/*
 * What a lane has learned of its provider: speed, whether it may send at all,
 * how many connections it gets. lane_adapt.c makes the modules' decisions
 * happen in the scheduler: timers, waking, changes told. Included inside
 * scheduler/ only.
 */
struct lane_adapt {
	struct lane *lane;
	struct conf_adapt conf;
	struct adapt speed;
	struct breaker breaker;
	struct conn_cap cap;
	struct timer timer;
	int64_t told;	     /* rate, as in the last change */
	uint64_t n_shadowed; /* recipients it would have held */
	/* Of lane_store.c: */
	struct lane_adapt *dirty_prev, *dirty_next;
	bool is_dirty;	/* since it was last saved */
	bool is_stored; /* there is a record of it */
};

struct route_adapt {
	struct route *route;
	struct conn_cap cap;
	struct timer timer;
	bool is_dirty;
	bool is_shadow; /* adapt.mode: it decides, and holds nothing */
};

static inline bool
lane_is_shadow(const struct lane *l)
{
	return l->adapt->conf.mode == MODE_SHADOW;
}

void lane_adapt_new(struct sched *s, struct lane *l);
/* Its configuration or its rates changed. */
void lane_adapt_configure(struct sched *s, struct lane *l);
void lane_adapt_free(struct sched *s, struct lane *l);
void route_adapt_new(struct route *r);
/* After a reload: with adaptation off, what was learned goes. */
void route_adapt_configure(struct sched *s, struct route *r);
void route_adapt_free(struct sched *s, struct route *r);

/* A transaction of this lane, that left at this epoch, was answered. */
void lane_adapt_learn(struct sched *s, struct lane *l, uint32_t epoch,
    const struct verdict *v);
/* A connection was refused before MAIL. */
void lane_adapt_learn_connect(struct sched *s, struct lane *l,
    const struct verdict *v);
/* Operator: forget what was learned. */
void lane_adapt_forget(struct sched *s, struct lane *l);
/* One of its transactions came back unused. */
void lane_adapt_unused(struct lane *l, uint32_t epoch);
/* Arms its timer after a change. */
void lane_adapt_arm(struct sched *s, struct lane *l);
void route_adapt_arm(struct sched *s, struct route *r);
/* Until when a lane with no mail must be remembered. */
int64_t lane_adapt_keep_us(const struct lane *l);

unsigned lane_connections(const struct lane *l); /* in force; 0: none */
unsigned route_connections(const struct route *r);

/* ---- change.c ---- */
void change_rate(struct sched *s, struct lane *l, const struct verdict *v);
void change_breaker(struct sched *s, struct lane *l, enum breaker_why was,
    const struct verdict *v);
/* lane NULL: of the route. */
void change_connections(struct sched *s, struct route *r, struct lane *l,
    unsigned from, const struct verdict *v);
void change_plan(struct sched *s, const struct quota_entry *e,
    const struct warmup_change *step);
void change_sender(struct sched *s, const struct sender_gate *g,
    const char *state, const char *why);
void change_list(struct sched *s, const struct stream *st, const char *state,
    const char *why);
void changes_free(struct sched *s);

/* The nearest rate that reads well: "17/s", "40/min", "72/day". 0: no limit. */
struct rate rate_in_words(int64_t rate);

#endif
