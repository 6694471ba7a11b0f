/* SPDX-License-Identifier: ISC */
/*
 * Flows: the queue of one stream towards one destination, and the only place
 * that moves a delivery between its containers (queue, retries, in flight) and
 * keeps the counts that go with them.
 *
 * A flow is at home in the lane of the first route of its stream that isn't
 * closed. It is *active* there, that is in the lane's ring of its class, while
 * it has something queued and its stream isn't paused.
 */
#include <assert.h>
#include <stdlib.h>

#include "conf/base/xalloc.h"
#include "scheduler/gate_lease.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/sender.h"

/* ---- life ---- */

struct flow *
flow_get(struct sched *s, struct dest *dest, struct stream *stream,
    struct sender *sd)
{
	struct sender_gate *gate = sd != NULL && sd->is_split
	    ? sender_gate_get(s, sd, dest->name)
	    : NULL;
	struct flow *f;

	DL_FOREACH2(dest->flows, f, dest_next)
	if (f->stream == stream && f->gate == gate)
		return f;
	f = xcalloc(1, sizeof(*f));
	f->dest = dest;
	f->stream = stream;
	f->gate = gate;
	if (gate != NULL)
		gate->sender->n_users++;
	DL_APPEND2(dest->flows, f, dest_prev, dest_next);
	flow_home(s, f);
	return f;
}

void
flow_release(struct sched *s, struct flow *f)
{
	struct sender *sd = f->gate != NULL ? f->gate->sender : NULL;
	struct dest *dest = f->dest;

	if (f->queue != NULL || f->retries.n > 0 || f->n_in_flight > 0)
		return;
	flow_leave_home(s, f);
	if (heap_has(&f->shut))
		heap_remove(&s->shut, &f->shut);
	DL_DELETE2(dest->flows, f, dest_prev, dest_next);
	heap_fini(&f->retries);
	free(f);
	sender_unref(s, sd);
	dest_release(s, dest);
}

/* ---- active or not ---- */

static void
activate(struct sched *s, struct flow *f)
{
	f->is_active = true;
	f->deficit = 0;
	DL_APPEND(f->lane->classes[f->stream->priority], f);
	lane_refresh(s, f->lane);
}

static void
deactivate(struct sched *s, struct flow *f)
{
	struct flow **ring = &f->lane->classes[f->stream->priority];
	bool was_first = *ring == f;

	f->is_active = false;
	DL_DELETE(*ring, f);
	/* The next one's turn comes, with what a turn brings. */
	if (was_first && *ring != NULL)
		(*ring)->deficit += (*ring)->stream->weight;
	lane_refresh(s, f->lane);
}

int64_t
flow_opens(struct sched *s, struct flow *f, enum gate *gate_out)
{
	struct gate_ask ask = {
		.s = s,
		.lane = f->lane,
		.flow = f,
		.n = 1,
		.now_us = s->now_us,
	};

	*gate_out = GATE_NONE;
	if (f->lane == NULL ||
	    (f->gate == NULL && f->stream->pause == NULL &&
		!f->stream->health.is_held))
		return s->now_us;
	ask.route = f->lane->route;
	return gates_when(&ask, SCOPE_FLOW, gate_out);
}

/* It looks again when its gates open, if that is known. */
static void
wait_shut(struct sched *s, struct flow *f, int64_t opens_us)
{
	if (f->queue != NULL && opens_us > s->now_us && opens_us != INT64_MAX)
		heap_move(&s->shut, &f->shut, opens_us);
	else if (heap_has(&f->shut))
		heap_remove(&s->shut, &f->shut);
}

void
flow_refresh(struct sched *s, struct flow *f)
{
	enum gate gate;
	int64_t opens_us = flow_opens(s, f, &gate);
	bool wants =
	    f->queue != NULL && f->lane != NULL && opens_us <= s->now_us;

	f->shut_by = gate;
	if (gate == GATE_LEASE && f->queue != NULL)
		gates_lease_flow(f);
	wait_shut(s, f, opens_us);

	if (wants && !f->is_active)
		activate(s, f);
	else if (!wants && f->is_active)
		deactivate(s, f);
}

/* ---- home ---- */

static struct lane *
choose_lane(struct sched *s, struct flow *f)
{
	for (size_t i = 0; i < f->stream->n_routes; i++) {
		struct gate_ask ask = {
			.s = s,
			.route = f->stream->routes[i],
			.flow = f,
			.n = 1,
			.now_us = s->now_us,
		};

		if (ask.route->is_closed)
			continue;
		ask.lane = lane_get(s, ask.route, f->dest);
		if (!gates_overflow(&ask, SCOPE_LANE))
			return ask.lane;
	}
	/* All are closed: it waits in line for its favourite. */
	return lane_get(s, f->stream->routes[0], f->dest);
}

