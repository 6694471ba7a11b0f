/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SHARE_H
#define FLYBALL_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * Strict priority with a floor: the highest class that waits is served, but
 * each lower class that waits earns 5% of all that is served, and when it has
 * earned what its next one costs, it goes first. So nobody starves.
 */
#define SHARE_FLOOR_PERCENT 5

struct share {
	int64_t earned[PRIORITY_COUNT]; /* hundredths */
};

/* Has this class, which isn't the highest that waits, earned `cost`? */
bool share_is_due(const struct share *share, enum conf_priority c,
    int64_t cost);
/* `cost` was served to `served`; is_waiting: who waited then, it included. */
void share_serve(struct share *share, const bool is_waiting[PRIORITY_COUNT],
    enum conf_priority served, int64_t cost);

#endif
