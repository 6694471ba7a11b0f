/* SPDX-License-Identifier: ISC */
/* Plans, guards, sender domains and lists, in the scheduler that holds mail by
 * them. */
#include "tests/unit/plan_world.h"

/* ---- plans ---- */

static void
a_lane_sends_what_its_plan_allows(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, "Europe/Berlin", "2026-10-24"); /* 25 hours follow */
	pw_add_of(&pw, "news", "", 500, 1);
	assert_int_equal(pw_run(&pw, DAY), 50);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_PLAN),
	    "plan cold-ip allows ip-a/gmail 75 today (stage 2), 0 are used");
	assert_int_equal(pw_run(&pw, 23 * HOUR), 75);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_PLAN),
	    "plan cold-ip allows ip-a/gmail 75 today (stage 2) and all are "
	    "used; the next day's begin in 2h");
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").gate, GATE_PLAN);
	assert_int_equal(pw_run(&pw, 2 * HOUR), 0);
	assert_int_equal(pw_run(&pw, DAY), 112);
	assert_int_equal(pw_row(&pw, "ip-a/gmail", 1)->facts[LEDGER_HELD], 375);
	assert_int_equal(pw_row(&pw, "ip-a/gmail", 1)->facts[LEDGER_ACCEPTED],
	    75);
	/* another provider has a plan day of its own */
	world_add(&pw.w, "news", "yahoo", 1);
	assert_int_equal(pw_run(&pw, SEC), 169);
	pw_end(&pw);
}

static void
big_deliveries_are_split_at_the_days_last_recipient(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 3, 30);
	assert_int_equal(pw_run(&pw, DAY), 50);
	assert_int_equal(pw_row(&pw, "ip-a/gmail", 0)->facts[LEDGER_ATTEMPTED],
	    50);
	assert_int_equal(pw_run(&pw, DAY), 40);
	pw_end(&pw);
}

static void
providers_have_schedules_of_their_own(void **state)
{
	struct conf_plan_provider own = {
		.provider = (char *)"gmail",
		.schedule = { .from = 20,
		    .to = 100,
		    .growth = { { INT64_MAX, 1400 } },
		    .n_growth = 1 },
	};
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.plans[0].providers = &own;
	pw.plans[0].n_providers = 1;
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 200, 1);
	assert_int_equal(pw_run(&pw, DAY), 20);
	assert_int_equal(pw_run(&pw, DAY), 28);
	world_add(&pw.w, "news", "yahoo", 100);
	assert_int_equal(pw_run(&pw, DAY), 39 + 50);
	pw_end(&pw);
}

static void
a_total_caps_the_routes_whole_day(void **state)
{
	int64_t volumes[] = { 60, 90 };
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.plans[0].has_total = true;
	pw.plans[0].total =
	    (struct conf_schedule){ .volumes = volumes, .n_volumes = 2 };
	pw_start(&pw, NULL, "2026-11-24");
	for (int i = 0; i < 200; i++) {
		world_add(&pw.w, "news", "gmail", 1);
		world_add(&pw.w, "news", "yahoo", 1);
	}
	assert_int_equal(pw_run(&pw, DAY), 60);
	assert_int_equal(pw_run(&pw, DAY), 90);
	pw_end(&pw);
}

static void
what_wasnt_attempted_is_given_back(void **state)
{
	struct plan_world pw;
	struct plan p;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 60, 1);
	for (int i = 0; i < 10; i++) {
		p = world_plan(&pw.w);
		assert_int_equal(p.kind, PLAN_DISPATCH);
		world_unuse(&pw.w, p.message);
	}
	assert_int_equal(pw_run(&pw, DAY), 50);
	pw_end(&pw);
}

static void
a_shadowed_plan_holds_nothing(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.plans[0].mode = MODE_SHADOW;
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 200, 1);
	assert_int_equal(pw_run(&pw, DAY), 200);
	assert_int_equal(quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")
			     ->quota.n_would_hold,
	    150);
	assert_non_null(strstr(pw_why(&pw, "ip-a/gmail", GATE_PLAN),
	    "(shadow"));
	pw_end(&pw);
}

