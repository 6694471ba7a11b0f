/* SPDX-License-Identifier: ISC */
/*
 * Buckets: never more than the count in any window, and not much less either;
 * the microsecond that `when` names is the first at which it works; no change
 * of rates hands anything out.
 */
#include "scheduler/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define SEC  INT64_C(1000000)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)

static struct conf_rates
rates1(int64_t count, int64_t window_us)
{
	return (struct conf_rates){ .v = { { count, window_us } }, .n = 1 };
}

static struct conf_rates
rates2(int64_t c1, int64_t w1, int64_t c2, int64_t w2)
{
	return (struct conf_rates){ .v = { { c1, w1 }, { c2, w2 } }, .n = 2 };
}

/* ---- named cases ---- */

static void
shape_of_a_bucket(void **state)
{
	static const struct {
		int64_t count, burst, depth, refill;
	} cases[] = {
		{ 1, 0, 1, 1 },
		{ 20, 0, 1, 20 },
		{ 199, 0, 1, 199 },
		{ 300, 0, 3, 298 },
		{ 1000000000000, 0, 10000000000, 990000000001 },
		{ 20, 20, 20, 20 },
		{ 20, 1, 1, 20 },
		{ 20, 50, 50, 20 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_rates r = rates1(cases[i].count, SEC);
		struct bucket_set set;

		bucket_set_init(&set, &r, cases[i].burst, 0);
		assert_int_equal(bucket_set_depth(&set), cases[i].depth);
		assert_int_equal(set.v[0].refill, cases[i].refill);
		assert_int_equal(bucket_set_available(&set, 0),
		    cases[i].depth); /* new ones are full */
		bucket_set_fini(&set);
	}
}

static void
burst_passes_longer_windows_which_stay_exact(void **state)
{
	struct conf_rates r = rates2(20, SEC, 1000, HOUR);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &r, 50, 0);
	assert_int_equal(bucket_set_depth(&set), 50);
	assert_int_equal(set.v[1].depth, 50);
	assert_int_equal(set.v[1].refill, 951);
	bucket_set_fini(&set);
}

static void
unlimited_never_holds(void **state)
{
	struct conf_rates none = { .n = 0 };
	struct conf_rates unlimited = rates1(0, 0);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &none, 0, 0);
	assert_int_equal(bucket_set_available(&set, 0), INT64_MAX);
	assert_int_equal(bucket_set_depth(&set), INT64_MAX);
	assert_true(bucket_set_take(&set, 1000000, 0));
	assert_int_equal(bucket_set_when(&set, 1000000, 5, NULL), 5);
	bucket_set_change(&set, &unlimited, 0, 10);
	assert_true(bucket_set_take(&set, 1000000, 10));
	bucket_set_fini(&set);
}

static void
takes_all_windows_or_none(void **state)
{
	struct conf_rates r = rates2(1000, SEC, 5, HOUR);
	const struct bucket *holding;
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &r, 0, 0);
	assert_true(bucket_set_take(&set, 1, 0));
	assert_false(bucket_set_take(&set, 1, 0)); /* the hour's bucket: 1 */
	assert_int_equal(set.v[0].level, (__int128)9 * SEC);
	assert_int_equal(bucket_set_when(&set, 1, 0, &holding), HOUR / 5);
	assert_int_equal(holding->window_us, HOUR);
	bucket_set_fini(&set);
}

static void
more_than_the_depth_never_comes(void **state)
{
	struct conf_rates r = rates1(20, SEC);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &r, 0, 0);
	assert_int_equal(bucket_set_when(&set, 2, 0, NULL), INT64_MAX);
	assert_false(bucket_set_take(&set, 2, 100 * SEC));
	bucket_set_fini(&set);
}

static void
what_is_given_back_can_be_taken_again(void **state)
{
	struct conf_rates r = rates1(500, SEC);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &r, 0, 0);
	assert_true(bucket_set_take(&set, 5, 0));
	assert_false(bucket_set_take(&set, 1, 0));
	bucket_set_give_back(&set, 2, 0, 0);
	assert_int_equal(bucket_set_available(&set, 0), 2);
	bucket_set_give_back(&set, 100, 0, 0);
	assert_int_equal(bucket_set_available(&set, 0), 5); /* the depth */
	bucket_set_fini(&set);
}

