/* SPDX-License-Identifier: ISC */
/* Who only looks gets a fifth of the time, after a first portion at once. */
#include "daemon/turn_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
flood_gets_a_fifth(void **state)
{
	struct turn_budget b;
	int64_t now_us = 1000000, spent_us = 0;

	(void)state;
	turn_budget_init(&b, now_us);
	while (now_us < 11000000) {
		int64_t wait_us = turn_budget_book(&b, now_us, now_us + 2000);

		spent_us += 2000;
		now_us += 2000 + wait_us;
	}
	assert_in_range(spent_us, 2000000, 2300000);
}

static void
quiet_ones_never_wait(void **state)
{
	struct turn_budget b;
	int64_t now_us = 0;

	(void)state;
	turn_budget_init(&b, now_us);
	for (int i = 0; i < 100; i++, now_us += 1000000)
		assert_int_equal(turn_budget_book(&b, now_us, now_us + 150000),
		    0);
}

static void
no_saving_up(void **state)
{
	struct turn_budget b;
	const int64_t day_us = INT64_C(86400000000);

	(void)state;
	turn_budget_init(&b, 0);
	assert_int_equal(turn_budget_book(&b, day_us, day_us + 199999), 0);
	assert_true(turn_budget_book(&b, day_us + 199999, day_us + 210000) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flood_gets_a_fifth),
		cmocka_unit_test(quiet_ones_never_wait),
		cmocka_unit_test(no_saving_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
