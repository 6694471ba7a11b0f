/* SPDX-License-Identifier: ISC */
/* When what waits will have left: against hand computation, and against the
 * plan itself. */
#include "scheduler/forecast.h"

#include "tests/unit/warmup_world.h"

static void
without_a_plan_the_rate_decides(void **state)
{
	static const struct {
		int64_t n, opens_us;
		struct rate rate;
		int64_t done_us;
	} rows[] = {
		{ 0, 0, { 5, SEC }, 1000 * SEC },
		{ 100, 0, { 0, 0 }, 1000 * SEC },
		{ 100, 0, { 5, SEC }, 1020 * SEC },
		{ 100, 1600 * SEC, { 5, SEC }, 1620 * SEC },
		{ 100, INT64_MAX, { 5, SEC }, INT64_MAX },
		{ 0, INT64_MAX, { 5, SEC }, 1000 * SEC },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct forecast f = {
			.n = rows[i].n,
			.utc_us = 1000 * SEC,
			.opens_us = rows[i].opens_us,
			.rate = rows[i].rate,
		};

		assert_true(forecast_done(&f, NULL) == rows[i].done_us);
	}
}

static void
a_plans_days_are_walked(void **state)
{
	/* from 06:00, window 07:00 to 21:00, 84 a day and half more each day;
	 * even pace */
	static const struct {
		int64_t n, done_us, n_days;
	} rows[] = {
		{ 1, 7 * HOUR, 1 },
		{ 84, 7 * HOUR + 83 * 600 * SEC, 1 },
		{ 85, DAY + 7 * HOUR, 2 },
		/* 126 on the second day: one each 400 s */
		{ 84 + 126, DAY + 7 * HOUR + 125 * 400 * SEC, 2 },
		{ 84 + 126 + 1, 2 * DAY + 7 * HOUR, 3 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct warmup_world ww = { .plan = world_plan_default() };
		struct forecast f = { .n = rows[i].n };
		int64_t n_days;

		ww.plan.pace = PACE_EVEN;
		ww.plan.schedule.from = 84;
		ww.plan.window_from_us = 7 * HOUR;
		ww.plan.window_to_us = 21 * HOUR;
		ww_start(&ww, NULL, "2026-11-24");
		warmup_tick(&ww.w, ww.utc_us + 6 * HOUR, true);
		f.plan = &ww.w;
		f.utc_us = ww.utc_us + 6 * HOUR;
		assert_int_equal(forecast_done(&f, &n_days),
		    ww.utc_us + rows[i].done_us);
		assert_int_equal(n_days, rows[i].n_days);
		ww_end(&ww);
	}
}

static void
the_rate_slows_a_plan(void **state)
{
	struct warmup_world ww = { .plan = world_plan_default() };
	struct forecast f = { .n = 50, .rate = { 1, HOUR } };

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	warmup_tick(&ww.w, ww.utc_us, true);
	f.plan = &ww.w;
	f.utc_us = ww.utc_us;
	/* 24 a day: the last after 50 hours */
	assert_int_equal(forecast_done(&f, NULL), ww.utc_us + 50 * HOUR);
	ww_end(&ww);
}

static void
what_stands_in_the_way_is_seen(void **state)
{
	struct warmup_world ww = { .plan = world_plan_default() };
	struct forecast f = { .n = 50 };

	(void)state;
	ww_start(&ww, NULL, "2026-11-24");
	warmup_tick(&ww.w, ww.utc_us, true);
	warmup_charge(&ww.w, 20, ww.utc_us);
	ww_facts(&ww, 20, 20, 0, 0); /* stopped for today */
	f.plan = &ww.w;
	f.utc_us = ww.utc_us;
	assert_int_equal(forecast_done(&f, NULL), ww.utc_us + DAY);
	/* held at 50 a day, a million take too long */
	warmup_order(&ww.w, WARMUP_ORDER_HOLD, 0, ww.utc_us, NULL);
	f.n = 1000000;
	assert_true(forecast_done(&f, NULL) == INT64_MAX);
	ww_end(&ww);
}

/* What it says is when the last one then leaves. */
static void
it_comes_true(void **state)
{
	static const int64_t counts[] = { 1, 49, 50, 51, 500, 5000, 60000 };

	(void)state;
	for (size_t i = 0; i < N_OF(counts); i++)
		for (int is_even = 0; is_even < 2; is_even++) {
			struct warmup_world ww = { .plan =
						       world_plan_default() };
			struct forecast f = { .n = counts[i] };
			int64_t done_us, sent = 0;

			ww.plan.pace = is_even ? PACE_EVEN : PACE_FRONT;
			ww.plan.window_from_us = 7 * HOUR;
			ww.plan.window_to_us = 21 * HOUR;
			ww_start(&ww, "Europe/Berlin", "2026-10-20");
			ww.utc_us += 12 * HOUR;
			warmup_tick(&ww.w, ww.utc_us, true);
			f.plan = &ww.w;
			f.utc_us = ww.utc_us;
			done_us = forecast_done(&f, NULL);
			while (sent < counts[i]) {
				struct warmup_permit p =
				    warmup_ask(&ww.w, ww.utc_us);

				if (p.hold != WARMUP_OPEN) {
					ww.utc_us = p.utc_us;
					continue;
				}
				warmup_charge(&ww.w, 1, ww.utc_us);
				ww_facts(&ww, 1, 0, 0, 0);
				sent++;
			}
			/* within a pace's step */
			assert_in_range(ww.utc_us - done_us + 20 * 60 * SEC, 0,
			    40 * 60 * SEC);
			ww_end(&ww);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_plan_the_rate_decides),
		cmocka_unit_test(a_plans_days_are_walked),
		cmocka_unit_test(the_rate_slows_a_plan),
		cmocka_unit_test(what_stands_in_the_way_is_seen),
		cmocka_unit_test(it_comes_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