static void
a_window_that_is_over_gets_nothing_back(void **state)
{
	struct conf_rates r = rates1(300, SEC);
	struct bucket_set set;
	int64_t t = 0;

	(void)state;
	bucket_set_init(&set, &r, 0, 0);
	assert_true(bucket_set_take(&set, 3, 0));
	while (t <= SEC) {
		t = bucket_set_when(&set, 1, t, NULL);
		assert_true(bucket_set_take(&set, 1, t));
	}
	bucket_set_give_back(&set, 1, t - SEC, t);
	assert_int_equal(bucket_set_available(&set, t), 0);
	bucket_set_give_back(&set, 1, t - SEC + 1, t);
	assert_int_equal(bucket_set_available(&set, t), 1);
	bucket_set_fini(&set);
}

static void
largest_numbers_do_not_overflow(void **state)
{
	struct conf_rates r = rates1(1000000000000, 31 * DAY);
	struct bucket_set set;
	int64_t due_us;

	(void)state;
	bucket_set_init(&set, &r, 0, 0);
	assert_true(bucket_set_take(&set, 10000000000, 0));
	assert_int_equal(bucket_set_available(&set, 0), 0);
	due_us = bucket_set_when(&set, 10000000000, 0, NULL);
	assert_true(due_us > 0 && due_us < 31 * DAY);
	assert_int_equal(bucket_set_available(&set, INT64_MAX), 10000000000);
	assert_int_equal(bucket_set_when(&set, 1, INT64_MAX, NULL), INT64_MAX);
	bucket_set_fini(&set);
}

static void
a_clock_that_stands_refills_nothing(void **state)
{
	struct conf_rates r = rates1(20, SEC);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &r, 0, 10 * SEC);
	assert_true(bucket_set_take(&set, 1, 10 * SEC));
	assert_false(bucket_set_take(&set, 1, 10 * SEC));
	assert_false(bucket_set_take(&set, 1, 9 * SEC));
	assert_true(bucket_set_take(&set, 1, 10 * SEC + SEC / 20));
	bucket_set_fini(&set);
}

/* ---- changes of rates ---- */

static void
a_change_keeps_what_was_spent(void **state)
{
	struct conf_rates low = rates1(500, SEC), high = rates1(5000, SEC);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &low, 0, 0);
	assert_true(bucket_set_take(&set, 5, 0));
	bucket_set_change(&set, &high, 0, 0);
	assert_int_equal(bucket_set_available(&set, 0), 0);
	assert_int_equal(bucket_set_depth(&set), 50);
	bucket_set_change(&set, &low, 0, SEC); /* full, but cut to 5 */
	assert_int_equal(bucket_set_available(&set, SEC), 5);
	bucket_set_fini(&set);
}

static void
a_new_window_starts_with_what_could_have_left(void **state)
{
	struct conf_rates before = rates1(1000, 60 * SEC);
	struct conf_rates after = rates2(1000, 60 * SEC, 100000, DAY);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &before, 0, 0);
	assert_true(bucket_set_take(&set, 7, 0));
	bucket_set_change(&set, &after, 0, 0);
	assert_int_equal(bucket_set_available(&set, 0), 3);
	assert_int_equal(set.v[1].level / DAY, 3); /* not 1000 */
	bucket_set_fini(&set);
}

static void
a_window_that_comes_back_is_remembered(void **state)
{
	struct conf_rates both = rates2(100, SEC, 1000, HOUR);
	struct conf_rates second = rates1(100, SEC);
	struct conf_rates none = { .n = 0 };
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &both, 0, 0);
	for (int i = 0; i < 10; i++)
		assert_true(bucket_set_take(&set, 1, i * SEC));
	bucket_set_change(&set, &second, 0, 10 * SEC);
	assert_true(bucket_set_take(&set, 1, 11 * SEC));
	bucket_set_change(&set, &none, 0, 12 * SEC);
	assert_true(bucket_set_take(&set, 500, 12 * SEC));
	bucket_set_change(&set, &both, 0, 12 * SEC);
	assert_int_equal(bucket_set_available(&set, 12 * SEC), 0);
	/* A wide override leaves no debt behind. */
	assert_true(bucket_set_when(&set, 1, 12 * SEC, NULL) < 16 * SEC);
	bucket_set_fini(&set);
}

