/* SPDX-License-Identifier: ISC */
/*
 * What a world is like, drawn from the simulation's seed. Called by the
 * situations and by the season; knows nothing of what is made of it.
 */
#include "tests/sim/draw.h"

#include <math.h>

double
draw_even(struct sim *sim, double from, double to)
{
	return sim_uniform(&sim->rng, from, to);
}

double
draw_log(struct sim *sim, double from, double to)
{
	return exp(draw_even(sim, log(from), log(to)));
}

struct provider_spec
draw_spec(struct sim *sim, const char *name, double rate)
{
	static const enum provider_phase phases[] = { PROVIDER_MAIL,
		PROVIDER_RCPT, PROVIDER_EOD };
	struct provider_spec spec;

	provider_spec_init(&spec, name);
	spec.rate = rate;
	if (isfinite(rate))
		spec.burst = fmax(2, rate * draw_log(sim, 0.05, 1));
	spec.rate_phase = phases[rng_below(&sim->rng, 3)];
	spec.latency.min_us = 2000;
	spec.latency.mean_us = (int64_t)draw_even(sim, 5000, 25000);
	spec.latency.max_us = 200000;
	return spec;
}

double
draw_ceiling(struct sim *sim, double rate)
{
	return rate * draw_log(sim, 3, 8);
}
