/* SPDX-License-Identifier: ISC */
/*
 * A node's lease while what is shared changes under a call that is out: its
 * answer is about other limits, and must neither count nor be waited for.
 * (How leases share is test_lease_model.c's.)
 */
#include "scheduler/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SEC    INT64_C(1000000)
#define MINUTE (60 * SEC)
#define DAY    20000

static void
set_rate(struct lease *l, int64_t count, int64_t window_us)
{
	struct conf_rates rates = { .n = 1, .v = { { count, window_us } } };

	lease_limit(l, &rates, 1, SEC);
}

static struct lease_answer
answer_to(const struct lease_ask *ask, int64_t sent_us)
{
	struct lease_answer a = {
		.seq = ask->seq, .sent_us = sent_us, .n = ask->n
	};

	for (unsigned i = 0; i < ask->n; i++)
		a.items[i].held = a.items[i].target = 20;
	return a;
}

static void
what_changes_while_a_call_is_out(void **state)
{
	static const struct {
		const char *name;
		int64_t count, window_us; /* the new rate */
		int64_t day_limit;
		bool is_same; /* the answer still counts */
	} cases[] = {
		{ "nothing", 20, SEC, 1000, true },
		{ "the limit", 30, SEC, 1000, true },
		{ "the day's limit", 20, SEC, 500, true },
		{ "another window", 600, MINUTE, 1000, false },
		{ "the day is over", 20, SEC, INT64_MAX, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lease l;
		struct lease_ask ask;
		struct lease_answer a;
		bool is_taken;

		lease_init(&l, SEC);
		set_rate(&l, 20, SEC);
		lease_day(&l, DAY, 1000, 0);
		lease_wanted(&l, SEC);
		lease_ask(&l, 100, SEC, &ask);
		assert_int_equal(ask.n, 2);
		set_rate(&l, cases[i].count, cases[i].window_us);
		lease_day(&l, DAY, cases[i].day_limit, 0);
		a = answer_to(&ask, SEC);
		is_taken = lease_answer(&l, &a, SEC + 1000);
		if (is_taken != cases[i].is_same)
			fail_msg("%s: answer %staken", cases[i].name,
			    is_taken ? "" : "not ");
		if (!is_taken && lease_room(&l, SEC + 1000) != 0)
			fail_msg("%s: something is held", cases[i].name);
		/* Mail that waits is asked for again, soon. */
		lease_wanted(&l, SEC + 1000);
		if (lease_due(&l) > 2 * SEC)
			fail_msg("%s: it isn't asked again", cases[i].name);
		lease_fini(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_while_a_call_is_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
