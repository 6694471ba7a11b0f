/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPIKE_GUARD_H
#define FLYBALL_SPIKE_GUARD_H

#include <stdint.h>

#include "conf/conf.h"
#include "scheduler/ledger.h"

/*
 * The most recipients that a lane may send on `day`: ratio times the greatest
 * day of the window before it, or `floor` where that is more. INT64_MAX: there
 * is no guard. peak_out (may be NULL): that greatest day's count.
 */
int64_t spike_guard_cap(const struct conf_spike_guard *guard,
    const struct ledger *ledger, int64_t day, int64_t day_us,
    int64_t *peak_out);

#endif
