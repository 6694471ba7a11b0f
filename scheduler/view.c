/* SPDX-License-Identifier: ISC */
/*
 * Sight: what the admin socket, metrics and the dashboard show of lanes,
 * routes and the queue. Nothing here changes what leaves, or when. Only
 * sched_n_ahead() walks a queue; the others cost what they show.
 */
#include <stdlib.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/quotas.h"

#define SLOT_US (10 * INT64_C(1000000))

/* ---- lanes ---- */

/* What would leave next by this lane, for the gates. */
static struct gate_ask
ask_for(struct sched *s, struct lane *l)
{
	struct flow *f = lane_pick(l);

	return (struct gate_ask){
		.s = s,
		.route = l->route,
		.lane = l,
		.n = f != NULL ? lane_target(l, f->queue) : 1,
		.now_us = s->now_us,
	};
}

static uint64_t
recent(const struct lane_stats *st, int64_t now_us)
{
	int64_t slot = now_us / SLOT_US;

	if (slot == st->slot)
		return st->n_slot_before;
	return slot == st->slot + 1 ? st->n_slot : 0;
}

static void
view_queue(const struct lane *l, struct lane_view *view)
{
	const struct flow *f;

	DL_FOREACH2(l->dest->flows, f, dest_next)
	{
		if (f->lane != l)
			continue;
		view->n_queued += f->n_queued;
		view->n_queued_recipients += f->n_queued_recipients;
		view->n_retrying += f->retries.n;
	}
}

static void
view_gate(struct sched *s, struct lane *l, struct lane_view *view)
{
	struct gate_ask ask = ask_for(s, l);
	struct gate_hold hold = gates_hold(&ask);

	view->because = "";
	/* Without mail, only what would stop any mail is worth telling. */
	if (view->n_queued + view->n_retrying == 0 && hold.gate != GATE_PAUSE &&
	    hold.gate != GATE_NEXT_HOP)
		return;
	view->gate = hold.gate;
	if (hold.gate == GATE_NONE)
		return;
	view->held_since_us = hold.since_us;
	view->due_us = hold.until_us;
	view->because = hold.because;
}

static void
view_stats(const struct lane *l, int64_t now_us, struct lane_view *view)
{
	const struct lane_stats *st = &l->stats;

	view->n_attempted = st->n_attempted;
	view->n_delivered = st->n_delivered;
	view->n_deferred = st->n_deferred;
	view->n_failed = st->n_failed;
	view->last_refusal_us = st->last_refusal_us;
	view->last_refusal_code = st->last_refusal_code;
	view->last_refusal_class = st->last_refusal_class;
	view->last_refusal = st->last_refusal != NULL ? st->last_refusal : "";
	view->recent_per_10s = recent(st, now_us);
}

static void
view_adapt(const struct lane *l, struct lane_view *view)
{
	const struct lane_adapt *a = l->adapt;

	view->adapted = rate_in_words(adapt_rate(&a->speed));
	view->failed = rate_in_words(a->speed.failed);
	view->adapt_state = adapt_state_name(a->speed.state);
	view->is_shadow = lane_is_shadow(l);
	view->is_suspended = a->breaker.state != BREAKER_CLOSED;
	view->suspended_because =
	    view->is_suspended ? breaker_why_name(a->breaker.why) : "";
	view->suspended_until_us = view->is_suspended ? a->breaker.until_us : 0;
	view->n_shadowed = a->n_shadowed;
}

static void
view_day(struct sched *s, struct lane *l, struct lane_view *view)
{
	struct quota *q = &l->quota->quota;
	int64_t day = quota_tick(q, sched_utc_now(s)), left;

	view->plan = view->plan_state = "";
	view->day_sent = ledger_get(&q->ledger, day, LEDGER_CHARGED);
	left = quota_left(q);
	view->day_allowed =
	    left == INT64_MAX ? INT64_MAX : view->day_sent + left;
	if (!q->has_plan)
		return;
	view->plan = q->warmup.plan->name;
	view->plan_state = warmup_state_name(&q->warmup);
	view->plan_stage = q->warmup.st.stage + 1;
	if (q->warmup.st.day != WARMUP_NO_DAY)
		view->plan_day = q->warmup.st.day - q->warmup.st.first_day + 1;
}

static void
view_lane(struct sched *s, struct lane *l, struct lane_view *view)
{
	const struct override *o = l->overrides[OVERRIDE_RATES];

	*view = (struct lane_view){
		.name = l->name,
		.route = l->route->name,
		.provider = l->dest->provider->name,
		.site = l->dest->site,
		.n_rates = l->limits.rates.n,
		.is_overridden = o != NULL,
		.override_until_us = o != NULL ? o->until_us : 0,
		.connections_are_overridden =
		    l->overrides[OVERRIDE_CONNECTIONS] != NULL,
		.tokens = bucket_set_available(&l->buckets, s->now_us),
		.in_flight = l->in_flight,
		.has_log = l->route->log != NULL,
		.n_handed = l->credit.n_out,
		.credit = lane_credit(l, s->now_us),
		.connections = lane_connections(l),
		.connections_configured = l->limits.connections,
	};
	for (size_t i = 0; i < l->limits.rates.n; i++)
		view->rates[i] = l->limits.rates.v[i];
	view_adapt(l, view);
	view_day(s, l, view);
	view_queue(l, view);
	view_gate(s, l, view);
	view_stats(l, s->now_us, view);
}

