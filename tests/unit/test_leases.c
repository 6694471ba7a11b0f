/* SPDX-License-Identifier: ISC */
/*
 * Leases in the scheduler: mail waits at the gate until it is granted, asks for
 * it only when nothing else holds it, and a node that is alone has none of it.
 */
#include "scheduler/leases.h"

#include "tests/unit/plan_world.h"

static void
a_world(struct world *w)
{
	fixture_init(&w->f);
	fixture_rate(&fixture_provider(&w->f, "gmail")->limits, 100, SEC);
	fixture_provider(&w->f, "yahoo"); /* no limit */
	fixture_route(&w->f, "ip-a", 20);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(w);
}

static void
share(struct world *w)
{
	sched_cluster(w->s, GRANTS_ASKED, SEC, 3, w->now_us);
}

/* Answers all calls that are due with so much of each limit; how many. */
static unsigned
answer(struct world *w, int64_t held)
{
	struct lease_ask ask;
	const char *subject;
	unsigned n = 0;

	while (sched_lease_next(w->s, w->now_us, w->now_us, &subject, &ask)) {
		struct lease_answer a = {
			.seq = ask.seq, .sent_us = w->now_us, .n = ask.n
		};
		char name[100];

		snprintf(name, sizeof(name), "%s", subject);
		for (unsigned i = 0; i < a.n; i++)
			a.items[i].held = a.items[i].target = held;
		assert_true(sched_lease_answer(w->s, name, &a, w->now_us));
		n++;
	}
	return n;
}

static void
who_is_alone_asks_nobody(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "default", "gmail", 1);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	assert_true(sched_lease_due(w.s) == INT64_MAX);
	world_end(&w);
}

static void
mail_waits_until_it_is_granted(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	a_world(&w);
	share(&w);
	world_add(&w, "default", "gmail", 1);
	p = world_plan(&w);
	assert_int_equal(p.kind, PLAN_WAIT);
	assert_int_equal(p.gate, GATE_LEASE);
	assert_true(sched_lease_due(w.s) <= w.now_us);
	assert_int_equal(answer(&w, 100), 1);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	world_end(&w);
}

static void
what_has_no_limit_isnt_shared(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	share(&w);
	world_add(&w, "default", "yahoo", 1);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	assert_true(sched_lease_due(w.s) == INT64_MAX);
	world_end(&w);
}

static void
what_is_held_by_another_gate_asks_for_nothing(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	a_world(&w);
	share(&w);
	assert_int_equal(sched_pause(w.s, PAUSE_LANE, "ip-a/gmail",
			     w.now_us + 3600 * SEC, "", w.now_us, NULL),
	    0);
	world_add(&w, "default", "gmail", 1);
	p = world_plan(&w);
	assert_int_equal(p.gate, GATE_PAUSE);
	assert_true(sched_lease_due(w.s) == INT64_MAX);
	world_end(&w);
}

static void
one_lane_that_waits_holds_back_no_other(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	share(&w);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "yahoo", 1);
	world_dispatch(&w, 2);
	assert_int_equal(world_plan(&w).gate, GATE_LEASE);
	world_end(&w);
}

static void
a_failed_call_is_made_again_and_not_at_once(void **state)
{
	struct lease_ask ask;
	const char *subject;
	struct world w;

	(void)state;
	a_world(&w);
	share(&w);
	world_add(&w, "default", "gmail", 1);
	world_plan(&w);
	assert_true(sched_lease_next(w.s, w.now_us, w.now_us, &subject, &ask));
	assert_string_equal(subject, "lane ip-a/gmail");
	sched_lease_failed(w.s, "lane ip-a/gmail", ask.seq, w.now_us);
	assert_int_equal(sched_lease_due(w.s), w.now_us + SEC / 2);
	/* An answer to it that comes all the same is nobody's. */
	assert_false(sched_lease_answer(w.s, "lane ip-a/gmail",
	    &(struct lease_answer){ .seq = ask.seq, .n = ask.n }, w.now_us));
	world_end(&w);
}