static void
looking_at_a_lane_begins_no_plan(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	assert_int_equal(sched_rate_override(pw.w.s, "ip-a/gmail",
			     &(struct rate){ 5, SEC }, 1, INT64_MAX,
			     pw.w.now_us, NULL),
	    0);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_PLAN),
	    "plan cold-ip of ip-a/gmail begins with its first message, with "
	    "50 a day");
	assert_int_equal(quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")
			     ->quota.warmup.st.day,
	    WARMUP_NO_DAY);
	pw_end(&pw);
}

/* ---- clocks ---- */

static void
step_clock(struct plan_world *pw, int64_t step_us)
{
	pw->offset_us += step_us;
	sched_utc(pw->w.s, pw->w.now_us, pw->w.now_us + pw->offset_us);
	sched_check(pw->w.s);
}

static void
a_clock_that_steps_gives_and_takes_nothing(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, "Europe/Berlin", "2026-11-24");
	pw_add_of(&pw, "news", "", 20, 1);
	assert_int_equal(pw_run(&pw, 12 * HOUR), 20);
	step_clock(&pw, 10 * DAY); /* wrong by ten days */
	pw_add_of(&pw, "news", "", 500, 1);
	assert_int_equal(pw_run(&pw, HOUR), 30);
	step_clock(&pw, -10 * DAY); /* and right again */
	assert_int_equal(pw_run(&pw, 10 * HOUR), 0);
	step_clock(&pw, -12 * HOUR + SEC); /* it runs late: the same day */
	assert_int_equal(pw_run(&pw, 12 * HOUR), 0);
	assert_int_equal(pw_run(&pw, HOUR), 75); /* the next day */
	step_clock(&pw, -2 * HOUR);		 /* over midnight */
	assert_int_equal(pw_run(&pw, 2 * HOUR), 0);
	assert_int_equal(pw_run(&pw, 22 * HOUR), 0);
	assert_int_equal(pw_run(&pw, DAY), 112);
	pw_end(&pw);
}

static void
days_that_were_slept_through_are_over(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 500, 1);
	assert_int_equal(pw_run(&pw, HOUR), 50);
	/* two days with the lid closed */
	sched_slept(pw.w.s, 2 * DAY, pw.w.now_us);
	step_clock(&pw, 2 * DAY);
	assert_int_equal(pw_run(&pw, HOUR), 75);
	pw_end(&pw);
}

/* ---- overflow ---- */

