/* SPDX-License-Identifier: ISC */
/*
 * The scheduler's front: deliveries come in here, and sched_plan() says what
 * leaves next. The daemon's governor, the simulator and the tests call it.
 *
 * One plan costs the same whatever the backlog: a route from the ring of those
 * that may send, its class, a lane from the ring of that class, a flow, its
 * first delivery, and the lane's gates. A lane whose gates are shut leaves the
 * ring until they open, so it is asked once, and holds back no other.
 *
 * No clock, no I/O, no log. Work that became due all at once (a thousand
 * retries) is done in bounded portions.
 */
#include "scheduler/sched.h"

#include <assert.h>
#include <stdlib.h>

#include "conf/base/xalloc.h"
#include "scheduler/gate_lease.h"
#include "scheduler/lane_store.h"
#include "scheduler/leases.h"
#include "scheduler/plan_learn.h"
#include "scheduler/retry.h"
#include "scheduler/sender.h"

#define RETRIES_A_TURN 64

/* ---- life ---- */

struct sched *
sched_new(const struct conf *conf, uint64_t seed)
{
	struct sched *s = xcalloc(1, sizeof(*s));

	s->rng.state = seed;
	s->map = delivery_map_new();
	names_load(s, conf);
	return s;
}

static void
flows_free(struct sched *s)
{
	for (struct dest *dest = s->dests; dest; dest = dest->hh.next) {
		struct flow *f, *next;

		DL_FOREACH_SAFE2(dest->flows, f, next, dest_next)
		{
			heap_fini(&f->retries);
			free(f);
		}
		dest->flows = NULL;
	}
}

static void
free_lane(struct sched *s, struct lane *l, void *arg)
{
	(void)arg;
	l->n_flows = l->in_flight = 0;
	l->state = LANE_NEW; /* the lists it may be in go as a whole */
	lane_free(s, l);
}

void
sched_free(struct sched *s)
{
	if (s == NULL)
		return;
	flows_free(s);
	leases_free(s);
	lanes_each_of(s, free_lane, NULL);
	names_free(s);
	senders_free(s);
	quotas_free(s);
	pauses_free(s);
	overrides_free(s);
	changes_free(s);
	lane_store_free(s);
	delivery_map_free(s->map);
	heap_fini(&s->timed);
	heap_fini(&s->idle);
	heap_fini(&s->retries);
	heap_fini(&s->shut);
	heap_fini(&s->timers);
	free(s);
}

/* ---- time ---- */

void
sched_timer_set(struct sched *s, struct timer *t, int64_t until_us)
{
	if (until_us != INT64_MAX)
		heap_move(&s->timers, &t->node, until_us);
	else if (heap_has(&t->node))
		heap_remove(&s->timers, &t->node);
}

/* Every call begins here: what ends by time has ended, whoever asks. */
void
sched_clock(struct sched *s, int64_t now_us)
{
	if (now_us > s->now_us)
		s->now_us = now_us;
	while (heap_top_key(&s->timers) <= s->now_us) {
		struct timer *t =
		    HEAP_OWNER(heap_top(&s->timers), struct timer, node);

		heap_remove(&s->timers, &t->node);
		t->fire(s, t);
	}
	lane_collect(s);
}

/* ---- in ---- */

/* Ids grow with arrival, so the way back from the newest is short. */
static void
age_add(struct sched *s, struct delivery *d)
{
	struct delivery *before = s->oldest ? s->oldest->age_prev : NULL;

	while (before != NULL &&
	    (before->message > d->message ||
		(before->message == d->message && before->number > d->number)))
		before = before == s->oldest ? NULL : before->age_prev;
	if (before == NULL)
		DL_PREPEND2(s->oldest, d, age_prev, age_next);
	else
		DL_APPEND_ELEM2(s->oldest, before, d, age_prev, age_next);
}

void
sched_add(struct sched *s, const struct sched_delivery *in, int64_t now_us)
{
	struct delivery *d;

	sched_clock(s, now_us);
	assert(in->n_pending > 0);
	d = delivery_map_add(s->map, in->message, in->number);
	if (d == NULL)
		return; /* it is here already */
	d->n_pending = in->n_pending;
	d->expires_us = in->expires_us;
	d->attempts = in->attempts;
	d->sender = sender_get(s, in->sender_domain);
	if (d->sender != NULL)
		d->sender->n_users++;
	d->flow = flow_get(s, dest_get(s, in->provider, in->site),
	    stream_or_default(s, in->stream), d->sender);
	age_add(s, d);
	s->n_recipients += d->n_pending;
	d->is_unsorted = in->sort_by_us != 0;
	if (in->due_us > s->now_us) {
		delivery_defer(s, d, in->due_us);
	} else if (in->sort_by_us > s->now_us) {
		delivery_defer(s, d, in->sort_by_us);
		d->is_held = true;
	} else {
		delivery_wait(s, d, PLACE_TAIL);
	}
}

bool
sched_has_stream(struct sched *s, const char *stream)
{
	const struct stream *st = stream_find(s, stream);

	return st != NULL && !st->is_gone;
}

