/* SPDX-License-Identifier: ISC */
/* What leaves, when, and what a wait is for: one small world for each case. */
#include "scheduler/sched.h"

#include "tests/unit/sched_world.h"

static void
with_gmail(struct world *w, int64_t count, int64_t window_us)
{
	struct conf_provider *p;

	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	p = fixture_provider(&w->f, "gmail");
	if (window_us > 0)
		fixture_rate(&p->limits, count, window_us);
	fixture_provider(&w->f, "yahoo");
	fixture_route(&w->f, "ip-a", 100);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
}

/* ---- in, out, back ---- */

static void
an_empty_scheduler_waits_for_ever(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	p = world_wait(&w, GATE_NONE);
	assert_int_equal(p.due_us, INT64_MAX);
	world_end(&w);
}

static void
a_delivery_leaves_and_is_done(void **state)
{
	struct sched_totals t;
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 0, 0);
	w.f.providers[0].limits.messages_per_connection = 50;
	world_start(&w);
	world_add(&w, "default", "gmail", 3);
	p = world_dispatch(&w, 1);
	assert_int_equal(p.n_recipients, 3);
	assert_int_equal(p.n_pending, 3);
	assert_int_equal(p.attempts, 0);
	assert_int_equal(p.route, 0);
	assert_int_equal(p.messages_per_connection, 50);
	assert_string_equal(p.lane, "ip-a/gmail");
	assert_string_equal(p.stream, "default");
	assert_string_equal(p.provider, "gmail");
	world_wait(&w, GATE_NONE); /* never twice at once */
	world_done(&w, 1, 3);
	sched_totals(w.s, &t);
	assert_int_equal(t.n_deliveries, 0);
	assert_int_equal(t.n_recipients, 0);
	world_end(&w);
}

static void
unknown_names_fall_to_default_and_other(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add_site(&w, "no-such-stream", "other", "example.net", 1);
	world_add(&w, "default", "no-such-provider", 1);
	p = world_dispatch(&w, 1);
	assert_string_equal(p.stream, "default");
	assert_string_equal(p.lane, "ip-a/other:example.net");
	p = world_dispatch(&w, 2);
	assert_string_equal(p.lane, "ip-a/other:no-such-provider");
	assert_string_equal(p.provider, "other");
	world_end(&w);
}

static void
adding_twice_is_adding_once(void **state)
{
	struct sched_totals t;
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add(&w, "default", "gmail", 1);
	w.n_added = 0;
	world_add(&w, "default", "yahoo", 5);
	sched_totals(w.s, &t);
	assert_int_equal(t.n_deliveries, 1);
	assert_int_equal(t.n_recipients, 1);
	world_end(&w);
}

static void
requeue_goes_first_in_line_unpunished(void **state)
{
	struct verdict v = {
		.message = 1,
		.n_delivered = 1,
		.n_pending = 2,
		.next = SETTLE_REQUEUE,
		.class = CLASS_RATE,
		.code = 421,
		.reply = "421 4.7.28 slow down",
	};
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add(&w, "default", "gmail", 3);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	assert_int_equal(world_verdict(&w, &v), w.now_us);
	p = world_dispatch(&w, 1);
	assert_int_equal(p.attempts, 0);
	assert_int_equal(p.n_pending, 2);
	world_end(&w);
}

static void
retry_waits_by_the_schedule_and_joins_the_tail(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	assert_int_equal(world_retry(&w, 1, 1), w.now_us + 300 * SEC);
	p = world_wait(&w, GATE_RETRY);
	assert_int_equal(p.due_us, w.now_us + 300 * SEC);
	w.now_us += 300 * SEC - 1;
	world_add(&w, "default", "gmail", 1);
	w.now_us += 1;
	world_dispatch(&w, 2);
	p = world_dispatch(&w, 1);
	assert_int_equal(p.attempts, 1);
	assert_int_equal(world_retry(&w, 1, 1), w.now_us + 600 * SEC);
	world_end(&w);
}

