/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_LEASE_H
#define FLYBALL_GATE_LEASE_H

#include "scheduler/gate_row.h"

/* The rows of limits that are shared among nodes, in gate_rows.c. */
#define GATE_FUNCTIONS(name)                               \
	int64_t name##_when(const struct gate_ask *ask);   \
	int64_t name##_room(const struct gate_ask *ask);   \
	void name##_charge(const struct gate_ask *ask);    \
	void name##_give_back(const struct gate_ask *ask); \
	void name##_say(const struct gate_ask *ask, struct gate_view *view)

GATE_FUNCTIONS(lane_lease);   /* its windows, and its day */
GATE_FUNCTIONS(total_lease);  /* the route's whole day */
GATE_FUNCTIONS(domain_lease); /* the sender domain's day; holds a flow */
#undef GATE_FUNCTIONS

int64_t lease_since(const struct gate_ask *ask);
/* All other gates of this lane are open: is the lease, and if not, from when?
 * Then it is asked for. */
int64_t gates_lease(const struct gate_ask *ask);
/* Mail of this flow waits for its domain's. */
void gates_lease_flow(struct flow *f);

#endif
