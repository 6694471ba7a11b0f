/* SPDX-License-Identifier: ISC */
/* Durations in buckets: each in the one whose end is not below it. */
#include "daemon/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
notes(void **state)
{
	static const struct {
		int64_t us;
		unsigned bucket;
	} cases[] = { { -5, 0 }, { 0, 0 }, { 1000, 0 }, { 1001, 1 },
		{ 2500, 1 }, { 2501, 2 }, { INT64_C(86400000000), 19 },
		{ INT64_C(86400000001), 20 }, { INT64_MAX / 100, 20 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct histogram h;
		struct histogram_sum sum = { .sum_us = 1 };

		memset(&h, 0, sizeof(h));
		histogram_note(&h, cases[i].us);
		histogram_add(&sum, &h);
		histogram_add(&sum, &h);
		for (unsigned b = 0; b <= HISTOGRAM_BUCKETS; b++)
			assert_int_equal(sum.n[b],
			    b == cases[i].bucket ? 2 : 0);
		assert_int_equal(sum.sum_us,
		    1 + 2 * (cases[i].us < 0 ? 0 : cases[i].us));
	}
}

static void
bounds_grow(void **state)
{
	(void)state;
	for (unsigned b = 1; b < HISTOGRAM_BUCKETS; b++)
		assert_true(histogram_bounds_us[b] >
		    histogram_bounds_us[b - 1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes),
		cmocka_unit_test(bounds_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
