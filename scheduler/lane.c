/* SPDX-License-Identifier: ISC */
/*
 * Lanes: route x destination, where limits live and whose turn it is among
 * streams is decided. Made when a flow or an operator needs one; a site's lane
 * is dropped when it is empty and has nothing left to remember.
 *
 * lane_enter() is the one door between states. A READY lane isn't known to be
 * open: its gates are asked when its turn comes, and if one is shut the lane
 * leaves the ring until then. So an event only has to make it READY.
 *
 * Within a class streams share by deficit round robin (Shreedhar & Varghese
 * 1996): at its turn a flow may send `weight` recipients more, and keeps what
 * it couldn't use while it stays active.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/leases.h"
#include "scheduler/quotas.h"

/* How long an unused site's lane is kept: so long that an operator sees it,
 * and an hour when a refusal is remembered. */
#define IDLE_KEEP_US	(10 * INT64_C(1000000))
#define COLLECT_A_TURN	64
#define REFUSAL_KEEP_US (3600 * INT64_C(1000000))

/* ---- states ---- */

static enum conf_priority
first_class(const struct lane *l)
{
	enum conf_priority c = PRIORITY_HIGH;

	while (c < PRIORITY_COUNT && l->classes[c] == NULL)
		c++;
	return c;
}

static void
leave(struct sched *s, struct lane *l)
{
	switch (l->state) {
	case LANE_NEW:
		break;
	case LANE_IDLE:
		heap_remove(&s->idle, &l->node);
		break;
	case LANE_READY:
		DL_DELETE(l->route->rings[l->ring], l);
		break;
	case LANE_TIMED:
		heap_remove(&s->timed, &l->node);
		break;
	case LANE_BLOCKED:
		DL_DELETE(s->blocked, l);
		break;
	}
}

void
lane_enter(struct sched *s, struct lane *l, enum lane_state state,
    enum gate gate, int64_t due_us)
{
	bool was_ready = l->state == LANE_READY;

	leave(s, l);
	l->state = state;
	if (gate != l->gate)
		l->held_since_us = gate == GATE_NONE ? 0 : s->now_us;
	l->gate = gate;
	switch (state) {
	case LANE_NEW:
		break;
	case LANE_IDLE:
		heap_add(&s->idle, &l->node, due_us);
		break;
	case LANE_READY:
		l->ring = first_class(l);
		DL_APPEND(l->route->rings[l->ring], l);
		break;
	case LANE_TIMED:
		heap_add(&s->timed, &l->node, due_us);
		break;
	case LANE_BLOCKED:
		DL_APPEND(s->blocked, l);
		break;
	}
	if (was_ready != (state == LANE_READY))
		route_serve(s, l->route);
}

/* Until when a lane that nobody uses is kept. */
static int64_t
keep_until(struct sched *s, struct lane *l)
{
	int64_t full_us, keep_us;

	if (!l->dest->provider->is_other)
		return INT64_MAX; /* these are few: routes x providers */
	full_us = bucket_set_full_at(&l->buckets, s->now_us);
	keep_us = l->used_us +
	    (l->stats.last_refusal != NULL ? REFUSAL_KEEP_US : IDLE_KEEP_US);
	if (lane_adapt_keep_us(l) > keep_us)
		keep_us = lane_adapt_keep_us(l);
	return full_us > keep_us ? full_us : keep_us;
}

void
lane_refresh(struct sched *s, struct lane *l)
{
	enum conf_priority first = first_class(l);

	if (first == PRIORITY_COUNT)
		lane_enter(s, l, LANE_IDLE, GATE_NONE, keep_until(s, l));
	else if (l->state != LANE_READY || l->ring != first)
		lane_enter(s, l, LANE_READY, l->gate, 0);
}

void
lane_wake(struct sched *s, struct lane *l)
{
	if (l->state == LANE_TIMED || l->state == LANE_BLOCKED)
		lane_enter(s, l, LANE_READY, l->gate, 0);
}

/* ---- life ---- */

