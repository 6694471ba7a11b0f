/* SPDX-License-Identifier: ISC */
/*
 * When to try again: delays that grow by a factor up to a bound, and jitter so
 * that what failed together doesn't return together. Deliveries (spool.retry)
 * and routes (backoff) wait by the same rule. The generator is the
 * scheduler's: the same seed replays the same run.
 */
#include "scheduler/retry.h"

int64_t
retry_delay(int64_t first_us, int64_t factor_permille, int64_t max_us,
    uint32_t n_attempts)
{
	int64_t delay_us = first_us < max_us ? first_us : max_us;

	if (factor_permille <= 1000)
		return delay_us;
	for (uint32_t i = 1; i < n_attempts && delay_us < max_us; i++) {
		__int128 next_us = (__int128)delay_us * factor_permille / 1000;

		if (next_us == delay_us)
			break; /* too small for the factor to show */
		delay_us = next_us < max_us ? (int64_t)next_us : max_us;
	}
	return delay_us;
}

int64_t
retry_jitter(struct rng *rng, int64_t delay_us, int64_t jitter_permille)
{
	__int128 spread_us = (__int128)delay_us * jitter_permille / 1000;

	if (spread_us <= 0)
		return delay_us;
	return delay_us - (int64_t)spread_us +
	    (int64_t)rng_below(rng, 2 * (uint64_t)spread_us + 1);
}
