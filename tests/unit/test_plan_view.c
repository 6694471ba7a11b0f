/* SPDX-License-Identifier: ISC */
/* Plans as the operator sees and steers them; forecasts; room at submission. */
#include "tests/unit/plan_world.h"

static struct plan_view
plan_of(struct plan_world *pw, const char *name)
{
	struct plan_view v;

	assert_true(sched_plan_get(pw->w.s, name, pw->w.now_us, &v));
	return v;
}

static void
a_plan_is_shown_before_and_while_it_runs(void **state)
{
	struct plan_world pw;
	struct plan_view v;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	v = plan_of(&pw, "ip-a/gmail");
	assert_string_equal(v.kind, "lane");
	assert_string_equal(v.plan, "cold-ip");
	assert_string_equal(v.state, "waiting");
	assert_int_equal(v.day, 0);
	assert_int_equal(v.allowed, 50);
	assert_int_equal(v.n_stages, 20);
	pw_add_of(&pw, "news", "", 200, 1);
	pw_run(&pw, DAY);
	pw_run(&pw, HOUR);
	v = plan_of(&pw, "ip-a/gmail");
	assert_string_equal(v.state, "running");
	assert_int_equal(v.day, 2);
	assert_int_equal(v.date, zone_date_parse("2026-11-25"));
	assert_int_equal(v.stage, 2);
	assert_int_equal(v.allowed, 75);
	assert_int_equal(v.sent, 75);
	assert_int_equal(v.waiting, 75);
	assert_int_equal(v.next_us - pw.w.now_us, 23 * HOUR);
	assert_string_equal(world_lane(&pw.w, "ip-a/gmail").plan, "cold-ip");
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").day_allowed, 75);
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").day_sent, 75);
	/* a lane that no plan is for, and none at all */
	v = plan_of(&pw, "ip-b/gmail");
	assert_true(world_lane(&pw.w, "ip-b/gmail").day_allowed == INT64_MAX);
	assert_string_equal(v.plan, "");
	assert_string_equal(v.text, "ip-b/gmail has no plan");
	assert_false(sched_plan_get(pw.w.s, "ip-x/gmail", pw.w.now_us, &v));
	pw_end(&pw);
}

struct lines {
	char text[2000];
};

static void
add_day(const struct plan_day *day, void *arg)
{
	struct lines *l = arg;
	char date[ZONE_DATE_SIZE];
	size_t len = strlen(l->text);

	snprintf(l->text + len, sizeof(l->text) - len,
	    "%d %s %u %u %u %u %u %u\n", (int)day->day,
	    zone_date(day->date, date), day->facts[LEDGER_ALLOWED],
	    day->facts[LEDGER_ATTEMPTED], day->facts[LEDGER_ACCEPTED],
	    day->facts[LEDGER_DEFERRED], day->facts[LEDGER_BOUNCED],
	    day->facts[LEDGER_HELD]);
}

static void
its_history_has_a_line_a_day(void **state)
{
	struct verdict bad = { .class = CLASS_BAD_MAILBOX,
		.blame = BLAME_RECIPIENT,
		.code = 550 };
	struct verdict full = { .class = CLASS_MAILBOX_FULL,
		.blame = BLAME_RECIPIENT,
		.code = 452 };
	struct lines l = { "" };
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, "Europe/Berlin", "2026-10-24");
	pw_add_of(&pw, "news", "", 200, 1);
	pw_run(&pw, DAY);
	pw_run_as(&pw, DAY + HOUR, bad);
	pw_run(&pw, DAY);
	pw_add_of(&pw, "news", "", 1, 1);
	pw_run_as(&pw, 10 * SEC, full);
	sched_complaint(pw.w.s, "ip-a/gmail", 3, pw.w.now_us);
	sched_plan_history(pw.w.s, "ip-a/gmail", add_day, &l);
	assert_string_equal(l.text,
	    "1 2026-10-24 50 50 50 0 0 150\n"
	    "2 2026-10-25 75 75 0 0 75 75\n"
	    /* an unhealthy day: it stayed at 75 */
	    "3 2026-10-26 75 75 75 0 0 0\n"
	    "4 2026-10-27 112 1 0 1 0 0\n");
	assert_int_equal(pw_row(&pw, "ip-a/gmail", 0)->facts[LEDGER_COMPLAINED],
	    3);
	pw_end(&pw);
}

static void
orders_are_obeyed_at_once(void **state)
{
	struct plan_world pw;
	struct err err;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 200, 1);
	assert_int_equal(pw_run(&pw, HOUR), 50);
	assert_int_equal(sched_plan_order(pw.w.s, "ip-a/gmail",
			     WARMUP_ORDER_ADVANCE, 0, pw.w.now_us, NULL),
	    0);
	assert_int_equal(pw_run(&pw, HOUR), 25);
	assert_int_equal(sched_plan_order(pw.w.s, "ip-a/gmail",
			     WARMUP_ORDER_SET_DAY, 3, pw.w.now_us, NULL),
	    0);
	assert_int_equal(pw_run(&pw, HOUR), 37);
	assert_int_equal(sched_plan_order(pw.w.s, "ip-b/gmail",
			     WARMUP_ORDER_HOLD, 0, pw.w.now_us, &err),
	    -1);
	assert_string_equal(err.text, "ip-b/gmail has no plan");
	assert_int_equal(sched_plan_order(pw.w.s, "moon", WARMUP_ORDER_HOLD, 0,
			     pw.w.now_us, &err),
	    -1);
	pw_end(&pw);
}

