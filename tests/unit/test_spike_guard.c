/* SPDX-License-Identifier: ISC */
/* A day against the peak of the days before it. */
#include "scheduler/spike_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000000)

static void
a_day_never_exceeds_ratio_times_the_peak(void **state)
{
	static const struct conf_spike_guard guard = {
		.is_given = true,
		.window_us = 7 * 24 * HOUR,
		.ratio_permille = 2000,
		.floor = 500,
	};
	static const struct {
		int64_t day, cap, peak;
	} rows[] = {
		{ 100, 500, 0 },     /* no history: the floor */
		{ 101, 2000, 1000 }, /* day 100 had 1,000 */
		{ 103, 2000, 1000 }, /* day 102 had 200 */
		{ 107, 2000, 1000 },
		{ 108, 500, 200 }, /* day 100 is out of the window */
		{ 109, 500, 200 },
		{ 110, 500, 0 },
	};
	struct ledger l = { 0 };

	(void)state;
	ledger_add(&l, 100, LEDGER_CHARGED, 1000);
	ledger_add(&l, 102, LEDGER_CHARGED, 200);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t peak;

		assert_int_equal(spike_guard_cap(&guard, &l, rows[i].day,
				     24 * HOUR, &peak),
		    rows[i].cap);
		assert_int_equal(peak, rows[i].peak);
	}
	/* today doesn't count: it can't raise itself */
	ledger_add(&l, 110, LEDGER_CHARGED, 5000);
	assert_int_equal(spike_guard_cap(&guard, &l, 110, 24 * HOUR, NULL),
	    500);
	ledger_fini(&l);
}

static void
without_a_guard_there_is_no_limit(void **state)
{
	static const struct conf_spike_guard guard = { .is_given = false };
	struct ledger l = { 0 };

	(void)state;
	assert_true(spike_guard_cap(&guard, &l, 1, 24 * HOUR, NULL) ==
	    INT64_MAX);
}

static void
great_numbers_dont_overflow(void **state)
{
	static const struct conf_spike_guard guard = {
		.is_given = true,
		.window_us = 400 * 24 * HOUR,
		.ratio_permille = 1000000,
	};
	struct ledger l = { 0 };

	(void)state;
	ledger_set(&l, 1, LEDGER_CHARGED, LEDGER_MAX);
	assert_true(spike_guard_cap(&guard, &l, 2, 24 * HOUR, NULL) ==
	    (int64_t)LEDGER_MAX * 1000);
	ledger_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_never_exceeds_ratio_times_the_peak),
		cmocka_unit_test(without_a_guard_there_is_no_limit),
		cmocka_unit_test(great_numbers_dont_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