struct name_walk {
	void (*each)(const char *name, void *arg);
	void *arg;
};

static void
show_name(struct sched *s, struct lane *l, void *arg)
{
	struct name_walk *walk = arg;

	(void)s;
	walk->each(l->name, walk->arg);
}

void
sched_lane_names_each(struct sched *s,
    void (*each)(const char *name, void *arg), void *arg)
{
	struct name_walk walk = { each, arg };

	lanes_each_of(s, show_name, &walk);
}

bool
sched_lane_get(struct sched *s, const char *name, int64_t now_us,
    struct lane_view *out)
{
	struct lane *l;

	sched_clock(s, now_us);
	l = lane_by_name(s, name, false);
	if (l == NULL)
		return false;
	view_lane(s, l, out);
	return true;
}

size_t
sched_why(struct sched *s, const char *lane, int64_t now_us,
    struct gate_view out[GATE_COUNT])
{
	struct gate_ask ask;
	struct lane *l;

	sched_clock(s, now_us);
	l = lane_by_name(s, lane, false);
	if (l == NULL)
		return 0;
	ask = ask_for(s, l);
	return gates_look(&ask, out);
}

/* ---- the queue ---- */

static void
view_delivery(const struct delivery *d, struct queue_view *view)
{
	const struct flow *f = d->flow;

	*view = (struct queue_view){
		.message = d->message,
		.number = d->number,
		.n_pending = d->n_pending,
		.attempts = d->attempts,
		.stream = f->stream->name,
		.provider = f->dest->provider->name,
		.site = f->dest->site,
		.lane = f->lane->name,
		.state = QUEUE_WAITING,
		.expires_us = d->expires_us,
	};
	if (d->state == DELIVERY_DEFERRED) {
		view->state = QUEUE_DEFERRED;
		view->is_held = d->is_held;
		view->due_us = d->retry.key;
	} else if (d->state == DELIVERY_IN_FLIGHT) {
		view->state = QUEUE_IN_FLIGHT;
		view->lane = d->flight.lane->name;
	}
}

bool
sched_delivery_get(struct sched *s, uint64_t message, uint32_t number,
    struct queue_view *out)
{
	const struct delivery *d = delivery_map_find(s->map, message, number);

	if (d == NULL)
		return false;
	view_delivery(d, out);
	return true;
}

uint64_t
sched_n_ahead(struct sched *s, uint64_t message, uint32_t number)
{
	const struct delivery *d = delivery_map_find(s->map, message, number);
	uint64_t n = 0;

	if (d == NULL || d->state != DELIVERY_WAITING)
		return 0;
	for (const struct delivery *o = d->flow->queue; o != d; o = o->next)
		n++;
	return n;
}

/* ---- the queue, in portions ---- */

/*
 * A cursor stands before the delivery it will meet next; when that one leaves,
 * cursors_pass() moves it on. It ends with the newest one there was when it
 * was made, so that no walk is longer than the queue.
 */
struct sched_cursor {
	struct sched_cursor *prev, *next;
	struct sched *s;
	const struct delivery *at; /* NULL = at the end */
	uint64_t last_message;
};

struct sched_cursor *
sched_cursor_new(struct sched *s)
{
	struct sched_cursor *c = xcalloc(1, sizeof(*c));

	c->s = s;
	c->at = s->oldest;
	if (s->oldest != NULL)
		c->last_message = s->oldest->age_prev->message;
	DL_APPEND(s->cursors, c);
	return c;
}

void
sched_cursor_free(struct sched_cursor *c)
{
	if (c == NULL)
		return;
	DL_DELETE(c->s->cursors, c);
	free(c);
}

void
cursors_pass(struct sched *s, const struct delivery *d)
{
	struct sched_cursor *c;

	DL_FOREACH(s->cursors, c)
		if (c->at == d)
			c->at = d->age_next;
}

bool
sched_cursor_next(struct sched_cursor *c, struct queue_view *out)
{
	if (c->at == NULL || c->at->message > c->last_message)
		return false;
	view_delivery(c->at, out);
	c->at = c->at->age_next;
	return true;
}

void
sched_totals(const struct sched *s, struct sched_totals *out)
{
	*out = (struct sched_totals){
		.n_deliveries = delivery_map_count(s->map),
		.n_recipients = s->n_recipients,
		.n_in_flight = s->n_in_flight,
		.n_deferred = s->n_deferred,
		.n_lanes = s->n_lanes,
		.oldest_message = s->oldest ? (int64_t)s->oldest->message : 0,
	};
}

/* ---- routes ---- */

void
sched_routes_each(struct sched *s,
    void (*each)(const struct route_view *r, void *arg), void *arg)
{
	for (const struct route *r = s->routes; r; r = r->hh.next) {
		struct route_view view = {
			.name = r->name,
			.in_flight = r->in_flight,
			.connections = route_connections(r),
			.connections_configured = r->connections,
			.is_down = r->down.is_down,
			.down_until_us = r->down.is_down ? r->down.until_us : 0,
			.why = r->down.why != NULL ? r->down.why : "",
		};

		if (!r->is_gone)
			each(&view, arg);
	}
}
