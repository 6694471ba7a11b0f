/* SPDX-License-Identifier: ISC */
/* A new configuration under queued mail and mail in flight. */
#include "tests/unit/sched_world.h"

/* Two worlds' worth of configuration; `next` is what a test changes to. */
static void
before(struct world *w, struct fixture *next)
{
	memset(w, 0, sizeof(*w));
	for (struct fixture *f = &w->f; f != NULL;
	     f = f == &w->f ? next : NULL) {
		fixture_init(f);
		fixture_rate(&fixture_provider(f, "gmail")->limits, 500, SEC);
	}
	fixture_route(&w->f, "ip-a", 10);
	fixture_route(&w->f, "ip-b", 10);
	fixture_stream(&w->f, "news", PRIORITY_BULK, 1, "ip-a", NULL);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-b", NULL);
	world_start(w);
}

static void
reload(struct world *w, const struct fixture *next)
{
	sched_reload(w->s, &next->conf, w->now_us);
	sched_check(w->s);
}

static void
the_same_again_changes_nothing(void **state)
{
	static struct fixture next;
	struct world w;

	(void)state;
	before(&w, &next);
	world_add(&w, "news", "gmail", 5);
	world_add(&w, "news", "gmail", 5);
	world_dispatch(&w, 1);
	reload(&w, &w.f);
	world_wait(&w, GATE_RATE); /* no fresh bucket */
	world_done(&w, 1, 5);
	assert_int_equal(world_lane(&w, "ip-a/gmail").n_delivered, 5);
	world_end(&w);
}

static void
rates_keep_what_was_spent(void **state)
{
	static struct fixture next;
	struct world w;

	(void)state;
	before(&w, &next);
	next.providers[0].limits.rates.v[0].count = 50000;
	fixture_route(&next, "ip-a", 10);
	fixture_stream(&next, "news", PRIORITY_BULK, 1, "ip-a", NULL);
	fixture_stream(&next, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_add(&w, "news", "gmail", 5);
	world_add(&w, "news", "gmail", 5);
	world_dispatch(&w, 1);
	reload(&w, &next);
	assert_int_equal(world_lane(&w, "ip-a/gmail").tokens, 0);
	assert_int_equal(world_lane(&w, "ip-a/gmail").rates[0].count, 50000);
	/* Five come in 102 us now, not in 10 ms. */
	assert_int_equal(world_wait(&w, GATE_RATE).due_us, w.now_us + 102);
	world_end(&w);
}

static void
a_stream_that_is_gone_becomes_default(void **state)
{
	static struct fixture next;
	struct world w;

	(void)state;
	before(&w, &next);
	fixture_route(&next, "ip-b", 10);
	fixture_stream(&next, "default", PRIORITY_NORMAL, 1, "ip-b", NULL);
	world_add(&w, "news", "gmail", 1); /* in flight */
	world_add(&w, "news", "gmail", 1); /* deferred */
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, 1);
	world_dispatch(&w, 3);
	world_dispatch(&w, 2);
	world_retry(&w, 2, 1);
	world_unuse(&w, 3);
	reload(&w, &next);
	assert_string_equal(world_delivery(&w, 4).stream, "default");
	assert_string_equal(world_delivery(&w, 4).lane, "ip-b/gmail");
	assert_int_equal(world_delivery(&w, 2).state, QUEUE_DEFERRED);
	assert_int_equal(world_delivery(&w, 1).state, QUEUE_IN_FLIGHT);
	assert_string_equal(world_delivery(&w, 1).lane, "ip-a/gmail");
	world_dispatch(&w, 3);
	world_dispatch(&w, 4);
	world_unuse(&w, 1); /* its route is gone: by another */
	assert_string_equal(world_dispatch(&w, 1).lane, "ip-b/gmail");
	w.now_us += 300 * SEC;
	assert_int_equal(world_dispatch(&w, 2).attempts, 1);
	world_end(&w);
}

static void
a_provider_that_is_gone_becomes_a_site(void **state)
{
	static struct fixture next;
	struct world w;

	(void)state;
	before(&w, &next);
	fixture_init(&next);
	fixture_route(&next, "ip-a", 10);
	fixture_stream(&next, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_add(&w, "news", "gmail", 1);
	world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, 1);
	reload(&w, &next);
	assert_string_equal(world_dispatch(&w, 2).lane, "ip-a/other:gmail");
	world_done(&w, 1, 1);
	assert_false(sched_lane_get(w.s, "ip-a/gmail", w.now_us,
	    &(struct lane_view){ 0 }));
	world_end(&w);
}