bool
sched_reroute(struct sched *s, uint64_t message, uint32_t number,
    const char *stream, int64_t now_us)
{
	struct delivery *d;
	struct flow *from;

	sched_clock(s, now_us);
	d = delivery_map_find(s->map, message, number);
	if (d == NULL || d->state == DELIVERY_IN_FLIGHT ||
	    !sched_has_stream(s, stream))
		return false;
	from = d->flow;
	delivery_move(s, d,
	    flow_get(s, from->dest, stream_find(s, stream), d->sender));
	flow_release(s, from);
	return true;
}

static void
drop(struct sched *s, struct delivery *d)
{
	struct flow *f = d->flow;

	delivery_leave(s, d);
	s->n_recipients -= d->n_pending;
	cursors_pass(s, d);
	DL_DELETE2(s->oldest, d, age_prev, age_next);
	sender_unref(s, d->sender);
	delivery_map_remove(s->map, d);
	flow_release(s, f);
}

bool
sched_remove(struct sched *s, uint64_t message, uint32_t number)
{
	struct delivery *d = delivery_map_find(s->map, message, number);

	if (d == NULL || d->state == DELIVERY_IN_FLIGHT)
		return false;
	drop(s, d);
	return true;
}

bool
sched_retry_now(struct sched *s, uint64_t message, uint32_t number,
    int64_t now_us)
{
	struct delivery *d = delivery_map_find(s->map, message, number);

	sched_clock(s, now_us);
	if (d == NULL || d->state == DELIVERY_IN_FLIGHT)
		return false;
	if (d->state == DELIVERY_DEFERRED)
		delivery_wait(s, d, PLACE_TAIL);
	return true;
}

/* ---- out ---- */

static void
plan_fill(struct plan *plan, enum plan_kind kind, const struct delivery *d,
    const struct lane *l)
{
	*plan = (struct plan){
		.kind = kind,
		.message = d->message,
		.number = d->number,
		.n_pending = d->n_pending,
		.attempts = d->attempts,
		.route = l->route->index,
		.messages_per_connection = l->limits.messages_per_connection,
		.lane = l->name,
		.stream = d->flow->stream->name,
		.provider = l->dest->provider->name,
	};
}

static void
plan_expired(struct sched *s, struct delivery *d, struct plan *plan_out)
{
	plan_fill(plan_out, PLAN_EXPIRED, d, d->flow->lane);
	drop(s, d);
}

/* The oldest that has expired and is here; those in flight come back first. */
static struct delivery *
find_expired(const struct sched *s)
{
	for (struct delivery *d = s->oldest;
	     d != NULL && d->expires_us <= s->now_us; d = d->age_next)
		if (d->state != DELIVERY_IN_FLIGHT)
			return d;
	return NULL;
}

/* Deferred deliveries whose time has come get in line; true: there are more. */
static bool
retries_join(struct sched *s)
{
	for (int i = 0; i < RETRIES_A_TURN; i++) {
		struct flow *f;

		if (heap_top_key(&s->retries) > s->now_us)
			return false;
		f = HEAP_OWNER(heap_top(&s->retries), struct flow, retry);
		delivery_wait(s,
		    HEAP_OWNER(heap_top(&f->retries), struct delivery, retry),
		    PLACE_TAIL);
	}
	return heap_top_key(&s->retries) <= s->now_us;
}

static void
flows_due(struct sched *s)
{
	while (heap_top_key(&s->shut) <= s->now_us) {
		struct flow *f =
		    HEAP_OWNER(heap_top(&s->shut), struct flow, shut);

		heap_remove(&s->shut, &f->shut);
		flow_refresh(s, f);
	}
}

static void
lanes_due(struct sched *s)
{
	while (heap_top_key(&s->timed) <= s->now_us)
		lane_wake(s,
		    HEAP_OWNER(heap_top(&s->timed), struct lane, node));
}

static void
dispatch(struct sched *s, struct flow *f, const struct gate_ask *ask,
    struct plan *plan_out)
{
	struct delivery *d = f->queue;
	struct lane *l = ask->lane;
	struct route *r = l->route;
	uint32_t n = (uint32_t)ask->n;
	bool is_second = r != f->stream->routes[0];

	plan_fill(plan_out, PLAN_DISPATCH, d, l);
	plan_out->n_recipients = n;
	gates_charge(ask);
	lane_serve(l, f, n);
	delivery_fly(s, d, l, n);
	l->stats.n_attempted += n;
	l->used_us = s->now_us;
	if (is_second)
		plan_note_overflow(s, f, n);
	if (f->gate != NULL)
		flow_refresh(s, f);
	if (l->state == LANE_READY) /* to the end of its ring */
		lane_enter(s, l, LANE_READY, GATE_NONE, 0);
	if (r->is_serving) {
		DL_DELETE(s->serving, r);
		DL_APPEND(s->serving, r);
	}
	route_recheck(s, r);
	/* What is left may be few enough for the plan it came from. */
	if (is_second)
		flow_home(s, f);
}

