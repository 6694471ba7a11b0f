/* SPDX-License-Identifier: ISC */
/* Next hops' names, asked of a name server of the test's own on the same loop:
 * once a time to live, and not lost where the server fails. */
#include "sink/host_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "conf/base/clock.h"
#include "tests/unit/dns_fake.h"

#define SEC INT64_C(1000000)

struct world {
	struct event_base *base;
	struct host_cache *cache;
	struct dns_fake server;
	int64_t begun_us;
	/* What was told last: */
	unsigned n_told;
	struct host_addresses *found;
	char why[200];
};

static void
start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	dns_fake_start(&w->server, w->base);
	w->cache = host_cache_new(w->base, &w->server.dns, NULL);
	assert_non_null(w->cache);
	w->begun_us = clock_mono_us();
}

static void
end(struct world *w)
{
	host_addresses_unref(w->found);
	host_cache_free(w->cache);
	dns_fake_end(&w->server);
	event_base_free(w->base);
}

static void
on_told(struct host_addresses *found, const char *why, void *arg)
{
	struct world *w = arg;

	w->n_told++;
	host_addresses_unref(w->found);
	w->found = found;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

/* At so long after the start; the last octet of the first address, 0: none. */
static unsigned
ask(struct world *w, int64_t after_us)
{
	unsigned n = w->n_told;
	int64_t end_us = clock_mono_us() + 10 * SEC;
	struct host_lookup *l = host_cache_ask(w->cache, "hop.test",
	    w->begun_us + after_us, on_told, w);

	assert_int_equal(w->n_told, n + (l == NULL));
	while (w->n_told == n && clock_mono_us() < end_us)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(w->n_told, n + 1);
	if (w->found == NULL)
		return 0;
	return ntohl(((struct sockaddr_in *)&w->found->v[0].at)
			 ->sin_addr.s_addr) &
	    0xff;
}

static void
an_answer_holds_for_its_time_to_live(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	assert_int_equal(ask(&w, 0), 1);
	w.server.last_octet = 2;
	assert_int_equal(ask(&w, 299 * SEC), 1);
	assert_int_equal(w.server.n_asked, 1);
	assert_int_equal(ask(&w, 310 * SEC), 2);
	assert_int_equal(w.server.n_asked, 2);
	end(&w);
}

/* Neither a question for each connection nor one that is put once a week. */
static void
times_to_live_have_bounds(void **state)
{
	static const struct {
		uint32_t ttl_s;
		int64_t holds_us;
	} rows[] = { { 1, HOST_TTL_LEAST_US }, { 604800, HOST_TTL_MOST_US },
		{ 0, HOST_TTL_UNSAID_US } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct world w;

		start(&w);
		w.server.ttl_s = rows[i].ttl_s;
		ask(&w, 0);
		ask(&w, rows[i].holds_us - SEC);
		assert_int_equal(w.server.n_asked, 1);
		ask(&w, rows[i].holds_us + 10 * SEC);
		assert_int_equal(w.server.n_asked, 2);
		end(&w);
	}
}

static void
that_there_is_none_is_remembered(void **state)
{
	struct world w;

	(void)state;
	for (unsigned rcode = 0; rcode <= 3; rcode += 3) { /* none, no name */
		unsigned n;

		start(&w);
		w.server.rcode = rcode;
		w.server.n_addresses = 0;
		assert_int_equal(ask(&w, 0), 0);
		assert_non_null(strstr(w.why, "no address found: "));
		n = w.server.n_asked;
		assert_int_equal(ask(&w, HOST_NONE_US - SEC), 0);
		assert_int_equal(w.server.n_asked, n);
		w.server.rcode = 0;
		w.server.n_addresses = 1;
		assert_int_equal(ask(&w, HOST_NONE_US + 10 * SEC), 1);
		end(&w);
	}
}

static void
a_failing_server_takes_nothing_away(void **state)
{
	struct world w;
	unsigned n;

	(void)state;
	start(&w);
	assert_int_equal(ask(&w, 0), 1);
	w.server.rcode = 2; /* SERVFAIL */
	assert_int_equal(ask(&w, 310 * SEC), 1);
	assert_true(w.server.n_asked > 1);
	/* Soon asked again, and believed when it says that it is gone. */
	w.server.rcode = 3;
	n = w.server.n_asked;
	assert_int_equal(ask(&w, 1000 * SEC), 0);
	assert_true(w.server.n_asked > n);
	end(&w);

	start(&w);
	assert_int_equal(ask(&w, 0), 1);
	w.server.rcode = 2;
	assert_int_equal(ask(&w, 300 * SEC + HOST_STALE_US - 10 * SEC), 1);
	assert_int_equal(ask(&w, 300 * SEC + HOST_STALE_US + 10 * SEC), 0);
	end(&w);

	start(&w); /* nothing was known */
	w.server.rcode = 2;
	assert_int_equal(ask(&w, 0), 0);
	n = w.server.n_asked;
	assert_int_equal(ask(&w, HOST_FAILED_US - SEC), 0);
	assert_int_equal(w.server.n_asked, n);
	w.server.rcode = 0;
	assert_int_equal(ask(&w, HOST_FAILED_US + 10 * SEC), 1);
	end(&w);
}

static void
many_wait_for_one_question(void **state)
{
	struct host_lookup *l[3];
	struct world w;

	(void)state;
	start(&w);
	for (int i = 0; i < 3; i++)
		l[i] = host_cache_ask(w.cache, "hop.test", w.begun_us, on_told,
		    &w);
	host_lookup_cancel(l[1]);
	/* Others are asked while one is under way: it goes on. */
	assert_int_equal(host_cache_configure(w.cache, &w.server.dns, NULL), 0);
	while (w.n_told < 2)
		event_base_loop(w.base, EVLOOP_ONCE);
	assert_int_equal(ask(&w, 0), 1);
	assert_int_equal(w.n_told, 3);
	assert_int_equal(w.server.n_asked, 1);
	host_cache_ask(w.cache, "other.test", w.begun_us, on_told, &w);
	end(&w); /* with one under way */
}

/* Names that a reload took away. */
static void
names_are_bounded(void **state)
{
	struct world w;
	char name[30];

	(void)state;
	start(&w);
	for (unsigned i = 0; i < 2 * HOST_CACHE_MOST; i++) {
		snprintf(name, sizeof(name), "h%u.test", i);
		if (host_cache_ask(w.cache, name, w.begun_us + i, on_told,
			&w) == NULL)
			continue;
		while (w.n_told <= i)
			event_base_loop(w.base, EVLOOP_ONCE);
	}
	assert_int_equal(w.server.n_asked, 2 * HOST_CACHE_MOST);
	/* The last ones are known, the first ones aren't any more. */
	snprintf(name, sizeof(name), "h%u.test", HOST_CACHE_MOST);
	assert_null(host_cache_ask(w.cache, name, w.begun_us, on_told, &w));
	assert_non_null(host_cache_ask(w.cache, "h0.test", w.begun_us, on_told,
	    &w));
	end(&w);
}

static void
a_bad_address_is_known_as_such_still(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	w.server.n_addresses = 2;
	assert_int_equal(ask(&w, 0), 1);
	assert_int_equal(w.found->n, 2);
	w.found->v[1].bad_until_us = 7;
	w.server.last_octet = 2; /* 2 and 3 now */
	assert_int_equal(ask(&w, 310 * SEC), 2);
	assert_int_equal(w.found->v[0].bad_until_us, 7);
	assert_int_equal(w.found->v[1].bad_until_us, 0);
	end(&w);
}

static void
addresses_as_they_are_written(void **state)
{
	static const struct {
		const char *text;
		int family;
	} rows[] = { { "127.0.0.9", AF_INET }, { "::1", AF_INET6 },
		{ "127.0.0", 0 }, { "a.test", 0 }, { "", 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host_addresses *a = host_addresses_of(rows[i].text);

		assert_int_equal(a != NULL, rows[i].family != 0);
		if (a != NULL)
			assert_int_equal(a->v[0].at.ss_family, rows[i].family);
		host_addresses_unref(a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_holds_for_its_time_to_live),
		cmocka_unit_test(times_to_live_have_bounds),
		cmocka_unit_test(that_there_is_none_is_remembered),
		cmocka_unit_test(a_failing_server_takes_nothing_away),
		cmocka_unit_test(many_wait_for_one_question),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(a_bad_address_is_known_as_such_still),
		cmocka_unit_test(addresses_as_they_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