void
lane_limit_depth(struct sched *s, struct lane *l)
{
	struct gate_ask ask = { .s = s, .route = l->route, .lane = l };
	int64_t depth = gates_depth(&ask);

	l->most = l->limits.recipients_per_message > 0
	    ? (int64_t)l->limits.recipients_per_message
	    : INT64_MAX;
	if (depth < l->most)
		l->most = depth;
}

void
lane_limit(struct sched *s, struct lane *l)
{
	if (l->route->conf == NULL || l->dest->provider->conf == NULL)
		return; /* only its deliveries in flight are left */
	l->limits = conf_lane_limits(l->route->conf, l->dest->provider->conf);
	if (l->overrides[OVERRIDE_RATES] != NULL) {
		l->limits.rates = l->overrides[OVERRIDE_RATES]->rates;
		l->limits.burst = 0;
	}
	if (l->overrides[OVERRIDE_CONNECTIONS] != NULL)
		l->limits.connections =
		    l->overrides[OVERRIDE_CONNECTIONS]->connections;
	if (l->state == LANE_NEW)
		bucket_set_init(&l->buckets, &l->limits.rates, l->limits.burst,
		    s->now_us);
	else
		bucket_set_change(&l->buckets, &l->limits.rates,
		    l->limits.burst, s->now_us);
	lane_adapt_configure(s, l);
	lane_limit_depth(s, l);
	lease_bind_lane(s, l);
	lane_wake(s, l);
}

static struct lane *
lane_find(struct route *route, struct dest *dest)
{
	struct lane *l;

	DL_FOREACH2(dest->lanes, l, dest_next)
	if (l->route == route)
		return l;
	return NULL;
}

struct lane *
lane_get(struct sched *s, struct route *route, struct dest *dest)
{
	struct lane *l = lane_find(route, dest);

	if (l != NULL)
		return l;
	l = xcalloc(1, sizeof(*l));
	l->name = xasprintf("%s/%s", route->name, dest->name);
	l->route = route;
	l->dest = dest;
	l->used_us = s->now_us;
	DL_APPEND2(dest->lanes, l, dest_prev, dest_next);
	route->n_lanes++;
	s->n_lanes++;
	lane_adapt_new(s, l);
	quotas_bind_lane(s, l);
	override_bind_lane(s, l);
	pause_bind_lane(s, l);
	lane_limit(s, l);
	lane_enter(s, l, LANE_IDLE, GATE_NONE, keep_until(s, l));
	return l;
}

struct lane *
lane_by_name(struct sched *s, const char *name, bool create)
{
	const char *slash = strchr(name, '/');
	struct route *route;
	struct provider *p;
	struct dest *dest;
	char *route_name;

	if (slash == NULL)
		return NULL;
	route_name = xstrndup(name, (size_t)(slash - name));
	route = route_find(s, route_name);
	free(route_name);
	if (route == NULL)
		return NULL;
	dest = dest_find(s, slash + 1);
	if (!create || route->is_gone)
		return dest != NULL ? lane_find(route, dest) : NULL;
	if (dest != NULL && !dest->provider->is_gone)
		return lane_get(s, route, dest);
	p = provider_find(s, slash + 1);
	if (p != NULL && !p->is_gone && !p->is_other)
		return lane_get(s, route, dest_get(s, p->name, ""));
	if (strncmp(slash + 1, "other:", 6) == 0 && slash[7] != '\0')
		return lane_get(s, route, dest_get(s, "other", slash + 7));
	return NULL;
}

void
lane_free(struct sched *s, struct lane *l)
{
	struct dest *dest = l->dest;

	assert(l->n_flows == 0 && l->in_flight == 0);
	leave(s, l);
	DL_DELETE2(dest->lanes, l, dest_prev, dest_next);
	l->route->n_lanes--;
	s->n_lanes--;
	lane_adapt_free(s, l);
	lease_unbind_lane(s, l);
	quotas_release(s, l->quota);
	bucket_set_fini(&l->buckets);
	free(l->stats.last_refusal);
	free(l->name);
	free(l);
	dest_release(s, dest);
}