static void
a_restored_delivery_waits_for_its_time(void **state)
{
	struct sched_delivery d = {
		.message = 9,
		.n_pending = 1,
		.stream = "default",
		.provider = "gmail",
		.site = "",
		.expires_us = 1000 * SEC,
		.due_us = 50 * SEC,
		.attempts = 4,
	};
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	sched_add(w.s, &d, w.now_us);
	p = world_wait(&w, GATE_RETRY);
	assert_int_equal(p.due_us, 50 * SEC);
	w.now_us = 50 * SEC;
	assert_int_equal(world_dispatch(&w, 9).attempts, 4);
	world_end(&w);
}

static void
unuse_gives_everything_back(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 500, SEC);
	world_start(&w);
	world_add(&w, "default", "gmail", 5);
	world_add(&w, "default", "gmail", 5);
	world_dispatch(&w, 1);
	world_wait(&w, GATE_RATE);
	assert_int_equal(world_lane(&w, "ip-a/gmail").tokens, 0);
	world_unuse(&w, 1);
	assert_int_equal(world_lane(&w, "ip-a/gmail").tokens, 5);
	assert_int_equal(world_lane(&w, "ip-a/gmail").in_flight, 0);
	assert_int_equal(world_lane(&w, "ip-a/gmail").n_attempted, 0);
	assert_int_equal(world_dispatch(&w, 1).attempts, 0);
	world_end(&w);
}

static void
recipients_that_nobody_attempted_come_back(void **state)
{
	struct verdict v = {
		.message = 1,
		.n_delivered = 2,
		.n_pending = 3,
		.next = SETTLE_REQUEUE,
		.class = CLASS_OTHER,
		.code = 452,
		.reply = "452 4.5.3 too many recipients",
	};
	struct world w;

	(void)state;
	with_gmail(&w, 500, SEC);
	world_start(&w);
	world_add(&w, "default", "gmail", 5);
	world_dispatch(&w, 1);
	world_verdict(&w, &v);
	assert_int_equal(world_lane(&w, "ip-a/gmail").tokens, 3);
	assert_int_equal(world_lane(&w, "ip-a/gmail").n_attempted, 2);
	assert_int_equal(world_dispatch(&w, 1).n_recipients, 3);
	world_end(&w);
}

static void
a_verdict_about_nothing_changes_nothing(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add(&w, "default", "gmail", 1);
	world_done(&w, 1, 1); /* queued, not in flight */
	world_done(&w, 77, 1);
	world_unuse(&w, 1);
	world_dispatch(&w, 1);
	world_end(&w);
}

static void
remove_and_retry_now(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	assert_false(sched_remove(w.s, 1, 0)); /* in flight */
	assert_false(sched_retry_now(w.s, 1, 0, w.now_us));
	assert_false(sched_remove(w.s, 99, 0));
	assert_false(sched_retry_now(w.s, 99, 0, w.now_us));
	assert_true(sched_remove(w.s, 2, 0));
	world_retry(&w, 1, 1);
	world_wait(&w, GATE_RETRY);
	assert_true(sched_retry_now(w.s, 1, 0, w.now_us));
	assert_true(sched_retry_now(w.s, 1, 0, w.now_us)); /* waiting: fine */
	world_dispatch(&w, 1);
	world_end(&w);
}

/* ---- expiry ---- */

static void
mail_expires_wherever_it_waits(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	with_gmail(&w, 1, 86400 * SEC);
	world_start(&w);
	for (int i = 0; i < 4; i++)
		world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	world_retry(&w, 1, 1); /* 1 deferred, 2..4 held by the rate */
	w.now_us += 432000 * SEC - 1;
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH); /* 2 */
	w.now_us += 1;
	p = world_plan(&w);
	assert_int_equal(p.kind, PLAN_EXPIRED);
	assert_int_equal(p.message, 1);
	assert_int_equal(p.attempts, 1);
	assert_string_equal(p.lane, "ip-a/gmail");
	assert_int_equal(world_plan(&w).message, 3); /* 2 is in flight */
	p = world_plan(&w);
	assert_int_equal(p.kind, PLAN_EXPIRED);
	assert_int_equal(p.message, 4);
	assert_int_equal(world_plan(&w).kind, PLAN_WAIT);
	world_retry(&w, 2, 1);
	p = world_plan(&w);
	assert_int_equal(p.kind, PLAN_EXPIRED);
	assert_int_equal(p.message, 2);
	world_end(&w);
}

