/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "conf/base/rng.h"
#include "daemon/outcome.h"

/* Results by letter. */
static struct rcpt_result
result_of(char letter)
{
	static const struct {
		char letter;
		enum rcpt_fate fate;
		int code;
		enum reply_class class;
		enum blame blame;
	} rows[] = {
		{ 'k', FATE_DELIVERED, 250, CLASS_OK, BLAME_NOBODY },
		{ 'u', FATE_FAILED, 550, CLASS_BAD_MAILBOX, BLAME_RECIPIENT },
		{ 'f', FATE_DEFERRED, 452, CLASS_MAILBOX_FULL,
		    BLAME_RECIPIENT },
		{ 'g', FATE_DEFERRED, 450, CLASS_GREYLIST, BLAME_MESSAGE },
		{ 'r', FATE_DEFERRED, 421, CLASS_RATE, BLAME_LANE },
		{ 'd', FATE_DEFERRED, 451, CLASS_REPUTATION_DEFER, BLAME_LANE },
		{ 'R', FATE_FAILED, 554, CLASS_REPUTATION_REJECT, BLAME_LANE },
		{ 'b', FATE_FAILED, 554, CLASS_REPUTATION_REJECT, BLAME_ROUTE },
		{ 'm', FATE_DEFERRED, 450, CLASS_RATE, BLAME_RECIPIENT },
		{ 'n', FATE_UNTRIED, 0, CLASS_OTHER, BLAME_NOBODY },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].letter == letter)
			return (struct rcpt_result){ .fate = rows[i].fate,
				.code = rows[i].code,
				.answer = { .class = rows[i].class,
				    .blame = rows[i].blame } };
	fail_msg("no result %c", letter);
	return (struct rcpt_result){ 0 };
}

static const char fate_letters[] = {
	[SPOOL_KEEP] = 'K',
	[SPOOL_DELIVERED] = 'D',
	[SPOOL_FAILED_FOR_GOOD] = 'F',
	[SPOOL_DROPPED] = 'X',
	[SPOOL_MOVE] = 'M',
};
static const char next_letters[] = {
	[SETTLE_DONE] = 'D',
	[SETTLE_REQUEUE] = 'Q',
	[SETTLE_RETRY] = 'T',
};

/* Fates, then what is next and how many stay: "KD Q1". */
static void
describe(const char *letters, uint32_t n_pending, bool adapts, char *out,
    size_t size, struct verdict *v, struct outcome *o)
{
	struct rcpt_result results[16];
	struct transaction t = { .results = results,
		.n_recipients = strlen(letters) };
	char fates[17] = "";

	for (size_t i = 0; i < t.n_recipients; i++)
		results[i] = result_of(letters[i]);
	*v = (struct verdict){ 0 };
	outcome_read(o, &t, n_pending, adapts);
	outcome_verdict(o, v);
	for (size_t i = 0; i < t.n_recipients; i++)
		fates[i] = fate_letters[outcome_spool_fate(o, &results[i])];
	snprintf(out, size, "%s %c%u %s", fates, next_letters[v->next],
	    v->n_pending, reply_class_name(v->class));
	o->speaker = NULL; /* gone with the results */
}

static void
test_cases(void **state)
{
	static const struct {
		const char *results;
		uint32_t n_pending;
		bool adapts;
		const char *expected;
	} rows[] = {
		{ "k", 1, true, "D D0 ok" },
		{ "kkk", 3, true, "DDD D0 ok" },
		{ "u", 1, true, "F D0 bad-mailbox" },
		{ "g", 1, true, "K T1 greylist" },
		{ "kf", 2, true, "DK T1 ok" },
		/* Only a part was offered: the rest goes on at once. */
		{ "kk", 5, true, "DD Q3 ok" },
		{ "kg", 5, true, "DM Q3 ok" },
		/* The peer takes no more in one go. */
		{ "kn", 2, true, "DK Q1 ok" },
		{ "fn", 2, true, "MK Q1 mailbox-full" },
		/* Too fast: the message isn't punished. */
		{ "r", 1, true, "K Q1 rate" },
		{ "d", 1, true, "K Q1 reputation-defer" },
		{ "krf", 3, true, "DKM Q1 rate" },
		/* ... unless nothing would slow the lane down. */
		{ "r", 1, false, "K T1 rate" },
		/* A mailbox that gets too much is that recipient's own. */
		{ "m", 1, true, "K T1 rate" },
		/* The gravest speaks for all. */
		{ "krR", 3, true, "DKF Q1 reputation-reject" },
		{ "kRb", 3, true, "DFF D0 reputation-reject" },
		{ "fk", 2, true, "KD T1 ok" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[80];
		struct verdict v;
		struct outcome o;

		describe(rows[i].results, rows[i].n_pending, rows[i].adapts,
		    text, sizeof(text), &v, &o);
		if (strcmp(text, rows[i].expected) != 0)
			fail_msg("%s of %u: %s, not %s", rows[i].results,
			    rows[i].n_pending, text, rows[i].expected);
	}
}

static void
test_counts(void **state)
{
	char text[80];
	struct verdict v;
	struct outcome o;

	(void)state;
	describe("kkrrdRgmn", 12, true, text, sizeof(text), &v, &o);
	assert_int_equal(v.n_delivered, 2);
	assert_int_equal(v.n_failed, 1);
	assert_int_equal(v.n_deferred, 5);
	assert_int_equal(v.n_rate, 3);
	assert_int_equal(v.n_rejected, 1);
	/* Left in the delivery: r r d, n, and three that weren't offered. */
	assert_int_equal(v.n_pending, 7);
}

/* Whatever comes: nobody is lost, nobody counted twice. */
static void
test_everybody_is_somewhere(void **state)
{
	static const char letters[] = "kufgrdRbmn";
	struct rng rng = { 20261125 };

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char results[17] = "", text[80];
		size_t n = 1 + (size_t)rng_below(&rng, 16);
		uint32_t n_pending = (uint32_t)(n + rng_below(&rng, 4));
		uint32_t n_kept = n_pending - (uint32_t)n, n_moved = 0;
		struct verdict v;
		struct outcome o;

		for (size_t i = 0; i < n; i++)
			results[i] = letters[rng_below(&rng, 10)];
		describe(results, n_pending, rng_below(&rng, 2) == 0, text,
		    sizeof(text), &v, &o);
		for (size_t i = 0; i < n; i++) {
			n_kept += text[i] == 'K';
			n_moved += text[i] == 'M';
		}
		assert_int_equal(v.n_pending, n_kept);
		assert_int_equal(n_kept + n_moved + v.n_delivered + v.n_failed,
		    n_pending);
		assert_int_equal(v.next == SETTLE_DONE, n_kept == 0);
		if (v.next == SETTLE_RETRY)
			assert_int_equal(n_moved, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_everybody_is_somewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
