/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_CREDIT_H
#define FLYBALL_GATE_CREDIT_H

#include "scheduler/gate_row.h"

/* The functions of the credit's row in gate_rows.c. */
int64_t credit_when(const struct gate_ask *ask);
int64_t credit_since(const struct gate_ask *ask);
int64_t credit_room(const struct gate_ask *ask);
void credit_charge(const struct gate_ask *ask);
void credit_give_back(const struct gate_ask *ask);
void credit_release(const struct gate_ask *ask);
void credit_say(const struct gate_ask *ask, struct gate_view *view);

#endif
