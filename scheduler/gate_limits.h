/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_LIMITS_H
#define FLYBALL_GATE_LIMITS_H

#include "scheduler/gate_row.h"

/* The rows of connections and rates in gate_rows.c. */
#define CONNECTION_FUNCTIONS(whose)                                    \
	int64_t whose##_connections_when(const struct gate_ask *ask);  \
	int64_t whose##_connections_since(const struct gate_ask *ask); \
	void whose##_connections_charge(const struct gate_ask *ask);   \
	void whose##_connections_release(const struct gate_ask *ask);  \
	void whose##_connections_say(const struct gate_ask *ask,       \
	    struct gate_view *view)

CONNECTION_FUNCTIONS(route);
CONNECTION_FUNCTIONS(lane);
#undef CONNECTION_FUNCTIONS

int64_t rate_depth(const struct gate_ask *ask);
int64_t rate_when(const struct gate_ask *ask);
int64_t rate_since(const struct gate_ask *ask);
void rate_charge(const struct gate_ask *ask);
void rate_give_back(const struct gate_ask *ask);
void rate_say(const struct gate_ask *ask, struct gate_view *view);

#endif
