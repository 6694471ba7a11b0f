/* SPDX-License-Identifier: ISC */
/* Sessions by address, penalties that grow and are forgotten, bounds. */
#include "daemon/peer_table.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define SECOND_US  INT64_C(1000000)
#define PENALTY_US (30 * SECOND_US)

static const struct conf_limits limits = {
	.sessions = 6,
	.sessions_per_address = 3,
};

static struct sockaddr_storage
address(const char *text)
{
	struct sockaddr_storage s = { 0 };
	struct sockaddr_in *v4 = (void *)&s;
	struct sockaddr_in6 *v6 = (void *)&s;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		s.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		s.ss_family = AF_INET6;
	else
		fail_msg("%s is no address", text);
	return s;
}

static enum peer_answer
admit(struct peer_table *table, const char *text, int64_t now_us)
{
	struct sockaddr_storage s = address(text);

	return peer_admit(table, (struct sockaddr *)&s, &limits, now_us);
}

static void
release(struct peer_table *table, const char *text)
{
	struct sockaddr_storage s = address(text);

	peer_release(table, (struct sockaddr *)&s);
}

static void
fail_auth(struct peer_table *table, const char *text, int64_t now_us)
{
	static const struct conf_limits l = { .auth_failures = 2,
		.penalty_us = PENALTY_US };
	struct sockaddr_storage s = address(text);

	peer_failed_auth(table, (struct sockaddr *)&s, &l, now_us);
}

/* Returns how long the address has to wait from now. */
static int64_t
penalise(struct peer_table *table, const char *text, int64_t now_us)
{
	struct sockaddr_storage s = address(text);

	peer_penalise(table, (struct sockaddr *)&s, now_us, PENALTY_US);
	return peer_penalised_until_us(table, (struct sockaddr *)&s, now_us) -
	    now_us;
}

static void
sessions_are_limited(void **state)
{
	struct peer_table *t = peer_table_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(admit(t, "192.0.2.1", 0), PEER_ADMITTED);
	assert_int_equal(admit(t, "192.0.2.1", 0), PEER_TOO_MANY_FROM_ADDRESS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(admit(t, "192.0.2.2", 0), PEER_ADMITTED);
	assert_int_equal(admit(t, "192.0.2.3", 0), PEER_TOO_MANY_SESSIONS);
	/* When both hold, the whole is said. */
	assert_int_equal(admit(t, "192.0.2.1", 0), PEER_TOO_MANY_SESSIONS);
	assert_int_equal(peer_table_n_sessions(t), 6);
	release(t, "192.0.2.1");
	assert_int_equal(admit(t, "192.0.2.3", 0), PEER_ADMITTED);
	assert_int_equal(peer_table_n_addresses(t), 3);
	release(t, "192.0.2.3");
	assert_int_equal(peer_table_n_addresses(t), 2);
	peer_table_free(t);
}

static void
no_limits_mean_none(void **state)
{
	static const struct conf_limits none = { 0 };
	struct sockaddr_storage s = address("192.0.2.1");
	struct peer_table *t = peer_table_new();

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(peer_admit(t, (struct sockaddr *)&s, &none, 0),
		    PEER_ADMITTED);
	peer_table_free(t);
}

static const struct {
	const char *a, *b;
	bool is_same;
} pairs[] = {
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "::ffff:192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "::ffff:192.0.2.1", "::ffff:192.0.2.2", false },
	{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
	{ "::1", "127.0.0.1", false },
};

static void
what_counts_as_one_address(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct peer_table *t = peer_table_new();

		for (int k = 0; k < 3; k++)
			admit(t, pairs[i].a, 0);
		if (admit(t, pairs[i].b, 0) !=
		    (pairs[i].is_same ? PEER_TOO_MANY_FROM_ADDRESS
				      : PEER_ADMITTED))
			fail_msg("%s and %s", pairs[i].a, pairs[i].b);
		peer_table_free(t);
	}
}

static void
penalty_holds_until_its_end(void **state)
{
	struct peer_table *t = peer_table_new();

	(void)state;
	assert_int_equal(admit(t, "192.0.2.1", 100), PEER_ADMITTED);
	assert_int_equal(penalise(t, "192.0.2.1", 100), PENALTY_US);
	release(t, "192.0.2.1");
	assert_int_equal(admit(t, "192.0.2.1", 100), PEER_PENALISED);
	assert_int_equal(admit(t, "192.0.2.1", 100 + PENALTY_US - 1),
	    PEER_PENALISED);
	assert_int_equal(admit(t, "192.0.2.2", 100), PEER_ADMITTED);
	assert_int_equal(admit(t, "192.0.2.1", 100 + PENALTY_US),
	    PEER_ADMITTED);
	peer_table_free(t);
}

static void
penalties_double_up_to_ten_times(void **state)
{
	static const int factors[] = { 1, 2, 4, 8, 10, 10 };
	struct peer_table *t = peer_table_new();
	int64_t now_us = 5, wait_us = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(factors) / sizeof(*factors); i++) {
		now_us += wait_us;
		wait_us = penalise(t, "192.0.2.1", now_us);
		assert_int_equal(wait_us, factors[i] * PENALTY_US);
	}
	/* One instant before it is forgotten, and just then. */
	now_us += wait_us + 10 * PENALTY_US - 1;
	assert_int_equal(penalise(t, "192.0.2.1", now_us), 10 * PENALTY_US);
	now_us += 20 * PENALTY_US;
	assert_int_equal(penalise(t, "192.0.2.1", now_us), PENALTY_US);
	peer_table_free(t);
}