static void
a_wait_ends_no_later_than_the_first_expiry(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add(&w, "default", "gmail", 1);
	world_pause(&w, PAUSE_PROVIDER, "gmail", INT64_MAX);
	assert_int_equal(world_wait(&w, GATE_PAUSE).due_us,
	    w.now_us + 432000 * SEC);
	world_end(&w);
}

/* ---- rates and parts ---- */

static void
a_rate_paces_to_the_microsecond(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 20, SEC);
	world_start(&w);
	for (int i = 0; i < 3; i++)
		world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	assert_int_equal(world_wait(&w, GATE_RATE).due_us, w.now_us + SEC / 20);
	w.now_us += SEC / 20 - 1;
	world_wait(&w, GATE_RATE);
	w.now_us += 1;
	world_dispatch(&w, 2);
	world_end(&w);
}

static void
a_big_delivery_leaves_in_exact_parts(void **state)
{
	struct world w;
	int64_t start_us, n = 0;
	struct plan p;

	(void)state;
	with_gmail(&w, 500, SEC); /* depth 5 */
	w.f.providers[0].limits.recipients_per_message = 3;
	world_start(&w);
	world_add(&w, "default", "gmail", 10);
	start_us = w.now_us;
	while (n < 10) {
		struct verdict v = {
			.message = 1,
			.next = SETTLE_REQUEUE,
			.code = 250,
		};

		p = world_plan(&w);
		if (p.kind == PLAN_WAIT) {
			assert_int_equal(p.gate, GATE_RATE);
			w.now_us = p.due_us;
			continue;
		}
		assert_int_equal(p.n_pending, 10 - n);
		assert_int_equal(p.n_recipients, n < 9 ? 3 : 1);
		v.n_delivered = p.n_recipients;
		n += p.n_recipients;
		v.n_pending = (uint32_t)(10 - n);
		world_verdict(&w, &v);
	}
	/* 5 were there, 5 had to come at 496/s. */
	assert_in_range(w.now_us - start_us, 5 * SEC / 500, 6 * SEC / 490);
	world_end(&w);
}

static void
a_deep_queue_of_one_lane_blocks_no_other(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 1, 86400 * SEC);
	world_start(&w);
	for (int i = 0; i < 1000; i++)
		world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	for (uint64_t i = 1001; i <= 1010; i++) {
		world_add(&w, "default", "yahoo", 1);
		world_dispatch(&w, i);
	}
	world_end(&w);
}

static void
an_override_holds_until_its_time(void **state)
{
	struct rate slow = { 1, 60 * SEC };
	struct world w;
	int64_t start_us;

	(void)state;
	with_gmail(&w, 20, SEC);
	world_start(&w);
	start_us = w.now_us;
	assert_int_equal(sched_rate_override(w.s, "ip-a/gmail", &slow, 1,
			     start_us + 600 * SEC, w.now_us, NULL),
	    0);
	assert_true(world_lane(&w, "ip-a/gmail").is_overridden);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	assert_int_equal(world_wait(&w, GATE_RATE).due_us, start_us + 60 * SEC);
	w.now_us = start_us + 60 * SEC;
	world_dispatch(&w, 2);
	w.now_us = start_us + 600 * SEC;
	assert_false(world_lane(&w, "ip-a/gmail").is_overridden);
	assert_int_equal(world_lane(&w, "ip-a/gmail").rates[0].count, 20);
	world_dispatch(&w, 3);
	world_end(&w);
}

