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

static const struct recipient to[9] = {
	{ .address = (char *)"Ann@example.net" },
	{ .address = (char *)"bob@example.org" },
	{ .address = (char *)"c@example.org" },
	{ .address = (char *)"d@example.org" },
	{ .address = (char *)"e@example.org" },
	{ .address = (char *)"f@example.org" },
	{ .address = (char *)"g@example.org" },
	{ .address = (char *)"h@example.org" },
	{ .address = (char *)"i@example.org" },
};

static void
there_and_back(void **state)
{
	char text[TRACE_SIZE], longest[TRACE_NAME_MAX + 2];
	struct trace t;

	(void)state;
	assert_int_equal(trace_write(key, 42, "ip-a", "news", to, 2, text), 0);
	assert_int_equal(strncmp(text, "fb1/", 4), 0);
	assert_int_equal(trace_read(key, text, &t), 0);
	assert_int_equal(t.message, 42);
	assert_string_equal(t.route, "ip-a");
	assert_string_equal(t.stream, "news");
	assert_int_equal(trace_read(other_key, text, &t), -1);
	memset(longest, 'x', sizeof(longest));
	longest[TRACE_NAME_MAX] = '\0';
	assert_int_equal(trace_write(key, UINT64_MAX, longest, longest, to, 8,
			     text),
	    0);
	assert_int_equal(trace_read(key, text, &t), 0);
	assert_true(t.message == UINT64_MAX);
	longest[TRACE_NAME_MAX] = 'x';
	longest[TRACE_NAME_MAX + 1] = '\0';
	assert_int_equal(trace_write(key, 1, longest, "s", to, 1, text), -1);
	assert_int_equal(trace_write(key, 1, "a/b", "s", to, 1, text), -1);
	assert_int_equal(trace_write(key, 1, "a", "s\r\nX: y", to, 1, text),
	    -1);
	assert_int_equal(trace_write(key, 1, "a", "", to, 1, text), -1);
}

/* It fits where RFC 3461 wants it, in characters that xtext leaves alone. */
static void
an_envelope_has_its_own(void **state)
{
	char envid[TRACE_ENVID_SIZE], header[TRACE_SIZE];
	struct trace t;

	(void)state;
	for (size_t n = 1; n <= 9; n++) {
		trace_write_envid(key, UINT64_MAX, to, n, envid);
		assert_true(strlen(envid) <= 100);
		assert_int_equal(strncmp(envid, "fbe1/", 5), 0);
		assert_null(strpbrk(envid, "+= "));
		assert_int_equal(trace_read_envid(key, envid, &t), 0);
		assert_true(t.message == UINT64_MAX);
		assert_string_equal(t.route, "");
		assert_int_equal(trace_names_all(&t), n <= 7);
		assert_int_equal(trace_is_to(key, &t, to[n - 1].address),
		    n <= 7);
		assert_int_equal(trace_read_envid(other_key, envid, &t), -1);
	}
	/* Neither of the two passes for the other. */
	assert_int_equal(trace_read(key, envid, &t), -1);
	assert_int_equal(trace_write(key, 1, "a", "s", to, 1, header), 0);
	assert_int_equal(trace_read_envid(key, header, &t), -1);
	for (size_t i = 0; envid[i] != '\0'; i++) {
		char changed[TRACE_ENVID_SIZE];

		strcpy(changed, envid);
		changed[i] = changed[i] == '1' ? '2' : '1';
		assert_int_equal(trace_read_envid(key, changed, &t), -1);
	}
}

/* Each character counts. */
static void
any_change_is_seen(void **state)
{
	char text[TRACE_SIZE], bad[TRACE_SIZE + 2];
	struct trace t;
	size_t len;

	(void)state;
	assert_int_equal(trace_write(key, 7, "ip-a", "default", to, 2, text),
	    0);
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

/* Who got the mail may speak of himself with its mark, and of nobody else. */
static void
it_says_to_whom(void **state)
{
	char text[TRACE_SIZE], again[TRACE_SIZE];
	struct trace t;

	(void)state;
	assert_int_equal(trace_write(key, 7, "r", "s", to, 8, text), 0);
	assert_int_equal(trace_read(key, text, &t), 0);
	for (int i = 0; i < 8; i++)
		assert_true(trace_is_to(key, &t, to[i].address));
	assert_true(trace_is_to(key, &t, "aNN@EXAMPLE.net"));
	assert_false(trace_is_to(key, &t, to[8].address));
	assert_false(trace_is_to(key, &t, "ann@example.ne"));
	assert_false(trace_is_to(key, &t, ""));
	/* Too many to be told. */
	assert_int_equal(trace_write(key, 7, "r", "s", to, 9, text), 0);
	assert_int_equal(trace_read(key, text, &t), 0);
	assert_false(trace_is_to(key, &t, to[0].address));
	/* One person's mails can't be told to be one person's. */
	assert_int_equal(trace_write(key, 7, "r", "s", to, 1, text), 0);
	assert_int_equal(trace_write(key, 8, "r", "s", to, 1, again), 0);
	assert_int_not_equal(strncmp(strstr(text, "/s/"), strstr(again, "/s/"),
				 11),
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(an_envelope_has_its_own),
		cmocka_unit_test(any_change_is_seen),
		cmocka_unit_test(it_says_to_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
