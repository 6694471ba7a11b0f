/* SPDX-License-Identifier: ISC */
/*
 * Units: the whole grammar, what it refuses, and that what is written reads
 * back to the same value and is the shortest that does.
 */
#include "conf/base/units.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define SEC  INT64_C(1000000)
#define DAY  (86400 * SEC)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
rates_that_are_right(void **state)
{
	static const struct {
		const char *text;
		int64_t count, window_us;
		const char *written; /* NULL: as it was read */
	} cases[] = {
		{ "20/s", 20, SEC, NULL },
		{ "600/min", 600, 60 * SEC, NULL },
		{ "5000/h", 5000, 3600 * SEC, "5k/h" },
		{ "20k/day", 20000, DAY, NULL },
		{ "1.5M/day", 1500000, DAY, NULL },
		{ "1500000/24h", 1500000, DAY, "1.5M/day" },
		{ "10/30s", 10, 30 * SEC, NULL },
		{ "10/1h30m", 10, 5400 * SEC, "10/90m" },
		{ "3/500ms", 3, SEC / 2, "3/0.5s" },
		{ "7/5min", 7, 300 * SEC, "7/5m" },
		{ "7/2day", 7, 2 * DAY, "7/2d" },
		{ "1/1ms", 1, 1000, NULL },
		{ "1/31d", 1, 31 * DAY, NULL },
		{ "1234/s", 1234, SEC, NULL },
		{ "1200/s", 1200, SEC, NULL },
		{ "12000/s", 12000, SEC, "12k/s" },
		{ "1000000M/s", 1000000000000, SEC, NULL },
		{ "1000000000000/s", 1000000000000, SEC, "1000000M/s" },
		{ "unlimited", 0, 0, NULL },
	};
	char text[UNITS_TEXT_SIZE];
	struct err err;
	struct rate r;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(units_parse_rate(cases[i].text, &r, &err), 0);
		assert_int_equal(r.count, cases[i].count);
		assert_int_equal(r.window_us, cases[i].window_us);
		assert_int_equal(rate_is_unlimited(&r),
		    cases[i].window_us == 0);
		assert_string_equal(units_format_rate(&r, text),
		    cases[i].written ? cases[i].written : cases[i].text);
	}
}

static void
durations_that_are_right(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
		const char *written;
	} cases[] = {
		{ "500ms", SEC / 2, "0.5s" },
		{ "30s", 30 * SEC, NULL },
		{ "5m", 300 * SEC, NULL },
		{ "4h", 14400 * SEC, NULL },
		{ "7d", 7 * DAY, NULL },
		{ "0s", 0, NULL },
		{ "0", 0, "0s" },
		{ "1h30m", 5400 * SEC, "90m" },
		{ "1d2h3m4s5ms", DAY + 7384 * SEC + 5000, "93784.005s" },
		{ "1d1m", DAY + 60 * SEC, NULL },
		{ "1.5h", 5400 * SEC, "90m" },
		{ "0.001ms", 1, NULL },
		{ "1ms", 1000, NULL },
		{ "2.5ms", 2500, NULL },
		{ "0.000001s", 1, "0.001ms" },
		{ "60s", 60 * SEC, "1m" },
		{ "24h", DAY, "1d" },
		{ "90s", 90 * SEC, NULL },
		{ "3650d", 3650 * DAY, NULL },
		{ "007s", 7 * SEC, "7s" },
	};
	char text[UNITS_TEXT_SIZE];
	struct err err;
	int64_t us;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(units_parse_duration(cases[i].text, &us, &err),
		    0);
		assert_int_equal(us, cases[i].us);
		assert_string_equal(units_format_duration(us, text),
		    cases[i].written ? cases[i].written : cases[i].text);
	}
}

