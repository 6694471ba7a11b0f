/* SPDX-License-Identifier: ISC */
/* What is remembered of good passwords, how long, and how much of it. */
#include "daemon/auth_cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define TTL_US INT64_C(60000000)

static struct auth_cache *
make(int64_t ttl_us)
{
	struct err err;
	struct auth_cache *c = auth_cache_new(ttl_us, &err);

	if (c == NULL)
		fail_msg("%s", err.text);
	return c;
}

static const struct {
	const char *user, *password, *hash;
} others[] = {
	{ "shop2", "secret", "$y$1" },
	{ "shop", "Secret", "$y$1" },
	{ "shop", "", "$y$1" },
	{ "shop", "secret", "$y$2" }, /* the users file changed */
	{ "shops", "ecret", "$y$1" }, /* the same bytes, cut elsewhere */
	{ "sho", "psecret", "$y$1" },
	{ "shop", "secret$", "y$1" },
};

static void
only_the_same_is_remembered(void **state)
{
	struct auth_cache *c = make(TTL_US);

	(void)state;
	assert_false(auth_cache_has(c, "shop", "secret", "$y$1", 0));
	auth_cache_put(c, "shop", "secret", "$y$1", 0);
	assert_true(auth_cache_has(c, "shop", "secret", "$y$1", 1));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(auth_cache_has(c, others[i].user,
		    others[i].password, others[i].hash, 1));
	auth_cache_free(c);
}

static void
time_runs_from_the_check(void **state)
{
	struct auth_cache *c = make(TTL_US);

	(void)state;
	auth_cache_put(c, "a", "p", "h", 1000);
	assert_true(auth_cache_has(c, "a", "p", "h", 1000 + TTL_US - 1));
	assert_false(auth_cache_has(c, "a", "p", "h", 1000 + TTL_US));
	/* A new check renews; being asked for didn't. */
	auth_cache_put(c, "a", "p", "h", 1000 + TTL_US);
	assert_int_equal(auth_cache_n(c), 1);
	assert_true(auth_cache_has(c, "a", "p", "h", 999 + 2 * TTL_US));
	/* What is over goes when something comes. */
	auth_cache_put(c, "b", "p", "h", 5000 + 9 * TTL_US);
	assert_int_equal(auth_cache_n(c), 1);
	auth_cache_free(c);
}

static void
ttl_can_change(void **state)
{
	struct auth_cache *c = make(0);

	(void)state;
	auth_cache_put(c, "a", "p", "h", 0);
	assert_int_equal(auth_cache_n(c), 0);
	auth_cache_set_ttl(c, TTL_US);
	auth_cache_put(c, "a", "p", "h", 0);
	auth_cache_set_ttl(c, 2 * TTL_US);
	assert_true(auth_cache_has(c, "a", "p", "h", 1));
	auth_cache_set_ttl(c, 0);
	assert_false(auth_cache_has(c, "a", "p", "h", 1));
	assert_int_equal(auth_cache_n(c), 0);
	auth_cache_free(c);
}

static void
oldest_goes_when_full(void **state)
{
	struct auth_cache *c = make(TTL_US);
	char name[32];

	(void)state;
	for (int i = 0; i < AUTH_CACHE_ENTRIES_MAX + 10; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		auth_cache_put(c, name, "p", "h", i);
	}
	assert_int_equal(auth_cache_n(c), AUTH_CACHE_ENTRIES_MAX);
	assert_false(auth_cache_has(c, "user9", "p", "h", 5000));
	assert_true(auth_cache_has(c, "user10", "p", "h", 5000));
	assert_true(auth_cache_has(c, name, "p", "h", 5000));
	auth_cache_free(c);
}

static void
keys_are_random(void **state)
{
	struct auth_cache *a = make(TTL_US), *b = make(TTL_US);
	char name[32];
	int n_same = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		size_t pick;

		snprintf(name, sizeof(name), "user%d", i);
		pick = auth_cache_pick(a, name, 1000);
		assert_in_range(pick, 0, 999);
		assert_int_equal(pick, auth_cache_pick(a, name, 1000));
		n_same += pick == auth_cache_pick(b, name, 1000);
	}
	assert_in_range(n_same, 0, 10);
	auth_cache_free(a);
	auth_cache_free(b);
}

static void *
put_and_ask(void *arg)
{
	struct auth_cache *c = arg;
	char name[32];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "user%d", i % 100);
		auth_cache_put(c, name, "p", "h", i);
		if (!auth_cache_has(c, name, "p", "h", i))
			return (void *)"lost";
		if (auth_cache_has(c, name, "q", "h", i))
			return (void *)"too much";
	}
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct auth_cache *c = make(TTL_US);
	pthread_t threads[4];
	void *what;

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, put_and_ask, c);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &what);
		assert_null(what);
	}
	assert_int_equal(auth_cache_n(c), 100);
	auth_cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_same_is_remembered),
		cmocka_unit_test(time_runs_from_the_check),
		cmocka_unit_test(ttl_can_change),
		cmocka_unit_test(oldest_goes_when_full),
		cmocka_unit_test(keys_are_random),
		cmocka_unit_test(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
