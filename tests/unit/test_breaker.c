/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "scheduler/breaker.h"

#define SEC INT64_C(1000000)

static struct conf_adapt
conf(void)
{
	return (struct conf_adapt){
		.enabled = true,
		.react = { .hold_us = 60 * SEC },
		.suspend = { .rejected_permille = 50,
		    .sample = 20,
		    .for_us = 3600 * SEC,
		    .max_us = 4 * 3600 * SEC },
	};
}

static struct breaker
a_breaker(void)
{
	struct conf_adapt c = conf();
	struct breaker b;

	breaker_init(&b, &c, SEC);
	return b;
}

static void
a_share_needs_its_sample(void **state)
{
	static const struct {
		const char *name;
		uint32_t n_accepted, n_rejected;
		bool suspends;
	} cases[] = {
		{ "one of one", 0, 1, false },
		{ "nineteen of nineteen", 0, 19, false },
		{ "twenty of twenty", 0, 20, true },
		{ "one of twenty is just 5%", 19, 1, false },
		{ "two of twenty", 18, 2, true },
		{ "forty of a thousand", 960, 40, false },
		{ "sixty of a thousand", 940, 60, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct breaker b = a_breaker();
		struct rng rng = { 1 };
		bool changed = false;

		printf("%s\n", cases[i].name);
		if (cases[i].n_accepted > 0)
			breaker_accepted(&b, cases[i].n_accepted, SEC);
		for (uint32_t k = 0; k < cases[i].n_rejected; k++)
			changed |= breaker_rejected(&b, 1, false, &rng, SEC);
		assert_int_equal(changed, cases[i].suspends);
		assert_int_equal(b.state == BREAKER_OPEN, cases[i].suspends);
	}
}

static void
a_blocklisting_suspends_at_once(void **state)
{
	struct breaker b = a_breaker();
	struct rng rng = { 1 };

	(void)state;
	assert_true(breaker_rejected(&b, 1, true, &rng, SEC));
	assert_int_equal(breaker_when(&b, 0, 2 * SEC), b.until_us);
}

/* One hour, two, four, and never more than the maximum; a little jitter on
 * top, never below. */
static void
suspensions_double_up_to_their_bound(void **state)
{
	static const int64_t hours[] = { 1, 2, 4, 4, 4 };
	struct breaker b = a_breaker();
	struct rng rng = { 1 };
	int64_t now_us = SEC;

	(void)state;
	for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
		int64_t want_us = hours[i] * 3600 * SEC;

		assert_true(breaker_rejected(&b, 1, true, &rng, now_us));
		assert_in_range(b.until_us - now_us, want_us,
		    want_us * 11 / 10);
		now_us = b.until_us;
		assert_true(breaker_step(&b, now_us));
		assert_int_equal(b.state, BREAKER_HALF_OPEN);
	}
}

static void
half_open_lets_one_try_at_a_time(void **state)
{
	struct breaker b = a_breaker();
	struct rng rng = { 1 };
	int64_t now_us;

	(void)state;
	breaker_rejected(&b, 1, true, &rng, SEC);
	now_us = b.until_us;
	assert_false(breaker_step(&b, now_us - 1));
	breaker_step(&b, now_us);
	assert_true(breaker_when(&b, 0, now_us) <= now_us);
	assert_int_equal(breaker_when(&b, 1, now_us), INT64_MAX);
	assert_false(breaker_accepted(&b, 1, now_us));
	assert_false(breaker_accepted(&b, 1, now_us));
	assert_true(breaker_accepted(&b, 1, now_us));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_when(&b, 9, now_us) <= now_us);
}

static void
health_forgets_the_doubling(void **state)
{
	struct breaker b = a_breaker();
	struct rng rng = { 1 };
	int64_t now_us = SEC;

	(void)state;
	for (int i = 0; i < 3; i++) {
		breaker_rejected(&b, 1, true, &rng, now_us);
		now_us = b.until_us;
		breaker_step(&b, now_us);
	}
	for (int i = 0; i < 3; i++)
		breaker_accepted(&b, 1, now_us);
	now_us += 5 * 3600 * SEC;
	breaker_rejected(&b, 1, true, &rng, now_us);
	assert_in_range(b.until_us - now_us, 3600 * SEC, 3960 * SEC);
}

static void
an_advised_pause_is_kept_to_the_end(void **state)
{
	struct breaker b = a_breaker();
	struct rng rng = { 5 };

	(void)state;
	assert_true(breaker_deferred(&b, 600 * SEC, &rng, SEC));
	assert_in_range(b.until_us, 601 * SEC, 661 * SEC);
	/* A shorter one within doesn't shorten it. */
	assert_false(breaker_deferred(&b, 10 * SEC, &rng, 2 * SEC));
	assert_in_range(b.until_us, 601 * SEC, 661 * SEC);
	breaker_step(&b, b.until_us);
	assert_true(breaker_accepted(&b, 1, b.until_us));
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* Without an advice it is a matter of speed alone. */
	assert_false(breaker_deferred(&b, 0, &rng, 700 * SEC));
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* No advice is longer than suspend.max, 4 h here. */
	assert_true(breaker_deferred(&b, 24 * 3600 * SEC, &rng, 700 * SEC));
	assert_in_range(b.until_us, (700 + 14400) * SEC, (700 + 15840) * SEC);
}

static void
noise_is_no_outage(void **state)
{
	struct breaker b = a_breaker();
	struct rng rng = { 3 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_false(breaker_failed(&b, &rng, i * SEC));
		assert_false(breaker_failed(&b, &rng, i * SEC));
		assert_false(breaker_answered(&b, i * SEC));
	}
}

/* Tried again within an eighth of the outage: and few attempts in an hour. */
static void
an_outage_costs_few_attempts_and_little_time(void **state)
{
	struct breaker b = a_breaker();
	struct rng rng = { 3 };
	int64_t began_us = 100 * SEC, now_us = began_us;
	unsigned n = 0;

	(void)state;
	while (!breaker_failed(&b, &rng, now_us))
		n++;
	assert_in_range(n, 3, 10);
	while (now_us < began_us + 3600 * SEC) {
		int64_t part_us = (b.until_us - began_us) / 5;

		assert_true(b.until_us - now_us <=
		    (part_us > SEC ? part_us : SEC));
		now_us = b.until_us;
		assert_true(breaker_step(&b, now_us));
		assert_true(breaker_failed(&b, &rng, now_us));
		n++;
	}
	assert_in_range(n, 30, 120);
	breaker_step(&b, b.until_us);
	assert_true(breaker_answered(&b, b.until_us));
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void
off_means_off(void **state)
{
	struct conf_adapt c = conf();
	struct rng rng = { 1 };
	struct breaker b;

	(void)state;
	c.enabled = false;
	breaker_init(&b, &c, SEC);
	for (int i = 0; i < 100; i++) {
		assert_false(breaker_rejected(&b, 1, true, &rng, SEC));
		assert_false(breaker_failed(&b, &rng, SEC));
		assert_false(breaker_deferred(&b, SEC, &rng, SEC));
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_needs_its_sample),
		cmocka_unit_test(a_blocklisting_suspends_at_once),
		cmocka_unit_test(suspensions_double_up_to_their_bound),
		cmocka_unit_test(half_open_lets_one_try_at_a_time),
		cmocka_unit_test(health_forgets_the_doubling),
		cmocka_unit_test(an_advised_pause_is_kept_to_the_end),
		cmocka_unit_test(noise_is_no_outage),
		cmocka_unit_test(an_outage_costs_few_attempts_and_little_time),
		cmocka_unit_test(off_means_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
