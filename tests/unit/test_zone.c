/* SPDX-License-Identifier: ISC */
/* Dates and instants, on the days when clocks change too. */
#include "conf/base/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SEC  INT64_C(1000000)
#define HOUR (3600 * SEC)

static void
dates_read_and_write(void **state)
{
	static const struct {
		const char *date;
		int64_t day;
	} rows[] = {
		{ "1970-01-01", 0 },
		{ "1970-12-31", 364 },
		{ "2000-02-29", 11016 },
		{ "2026-11-24", 20781 },
		{ "2026-12-01", 20788 },
		{ "9999-12-31", 2932896 },
	};
	char text[ZONE_DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(zone_date_parse(rows[i].date), rows[i].day);
		assert_string_equal(zone_date(rows[i].day, text), rows[i].date);
	}
}

static void
what_is_no_date_is_refused(void **state)
{
	static const char *const rows[] = { "", "2026-1-1", "2026-02-30",
		"2025-02-29", "2026-13-01", "2026-00-10", "2026-01-00",
		"26-01-01", "2026/01/01", "2026-01-01 ", "1969-12-31",
		"2026-01-0x", "-026-01-01" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(zone_date_parse(rows[i]), -1);
}

/* How long local days are, and that they begin and end where the next does. */
static void
days_have_23_24_or_25_hours(void **state)
{
	static const struct {
		const char *zone, *date;
		int hours;
	} rows[] = {
		{ "Europe/Berlin", "2026-03-28", 24 },
		{ "Europe/Berlin", "2026-03-29", 23 },
		{ "Europe/Berlin", "2026-03-30", 24 },
		{ "Europe/Berlin", "2026-10-25", 25 },
		{ "America/New_York", "2026-03-08", 23 },
		{ "America/New_York", "2026-11-01", 25 },
		{ "America/New_York", "2026-10-25", 24 },
		{ "America/Havana", "2026-03-08", 23 }, /* at midnight */
		{ "America/Havana", "2026-11-01", 25 },
		/* past the end of the table in the file: its rule goes on */
		{ "Europe/Berlin", "2045-03-26", 23 },
		{ "UTC", "2026-03-29", 24 },
		{ "Asia/Kolkata", "2026-03-29", 24 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err;
		struct zone *z = zone_open(rows[i].zone, &err);
		int64_t day = zone_date_parse(rows[i].date);
		int64_t begin, end;

		assert_non_null(z);
		begin = zone_instant(z, day, 0);
		end = zone_instant(z, day + 1, 0);
		assert_int_equal(end - begin, rows[i].hours * HOUR);
		assert_int_equal(zone_day(z, begin), day);
		assert_int_equal(zone_day(z, begin - 1), day - 1);
		assert_int_equal(zone_day(z, end - 1), day);
		assert_int_equal(zone_day(z, end), day + 1);
		zone_close(z);
	}
}

static void
times_of_day_are_those_on_the_wall(void **state)
{
	struct zone *z = zone_open("Europe/Berlin", NULL);
	int64_t spring = zone_date_parse("2026-03-29");
	int64_t autumn = zone_date_parse("2026-10-25");

	(void)state;
	assert_non_null(z);
	/* 07:00 is 05:00 UTC in summer, 06:00 in winter */
	assert_int_equal(zone_instant(z, spring, 7 * HOUR),
	    spring * 24 * HOUR + 5 * HOUR);
	assert_int_equal(zone_instant(z, autumn, 7 * HOUR),
	    autumn * 24 * HOUR + 6 * HOUR);
	/* 02:30 doesn't exist in spring: the change, at 01:00 UTC */
	assert_int_equal(zone_instant(z, spring, 2 * HOUR + HOUR / 2),
	    spring * 24 * HOUR + HOUR);
	/* ... and comes twice in autumn: the first, at 00:30 UTC */
	assert_int_equal(zone_instant(z, autumn, 2 * HOUR + HOUR / 2),
	    autumn * 24 * HOUR + HOUR / 2);
	assert_int_equal(zone_instant(z, autumn, 24 * HOUR),
	    zone_instant(z, autumn + 1, 0));
	zone_close(z);
}

static void
no_zone_is_utc(void **state)
{
	(void)state;
	assert_int_equal(zone_day(NULL, 0), 0);
	assert_int_equal(zone_day(NULL, -1), -1);
	assert_int_equal(zone_day(NULL, 24 * HOUR - 1), 0);
	assert_int_equal(zone_instant(NULL, 3, HOUR + 1), 73 * HOUR + 1);
}

static void
a_zone_that_isnt_there_is_refused(void **state)
{
	struct err err;

	(void)state;
	assert_null(zone_open("Europe/Berlim", &err));
	assert_string_equal(err.text,
	    "there is no time zone \"Europe/Berlim\"");
	zone_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_read_and_write),
		cmocka_unit_test(what_is_no_date_is_refused),
		cmocka_unit_test(days_have_23_24_or_25_hours),
		cmocka_unit_test(times_of_day_are_those_on_the_wall),
		cmocka_unit_test(no_zone_is_utc),
		cmocka_unit_test(a_zone_that_isnt_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
