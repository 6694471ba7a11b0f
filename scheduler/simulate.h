/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SIMULATE_H
#define FLYBALL_SIMULATE_H

#include <stdint.h>

#include "conf/base/err.h"
#include "conf/base/zone.h"
#include "conf/conf.h"

/*
 * A configuration's plan run on a virtual clock: the scheduler that the daemon
 * runs, with so much mail a day, at a provider that takes all of it but a
 * share. Mail arrives evenly while the plan's window is open, and takes this
 * route and those after it, of the stream that prefers it most.
 */
struct simulate {
	const struct conf *conf;
	const struct zone *zone; /* NULL: UTC */
	const char *route;
	const char *provider;
	int64_t demand;		   /* recipients a plan day */
	int64_t n_days;		   /* 1 .. SIMULATE_DAYS_MAX */
	int64_t deferred_permille; /* of the attempts, blaming the lane */
	int64_t start_utc_us;	   /* the first day is the one that holds it */
	uint64_t seed;
};
#define SIMULATE_DAYS_MAX   3650
#define SIMULATE_DEMAND_MAX INT64_C(100000000)

struct simulate_day {
	int64_t day;	    /* from 1 */
	int64_t date;	    /* days since 1970-01-01 */
	int64_t allowed;    /* by plan, guard or rates; INT64_MAX: no limit */
	int64_t sent;	    /* attempted by this route */
	int64_t overflowed; /* left by the stream's other routes */
	int64_t held;	    /* waited when the day ended */
	int64_t stage;	    /* of the plan, from 1; 0 = there is none */
};

/* -1: there is no such route or provider, or a number is out of bounds. */
int simulate_run(const struct simulate *sim,
    void (*each)(const struct simulate_day *day, void *arg), void *arg,
    struct err *err_out);

#endif
