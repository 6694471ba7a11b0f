/* SPDX-License-Identifier: ISC */
/*
 * A provider's spec read at an instant: steps and ramps of the rate, outages,
 * days. Called by the model and by standing.c; remembers nothing.
 */
#include "tests/provider/spec.h"

#include <math.h>
#include <stdio.h>

#include "tests/provider/voice.h"

/* A ramp is followed in steps of this, trust while it grows in steps of that. */
#define RAMP_SLICE_US  100000
#define TRUST_SLICE_US 1000000

void
provider_spec_init(struct provider_spec *spec, const char *name)
{
	*spec = (struct provider_spec){
		.voice = voice_at(0),
		.rate = INFINITY,
		.rate_phase = PROVIDER_PHASES,
		.day_us = 86400 * INT64_C(1000000),
		.day_limit = INFINITY,
		.tolerance = { .start = INFINITY,
		    .floor = 0,
		    .max = INFINITY,
		    .growth = 1.5,
		    .shrink = 0.7,
		    .decay = 0.8,
		    .used_well = 0.7,
		    .abuse = 0.05,
		    .patience = 0.2 },
		.reputation = { .start = 0.7,
		    .loss = 0.01,
		    .gain = 0.02,
		    .floor = 0.05,
		    .reject_below = 0.4,
		    .steady_us = 2000000 },
		.demand = INFINITY,
	};
	snprintf(spec->name, sizeof(spec->name), "%s", name);
}

static int64_t
step_time(const struct provider_spec *spec, int64_t at_us)
{
	return spec->steps_period_us > 0 ? at_us % spec->steps_period_us
					 : at_us;
}

/* The number of steps that began by then. */
static unsigned
steps_begun(const struct provider_spec *spec, int64_t t_us)
{
	unsigned n = 0;

	while (n < spec->n_steps && spec->steps[n].at_us <= t_us)
		n++;
	return n;
}

double
spec_factor(const struct provider_spec *spec, int64_t at_us)
{
	int64_t t_us = step_time(spec, at_us);
	unsigned i = steps_begun(spec, t_us);
	int64_t from_us = i > 0 ? spec->steps[i - 1].at_us : 0;
	double from = i > 0 ? spec->steps[i - 1].factor : 1;

	if (!spec->is_ramp || i == spec->n_steps)
		return from;
	return from +
	    (spec->steps[i].factor - from) * (double)(t_us - from_us) /
	    (double)(spec->steps[i].at_us - from_us);
}

static int64_t
next_step(const struct provider_spec *spec, int64_t at_us)
{
	int64_t t_us = step_time(spec, at_us);
	unsigned i = steps_begun(spec, t_us);
	int64_t next_us = INT64_MAX;

	if (i < spec->n_steps)
		next_us = at_us + (spec->steps[i].at_us - t_us);
	else if (spec->n_steps > 0 && spec->steps_period_us > 0)
		next_us = at_us + (spec->steps_period_us - t_us);
	if (spec->is_ramp && next_us - at_us > RAMP_SLICE_US &&
	    i < spec->n_steps)
		next_us = at_us + RAMP_SLICE_US;
	return next_us;
}

int
spec_outage_at(const struct provider_spec *spec, int64_t at_us)
{
	for (unsigned i = 0; i < spec->n_outages; i++)
		if (at_us >= spec->outages[i].from_us &&
		    at_us < spec->outages[i].to_us)
			return spec->outages[i].how;
	return -1;
}

int64_t
spec_next_edge(const struct provider_spec *spec, int64_t at_us)
{
	int64_t edge_us = next_step(spec, at_us);
	int64_t day_us = (at_us / spec->day_us + 1) * spec->day_us;

	if (day_us < edge_us)
		edge_us = day_us;
	/* Trust grows while time goes by, and the rate with it. */
	if (spec->reputation.is_on && edge_us - at_us > TRUST_SLICE_US)
		edge_us = at_us + TRUST_SLICE_US;
	for (unsigned i = 0; i < spec->n_outages; i++) {
		int64_t from_us = spec->outages[i].from_us;
		int64_t to_us = spec->outages[i].to_us;

		if (from_us > at_us && from_us < edge_us)
			edge_us = from_us;
		if (to_us > at_us && to_us < edge_us)
			edge_us = to_us;
	}
	return edge_us;
}

double
spec_lost_share(const struct provider_spec *spec)
{
	return 1 -
	    (1 - spec->noise.unknown_user) * (1 - spec->noise.mailbox_full) *
	    (1 - spec->noise.content);
}
