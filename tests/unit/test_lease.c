/* SPDX-License-Identifier: ISC */
/*
 * The node's half of a lease by itself: what runs out when, what late and lost
 * answers do, what is given back, and how it goes on without Redis.
 */
#include "scheduler/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC INT64_C(1000000)
#define T0  (100 * SEC)

static void
start(struct lease *l, int64_t c1, int64_t w1, int64_t c2, int64_t w2)
{
	struct conf_rates r = { .n = c2 > 0 ? 2 : 1 };

	r.v[0] = (struct rate){ c1, w1 };
	r.v[1] = (struct rate){ c2, w2 };
	lease_init(l, SEC);
	lease_limit(l, &r, 0, SEC, T0);
}

/* Asks at `at`, and is granted `held` of each limit at once. */
static void
grant(struct lease *l, int64_t held, int64_t at_us)
{
	struct lease_answer a = { .sent_us = at_us };
	struct lease_ask ask;

	lease_wanted(l, at_us);
	lease_ask(l, 1000, at_us, &ask);
	a.seq = ask.seq;
	a.n = ask.n;
	for (unsigned i = 0; i < a.n; i++)
		a.items[i].held = a.items[i].target = held;
	assert_true(lease_answer(l, &a, at_us));
}

static void
nothing_leaves_before_it_is_granted(void **state)
{
	struct lease l;

	(void)state;
	start(&l, 10, SEC, 0, 0);
	assert_true(lease_when(&l, 1, T0) == INT64_MAX);
	assert_true(lease_due(&l) == INT64_MAX);
	assert_true(lease_wanted(&l, T0));
	assert_true(lease_due(&l) <= T0);
	grant(&l, 10, T0);
	assert_int_equal(lease_when(&l, 1, T0), T0);
	assert_int_equal(lease_room(&l, T0), 10);
	lease_fini(&l);
}

static void
a_grant_runs_out_from_when_it_was_asked_for(void **state)
{
	struct lease_answer a = { 0 };
	struct lease_ask ask;
	struct lease l;

	(void)state;
	start(&l, 10, SEC, 0, 0);
	lease_wanted(&l, T0);
	lease_ask(&l, 5, T0, &ask);
	a = (struct lease_answer){ .seq = ask.seq, .sent_us = T0, .n = 1 };
	a.items[0].held = 10;
	/* The answer comes when we have stood still for half of it. */
	assert_true(lease_answer(&l, &a, T0 + SEC / 2));
	assert_int_equal(lease_when(&l, 1, T0 + SEC - 1), T0 + SEC - 1);
	assert_true(lease_when(&l, 1, T0 + SEC) == INT64_MAX);
	assert_int_equal(lease_room(&l, T0 + SEC), 0);
	lease_fini(&l);
}

static void
while_a_renewal_is_out_the_old_grant_holds_for_a_quarter(void **state)
{
	struct lease_ask ask;
	struct lease l;

	(void)state;
	start(&l, 10, SEC, 0, 0);
	grant(&l, 10, T0);
	assert_int_equal(lease_due(&l), T0 + SEC / 2);
	lease_ask(&l, 5, T0 + SEC / 2, &ask);
	assert_int_equal(ask.items[0].have, 10);
	assert_true(lease_is_valid(&l, T0 + SEC / 2 + SEC / 4 - 1));
	assert_false(lease_is_valid(&l, T0 + SEC / 2 + SEC / 4));
	lease_fini(&l);
}

static void
late_answers_are_refused(void **state)
{
	struct lease_answer a = { .n = 1, .sent_us = T0 };
	struct lease_ask first, second;
	struct lease l;

	(void)state;
	start(&l, 10, SEC, 0, 0);
	lease_wanted(&l, T0);
	lease_ask(&l, 5, T0, &first);
	lease_failed(&l, T0 + SEC);
	lease_ask(&l, 5, T0 + SEC, &second);
	a.seq = first.seq;
	a.items[0].held = 10;
	assert_false(lease_answer(&l, &a, T0 + SEC + 1));
	assert_int_equal(lease_room(&l, T0 + SEC + 1), 0);
	a.seq = second.seq;
	assert_true(lease_answer(&l, &a, T0 + SEC + 2));
	assert_false(lease_answer(&l, &a, T0 + SEC + 3)); /* once */
	lease_fini(&l);
}

