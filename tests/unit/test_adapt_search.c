/* SPDX-License-Identifier: ISC */
/* How far apart messages may be, found in few tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "scheduler/adapt_private.h"

#define SEC	INT64_C(1000000)
#define TRIP_US 10000

struct lane {
	struct adapt a;
	int64_t now_us;
	int64_t gap_us;		     /* the provider's: a token each */
	int64_t depth;		     /* of its bucket */
	int64_t level_us, filled_us; /* tokens x gap_us, as of then */
	int n_accepted, n_refused;
};

static void
begin(struct lane *l, int64_t hold_us, int64_t ceiling_gap_us, int64_t gap_us)
{
	struct conf_adapt c = {
		.enabled = true,
		.floor = { 1, 3600 * SEC },
		.react = { .decrease_permille = 150, .hold_us = hold_us },
		.recover = { .probe_permille = 50, .every_us = hold_us / 2 },
	};

	*l = (struct lane){ .now_us = 10 * SEC,
		.gap_us = gap_us,
		.depth = 1,
		.level_us = INT64_MAX / 2 };
	adapt_init(&l->a, &c, rate_of(1, ceiling_gap_us), l->now_us);
}

/* Takes a token, if there is one. */
static bool
provider_takes(struct lane *l, int64_t now_us)
{
	l->level_us =
	    least(l->level_us + now_us - l->filled_us, l->depth * l->gap_us);
	l->filled_us = now_us;
	if (l->level_us < l->gap_us)
		return false;
	l->level_us -= l->gap_us;
	return true;
}

/* The next one that may leave does, and is answered. */
static void
send_next(struct lane *l, int64_t ceiling_gap_us, int64_t sent_us)
{
	int64_t when_us;

	when_us = most(l->now_us, sent_us + ceiling_gap_us);
	for (;;) {
		int64_t due_us = adapt_due(&l->a);

		if (due_us <= when_us) {
			adapt_step(&l->a, due_us);
			continue;
		}
		if (adapt_when(&l->a, when_us) <= when_us)
			break;
		when_us = least(adapt_when(&l->a, when_us), due_us);
	}
	adapt_sent(&l->a, 1, when_us);
	l->now_us = when_us + TRIP_US;
	if (provider_takes(l, when_us)) {
		l->n_accepted++;
		adapt_accepted(&l->a, adapt_epoch(&l->a), 1, l->now_us);
	} else {
		l->n_refused++;
		adapt_refused(&l->a, adapt_epoch(&l->a), 1, 0, l->now_us);
	}
	adapt_answered(&l->a, adapt_epoch(&l->a));
}

