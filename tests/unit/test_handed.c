/* SPDX-License-Identifier: ISC */
/* What lies with an MTA: found by queue id, kept as text, bounded. */
#include "daemon/handed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <malloc.h>

#include "conf/base/strbuf.h"

static const struct handed_names names = { .route = "ip-a",
	.provider = "other",
	.site = "x.example",
	.stream = "news",
	.sender_domain = "shop.example" };
static const struct handed some = { .message = 42,
	.number = 1,
	.n_total = 3,
	.n_left = 2,
	.n_held = 1,
	.n_seen = 4,
	.utc_us = 1795466400000000,
	.of = &names };

static void
test_by_queue_id(void **state)
{
	struct handed_table t;
	struct handed *h;

	(void)state;
	handed_init(&t, 10);
	h = handed_add(&t, "a Q1", &some, "s@shop.example");
	assert_ptr_equal(handed_find(&t, "a Q1"), h);
	assert_null(handed_find(&t, "b Q1"));
	assert_string_equal(handed_sender(h), "s@shop.example");
	assert_string_equal(handed_key(h), "a Q1");
	heap_move(&t.due, &h->due, 5);
	h = handed_rekey(&t, h, "a Q2");
	assert_string_equal(handed_sender(h), "s@shop.example");
	assert_ptr_equal(handed_due(&t, 5), h);
	assert_ptr_equal(handed_rekey(&t, h, "a Q2"), h);
	assert_null(handed_find(&t, "a Q1"));
	assert_ptr_equal(handed_find(&t, "a Q2"), h);
	/* A queue id that is used again: the old one is over. */
	handed_add(&t, "a Q2", &some, "");
	assert_int_equal(t.n, 1);
	handed_add(&t, "a Q3", &some, "");
	handed_rekey(&t, handed_find(&t, "a Q3"), "a Q2");
	assert_int_equal(t.n, 1);
	handed_fini(&t);
}

static void
test_time_and_room(void **state)
{
	struct handed_table t;
	struct handed *h;
	char key[10];

	(void)state;
	handed_init(&t, 3);
	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "Q%d", i);
		h = handed_add(&t, key, &some, "");
		heap_move(&t.due, &h->due, 100 - i);
	}
	assert_ptr_equal(handed_surplus(&t), handed_find(&t, "Q0"));
	handed_remove(&t, handed_surplus(&t));
	assert_null(handed_surplus(&t));
	assert_null(handed_due(&t, 96));
	assert_ptr_equal(handed_due(&t, 97), handed_find(&t, "Q3"));
	handed_fini(&t);
}

/* The names go with the last that has them. */
static void
test_names_come_and_go(void **state)
{
	struct handed_names of = names;
	struct handed like = some;
	struct handed_table t;
	char site[30], key[30];

	(void)state;
	handed_init(&t, 3);
	like.of = &of;
	of.site = site;
	for (int i = 0; i < 1000; i++) {
		snprintf(site, sizeof(site), "s%d.example", i);
		snprintf(key, sizeof(key), "a Q%d", i);
		handed_add(&t, key, &like, "");
		while (handed_surplus(&t) != NULL)
			handed_remove(&t, handed_surplus(&t));
	}
	assert_int_equal(t.n, 3);
	for (int i = 997; i < 1000; i++) {
		struct handed *h;

		snprintf(site, sizeof(site), "s%d.example", i);
		snprintf(key, sizeof(key), "a Q%d", i);
		h = handed_find(&t, key);
		assert_string_equal(h->of->site, site);
		assert_string_equal(h->of->sender_domain, "shop.example");
		handed_remove(&t, h);
	}
	assert_null(t.kins);
	handed_fini(&t);
}

static void
test_the_oldest_is_first_again_after_reading(void **state)
{
	static const int64_t ages[] = { 30, 10, 20 };
	struct handed like = some;
	struct handed_table t;
	struct handed *h;
	char key[30];

	(void)state;
	handed_init(&t, 3);
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "a Q%d", i);
		like.utc_us = ages[i];
		handed_add(&t, key, &like, "");
	}
	handed_sort(&t);
	h = handed_oldest(&t);
	for (int64_t age = 10; age <= 30; age += 10, h = handed_next(h))
		assert_true(h->utc_us == age);
	assert_null(h);
	handed_fini(&t);
}

/* As the documentation of feedback.handed says. */
static void
test_what_one_costs(void **state)
{
	enum { N = 100000 };
	struct handed_table t;
	struct mallinfo2 before = mallinfo2(), after;
	char key[40], sender[60];
	size_t each;

	(void)state;
	handed_init(&t, N);
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "0123abcd 4bXyz%07dzK2m", i);
		snprintf(sender, sizeof(sender), "bounces+%d@news.example", i);
		heap_move(&t.due, &handed_add(&t, key, &some, sender)->due, i);
	}
	after = mallinfo2();
	each =
	    (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
	    N;
	print_message("%zu bytes an entry\n", each);
	assert_true(each <= 256);
	handed_fini(&t);
}

static void
test_kept(void **state)
{
	struct handed_table t;
	struct strbuf text = { 0 }, again = { 0 };
	struct handed *h;

	(void)state;
	handed_init(&t, 3);
	handed_format(handed_add(&t, "a Q1", &some, "s@shop.example"), &text);
	h = handed_parse(&t, "a Q2", text.data);
	assert_non_null(h);
	handed_format(h, &again);
	assert_string_equal(text.data, again.data);
	assert_int_equal(h->message, 42);
	assert_string_equal(h->of->site, "x.example");
	/* Of one family, and their names are there once. */
	assert_ptr_equal(h->of, handed_find(&t, "a Q1")->of);
	strbuf_fini(&text);
	strbuf_fini(&again);
	handed_fini(&t);
}

static void
test_kept_badly(void **state)
{
	static const char *const bad[] = { "", "1 2 3",
		"1 0 1 1 1 0 5\x1fr\x1fp\x1f\x1fs\x1f",
		"1 0 1 1 1 0 5\x1fr\x1fp\x1f\x1fs\x1f\x1fx\x1fy",
		"1 0 1 2 1 0 5\x1fr\x1fp\x1f\x1fs\x1f\x1fx",
		"1 0 1 1 2 0 5\x1fr\x1fp\x1f\x1fs\x1f\x1fx",
		"1 0 1 1 1 0 5x\x1fr\x1fp\x1f\x1fs\x1f\x1fx" };
	struct handed_table t;

	(void)state;
	handed_init(&t, 3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(handed_parse(&t, "k", bad[i]));
	assert_int_equal(t.n, 0);
	handed_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_queue_id),
		cmocka_unit_test(test_time_and_room),
		cmocka_unit_test(test_names_come_and_go),
		cmocka_unit_test(test_the_oldest_is_first_again_after_reading),
		cmocka_unit_test(test_what_one_costs),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_kept_badly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
