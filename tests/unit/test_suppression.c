/* SPDX-License-Identifier: ISC */
/* Who is suppressed, by which bounces, and for how long. */
#include "scheduler/suppression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define DAY	INT64_C(86400000000)
#define NOW	(20781 * DAY)
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t key[SIPHASH_KEY_SIZE] = { 1, 2, 3 };

static const struct conf_suppression conf = {
	.hard = 1,
	.soft = 5,
	.soft_window_us = 14 * DAY,
	.ttl_us = 90 * DAY,
	.domain_ttl_us = DAY,
	.action = SUPPRESSION_REJECT,
};

static bool
is_in(struct suppression *s, const char *address, int64_t utc_us)
{
	return suppression_check(s, address, utc_us, NULL);
}

static bool
bounce(struct suppression *s, const char *address, bool is_hard, int64_t utc_us)
{
	struct suppression_entry e;

	return suppression_bounce(s, &conf, address, is_hard, "550 5.1.1 no",
	    utc_us, &e);
}

static void
one_hard_bounce_suppresses_until_it_expires(void **state)
{
	struct suppression *s = suppression_new(key);
	struct suppression_hit hit;
	struct suppression_entry e;

	(void)state;
	assert_false(is_in(s, "Jo@Example.net", NOW));
	assert_true(suppression_bounce(s, &conf, "Jo@Example.net", true,
	    "550 5.1.1 no", NOW, &e));
	assert_string_equal(e.address, "Jo@Example.net");
	assert_int_equal(e.reason, SUPPRESSION_HARD);
	assert_string_equal(e.reply, "550 5.1.1 no");
	assert_int_equal(e.expires_utc_us, NOW + 90 * DAY);
	assert_true(suppression_check(s, "jo@example.NET", NOW + 90 * DAY - 1,
	    &hit));
	assert_int_equal(hit.reason, SUPPRESSION_HARD);
	assert_int_equal(hit.expires_utc_us, NOW + 90 * DAY);
	assert_false(hit.is_domain);
	assert_memory_equal(suppression_refusal(&hit), "550 5.1.1 ", 10);
	assert_false(is_in(s, "joe@example.net", NOW));
	assert_false(is_in(s, "jo@example.net", NOW + 90 * DAY));
	assert_int_equal(suppression_count(s), 0);
	suppression_free(s);
}

static void
soft_bounces_count_by_the_day(void **state)
{
	static const struct {
		const char *what;
		int days[8]; /* with a soft bounce; -1: delivered that day */
		int n;
		bool is_in;
	} rows[] = {
		{ "five days", { 0, 1, 2, 3, 4 }, 5, true },
		{ "four days", { 0, 1, 2, 3 }, 4, false },
		{ "five on one day", { 0, 0, 0, 0, 0 }, 5, false },
		{ "within 14 days", { 0, 3, 6, 9, 13 }, 5, true },
		{ "over more than 14", { 0, 3, 6, 9, 14 }, 5, false },
		{ "long ago", { 0, 1, 2, 3, 90 }, 5, false },
		{ "delivered in between", { 0, 1, 2, 3, -1, 4 }, 6, false },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct suppression *s = suppression_new(key);
		bool is_over = false;

		for (int k = 0; k < rows[i].n; k++)
			if (rows[i].days[k] < 0)
				suppression_delivered(s, "a@b.example");
			else
				is_over = bounce(s, "a@b.example", false,
				    NOW + rows[i].days[k] * DAY);
		if (is_over != rows[i].is_in)
			print_error("%s\n", rows[i].what);
		assert_int_equal(is_over, rows[i].is_in);
		assert_int_equal(is_in(s, "A@B.example", NOW + 20 * DAY),
		    rows[i].is_in);
		suppression_free(s);
	}
}

static void
more_hard_bounces_may_be_asked_for(void **state)
{
	struct conf_suppression twice = conf;
	struct suppression *s = suppression_new(key);
	struct suppression_entry e;

	(void)state;
	twice.hard = 2;
	twice.ttl_us = 0;
	assert_false(suppression_bounce(s, &twice, "a@b.example", true, "", NOW,
	    &e));
	assert_false(suppression_bounce(s, &twice, "c@b.example", true, "", NOW,
	    &e));
	assert_true(suppression_bounce(s, &twice, "a@b.example", true, "", NOW,
	    &e));
	assert_int_equal(e.expires_utc_us, INT64_MAX);
	assert_true(is_in(s, "a@b.example", INT64_MAX - 1));
	assert_false(is_in(s, "c@b.example", NOW));
	suppression_free(s);
}