static void
what_is_over_takes_the_next_route(void **state)
{
	static const struct {
		enum conf_plan_pace pace;
		enum conf_plan_overflow overflow;
		unsigned n;
		uint32_t by_a, by_b; /* on the first day */
	} rows[] = {
		{ PACE_FRONT, OVERFLOW_NEXT_ROUTE, 200, 50, 150 },
		{ PACE_EVEN, OVERFLOW_NEXT_ROUTE, 200, 50, 150 },
		{ PACE_EVEN, OVERFLOW_NEXT_ROUTE, 40, 40, 0 },
		{ PACE_EVEN, OVERFLOW_HOLD, 200, 50, 0 },
		{ PACE_FRONT, OVERFLOW_TEMPFAIL, 200, 50, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct plan_world pw;

		pw_init(&pw);
		pw.plans[0].pace = rows[i].pace;
		pw.plans[0].overflow = rows[i].overflow;
		pw_start(&pw, NULL, "2026-11-24");
		pw_add(&pw, rows[i].n);
		pw_run(&pw, DAY - 1);
		assert_int_equal(pw.n_left[0], rows[i].by_a);
		assert_int_equal(pw.n_left[1], rows[i].by_b);
		assert_int_equal(pw_row(&pw, "ip-a/gmail", 0)
				     ->facts[LEDGER_OVERFLOWED],
		    rows[i].by_b);
		pw_end(&pw);
	}
}

static void
mail_comes_back_with_the_next_day(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.plans[0].overflow = OVERFLOW_NEXT_ROUTE;
	pw_start(&pw, NULL, "2026-11-24");
	for (int day = 0; day < 5; day++) {
		pw_add(&pw, 300);
		pw_run(&pw, DAY);
	}
	assert_int_equal(pw.n_left[0], 50 + 75 + 112 + 168 + 253);
	assert_int_equal(pw.n_left[0] + pw.n_left[1], 1500);
	pw_end(&pw);
}

/* Mail that comes through the day, more than the plan takes: ip-a gets all of
 * its day, evenly; the rest waits for nothing. */
static void
a_stream_of_mail_shares_itself_out(void **state)
{
	struct plan_world pw;
	uint32_t by_a_at_noon = 0;

	(void)state;
	pw_init(&pw);
	pw.plans[0].pace = PACE_EVEN;
	pw.plans[0].overflow = OVERFLOW_NEXT_ROUTE;
	pw.plans[0].schedule.from = 480;
	pw_start(&pw, NULL, "2026-11-24");
	for (int i = 0; i < 1440; i++) {
		pw_add(&pw, 2);
		pw_run(&pw, 60 * SEC);
		if (i == 719)
			by_a_at_noon = pw.n_left[0];
	}
	assert_in_range(by_a_at_noon, 238, 242);
	assert_in_range(pw.n_left[0], 479, 480);
	assert_in_range(pw.n_left[1], 2400, 2402);
	pw_end(&pw);
}

/* ---- health and the operator, by way of verdicts ---- */

static void
a_day_of_rate_refusals_stops_the_plan_and_mailbox_trouble_doesnt(void **state)
{
	static const struct {
		struct verdict v;
		bool stops;
	} rows[] = {
		{ { .class = CLASS_RATE, .blame = BLAME_LANE, .code = 421 },
		    true },
		{ { .class = CLASS_REPUTATION_REJECT,
		      .blame = BLAME_LANE,
		      .code = 554 },
		    true },
		{ { .class = CLASS_GREYLIST,
		      .blame = BLAME_MESSAGE,
		      .code = 450 },
		    false },
		{ { .class = CLASS_MAILBOX_FULL,
		      .blame = BLAME_RECIPIENT,
		      .code = 452 },
		    false },
		{ { .class = CLASS_CONTENT,
		      .blame = BLAME_MESSAGE,
		      .code = 554 },
		    false },
		{ { .class = CLASS_BAD_MAILBOX,
		      .blame = BLAME_RECIPIENT,
		      .code = 550 },
		    false },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct plan_world pw;
		uint32_t n;

		pw_init(&pw);
		pw_start(&pw, NULL, "2026-11-24");
		pw_add_of(&pw, "news", "", 100, 1);
		n = pw_run_as(&pw, SEC, rows[i].v);
		assert_int_equal(n, rows[i].stops ? 20 : 50);
		assert_int_equal(quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")
				     ->quota.warmup.st.is_stopped,
		    rows[i].stops);
		pw_end(&pw);
	}
}

/* ---- the spike guard ---- */

static void
a_day_never_exceeds_twice_the_weeks_peak(void **state)
{
	static const uint32_t sent[] = { 500, 1000, 2000, 4000, 5500 };
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw.w.f.conf.spike_guard = (struct conf_spike_guard){
		.is_given = true,
		.window_us = 7 * DAY,
		.ratio_permille = 2000,
		.floor = 500,
	};
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 13000, 1);
	for (size_t i = 0; i < N_OF(sent); i++)
		assert_int_equal(pw_run(&pw, DAY), sent[i]);
	pw_add_of(&pw, "news", "", 30000, 1);
	assert_int_equal(pw_run(&pw, DAY), 11000);
	assert_int_equal(pw_run(&pw, HOUR), 19000);
	pw_add_of(&pw, "news", "", 5000, 1);
	assert_int_equal(pw_run(&pw, HOUR), 3000);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_SPIKE_GUARD),
	    "ip-a/gmail has sent the 22000 that the spike guard allows today "
	    "(its greatest day lately had 11000); goes on in 22h");
	pw_end(&pw);
}

