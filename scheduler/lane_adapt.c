/* SPDX-License-Identifier: ISC */
/*
 * How what was learned takes effect: verdicts go to the controller of speed,
 * the breaker and the connection caps by class and blame; their decisions
 * come back as timers, woken lanes and told changes. The three modules know
 * nothing of the scheduler, and this file decides nothing.
 *
 * Whom a reply blames decides what slows; blame.c has that table. At connect a
 * provider can't know whose mail comes, so `rate` there is always about
 * connections: of the route, as the banner is its next hop's.
 */
#include "scheduler/lane_adapt.h"

#include <stdlib.h>

#include "conf/base/xalloc.h"
#include "scheduler/blame.h"
#include "scheduler/lane_store.h"

#define TELLING 3 /* answers that a span must hold to be judged by */

/* ---- what is in force ---- */

unsigned
lane_connections(const struct lane *l)
{
	if (lane_is_shadow(l))
		return l->limits.connections;
	return conn_cap_of(&l->adapt->cap, l->limits.connections);
}

unsigned
route_connections(const struct route *r)
{
	if (r->adapt->is_shadow)
		return r->connections;
	return conn_cap_of(&r->adapt->cap, r->connections);
}

/* The fastest of the configured rates; 0: none. */
static int64_t
ceiling_of(const struct lane *l)
{
	int64_t ceiling = 0;

	for (size_t i = 0; i < l->limits.rates.n; i++) {
		const struct rate *r = &l->limits.rates.v[i];
		int64_t rate;

		if (rate_is_unlimited(r))
			continue;
		rate = rate_of(r->count, r->window_us);
		if (rate > ceiling)
			ceiling = rate;
	}
	return ceiling;
}

int64_t
lane_adapt_keep_us(const struct lane *l)
{
	const struct lane_adapt *a = l->adapt;

	if (a->breaker.state != BREAKER_CLOSED)
		return INT64_MAX;
	if (a->speed.state != ADAPT_OPEN || a->cap.limit > 0)
		return l->used_us + 1000 * a->conf.react.hold_us;
	return 0;
}

/* ---- timers ---- */

void
lane_adapt_arm(struct sched *s, struct lane *l)
{
	struct lane_adapt *a = l->adapt;
	int64_t due_us = adapt_due(&a->speed);

	if (a->breaker.state == BREAKER_OPEN && a->breaker.until_us < due_us)
		due_us = a->breaker.until_us;
	if (a->cap.due_us < due_us)
		due_us = a->cap.due_us;
	if (due_us <= s->now_us)
		due_us = s->now_us + 1;
	if (heap_has(&a->timer.node) ? a->timer.node.key == due_us
				     : due_us == INT64_MAX)
		return;
	a->timer.gate =
	    a->breaker.state == BREAKER_OPEN ? GATE_SUSPENDED : GATE_ADAPTED;
	sched_timer_set(s, &a->timer, due_us);
}

void
route_adapt_arm(struct sched *s, struct route *r)
{
	int64_t due_us = r->adapt->cap.due_us;

	if (due_us <= s->now_us)
		due_us = s->now_us + 1;
	sched_timer_set(s, &r->adapt->timer, due_us);
}

/*
 * The speed is another one. While answers to what left before a decrease still
 * come in, the decrease is only made more exact: that is told when it is done,
 * or when it went much further down.
 */
static void
speed_changed(struct sched *s, struct lane *l, const struct verdict *v)
{
	struct lane_adapt *a = l->adapt;
	int64_t rate = adapt_rate(&a->speed), told = a->told;

	if (!adapt_is_deciding(&a->speed) || told == 0 || rate == 0 ||
	    rate < told - told / 4)
		change_rate(s, l, v);
	lane_limit_depth(s, l);
	lane_wake(s, l);
}

/* Where the operator wants it so, its mail leaves by another route, or comes
 * back. */
static void
breaker_changed(struct sched *s, struct lane *l)
{
	lane_wake(s, l);
	if (l->adapt->conf.suspend.overflow == SUSPEND_NEXT_ROUTE)
		dest_rehome(s, l->dest);
}

static void
on_lane_timer(struct sched *s, struct timer *t)
{
	struct lane_adapt *a = HEAP_OWNER(t, struct lane_adapt, timer);
	unsigned n = lane_connections(a->lane);

	if (adapt_step(&a->speed, s->now_us))
		speed_changed(s, a->lane, NULL);
	if (breaker_step(&a->breaker, s->now_us))
		breaker_changed(s, a->lane);
	if (conn_cap_step(&a->cap, a->lane->limits.connections,
		a->conf.react.hold_us, s->now_us)) {
		change_connections(s, a->lane->route, a->lane, n, NULL);
		lane_wake(s, a->lane);
	}
	lane_adapt_arm(s, a->lane);
}

