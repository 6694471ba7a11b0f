/* SPDX-License-Identifier: ISC */
/* Facts by day: kept, found, forgotten after 400 days, stored and read. */
#include "scheduler/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void
counts_are_by_day_and_fact(void **state)
{
	struct ledger l = { 0 };

	(void)state;
	assert_int_equal(ledger_get(&l, 5, LEDGER_ATTEMPTED), 0);
	assert_null(ledger_find(&l, 5));
	ledger_add(&l, 5, LEDGER_ATTEMPTED, 10);
	ledger_add(&l, 5, LEDGER_ATTEMPTED, 2);
	ledger_add(&l, 7, LEDGER_ATTEMPTED, 30);
	ledger_add(&l, 6, LEDGER_ATTEMPTED, 20); /* in between */
	ledger_add(&l, 5, LEDGER_BOUNCED, 1);
	assert_int_equal(ledger_get(&l, 5, LEDGER_ATTEMPTED), 12);
	assert_int_equal(ledger_get(&l, 6, LEDGER_ATTEMPTED), 20);
	assert_int_equal(ledger_get(&l, 7, LEDGER_ATTEMPTED), 30);
	assert_int_equal(ledger_get(&l, 5, LEDGER_BOUNCED), 1);
	assert_int_equal(ledger_get(&l, 8, LEDGER_ATTEMPTED), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.rows[1].day, 6);
	ledger_add(&l, 9, LEDGER_HELD, 0); /* nothing happened */
	assert_int_equal(l.n, 3);
	ledger_fini(&l);
}

static void
counts_saturate_and_never_fall_below_nothing(void **state)
{
	struct ledger l = { 0 };

	(void)state;
	ledger_add(&l, 1, LEDGER_CHARGED, 5);
	ledger_add(&l, 1, LEDGER_CHARGED, -7);
	assert_int_equal(ledger_get(&l, 1, LEDGER_CHARGED), 0);
	ledger_set(&l, 1, LEDGER_ALLOWED, INT64_MAX);
	assert_int_equal(ledger_get(&l, 1, LEDGER_ALLOWED), LEDGER_MAX);
	ledger_add(&l, 1, LEDGER_ALLOWED, 1);
	assert_int_equal(ledger_get(&l, 1, LEDGER_ALLOWED), LEDGER_MAX);
	ledger_fini(&l);
}

static void
days_are_kept_for_400_days(void **state)
{
	struct ledger l = { 0 };

	(void)state;
	for (int64_t day = 1000; day < 2000; day++)
		ledger_add(&l, day, LEDGER_ATTEMPTED, day);
	assert_int_equal(l.n, LEDGER_DAYS);
	assert_int_equal(ledger_get(&l, 1600, LEDGER_ATTEMPTED), 1600);
	assert_int_equal(ledger_get(&l, 1599, LEDGER_ATTEMPTED), 0);
	/* days without mail count too */
	ledger_add(&l, 2300, LEDGER_ATTEMPTED, 1);
	assert_int_equal(l.rows[0].day, 1901);
	assert_int_equal(l.n, 100);
	ledger_forget(&l, 2000);
	assert_int_equal(l.n, 1);
	ledger_fini(&l);
}

static void
the_peak_is_of_the_days_asked_for(void **state)
{
	static const struct {
		int64_t from, to, peak;
	} rows[] = {
		{ 1, 3, 300 },
		{ 1, 2, 200 },
		{ 3, 3, 300 },
		{ 4, 4, 0 },
		{ 4, 9, 50 },
		{ 6, 9, 0 },
		{ -9, 0, 0 },
		{ 3, 1, 0 },
	};
	struct ledger l = { 0 };

	(void)state;
	assert_int_equal(ledger_peak(&l, 0, 9, LEDGER_CHARGED), 0);
	for (int64_t day = 1; day <= 3; day++)
		ledger_add(&l, day, LEDGER_CHARGED, day * 100);
	ledger_add(&l, 5, LEDGER_CHARGED, 50);
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(ledger_peak(&l, rows[i].from, rows[i].to,
				     LEDGER_CHARGED),
		    rows[i].peak);
	ledger_fini(&l);
}

static void
a_row_is_read_as_it_was_written(void **state)
{
	struct ledger l = { 0 }, again = { 0 };
	char text[LEDGER_TEXT_SIZE];

	(void)state;
	for (int i = 0; i < LEDGER_FACTS; i++)
		ledger_set(&l, 20781, (enum ledger_fact)i,
		    (int64_t)LEDGER_MAX - i);
	ledger_row_format(&l.rows[0], text);
	assert_int_equal(ledger_row_parse(&again, 20781, text), 0);
	assert_memory_equal(again.rows[0].facts, l.rows[0].facts,
	    sizeof(l.rows[0].facts));
	assert_false(again.rows[0].is_changed);
	/* one of an older version knew fewer facts */
	assert_int_equal(ledger_row_parse(&again, 20780, "1 5 4"), 0);
	assert_int_equal(ledger_get(&again, 20780, LEDGER_ACCEPTED), 4);
	assert_int_equal(ledger_get(&again, 20780, LEDGER_STAGE), 0);
	ledger_fini(&l);
	ledger_fini(&again);
}

static void
what_isnt_a_row_is_refused(void **state)
{
	static const char *const rows[] = { "", "0 1 2", "2 1", "1 ", "1 -1",
		"1 1 x", "1 4294967296", "1  1",
		"1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "1 99999999999999999999999",
		"one" };
	struct ledger l = { 0 };

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(ledger_row_parse(&l, 1, rows[i]), -1);
	assert_int_equal(l.n, 0);
	ledger_fini(&l);
}

static void
facts_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < LEDGER_FACTS; i++)
		assert_string_not_equal(ledger_fact_name((enum ledger_fact)i),
		    "unknown");
	assert_string_equal(ledger_fact_name(LEDGER_FACTS), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_by_day_and_fact),
		cmocka_unit_test(counts_saturate_and_never_fall_below_nothing),
		cmocka_unit_test(days_are_kept_for_400_days),
		cmocka_unit_test(the_peak_is_of_the_days_asked_for),
		cmocka_unit_test(a_row_is_read_as_it_was_written),
		cmocka_unit_test(what_isnt_a_row_is_refused),
		cmocka_unit_test(facts_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