/* ---- properties ---- */

#define EVENTS 4000

struct history {
	int64_t at_us[EVENTS], n[EVENTS];
	int count;
};

/* The most that left in any half-open interval of this length. */
static int64_t
peak(const struct history *h, int64_t window_us)
{
	int64_t sum = 0, most = 0;

	for (int from = 0, to = 0; to < h->count; to++) {
		sum += h->n[to];
		while (h->at_us[to] - h->at_us[from] >= window_us)
			sum -= h->n[from++];
		if (sum > most)
			most = sum;
	}
	return most;
}

static void
record(struct history *h, int64_t at_us, int64_t n)
{
	if (h->count < EVENTS) {
		h->at_us[h->count] = at_us;
		h->n[h->count++] = n;
	}
}

static struct conf_rates
random_rates(struct rng *rng)
{
	static const int64_t windows[] = { 100000, SEC, 7 * SEC, 60 * SEC };
	struct conf_rates r = { .n = 1 + rng_below(rng, 3) };
	uint64_t first = rng_below(rng, 4);

	for (size_t i = 0; i < r.n; i++)
		r.v[i] = (struct rate){
			1 +
			    (int64_t)rng_below(rng,
				rng_below(rng, 2) ? 30 : 3000),
			windows[(first + i) % 4],
		};
	return r;
}

/* One load: greedy, or with pauses, some of it given back. */
static void
run_load(struct bucket_set *set, struct rng *rng, struct history *h)
{
	int64_t depth = bucket_set_depth(set), now_us = 0;
	uint64_t lull = rng_below(rng, 3) == 0 ? 5 : 0;

	while (h->count < EVENTS) {
		int64_t n = 1 + (int64_t)rng_below(rng, (uint64_t)depth);
		int64_t due_us = bucket_set_when(set, n, now_us, NULL);

		if (due_us > now_us) {
			assert_false(bucket_set_take(set, n, due_us - 1));
			assert_int_equal(bucket_set_when(set, n, due_us - 1,
					     NULL),
			    due_us);
		}
		now_us = due_us;
		assert_true(bucket_set_take(set, n, now_us));
		if (rng_below(rng, 10) == 0)
			bucket_set_give_back(set, n, now_us, now_us);
		else
			record(h, now_us, n);
		if (lull > 0)
			now_us += (int64_t)rng_below(rng, lull * 1000000);
	}
}

static void
never_more_than_the_count_in_any_window(void **state)
{
	static struct history h;

	(void)state;
	print_message("seeds 1..60\n");
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rng rng = { .state = seed };
		struct conf_rates r = random_rates(&rng);
		struct bucket_set set;

		h.count = 0;
		bucket_set_init(&set, &r, 0, 0);
		run_load(&set, &rng, &h);
		for (size_t i = 0; i < r.n; i++)
			assert_true(peak(&h, r.v[i].window_us) <= r.v[i].count);
		bucket_set_fini(&set);
	}
}

static void
with_a_burst_at_most_that_much_more(void **state)
{
	static struct history h;

	(void)state;
	print_message("seeds 1..60\n");
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rng rng = { .state = seed };
		struct conf_rates r = random_rates(&rng);
		int64_t burst = 1 + (int64_t)rng_below(&rng, 100);
		int64_t shortest_us = INT64_MAX;
		struct bucket_set set;

		h.count = 0;
		bucket_set_init(&set, &r, burst, 0);
		run_load(&set, &rng, &h);
		for (size_t i = 0; i < r.n; i++)
			if (r.v[i].window_us < shortest_us)
				shortest_us = r.v[i].window_us;
		for (size_t i = 0; i < r.n; i++)
			assert_true(peak(&h, r.v[i].window_us) <= r.v[i].count +
				(r.v[i].window_us == shortest_us ? burst - 1
								 : 0));
		bucket_set_fini(&set);
	}
}

/* For 1.5 s nobody answers, and each connect times out after as long: what
 * those were charged comes back while all is well again. */
