/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RATE_LIMITER_H
#define FLYBALL_RATE_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/units.h"

/*
 * How many recipients a user may submit: one token bucket for each name.
 * Unlike a lane's, it is as deep as the rate's count, since a user hands over
 * in one go what is then sent slowly; so after a rest up to twice the count
 * can come within one window. Shared by all I/O workers; guards itself.
 */
struct rate_limiter;

/* Names that are remembered; beyond, the one that was idle longest goes. */
#define RATE_LIMITER_NAMES_MAX 65536

struct rate_limiter *rate_limiter_new(void);
void rate_limiter_free(struct rate_limiter *l);

/*
 * Takes n recipients from the user's bucket, or nothing and says false. A rate
 * that changed since keeps what was spent. More than the rate's count at once
 * is never given.
 */
bool rate_limiter_take(struct rate_limiter *l, const char *name,
    const struct rate *rate, unsigned n, int64_t now_us);

size_t rate_limiter_n_names(struct rate_limiter *l);

#endif
