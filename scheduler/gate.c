/* SPDX-License-Identifier: ISC */
/*
 * Gates: all that must agree before a delivery leaves. All are asked first,
 * then charged together, so none is ever charged for mail that another one
 * holds. The rows are in gate_rows.c.
 *
 * A lane that waits at a gate is woken here when something comes back to that
 * gate. While a gate that overflows is shut, flows go to their stream's next
 * route (flow.c asks for that).
 */
#include "scheduler/gate_row.h"

#include <stdio.h>

static const char *const names[GATE_COUNT] = {
	[GATE_NONE] = "none",
	[GATE_RATE] = "rate",
	[GATE_CONNECTIONS] = "connections",
	[GATE_ROUTE_CONNECTIONS] = "route-connections",
	[GATE_PAUSE] = "pause",
	[GATE_NEXT_HOP] = "next-hop",
	[GATE_RETRY] = "retry",
	[GATE_ADAPTED] = "adapted",
	[GATE_SUSPENDED] = "suspended",
	[GATE_PLAN] = "plan",
	[GATE_SENDER_PLAN] = "sender-plan",
	[GATE_SPIKE_GUARD] = "spike-guard",
	[GATE_SENDER] = "sender",
	[GATE_LIST_HEALTH] = "list-health",
	[GATE_CREDIT] = "credit",
	[GATE_LEASE] = "lease",
};

const char *
gate_name(enum gate g)
{
	return g < GATE_COUNT ? names[g] : "unknown";
}

/* ---- verbs ---- */

int64_t
gates_when(const struct gate_ask *ask, unsigned scopes, enum gate *gate_out)
{
	int64_t last_us = ask->now_us;

	*gate_out = GATE_NONE;
	for (size_t i = 0; i < n_gate_rows; i++) {
		int64_t when_us;

		if ((gate_rows[i].scope & scopes) == 0)
			continue;
		when_us = gate_rows[i].when(ask);
		if (when_us <= last_us)
			continue;
		last_us = when_us;
		*gate_out = gate_rows[i].gate;
	}
	return last_us;
}

struct gate_hold
gates_hold(const struct gate_ask *ask)
{
	struct gate_hold hold = { .until_us = ask->now_us, .because = "" };

	for (size_t i = 0; i < n_gate_rows; i++) {
		int64_t when_us = gate_rows[i].when(ask);

		if (when_us <= hold.until_us)
			continue;
		hold.until_us = when_us;
		hold.gate = gate_rows[i].gate;
		hold.since_us = gate_rows[i].since(ask);
		hold.because = gate_rows[i].because != NULL
		    ? gate_rows[i].because(ask)
		    : "";
	}
	return hold;
}

bool
gates_overflow(const struct gate_ask *ask, unsigned scopes)
{
	for (size_t i = 0; i < n_gate_rows; i++)
		if (gate_rows[i].overflows &&
		    (gate_rows[i].scope & scopes) != 0 &&
		    (gate_rows[i].overflows_now != NULL
			    ? gate_rows[i].overflows_now(ask)
			    : gate_rows[i].when(ask) > ask->now_us))
			return true;
	return false;
}

int64_t
gates_room(const struct gate_ask *ask)
{
	int64_t least = ask->n;

	for (size_t i = 0; i < n_gate_rows; i++) {
		int64_t room;

		if (gate_rows[i].room == NULL)
			continue;
		room = gate_rows[i].room(ask);
		if (room < least)
			least = room;
	}
	return least > 0 ? least : 1;
}

void
gates_charge(const struct gate_ask *ask)
{
	for (size_t i = 0; i < n_gate_rows; i++)
		if (gate_rows[i].charge != NULL)
			gate_rows[i].charge(ask);
}

static void
wake_if_held(const struct gate_ask *ask, enum gate gate)
{
	if (ask->lane->gate == gate)
		lane_wake(ask->s, ask->lane);
}

void
gates_give_back(const struct gate_ask *ask)
{
	for (size_t i = 0; i < n_gate_rows; i++) {
		if (gate_rows[i].give_back == NULL)
			continue;
		gate_rows[i].give_back(ask);
		wake_if_held(ask, gate_rows[i].gate);
	}
}

void
gates_release(const struct gate_ask *ask)
{
	for (size_t i = 0; i < n_gate_rows; i++) {
		if (gate_rows[i].release == NULL)
			continue;
		gate_rows[i].release(ask);
		wake_if_held(ask, gate_rows[i].gate);
	}
}

int64_t
gates_depth(const struct gate_ask *ask)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < n_gate_rows; i++) {
		int64_t depth;

		if (gate_rows[i].depth == NULL)
			continue;
		depth = gate_rows[i].depth(ask);
		if (depth < least)
			least = depth;
	}
	return least;
}

static void
look_row(const struct gate_row *row, const struct gate_ask *ask,
    struct gate_view *view)
{
	int64_t when_us = row->when(ask);
	bool is_open = when_us <= ask->now_us;

	/* Rows of one gate share a view: the one that holds longest speaks. */
	if (view->text[0] != '\0' && (is_open || when_us <= view->until_us))
		return;
	view->gate = row->gate;
	view->is_open = is_open;
	view->until_us = is_open ? ask->now_us : when_us;
	view->since_us = is_open ? 0 : row->since(ask);
	row->say(ask, view);
}

size_t
gates_look(const struct gate_ask *ask, struct gate_view out[GATE_COUNT])
{
	struct gate_view by_gate[GATE_COUNT] = { 0 };
	enum gate holding = GATE_NONE;
	size_t n = 0;

	for (size_t i = 0; i < n_gate_rows; i++)
		look_row(&gate_rows[i], ask, &by_gate[gate_rows[i].gate]);
	for (enum gate g = 0; g < GATE_COUNT; g++)
		if (by_gate[g].text[0] != '\0' && !by_gate[g].is_open &&
		    (holding == GATE_NONE ||
			by_gate[g].until_us > by_gate[holding].until_us))
			holding = g;
	if (holding != GATE_NONE)
		out[n++] = by_gate[holding];
	for (enum gate g = 0; g < GATE_COUNT; g++)
		if (g != holding && by_gate[g].text[0] != '\0')
			out[n++] = by_gate[g];
	return n;
}