static void
a_share_is_used_once_in_each_window(void **state)
{
	struct lease l;
	int64_t when_us;

	(void)state;
	start(&l, 4, SEC, 0, 0);
	grant(&l, 4, T0);
	for (int i = 0; i < 4; i++) {
		when_us = lease_when(&l, 1, T0 + i * SEC / 4);
		assert_true(when_us <= T0 + i * SEC / 4);
		lease_charge(&l, 1, T0 + i * SEC / 4);
	}
	grant(&l, 4, T0 + SEC * 3 / 4);
	when_us = lease_when(&l, 1, T0 + SEC * 3 / 4);
	/* The first one's window is over a second after it left, and the slice
	 * in which it did. */
	assert_in_range(when_us, T0 + SEC, T0 + SEC + 2 * SEC / LEASE_SLICES);
	lease_give_back(&l, 1, T0 + SEC * 3 / 4, true, T0 + SEC * 3 / 4);
	assert_int_equal(lease_room(&l, T0 + SEC * 3 / 4), 1);
	lease_fini(&l);
}

static void
who_sends_nothing_gives_all_back(void **state)
{
	struct lease_answer a = { .n = 2 };
	struct lease_ask ask;
	struct lease l;

	(void)state;
	start(&l, 10, SEC, 500, 3600 * SEC);
	grant(&l, 10, T0);
	lease_ask(&l, 0, T0 + SEC / 2, &ask);
	assert_false(ask.is_release);
	a.seq = ask.seq;
	a.sent_us = T0 + SEC / 2;
	a.items[0].held = 3;
	a.items[1].held = ask.items[1].have;
	lease_answer(&l, &a, T0 + SEC / 2);
	lease_ask(&l, 0, T0 + SEC, &ask);
	assert_true(ask.is_release);
	assert_int_equal(ask.items[0].want, 0);
	assert_int_equal(ask.items[1].have, 0);
	assert_int_equal(ask.items[1].back, a.items[1].held);
	a = (struct lease_answer){
		.seq = ask.seq, .n = 2, .sent_us = T0 + SEC
	};
	lease_answer(&l, &a, T0 + SEC);
	assert_true(lease_due(&l) == INT64_MAX);
	lease_fini(&l);
}