static void
the_gap_is_found_in_few_tries(void **state)
{
	static const struct {
		int64_t hold_us, ceiling_gap_us, gap_us;
		int n_refused;
	} rows[] = {
		{ SEC, SEC / 2, 5 * SEC, 4 },
		{ SEC, 5 * SEC / 3, 5 * SEC, 3 },
		{ SEC, SEC, 4 * SEC, 3 },
		{ SEC, SEC / 2, 20 * SEC, 8 },
		/* a provider's real times */
		{ 60 * SEC, 20 * SEC, 300 * SEC, 5 },
		{ 60 * SEC, 30 * SEC, 95 * SEC, 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lane l;
		int64_t gap_us;

		begin(&l, rows[i].hold_us, rows[i].ceiling_gap_us,
		    rows[i].gap_us);
		for (int k = 0; k < 13; k++)
			send_next(&l, rows[i].ceiling_gap_us,
			    k == 0 ? INT64_MIN / 2 : l.now_us - TRIP_US);
		gap_us = takes_us(adapt_rate(&l.a), RATE_ONE);
		if (l.n_refused > rows[i].n_refused ||
		    gap_us > rows[i].gap_us * 13 / 10)
			print_error("row %zu: %d refused, gap %lld\n", i,
			    l.n_refused, (long long)gap_us);
		assert_in_range(l.n_refused, 1, rows[i].n_refused);
		assert_in_range(gap_us, rows[i].gap_us * 99 / 100,
		    rows[i].gap_us * 13 / 10);
	}
}

/* Twelve a minute, from different ceilings: one refusal in the first minute,
 * and no more than the first interval lost. */
static void
a_round_gap_is_found_first(void **state)
{
	static const int64_t ceilings_us[] = { SEC, 5 * SEC / 4, 10 * SEC / 7,
		5 * SEC / 3 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct lane l;
		int64_t from_us;

		begin(&l, SEC, ceilings_us[i], 5 * SEC);
		from_us = l.now_us;
		while (l.now_us - from_us < 56 * SEC)
			send_next(&l, ceilings_us[i],
			    l.n_accepted == 0 ? INT64_MIN / 2
					      : l.now_us - TRIP_US);
		if (l.n_refused != 1 || l.n_accepted < 12)
			print_error("ceiling %zu: %d refused, %d accepted\n", i,
			    l.n_refused, l.n_accepted);
		assert_int_equal(l.n_refused, 1);
		assert_in_range(l.n_accepted, 12, 13);
	}
}

/* The first two are taken at the ceiling's speed, and a gap that is good only
 * because something was left in the bucket isn't kept to. */
static void
a_bucket_of_two_is_no_trap(void **state)
{
	static const int64_t gaps_us[] = { 2 * SEC, 3 * SEC, 5 * SEC, 8 * SEC };
	static const int64_t ceilings[] = { 3, 4, 6, 9 }; /* x the limit */

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		int64_t gap_us = gaps_us[i / 4];
		int64_t fast_us = gap_us / ceilings[i % 4];
		int64_t from_us;
		int n_before;
		struct lane l;

		begin(&l, SEC, fast_us, gap_us);
		l.depth = 2;
		for (int k = 0; k < 24; k++)
			send_next(&l, fast_us,
			    k == 0 ? INT64_MIN / 2 : l.now_us - TRIP_US);
		/* The gap that holds was looked for once more by now. */
		from_us = l.now_us;
		n_before = l.n_accepted;
		for (int k = 0; k < 24; k++)
			send_next(&l, fast_us, l.now_us - TRIP_US);
		if (l.n_refused > 7)
			print_error("gap %lld, ceiling x %lld: %d refused\n",
			    (long long)gap_us, (long long)ceilings[i % 4],
			    l.n_refused);
		assert_in_range(l.n_refused, 1, 7);
		assert_in_range((l.now_us - from_us) /
			(l.n_accepted - n_before),
		    gap_us * 95 / 100, gap_us * 14 / 10);
	}
}

/* A provider that takes nothing for hours isn't one that takes a message in so
 * many hours. */
static void
no_wait_is_longer_than_the_floor(void **state)
{
	struct lane l;

	(void)state;
	begin(&l, 60 * SEC, 20 * SEC, 20 * 3600 * SEC);
	l.a.floor = rate_of(1, 60 * SEC);
	for (int k = 0; k < 200; k++) {
		int64_t before_us = l.now_us;

		send_next(&l, 20 * SEC,
		    k == 0 ? INT64_MIN / 2 : l.now_us - TRIP_US);
		assert_true(l.now_us - before_us <= 61 * SEC);
	}
	assert_int_equal(l.n_accepted, 1);
	l.gap_us = 21 * SEC; /* it is well again */
	for (int k = 0; k < 200; k++)
		send_next(&l, 20 * SEC, l.now_us - TRIP_US);
	assert_in_range(takes_us(adapt_rate(&l.a), RATE_ONE), 20 * SEC,
	    30 * SEC);
}

static void
fast_lanes_are_measured_instead(void **state)
{
	struct lane l;

	(void)state;
	begin(&l, SEC, SEC / 100, SEC / 20);
	send_next(&l, SEC / 100, INT64_MIN / 2);
	assert_false(adapt_search_refused(&l.a, rate_of(1, SEC / 100),
	    l.now_us + 1));
	/* Nothing was accepted yet: there is no gap. */
	begin(&l, SEC, SEC, 5 * SEC);
	assert_false(adapt_search_refused(&l.a, rate_of(1, SEC), l.now_us));
}

static void
the_mean_is_geometric(void **state)
{
	(void)state;
	assert_int_equal(adapt_between(4, 9), 6);
	assert_int_equal(adapt_between(9, 4), 6);
	assert_int_equal(adapt_between(0, 9), 0);
	assert_int_equal(adapt_between(RATE_MOST, RATE_MOST), RATE_MOST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_gap_is_found_in_few_tries),
		cmocka_unit_test(a_round_gap_is_found_first),
		cmocka_unit_test(a_bucket_of_two_is_no_trap),
		cmocka_unit_test(no_wait_is_longer_than_the_floor),
		cmocka_unit_test(fast_lanes_are_measured_instead),
		cmocka_unit_test(the_mean_is_geometric),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
