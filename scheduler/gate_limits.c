/* SPDX-License-Identifier: ISC */
/*
 * The gates of what is configured: connections of the route and of the lane,
 * and the provider's rates. Rows of gate_rows.c. What adaptation made of them
 * is asked of lane_adapt.c.
 */
#include "scheduler/gate_limits.h"

#include "conf/base/units.h"
#include "scheduler/lane_adapt.h"
#include <assert.h>

/* ---- connections, of the route and of the lane ---- */

int64_t
route_connections_when(const struct gate_ask *ask)
{
	const struct route *r = ask->route;
	unsigned limit = route_connections(r);

	return limit > 0 && r->in_flight >= limit ? INT64_MAX : INT64_MIN;
}

int64_t
route_connections_since(const struct gate_ask *ask)
{
	return ask->route->full_since_us;
}

void
route_connections_charge(const struct gate_ask *ask)
{
	struct route *r = ask->route;

	if (++r->in_flight == route_connections(r))
		r->full_since_us = ask->now_us;
	conn_cap_used(&r->adapt->cap, r->in_flight);
}

void
route_connections_release(const struct gate_ask *ask)
{
	assert(ask->route->in_flight > 0);
	ask->route->in_flight--;
}

static void
connections_say(struct gate_view *view, const char *whose, const char *name,
    unsigned used, unsigned limit, unsigned configured)
{
	if (limit != configured)
		SAY(view,
		    "%s %s uses %u of %u connections, reduced from %u after "
		    "refusals",
		    whose, name, used, limit, configured);
	else if (limit == 0)
		SAY(view, "%s %s uses %u connections, without a limit", whose,
		    name, used);
	else
		SAY(view, "%s %s uses %u of its %u connections%s", whose, name,
		    used, limit,
		    view->is_open ? "" : "; the next one to finish makes room");
}

void
route_connections_say(const struct gate_ask *ask, struct gate_view *view)
{
	connections_say(view, "route", ask->route->name, ask->route->in_flight,
	    route_connections(ask->route), ask->route->connections);
}

int64_t
lane_connections_when(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;
	unsigned limit = lane_connections(l);

	return limit > 0 && l->in_flight >= limit ? INT64_MAX : INT64_MIN;
}

int64_t
lane_connections_since(const struct gate_ask *ask)
{
	return ask->lane->full_since_us;
}

void
lane_connections_charge(const struct gate_ask *ask)
{
	struct lane *l = ask->lane;

	if (++l->in_flight == lane_connections(l))
		l->full_since_us = ask->now_us;
	conn_cap_used(&l->adapt->cap, l->in_flight);
}

void
lane_connections_release(const struct gate_ask *ask)
{
	assert(ask->lane->in_flight > 0);
	ask->lane->in_flight--;
}

void
lane_connections_say(const struct gate_ask *ask, struct gate_view *view)
{
	connections_say(view, "lane", ask->lane->name, ask->lane->in_flight,
	    lane_connections(ask->lane), ask->lane->limits.connections);
}

/* ---- rates ---- */

int64_t
rate_depth(const struct gate_ask *ask)
{
	return bucket_set_depth(&ask->lane->buckets);
}

int64_t
rate_when(const struct gate_ask *ask)
{
	return bucket_set_when(&ask->lane->buckets, ask->n, ask->now_us, NULL);
}

int64_t
rate_since(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;

	return l->gate == GATE_RATE ? l->held_since_us : ask->now_us;
}

void
rate_charge(const struct gate_ask *ask)
{
	bool is_taken =
	    bucket_set_take(&ask->lane->buckets, ask->n, ask->now_us);

	assert(is_taken); /* it was asked just now */
	(void)is_taken;
}

void
rate_give_back(const struct gate_ask *ask)
{
	bucket_set_give_back(&ask->lane->buckets, ask->n, ask->left_us,
	    ask->now_us);
}

static void
rate_say_open(const struct gate_ask *ask, struct gate_view *view)
{
	struct bucket_set *set = &ask->lane->buckets;
	char rate[UNITS_TEXT_SIZE];

	if (set->n == 0)
		SAY(view, "no rate is set for %s", ask->lane->name);
	else
		SAY(view, "%lld could leave now within %s's %s%s",
		    (long long)bucket_set_available(set, ask->now_us),
		    ask->lane->dest->name,
		    units_format_rate(&set->v[0].rate, rate),
		    set->n > 1 ? " and its longer windows" : "");
}

void
rate_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct lane *l = ask->lane;
	char rate[UNITS_TEXT_SIZE], wait[UNITS_TEXT_SIZE], next[48];
	const struct bucket *b;
	int64_t due_us =
	    bucket_set_when(&ask->lane->buckets, ask->n, ask->now_us, &b);

	if (b == NULL) {
		rate_say_open(ask, view);
		return;
	}
	if (ask->n == 1)
		snprintf(next, sizeof(next), "the next recipient may leave");
	else
		snprintf(next, sizeof(next), "the next %lld may leave",
		    (long long)ask->n);
	SAY(view, "%s's rate of %s%s is used up; %s in %s", l->dest->name,
	    units_format_rate(&b->rate, rate),
	    l->overrides[OVERRIDE_RATES] != NULL ? ", set by the operator,"
						 : "",
	    next, gate_span(due_us - ask->now_us, wait));
}
