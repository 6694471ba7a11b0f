/* SPDX-License-Identifier: ISC */
/* What a plan makes of a day's facts, of idle days, and of a bad day. */
#include "scheduler/schedule.h"
#include "tests/unit/warmup_world.h"

/* At stage 5, with 379 a day, on a day that is to be judged. */
static struct warmup_world
at_stage_5(void)
{
	struct warmup_world ww = { .plan = world_plan_default() };

	return ww;
}

static void
to_stage_5(struct warmup_world *ww)
{
	ww_start(ww, NULL, "2026-11-24");
	for (int i = 0; i < 5; i++)
		ww_day(ww, 1000);
	assert_int_equal(warmup_ask(&ww->w, ww->utc_us).room, 379);
	ww->n_changes = 0;
}

static void
charge(struct warmup_world *ww, int64_t n, int64_t slowed, int64_t rejected,
    int64_t dirty)
{
	warmup_ask(&ww->w, ww->utc_us);
	warmup_charge(&ww->w, n, ww->utc_us);
	ww_facts(ww, n, slowed, rejected, dirty);
}

static void
next_day(struct warmup_world *ww)
{
	ww->utc_us += DAY;
	warmup_tick(&ww->w, ww->utc_us, false);
}

static void
a_day_advances_only_when_all_gates_agree(void **state)
{
	static const struct {
		int64_t sent, slowed, rejected, dirty, complained;
		enum warmup_step step;
		const char *why;
	} rows[] = {
		{ 379, 0, 0, 0, 0, WARMUP_ADVANCED, "379 of 379 sent" },
		{ 266, 0, 0, 0, 0, WARMUP_ADVANCED, "266 of 379 sent" },
		{ 265, 0, 0, 0, 0, WARMUP_KEPT, "265 of 379 sent" },
		{ 370, 36, 0, 0, 0, WARMUP_ADVANCED, "370 of 379 sent" },
		{ 370, 37, 0, 0, 0, WARMUP_KEPT,
		    "37 of 370 deferred, the plan wants less than 10%" },
		{ 370, 0, 7, 0, 0, WARMUP_ADVANCED, "370 of 379 sent" },
		{ 370, 0, 8, 0, 0, WARMUP_KEPT,
		    "8 of 370 rejected, the plan wants less than 2%" },
		{ 370, 0, 0, 18, 0, WARMUP_ADVANCED, "370 of 379 sent" },
		{ 370, 0, 0, 19, 0, WARMUP_KEPT,
		    "19 of 370 bounced, the plan wants less than 5%" },
		{ 370, 0, 0, 0, 1, WARMUP_KEPT,
		    "1 of 370 complained, the plan wants less than 0.1%" },
		/* 19 are no sample; then it is the volume that counts */
		{ 19, 5, 0, 0, 0, WARMUP_KEPT, "19 of 379 sent" },
		{ 20, 5, 0, 0, 0, WARMUP_KEPT,
		    "5 of 20 deferred, the plan wants less than 10%" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = at_stage_5();

		to_stage_5(&ww);
		charge(&ww, rows[i].sent, rows[i].slowed, rows[i].rejected,
		    rows[i].dirty);
		ledger_add(&ww.ledger, ww.w.st.day, LEDGER_COMPLAINED,
		    rows[i].complained);
		next_day(&ww);
		assert_int_equal(ww.n_changes, 1);
		assert_string_equal(ww_last(&ww)->why, rows[i].why);
		assert_int_equal(ww_last(&ww)->step, rows[i].step);
		assert_int_equal(ww.w.st.stage,
		    rows[i].step == WARMUP_ADVANCED ? 6 : 5);
		assert_int_equal(ww_last(&ww)->from_volume, 379);
		ww_end(&ww);
	}
}

/* Greylisting and full mailboxes say nothing about the lane. */
static void
deferrals_that_blame_nobody_hold_nothing(void **state)
{
	struct warmup_world ww = at_stage_5();

	(void)state;
	to_stage_5(&ww);
	charge(&ww, 379, 0, 0, 0);
	ledger_add(&ww.ledger, ww.w.st.day, LEDGER_DEFERRED, 300);
	ledger_add(&ww.ledger, ww.w.st.day, LEDGER_BOUNCED, 70);
	warmup_watch(&ww.w, ww.utc_us);
	next_day(&ww);
	assert_int_equal(ww.w.st.stage, 6);
	ww_end(&ww);
}

static void
bad_days_hold_then_step_back(void **state)
{
	/* per day: is it bad; the stage afterwards */
	static const struct {
		int64_t hold, step_back;
		int bad[5];
		int64_t stage[5];
	} rows[] = {
		{ 1, 1, { 1, 1, 1, 0, 1 }, { 5, 4, 3, 4, 4 } },
		{ 0, 1, { 1, 1, 0, 0, 1 }, { 4, 3, 4, 5, 4 } },
		{ 2, 3, { 1, 1, 1, 1, 1 }, { 5, 5, 2, 0, 0 } },
		{ 0, 0, { 1, 1, 1, 0, 0 }, { 5, 5, 5, 6, 7 } },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = at_stage_5();

		ww.plan.unhealthy.hold = rows[i].hold;
		ww.plan.unhealthy.step_back = rows[i].step_back;
		to_stage_5(&ww);
		for (int k = 0; k < 5; k++) {
			int64_t n = warmup_ask(&ww.w, ww.utc_us).room;

			charge(&ww, n, 0, rows[i].bad[k] ? n / 25 : 0, 0);
			next_day(&ww);
			if (ww.w.st.stage != rows[i].stage[k])
				print_error("row %zu, day %d\n", i, k);
			assert_int_equal(ww.w.st.stage, rows[i].stage[k]);
		}
		ww_end(&ww);
	}
}

static void
a_day_that_goes_badly_stops(void **state)
{
	static const struct {
		int64_t sent, slowed, rejected;
		bool stops;
		const char *why;
	} rows[] = {
		{ 100, 29, 0, false, "" },
		{ 100, 30, 0, true, "30 of 100 were deferred today" },
		{ 19, 19, 0, false, "" }, /* no sample */
		{ 100, 0, 4, false, "" },
		{ 100, 0, 5, true, "5 of 100 were rejected today" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = at_stage_5();
		struct warmup_permit p;

		to_stage_5(&ww);
		charge(&ww, rows[i].sent, rows[i].slowed, rows[i].rejected, 0);
		p = warmup_ask(&ww.w, ww.utc_us);
		assert_int_equal(p.hold,
		    rows[i].stops ? WARMUP_STOP : WARMUP_OPEN);
		assert_int_equal(ww_count(&ww, WARMUP_STOPPED), rows[i].stops);
		if (rows[i].stops) {
			char text[200];

			assert_string_equal(ww_last(&ww)->why, rows[i].why);
			assert_int_equal(p.utc_us, ww.utc_us + DAY);
			assert_int_equal(warmup_left(&ww.w), 0);
			ww_restart(&ww); /* it isn't forgotten */
			assert_int_equal(warmup_ask(&ww.w, ww.utc_us).hold,
			    WARMUP_STOP);
			warmup_say(&ww.w, ww.utc_us, text, sizeof(text));
			assert_non_null(strstr(text, rows[i].why));
			next_day(&ww); /* a bad day: held */
			assert_int_equal(ww.w.st.stage, 5);
			assert_int_equal(warmup_ask(&ww.w, ww.utc_us).room,
			    379);
		}
		ww_end(&ww);
	}
}

static void
idle_days_advance_only_plans_of_calendar_days(void **state)
{
	static const struct {
		enum conf_plan_count count;
		int days; /* until the next mail */
		int64_t stage;
	} rows[] = {
		{ COUNT_SENDING_DAYS, 1, 6 },
		{ COUNT_SENDING_DAYS, 2, 6 },
		{ COUNT_SENDING_DAYS, 6, 6 },
		{ COUNT_CALENDAR_DAYS, 1, 6 },
		{ COUNT_CALENDAR_DAYS, 2, 7 },
		{ COUNT_CALENDAR_DAYS, 6, 11 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (int by_day = 0; by_day < 2; by_day++) {
			struct warmup_world ww = at_stage_5();

			ww.plan.count = rows[i].count;
			to_stage_5(&ww);
			charge(&ww, 379, 0, 0, 0);
			for (int d = 1; by_day && d < rows[i].days; d++)
				warmup_tick(&ww.w, ww.utc_us + d * DAY, false);
			ww.utc_us += rows[i].days * DAY;
			warmup_tick(&ww.w, ww.utc_us, true);
			assert_int_equal(ww.w.st.stage, rows[i].stage);
			ww_end(&ww);
		}
}

static void
what_was_idle_cools_down(void **state)
{
	static const struct {
		int days;
		int64_t stage;
		enum warmup_step last;
	} rows[] = {
		{ 6, 6, WARMUP_ADVANCED },
		{ 7, 5, WARMUP_DECAYED },
		{ 13, 5, WARMUP_DECAYED },
		{ 14, 4, WARMUP_DECAYED },
		{ 29, 2, WARMUP_DECAYED },
		{ 30, 0, WARMUP_RESTARTED },
		{ 300, 0, WARMUP_RESTARTED },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		for (int by_day = 0; by_day < 2; by_day++) {
			struct warmup_world ww = at_stage_5();

			to_stage_5(&ww);
			charge(&ww, 379, 0, 0, 0);
			for (int d = 1; by_day && d < rows[i].days; d++)
				warmup_tick(&ww.w, ww.utc_us + d * DAY, false);
			ww.utc_us += rows[i].days * DAY;
			warmup_tick(&ww.w, ww.utc_us, true);
			assert_int_equal(ww.w.st.stage, rows[i].stage);
			assert_int_equal(ww_last(&ww)->step, rows[i].last);
			/* and one day with mail ends the idle spell */
			charge(&ww, warmup_ask(&ww.w, ww.utc_us).room, 0, 0, 0);
			next_day(&ww);
			assert_int_equal(ww.w.st.stage, rows[i].stage + 1);
			ww_end(&ww);
		}
}

static void
a_finished_plan_goes_on_judging(void **state)
{
	int64_t volumes[] = { 100, 200 };
	struct warmup_world ww = at_stage_5();

	(void)state;
	ww.plan.schedule =
	    (struct conf_schedule){ .volumes = volumes, .n_volumes = 2 };
	ww_start(&ww, NULL, "2026-11-24");
	for (int i = 0; i < 4; i++)
		ww_day(&ww, 1000);
	assert_int_equal(ww_day(&ww, 1000), 1000);
	/* two bad days: it is warming up again, a stage below */
	for (int i = 0; i < 2; i++) {
		charge(&ww, 1000, 150, 0, 0);
		next_day(&ww);
	}
	assert_int_equal(ww_last(&ww)->step, WARMUP_STEPPED_BACK);
	assert_int_equal(ww_last(&ww)->from_volume, INT64_MAX);
	assert_int_equal(warmup_left(&ww.w), 100);
	ww_end(&ww);
}

static void
the_outlook_is_what_good_days_bring(void **state)
{
	struct warmup_world ww = at_stage_5();

	(void)state;
	to_stage_5(&ww);
	assert_int_equal(warmup_outlook(&ww.w, 0), 379);
	assert_int_equal(warmup_outlook(&ww.w, 1), 569);
	assert_int_equal(warmup_outlook(&ww.w, 14), 100000);
	assert_int_equal(warmup_outlook(&ww.w, 16), 100000);
	assert_int_equal(warmup_outlook(&ww.w, 17), INT64_MAX);
	ww.plan.done = DONE_KEEP;
	assert_int_equal(warmup_outlook(&ww.w, 1000), 100000);
	warmup_order(&ww.w, WARMUP_ORDER_HOLD, 0, ww.utc_us, NULL);
	assert_int_equal(warmup_outlook(&ww.w, 1000), 379);
	ww_end(&ww);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_advances_only_when_all_gates_agree),
		cmocka_unit_test(deferrals_that_blame_nobody_hold_nothing),
		cmocka_unit_test(bad_days_hold_then_step_back),
		cmocka_unit_test(a_day_that_goes_badly_stops),
		cmocka_unit_test(idle_days_advance_only_plans_of_calendar_days),
		cmocka_unit_test(what_was_idle_cools_down),
		cmocka_unit_test(a_finished_plan_goes_on_judging),
		cmocka_unit_test(the_outlook_is_what_good_days_bring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
