/* SPDX-License-Identifier: ISC */
/*
 * A long time with a large sender, for what shows only over days: drifts, and
 * what a decision costs. Called by the simulator and its test.
 */
#include "tests/sim/season.h"

#include <stdlib.h>

#include "tests/sim/draw.h"

#define A_DAY	   1000000
#define NEWSLETTER 50 /* recipients that go in one transaction */

void
season_run(uint64_t seed, unsigned n_days, struct season *out)
{
	static const char *const names[8] = { "gmail", "microsoft", "yahoo",
		"apple", "gmx", "comcast", "orange", "qq" };
	struct sim *sim = calloc(1, sizeof(*sim));
	int64_t day_us = 86400 * SEC;

	sim_init(sim, seed);
	sim->f.conf.adapt.react.hold_us = 60 * SEC;
	sim->f.conf.adapt.recover.every_us = 60 * SEC;
	sim->f.conf.adapt.suspend.for_us = 3600 * SEC;
	sim->f.conf.adapt.suspend.max_us = day_us;
	for (size_t i = 0; i < 8; i++) {
		double a_second = A_DAY / 86400.0 / 8;
		double rate = a_second * draw_log(sim, 2, 20);
		struct provider_spec spec = draw_spec(sim, names[i], rate);
		struct sim_site *site;

		spec.burst = 20 * NEWSLETTER;
		spec.reputation.is_on = i % 2 == 1;
		spec.reputation.loss /=
		    NEWSLETTER; /* one refusal, many RCPTs */
		spec.steps[0].at_us =
		    (int64_t)(draw_even(sim, 0.1, 0.9) * n_days) * day_us;
		spec.steps[0].factor = draw_log(sim, 0.3, 3);
		spec.n_steps = 1;
		site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);
		sim->f.providers[i].limits.burst = NEWSLETTER;
		site->n_recipients = NEWSLETTER;
		site->per_s = a_second / NEWSLETTER;
	}
	sim_start(sim);
	sim_run(sim, n_days * day_us);
	*out = (struct season){ .n_decisions = sim->n_plans };
	for (size_t i = 0; i < 8; i++) {
		struct provider_stats st;

		provider_model_stats(sim->sites[i].model, sim->now_us, &st);
		out->accepted += (double)st.refused[PROVIDER_OK];
		out->refused += (double)provider_stats_violations(&st);
	}
	out->offered = (double)sim->n_messages * NEWSLETTER;
	sim_end(sim);
	free(sim);
}
