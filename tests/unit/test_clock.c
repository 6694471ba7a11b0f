/* SPDX-License-Identifier: ISC */
/* Instants as text, checked against dates known from elsewhere. */
#include "conf/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const struct {
	int64_t utc_us;
	const char *rfc3339;
	const char *berlin; /* RFC 5322 */
} instants[] = {
	{ 0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 01:00:00 +0100" },
	{ 1795497360123999, "2026-11-24T05:16:00.123Z",
	    "Tue, 24 Nov 2026 06:16:00 +0100" },
	{ 1709210096000000, "2024-02-29T12:34:56.000Z",
	    "Thu, 29 Feb 2024 13:34:56 +0100" },
	/* The last instant of summer time, and the next one. */
	{ 1792889999999999, "2026-10-25T00:59:59.999Z",
	    "Sun, 25 Oct 2026 02:59:59 +0200" },
	{ 1792890000000000, "2026-10-25T01:00:00.000Z",
	    "Sun, 25 Oct 2026 02:00:00 +0100" },
};

static void
instants_are_written(void **state)
{
	char text[CLOCK_RFC5322_SIZE];

	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (size_t i = 0; i < sizeof(instants) / sizeof(*instants); i++) {
		clock_rfc3339(instants[i].utc_us, text);
		assert_string_equal(text, instants[i].rfc3339);
		clock_rfc5322(instants[i].utc_us, text);
		assert_string_equal(text, instants[i].berlin);
	}
}

static void
clocks_go_forward(void **state)
{
	struct timespec nap = { .tv_nsec = 2000000 };
	int64_t mono_us = clock_mono_us(), utc_us = clock_utc_us();

	(void)state;
	assert_true(utc_us > 1700000000000000); /* later than 2023 */
	nanosleep(&nap, NULL);
	assert_true(clock_mono_us() >= mono_us + 2000);
	assert_true(clock_slept_us() >= -1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instants_are_written),
		cmocka_unit_test(clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
