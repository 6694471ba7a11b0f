/* SPDX-License-Identifier: ISC */
/* The floor under strict priority, by itself. */
#include "scheduler/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
a_lower_class_earns_five_percent(void **state)
{
	const bool both[PRIORITY_COUNT] = { true, false, true };
	struct share s = { 0 };

	(void)state;
	for (int i = 0; i < 19; i++)
		share_serve(&s, both, PRIORITY_HIGH, 1);
	assert_false(share_is_due(&s, PRIORITY_BULK, 1));
	share_serve(&s, both, PRIORITY_HIGH, 1);
	assert_true(share_is_due(&s, PRIORITY_BULK, 1));
	assert_false(share_is_due(&s, PRIORITY_BULK, 2));
	share_serve(&s, both, PRIORITY_BULK, 1);
	assert_false(share_is_due(&s, PRIORITY_BULK, 1));
}

static void
the_highest_that_waits_earns_nothing(void **state)
{
	const bool low[PRIORITY_COUNT] = { false, true, true };
	struct share s = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		share_serve(&s, low, PRIORITY_NORMAL, 1);
	assert_int_equal(s.earned[PRIORITY_NORMAL], 0);
	assert_true(s.earned[PRIORITY_BULK] > 0);
}

static void
who_does_not_wait_keeps_nothing(void **state)
{
	const bool both[PRIORITY_COUNT] = { true, false, true };
	const bool one[PRIORITY_COUNT] = { true, false, false };
	struct share s = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		share_serve(&s, both, PRIORITY_HIGH, 10);
	share_serve(&s, one, PRIORITY_HIGH, 1);
	assert_int_equal(s.earned[PRIORITY_BULK], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lower_class_earns_five_percent),
		cmocka_unit_test(the_highest_that_waits_earns_nothing),
		cmocka_unit_test(who_does_not_wait_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