static void
on_route_timer(struct sched *s, struct timer *t)
{
	struct route_adapt *a = HEAP_OWNER(t, struct route_adapt, timer);
	struct route *r = a->route;
	unsigned n = route_connections(r);

	if (conn_cap_step(&a->cap, r->connections, s->conf->adapt.react.hold_us,
		s->now_us)) {
		change_connections(s, r, NULL, n, NULL);
		route_recheck(s, r);
	}
	route_adapt_arm(s, r);
}

/* ---- life ---- */

void
lane_adapt_new(struct sched *s, struct lane *l)
{
	struct lane_adapt *a = xcalloc(1, sizeof(*a));

	a->lane = l;
	l->adapt = a;
	a->timer.fire = on_lane_timer;
	a->conf.react.hold_us = 1; /* until it is configured */
	adapt_init(&a->speed, &a->conf, 0, s->now_us);
	breaker_init(&a->breaker, &a->conf, s->now_us);
	conn_cap_init(&a->cap);
}

void
lane_adapt_configure(struct sched *s, struct lane *l)
{
	struct lane_adapt *a = l->adapt;

	a->conf =
	    conf_lane_adapt(s->conf, l->route->conf, l->dest->provider->conf);
	adapt_configure(&a->speed, &a->conf, ceiling_of(l), s->now_us);
	breaker_configure(&a->breaker, &a->conf, s->now_us);
	if (!a->conf.enabled)
		conn_cap_init(&a->cap);
	if (adapt_rate(&a->speed) != a->told)
		change_rate(s, l, NULL);
	lane_adapt_arm(s, l);
}

void
lane_adapt_free(struct sched *s, struct lane *l)
{
	sched_timer_set(s, &l->adapt->timer, INT64_MAX);
	lane_store_forget(s, l);
	free(l->adapt);
	l->adapt = NULL;
}

void
lane_adapt_forget(struct sched *s, struct lane *l)
{
	struct lane_adapt *a = l->adapt;
	enum breaker_why was = a->breaker.why;
	unsigned n = lane_connections(l);

	adapt_reset(&a->speed, s->now_us);
	breaker_reset(&a->breaker, s->now_us);
	conn_cap_init(&a->cap);
	if (a->told != 0)
		speed_changed(s, l, NULL);
	if (was != BREAKER_NONE)
		change_breaker(s, l, was, NULL);
	if (n != lane_connections(l))
		change_connections(s, l->route, l, n, NULL);
	lane_adapt_arm(s, l);
	breaker_changed(s, l);
}

void
route_adapt_new(struct route *r)
{
	r->adapt = xcalloc(1, sizeof(*r->adapt));
	r->adapt->route = r;
	r->adapt->timer.fire = on_route_timer;
	r->adapt->timer.gate = GATE_ROUTE_CONNECTIONS;
	conn_cap_init(&r->adapt->cap);
}

void
route_adapt_configure(struct sched *s, struct route *r)
{
	unsigned n = route_connections(r);

	if (s->conf->adapt.enabled || r->adapt->cap.limit == 0)
		return;
	conn_cap_init(&r->adapt->cap);
	change_connections(s, r, NULL, n, NULL);
	route_adapt_arm(s, r);
}

void
route_adapt_free(struct sched *s, struct route *r)
{
	sched_timer_set(s, &r->adapt->timer, INT64_MAX);
	free(r->adapt);
}

/* ---- answers ---- */

static unsigned
effects_of(const struct verdict *v)
{
	return blame_effects(v->class, v->blame,
	    v->n_failed > 0 && v->n_deferred == 0);
}

/* Recipients that a class fell on, where the verdict doesn't count them. */
static uint32_t
n_refused(const struct verdict *v, uint32_t counted)
{
	uint32_t n = counted > 0 ? counted : v->n_deferred + v->n_failed;

	return n > 0 ? n : 1;
}

static void
learn_connections(struct sched *s, struct lane *l, const struct verdict *v)
{
	unsigned n = lane_connections(l);

	if (!l->adapt->conf.enabled ||
	    !conn_cap_refused(&l->adapt->cap, l->in_flight,
		l->adapt->conf.react.hold_us, s->now_us))
		return;
	change_connections(s, l->route, l, n, v);
}

/* Has the provider taken nothing lately? Over the long run where the last span
 * has too few answers to tell. */
static bool
takes_nothing(const struct lane *l, int64_t now_us)
{
	const struct meter *m = &l->adapt->speed.meter;
	struct meter_sum sum = meter_span(m, now_us);

	if (sum.n_good + sum.n_bad < TELLING)
		sum = meter_long(m, now_us);
	return sum.n_accepted == 0;
}