static void
many_at_once_are_one_offence(void **state)
{
	struct peer_table *t = peer_table_new();

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(penalise(t, "2001:db8::1", i), PENALTY_US);
	assert_int_equal(penalise(t, "2001:db8::1", 49 + PENALTY_US),
	    2 * PENALTY_US);
	peer_table_free(t);
}

static void
no_penalty_when_it_is_off(void **state)
{
	struct sockaddr_storage s = address("192.0.2.1");
	struct peer_table *t = peer_table_new();

	(void)state;
	peer_penalise(t, (struct sockaddr *)&s, 0, 0);
	assert_int_equal(admit(t, "192.0.2.1", 0), PEER_ADMITTED);
	peer_table_free(t);
}

static void
old_penalties_are_swept(void **state)
{
	struct peer_table *t = peer_table_new();
	char text[32];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
		penalise(t, text, i);
	}
	assert_int_equal(peer_table_n_addresses(t), 1000);
	for (int i = 0; i < 300; i++) {
		admit(t, "192.0.2.1", 12 * PENALTY_US);
		release(t, "192.0.2.1");
	}
	assert_int_equal(peer_table_n_addresses(t), 0);
	peer_table_free(t);
}

static void
memory_is_bounded(void **state)
{
	struct peer_table *t = peer_table_new();
	struct sockaddr_storage s = address("10.0.0.0");
	struct sockaddr_in *v4 = (void *)&s;

	(void)state;
	admit(t, "192.0.2.1", 0);
	penalise(t, "192.0.2.1", 0); /* has a session: never evicted */
	for (unsigned i = 0; i < 3 * PEER_TABLE_IDLE_MAX; i++) {
		v4->sin_addr.s_addr = htonl(0x0a000000 + i);
		peer_penalise(t, (struct sockaddr *)&s, i, PENALTY_US);
	}
	assert_in_range(peer_table_n_addresses(t), PEER_TABLE_IDLE_MAX - 8,
	    PEER_TABLE_IDLE_MAX + 2);
	assert_int_equal(admit(t, "192.0.2.1", 1), PEER_PENALISED);
	/* The last one to come is there. */
	assert_int_equal(peer_admit(t, (struct sockaddr *)&s, &limits,
			     3 * PEER_TABLE_IDLE_MAX),
	    PEER_PENALISED);
	release(t, "192.0.2.1");
	peer_table_free(t);
}

