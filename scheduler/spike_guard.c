/* SPDX-License-Identifier: ISC */
/*
 * The spike guard: a lane's day measured against its own history. It has no
 * plan and no end; it only asks the ledger. The scheduler's gate charges and
 * compares. Today never counts towards its own peak, or each hour would allow
 * the next one more.
 */
#include "scheduler/spike_guard.h"

int64_t
spike_guard_cap(const struct conf_spike_guard *guard,
    const struct ledger *ledger, int64_t day, int64_t day_us, int64_t *peak_out)
{
	int64_t n_days = (guard->window_us + day_us - 1) / day_us;
	int64_t peak =
	    ledger_peak(ledger, day - n_days, day - 1, LEDGER_CHARGED);
	/* A peak is at most 2^32, so this is far from overflow for any ratio
	 * that the configuration takes. */
	int64_t cap = peak * guard->ratio_permille / 1000;

	if (peak_out != 0)
		*peak_out = peak;
	if (!guard->is_given)
		return INT64_MAX;
	return cap > guard->floor ? cap : guard->floor;
}
