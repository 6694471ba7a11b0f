/* SPDX-License-Identifier: ISC */
/*
 * flyball-sim [NAME [SEED [COUNT]]]: situations whose names contain NAME, over
 * COUNT seeds; with one seed every change of speed is shown.
 * flyball-sim season [SEED]: sixty days in real times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/season.h"
#include "tests/sim/situations.h"

static void
tell(struct sim *sim, const struct sched_change *c)
{
	char from[UNITS_TEXT_SIZE], to[UNITS_TEXT_SIZE];
	struct sim_site *site = &sim->sites[0];
	struct provider_stats st;

	for (size_t i = 0; i < sim->n_sites; i++)
		if (strcmp(sim->sites[i].name, c->provider) == 0)
			site = &sim->sites[i];
	provider_model_stats(site->model, sim->now_us, &st);
	printf("%9.3f %-12s %-11s", (double)(c->at_us - sim->start_us) / 1e6,
	    c->lane, change_kind_name(c->kind));
	if (c->kind == CHANGE_RATE)
		printf(" %8s -> %-8s %-9s", units_format_rate(&c->from, from),
		    units_format_rate(&c->to, to), c->state);
	else if (c->kind == CHANGE_CONNECTIONS)
		printf(" %u -> %u", c->connections_from, c->connections_to);
	else
		printf(" %s until %.3f", c->because,
		    (double)(c->until_us - sim->start_us) / 1e6);
	printf(" ok %lld no %lld  limit %.1f rep %.2f  %d\n",
	    (long long)c->n_accepted, (long long)c->n_refused, st.limit,
	    st.reputation, c->code);
}

static void
season(uint64_t seed)
{
	clock_t began = clock();
	struct season out;

	season_run(seed, 60, &out);
	printf("60 days of a million a day: offered %.0f, accepted %.0f, "
	       "refused %.0f, %llu decisions, %.1f s\n",
	    out.offered, out.accepted, out.refused,
	    (unsigned long long)out.n_decisions,
	    (double)(clock() - began) / CLOCKS_PER_SEC);
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	unsigned n = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;

	if (strcmp(name, "season") == 0) {
		season(seed);
		return 0;
	}
	for (size_t i = 0; i < n_situations; i++) {
		struct situation st = situations[i];

		if (strstr(st.name, name) == NULL)
			continue;
		for (uint64_t k = seed; k < seed + n; k++) {
			struct outcome o = { 0 };

			if (n == 1)
				st.on_change = tell;
			st.run(&st, k, &o);
			printf("%-32s %4llu quality %.3f goodput %.3f "
			       "violations %.4f extra %.3f 554s %u\n",
			    st.name, (unsigned long long)k, o.quality,
			    o.goodput, o.violations, o.extra, o.n_rejected);
		}
	}
	return 0;
}
