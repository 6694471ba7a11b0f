/* SPDX-License-Identifier: ISC */
/* The retry schedule: grows by its factor, up to its bound, with jitter. */
#include "scheduler/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SEC INT64_C(1000000)

static void
delays(void **state)
{
	static const struct {
		int64_t first_us, factor, max_us;
		uint32_t attempts;
		int64_t want_us;
	} cases[] = {
		{ 300 * SEC, 2000, 14400 * SEC, 0, 300 * SEC },
		{ 300 * SEC, 2000, 14400 * SEC, 1, 300 * SEC },
		{ 300 * SEC, 2000, 14400 * SEC, 2, 600 * SEC },
		{ 300 * SEC, 2000, 14400 * SEC, 6, 9600 * SEC },
		{ 300 * SEC, 2000, 14400 * SEC, 7, 14400 * SEC },
		{ 300 * SEC, 2000, 14400 * SEC, UINT32_MAX, 14400 * SEC },
		{ 300 * SEC, 1500, 14400 * SEC, 3, 675 * SEC },
		{ 300 * SEC, 1000, 14400 * SEC, UINT32_MAX, 300 * SEC },
		{ 0, 2000, 14400 * SEC, UINT32_MAX, 0 },
		{ 900 * SEC, 2000, 60 * SEC, 1, 60 * SEC },
		{ INT64_MAX / 2, 9000, INT64_MAX, 3, INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(retry_delay(cases[i].first_us, cases[i].factor,
				     cases[i].max_us, cases[i].attempts),
		    cases[i].want_us);
}

static void
jitter_stays_in_bounds_and_reaches_both(void **state)
{
	struct rng rng = { .state = 3 };
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	print_message("seed 3\n");
	for (int i = 0; i < 10000; i++) {
		int64_t us = retry_jitter(&rng, 100 * SEC, 200);

		assert_in_range(us, 80 * SEC, 120 * SEC);
		least = us < least ? us : least;
		most = us > most ? us : most;
	}
	assert_true(least < 81 * SEC && most > 119 * SEC);
	assert_int_equal(retry_jitter(&rng, 100 * SEC, 0), 100 * SEC);
	assert_int_equal(retry_jitter(&rng, 0, 200), 0);
}

static void
the_same_seed_gives_the_same_run(void **state)
{
	struct rng a = { .state = 9 }, b = { .state = 9 };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(retry_jitter(&a, SEC, 200),
		    retry_jitter(&b, SEC, 200));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays),
		cmocka_unit_test(jitter_stays_in_bounds_and_reaches_both),
		cmocka_unit_test(the_same_seed_gives_the_same_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
