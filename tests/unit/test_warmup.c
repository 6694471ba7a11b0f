/* SPDX-License-Identifier: ISC */
/* How many may leave now: volumes, windows, pace, orders, and the exact count
 * over restarts and clocks that step. */
#include "scheduler/warmup.h"

#include "conf/base/rng.h"
#include "scheduler/schedule.h"
#include "tests/unit/warmup_world.h"

static struct warmup_world
with_plan(void)
{
	struct warmup_world ww = { .plan = world_plan_default() };

	return ww;
}

/* ---- volumes ---- */

static void
days_allow_what_was_computed_by_hand(void **state)
{
	static const int64_t volumes[] = { 50, 75, 112, 168, 253, 379, 569, 854,
		1281, 1922, 2883, 4324, 6487, 9730, 14596, 21894, 32842, 49263,
		73894, 100000, 100000, 100000 };
	struct warmup_world ww = with_plan();

	(void)state;
	ww_start(&ww, "Europe/Berlin", "2026-03-20"); /* a change on the 29th */
	for (size_t i = 0; i < N_OF(volumes); i++)
		assert_int_equal(ww_day(&ww, 10000000), volumes[i]);
	/* held for three days: the plan has done its work */
	for (size_t i = N_OF(volumes); i < 45; i++)
		assert_int_equal(ww_day(&ww, 1000000), 1000000);
	assert_string_equal(warmup_state_name(&ww.w), "done");
	assert_int_equal(ww_count(&ww, WARMUP_BEGAN), 1);
	assert_int_equal(ww_count(&ww, WARMUP_ADVANCED), 19);
	assert_int_equal(ww_count(&ww, WARMUP_DONE), 1);
	assert_int_equal(ww.ledger.n, 45);
	assert_int_equal(ww.ledger.rows[3].facts[LEDGER_ALLOWED], 168);
	assert_int_equal(ww.ledger.rows[44].facts[LEDGER_ALLOWED], LEDGER_MAX);
	ww_end(&ww);
}

static void
a_plan_that_keeps_stays_at_its_highest(void **state)
{
	int64_t volumes[] = { 10, 20 };
	struct warmup_world ww = with_plan();

	(void)state;
	ww.plan.schedule =
	    (struct conf_schedule){ .volumes = volumes, .n_volumes = 2 };
	ww.plan.done = DONE_KEEP;
	ww_start(&ww, NULL, "2026-11-24");
	assert_int_equal(ww_day(&ww, 1000), 10);
	for (int i = 0; i < 9; i++)
		assert_int_equal(ww_day(&ww, 1000), 20);
	ww_end(&ww);
}

static void
a_plan_waits_for_its_start(void **state)
{
	struct warmup_world ww = with_plan();
	struct warmup_permit p;
	char text[200];

	(void)state;
	ww.plan.start_day = zone_date_parse("2026-12-01");
	ww.plan.window_from_us = 7 * HOUR;
	ww_start(&ww, "Europe/Berlin", "2026-11-30");
	p = warmup_ask(&ww.w, ww.utc_us);
	assert_int_equal(p.hold, WARMUP_BEFORE_START);
	assert_int_equal(p.utc_us - ww.utc_us, 31 * HOUR);
	assert_string_equal(warmup_state_name(&ww.w), "waiting");
	warmup_say(&ww.w, ww.utc_us, text, sizeof(text));
	assert_string_equal(text, "plan cold-ip of ip-a/gmail starts in 31h");
	assert_int_equal(ww_day(&ww, 1000), 0);
	assert_int_equal(ww_count(&ww, WARMUP_BEGAN), 0);
	assert_int_equal(ww_day(&ww, 1000), 50);
	assert_int_equal(ww_count(&ww, WARMUP_BEGAN), 1);
	assert_int_equal(ww_day(&ww, 1000), 75);
	ww_end(&ww);
}

/* ---- window and pace ---- */