static void
connects_that_time_out_allow_no_second_helping(void **state)
{
	struct conf_rates r = rates1(1000, SEC);
	static struct history h;
	static int64_t lost_us[EVENTS];
	struct bucket_set set;
	int n_lost = 0, n_back = 0;
	int64_t t = 0;

	(void)state;
	h.count = 0;
	bucket_set_init(&set, &r, 0, 0);
	while (t < 3 * SEC) {
		int64_t due_us = bucket_set_when(&set, 1, t, NULL);

		if (n_back < n_lost &&
		    lost_us[n_back] + SEC * 3 / 2 <= due_us) {
			t = lost_us[n_back] + SEC * 3 / 2;
			bucket_set_give_back(&set, 1, lost_us[n_back++], t);
			continue;
		}
		t = due_us;
		assert_true(bucket_set_take(&set, 1, t));
		if (t < SEC * 3 / 2)
			lost_us[n_lost++] = t;
		else
			record(&h, t, 1);
	}
	assert_true(n_back > 1400);
	assert_true(h.count > 1400);
	assert_true(peak(&h, SEC) <= 1000);
	bucket_set_fini(&set);
}

/* Some of what is taken is never used and comes back sooner or later: at no
 * time is there more than if it had not been taken at all. */
static void
what_comes_back_is_never_more_than_was_missing(void **state)
{
	enum { OUT = 64 };

	(void)state;
	print_message("seeds 1..200\n");
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct rng rng = { .state = seed };
		struct conf_rates r = random_rates(&rng);
		int64_t burst =
		    (int64_t)rng_below(&rng, 2) * (int64_t)rng_below(&rng, 40);
		struct {
			int64_t n, left_us;
		} out[OUT];
		struct bucket_set real, never;
		int64_t now_us = 0, gap_us = 1 << rng_below(&rng, 20);
		size_t n_out = 0;

		bucket_set_init(&real, &r, burst, 0);
		bucket_set_init(&never, &r, burst, 0);
		for (int step = 0; step < 3000; step++) {
			int64_t depth = bucket_set_depth(&real);
			int64_t n =
			    1 + (int64_t)rng_below(&rng, (uint64_t)depth);
			size_t k;

			now_us += (int64_t)rng_below(&rng, (uint64_t)gap_us);
			switch (rng_below(&rng, 3)) {
			case 0:
				if (bucket_set_take(&real, n, now_us))
					assert_true(bucket_set_take(&never, n,
					    now_us));
				break;
			case 1:
				if (n_out == OUT ||
				    !bucket_set_take(&real, n, now_us))
					break;
				out[n_out].n = n;
				out[n_out++].left_us = now_us;
				break;
			case 2:
				if (n_out == 0)
					break;
				k = rng_below(&rng, n_out);
				bucket_set_give_back(&real, out[k].n,
				    out[k].left_us, now_us);
				out[k] = out[--n_out];
				break;
			}
			bucket_set_available(&never, now_us);
			bucket_set_available(&real, now_us);
			for (unsigned i = 0; i < real.n; i++)
				assert_true(real.v[i].level <=
				    never.v[i].level);
		}
		bucket_set_fini(&real);
		bucket_set_fini(&never);
	}
}

/* For half a minute each connect is lost after its second: nothing has left,
 * and what comes back may not be sent beside what came in meanwhile. */
static void
a_refilled_bucket_takes_nothing_back_twice(void **state)
{
	struct conf_rates r = rates1(60, 60 * SEC);
	static struct history h;
	struct bucket_set set;
	int64_t lost_us[40];
	int n_lost = 0;

	(void)state;
	h.count = 0;
	bucket_set_init(&set, &r, 0, 0);
	for (int64_t t = 0; n_lost < 40; t += SEC) {
		assert_true(bucket_set_take(&set, 1, t));
		lost_us[n_lost++] = t;
	}
	for (int64_t t = 40 * SEC; t < 100 * SEC; t += SEC / 2) {
		if (n_lost > 0)
			bucket_set_give_back(&set, 1, lost_us[--n_lost], t);
		while (bucket_set_take(&set, 1, t))
			record(&h, t, 1);
	}
	assert_in_range(peak(&h, 60 * SEC), 59, 60);
	bucket_set_fini(&set);
}

