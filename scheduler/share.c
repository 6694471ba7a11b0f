/* SPDX-License-Identifier: ISC */
/*
 * The 5% floor under strict priority. A route shares its connections between
 * lanes by it (cost: one transaction), a lane shares its rate between flows
 * (cost: recipients). Integers only; a class that has nothing waiting earns
 * nothing and keeps nothing, or it would save up for a burst.
 */
#include "scheduler/share.h"

bool
share_is_due(const struct share *share, enum conf_priority c, int64_t cost)
{
	return share->earned[c] >= 100 * cost;
}

void
share_serve(struct share *share, const bool is_waiting[PRIORITY_COUNT],
    enum conf_priority served, int64_t cost)
{
	bool is_first = true;

	for (int c = 0; c < PRIORITY_COUNT; c++) {
		if (!is_waiting[c] || is_first)
			share->earned[c] = 0;
		else
			share->earned[c] += SHARE_FLOOR_PERCENT * cost;
		is_first = is_first && !is_waiting[c];
	}
	if (share->earned[served] >= 100 * cost)
		share->earned[served] -= 100 * cost;
}