static void
a_shadowed_guard_only_counts(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw.w.f.conf.spike_guard = (struct conf_spike_guard){
		.is_given = true,
		.mode = MODE_SHADOW,
		.window_us = 7 * DAY,
		.ratio_permille = 2000,
		.floor = 500,
	};
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 600, 1);
	assert_int_equal(pw_run(&pw, DAY), 600);
	assert_int_equal(quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")
			     ->quota.n_would_hold,
	    100);
	pw_end(&pw);
}

/* ---- sender domains ---- */

static void
a_domains_plan_holds_no_other_domains_mail(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw.senders[0] = (struct conf_sender){ .domain = (char *)"new.example",
		.plan = (char *)"cold-ip" };
	pw.w.f.conf.senders = pw.senders;
	pw.w.f.conf.n_senders = 1;
	pw_start(&pw, NULL, "2026-11-24");
	for (int i = 0; i < 100; i++) {
		pw_add_of(&pw, "news", "new.example", 2, 1);
		pw_add_of(&pw, "news", "old.example", 1, 1);
	}
	assert_int_equal(pw_run(&pw, DAY - HOUR), 50 + 100);
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").gate,
	    GATE_SENDER_PLAN);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_SENDER_PLAN),
	    "plan cold-ip allows new.example/gmail 50 today (stage 1) and all "
	    "are used; the next day's begin in 1h");
	assert_int_equal(pw_run(&pw, DAY + HOUR), 75);
	/* the plan is of the domain, whatever the route */
	pw_add_of(&pw, "default", "new.example", 200, 1);
	pw_run(&pw, DAY);
	assert_int_equal(pw.n_left[0] + pw.n_left[1], 150 + 75 + 112);
	pw_end(&pw);
}

static const struct verdict auth_failed = {
	.class = CLASS_AUTH,
	.blame = BLAME_SENDER_DOMAIN,
	.code = 550,
	.reply = "550 5.7.26 unauthenticated",
};

static void
failures_of_authentication_pause_the_domain_there(void **state)
{
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw.w.f.conf.adapt = (struct conf_adapt){
		.suspend = { .sample = 5, .for_us = HOUR, .max_us = 3 * HOUR },
	};
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "bad.example", 40, 1);
	assert_int_equal(pw_run_as(&pw, SEC, auth_failed), 5);
	/* nothing else is touched */
	pw_add_of(&pw, "news", "good.example", 10, 1);
	assert_int_equal(pw_run(&pw, SEC), 10);
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").gate, GATE_SENDER);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_SENDER),
	    "bad.example is paused at gmail for another 3598s: 550 5.7.26 "
	    "unauthenticated");
	/* one more failure pauses it at once, for twice as long */
	assert_int_equal(pw_run_as(&pw, HOUR, auth_failed), 1);
	assert_int_equal(pw_run_as(&pw, 2 * HOUR, auth_failed), 1);
	assert_int_equal(pw_run_as(&pw, 3 * HOUR, auth_failed), 1);
	/* and a delivery ends it */
	assert_int_equal(pw_run(&pw, 3 * HOUR), 32);
	pw_add_of(&pw, "news", "bad.example", 40, 1);
	assert_int_equal(pw_run_as(&pw, SEC, auth_failed), 5);
	assert_int_equal(sched_resume(pw.w.s, PAUSE_SENDER, "bad.example",
			     pw.w.now_us, NULL),
	    0);
	assert_int_equal(pw_run(&pw, SEC), 35);
	pw_end(&pw);
}

static void
a_rate_of_a_domain_pauses_it_as_advised(void **state)
{
	struct verdict v = {
		.class = CLASS_RATE,
		.blame = BLAME_SENDER_DOMAIN,
		.code = 421,
		.reply = "421 4.7.28 DKIM domain",
		.pause_us = 600 * SEC,
	};
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "busy.example", 10, 1);
	assert_int_equal(pw_run_as(&pw, SEC, v), 1);
	assert_int_equal(pw_run(&pw, 598 * SEC), 0);
	assert_int_equal(pw_run(&pw, 2 * SEC), 10);
	pw_end(&pw);
}