bool
lane_is_droppable(const struct lane *l)
{
	if (l->n_flows > 0 || l->in_flight > 0)
		return false;
	if (l->credit.n_out > 0 && !l->route->is_gone)
		return false;
	if (l->route->is_gone || l->dest->provider->is_gone)
		return true;
	return l->dest->provider->is_other && !override_is_set(l) &&
	    l->pause == NULL;
}

void
lane_collect(struct sched *s)
{
	for (int i = 0; i < COLLECT_A_TURN; i++) {
		struct lane *l;
		int64_t until_us;

		if (heap_top_key(&s->idle) > s->now_us)
			return;
		l = HEAP_OWNER(heap_top(&s->idle), struct lane, node);
		until_us = keep_until(s, l);
		if (until_us <= s->now_us && lane_is_droppable(l))
			lane_free(s, l);
		else
			heap_move(&s->idle, &l->node,
			    until_us > s->now_us ? until_us
						 : s->now_us + IDLE_KEEP_US);
	}
}

void
lanes_each_of(struct sched *s,
    void (*each)(struct sched *s, struct lane *l, void *arg), void *arg)
{
	struct dest *dest, *next_dest;
	struct lane *l, *next_lane;

	/* each() may free its lane, and with the last one the destination. */
	HASH_ITER(hh, s->dests, dest, next_dest)
	for (l = dest->lanes; l != NULL; l = next_lane) {
		next_lane = l->dest_next;
		each(s, l, arg);
	}
}

/* ---- whose turn ---- */

uint32_t
lane_target(const struct lane *l, const struct delivery *d)
{
	return d->n_pending < l->most ? d->n_pending : (uint32_t)l->most;
}

static int64_t
flow_cost(const struct lane *l, const struct flow *f)
{
	return lane_target(l, f->queue);
}

/* Nobody can pay with one turn's worth: all the rounds in which nobody could
 * pass at once. */
static void
skip_rounds(const struct lane *l, struct flow *ring)
{
	int64_t least = INT64_MAX;
	struct flow *f;

	DL_FOREACH(ring, f) {
		int64_t lacks = flow_cost(l, f) - f->deficit;
		int64_t n = lacks <= 0
		    ? 0
		    : (lacks + f->stream->weight - 1) / f->stream->weight;

		if (n < least)
			least = n;
	}
	if (least > 1)
		DL_FOREACH(ring, f)
			f->deficit += (least - 1) * f->stream->weight;
}

/* The flow of this class whose turn it is; the ring is left with it first. */
static struct flow *
class_turn(struct lane *l, enum conf_priority c)
{
	struct flow **ring = &l->classes[c], *f;

	if (*ring == NULL || (*ring)->next == NULL)
		return *ring;
	for (;;) {
		struct flow *last = (*ring)->prev;

		do {
			f = *ring;
			if (f->deficit >= flow_cost(l, f))
				return f;
			DL_DELETE(*ring, f);
			DL_APPEND(*ring, f);
			(*ring)->deficit += (*ring)->stream->weight;
		} while (f != last);
		skip_rounds(l, *ring);
	}
}

struct flow *
lane_pick(struct lane *l)
{
	enum conf_priority first = first_class(l);

	for (enum conf_priority c = first + 1; c < PRIORITY_COUNT; c++) {
		struct flow *f;

		if (l->classes[c] == NULL || !share_is_due(&l->share, c, 1))
			continue;
		f = class_turn(l, c);
		if (share_is_due(&l->share, c, flow_cost(l, f)))
			return f;
	}
	return first < PRIORITY_COUNT ? class_turn(l, first) : NULL;
}

void
lane_serve(struct lane *l, struct flow *f, uint32_t n)
{
	enum conf_priority c = f->stream->priority;
	bool is_waiting[PRIORITY_COUNT];

	for (int i = 0; i < PRIORITY_COUNT; i++)
		is_waiting[i] = l->classes[i] != NULL;
	share_serve(&l->share, is_waiting, c, n);
	f->deficit = l->classes[c]->next == NULL ? 0 : f->deficit - n;
}