/* A plan that is spent, or can't take all that waits, lets mail go on. */
static void
overflow(struct sched *s, struct lane *l, const struct gate_ask *ask)
{
	struct flow *f;

	if (!gates_overflow(ask, SCOPE_LANE))
		return;
	DL_FOREACH2(l->dest->flows, f, dest_next)
	if (f->lane == l)
		flow_home(s, f);
}

/* The turn of this READY lane. False: its gates are shut, it left the ring. */
static bool
lane_try(struct sched *s, struct lane *l, struct plan *plan_out)
{
	struct flow *f = lane_pick(l);
	struct gate_ask ask = {
		.s = s,
		.route = l->route,
		.lane = l,
		.flow = f,
		.n = lane_target(l, f->queue),
		.now_us = s->now_us,
	};
	enum gate gate;
	int64_t due_us;

	if (f->queue->expires_us <= s->now_us) {
		plan_expired(s, f->queue, plan_out);
		return true;
	}
	if (f->gate != NULL && flow_opens(s, f, &gate) > s->now_us) {
		flow_refresh(s, f);
		return false;
	}
	ask.n = gates_room(&ask);
	/* Route and flow are open, or they wouldn't be in a ring. */
	due_us = gates_when(&ask, SCOPE_LANE, &gate);
	if (due_us > s->now_us) {
		lane_enter(s, l,
		    due_us == INT64_MAX ? LANE_BLOCKED : LANE_TIMED, gate,
		    due_us);
		overflow(s, l, &ask);
		return false;
	}
	due_us = gates_lease(&ask);
	if (due_us > s->now_us) {
		lane_enter(s, l,
		    due_us == INT64_MAX ? LANE_BLOCKED : LANE_TIMED, GATE_LEASE,
		    due_us);
		return false;
	}
	dispatch(s, f, &ask, plan_out);
	return true;
}

static bool
serve(struct sched *s, struct plan *plan_out)
{
	while (s->serving != NULL) {
		struct route *r = s->serving;
		enum conf_priority c = route_class(r);
		bool is_waiting[PRIORITY_COUNT];

		for (int i = 0; i < PRIORITY_COUNT; i++)
			is_waiting[i] = r->rings[i] != NULL;
		if (!lane_try(s, r->rings[c], plan_out))
			continue;
		if (plan_out->kind == PLAN_DISPATCH)
			share_serve(&r->share, is_waiting, c, 1);
		return true;
	}
	return false;
}

/* ---- nothing to send: until when, and why ---- */

static void
sooner(struct plan *plan, int64_t due_us, enum gate gate)
{
	if (due_us >= plan->due_us)
		return;
	plan->due_us = due_us;
	plan->gate = gate;
}

/* Nothing opens by time: what has to be told? */
static enum gate
blocking_gate(struct sched *s)
{
	if (s->blocked != NULL)
		return s->blocked->gate;
	for (struct route *r = s->routes; r; r = r->hh.next) {
		struct gate_ask ask = {
			.s = s, .route = r, .n = 1, .now_us = s->now_us
		};
		enum gate gate;

		if (r->n_lanes > 0 &&
		    gates_when(&ask, SCOPE_ROUTE, &gate) > s->now_us)
			return gate;
	}
	return s->n_queued > 0 ? GATE_PAUSE : GATE_NONE;
}

static int64_t
first_expiry(const struct sched *s)
{
	for (const struct delivery *d = s->oldest; d; d = d->age_next)
		if (d->state != DELIVERY_IN_FLIGHT || d->expires_us > s->now_us)
			return d->expires_us;
	return INT64_MAX;
}

static void
plan_wait(struct sched *s, struct plan *plan_out)
{
	*plan_out = (struct plan){ .kind = PLAN_WAIT, .due_us = INT64_MAX };
	if (s->timed.n > 0)
		sooner(plan_out, heap_top_key(&s->timed),
		    HEAP_OWNER(heap_top(&s->timed), struct lane, node)->gate);
	if (s->shut.n > 0)
		sooner(plan_out, heap_top_key(&s->shut),
		    HEAP_OWNER(heap_top(&s->shut), struct flow, shut)->shut_by);
	sooner(plan_out, heap_top_key(&s->retries), GATE_RETRY);
	if (s->timers.n > 0)
		sooner(plan_out, heap_top_key(&s->timers),
		    HEAP_OWNER(heap_top(&s->timers), struct timer, node)->gate);
	if (s->n_queued + s->n_deferred == 0)
		plan_out->gate = GATE_NONE;
	else if (plan_out->gate == GATE_NONE)
		plan_out->gate = blocking_gate(s);
	if (first_expiry(s) < plan_out->due_us)
		plan_out->due_us = first_expiry(s);
}

void
sched_plan(struct sched *s, int64_t now_us, struct plan *plan_out)
{
	bool has_more = true;

	sched_clock(s, now_us);
	while (has_more) {
		struct delivery *d = find_expired(s);

		if (d != NULL) {
			plan_expired(s, d, plan_out);
			return;
		}
		has_more = retries_join(s);
		flows_due(s);
		lanes_due(s);
		if (serve(s, plan_out))
			return;
	}
	plan_wait(s, plan_out);
}