static void
without_redis_each_takes_its_part(void **state)
{
	static const struct {
		int64_t limit;
		unsigned n_nodes;
		int64_t part;
	} cases[] = {
		{ 300, 3, 100 },
		{ 100, 3, 33 },
		{ 2, 5, 1 }, /* at least one */
		{ 7, 1, 7 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lease l;

		start(&l, cases[i].limit, SEC, 0, 0);
		lease_loosen(&l, cases[i].n_nodes, T0);
		/* Not before the last window, of others too, is over. */
		assert_int_equal(lease_room(&l, T0 + SEC - 1), 0);
		assert_int_equal(lease_when(&l, 1, T0), T0 + SEC);
		assert_int_equal(lease_room(&l, T0 + SEC), cases[i].part);
		/* Back: its part goes on until it is answered. */
		lease_loosen(&l, 0, T0 + 5 * SEC);
		assert_true(lease_is_valid(&l, T0 + 5 * SEC));
		assert_false(lease_is_valid(&l, T0 + 6 * SEC));
		lease_fini(&l);
	}
}

static void
a_long_window_begins_with_nothing_without_redis(void **state)
{
	int64_t when_us, n = 0;
	struct lease l;

	(void)state;
	start(&l, 3600, 3600 * SEC, 0, 0);
	lease_loosen(&l, 2, T0);
	assert_int_equal(lease_room(&l, T0), 0);
	for (int64_t t = T0; t < T0 + 3600 * SEC; t = when_us) {
		when_us = lease_when(&l, 1, t);
		if (when_us > t)
			continue;
		lease_charge(&l, 1, t);
		n++;
	}
	assert_in_range(n, 1700, 1800);
	lease_fini(&l);
}

/* While nobody grants, others may have used up all of a window that this node
 * has just been told of. */
static void
a_window_that_is_new_without_redis_begins_with_nothing(void **state)
{
	static const struct {
		int64_t count, window_us;
		int64_t first_us; /* from when one may leave */
	} cases[] = {
		{ 20, SEC, SEC },
		{ 100, 20 * SEC, 20 * SEC },
		{ 6000, 60 * SEC, SEC / 50 },
		{ 3600, 3600 * SEC, 2 * SEC },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int is_first = 0; is_first < 2; is_first++) {
			struct conf_rates r = { .n = 2 - (size_t)is_first };
			struct lease l;
			int64_t when_us;

			r.v[0] =
			    (struct rate){ cases[i].count, cases[i].window_us };
			r.v[1] = (struct rate){ 1000000, 10 * SEC };
			if (is_first)
				lease_init(&l, SEC);
			else
				start(&l, 1000000, 10 * SEC, 0, 0);
			lease_loosen(&l, 2, T0 - 1000 * SEC);
			lease_limit(&l, &r, 0, SEC, T0);
			assert_int_equal(lease_room(&l, T0), 0);
			when_us = lease_when(&l, 1, T0);
			assert_in_range(when_us - T0,
			    cases[i].first_us * 95 / 100,
			    cases[i].first_us * 105 / 100);
			/* The same again begins nothing anew. */
			lease_limit(&l, &r, 0, SEC, when_us);
			assert_int_equal(lease_when(&l, 1, when_us), when_us);
			lease_fini(&l);
		}
}

/* Its part would be full again by then, and what came in was lost. */
static void
a_part_of_a_long_window_takes_nothing_back(void **state)
{
	struct lease l;
	int64_t now_us = T0;

	(void)state;
	start(&l, 6000, 60 * SEC, 0, 0);
	lease_loosen(&l, 2, T0);
	for (int i = 0; i < 5; i++) {
		now_us = lease_when(&l, 1, now_us);
		lease_charge(&l, 1, now_us);
	}
	assert_int_equal(lease_room(&l, now_us), 0);
	lease_give_back(&l, 5, T0 + SEC / 2, true, now_us);
	assert_int_equal(lease_room(&l, now_us), 0);
	lease_fini(&l);
}

static void
a_days_tokens_dont_run_out_but_end_with_it(void **state)
{
	struct lease_ask ask;
	struct lease l;

	(void)state;
	lease_init(&l, SEC);
	lease_day(&l, 7, 1000, 40);
	grant(&l, 10, T0);
	assert_int_equal(lease_room(&l, T0 + 100 * SEC), 10);
	lease_charge(&l, 4, T0 + 100 * SEC);
	lease_ask(&l, 100, T0 + 100 * SEC, &ask);
	assert_int_equal(ask.items[0].have, 44);
	assert_int_equal(ask.items[0].hold, 6);
	lease_day(&l, 8, 1000, 0);
	assert_int_equal(lease_room(&l, T0 + 101 * SEC), 0);
	lease_day(&l, 8, INT64_MAX, 0);
	assert_int_equal(lease_when(&l, 1, T0 + 101 * SEC), T0 + 101 * SEC);
	lease_fini(&l);
}

/* ---- what is shared changes under a call that is out: its answer is about
 * other limits, and must neither count nor be waited for ---- */

#define MINUTE (60 * SEC)
#define DAY    20000

static void
set_rate(struct lease *l, int64_t count, int64_t window_us)
{
	struct conf_rates rates = { .n = 1, .v = { { count, window_us } } };

	lease_limit(l, &rates, 1, SEC, SEC);
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
		cmocka_unit_test(nothing_leaves_before_it_is_granted),
		cmocka_unit_test(a_grant_runs_out_from_when_it_was_asked_for),
		cmocka_unit_test(
		    while_a_renewal_is_out_the_old_grant_holds_for_a_quarter),
		cmocka_unit_test(late_answers_are_refused),
		cmocka_unit_test(a_share_is_used_once_in_each_window),
		cmocka_unit_test(who_sends_nothing_gives_all_back),
		cmocka_unit_test(without_redis_each_takes_its_part),
		cmocka_unit_test(
		    a_long_window_begins_with_nothing_without_redis),
		cmocka_unit_test(
		    a_window_that_is_new_without_redis_begins_with_nothing),
		cmocka_unit_test(a_part_of_a_long_window_takes_nothing_back),
		cmocka_unit_test(a_days_tokens_dont_run_out_but_end_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
