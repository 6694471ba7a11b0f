/* SPDX-License-Identifier: ISC */
/*
 * The gates there are. Whoever adds one adds a row to the table at the end,
 * with its functions above or in a gate_*.c of its own, and nothing else:
 * gate.c does the rest. A row only answers; it never sees or changes a queue,
 * and charges only when all gates were found open.
 *
 * Each row also has the words with which `why` explains it to a postmaster.
 * There is no clock here, so it speaks of spans: "in 4m", not "at 14:05".
 */
#include "scheduler/gate_row.h"

#include "conf/base/units.h"
#include "scheduler/gate_adapt.h"
#include "scheduler/gate_credit.h"
#include "scheduler/gate_lease.h"
#include "scheduler/gate_limits.h"
#include "scheduler/gate_pause.h"
#include "scheduler/gate_plan.h"

/* ---- words ---- */

const char *
gate_span(int64_t us, char out[UNITS_TEXT_SIZE])
{
	int64_t step_us = us < 10000000 ? 1000 : 1000000;

	if (us < 0)
		us = 0;
	return units_format_duration((us + step_us - 1) / step_us * step_us,
	    out);
}

/* ---- the next hop ---- */

static bool
is_probed(const struct route *r)
{
	return r->down.n_failed > 0 && !r->down.is_down;
}

static int64_t
next_hop_when(const struct gate_ask *ask)
{
	const struct route *r = ask->route;

	if (r->down.is_down)
		return r->down.until_us;
	return is_probed(r) && r->in_flight > 0 ? INT64_MAX : INT64_MIN;
}

static int64_t
next_hop_since(const struct gate_ask *ask)
{
	return ask->route->down.since_us;
}

static const char *
next_hop_because(const struct gate_ask *ask)
{
	return ask->route->down.why != NULL ? ask->route->down.why : "";
}

static void
next_hop_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct route *r = ask->route;
	const char *hop = r->conf != NULL ? r->conf->next_hop.text : "its hop";
	char text[UNITS_TEXT_SIZE];

	if (r->down.is_down)
		SAY(view,
		    "%s of route %s can't be reached; tried again in %s"
		    "%s%s",
		    hop, r->name,
		    gate_span(r->down.until_us - ask->now_us, text),
		    r->down.why[0] ? ": " : "", r->down.why);
	else if (is_probed(r))
		SAY(view,
		    "%s of route %s failed %u times in a row; one "
		    "message tries it%s%s",
		    hop, r->name, r->down.n_failed, r->down.why[0] ? ": " : "",
		    r->down.why);
	else
		SAY(view, "%s of route %s works", hop, r->name);
}

/* ---- the delivery's own time ---- */

static int64_t
retry_first(const struct lane *l, uint64_t *n_queued, uint64_t *n_deferred)
{
	int64_t first_us = INT64_MAX;
	struct flow *f;

	*n_queued = *n_deferred = 0;
	DL_FOREACH2(l->dest->flows, f, dest_next)
	{
		if (f->lane != l)
			continue;
		*n_queued += f->n_queued;
		*n_deferred += f->retries.n;
		if (flow_retry_us(f) < first_us)
			first_us = flow_retry_us(f);
	}
	return first_us;
}

/* It holds the lane when all that the lane has was deferred. */
static int64_t
retry_when(const struct gate_ask *ask)
{
	uint64_t n_queued, n_deferred;
	int64_t first_us = retry_first(ask->lane, &n_queued, &n_deferred);

	return n_queued == 0 && n_deferred > 0 ? first_us : INT64_MIN;
}

static int64_t
retry_since(const struct gate_ask *ask)
{
	return ask->lane->stats.last_refusal_us;
}

static void
retry_say(const struct gate_ask *ask, struct gate_view *view)
{
	uint64_t n_queued, n_deferred;
	int64_t first_us = retry_first(ask->lane, &n_queued, &n_deferred);
	char text[UNITS_TEXT_SIZE];

	if (n_deferred == 0)
		SAY(view, "no message waits for its retry");
	else
		SAY(view, "%llu deferred, the first is tried again in %s",
		    (unsigned long long)n_deferred,
		    gate_span(first_us - ask->now_us, text));
}

/* ---- the table ---- */

