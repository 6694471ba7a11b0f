/* SPDX-License-Identifier: ISC */
/*
 * How a dispatch ends: with a verdict, unused, or refused at connect. The
 * lane's statistics, the gates and the route learn from it here, and the
 * delivery goes back to its flow or away. What a class does to a lane's speed
 * is lane_adapt.c's.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/plan_learn.h"
#include "scheduler/retry.h"
#include "scheduler/sender.h"

#define SLOT_US	     (10 * INT64_C(1000000))
#define REFUSED_MOST 3
#define REPLY_KEEP   2048 /* bytes of a refusal; peers may send many lines */

/* ---- statistics ---- */

static void
count_delivered(struct lane_stats *st, uint32_t n, int64_t now_us)
{
	int64_t slot = now_us / SLOT_US;

	if (slot != st->slot) {
		st->n_slot_before = slot == st->slot + 1 ? st->n_slot : 0;
		st->n_slot = 0;
		st->slot = slot;
	}
	st->n_slot += n;
	st->n_delivered += n;
}

static void
count_refusal(struct lane *l, const struct verdict *v, int64_t now_us)
{
	const char *reply = v->reply != NULL ? v->reply : "";
	struct lane_stats *st = &l->stats;

	if (v->class == CLASS_OK)
		return;
	st->last_refusal_us = now_us;
	st->last_refusal_code = v->code;
	st->last_refusal_class = v->class;
	free(st->last_refusal);
	st->last_refusal = xstrndup(reply, strnlen(reply, REPLY_KEEP));
}

void
lane_count(struct lane *l, const struct verdict *v, int64_t now_us)
{
	count_delivered(&l->stats, v->n_delivered, now_us);
	l->stats.n_deferred += v->n_deferred;
	l->stats.n_failed += v->n_failed;
	count_refusal(l, v, now_us);
}

/* ---- the end of a dispatch ---- */

static struct delivery *
find_in_flight(struct sched *s, uint64_t message, uint32_t number)
{
	struct delivery *d = delivery_map_find(s->map, message, number);

	return d != NULL && d->state == DELIVERY_IN_FLIGHT ? d : NULL;
}

/* Its connection is free; tokens of recipients nobody attempted come back. */
static void
end_flight(struct sched *s, const struct delivery *d, uint32_t n_attempted)
{
	struct gate_ask ask = {
		.s = s,
		.route = d->flight.lane->route,
		.lane = d->flight.lane,
		.flow = d->flow,
		.now_us = s->now_us,
		.left_us = d->flight.left_us,
	};

	if (n_attempted < d->flight.n_granted) {
		ask.n = d->flight.n_granted - n_attempted;
		ask.lane->stats.n_attempted -= (uint64_t)ask.n;
		gates_give_back(&ask);
	}
	gates_release(&ask);
}

/* A lane that was only waiting for its last delivery may go now. */
static void
lane_left(struct sched *s, struct lane *l)
{
	struct route *r = l->route;

	l->used_us = s->now_us;
	route_recheck(s, r);
	if ((r->is_gone || l->dest->provider->is_gone) &&
	    lane_is_droppable(l)) {
		lane_free(s, l);
		names_drop_gone(s);
	}
}

static int64_t
settle(struct sched *s, struct delivery *d, const struct verdict *v)
{
	struct flow *f = d->flow;
	int64_t due_us = s->now_us;

	delivery_leave(s, d);
	s->n_recipients -= d->n_pending;
	d->n_pending = v->n_pending;
	s->n_recipients += d->n_pending;
	if (v->next == SETTLE_DONE || v->n_pending == 0) {
		cursors_pass(s, d);
		DL_DELETE2(s->oldest, d, age_prev, age_next);
		sender_unref(s, d->sender);
		delivery_map_remove(s->map, d);
		flow_release(s, f);
	} else if (v->next == SETTLE_REQUEUE) {
		delivery_wait(s, d, PLACE_HEAD);
		delivery_sort(s, d, PLACE_HEAD);
	} else {
		d->attempts++;
		due_us = sched_retry_at(s, d->attempts, s->now_us);
		delivery_defer(s, d, due_us);
		delivery_sort(s, d, PLACE_TAIL);
	}
	return due_us;
}

int64_t
sched_verdict(struct sched *s, const struct verdict *v, int64_t now_us)
{
	struct verdict told = *v; /* what is known by now */
	struct delivery *d;
	struct lane *l;
	uint32_t epoch, n_attempted;
	int64_t due_us;

	sched_clock(s, now_us);
	d = find_in_flight(s, v->message, v->number);
	if (d == NULL)
		return s->now_us;
	l = d->flight.lane;
	epoch = d->flight.epoch;
	n_attempted = v->n_delivered + v->n_failed + v->n_deferred;
	credit_settle(l, n_attempted, v->n_relayed);
	end_flight(s, d, n_attempted);
	told.n_delivered -= v->n_relayed;
	lane_count(l, &told, s->now_us);
	/* That a relay took it says nothing of the provider. */
	if (v->n_relayed == 0 || v->class != CLASS_OK)
		lane_adapt_learn(s, l, epoch, &told);
	plan_learn(s, d, l, &told);
	due_us = settle(s, d, v);
	/* The next hop spoke, so it is there, whatever it said. */
	if (v->code > 0)
		route_works(s, l->route);
	lane_left(s, l);
	return due_us;
}

void
sched_unuse(struct sched *s, uint64_t message, uint32_t number, int64_t now_us)
{
	struct delivery *d;
	struct lane *l;

	sched_clock(s, now_us);
	d = find_in_flight(s, message, number);
	if (d == NULL)
		return;
	l = d->flight.lane;
	lane_adapt_unused(l, d->flight.epoch);
	end_flight(s, d, 0);
	delivery_wait(s, d, PLACE_HEAD);
	delivery_sort(s, d, PLACE_HEAD);
	lane_left(s, l);
}

int64_t
sched_refused(struct sched *s, const struct verdict *v, int64_t now_us)
{
	struct delivery *d;
	struct route *r;
	struct lane *l;
	int64_t due_us = now_us;

	sched_clock(s, now_us);
	d = find_in_flight(s, v->message, v->number);
	if (d == NULL)
		return s->now_us;
	l = d->flight.lane;
	r = l->route;
	lane_adapt_unused(l, d->flight.epoch);
	end_flight(s, d, 0);
	count_refusal(l, v, s->now_us);
	delivery_wait(s, d, PLACE_HEAD);
	delivery_sort(s, d, PLACE_HEAD);
	/* With none left, their number isn't what is wrong. */
	if (v->class == CLASS_RATE && r->in_flight > 0 &&
	    s->conf->adapt.enabled)
		lane_adapt_learn_connect(s, l, v);
	/* While others get through, one that doesn't is chance. */
	else if (!r->is_gone &&
	    (r->in_flight == 0 || ++r->n_refused >= REFUSED_MOST))
		due_us = sched_route_down(s, r->index, v->reply, s->now_us);
	lane_left(s, l);
	return due_us;
}

int64_t
sched_retry_at(struct sched *s, uint32_t attempts, int64_t now_us)
{
	int64_t wait_us = retry_delay(s->conf->spool.retry.first_us,
	    s->conf->spool.retry.factor_permille, s->conf->spool.retry.max_us,
	    attempts);

	return now_us +
	    retry_jitter(&s->rng, wait_us,
		s->conf->spool.retry.jitter_permille);
}
