/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FORECAST_H
#define FLYBALL_FORECAST_H

#include <stdint.h>

#include "conf/base/units.h"
#include "scheduler/warmup.h"

/*
 * When what waits will have left, if days go well and nothing more comes.
 * Instants are UTC.
 */
#define FORECAST_DAYS 400

struct forecast {
	int64_t n;		   /* recipients that wait */
	int64_t utc_us;		   /* now */
	int64_t opens_us;	   /* a pause ends; <= now: it is open */
	struct rate rate;	   /* the slowest that holds; unlimited */
	const struct warmup *plan; /* NULL: none */
};

/* INT64_MAX: not within FORECAST_DAYS days, or never. n_days_out (may be
 * NULL): plan days that it takes, today included; 0 without a plan. */
int64_t forecast_done(const struct forecast *f, int64_t *n_days_out);

#endif
