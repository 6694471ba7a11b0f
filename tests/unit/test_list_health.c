/* SPDX-License-Identifier: ISC */
/* When a stream's list is too dirty, and how that ends. */
#include "scheduler/list_health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY INT64_C(86400000000)

static const struct conf_list_health conf = {
	.is_given = true,
	.bounced_permille = 80,
	.sample = 100,
	.action = LIST_HOLD,
};

static void
a_dirty_list_is_held_when_there_is_a_sample(void **state)
{
	static const struct {
		int64_t attempted, dirty;
		bool is_held;
	} rows[] = {
		{ 99, 99, false }, /* no sample */
		{ 100, 7, false },
		{ 100, 8, true },
		{ 1000, 79, false },
		{ 1000, 80, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct list_health h = { 0 };
		enum list_news news = list_health_add(&h, &conf,
		    rows[i].attempted, rows[i].dirty, 5 * DAY);

		assert_int_equal(h.is_held, rows[i].is_held);
		assert_int_equal(news,
		    rows[i].is_held ? LIST_TURNED_BAD : LIST_FINE);
	}
}

static void
it_counts_today_and_yesterday(void **state)
{
	struct list_health h = { 0 };

	(void)state;
	list_health_add(&h, &conf, 60, 5, 5 * DAY);
	list_health_add(&h, &conf, 39, 3, 6 * DAY);
	assert_false(h.is_held);
	assert_int_equal(list_health_add(&h, &conf, 1, 0, 6 * DAY),
	    LIST_TURNED_BAD);
	list_health_resume(&h);
	list_health_add(&h, &conf, 99, 99, 6 * DAY);
	list_health_add(&h, &conf, 99, 0, 8 * DAY); /* they are forgotten */
	assert_false(h.is_held);
	list_health_add(&h, &conf, 1, 0, 3 * DAY); /* a clock that steps back */
	assert_int_equal(h.counts[0].attempted, 100);
}

static void
it_is_told_once_and_ends_when_resumed(void **state)
{
	struct list_health h = { 0 };
	char text[120];

	(void)state;
	assert_int_equal(list_health_add(&h, &conf, 210, 23, DAY),
	    LIST_TURNED_BAD);
	assert_int_equal(h.since_us, DAY);
	assert_int_equal(list_health_add(&h, &conf, 10, 10, DAY), LIST_FINE);
	/* what was in flight can't end it */
	list_health_add(&h, &conf, 10000, 0, DAY);
	assert_true(h.is_held);
	list_health_resume(&h);
	assert_false(h.is_held);
	list_health_add(&h, &conf, 1, 1, DAY);
	assert_false(h.is_held);
	list_health_add(&h, &conf, 209, 22, DAY);
	list_health_say(&h, &conf, text, sizeof(text));
	assert_string_equal(text,
	    "23 of 210 recipients don't exist, the limit is 8%");
}

static void
an_alert_holds_nothing_and_comes_again_after_better_times(void **state)
{
	struct conf_list_health alert = conf;
	struct list_health h = { 0 };

	(void)state;
	alert.action = LIST_ALERT;
	assert_int_equal(list_health_add(&h, &alert, 100, 8, DAY),
	    LIST_TURNED_BAD);
	assert_false(h.is_held);
	assert_int_equal(list_health_add(&h, &alert, 1, 1, DAY), LIST_FINE);
	assert_int_equal(list_health_add(&h, &alert, 100, 0, DAY), LIST_FINE);
	assert_int_equal(list_health_add(&h, &alert, 100, 50, DAY),
	    LIST_TURNED_BAD);
	alert.is_given = false;
	h = (struct list_health){ 0 };
	assert_int_equal(list_health_add(&h, &alert, 100, 100, DAY), LIST_FINE);
}

static void
it_is_stored_and_read(void **state)
{
	static const char *const refused[] = { "", "2 1 1 1 1 1 0 0 0", "1 1 1",
		"1 1 -1 1 1 1 0 0 0", "1 1 1 1 1 1 0 0 0 x",
		"1 1 9000000000000000000 1 1 1 0 0 0" };
	struct list_health h = { 0 }, again = { 0 };
	char text[LIST_HEALTH_TEXT_SIZE];

	(void)state;
	list_health_add(&h, &conf, 50, 1, 4 * DAY);
	list_health_add(&h, &conf, 100, 50, 5 * DAY);
	assert_int_equal(list_health_parse(&again,
			     list_health_format(&h, text)),
	    0);
	assert_true(again.is_held && again.is_alerted);
	assert_int_equal(again.since_us, 5 * DAY);
	assert_int_equal(again.counts[1].attempted, 50);
	assert_int_equal(again.counts[0].dirty, 50);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(list_health_parse(&again, refused[i]), -1);
	assert_true(again.is_held);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dirty_list_is_held_when_there_is_a_sample),
		cmocka_unit_test(it_counts_today_and_yesterday),
		cmocka_unit_test(it_is_told_once_and_ends_when_resumed),
		cmocka_unit_test(
		    an_alert_holds_nothing_and_comes_again_after_better_times),
		cmocka_unit_test(it_is_stored_and_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