static void
a_route_gone_with_mail_in_flight_ends_in_peace(void **state)
{
	static struct fixture next;
	struct world w;
	struct plan p;

	(void)state;
	before(&w, &next);
	fixture_route(&next, "ip-b", 10);
	fixture_stream(&next, "news", PRIORITY_BULK, 1, "ip-b", NULL);
	fixture_stream(&next, "default", PRIORITY_NORMAL, 1, "ip-b", NULL);
	world_add(&w, "news", "gmail", 1);
	world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, 1);
	world_pause(&w, PAUSE_ROUTE, "ip-a", INT64_MAX);
	world_pause(&w, PAUSE_LANE, "ip-a/gmail", INT64_MAX);
	reload(&w, &next);
	p = world_dispatch(&w, 2);
	assert_string_equal(p.lane, "ip-b/gmail");
	assert_int_equal(p.route, 0); /* its index now */
	world_resume(&w, PAUSE_LANE, "ip-a/gmail");
	world_done(&w, 1, 1);
	/* The route comes back, and with it the pause that nobody ended. */
	reload(&w, &w.f);
	world_add(&w, "news", "gmail", 1);
	world_wait(&w, GATE_PAUSE);
	world_resume(&w, PAUSE_ROUTE, "ip-a");
	world_dispatch(&w, 3);
	world_end(&w);
}

static void
overrides_and_pauses_survive(void **state)
{
	static struct fixture next;
	struct rate r = { 100, SEC };
	struct world w;

	(void)state;
	before(&w, &next);
	fixture_route(&next, "ip-b", 10);
	fixture_stream(&next, "default", PRIORITY_NORMAL, 1, "ip-b", NULL);
	assert_int_equal(sched_rate_override(w.s, "ip-a/gmail", &r, 1,
			     INT64_MAX, w.now_us, NULL),
	    0);
	world_pause(&w, PAUSE_STREAM, "news", w.now_us + 900 * SEC);
	reload(&w, &next);
	reload(&w, &w.f);
	world_add(&w, "news", "gmail", 1);
	world_wait(&w, GATE_PAUSE);
	assert_int_equal(world_lane(&w, "ip-a/gmail").rates[0].count, 100);
	w.now_us += 900 * SEC;
	world_dispatch(&w, 1);
	world_end(&w);
}

static void
a_down_route_stays_down_and_its_mail_moves(void **state)
{
	static struct fixture next;
	struct world w;

	(void)state;
	before(&w, &next);
	fixture_route(&next, "ip-a", 10);
	fixture_route(&next, "ip-b", 10);
	fixture_stream(&next, "news", PRIORITY_HIGH, 1, "ip-a", "ip-b", NULL);
	fixture_stream(&next, "default", PRIORITY_NORMAL, 1, "ip-b", NULL);
	world_add(&w, "news", "gmail", 1);
	sched_route_down(w.s, 0, "refused", w.now_us);
	world_wait(&w, GATE_NEXT_HOP);
	reload(&w, &next);
	assert_int_equal(world_dispatch(&w, 1).route, 1);
	world_end(&w);
}

static void
priority_and_weight_change_with_mail_in_line(void **state)
{
	static struct fixture next;
	struct world w;

	(void)state;
	before(&w, &next);
	fixture_route(&next, "ip-b", 10);
	fixture_stream(&next, "news", PRIORITY_HIGH, 9, "ip-b", NULL);
	fixture_stream(&next, "default", PRIORITY_BULK, 1, "ip-b", NULL);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "news", "gmail", 1);
	reload(&w, &next);
	world_dispatch(&w, 2);
	world_dispatch(&w, 1);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_again_changes_nothing),
		cmocka_unit_test(rates_keep_what_was_spent),
		cmocka_unit_test(a_stream_that_is_gone_becomes_default),
		cmocka_unit_test(a_provider_that_is_gone_becomes_a_site),
		cmocka_unit_test(
		    a_route_gone_with_mail_in_flight_ends_in_peace),
		cmocka_unit_test(overrides_and_pauses_survive),
		cmocka_unit_test(a_down_route_stays_down_and_its_mail_moves),
		cmocka_unit_test(priority_and_weight_change_with_mail_in_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
