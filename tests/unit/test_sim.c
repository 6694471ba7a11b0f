/* SPDX-License-Identifier: ISC */
/*
 * Holds the governor to its numbers: each situation of tests/sim over several
 * seeds, medians against the goals. Prints the table. FLYBALL_SEED gives other
 * seeds, FLYBALL_SEEDS their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/season.h"
#include "tests/sim/situations.h"

#define SEEDS_MAX 1001

static uint64_t first_seed = 1;
static size_t n_seeds = 15;

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void
run_situation(void **state)
{
	const struct situation *st = *state;
	static double quality[SEEDS_MAX], goodput[SEEDS_MAX],
	    violations[SEEDS_MAX], extra[SEEDS_MAX], rejected[SEEDS_MAX];
	double q, v, x, r;

	for (size_t i = 0; i < n_seeds; i++) {
		struct outcome o = { 0 };

		st->run(st, first_seed + i, &o);
		quality[i] = o.quality;
		goodput[i] = o.goodput;
		violations[i] = o.violations;
		extra[i] = o.extra;
		rejected[i] = o.n_rejected;
	}
	q = median(quality, n_seeds);
	v = median(violations, n_seeds);
	x = median(extra, n_seeds);
	r = median(rejected, n_seeds);
	printf("%-34s quality %.3f (goal %.2f%s)  goodput %.3f  violations "
	       "%.2f%%",
	    st->name, q, st->quality, q < st->quality ? ", not reached" : "",
	    median(goodput, n_seeds), v * 100);
	if (st->extra_name != NULL)
		printf("  %.2f %s", x, st->extra_name);
	printf("\n");
	assert_true(q >= (st->reached > 0 ? st->reached : st->quality));
	assert_true(v <= st->violations);
	assert_true(x >= st->extra);
	if (st->is_554_free)
		assert_true(r == 0);
}

static void
a_week_in_real_times(void **state)
{
	struct season out;

	(void)state;
	season_run(first_seed, 7, &out);
	printf("a week: offered %.0f, accepted %.0f, refused %.0f\n",
	    out.offered, out.accepted, out.refused);
	assert_true(out.offered > 6.5e6);
	assert_true(out.accepted >= 0.97 * out.offered);
	assert_true(out.refused <= 0.02 * out.offered);
}

int
main(void)
{
	struct CMUnitTest tests[32];
	const char *seed = getenv("FLYBALL_SEED");
	const char *seeds = getenv("FLYBALL_SEEDS");

	if (seed != NULL)
		first_seed = strtoull(seed, NULL, 10);
	if (seeds != NULL && atoi(seeds) > 0 && atoi(seeds) < SEEDS_MAX)
		n_seeds = (size_t)atoi(seeds);
	printf("seeds %llu..%llu\n", (unsigned long long)first_seed,
	    (unsigned long long)(first_seed + n_seeds - 1));
	for (size_t i = 0; i < n_situations; i++)
		tests[i] =
		    (struct CMUnitTest){ situations[i].name, run_situation,
			    NULL, NULL, (void *)(uintptr_t)&situations[i] };
	tests[n_situations] =
	    (struct CMUnitTest)cmocka_unit_test(a_week_in_real_times);
	return _cmocka_run_group_tests("situations", tests, n_situations + 1,
	    NULL, NULL);
}
