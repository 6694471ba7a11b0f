/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RETRY_H
#define FLYBALL_RETRY_H

#include <stdint.h>

#include "conf/base/rng.h"

/* first_us after the first attempt, factor_permille times as much after each
 * further one, never over max_us. Integers; 2 = 2000 permille. */
int64_t retry_delay(int64_t first_us, int64_t factor_permille, int64_t max_us,
    uint32_t n_attempts);

/* delay_us give or take up to jitter_permille of it, evenly. */
int64_t retry_jitter(struct rng *rng, int64_t delay_us,
    int64_t jitter_permille);

#endif
