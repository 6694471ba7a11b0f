/* SPDX-License-Identifier: ISC */
/* The mark that a message carries: read back as written, and by nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/trace.h"

static const uint8_t key[SIPHASH_KEY_SIZE] = "0123456789abcde";
static const uint8_t other_key[SIPHASH_KEY_SIZE] = "1123456789abcde";

static void
there_and_back(void **state)
{
	char text[TRACE_SIZE], longest[TRACE_NAME_MAX + 2];
	struct trace t;

	(void)state;
	assert_int_equal(trace_write(key, 42, "ip-a", "news", text), 0);
	assert_int_equal(strncmp(text, "fb1/", 4), 0);
	assert_int_equal(trace_read(key, text, &t), 0);
	assert_int_equal(t.message, 42);
	assert_string_equal(t.route, "ip-a");
	assert_string_equal(t.stream, "news");
	assert_int_equal(trace_read(other_key, text, &t), -1);
	memset(longest, 'x', sizeof(longest));
	longest[TRACE_NAME_MAX] = '\0';
	assert_int_equal(trace_write(key, UINT64_MAX, longest, longest, text),
	    0);
	assert_int_equal(trace_read(key, text, &t), 0);
	assert_true(t.message == UINT64_MAX);
	longest[TRACE_NAME_MAX] = 'x';
	longest[TRACE_NAME_MAX + 1] = '\0';
	assert_int_equal(trace_write(key, 1, longest, "s", text), -1);
	assert_int_equal(trace_write(key, 1, "a/b", "s", text), -1);
	assert_int_equal(trace_write(key, 1, "a", "s\r\nX: y", text), -1);
	assert_int_equal(trace_write(key, 1, "a", "", text), -1);
}

/* Each character counts. */
static void
any_change_is_seen(void **state)
{
	char text[TRACE_SIZE], bad[TRACE_SIZE + 2];
	struct trace t;
	size_t len;

	(void)state;
	assert_int_equal(trace_write(key, 7, "ip-a", "default", text), 0);
	len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		memcpy(bad, text, len + 1);
		bad[i] = bad[i] == 'z' ? 'y' : 'z';
		assert_int_equal(trace_read(key, bad, &t), -1);
		bad[i] = '\0';
		assert_int_equal(trace_read(key, bad, &t), -1);
		bad[i] = '/';
		if (text[i] != '/')
			assert_int_equal(trace_read(key, bad, &t), -1);
	}
	snprintf(bad, sizeof(bad), "%s0", text);
	assert_int_equal(trace_read(key, bad, &t), -1);
	assert_int_equal(trace_read(key, "fb1////", &t), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(any_change_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