/*
 * The pause that a deferral asks for. Published advice ("wait four hours") is
 * for a sender of whom nothing is taken any more: as long as mail gets through
 * beside the refusals, a lower speed is the cure, and stopping would throw
 * away what the provider still bears. A `rate` reply has a pause only where
 * the operator's own rule gives it, and then it holds.
 */
static int64_t
advised_pause(const struct lane *l, const struct verdict *v, int64_t now_us)
{
	if (v->class == CLASS_REPUTATION_DEFER && !takes_nothing(l, now_us))
		return 0;
	return v->pause_us;
}

/* The answer as the breaker hears it; true: it changed. */
static bool
tell_breaker(struct sched *s, struct lane *l, const struct verdict *v)
{
	struct breaker *b = &l->adapt->breaker;
	unsigned effects = effects_of(v);

	if (effects & EFFECT_SLOW)
		return breaker_deferred(b, advised_pause(l, v, s->now_us),
		    &s->rng, s->now_us);
	if (effects & (EFFECT_SHARE | EFFECT_SUSPEND))
		return breaker_rejected(b, n_refused(v, v->n_rejected),
		    (effects & EFFECT_SUSPEND) != 0, &s->rng, s->now_us);
	if (effects & EFFECT_NEXT_HOP)
		return breaker_failed(b, &s->rng, s->now_us);
	return breaker_answered(b, s->now_us);
}

static void
learn_breaker(struct sched *s, struct lane *l, const struct verdict *v)
{
	struct lane_adapt *a = l->adapt;
	enum breaker_why was = a->breaker.why;
	bool changed = false;

	if (v->n_delivered > 0)
		changed =
		    breaker_accepted(&a->breaker, v->n_delivered, s->now_us);
	if (v->class != CLASS_OK)
		changed |= tell_breaker(s, l, v);
	if (!changed)
		return;
	if (a->breaker.why != was || a->breaker.state == BREAKER_OPEN)
		change_breaker(s, l, was, v);
	/* Back from a suspension: not at the speed that led into it. */
	if (was == BREAKER_REJECTED && a->breaker.why == BREAKER_NONE &&
	    adapt_slow_start(&a->speed, 500, s->now_us))
		speed_changed(s, l, v);
	breaker_changed(s, l);
}

/*
 * Recipients that weren't refused for their speed. A full mailbox or an
 * unknown user passed the provider's speed limit as well as one that was
 * accepted: counted as nothing, a list with 5% of them would go 5% too slowly.
 */
static uint32_t
n_let_through(const struct verdict *v, unsigned effects)
{
	uint32_t n = v->n_delivered;

	if ((effects &
		(EFFECT_SLOW | EFFECT_CONNECTIONS | EFFECT_NEXT_HOP |
		    EFFECT_SHARE | EFFECT_SUSPEND)) == 0 &&
	    v->class != CLASS_OTHER && v->class != CLASS_SYSTEM)
		n += v->n_failed + v->n_deferred;
	return n;
}

static void
learn_speed(struct sched *s, struct lane *l, uint32_t epoch,
    const struct verdict *v)
{
	struct lane_adapt *a = l->adapt;
	unsigned effects = effects_of(v);
	bool changed = false;

	if (n_let_through(v, effects) > 0)
		changed = adapt_accepted(&a->speed, epoch,
		    n_let_through(v, effects), s->now_us);
	if (effects & EFFECT_CONNECTIONS)
		learn_connections(s, l, v);
	else if (effects & EFFECT_SLOW)
		changed |= adapt_refused(&a->speed, epoch,
		    n_refused(v, v->n_rate), lane_unanswered(l), s->now_us);
	adapt_answered(&a->speed, epoch);
	if (changed ||
	    (!adapt_is_deciding(&a->speed) && adapt_rate(&a->speed) != a->told))
		speed_changed(s, l, v);
}

void
lane_adapt_learn(struct sched *s, struct lane *l, uint32_t epoch,
    const struct verdict *v)
{
	learn_speed(s, l, epoch, v);
	learn_breaker(s, l, v);
	lane_adapt_arm(s, l);
}

void
lane_adapt_unused(struct lane *l, uint32_t epoch)
{
	adapt_answered(&l->adapt->speed, epoch);
}

void
lane_adapt_learn_connect(struct sched *s, struct lane *l,
    const struct verdict *v)
{
	struct route *r = l->route;
	unsigned n = route_connections(r);

	if (!s->conf->adapt.enabled)
		return;
	if (conn_cap_refused(&r->adapt->cap, r->in_flight,
		s->conf->adapt.react.hold_us, s->now_us)) {
		change_connections(s, r, NULL, n, v);
		route_adapt_arm(s, r);
	}
}