static void
an_override_keeps_what_was_spent(void **state)
{
	struct rate same = { 500, SEC }, wide = { 50000, SEC };
	struct world w;

	(void)state;
	with_gmail(&w, 500, SEC);
	world_start(&w);
	world_add(&w, "default", "gmail", 5);
	world_add(&w, "default", "gmail", 5);
	world_dispatch(&w, 1);
	sched_rate_override(w.s, "ip-a/gmail", &wide, 1, INT64_MAX, w.now_us,
	    NULL);
	world_wait(&w, GATE_RATE);
	sched_rate_override(w.s, "ip-a/gmail", &same, 1, INT64_MAX, w.now_us,
	    NULL);
	world_wait(&w, GATE_RATE);
	sched_rate_override(w.s, "ip-a/gmail", NULL, 0, INT64_MAX, w.now_us,
	    NULL);
	world_wait(&w, GATE_RATE);
	assert_false(world_lane(&w, "ip-a/gmail").is_overridden);
	world_end(&w);
}

static void
connections_may_be_set_by_hand(void **state)
{
	struct world w;
	int64_t start_us;

	(void)state;
	with_gmail(&w, 20, SEC);
	world_start(&w);
	start_us = w.now_us;
	assert_int_equal(sched_connections_override(w.s, "ip-a/gmail", 1,
			     start_us + 600 * SEC, w.now_us, NULL),
	    0);
	assert_true(world_lane(&w, "ip-a/gmail").connections_are_overridden);
	assert_false(world_lane(&w, "ip-a/gmail").is_overridden);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	w.now_us += 10 * SEC;
	world_wait(&w, GATE_CONNECTIONS);
	world_done(&w, 1, 1);
	world_dispatch(&w, 2);
	w.now_us = start_us + 600 * SEC;
	assert_false(world_lane(&w, "ip-a/gmail").connections_are_overridden);
	assert_int_equal(sched_connections_override(w.s, "ip-a/nobody", 1,
			     INT64_MAX, w.now_us, NULL),
	    -1);
	world_end(&w);
}

static void
an_override_needs_a_possible_lane(void **state)
{
	static const char *const bad[] = { "", "ip-a", "/", "ip-a/",
		"ip-b/gmail", "ip-a/nobody", "ip-a/other", "ip-a/other:" };
	struct rate r = { 1, SEC };
	struct world w;
	struct err err;

	(void)state;
	with_gmail(&w, 20, SEC);
	world_start(&w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sched_rate_override(w.s, bad[i], &r, 1,
				     INT64_MAX, w.now_us, &err),
		    -1);
	assert_int_equal(sched_rate_override(w.s, "ip-a/other:example.net", &r,
			     1, INT64_MAX, w.now_us, &err),
	    0);
	world_end(&w);
}

/* ---- connections ---- */

static void
a_lane_keeps_to_its_connections(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	w.f.providers[0].limits.connections = 2;
	world_start(&w);
	for (int i = 0; i < 4; i++)
		world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	world_dispatch(&w, 2);
	world_wait(&w, GATE_CONNECTIONS);
	world_done(&w, 1, 1);
	world_dispatch(&w, 3);
	world_wait(&w, GATE_CONNECTIONS);
	world_unuse(&w, 2);
	world_dispatch(&w, 2);
	world_end(&w);
}

static void
a_route_keeps_to_its_connections(void **state)
{
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	w.f.routes[0].connections = 2;
	world_start(&w);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "yahoo", 1);
	world_add(&w, "default", "yahoo", 1);
	world_plan(&w);
	world_plan(&w);
	world_wait(&w, GATE_ROUTE_CONNECTIONS);
	world_done(&w, 1, 1);
	world_dispatch(&w, 3);
	world_end(&w);
}

/* ---- lanes come and go ---- */