static void
the_window_is_by_the_clock_on_the_wall(void **state)
{
	/* On these days clocks change: the window's length doesn't. */
	static const struct {
		const char *zone, *date;
		int utc_open_h;
	} rows[] = {
		{ "Europe/Berlin", "2026-03-28", 6 },
		{ "Europe/Berlin", "2026-03-29", 5 },
		{ "Europe/Berlin", "2026-10-24", 5 },
		{ "Europe/Berlin", "2026-10-25", 6 },
		{ "America/New_York", "2026-03-08", 11 },
		{ "America/New_York", "2026-11-01", 12 },
		{ "UTC", "2026-11-01", 7 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t day = zone_date_parse(rows[i].date);
		struct warmup_world ww = with_plan();
		struct warmup_permit p;

		ww.plan.window_from_us = 7 * HOUR;
		ww.plan.window_to_us = 21 * HOUR;
		ww_start(&ww, rows[i].zone, rows[i].date);
		p = warmup_ask(&ww.w, ww.utc_us);
		assert_int_equal(p.hold, WARMUP_WINDOW);
		assert_int_equal(p.utc_us,
		    day * DAY + rows[i].utc_open_h * HOUR);
		p = warmup_ask(&ww.w, p.utc_us);
		assert_int_equal(p.hold, WARMUP_OPEN);
		assert_int_equal(p.room, 50);
		ww.utc_us = ww.w.open_us + 14 * HOUR - 1;
		p = warmup_ask(&ww.w, ww.utc_us);
		assert_int_equal(p.hold, WARMUP_OPEN);
		p = warmup_ask(&ww.w, ww.utc_us + 1);
		assert_int_equal(p.hold, WARMUP_WINDOW);
		assert_int_equal(p.utc_us,
		    zone_instant(ww.zone, day + 1, 7 * HOUR));
		ww_end(&ww);
	}
}

static void
a_window_that_clocks_skip_is_the_whole_day(void **state)
{
	struct warmup_world ww = with_plan();

	(void)state;
	ww.plan.window_from_us = 2 * HOUR;
	ww.plan.window_to_us = 3 * HOUR;
	ww_start(&ww, "Europe/Berlin", "2026-03-29");
	assert_int_equal(ww_day(&ww, 1000), 50);
	ww_end(&ww);
}

/* 84 a day within 14 hours: one each ten minutes, from 07:00. */
static struct warmup_world
with_even_pace(void)
{
	struct warmup_world ww = with_plan();

	ww.plan.pace = PACE_EVEN;
	ww.plan.window_from_us = 7 * HOUR;
	ww.plan.window_to_us = 21 * HOUR;
	ww.plan.schedule.from = 84;
	return ww;
}

static void
a_day_is_spread_evenly_over_its_window(void **state)
{
	struct warmup_world ww = with_even_pace();
	int64_t begin;

	(void)state;
	ww_start(&ww, "UTC", "2026-11-24");
	begin = ww.utc_us;
	assert_int_equal(ww_send(&ww, 1000, 50, begin + 7 * HOUR), 0);
	for (int i = 0; i < 84; i++) {
		struct warmup_permit p = warmup_ask(&ww.w, ww.utc_us);

		assert_int_equal(p.hold, WARMUP_OPEN);
		assert_int_equal(p.room, 1);
		warmup_charge(&ww.w, 1, ww.utc_us);
		p = warmup_ask(&ww.w, ww.utc_us);
		if (i == 83)
			break;
		assert_int_equal(p.hold, WARMUP_PACE);
		assert_int_equal(p.utc_us - ww.utc_us, 600 * SEC);
		ww.utc_us = p.utc_us;
	}
	assert_int_equal(ww.utc_us, begin + 21 * HOUR - 600 * SEC);
	assert_int_equal(warmup_ask(&ww.w, ww.utc_us).hold, WARMUP_SPENT);
	ww_end(&ww);
}

static void
what_came_late_catches_up_at_twice_the_pace(void **state)
{
	static const struct {
		int came_h, until_h;
		int64_t sent;
	} rows[] = {
		{ 7, 8, 6 },	/* on time: 6 an hour */
		{ 11, 12, 12 }, /* 24 behind: 12 an hour */
		{ 11, 15, 48 }, /* caught up after 4 hours */
		{ 11, 16, 54 }, /* then 6 an hour again */
		{ 20, 21, 12 }, /* too late for the rest */
		{ 14, 21, 84 }, /* just in time */
		{ 15, 21, 72 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = with_even_pace();
		int64_t begin, sent;

		ww_start(&ww, "UTC", "2026-11-24");
		begin = ww.utc_us;
		ww.utc_us += rows[i].came_h * HOUR;
		sent = ww_send(&ww, 1000, 1, begin + rows[i].until_h * HOUR);
		if (sent != rows[i].sent)
			print_error("row %zu: %lld\n", i, (long long)sent);
		assert_int_equal(sent, rows[i].sent);
		ww_end(&ww);
	}
}

static void
big_transactions_keep_the_next_one_waiting(void **state)
{
	struct warmup_world ww = with_even_pace();
	int64_t begin;

	(void)state;
	ww_start(&ww, "UTC", "2026-11-24");
	begin = ww.utc_us;
	ww.utc_us += 12 * HOUR; /* 30 behind */
	assert_int_equal(warmup_ask(&ww.w, ww.utc_us).room, 31);
	warmup_charge(&ww.w, 20, ww.utc_us);
	assert_int_equal(warmup_ask(&ww.w, ww.utc_us).utc_us,
	    begin + 12 * HOUR + 20 * 300 * SEC);
	/* what wasn't used holds nobody */
	warmup_give_back(&ww.w, ww.w.st.day, 20);
	assert_int_equal(warmup_ask(&ww.w, ww.utc_us).hold, WARMUP_OPEN);
	assert_int_equal(warmup_charged(&ww.w), 0);
	ww_end(&ww);
}

/* ---- the operator ---- */

static void
orders_take_effect_today_and_keep_the_count(void **state)
{
	static const struct {
		enum warmup_order order;
		int64_t n, stage, left;
	} rows[] = {
		{ WARMUP_ORDER_ADVANCE, 0, 4, 253 - 40 },
		{ WARMUP_ORDER_HOLD, 0, 3, 168 - 40 },
		{ WARMUP_ORDER_BACK, 0, 2, 112 - 40 },
		{ WARMUP_ORDER_RESTART, 0, 0, 50 - 40 },
		{ WARMUP_ORDER_SET_DAY, 1, 0, 50 - 40 },
		{ WARMUP_ORDER_SET_DAY, 20, 19, 100000 - 40 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = with_plan();

		ww_start(&ww, NULL, "2026-11-24");
		for (int day = 0; day < 3; day++)
			ww_day(&ww, 100000);
		ww_send(&ww, 40, 40, ww.utc_us + HOUR);
		assert_int_equal(warmup_left(&ww.w), 168 - 40);
		assert_int_equal(warmup_order(&ww.w, rows[i].order, rows[i].n,
				     ww.utc_us, NULL),
		    0);
		assert_int_equal(ww.w.st.stage, rows[i].stage);
		assert_int_equal(warmup_left(&ww.w), rows[i].left);
		assert_int_equal(ww_last(&ww)->step, WARMUP_TOLD);
		ww_end(&ww);
	}
}

static void
a_stage_that_is_held_stays(void **state)
{
	struct warmup_world ww = with_plan();

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	ww_day(&ww, 1000);
	assert_int_equal(warmup_order(&ww.w, WARMUP_ORDER_HOLD, 0, ww.utc_us,
			     NULL),
	    0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ww_day(&ww, 1000), 75);
	assert_string_equal(warmup_state_name(&ww.w), "held");
	assert_int_equal(warmup_order(&ww.w, WARMUP_ORDER_ADVANCE, 0, ww.utc_us,
			     NULL),
	    0);
	assert_int_equal(ww_day(&ww, 1000), 112);
	assert_int_equal(ww_day(&ww, 1000), 168);
	ww_end(&ww);
}

static void
orders_that_lead_nowhere_are_refused(void **state)
{
	static const struct {
		int64_t stage;
		enum warmup_order order;
		int64_t n;
		const char *why;
	} rows[] = {
		{ 0, WARMUP_ORDER_BACK, 0,
		    "ip-a/gmail is at the plan's first stage already" },
		{ 19, WARMUP_ORDER_ADVANCE, 0,
		    "ip-a/gmail is at the plan's last stage already" },
		{ 0, WARMUP_ORDER_SET_DAY, 0,
		    "plan cold-ip has the days 1 to 20" },
		{ 0, WARMUP_ORDER_SET_DAY, 21,
		    "plan cold-ip has the days 1 to 20" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = with_plan();
		struct err err;

		ww_start(&ww, NULL, "2026-11-24");
		ww_day(&ww, 1);
		ww.w.st.stage = rows[i].stage;
		assert_int_equal(warmup_order(&ww.w, rows[i].order, rows[i].n,
				     ww.utc_us, &err),
		    -1);
		assert_string_equal(err.text, rows[i].why);
		assert_int_equal(ww.w.st.stage, rows[i].stage);
		ww_end(&ww);
	}
	assert_int_equal(warmup_order_parse("set-day"), WARMUP_ORDER_SET_DAY);
	assert_int_equal(warmup_order_parse("sideways"), -1);
}

/* ---- the exact count ---- */

/* Steps of the clock, in hours, each followed by as much mail as may leave;
 * how much leaves each time. The day's allowance is 50, from 12:00. */
static void
steps_of_the_clock_double_and_lose_nothing(void **state)
{
	static const struct {
		const char *what;
		int64_t first;
		int steps_h[4];
		int64_t sent[4];
	} rows[] = {
		{ "back within the day", 20, { -6 }, { 30 } },
		{ "back over midnight: a day that had no mail", 20, { -18, 18 },
		    { 30, 30 } },
		{ "a day ahead and back", 20, { 24, -24 }, { 30, 0 } },
		{ "ten days ahead and back, then on", 20, { 240, -240, 6, 6 },
		    { 30, 0, 0, 75 } },
		{ "a year ahead for good", 20, { 8760, 6, 6, 24 },
		    { 30, 0, 75, 112 } },
		{ "to 1970 and back", 20, { -498000, 498000 }, { 30, 0 } },
		{ "an hour ahead", 50, { 1, 12 }, { 0, 75 } },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = with_plan();

		ww_start(&ww, NULL, "2026-11-24");
		ww.utc_us += 12 * HOUR;
		assert_int_equal(ww_send(&ww, rows[i].first, 50, ww.utc_us + 1),
		    rows[i].first);
		for (int k = 0; k < 4 && rows[i].steps_h[k] != 0; k++) {
			int64_t step_us = rows[i].steps_h[k] * HOUR, sent;
			bool is_step = rows[i].steps_h[k] > 24 ||
			    rows[i].steps_h[k] < 0 || k == 0;

			/* else: time that passes */
			ww.utc_us += step_us;
			if (is_step)
				warmup_stepped(&ww.w, step_us, ww.utc_us);
			sent = ww_send(&ww, 1000, 50, ww.utc_us + 1);
			if (sent != rows[i].sent[k])
				print_error("%s: step %d: %lld\n", rows[i].what,
				    k, (long long)sent);
			assert_int_equal(sent, rows[i].sent[k]);
		}
		ww_end(&ww);
	}
}

static void
a_day_is_judged_once(void **state)
{
	struct warmup_world ww = with_plan();

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	ww_day(&ww, 1000);
	ww_send(&ww, 10, 10, ww.utc_us + HOUR / 2);
	assert_int_equal(ww.w.st.stage, 1);
	for (int i = 0; i < 5; i++) {
		ww.utc_us -= HOUR; /* to yesterday, which is spent */
		warmup_stepped(&ww.w, -HOUR, ww.utc_us);
		assert_int_equal(ww_send(&ww, 9, 9, ww.utc_us + 1), 0);
		ww.utc_us += HOUR - 1; /* passes */
		assert_int_equal(ww_send(&ww, 1, 1, ww.utc_us + 1), 1);
	}
	assert_int_equal(ww.w.st.stage, 1);
	assert_int_equal(warmup_charged(&ww.w), 15);
	assert_int_equal(ww_count(&ww, WARMUP_ADVANCED), 1);
	ww_day(&ww, 1000);
	ww_day(&ww, 1);
	assert_int_equal(ww.w.st.stage, 2);
	ww_end(&ww);
}

static void
a_restart_grants_nothing_and_forgets_nothing(void **state)
{
	struct warmup_world ww = with_plan();

	(void)state;
	ww_start(&ww, "America/New_York", "2026-10-30");
	for (int day = 0; day < 10; day++) {
		int64_t volume = schedule_volume(&ww.plan.schedule, day);
		int64_t begin_us = ww.utc_us;

		assert_int_equal(ww_send(&ww, 30, 7, begin_us + HOUR), 30);
		ww_restart(&ww);
		assert_int_equal(ww_send(&ww, 1000000, 7, begin_us + 2 * HOUR),
		    volume - 30);
		ww_restart(&ww);
		assert_int_equal(ww_day(&ww, 1000000), 0);
	}
	ww_end(&ww);
}

/* Whatever happens, no day's label ever counts more than it allowed. */
static void
no_day_is_ever_exceeded(void **state)
{
	static const char *const zones[] = { "Europe/Berlin",
		"America/New_York", "UTC" };

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct warmup_world ww = with_plan();
		struct rng rng = { seed };
		int64_t sent_total = 0, allowed_max = 0;

		ww.plan.pace = seed % 2 ? PACE_EVEN : PACE_FRONT;
		ww.plan.count =
		    seed % 3 ? COUNT_SENDING_DAYS : COUNT_CALENDAR_DAYS;
		ww_start(&ww, zones[seed % 3], "2026-03-20");
		for (int i = 0; i < 400; i++) {
			int64_t step_us =
			    (int64_t)rng_below(&rng, 60 * HOUR) - 30 * HOUR;
			uint64_t dice = rng_below(&rng, 10);

			ww.n_changes = 0;
			if (dice == 0)
				ww_restart(&ww);
			if (dice == 1)
				ww_restart(&ww), ww.utc_us += step_us;
			if (dice == 2) {
				ww.utc_us += step_us;
				warmup_stepped(&ww.w, step_us, ww.utc_us);
			}
			if (dice == 3)
				warmup_configure(&ww.w, &ww.plan,
				    &ww.plan.schedule, ww.zone);
			sent_total +=
			    ww_send(&ww, (int64_t)rng_below(&rng, 300), 7,
				ww.utc_us + (int64_t)rng_below(&rng, 9 * HOUR));
			for (uint32_t k = 0; k < ww.ledger.n; k++) {
				const uint32_t *f = ww.ledger.rows[k].facts;

				if (f[LEDGER_ALLOWED] == 0)
					continue; /* moved away */
				if (f[LEDGER_CHARGED] > f[LEDGER_ALLOWED])
					print_error("seed %d, i %d\n",
					    (int)seed, i);
				assert_true(f[LEDGER_CHARGED] <=
				    f[LEDGER_ALLOWED]);
			}
			if (ww.w.allowed > allowed_max)
				allowed_max = ww.w.allowed;
		}
		assert_true(sent_total > allowed_max); /* it did send */
		ww_end(&ww);
	}
}

/* ---- rehearsal ---- */

static void
a_plan_of_ten_days_of_20s_runs_with_a_restart(void **state)
{
	static const int64_t volumes[] = { 50, 75, 112, 168, 253, 379, 569, 854,
		1281, 1922 };
	struct warmup_world ww = with_plan();
	int64_t start_us;

	(void)state;
	ww.plan.day_us = 20 * SEC;
	ww.plan.window_to_us = 20 * SEC;
	ww.plan.pace = PACE_EVEN;
	ww_start(&ww, "Europe/Berlin", "2026-11-24");
	ww.utc_us += 12345678;
	start_us = ww.utc_us;
	for (int i = 0; i < 10; i++) {
		int64_t end_us = start_us + (i + 1) * 20 * SEC, sent;

		sent = ww_send(&ww, 20, 1, end_us - 12 * SEC);
		if (i == 5)
			ww_restart(&ww);
		sent += ww_send(&ww, 100000, 1, end_us);
		assert_int_equal(sent, volumes[i]);
	}
	assert_int_equal(ww.w.st.first_day, 0);
	assert_int_equal(ww.w.st.stage, 9);
	ww_end(&ww);
}

static void
another_length_of_day_keeps_stage_and_count(void **state)
{
	struct warmup_world ww = with_plan();

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	ww_day(&ww, 1000);
	ww_send(&ww, 40, 40, ww.utc_us + HOUR);
	ww.plan.day_us = 20 * SEC;
	ww.plan.window_to_us = 20 * SEC;
	warmup_configure(&ww.w, &ww.plan, &ww.plan.schedule, NULL);
	assert_int_equal(ww_send(&ww, 1000, 1000, ww.utc_us + 20 * SEC), 35);
	assert_int_equal(ww.w.st.stage, 1);
	ww_end(&ww);
}

static void
another_plan_goes_on_with_no_more_volume(void **state)
{
	int64_t volumes[] = { 100, 160, 169, 5000 };
	struct conf_plan brisk = world_plan_default();
	struct warmup_world ww = with_plan();

	(void)state;
	brisk.schedule =
	    (struct conf_schedule){ .volumes = volumes, .n_volumes = 4 };
	ww_start(&ww, NULL, "2026-11-24");
	for (int i = 0; i < 3; i++)
		ww_day(&ww, 1000);
	ww_send(&ww, 1, 1, ww.utc_us + HOUR);
	assert_int_equal(ww.w.allowed, 168);
	warmup_configure(&ww.w, &brisk, &brisk.schedule, NULL);
	warmup_restage(&ww.w, 168);
	assert_int_equal(ww.w.allowed, 160);
	ww_end(&ww);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_allow_what_was_computed_by_hand),
		cmocka_unit_test(a_plan_that_keeps_stays_at_its_highest),
		cmocka_unit_test(a_plan_waits_for_its_start),
		cmocka_unit_test(the_window_is_by_the_clock_on_the_wall),
		cmocka_unit_test(a_window_that_clocks_skip_is_the_whole_day),
		cmocka_unit_test(a_day_is_spread_evenly_over_its_window),
		cmocka_unit_test(what_came_late_catches_up_at_twice_the_pace),
		cmocka_unit_test(big_transactions_keep_the_next_one_waiting),
		cmocka_unit_test(orders_take_effect_today_and_keep_the_count),
		cmocka_unit_test(a_stage_that_is_held_stays),
		cmocka_unit_test(orders_that_lead_nowhere_are_refused),
		cmocka_unit_test(steps_of_the_clock_double_and_lose_nothing),
		cmocka_unit_test(a_day_is_judged_once),
		cmocka_unit_test(a_restart_grants_nothing_and_forgets_nothing),
		cmocka_unit_test(no_day_is_ever_exceeded),
		cmocka_unit_test(a_plan_of_ten_days_of_20s_runs_with_a_restart),
		cmocka_unit_test(another_length_of_day_keeps_stage_and_count),
		cmocka_unit_test(another_plan_goes_on_with_no_more_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