static void
the_operator_pauses_a_domain(void **state)
{
	struct plan_world pw;
	struct err err;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "a.example", 10, 1);
	pw_add_of(&pw, "news", "b.example", 10, 1);
	world_pause(&pw.w, PAUSE_SENDER, "a.example", INT64_MAX);
	world_pause(&pw.w, PAUSE_SENDER, "c.example", pw.w.now_us + HOUR);
	pw_add_of(&pw, "news", "c.example", 10, 1);
	assert_int_equal(pw_run(&pw, SEC), 10);
	assert_int_equal(pw_run(&pw, HOUR), 10);
	world_resume(&pw.w, PAUSE_SENDER, "a.example");
	assert_int_equal(pw_run(&pw, SEC), 10);
	assert_int_equal(sched_resume(pw.w.s, PAUSE_SENDER, "a.example",
			     pw.w.now_us, &err),
	    -1);
	assert_int_equal(sched_pause(pw.w.s, PAUSE_SENDER, "", INT64_MAX, "",
			     pw.w.now_us, &err),
	    -1);
	assert_null(pw.w.s->senders);
	pw_end(&pw);
}

/* ---- lists ---- */

static void
a_dirty_list_holds_its_stream_until_resumed(void **state)
{
	struct verdict bad = {
		.class = CLASS_BAD_MAILBOX,
		.blame = BLAME_RECIPIENT,
		.code = 550,
		.reply = "550 5.1.1 no such user",
	};
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw.w.f.routes[0].plan = (char *)"";
	pw.w.f.conf.list_health = (struct conf_list_health){
		.is_given = true,
		.bounced_permille = 80,
		.sample = 100,
	};
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 200, 1); /* DSNs: of no list */
	assert_int_equal(pw_run_as(&pw, SEC, bad), 200);
	pw_add_of(&pw, "news", "news.example", 400, 1);
	pw_add_of(&pw, "default", "", 1, 1);
	assert_int_equal(pw_run_as(&pw, SEC, bad), 101);
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").gate,
	    GATE_LIST_HEALTH);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_LIST_HEALTH),
	    "stream news is held until it is resumed: 100 of 100 recipients "
	    "don't exist, the limit is 8%");
	pw_add_of(&pw, "default", "", 7, 1);
	assert_int_equal(pw_run(&pw, DAY), 7);
	world_resume(&pw.w, PAUSE_STREAM, "news");
	assert_int_equal(pw_run(&pw, SEC), 300);
	pw_end(&pw);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_sends_what_its_plan_allows),
		cmocka_unit_test(
		    big_deliveries_are_split_at_the_days_last_recipient),
		cmocka_unit_test(providers_have_schedules_of_their_own),
		cmocka_unit_test(a_total_caps_the_routes_whole_day),
		cmocka_unit_test(what_wasnt_attempted_is_given_back),
		cmocka_unit_test(a_shadowed_plan_holds_nothing),
		cmocka_unit_test(looking_at_a_lane_begins_no_plan),
		cmocka_unit_test(a_clock_that_steps_gives_and_takes_nothing),
		cmocka_unit_test(days_that_were_slept_through_are_over),
		cmocka_unit_test(what_is_over_takes_the_next_route),
		cmocka_unit_test(mail_comes_back_with_the_next_day),
		cmocka_unit_test(a_stream_of_mail_shares_itself_out),
		cmocka_unit_test(
		    a_day_of_rate_refusals_stops_the_plan_and_mailbox_trouble_doesnt),
		cmocka_unit_test(a_day_never_exceeds_twice_the_weeks_peak),
		cmocka_unit_test(a_shadowed_guard_only_counts),
		cmocka_unit_test(a_domains_plan_holds_no_other_domains_mail),
		cmocka_unit_test(
		    failures_of_authentication_pause_the_domain_there),
		cmocka_unit_test(a_rate_of_a_domain_pauses_it_as_advised),
		cmocka_unit_test(the_operator_pauses_a_domain),
		cmocka_unit_test(a_dirty_list_holds_its_stream_until_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
