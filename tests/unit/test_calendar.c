/* SPDX-License-Identifier: ISC */
/* Plan days: dates with their odd hours, and rehearsals of twenty seconds. */
#include "scheduler/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SEC  INT64_C(1000000)
#define HOUR (3600 * SEC)

static void
a_day_of_24h_is_a_local_date(void **state)
{
	struct zone *z = zone_open("Europe/Berlin", NULL);
	struct calendar c = { z, CALENDAR_DAY_US, 12345 };
	int64_t day = zone_date_parse("2026-03-29");
	int64_t begin = calendar_begin(&c, day);

	(void)state;
	assert_int_equal(begin, day * 24 * HOUR - HOUR);
	assert_int_equal(calendar_begin(&c, day + 1) - begin, 23 * HOUR);
	assert_int_equal(calendar_day(&c, begin), day);
	assert_int_equal(calendar_day(&c, begin - 1), day - 1);
	/* a window from 07:00 to 21:00 has its 14 hours on that day too */
	assert_int_equal(calendar_at(&c, day, 7 * HOUR), begin + 6 * HOUR);
	assert_int_equal(calendar_at(&c, day, 21 * HOUR), begin + 20 * HOUR);
	assert_int_equal(calendar_at(&c, day, 24 * HOUR),
	    calendar_begin(&c, day + 1));
	assert_int_equal(calendar_date(&c, day), day);
	zone_close(z);
}

static void
other_days_are_counted_from_the_plans_start(void **state)
{
	struct calendar c = { NULL, 20 * SEC, 1000 * HOUR + 7 * SEC };
	int64_t start = 1000 * HOUR + 7 * SEC;

	(void)state;
	assert_int_equal(calendar_day(&c, start), 0);
	assert_int_equal(calendar_day(&c, start - 1), -1);
	assert_int_equal(calendar_day(&c, start - 20 * SEC), -1);
	assert_int_equal(calendar_day(&c, start - 20 * SEC - 1), -2);
	assert_int_equal(calendar_day(&c, start + 20 * SEC - 1), 0);
	assert_int_equal(calendar_day(&c, start + 200 * SEC), 10);
	assert_int_equal(calendar_begin(&c, 10), start + 200 * SEC);
	assert_int_equal(calendar_at(&c, 2, 5 * SEC), start + 45 * SEC);
	assert_int_equal(calendar_date(&c, 0), 41);    /* 1000 h = 41.7 days */
	assert_int_equal(calendar_date(&c, 4320), 42); /* a day later */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_of_24h_is_a_local_date),
		cmocka_unit_test(other_days_are_counted_from_the_plans_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
