/* SPDX-License-Identifier: ISC */
/* A plan in words, and as the line in which it is stored. */
#include "tests/unit/warmup_world.h"

static void
each_hold_is_told_in_words(void **state)
{
	/* at this time of day, with so many sent before */
	static const struct {
		int64_t at_us, sent;
		const char *text;
	} rows[] = {
		{ 0, 0, "outside of plan cold-ip's window, which opens in 7h" },
		{ 7 * HOUR, 0,
		    "plan cold-ip allows ip-a/gmail 50 today (stage 1), 0 are "
		    "used" },
		{ 7 * HOUR, 1,
		    "plan cold-ip spreads ip-a/gmail's 50 a day evenly: 1 are "
		    "used, the next may leave in 17m" },
		{ 20 * HOUR, 50,
		    "plan cold-ip allows ip-a/gmail 50 today (stage 1) and all "
		    "are used; the next day's begin in 11h" },
		{ 22 * HOUR, 0,
		    "outside of plan cold-ip's window, which opens in 9h" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = { .plan = world_plan_default() };
		char text[200];

		ww.plan.pace = PACE_EVEN;
		ww.plan.window_from_us = 7 * HOUR;
		ww.plan.window_to_us = 21 * HOUR;
		ww_start(&ww, NULL, "2026-11-24");
		warmup_say(&ww.w, ww.utc_us, text, sizeof(text));
		assert_string_equal(text,
		    "plan cold-ip of ip-a/gmail begins with its first message, "
		    "with 50 a day");
		warmup_tick(&ww.w, ww.utc_us, true);
		ww.utc_us += rows[i].at_us;
		warmup_tick(&ww.w, ww.utc_us, true);
		if (rows[i].sent > 0)
			warmup_charge(&ww.w, rows[i].sent, ww.utc_us);
		warmup_say(&ww.w, ww.utc_us, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
		ww_end(&ww);
	}
}

static void
a_state_is_read_as_it_was_written(void **state)
{
	struct warmup_world ww = { .plan = world_plan_default() };
	char text[WARMUP_TEXT_SIZE], again[WARMUP_TEXT_SIZE];

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	warmup_format(&ww.w, text); /* not begun */
	assert_int_equal(warmup_parse(&ww.w, text), 0);
	assert_int_equal(ww.w.st.day, WARMUP_NO_DAY);
	ww_day(&ww, 1000);
	warmup_tick(&ww.w, ww.utc_us, true);
	warmup_charge(&ww.w, 20, ww.utc_us);
	ww_facts(&ww, 20, 20, 0, 0); /* stopped */
	warmup_format(&ww.w, text);
	assert_non_null(strstr(text, " stage=1 "));
	assert_non_null(strstr(text, " why=20 of 20 were deferred today"));
	ww_restart(&ww);
	warmup_format(&ww.w, again);
	assert_string_equal(text, again);
	/* what a newer version wrote besides is passed over */
	assert_int_equal(warmup_parse(&ww.w,
			     "1 stage=3 colour=7 day=20000 day_us=9"),
	    0);
	assert_int_equal(ww.w.st.stage, 3);
	ww_end(&ww);
}

static void
what_isnt_a_state_is_refused(void **state)
{
	static const char *const rows[] = { "", "1", "2 stage=1", "1 stage",
		"1 stage=", "1 stage=x", "1 stage=1x", "1 day=1 stage=-1",
		"1 day=1 stage=100001", "1 day=1", "1 day=1 day_us=0",
		"1 day=99999999999999999999 day_us=1",
		"1 day=9000000000000000000 day_us=1",
		"1 day=1 day_us=1 epoch_utc_us=-9000000000000000000" };
	struct warmup_world ww = { .plan = world_plan_default() };

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	ww_day(&ww, 1000);
	for (size_t i = 0; i < N_OF(rows); i++) {
		if (warmup_parse(&ww.w, rows[i]) == 0)
			print_error("taken: %s\n", rows[i]);
		assert_int_equal(warmup_parse(&ww.w, rows[i]), -1);
		assert_int_equal(ww.w.st.day_us, DAY);
	}
	ww_end(&ww);
}

static void
steps_have_names(void **state)
{
	(void)state;
	for (int i = WARMUP_BEGAN; i <= WARMUP_TOLD; i++)
		assert_string_not_equal(warmup_step_name((enum warmup_step)i),
		    "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_hold_is_told_in_words),
		cmocka_unit_test(a_state_is_read_as_it_was_written),
		cmocka_unit_test(what_isnt_a_state_is_refused),
		cmocka_unit_test(steps_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
