/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RNG_H
#define FLYBALL_RNG_H

#include <stdint.h>

/*
 * A small seeded generator (splitmix64, Steele et al. 2014) for jitter,
 * simulations and property tests. The same seed gives the same run. Never for
 * secrets: those come from getrandom(2).
 */
struct rng {
	uint64_t state;
};

static inline uint64_t
rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform enough in [0, below); below must not be 0. */
static inline uint64_t
rng_below(struct rng *r, uint64_t below)
{
	return rng_next(r) % below;
}

#endif
