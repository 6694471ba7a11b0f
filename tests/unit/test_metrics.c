/* SPDX-License-Identifier: ISC */
/* Lines of Prometheus' text format, and the table's manners. */
#include "daemon/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
values(void **state)
{
	static const struct {
		enum metric m;
		const char *labels;
		int64_t value;
		const char *line;
	} cases[] = {
		{ METRIC_READY, "", 1, "flyball_ready 1\n" },
		{ METRIC_READY, "", 0, "flyball_ready 0\n" },
		{ METRIC_SPOOL_FREE, "", INT64_MAX,
		    "flyball_spool_free_bytes 9223372036854775807\n" },
		{ METRIC_SPOOL_FREE, "", INT64_MIN,
		    "flyball_spool_free_bytes -9223372036854775808\n" },
		{ METRIC_LANE_RATE, "a=\"b\"", 0,
		    "flyball_lane_rate_recipients_per_second{a=\"b\"} "
		    "0.000\n" },
		{ METRIC_LANE_RATE, "a=\"b\"", 5,
		    "flyball_lane_rate_recipients_per_second{a=\"b\"} "
		    "0.005\n" },
		{ METRIC_LANE_RATE, "a=\"b\"", 123456,
		    "flyball_lane_rate_recipients_per_second{a=\"b\"} "
		    "123.456\n" },
		{ METRIC_START_TIME, "", INT64_C(1795572590949600),
		    "flyball_start_time_seconds 1795572590.949600\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf out = { 0 };

		metric_value(&out, cases[i].m, cases[i].labels,
		    strlen(cases[i].labels), cases[i].value);
		assert_string_equal(out.data, cases[i].line);
		strbuf_fini(&out);
	}
}

static void
labels_are_escaped(void **state)
{
	struct strbuf out = { 0 };

	(void)state;
	metric_label(&out, "a", "x");
	metric_label(&out, "b", "q\"b\\n\nz{},=");
	metric_label(&out, "c", "");
	assert_string_equal(out.data,
	    "a=\"x\",b=\"q\\\"b\\\\n\\nz{},=\",c=\"\"");
	strbuf_fini(&out);
}

static void
histograms_are_cumulative(void **state)
{
	struct histogram_sum sum = { .n = { 1, 0, 2, [20] = 4 },
		.sum_us = 1500001 };
	struct strbuf out = { 0 };

	(void)state;
	metric_histogram(&out, METRIC_COMMIT_TIME, &sum);
	assert_non_null(strstr(out.data,
	    "# TYPE flyball_commit_duration_seconds histogram\n"
	    "flyball_commit_duration_seconds_bucket{le=\"0.001\"} 1\n"
	    "flyball_commit_duration_seconds_bucket{le=\"0.0025\"} 1\n"
	    "flyball_commit_duration_seconds_bucket{le=\"0.005\"} 3\n"));
	assert_non_null(strstr(out.data,
	    "_bucket{le=\"86400\"} 3\n"
	    "flyball_commit_duration_seconds_bucket{le=\"+Inf\"} 7\n"
	    "flyball_commit_duration_seconds_sum 1.500001\n"
	    "flyball_commit_duration_seconds_count 7\n"));
	strbuf_fini(&out);
}

/* prometheus.io/docs/practices/naming */
static void
rows_keep_the_conventions(void **state)
{
	(void)state;
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		const struct metric_row *row = &metric_rows[m];
		size_t len;

		if (row->name == NULL)
			fail_msg("metric %u has no row", m);
		len = strlen(row->name);
		assert_int_equal(strncmp(row->name, "flyball_", 8), 0);
		assert_int_equal(strspn(row->name,
				     "abcdefghijklmnopqrstuvwxyz_"),
		    len);
		assert_int_equal(strcmp(row->name + len - 6, "_total") == 0,
		    row->type == METRIC_COUNTER);
		if (row->type == METRIC_HISTOGRAM)
			assert_string_equal(row->name + len - 8, "_seconds");
		assert_true(strlen(row->help) > 10);
		assert_null(strpbrk(row->help, "\n\\|"));
		assert_true(row->divisor > 0);
		for (unsigned o = 0; o < m; o++)
			assert_string_not_equal(row->name, metric_rows[o].name);
	}
}

static void
document_has_every_row(void **state)
{
	struct strbuf out = { 0 };

	(void)state;
	metrics_document(&out);
	for (unsigned m = 0; m < METRIC_COUNT; m++)
		assert_non_null(strstr(out.data, metric_rows[m].name));
	strbuf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(histograms_are_cumulative),
		cmocka_unit_test(rows_keep_the_conventions),
		cmocka_unit_test(document_has_every_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