static void
changes_are_told_with_their_evidence(void **state)
{
	struct sched_change c;
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 60, 1);
	pw_run(&pw, DAY + 1);
	assert_true(sched_change_next(pw.w.s, &c));
	assert_int_equal(c.kind, CHANGE_PLAN);
	assert_string_equal(c.state, "began");
	assert_true(sched_change_next(pw.w.s, &c));
	assert_int_equal(c.kind, CHANGE_PLAN);
	assert_string_equal(c.name, "ip-a/gmail");
	assert_string_equal(c.lane, "ip-a/gmail");
	assert_string_equal(c.route, "ip-a");
	assert_string_equal(c.state, "advanced");
	assert_string_equal(c.text, "50 of 50 sent");
	assert_int_equal(c.volume_from, 50);
	assert_int_equal(c.volume_to, 75);
	assert_int_equal(c.stage, 2);
	assert_false(sched_change_next(pw.w.s, &c));
	pw_end(&pw);
}

/* ---- forecasts ---- */

static void
keep_forecast(const struct forecast_view *f, void *arg)
{
	struct forecast_view *out = arg;

	assert_null(out->lane); /* one is expected */
	*out = *f;
}

static void
a_forecast_counts_days(void **state)
{
	static const struct {
		unsigned n;
		int64_t n_days, done_us;
	} rows[] = {
		{ 50, 1, 0 },
		{ 51, 2, DAY },
		{ 50 + 75 + 112, 3, 2 * DAY },
		{ 50 + 75 + 113, 4, 3 * DAY },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct forecast_view f = { 0 };
		struct plan_world pw;

		pw_init(&pw);
		pw_start(&pw, NULL, "2026-11-24");
		world_add(&pw.w, "news", "gmail", 1);
		pw_run(&pw, 1); /* the plan has begun */
		sched_plan_order(pw.w.s, "ip-a/gmail", WARMUP_ORDER_SET_DAY, 1,
		    pw.w.now_us, NULL);
		pw_add_of(&pw, "news", "", rows[i].n - 1, 1);
		sched_forecasts_each(pw.w.s, NULL, pw.w.now_us, keep_forecast,
		    &f);
		assert_string_equal(f.lane, "ip-a/gmail");
		assert_int_equal(f.n_waiting, rows[i].n - 1);
		assert_int_equal(f.n_days, rows[i].n_days);
		assert_in_range(f.done_us, rows[i].done_us,
		    rows[i].done_us + 2 * SEC);
		f.lane = NULL;
		sched_forecasts_each(pw.w.s, "default", pw.w.now_us,
		    keep_forecast, &f);
		assert_null(f.lane);
		pw_end(&pw);
	}
}

/* A lane is empty when the last of its deferred mail has had its turn. */
static void
a_forecast_waits_for_retries(void **state)
{
	static const struct verdict greylisted = {
		.class = CLASS_GREYLIST,
		.code = 450,
		.reply = "450 4.2.0 greylisted",
	};
	struct forecast_view f = { 0 };
	struct plan_world pw;
	int64_t began_us;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	began_us = pw.w.now_us;
	pw_add_of(&pw, "news", "", 3, 1);
	assert_int_equal(pw_run_as(&pw, 60 * SEC, greylisted), 3);
	sched_forecasts_each(pw.w.s, NULL, pw.w.now_us, keep_forecast, &f);
	assert_string_equal(f.lane, "ip-a/gmail");
	assert_int_equal(f.n_waiting, 3);
	assert_true(f.done_us >= began_us + pw.w.f.conf.spool.retry.first_us);
	pw_end(&pw);
}

/* ---- room at submission ---- */

static void
keep_full(const char *key, const char *text, void *arg)
{
	struct lines *l = arg;
	size_t len = strlen(l->text);

	snprintf(l->text + len, sizeof(l->text) - len, "%s: %s\n", key, text);
}

static const char *
full_of(struct plan_world *pw)
{
	static struct lines l;

	l.text[0] = '\0';
	sched_full_each(pw->w.s, pw->w.now_us, keep_full, &l);
	return l.text;
}

static void
a_plan_that_is_full_takes_no_more(void **state)
{
	struct plan_world pw;

	(void)state;
	for (int is_tempfail = 0; is_tempfail < 2; is_tempfail++) {
		pw_init(&pw);
		pw.plans[0].overflow =
		    is_tempfail ? OVERFLOW_TEMPFAIL : OVERFLOW_HOLD;
		pw_start(&pw, NULL, "2026-11-24");
		assert_string_equal(full_of(&pw), "");
		pw_add_of(&pw, "news", "", 30, 1);
		pw_run(&pw, SEC);
		pw_add_of(&pw, "news", "", 19, 1);
		assert_string_equal(full_of(&pw), "");
		pw_add_of(&pw, "news", "", 1, 1);
		assert_string_equal(full_of(&pw),
		    is_tempfail ? "lane ip-a/gmail: Plan cold-ip takes no more "
				  "for ip-a/gmail today, try later\n"
				: "");
		pw_run(&pw, DAY);
		assert_string_equal(full_of(&pw), "");
		pw_end(&pw);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_shown_before_and_while_it_runs),
		cmocka_unit_test(its_history_has_a_line_a_day),
		cmocka_unit_test(orders_are_obeyed_at_once),
		cmocka_unit_test(changes_are_told_with_their_evidence),
		cmocka_unit_test(a_forecast_counts_days),
		cmocka_unit_test(a_forecast_waits_for_retries),
		cmocka_unit_test(a_plan_that_is_full_takes_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
