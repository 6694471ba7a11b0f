/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_ADAPT_H
#define FLYBALL_GATE_ADAPT_H

#include "scheduler/gate_row.h"

/* The functions of the two adaptive rows in gate_rows.c. */
int64_t adapted_depth(const struct gate_ask *ask);
int64_t adapted_when(const struct gate_ask *ask);
int64_t adapted_since(const struct gate_ask *ask);
void adapted_charge(const struct gate_ask *ask);
void adapted_give_back(const struct gate_ask *ask);
void adapted_say(const struct gate_ask *ask, struct gate_view *view);

int64_t suspended_when(const struct gate_ask *ask);
bool suspended_overflows(const struct gate_ask *ask);
int64_t suspended_since(const struct gate_ask *ask);
const char *suspended_because(const struct gate_ask *ask);
/* Nothing comes back, but one that waits for another is woken. */
void suspended_release(const struct gate_ask *ask);
void suspended_say(const struct gate_ask *ask, struct gate_view *view);

#endif