/* Exactness may not be bought with sloth: a greedy load gets 98%. */
static void
a_greedy_load_gets_nearly_all(void **state)
{
	static const int64_t counts[] = { 1, 3, 20, 99, 100, 300, 5000 };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct conf_rates r = rates1(counts[i], SEC);
		struct bucket_set set;
		int64_t n = 0;

		bucket_set_init(&set, &r, 0, 0);
		for (int64_t t = 0; t < 100 * SEC;) {
			t = bucket_set_when(&set, 1, t, NULL);
			assert_true(bucket_set_take(&set, 1, t));
			n++;
		}
		assert_in_range(n, 98 * counts[i], 101 * counts[i]);
		bucket_set_fini(&set);
	}
}

/* Windows come and go at random; one stays, and a second keeps returning. */
static void
no_change_hands_anything_out(void **state)
{
	static struct history h;

	(void)state;
	print_message("seeds 1..60\n");
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rng rng = { .state = seed };
		struct conf_rates keep = rates2(200, SEC, 3000, 60 * SEC);
		struct conf_rates with = keep, more = keep;
		struct bucket_set set;
		int64_t now_us = 0;

		with.v[with.n++] = (struct rate){ 50, 7 * SEC };
		more.v[0].count = 150;
		h.count = 0;
		bucket_set_init(&set, &keep, 0, 0);
		while (h.count < EVENTS) {
			int64_t before = bucket_set_available(&set, now_us);
			uint64_t which = rng_below(&rng, 3);

			bucket_set_change(&set,
			    which == 0	     ? &keep
				: which == 1 ? &with
					     : &more,
			    0, now_us);
			/* A window that is known may have more left than a
			 * narrower one that goes; nothing else rises. */
			if (which == 1)
				assert_true(bucket_set_available(&set,
						now_us) <= before);
			while (bucket_set_take(&set, 1, now_us))
				record(&h, now_us, 1);
			now_us += (int64_t)rng_below(&rng, SEC / 5);
		}
		assert_true(peak(&h, SEC) <= 200);
		assert_true(peak(&h, 60 * SEC) <= 3000);
		bucket_set_fini(&set);
	}
}

static void
full_at_is_when_nothing_is_remembered(void **state)
{
	struct conf_rates r = rates2(20, SEC, 1000, HOUR);
	struct bucket_set set;

	(void)state;
	bucket_set_init(&set, &r, 0, 0);
	assert_int_equal(bucket_set_full_at(&set, 7), 7);
	assert_true(bucket_set_take(&set, 1, 7));
	assert_true(bucket_set_full_at(&set, 7) > 7 + SEC);
	assert_int_equal(bucket_set_available(&set,
			     bucket_set_full_at(&set, 7)),
	    1);
	bucket_set_fini(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shape_of_a_bucket),
		cmocka_unit_test(burst_passes_longer_windows_which_stay_exact),
		cmocka_unit_test(unlimited_never_holds),
		cmocka_unit_test(takes_all_windows_or_none),
		cmocka_unit_test(more_than_the_depth_never_comes),
		cmocka_unit_test(what_is_given_back_can_be_taken_again),
		cmocka_unit_test(a_window_that_is_over_gets_nothing_back),
		cmocka_unit_test(largest_numbers_do_not_overflow),
		cmocka_unit_test(a_clock_that_stands_refills_nothing),
		cmocka_unit_test(a_change_keeps_what_was_spent),
		cmocka_unit_test(a_new_window_starts_with_what_could_have_left),
		cmocka_unit_test(a_window_that_comes_back_is_remembered),
		cmocka_unit_test(never_more_than_the_count_in_any_window),
		cmocka_unit_test(with_a_burst_at_most_that_much_more),
		cmocka_unit_test(
		    connects_that_time_out_allow_no_second_helping),
		cmocka_unit_test(
		    what_comes_back_is_never_more_than_was_missing),
		cmocka_unit_test(a_refilled_bucket_takes_nothing_back_twice),
		cmocka_unit_test(a_greedy_load_gets_nearly_all),
		cmocka_unit_test(no_change_hands_anything_out),
		cmocka_unit_test(full_at_is_when_nothing_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