static void
without_redis_parts_or_nothing(void **state)
{
	struct gate_view v[GATE_COUNT];
	struct world w;

	(void)state;
	a_world(&w);
	share(&w);
	world_add(&w, "default", "gmail", 1);
	world_plan(&w);
	sched_cluster(w.s, GRANTS_NOTHING, SEC, 3, w.now_us);
	assert_int_equal(world_plan(&w).gate, GATE_LEASE);
	assert_true(sched_why(w.s, "ip-a/gmail", w.now_us, v) > 0);
	assert_int_equal(v[0].gate, GATE_LEASE);
	assert_non_null(strstr(v[0].text, "Redis can't be reached"));
	sched_cluster(w.s, GRANTS_PARTS, SEC, 3, w.now_us);
	assert_int_equal(world_plan(&w).gate, GATE_LEASE);
	w.now_us += SEC;
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	world_end(&w);
}

static void
an_unused_permit_comes_back(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	share(&w);
	world_add(&w, "default", "gmail", 1);
	world_plan(&w);
	answer(&w, 1);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	sched_unuse(w.s, 1, 0, w.now_us);
	w.now_us += SEC / 10;
	answer(&w, 1);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	world_end(&w);
}

/* Granted ten of an hour's, one left, and then no answer came in time. */
static void
what_runs_out_in_hand_is_counted(void **state)
{
	struct lease_totals totals;
	struct world w;

	(void)state;
	fixture_init(&w.f);
	fixture_rate(&fixture_provider(&w.f, "gmail")->limits, 5000,
	    3600 * SEC);
	fixture_route(&w.f, "ip-a", 20);
	fixture_stream(&w.f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(&w);
	share(&w);
	world_add(&w, "default", "gmail", 1);
	world_plan(&w);
	answer(&w, 10);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	sched_lease_totals(w.s, &totals);
	assert_int_equal(totals.n_expired, 0);
	w.now_us += 3 * SEC;
	answer(&w, 0);
	sched_lease_totals(w.s, &totals);
	assert_int_equal(totals.n_expired, 9);
	/* Once, and not what was handed back in time. */
	w.now_us += 3 * SEC;
	answer(&w, 0);
	sched_lease_totals(w.s, &totals);
	assert_int_equal(totals.n_expired, 9);
	world_end(&w);
}

/* A plan that was taken away shares no day any more: what it last allowed
 * holds nobody. */
static void
a_day_without_a_plan_is_not_shared(void **state)
{
	struct plan_world pw;
	struct lease_ask ask;
	const char *subject;

	(void)state;
	pw_init(&pw);
	fixture_rate(&pw.w.f.providers[0].limits, 1000, SEC);
	pw.plans[0].schedule.from = 1;
	pw_start(&pw, NULL, "2026-12-01");
	share(&pw.w);
	pw_add(&pw, 2);
	world_plan(&pw.w);
	answer(&pw.w, 1);
	assert_int_equal(world_plan(&pw.w).kind, PLAN_DISPATCH);
	pw.w.f.routes[0].plan = NULL;
	sched_reload(pw.w.s, &pw.w.f.conf, pw.w.now_us);
	assert_int_equal(world_plan(&pw.w).gate, GATE_LEASE);
	pw.w.now_us += SEC;
	assert_true(sched_lease_next(pw.w.s, pw.w.now_us, pw.w.now_us, &subject,
	    &ask));
	assert_int_equal(ask.n, 1);
	assert_int_equal(ask.items[0].kind, LEASE_SHORT);
	pw_end(&pw);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_alone_asks_nobody),
		cmocka_unit_test(mail_waits_until_it_is_granted),
		cmocka_unit_test(what_has_no_limit_isnt_shared),
		cmocka_unit_test(what_is_held_by_another_gate_asks_for_nothing),
		cmocka_unit_test(one_lane_that_waits_holds_back_no_other),
		cmocka_unit_test(a_failed_call_is_made_again_and_not_at_once),
		cmocka_unit_test(without_redis_parts_or_nothing),
		cmocka_unit_test(an_unused_permit_comes_back),
		cmocka_unit_test(what_runs_out_in_hand_is_counted),
		cmocka_unit_test(a_day_without_a_plan_is_not_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
