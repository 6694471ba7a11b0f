/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "scheduler/meter.h"

#define SEC INT64_C(1000000)

static void
a_steady_flow_reads_as_its_rate(void **state)
{
	static const struct {
		int64_t every_us;
		uint32_t n;
		int64_t per_s;
	} cases[] = {
		{ SEC, 1, 1 },
		{ SEC / 20, 1, 20 },
		{ SEC / 1000, 1, 1000 },
		{ SEC, 50, 50 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t now_us = 7 * SEC, rate;
		struct meter_sum sum;
		struct meter m;

		meter_init(&m, 4 * SEC, now_us);
		for (; now_us < 60 * SEC; now_us += cases[i].every_us)
			meter_accepted(&m, cases[i].n, now_us);
		sum = meter_span(&m, now_us);
		rate = rate_of(sum.n_accepted, sum.span_us);
		assert_in_range(rate, cases[i].per_s * RATE_ONE * 7 / 10,
		    cases[i].per_s * RATE_ONE * 13 / 10);
		sum = meter_long(&m, now_us);
		assert_true(sum.n_good <= 60 * SEC / cases[i].every_us);
	}
}

/* Against a list of all answers: never more than lie in the span, never less
 * than lie in the span without its first bin. */
static void
sums_agree_with_a_list(void **state)
{
	enum { N = 4000 };
	static int64_t at_us[N];
	struct rng rng = { 11 };
	struct meter m;
	int64_t now_us = 0, span_us = 2 * SEC;

	(void)state;
	printf("seed 11\n");
	meter_init(&m, span_us, 0);
	for (int i = 0; i < N; i++) {
		struct meter_sum sum;
		int64_t n = 0;

		now_us += (int64_t)rng_below(&rng, i % 7 == 0 ? SEC : SEC / 50);
		at_us[i] = now_us;
		meter_refused(&m, 1, now_us);
		sum = meter_span(&m, now_us);
		for (int k = i; k >= 0 && at_us[k] >= now_us - sum.span_us; k--)
			n++;
		assert_int_equal(sum.n_refused, n);
		assert_in_range(sum.span_us, span_us,
		    span_us + span_us / METER_FINE_BINS);
	}
}

static void
silence_empties_it(void **state)
{
	struct meter m;

	(void)state;
	meter_init(&m, SEC, 0);
	for (int i = 0; i < 100; i++)
		meter_accepted(&m, 1, i * SEC / 100);
	assert_int_equal(meter_span(&m, SEC - 1).n_accepted, 100);
	assert_int_equal(meter_span(&m, 3 * SEC).n_accepted, 0);
	assert_int_equal(meter_long(&m, 3 * SEC).n_accepted, 100);
	assert_int_equal(meter_long(&m, 200 * SEC).n_accepted, 0);
	meter_accepted(&m, 1, 100000 * SEC);
	assert_int_equal(meter_long(&m, 100000 * SEC).n_accepted, 1);
}

static void
rates_hold_one_a_day_and_a_million_a_second(void **state)
{
	(void)state;
	assert_int_equal(rate_of(1, SEC), RATE_ONE);
	assert_in_range(rate_of(1, 86400 * SEC), 11574, 11575);
	assert_int_equal(rate_of(1000000, SEC), 1000000 * RATE_ONE);
	assert_int_equal(rate_of(5, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_flow_reads_as_its_rate),
		cmocka_unit_test(sums_agree_with_a_list),
		cmocka_unit_test(silence_empties_it),
		cmocka_unit_test(rates_hold_one_a_day_and_a_million_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
