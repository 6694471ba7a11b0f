/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_PLAN_H
#define FLYBALL_GATE_PLAN_H

#include "scheduler/gate_row.h"

/* The rows of plans, guards, sender domains and lists in gate_rows.c. */
#define GATE_FUNCTIONS(name)                               \
	int64_t name##_when(const struct gate_ask *ask);   \
	int64_t name##_room(const struct gate_ask *ask);   \
	void name##_charge(const struct gate_ask *ask);    \
	void name##_give_back(const struct gate_ask *ask); \
	void name##_say(const struct gate_ask *ask, struct gate_view *view)

GATE_FUNCTIONS(plan);	/* of the lane */
GATE_FUNCTIONS(total);	/* of the route's whole day */
GATE_FUNCTIONS(domain); /* of the sender domain */
#undef GATE_FUNCTIONS
bool plan_overflows(const struct gate_ask *ask);
bool total_overflows(const struct gate_ask *ask);

int64_t guard_when(const struct gate_ask *ask);
int64_t guard_room(const struct gate_ask *ask);
void guard_say(const struct gate_ask *ask, struct gate_view *view);

int64_t sender_when(const struct gate_ask *ask);
int64_t sender_since(const struct gate_ask *ask);
const char *sender_because(const struct gate_ask *ask);
void sender_say(const struct gate_ask *ask, struct gate_view *view);

int64_t list_when(const struct gate_ask *ask);
int64_t list_since(const struct gate_ask *ask);
const char *list_because(const struct gate_ask *ask);
void list_say(const struct gate_ask *ask, struct gate_view *view);

/* Since the lane waits at a gate of its quota. */
int64_t quota_since(const struct gate_ask *ask);

#endif
