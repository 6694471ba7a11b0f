/* SPDX-License-Identifier: ISC */
/* Lines that peers cause: the first, then a minute's sum. */
#include "conf/base/log_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "conf/base/log.h"

#define SEC INT64_C(1000000)

/* What a tick writes to stderr. */
static const char *
tick(int64_t now_us)
{
	static char text[1000];
	FILE *file = tmpfile();
	int stderr_fd = dup(STDERR_FILENO);
	size_t n;

	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	log_limits_tick(now_us);
	fflush(stderr);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static void
a_flood_is_one_line_a_minute(void **state)
{
	static struct log_limit a = { .event = "a_flood" };
	static struct log_limit b = { .event = "b_flood" };
	int64_t now_us = 1000 * SEC;

	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_string_equal(tick(now_us), "");
	assert_true(log_limit_take(&a, now_us));
	assert_true(log_limit_take(&b, now_us));
	for (int i = 0; i < 1000; i++)
		assert_false(log_limit_take(&a, now_us + i * 1000));
	assert_string_equal(tick(now_us + 59 * SEC), "");
	assert_non_null(strstr(tick(now_us + 60 * SEC),
	    "event=a_flood more=1000 in_s=60"));
	/* b had one alone: it is as new again. */
	assert_true(log_limit_take(&b, now_us + 60 * SEC));
	/* a goes on: nothing but the sum, until it is quiet for a minute. */
	assert_false(log_limit_take(&a, now_us + 61 * SEC));
	assert_non_null(strstr(tick(now_us + 120 * SEC),
	    "event=a_flood more=1 in_s=60"));
	assert_string_equal(tick(now_us + 180 * SEC), "");
	assert_true(log_limit_take(&a, now_us + 181 * SEC));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_is_one_line_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