static void
lanes_of_one_off_sites_do_not_stay(void **state)
{
	struct sched_totals t;
	struct world w;

	(void)state;
	with_gmail(&w, 20, SEC);
	fixture_rate(&fixture_other(&w.f)->limits, 5, SEC);
	world_start(&w);
	for (int i = 0; i < 2000; i++) {
		char site[32];
		uint64_t id;

		snprintf(site, sizeof(site), "site%d.example", i);
		id = world_add_site(&w, "default", "other", site, 1);
		world_dispatch(&w, id);
		world_done(&w, id, 1);
		w.now_us += SEC;
	}
	sched_totals(w.s, &t);
	assert_in_range(t.n_lanes, 1, 20);
	world_end(&w);
}

static void
a_lane_with_a_spent_window_stays_until_it_is_full(void **state)
{
	struct world w;
	struct lane_view v;

	(void)state;
	with_gmail(&w, 20, SEC);
	fixture_rate(&fixture_other(&w.f)->limits, 10, 3600 * SEC);
	world_start(&w);
	world_add_site(&w, "default", "other", "a.example", 1);
	world_dispatch(&w, 1);
	world_done(&w, 1, 1);
	w.now_us += 350 * SEC;
	world_plan(&w);
	assert_true(sched_lane_get(w.s, "ip-a/other:a.example", w.now_us, &v));
	w.now_us += 20 * SEC;
	world_plan(&w);
	assert_false(sched_lane_get(w.s, "ip-a/other:a.example", w.now_us, &v));
	world_end(&w);
}

static void
a_refusal_is_remembered_for_an_hour(void **state)
{
	struct verdict v = {
		.message = 1,
		.n_failed = 1,
		.next = SETTLE_DONE,
		.class = CLASS_BAD_MAILBOX,
		.code = 550,
		.reply = "550 5.1.1 no such user",
	};
	struct lane_view l;
	struct world w;

	(void)state;
	with_gmail(&w, 0, 0);
	world_start(&w);
	world_add_site(&w, "default", "other", "a.example", 1);
	world_dispatch(&w, 1);
	world_verdict(&w, &v);
	w.now_us += 3599 * SEC;
	world_plan(&w);
	l = world_lane(&w, "ip-a/other:a.example");
	assert_int_equal(l.last_refusal_code, 550);
	assert_string_equal(l.last_refusal, "550 5.1.1 no such user");
	w.now_us += 2 * SEC;
	world_plan(&w);
	assert_false(sched_lane_get(w.s, "ip-a/other:a.example", w.now_us, &l));
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_scheduler_waits_for_ever),
		cmocka_unit_test(a_delivery_leaves_and_is_done),
		cmocka_unit_test(unknown_names_fall_to_default_and_other),
		cmocka_unit_test(adding_twice_is_adding_once),
		cmocka_unit_test(requeue_goes_first_in_line_unpunished),
		cmocka_unit_test(
		    retry_waits_by_the_schedule_and_joins_the_tail),
		cmocka_unit_test(a_restored_delivery_waits_for_its_time),
		cmocka_unit_test(unuse_gives_everything_back),
		cmocka_unit_test(recipients_that_nobody_attempted_come_back),
		cmocka_unit_test(a_verdict_about_nothing_changes_nothing),
		cmocka_unit_test(remove_and_retry_now),
		cmocka_unit_test(mail_expires_wherever_it_waits),
		cmocka_unit_test(a_wait_ends_no_later_than_the_first_expiry),
		cmocka_unit_test(a_rate_paces_to_the_microsecond),
		cmocka_unit_test(a_big_delivery_leaves_in_exact_parts),
		cmocka_unit_test(a_deep_queue_of_one_lane_blocks_no_other),
		cmocka_unit_test(an_override_holds_until_its_time),
		cmocka_unit_test(an_override_keeps_what_was_spent),
		cmocka_unit_test(connections_may_be_set_by_hand),
		cmocka_unit_test(an_override_needs_a_possible_lane),
		cmocka_unit_test(a_lane_keeps_to_its_connections),
		cmocka_unit_test(a_route_keeps_to_its_connections),
		cmocka_unit_test(lanes_of_one_off_sites_do_not_stay),
		cmocka_unit_test(
		    a_lane_with_a_spent_window_stays_until_it_is_full),
		cmocka_unit_test(a_refusal_is_remembered_for_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