static void
sizes_that_are_right(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
		const char *written;
	} cases[] = {
		{ "64KiB", 65536, NULL },
		{ "50MiB", INT64_C(50) << 20, NULL },
		{ "10GiB", INT64_C(10) << 30, NULL },
		{ "1TiB", INT64_C(1) << 40, NULL },
		{ "1.5GiB", INT64_C(1536) << 20, "1536MiB" },
		{ "4096", 4096, "4KiB" },
		{ "4096B", 4096, "4KiB" },
		{ "0B", 0, "0" },
		{ "1kB", 1000, NULL },
		{ "20MB", 20000000, NULL },
		{ "3GB", 3000000000, NULL },
		{ "2TB", 2000000000000, NULL },
		{ "9223372036854775807", INT64_MAX, NULL },
		{ "4097", 4097, NULL },
	};
	char text[UNITS_TEXT_SIZE];
	struct err err;
	int64_t bytes;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		const char *written =
		    cases[i].written ? cases[i].written : cases[i].text;

		assert_int_equal(units_parse_size(cases[i].text, &bytes, &err),
		    0);
		assert_int_equal(bytes, cases[i].bytes);
		units_format_size(bytes, text);
		assert_string_equal(text, written);
		assert_int_equal(units_parse_size(text, &bytes, &err), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void
shares_and_counts_that_are_right(void **state)
{
	static const struct {
		const char *text;
		int64_t permille;
	} shares[] = { { "5%", 50 }, { "0.1%", 1 }, { "150%", 1500 },
		{ "0%", 0 }, { "99.9%", 999 }, { "100%", 1000 } };
	static const struct {
		const char *text;
		int64_t n;
	} counts[] = { { "1000", 1000 }, { "100k", 100000 }, { "2M", 2000000 },
		{ "0", 0 }, { "1.5k", 1500 },
		{ "1000000000000", 1000000000000 } };
	char text[UNITS_TEXT_SIZE];
	struct err err;
	int64_t n;

	(void)state;
	for (size_t i = 0; i < N(shares); i++) {
		assert_int_equal(units_parse_permille(shares[i].text, &n, &err),
		    0);
		assert_int_equal(n, shares[i].permille);
		assert_string_equal(units_format_permille(n, text),
		    shares[i].text);
	}
	for (size_t i = 0; i < N(counts); i++) {
		assert_int_equal(units_parse_count(counts[i].text, &n, &err),
		    0);
		assert_int_equal(n, counts[i].n);
	}
}

/* ---- refused ---- */

typedef int parse(const char *s, void *out, struct err *err_out);

static int
rate(const char *s, void *out, struct err *err_out)
{
	return units_parse_rate(s, out, err_out);
}

static int
duration(const char *s, void *out, struct err *err_out)
{
	return units_parse_duration(s, out, err_out);
}

static int
size(const char *s, void *out, struct err *err_out)
{
	return units_parse_size(s, out, err_out);
}

static int
permille(const char *s, void *out, struct err *err_out)
{
	return units_parse_permille(s, out, err_out);
}

static int
count(const char *s, void *out, struct err *err_out)
{
	return units_parse_count(s, out, err_out);
}

static void
what_is_refused_says_why(void **state)
{
	static const struct {
		parse *parse;
		const char *text, *why;
	} cases[] = {
		{ rate, "", "is no rate; write 20/s" },
		{ rate, "20", "is no rate" },
		{ rate, "20/", "is no rate" },
		{ rate, "/s", "is no rate" },
		{ rate, "20/fortnight", "\"20/fortnight\" is no rate" },
		{ rate, "20 /s", "is no rate" },
		{ rate, "20/ s", "is no rate" },
		{ rate, " 20/s", "is no rate" },
		{ rate, "20/s ", "is no rate" },
		{ rate, "-20/s", "is no rate" },
		{ rate, "+20/s", "is no rate" },
		{ rate, "20K/s", "is no rate" },
		{ rate, "20/S", "is no rate" },
		{ rate, "20%/s", "is no rate" },
		{ rate, "20/s/s", "is no rate" },
		{ rate, "20/0s", "too short" },
		{ rate, "20/0.5ms", "too short" },
		{ rate, "20/32d", "too long" },
		{ rate, "1/9999999999999999999d", "too long" },
		{ rate, "0/s", "would never send" },
		{ rate, "1.5/s", "isn't a whole number" },
		{ rate, "1.0005k/s", "isn't a whole number" },
		{ rate, "1000001M/s", "is too many" },
		{ rate, "99999999999999999999999/s", "is too many" },
		{ rate, "Unlimited", "is no rate" },
		{ rate, "0x10/s", "is no rate" },
		{ duration, "", "is no duration; write 500ms" },
		{ duration, "5", "is no duration" },
		{ duration, "5 m", "is no duration" },
		{ duration, "5m ", "is no duration" },
		{ duration, "5min", "is no duration" },
		{ duration, "5M", "is no duration" },
		{ duration, "-5m", "is no duration" },
		{ duration, "m", "is no duration" },
		{ duration, "5.m", "is no duration" },
		{ duration, ".5m", "is no duration" },
		{ duration, "30m1h", "is no duration" },
		{ duration, "1h1h", "is no duration" },
		{ duration, "1h30", "is no duration" },
		{ duration, "5%", "is no duration" },
		{ duration, "forever", "is no duration" },
		{ duration, "0.0001ms", "finer than a microsecond" },
		{ duration, "1.0000001s", "finer than a microsecond" },
		{ duration, "3651d", "too long" },
		{ duration, "3650d1ms", "too long" },
		{ duration, "9223372036854775807d", "too long" },
		{ size, "", "is no size; write 64KiB" },
		{ size, "50M", "is no size" },
		{ size, "50mib", "is no size" },
		{ size, "50KB", "is no size" },
		{ size, "50 MiB", "is no size" },
		{ size, "-1", "is no size" },
		{ size, "1.5", "whole number of bytes" },
		{ size, "9223372036854775808", "too large" },
		{ size, "8388608TiB", "too large" },
		{ size, "10000000000000000000", "too large" },
		{ permille, "", "is no percentage; write 5%" },
		{ permille, "5", "is no percentage" },
		{ permille, "5 %", "is no percentage" },
		{ permille, "%", "is no percentage" },
		{ permille, "5%%", "is no percentage" },
		{ permille, "-5%", "is no percentage" },
		{ permille, "0.05%", "finer than 0.1%" },
		{ permille, "9999999999999%", "too large" },
		{ count, "", "is no number; write 1000" },
		{ count, "many", "is no number" },
		{ count, "1e3", "is no number" },
		{ count, "1,000", "is no number" },
		{ count, "1K", "is no number" },
		{ count, "1.5", "isn't a whole number" },
		{ count, "1000000000001", "too large" },
		{ count, "1\n2", "\"1?2\" is no number" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct {
			int64_t v[2];
		} out;
		struct err err = { "" };
		int result = cases[i].parse(cases[i].text, &out, &err);

		if (result != -1 || strstr(err.text, cases[i].why) == NULL)
			print_message("case %zu: %s: %d %s\n", i, cases[i].text,
			    result, err.text);
		assert_int_equal(result, -1);
		assert_non_null(strstr(err.text, cases[i].why));
		assert_int_equal(cases[i].parse(cases[i].text, &out, NULL), -1);
	}
}

static void
a_long_input_is_quoted_in_part(void **state)
{
	char text[2000];
	struct err err;
	int64_t n;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(units_parse_count(text, &n, &err), -1);
	assert_true(strlen(err.text) < 120);
	assert_non_null(strstr(err.text, "xxx...\" is no number"));
}

/* Any value, written, reads back to itself. */
static void
round_trips(void **state)
{
	struct rng rng = { 20261125 };
	char text[UNITS_TEXT_SIZE];
	struct err err;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t value =
		    (int64_t)(rng_next(&rng) >> (1 + rng_below(&rng, 62)));
		int64_t us = value % (3650 * DAY + 1), back;
		struct rate r = { 1 + value % 1000000000000,
			1000 + us % (31 * DAY - 999) },
			    r2;

		assert_int_equal(units_parse_duration(units_format_duration(us,
							  text),
				     &back, &err),
		    0);
		assert_int_equal(back, us);
		assert_int_equal(units_parse_size(units_format_size(value,
						      text),
				     &back, &err),
		    0);
		assert_int_equal(back, value);
		assert_int_equal(units_parse_rate(units_format_rate(&r, text),
				     &r2, &err),
		    0);
		assert_int_equal(r2.count, r.count);
		assert_int_equal(r2.window_us, r.window_us);
		assert_int_equal(
		    units_parse_permille(units_format_permille(value % 1000000,
					     text),
			&back, &err),
		    0);
		assert_int_equal(back, value % 1000000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_that_are_right),
		cmocka_unit_test(durations_that_are_right),
		cmocka_unit_test(sizes_that_are_right),
		cmocka_unit_test(shares_and_counts_that_are_right),
		cmocka_unit_test(what_is_refused_says_why),
		cmocka_unit_test(a_long_input_is_quoted_in_part),
		cmocka_unit_test(round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