void
flow_leave_home(struct sched *s, struct flow *f)
{
	struct lane *l = f->lane;

	if (l == NULL)
		return;
	if (f->is_active)
		deactivate(s, f);
	f->lane = NULL;
	l->n_flows--;
}

void
flow_home(struct sched *s, struct flow *f)
{
	struct lane *l = choose_lane(s, f);

	if (l == f->lane)
		return;
	flow_leave_home(s, f);
	f->lane = l;
	l->n_flows++;
	flow_refresh(s, f);
}

void
dest_rehome(struct sched *s, struct dest *dest)
{
	struct flow *f;

	DL_FOREACH2(dest->flows, f, dest_next)
	flow_home(s, f);
}

void
flows_rehome(struct sched *s)
{
	for (struct dest *dest = s->dests; dest; dest = dest->hh.next)
		dest_rehome(s, dest);
}

/* ---- deliveries ---- */

int64_t
flow_retry_us(const struct flow *f)
{
	return heap_top_key(&f->retries);
}

/* The flow stands among the others by its first retry. */
static void
retries_changed(struct sched *s, struct flow *f)
{
	if (f->retries.n > 0)
		heap_move(&s->retries, &f->retry, flow_retry_us(f));
	else if (heap_has(&f->retry))
		heap_remove(&s->retries, &f->retry);
}

/* Another delivery is first: it may need fewer tokens than the lane waits
 * for. */
static void
first_changed(struct sched *s, struct flow *f)
{
	flow_refresh(s, f);
	if (f->is_active)
		lane_wake(s, f->lane);
}

void
delivery_leave(struct sched *s, struct delivery *d)
{
	struct flow *f = d->flow;
	bool was_first = f->queue == d;

	switch ((enum delivery_state)d->state) {
	case DELIVERY_LOOSE:
		return;
	case DELIVERY_WAITING:
		DL_DELETE(f->queue, d);
		f->n_queued--;
		f->n_queued_recipients -= d->n_pending;
		s->n_queued--;
		if (was_first)
			first_changed(s, f);
		break;
	case DELIVERY_DEFERRED:
		heap_remove(&f->retries, &d->retry);
		s->n_deferred--;
		retries_changed(s, f);
		break;
	case DELIVERY_IN_FLIGHT:
		f->n_in_flight--;
		s->n_in_flight--;
		break;
	}
	d->state = DELIVERY_LOOSE;
	d->is_held = false;
}

void
delivery_wait(struct sched *s, struct delivery *d, enum place place)
{
	struct flow *f = d->flow;

	delivery_leave(s, d);
	d->state = DELIVERY_WAITING;
	if (place == PLACE_HEAD)
		DL_PREPEND(f->queue, d);
	else
		DL_APPEND(f->queue, d);
	f->n_queued++;
	f->n_queued_recipients += d->n_pending;
	s->n_queued++;
	if (f->queue == d)
		first_changed(s, f);
}

void
delivery_defer(struct sched *s, struct delivery *d, int64_t due_us)
{
	delivery_leave(s, d);
	d->state = DELIVERY_DEFERRED;
	d->retry = (struct heap_node){ 0 };
	heap_add(&d->flow->retries, &d->retry, due_us);
	s->n_deferred++;
	retries_changed(s, d->flow);
}

void
delivery_fly(struct sched *s, struct delivery *d, struct lane *l,
    uint32_t n_granted)
{
	delivery_leave(s, d);
	d->state = DELIVERY_IN_FLIGHT;
	d->flight.lane = l;
	d->flight.n_granted = n_granted;
	d->flight.epoch = adapt_epoch(&l->adapt->speed);
	d->flight.left_us = s->now_us;
	d->flow->n_in_flight++;
	s->n_in_flight++;
}

void
delivery_move(struct sched *s, struct delivery *d, struct flow *to)
{
	enum delivery_state state = (enum delivery_state)d->state;
	struct lane *l = d->flight.lane;
	uint32_t n_granted = d->flight.n_granted;
	uint32_t epoch = d->flight.epoch;
	int64_t left_us = d->flight.left_us;
	int64_t due_us = d->retry.key;

	delivery_leave(s, d);
	d->flow = to;
	switch (state) {
	case DELIVERY_LOOSE:
		break;
	case DELIVERY_WAITING:
		delivery_wait(s, d, PLACE_TAIL);
		break;
	case DELIVERY_DEFERRED:
		delivery_defer(s, d, due_us);
		break;
	case DELIVERY_IN_FLIGHT:
		delivery_fly(s, d, l, n_granted);
		d->flight.epoch = epoch;
		d->flight.left_us = left_us;
		break;
	}
}