static void
a_domain_that_takes_no_mail_is_remembered_for_a_while(void **state)
{
	struct suppression *s = suppression_new(key);
	char domain[SUPPRESSION_DOMAIN_SIZE];
	struct suppression_entry e;
	struct suppression_hit hit;

	(void)state;
	assert_int_equal(suppression_domain_of("Jo@B\303\274cher.Example",
			     domain),
	    0);
	assert_string_equal(domain, "@xn--bcher-kva.example");
	assert_true(suppression_domain_bounce(s, &conf, domain, "550 5.1.2 no",
	    NOW, &e));
	assert_string_equal(e.address, domain);
	assert_int_equal(e.reason, SUPPRESSION_DOMAIN);
	assert_int_equal(e.expires_utc_us, NOW + DAY);
	assert_true(suppression_check(s, "a@b\303\274cher.EXAMPLE", NOW, &hit));
	assert_true(hit.is_domain);
	assert_int_equal(hit.reason, SUPPRESSION_DOMAIN);
	assert_memory_equal(suppression_refusal(&hit), "550 5.1.2 ", 10);
	assert_true(is_in(s, "@xn--bcher-kva.example", NOW));
	assert_true(is_in(s, "a@XN--BCHER-KVA.example", NOW + DAY - 1));
	assert_false(is_in(s, "a@sub.xn--bcher-kva.example", NOW));
	assert_false(is_in(s, "a@example", NOW));
	assert_false(is_in(s, "a@[192.0.2.1]", NOW));
	assert_false(is_in(s, "a@xn--bcher-kva.example", NOW + DAY));
	assert_int_equal(suppression_count(s), 0);
	suppression_free(s);
}

/* Mail in flight may show that it was only one server's mistake. */
static void
a_delivery_clears_the_domain_but_not_what_the_operator_said(void **state)
{
	struct suppression *s = suppression_new(key);
	const struct suppression_entry by_hand = { .address = "@b.example",
		.reason = SUPPRESSION_MANUAL,
		.expires_utc_us = INT64_MAX };
	char domain[SUPPRESSION_DOMAIN_SIZE];
	struct suppression_entry e;

	(void)state;
	assert_false(suppression_domain_delivered(s, "a@b.example", domain));
	assert_true(suppression_domain_bounce(s, &conf, "@b.example", "", NOW,
	    &e));
	assert_false(suppression_domain_delivered(s, "a@c.example", domain));
	assert_true(suppression_domain_delivered(s, "a@B.example", domain));
	assert_string_equal(domain, "@b.example");
	assert_false(is_in(s, "a@b.example", NOW));

	assert_true(suppression_add(s, &by_hand));
	assert_false(suppression_domain_delivered(s, "a@b.example", domain));
	assert_false(suppression_domain_bounce(s, &conf, "@b.example", "", NOW,
	    &e));
	assert_true(is_in(s, "a@b.example", NOW + 90 * DAY));
	assert_true(suppression_remove(s, "@b.example"));
	assert_false(is_in(s, "a@b.example", NOW));
	suppression_free(s);
}

static void
domains_are_not_remembered_where_that_is_off(void **state)
{
	struct conf_suppression no = conf;
	struct suppression *s = suppression_new(key);
	struct suppression_entry e;

	(void)state;
	no.domain_ttl_us = 0;
	assert_false(suppression_domain_bounce(s, &no, "@b.example", "", NOW,
	    &e));
	no = conf;
	no.action = SUPPRESSION_OFF;
	assert_false(suppression_domain_bounce(s, &no, "@b.example", "", NOW,
	    &e));
	assert_int_equal(suppression_count(s), 0);
	suppression_free(s);
}

static void
off_is_off(void **state)
{
	struct conf_suppression off = conf;
	struct suppression *s = suppression_new(key);
	struct suppression_entry e;

	(void)state;
	off.action = SUPPRESSION_OFF;
	assert_false(suppression_bounce(s, &off, "a@b.example", true, "", NOW,
	    &e));
	assert_false(is_in(s, "a@b.example", NOW));
	suppression_free(s);
}

