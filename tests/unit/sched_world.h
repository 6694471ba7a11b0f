/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SCHED_WORLD_H
#define FLYBALL_SCHED_WORLD_H

/*
 * Short words for tests of the scheduler: a scheduler over a hand-made
 * configuration and a clock that the test sets. After each step the
 * scheduler's own consistency check runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/sched_private.h"
#include "tests/unit/conf_fixture.h"

struct world {
	struct fixture f;
	struct sched *s;
	int64_t now_us;
	uint64_t n_added;
};

static inline void
world_start(struct world *w)
{
	w->s = sched_new(&w->f.conf, 1);
	w->now_us = SEC;
	w->n_added = 0;
}

static inline void
world_end(struct world *w)
{
	sched_check(w->s);
	sched_free(w->s);
}

/* Message ids count up from 1; returns this one's. */
static inline uint64_t
world_add_site(struct world *w, const char *stream, const char *provider,
    const char *site, uint32_t n)
{
	struct sched_delivery d = {
		.message = ++w->n_added,
		.n_pending = n,
		.stream = stream,
		.provider = provider,
		.site = site,
		.expires_us = w->now_us + 432000 * SEC,
	};

	sched_add(w->s, &d, w->now_us);
	sched_check(w->s);
	return d.message;
}

static inline uint64_t
world_add(struct world *w, const char *stream, const char *provider, uint32_t n)
{
	return world_add_site(w, stream, provider, "", n);
}

static inline struct plan
world_plan(struct world *w)
{
	struct plan p;

	sched_plan(w->s, w->now_us, &p);
	sched_check(w->s);
	return p;
}

static inline struct plan
world_dispatch(struct world *w, uint64_t message)
{
	struct plan p = world_plan(w);

	assert_int_equal(p.kind, PLAN_DISPATCH);
	assert_int_equal(p.message, message);
	return p;
}

static inline struct plan
world_wait(struct world *w, enum gate gate)
{
	struct plan p = world_plan(w);

	assert_int_equal(p.kind, PLAN_WAIT);
	assert_int_equal(p.gate, gate);
	return p;
}

static inline int64_t
world_verdict(struct world *w, const struct verdict *v)
{
	int64_t due_us = sched_verdict(w->s, v, w->now_us);

	sched_check(w->s);
	return due_us;
}

static inline void
world_done(struct world *w, uint64_t message, uint32_t n)
{
	struct verdict v = {
		.message = message,
		.n_delivered = n,
		.next = SETTLE_DONE,
		.class = CLASS_OK,
		.code = 250,
		.reply = "250 ok",
	};

	world_verdict(w, &v);
}

static inline int64_t
world_retry(struct world *w, uint64_t message, uint32_t n)
{
	struct verdict v = {
		.message = message,
		.n_deferred = n,
		.n_pending = n,
		.next = SETTLE_RETRY,
		.class = CLASS_GREYLIST,
		.blame = BLAME_MESSAGE,
		.code = 450,
		.reply = "450 4.2.0 greylisted",
	};

	return world_verdict(w, &v);
}

static inline void
world_unuse(struct world *w, uint64_t message)
{
	sched_unuse(w->s, message, 0, w->now_us);
	sched_check(w->s);
}

static inline struct lane_view
world_lane(struct world *w, const char *name)
{
	struct lane_view v;

	assert_true(sched_lane_get(w->s, name, w->now_us, &v));
	return v;
}

static inline struct queue_view
world_delivery(struct world *w, uint64_t message)
{
	struct queue_view q;

	assert_true(sched_delivery_get(w->s, message, 0, &q));
	return q;
}

static inline void
world_pause(struct world *w, enum pause_kind kind, const char *name,
    int64_t until_us)
{
	assert_int_equal(sched_pause(w->s, kind, name, until_us, "a test",
			     w->now_us, NULL),
	    0);
	sched_check(w->s);
}

static inline void
world_resume(struct world *w, enum pause_kind kind, const char *name)
{
	assert_int_equal(sched_resume(w->s, kind, name, w->now_us, NULL), 0);
	sched_check(w->s);
}

#endif
