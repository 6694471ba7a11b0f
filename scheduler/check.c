/* SPDX-License-Identifier: ISC */
/*
 * Asserts that the scheduler's structures agree with each other: every
 * delivery in exactly one container, every lane where its state says, counts
 * that add up. Tests call it after every step; it costs O(everything), so
 * nothing else does.
 */
#include <assert.h>

#include "scheduler/sched_private.h"

struct counts {
	uint64_t n_queued, n_deferred, n_in_flight, n_recipients, n_lanes;
	uint64_t n_flows, n_timed, n_idle, n_blocked, n_ready, n_flows_deferred;
};

static void
check_age_list(const struct sched *s, struct counts *sum)
{
	const struct delivery *d, *before = NULL;
	size_t n = 0;

	DL_FOREACH2(s->oldest, d, age_next)
	{
		assert(before == NULL || before->message < d->message ||
		    (before->message == d->message &&
			before->number < d->number));
		assert(delivery_map_find(s->map, d->message, d->number) == d);
		assert(d->n_pending > 0);
		assert(d->state != DELIVERY_LOOSE);
		sum->n_recipients += d->n_pending;
		sum->n_in_flight += d->state == DELIVERY_IN_FLIGHT;
		before = d;
		n++;
	}
	assert(n == delivery_map_count(s->map));
}

/* Not active with mail at hand: a gate of its own is shut, and it looks again
 * when that opens, if it is known. */
static void
check_flow_gates(struct sched *s, struct flow *f)
{
	enum gate gate;
	int64_t opens_us = flow_opens(s, f, &gate);

	assert(!f->is_active || f->queue != NULL);
	assert(!heap_has(&f->shut) || !f->is_active);
	if (f->queue == NULL || f->is_active)
		return;
	assert(opens_us > s->now_us || heap_has(&f->shut));
	assert(heap_has(&f->shut) || opens_us == INT64_MAX);
}

static void
check_flow(struct sched *s, struct flow *f, struct counts *sum)
{
	uint64_t n = 0, n_recipients = 0;
	const struct delivery *d;

	assert(f->lane != NULL && f->lane->dest == f->dest);
	assert(!f->stream->is_gone && !f->lane->route->is_gone);
	DL_FOREACH(f->queue, d) {
		assert(d->state == DELIVERY_WAITING && d->flow == f);
		n++;
		n_recipients += d->n_pending;
	}
	assert(n == f->n_queued && n_recipients == f->n_queued_recipients);
	for (uint32_t i = 0; i < f->retries.n; i++) {
		d = HEAP_OWNER(f->retries.v[i], struct delivery, retry);
		assert(d->state == DELIVERY_DEFERRED && d->flow == f);
		assert(d->retry.place == i + 1);
	}
	assert(heap_has(&f->retry) == (f->retries.n > 0));
	assert(f->retries.n == 0 || f->retry.key == flow_retry_us(f));
	check_flow_gates(s, f);
	assert(n + f->retries.n + f->n_in_flight > 0);
	sum->n_queued += n;
	sum->n_deferred += f->retries.n;
	sum->n_flows_deferred += f->retries.n > 0;
}

static void
check_ring(const struct lane *l, int c, uint64_t *n_active)
{
	const struct flow *f;

	DL_FOREACH(l->classes[c], f) {
		assert(f->is_active && f->lane == l);
		assert((int)f->stream->priority == c);
		(*n_active)++;
	}
}

static void
check_lane(const struct lane *l, struct counts *sum)
{
	uint64_t n_active = 0, n_in_ring = 0;
	const struct lane *o;
	unsigned n_home = 0;
	const struct flow *f;

	for (int c = 0; c < PRIORITY_COUNT; c++)
		check_ring(l, c, &n_active);
	DL_FOREACH2(l->dest->flows, f, dest_next)
	{
		n_home += f->lane == l;
		n_active -= f->lane == l && f->is_active;
	}
	assert(n_active == 0 && n_home == l->n_flows);
	DL_FOREACH(l->route->rings[l->ring], o)
		n_in_ring += o == l;
	assert(n_in_ring == (l->state == LANE_READY));
	assert(l->state != LANE_NEW);
	sum->n_timed += l->state == LANE_TIMED;
	sum->n_idle += l->state == LANE_IDLE;
	sum->n_blocked += l->state == LANE_BLOCKED;
	sum->n_ready += l->state == LANE_READY;
	sum->n_lanes++;
	assert(heap_has(&l->node) ==
	    (l->state == LANE_TIMED || l->state == LANE_IDLE));
}

static void
check_routes(const struct sched *s, const struct counts *sum)
{
	uint64_t n_ready = 0, n_serving = 0, n_in_flight = 0, n_lanes = 0;
	const struct route *r;

	for (r = s->routes; r != NULL; r = r->hh.next) {
		for (int c = 0; c < PRIORITY_COUNT; c++) {
			const struct lane *l;

			DL_FOREACH(r->rings[c], l) {
				assert(l->route == r && l->classes[c]);
				n_ready++;
			}
		}
		n_serving += r->is_serving;
		n_in_flight += r->in_flight;
		n_lanes += r->n_lanes;
	}
	DL_FOREACH(s->serving, r) {
		assert(r->is_serving && !r->is_closed);
		n_serving--;
	}
	assert(n_serving == 0);
	assert(n_ready == sum->n_ready && n_lanes == sum->n_lanes);
	assert(n_in_flight == sum->n_in_flight);
}

void
sched_check(struct sched *s)
{
	struct counts sum = { 0 };
	const struct lane *l;
	uint64_t n_blocked = 0;

	check_age_list(s, &sum);
	for (struct dest *dest = s->dests; dest; dest = dest->hh.next) {
		struct flow *f;

		assert(dest->flows != NULL || dest->lanes != NULL);
		DL_FOREACH2(dest->flows, f, dest_next)
		check_flow(s, f, &sum);
		DL_FOREACH2(dest->lanes, l, dest_next)
		check_lane(l, &sum);
	}
	DL_FOREACH(s->blocked, l) {
		assert(l->state == LANE_BLOCKED && l->gate != GATE_NONE);
		n_blocked++;
	}
	check_routes(s, &sum);
	assert(sum.n_queued == s->n_queued);
	assert(sum.n_deferred == s->n_deferred);
	assert(sum.n_in_flight == s->n_in_flight);
	assert(sum.n_recipients == s->n_recipients);
	assert(sum.n_lanes == s->n_lanes);
	assert(sum.n_timed == s->timed.n && sum.n_idle == s->idle.n);
	assert(sum.n_blocked == n_blocked);
	assert(sum.n_flows_deferred == s->retries.n);
	assert(sum.n_queued + sum.n_deferred + sum.n_in_flight ==
	    delivery_map_count(s->map));
}