const struct gate_row gate_rows[] = {
	{
	    .gate = GATE_PAUSE,
	    .scope = SCOPE_ROUTE,
	    .overflows = true,
	    .when = route_pause_when,
	    .since = route_pause_since,
	    .because = route_pause_because,
	    .say = route_pause_say,
	},
	{
	    .gate = GATE_NEXT_HOP,
	    .scope = SCOPE_ROUTE,
	    .overflows = true,
	    .when = next_hop_when,
	    .since = next_hop_since,
	    .because = next_hop_because,
	    .say = next_hop_say,
	},
	{
	    .gate = GATE_ROUTE_CONNECTIONS,
	    .scope = SCOPE_ROUTE,
	    .when = route_connections_when,
	    .since = route_connections_since,
	    .charge = route_connections_charge,
	    .release = route_connections_release,
	    .say = route_connections_say,
	},
	{
	    .gate = GATE_PAUSE,
	    .scope = SCOPE_LANE,
	    .overflows = true,
	    .when = lane_pause_when,
	    .since = lane_pause_since,
	    .because = lane_pause_because,
	    .say = lane_pause_say,
	},
	{
	    .gate = GATE_PAUSE,
	    .scope = SCOPE_LANE,
	    .when = provider_pause_when,
	    .since = provider_pause_since,
	    .because = provider_pause_because,
	    .say = provider_pause_say,
	},
	{
	    .gate = GATE_SUSPENDED,
	    .scope = SCOPE_LANE,
	    .overflows = true,
	    .overflows_now = suspended_overflows,
	    .when = suspended_when,
	    .since = suspended_since,
	    .because = suspended_because,
	    .release = suspended_release,
	    .say = suspended_say,
	},
	{
	    .gate = GATE_CONNECTIONS,
	    .scope = SCOPE_LANE,
	    .when = lane_connections_when,
	    .since = lane_connections_since,
	    .charge = lane_connections_charge,
	    .release = lane_connections_release,
	    .say = lane_connections_say,
	},
	{
	    .gate = GATE_CREDIT,
	    .scope = SCOPE_LANE,
	    .when = credit_when,
	    .since = credit_since,
	    .room = credit_room,
	    .charge = credit_charge,
	    .give_back = credit_give_back,
	    .release = credit_release,
	    .say = credit_say,
	},
	{
	    .gate = GATE_RATE,
	    .scope = SCOPE_LANE,
	    .depth = rate_depth,
	    .when = rate_when,
	    .since = rate_since,
	    .charge = rate_charge,
	    .give_back = rate_give_back,
	    .say = rate_say,
	},
	{
	    .gate = GATE_ADAPTED,
	    .scope = SCOPE_LANE,
	    .depth = adapted_depth,
	    .when = adapted_when,
	    .since = adapted_since,
	    .charge = adapted_charge,
	    .give_back = adapted_give_back,
	    .release = suspended_release,
	    .say = adapted_say,
	},
	{
	    .gate = GATE_SPIKE_GUARD,
	    .scope = SCOPE_LANE,
	    .when = guard_when,
	    .since = quota_since,
	    .room = guard_room,
	    .say = guard_say,
	},
	{
	    .gate = GATE_PLAN,
	    .scope = SCOPE_LANE,
	    .overflows = true,
	    .overflows_now = total_overflows,
	    .when = total_when,
	    .since = quota_since,
	    .room = total_room,
	    .charge = total_charge,
	    .give_back = total_give_back,
	    .say = total_say,
	},
	{
	    .gate = GATE_PLAN,
	    .scope = SCOPE_LANE,
	    .overflows = true,
	    .overflows_now = plan_overflows,
	    .when = plan_when,
	    .since = quota_since,
	    .room = plan_room,
	    .charge = plan_charge,
	    .give_back = plan_give_back,
	    .say = plan_say,
	},
	{
	    .gate = GATE_SENDER_PLAN,
	    .scope = SCOPE_FLOW,
	    .when = domain_when,
	    .since = quota_since,
	    .room = domain_room,
	    .charge = domain_charge,
	    .give_back = domain_give_back,
	    .say = domain_say,
	},
	{
	    .gate = GATE_SENDER,
	    .scope = SCOPE_FLOW,
	    .when = sender_when,
	    .since = sender_since,
	    .because = sender_because,
	    .say = sender_say,
	},
	{
	    .gate = GATE_LIST_HEALTH,
	    .scope = SCOPE_FLOW,
	    .when = list_when,
	    .since = list_since,
	    .because = list_because,
	    .say = list_say,
	},
	{
	    .gate = GATE_PAUSE,
	    .scope = SCOPE_FLOW,
	    .when = stream_pause_when,
	    .since = stream_pause_since,
	    .because = stream_pause_because,
	    .say = stream_pause_say,
	},
	{
	    .gate = GATE_RETRY,
	    .scope = SCOPE_DELIVERY,
	    .when = retry_when,
	    .since = retry_since,
	    .say = retry_say,
	},
	{
	    .gate = GATE_LEASE,
	    .scope = SCOPE_LEASE,
	    .when = lane_lease_when,
	    .since = lease_since,
	    .room = lane_lease_room,
	    .charge = lane_lease_charge,
	    .give_back = lane_lease_give_back,
	    .say = lane_lease_say,
	},
	{
	    .gate = GATE_LEASE,
	    .scope = SCOPE_LEASE,
	    .when = total_lease_when,
	    .since = lease_since,
	    .room = total_lease_room,
	    .charge = total_lease_charge,
	    .give_back = total_lease_give_back,
	    .say = total_lease_say,
	},
	{
	    .gate = GATE_LEASE,
	    .scope = SCOPE_FLOW,
	    .when = domain_lease_when,
	    .since = lease_since,
	    .room = domain_lease_room,
	    .charge = domain_lease_charge,
	    .give_back = domain_lease_give_back,
	    .say = domain_lease_say,
	},
};
const size_t n_gate_rows = sizeof(gate_rows) / sizeof(gate_rows[0]);