static void
what_was_watched_is_stored_and_read(void **state)
{
	static const char *const refused[] = { "", "1 2", "2 1 1 1",
		"1 1 1 256", "1 16777216 1 1", "1 -1 1 1", "1 1 1 1 1", "x" };
	struct suppression *s = suppression_new(key);
	struct suppression *again = suppression_new(key);
	char text[SUPPRESSION_WATCH_SIZE];

	(void)state;
	assert_string_equal(suppression_watch_format(s, "a@b.example", text),
	    "");
	for (int k = 0; k < 4; k++)
		bounce(s, "a@b.example", false, NOW + k * DAY);
	suppression_watch_format(s, "a@b.example", text);
	assert_string_equal(text, "1 20784 15 0");
	assert_int_equal(suppression_watch_parse(again, "a@b.example", text),
	    0);
	assert_true(bounce(again, "a@b.example", false, NOW + 4 * DAY));
	for (size_t i = 0; i < N_OF(refused); i++)
		assert_int_equal(suppression_watch_parse(again, "x@y.example",
				     refused[i]),
		    -1);
	suppression_free(s);
	suppression_free(again);
}

/* Against a plain array of the same. */
static void
it_holds_what_a_plain_list_holds(void **state)
{
	enum { N = 4000 };
	static bool plain[N];
	struct suppression *s = suppression_new(key);
	struct rng rng = { 7 };
	size_t count = 0;

	(void)state;
	memset(plain, 0, sizeof(plain));
	for (int i = 0; i < 40000; i++) {
		size_t k = rng_below(&rng, N);
		char address[40];

		snprintf(address, sizeof(address), "u%zu@example.net", k);
		if (rng_below(&rng, 3) > 0) {
			struct suppression_entry e = { .address = address,
				.reason = SUPPRESSION_MANUAL,
				.expires_utc_us = INT64_MAX };

			assert_true(suppression_add(s, &e));
			count += !plain[k];
			plain[k] = true;
		} else {
			assert_int_equal(suppression_remove(s, address),
			    plain[k]);
			count -= plain[k];
			plain[k] = false;
		}
		assert_int_equal(suppression_count(s), count);
		k = rng_below(&rng, N);
		snprintf(address, sizeof(address), "u%zu@example.net", k);
		assert_int_equal(is_in(s, address, NOW), plain[k]);
	}
	suppression_free(s);
}

static void
sweeping_drops_what_has_expired(void **state)
{
	struct suppression *s = suppression_new(key);

	(void)state;
	for (int i = 0; i < 10000; i++) {
		char address[40];

		snprintf(address, sizeof(address), "u%d@example.net", i);
		bounce(s, address, true, NOW + (i % 2) * DAY);
	}
	assert_int_equal(suppression_count(s), 10000);
	for (int i = 0; i < 20; i++)
		suppression_sweep(s, NOW + 90 * DAY);
	assert_int_equal(suppression_count(s), 5000);
	assert_true(is_in(s, "u1@example.net", NOW + 90 * DAY));
	assert_false(is_in(s, "u2@example.net", NOW + 90 * DAY));
	suppression_free(s);
}

static void
the_watch_is_bounded(void **state)
{
	struct suppression *s = suppression_new(key);

	(void)state;
	for (unsigned i = 0; i < SUPPRESSION_WATCH + 50000; i++) {
		char address[40];

		snprintf(address, sizeof(address), "u%u@example.net", i);
		bounce(s, address, false, NOW + (i > 1000) * DAY);
	}
	/* the newest are still watched */
	for (int k = 2; k < 5; k++)
		assert_false(bounce(s, "u1098000@example.net", false,
		    NOW + k * DAY));
	assert_true(bounce(s, "u1098000@example.net", false, NOW + 5 * DAY));
	suppression_free(s);
}

static void
reasons_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < SUPPRESSION_REASON_COUNT; i++)
		assert_int_equal(
		    suppression_reason_parse(
			suppression_reason_name((enum suppression_reason)i)),
		    i);
	assert_int_equal(suppression_reason_parse("bored"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hard_bounce_suppresses_until_it_expires),
		cmocka_unit_test(soft_bounces_count_by_the_day),
		cmocka_unit_test(more_hard_bounces_may_be_asked_for),
		cmocka_unit_test(
		    a_domain_that_takes_no_mail_is_remembered_for_a_while),
		cmocka_unit_test(
		    a_delivery_clears_the_domain_but_not_what_the_operator_said),
		cmocka_unit_test(domains_are_not_remembered_where_that_is_off),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(what_was_watched_is_stored_and_read),
		cmocka_unit_test(it_holds_what_a_plain_list_holds),
		cmocka_unit_test(sweeping_drops_what_has_expired),
		cmocka_unit_test(the_watch_is_bounded),
		cmocka_unit_test(reasons_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
