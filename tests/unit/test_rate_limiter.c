/* SPDX-License-Identifier: ISC */
/* What users may submit: buckets by name, changes of rate, bounds, threads. */
#include "daemon/rate_limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define SECOND_US INT64_C(1000000)

static const struct rate ten_a_second = { .count = 10, .window_us = SECOND_US };
static const struct rate unlimited = { 0 };

static unsigned
take_all(struct rate_limiter *l, const char *name, const struct rate *rate,
    int64_t now_us)
{
	unsigned n = 0;

	while (n < 10000 && rate_limiter_take(l, name, rate, 1, now_us))
		n++;
	return n;
}

static void
count_at_once_then_at_the_rate(void **state)
{
	struct rate_limiter *l = rate_limiter_new();

	(void)state;
	assert_int_equal(take_all(l, "shop", &ten_a_second, 7), 10);
	assert_int_equal(take_all(l, "shop", &ten_a_second, 100006), 0);
	assert_int_equal(take_all(l, "shop", &ten_a_second, 100007), 1);
	assert_int_equal(take_all(l, "shop", &ten_a_second, 500007), 4);
	/* A long rest gives no more than the count. */
	assert_int_equal(take_all(l, "shop", &ten_a_second, 100 * SECOND_US),
	    10);
	rate_limiter_free(l);
}

static void
refused_takes_cost_nothing(void **state)
{
	struct rate_limiter *l = rate_limiter_new();

	(void)state;
	assert_true(rate_limiter_take(l, "a", &ten_a_second, 7, 0));
	assert_false(rate_limiter_take(l, "a", &ten_a_second, 4, 0));
	assert_true(rate_limiter_take(l, "a", &ten_a_second, 3, 0));
	assert_false(rate_limiter_take(l, "b", &ten_a_second, 11, 0));
	rate_limiter_free(l);
}

static void
users_have_their_own(void **state)
{
	struct rate_limiter *l = rate_limiter_new();

	(void)state;
	assert_int_equal(take_all(l, "a", &ten_a_second, 0), 10);
	assert_int_equal(take_all(l, "A", &ten_a_second, 0), 10);
	assert_int_equal(take_all(l, "", &ten_a_second, 0), 10);
	assert_int_equal(take_all(l, "a", &ten_a_second, 0), 0);
	rate_limiter_free(l);
}

static void
unlimited_is_not_remembered(void **state)
{
	struct rate_limiter *l = rate_limiter_new();

	(void)state;
	assert_int_equal(take_all(l, "a", &unlimited, 0), 10000);
	assert_true(rate_limiter_take(l, "a", &unlimited, UINT32_MAX, 0));
	assert_int_equal(rate_limiter_n_names(l), 0);
	rate_limiter_free(l);
}

static void
change_of_rate_gives_no_fresh_bucket(void **state)
{
	static const struct rate more = { .count = 20, .window_us = SECOND_US };
	static const struct rate by_minute = { .count = 100,
		.window_us = 60 * SECOND_US };
	struct rate_limiter *l = rate_limiter_new();

	(void)state;
	assert_int_equal(take_all(l, "a", &ten_a_second, 0), 10);
	assert_int_equal(take_all(l, "a", &more, 0), 0);
	assert_int_equal(take_all(l, "a", &more, SECOND_US / 2), 10);
	assert_int_equal(take_all(l, "a", &by_minute, SECOND_US / 2), 0);
	assert_int_equal(take_all(l, "a", &ten_a_second, SECOND_US / 2), 0);
	rate_limiter_free(l);
}

static void
full_buckets_are_forgotten(void **state)
{
	struct rate_limiter *l = rate_limiter_new();
	char name[32];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		rate_limiter_take(l, name, &ten_a_second, 1, i);
	}
	assert_int_equal(rate_limiter_n_names(l), 1000);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "later%d", i);
		rate_limiter_take(l, name, &ten_a_second, 1,
		    SECOND_US * (i + 1));
	}
	assert_in_range(rate_limiter_n_names(l), 1, 3);
	rate_limiter_free(l);
}

static void
names_are_bounded(void **state)
{
	struct rate_limiter *l = rate_limiter_new();
	char name[32];

	(void)state;
	for (int i = 0; i < RATE_LIMITER_NAMES_MAX + 5000; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		rate_limiter_take(l, name, &ten_a_second, 10, 0);
	}
	assert_in_range(rate_limiter_n_names(l), RATE_LIMITER_NAMES_MAX - 2,
	    RATE_LIMITER_NAMES_MAX);
	/* The last one is still known. */
	assert_false(rate_limiter_take(l, name, &ten_a_second, 1, 0));
	rate_limiter_free(l);
}

/* In any span, no more than the count and what the rate gives meanwhile. */
static void
never_above_the_rate(void **state)
{
	struct rng rng = { .state = 6409 };
	struct rate_limiter *l = rate_limiter_new();
	const struct rate rate = { .count = 100, .window_us = 60 * SECOND_US };
	int64_t now_us = 0;
	uint64_t n_taken = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (int i = 0; i < 100000; i++) {
		unsigned n = 1 + (unsigned)rng_below(&rng, 5);

		now_us += (int64_t)rng_below(&rng, 500000);
		if (rate_limiter_take(l, "a", &rate, n, now_us))
			n_taken += n;
		assert_true((__int128)n_taken * rate.window_us <=
		    (__int128)rate.count * (now_us + rate.window_us));
	}
	assert_true(n_taken * 60 * SECOND_US > 99 * (uint64_t)now_us);
	rate_limiter_free(l);
}

static struct rate_limiter *shared;
static _Atomic unsigned n_shared;

static void *
take_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		char name[32];

		if (rate_limiter_take(shared, "all", &ten_a_second, 1, 0))
			n_shared++;
		snprintf(name, sizeof(name), "user%d", i % 50);
		rate_limiter_take(shared, name, &ten_a_second, 1, i);
	}
	return NULL;
}

static void
threads_share_one_bucket(void **state)
{
	pthread_t threads[4];

	(void)state;
	shared = rate_limiter_new();
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, take_much, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_shared, 10);
	rate_limiter_free(shared);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(count_at_once_then_at_the_rate),
		cmocka_unit_test(refused_takes_cost_nothing),
		cmocka_unit_test(users_have_their_own),
		cmocka_unit_test(unlimited_is_not_remembered),
		cmocka_unit_test(change_of_rate_gives_no_fresh_bucket),
		cmocka_unit_test(full_buckets_are_forgotten),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(never_above_the_rate),
		cmocka_unit_test(threads_share_one_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