/* Whatever happens, no address has more than its share, and the counts agree
 * with a model. */
static void
random_comings_and_goings(void **state)
{
	struct rng rng = { .state = 587 };
	struct peer_table *t = peer_table_new();
	unsigned n[8] = { 0 }, n_all = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (int i = 0; i < 100000; i++) {
		unsigned who = (unsigned)rng_below(&rng, 8);
		char text[32];

		snprintf(text, sizeof(text), "2001:db8:0:%u::1", who);
		if (rng_below(&rng, 2) && n[who] > 0) {
			release(t, text);
			n[who]--;
			n_all--;
			continue;
		}
		assert_int_equal(admit(t, text, i),
		    n_all == 6	      ? PEER_TOO_MANY_SESSIONS
			: n[who] == 3 ? PEER_TOO_MANY_FROM_ADDRESS
				      : PEER_ADMITTED);
		n[who] += n_all < 6 && n[who] < 3;
		n_all = 0;
		for (int k = 0; k < 8; k++)
			n_all += n[k];
		assert_int_equal(peer_table_n_sessions(t), n_all);
	}
	peer_table_free(t);
}

static void *
come_and_go(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d", i % 5);
		if (admit(arg, text, i) == PEER_ADMITTED)
			release(arg, text);
		if (i % 100 == 0)
			penalise(arg, text, i);
	}
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct peer_table *t = peer_table_new();
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, come_and_go, t);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(peer_table_n_sessions(t), 0);
	peer_table_free(t);
}

/* One wrong password a session, and a new session for each. */
static void
wrong_passwords_are_counted_over_sessions(void **state)
{
	struct peer_table *t = peer_table_new();
	int64_t now_us = SECOND_US;

	(void)state;
	for (int i = 0; i < 2 * PEER_FAILURES_FACTOR; i++) {
		assert_int_equal(admit(t, "192.0.2.1", now_us), PEER_ADMITTED);
		fail_auth(t, "192.0.2.1", now_us);
		release(t, "192.0.2.1");
		now_us += SECOND_US;
	}
	assert_int_equal(admit(t, "192.0.2.1", now_us), PEER_PENALISED);
	assert_int_equal(admit(t, "192.0.2.2", now_us), PEER_ADMITTED);
	release(t, "192.0.2.2");
	now_us += PENALTY_US;
	assert_int_equal(admit(t, "192.0.2.1", now_us), PEER_ADMITTED);
	release(t, "192.0.2.1");
	peer_table_free(t);
}

/* Someone's mail program with an old password asks every few minutes. */
static void
a_wrong_password_now_and_then_is_no_offence(void **state)
{
	struct peer_table *t = peer_table_new();
	int64_t now_us = SECOND_US;

	(void)state;
	for (int i = 0; i < 100; i++) {
		fail_auth(t, "192.0.2.1", now_us);
		assert_int_equal(admit(t, "192.0.2.1", now_us), PEER_ADMITTED);
		release(t, "192.0.2.1");
		now_us += PEER_FAILURES_US / 6;
	}
	/* And it is forgotten in the end. */
	now_us += 2 * PEER_FAILURES_US;
	assert_int_equal(admit(t, "192.0.2.9", now_us), PEER_ADMITTED);
	release(t, "192.0.2.9");
	assert_int_equal(peer_table_n_addresses(t), 0);
	peer_table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_passwords_are_counted_over_sessions),
		cmocka_unit_test(a_wrong_password_now_and_then_is_no_offence),
		cmocka_unit_test(sessions_are_limited),
		cmocka_unit_test(no_limits_mean_none),
		cmocka_unit_test(what_counts_as_one_address),
		cmocka_unit_test(penalty_holds_until_its_end),
		cmocka_unit_test(penalties_double_up_to_ten_times),
		cmocka_unit_test(many_at_once_are_one_offence),
		cmocka_unit_test(no_penalty_when_it_is_off),
		cmocka_unit_test(old_penalties_are_swept),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(random_comings_and_goings),
		cmocka_unit_test(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
