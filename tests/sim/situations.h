/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SITUATIONS_H
#define FLYBALL_SITUATIONS_H

#include "tests/sim/sim.h"

/*
 * The situations in which a governor shows what it is worth, each a minute of
 * rehearsal times. All numbers in them (limits, bursts, ceilings, latencies,
 * moments) are drawn from the seed within stated ranges.
 */
struct outcome {
	double goodput;	     /* accepted by what an all-knowing sender has */
	double violations;   /* refusals for speed or standing by attempts */
	double quality;	     /* goodput x (1 - violations) */
	double extra;	     /* what else the situation asks, see its row */
	unsigned n_rejected; /* 554s for standing, after the first seconds */
};

struct situation {
	const char *name;
	/* Goals, for medians over seeds: */
	double quality;
	double reached;	   /* where less than that is reached so far; else 0 */
	double violations; /* 1: none set */
	double extra;	   /* at least; 0: none */
	const char *extra_name; /* what it is */
	bool is_554_free;
	void (*run)(const struct situation *st, uint64_t seed,
	    struct outcome *out);
	void (*on_change)(struct sim *sim, const struct sched_change *c);
};

extern const struct situation situations[];
extern const size_t n_situations;

#endif
