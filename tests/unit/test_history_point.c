/* SPDX-License-Identifier: ISC */
/* Points of a lane's history as they are stored, and the ring they lie in. */
#include "daemon/history_point.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

#define T INT64_C(1795572600)

static void
round_trip(void **state)
{
	static const struct history_point cases[] = {
		{ .utc_s = T, .rate_milli = -1 },
		{ .utc_s = T,
		    .n_accepted = 1,
		    .n_delivered = 2,
		    .n_deferred = 3,
		    .n_bounced = 4,
		    .n_refused = { [CLASS_RATE] = 3, [CLASS_OTHER] = 4 },
		    .n_queued = 1000000,
		    .rate_milli = 5555,
		    .reply = "421-4.7.28 one\n421 4.7.28 \"two\" \t - 1,2:3" },
		{ .utc_s = T,
		    .n_refused = { [CLASS_GREYLIST] = INT64_MAX },
		    .reply = " begins with a blank" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf text = { 0 };
		struct history_point p;

		history_point_format(&cases[i], &text);
		assert_int_equal(history_point_parse(text.data, text.len, &p),
		    0);
		assert_memory_equal(&p, &cases[i], sizeof(p));
		strbuf_fini(&text);
	}
}

static void
refused(void **state)
{
	static const char *const cases[] = { "", "x", "1 2 3 4 5 6 7",
		"1 2 3 4 5 6 7 -", "0 0 0 0 0 0 0 - ", "-5 0 0 0 0 0 0 - ",
		"1 0 0 0 0 0 0 rate ", "1 0 0 0 0 0 x - " };
	char big[3000];
	struct history_point p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (history_point_parse(cases[i], strlen(cases[i]), &p) == 0)
			fail_msg("taken: %s", cases[i]);
	memset(big, 'x', sizeof(big));
	assert_int_equal(history_point_parse(big, sizeof(big), &p), -1);
	/* A class that this version doesn't know is left out. */
	assert_int_equal(history_point_parse("1 0 0 0 0 0 0 new:3,rate:1 r", 28,
			     &p),
	    0);
	assert_int_equal(p.n_refused[CLASS_RATE], 1);
	assert_string_equal(p.reply, "r");
}

static void
long_replies_end_with_a_character(void **state)
{
	struct history_point p = { 0 };
	char reply[HISTORY_REPLY_MAX + 10];

	(void)state;
	memset(reply, 'x', sizeof(reply));
	memcpy(reply + HISTORY_REPLY_MAX - 1, "\xc3\xa4zz", 5);
	history_point_set_reply(&p, reply);
	assert_int_equal(strlen(p.reply), HISTORY_REPLY_MAX - 1);
	history_point_set_reply(&p, "short");
	assert_string_equal(p.reply, "short");
}

static void
keys_are_a_ring(void **state)
{
	char a[100], b[100];
	size_t n;

	(void)state;
	for (int kind = 0; kind < HISTORY_KINDS; kind++) {
		enum history_kind k = (enum history_kind)kind;
		int64_t round_s = history_span_s[k] * history_ring[k];

		n = history_key(a, sizeof(a), k, "ip-a/gmail", T);
		assert_true(n > 0);
		assert_int_equal(history_key_kind(a, n), kind);
		assert_int_equal(history_key(b, sizeof(b), k, "ip-a/gmail",
				     T + round_s),
		    n);
		assert_memory_equal(a, b, n);
		history_key(b, sizeof(b), k, "ip-a/gmail",
		    T + history_span_s[k]);
		assert_memory_not_equal(a, b, n);
		history_key(b, sizeof(b), k, "ip-b/gmail", T);
		assert_memory_not_equal(a, b, n);
	}
	assert_int_equal(history_key(a, 12, HISTORY_MINUTE, "ip-a/gmail", T),
	    0);
	assert_int_equal(history_key_kind("s x", 3), -1);
	assert_int_equal(history_key_kind("hq x", 4), -1);
	assert_int_equal(history_key_kind("hm", 2), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refused),
		cmocka_unit_test(long_replies_end_with_a_character),
		cmocka_unit_test(keys_are_a_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
