/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LEASE_PRIVATE_H
#define FLYBALL_LEASE_PRIVATE_H

#include "scheduler/lease.h"

/* What lease.c and lease_calls.c share. */
#define LEASE_NEVER INT64_MIN

/* Forgets what was used more than a window ago. */
void lease_slices_turn(struct lease_item *it, int64_t now_us);

#endif
