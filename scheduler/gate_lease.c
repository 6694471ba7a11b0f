/* SPDX-License-Identifier: ISC */
/*
 * The gate of what is shared with other nodes: it is open while this node has
 * been granted enough, of each limit that mail would use up. Rows of
 * gate_rows.c; leases.c has what was granted.
 *
 * The subtle rule: a lease is asked for only when nothing else holds the mail.
 * Else a lane that is shut for hours would take from those who can send.
 */
#include "scheduler/gate_lease.h"

#include "scheduler/gate_plan.h"
#include "scheduler/leases.h"
#include "scheduler/sender.h"

static struct lease_entry *
lease_of_lane(const struct gate_ask *ask)
{
	return ask->lane->lease;
}

static struct lease_entry *
lease_of_total(const struct gate_ask *ask)
{
	return lease_of_quota(ask->s, ask->route->total);
}

static struct lease_entry *
lease_of_domain(const struct gate_ask *ask)
{
	const struct flow *f = ask->flow;

	return f != NULL && f->gate != NULL
	    ? lease_of_quota(f->gate->s, f->gate->quota)
	    : NULL;
}

/* Who only looks is told what holds those that wait now. */
static bool
is_look(const struct gate_ask *ask)
{
	return ask->flow == NULL && ask->lane->gate != GATE_LEASE;
}

static int64_t
entry_when(const struct gate_ask *ask, struct lease_entry *e)
{
	int64_t when_us;

	if (e == NULL || is_look(ask))
		return INT64_MIN;
	lease_entry_day(e);
	when_us = lease_when(&e->lease, ask->n, ask->now_us);
	if (ask->s->cluster.grants == GRANTS_NOTHING &&
	    !lease_is_valid(&e->lease, ask->now_us))
		return INT64_MAX;
	return when_us;
}

static int64_t
entry_room(const struct gate_ask *ask, struct lease_entry *e)
{
	return e != NULL ? lease_room(&e->lease, ask->now_us) : INT64_MAX;
}

static void
entry_charge(const struct gate_ask *ask, struct lease_entry *e)
{
	if (e != NULL)
		lease_charge(&e->lease, ask->n, ask->now_us);
}

static void
entry_give_back(const struct gate_ask *ask, struct lease_entry *e)
{
	int64_t left_utc_us = ask->left_us + ask->s->utc_offset_us;

	if (e == NULL)
		return;
	lease_give_back(&e->lease, ask->n, ask->left_us,
	    e->quota == NULL || quota_is_today(&e->quota->quota, left_utc_us),
	    ask->now_us);
}

int64_t
lease_since(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;

	return l->gate == GATE_LEASE ? l->held_since_us : ask->now_us;
}

static void
entry_say(const struct gate_ask *ask, struct lease_entry *e,
    struct gate_view *view)
{
	struct lease_view v = { 0 };
	const char *name;

	if (e == NULL)
		return; /* nothing is shared: nothing worth a line */
	name = e->key;
	v.n_held = lease_held(&e->lease, ask->now_us);
	switch (ask->s->cluster.grants) {
	case GRANTS_ALONE:
		break;
	case GRANTS_ASKED:
		if (view->is_open)
			SAY(view,
			    "%s is shared with other nodes; %lld could "
			    "leave from here now",
			    name, (long long)v.n_held);
		else
			SAY(view,
			    "%s is shared with other nodes, and what "
			    "this one was granted is used up; it has asked "
			    "for more",
			    name);
		break;
	case GRANTS_PARTS:
		SAY(view,
		    "Redis can't be reached: of %s this node takes its part "
		    "of 1/%u%s",
		    name, ask->s->cluster.n_nodes,
		    lease_day_get(&e->lease) != NULL
			? ", and of the day's count what it has in hand"
			: "");
		break;
	case GRANTS_NOTHING:
		SAY(view,
		    "Redis can't be reached: %s waits for it, as more can't "
		    "be granted",
		    name);
		break;
	}
}

/* One set of row functions for each subject. */
#define LEASE_ROW_FUNCTIONS(subject)                               \
	int64_t subject##_lease_room(const struct gate_ask *ask)   \
	{                                                          \
		return entry_room(ask, lease_of_##subject(ask));   \
	}                                                          \
	void subject##_lease_charge(const struct gate_ask *ask)    \
	{                                                          \
		entry_charge(ask, lease_of_##subject(ask));        \
	}                                                          \
	void subject##_lease_give_back(const struct gate_ask *ask) \
	{                                                          \
		entry_give_back(ask, lease_of_##subject(ask));     \
	}                                                          \
	void subject##_lease_say(const struct gate_ask *ask,       \
	    struct gate_view *view)                                \
	{                                                          \
		entry_say(ask, lease_of_##subject(ask), view);     \
	}
LEASE_ROW_FUNCTIONS(lane)
LEASE_ROW_FUNCTIONS(total)
LEASE_ROW_FUNCTIONS(domain)

int64_t
lane_lease_when(const struct gate_ask *ask)
{
	return entry_when(ask, lease_of_lane(ask));
}

int64_t
total_lease_when(const struct gate_ask *ask)
{
	return entry_when(ask, lease_of_total(ask));
}

/* Not before the domain's own gates are open. */
int64_t
domain_lease_when(const struct gate_ask *ask)
{
	struct lease_entry *e = lease_of_domain(ask);

	if (e == NULL || domain_when(ask) > ask->now_us ||
	    sender_when(ask) > ask->now_us)
		return INT64_MIN;
	return entry_when(ask, e);
}

static int64_t
want(const struct gate_ask *ask, struct lease_entry *e, int64_t last_us)
{
	int64_t when_us = entry_when(ask, e);

	if (when_us <= ask->now_us)
		return last_us;
	lease_entry_want(e);
	return when_us > last_us ? when_us : last_us;
}

int64_t
gates_lease(const struct gate_ask *ask)
{
	int64_t last_us = ask->now_us;

	if (ask->s->cluster.grants == GRANTS_ALONE)
		return last_us;
	last_us = want(ask, lease_of_lane(ask), last_us);
	return want(ask, lease_of_total(ask), last_us);
}

void
gates_lease_flow(struct flow *f)
{
	if (f->gate != NULL && f->gate->quota != NULL &&
	    f->gate->quota->lease != NULL)
		lease_entry_want(f->gate->quota->lease);
}
