/* SPDX-License-Identifier: ISC */
/* A next hop that fails: backing off, probing, and where its mail goes. */
#include "tests/unit/sched_world.h"

static void
two_routes(struct world *w)
{
	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	fixture_provider(&w->f, "gmail");
	fixture_route(&w->f, "ip-a", 10);
	fixture_route(&w->f, "ip-b", 10);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", "ip-b",
	    NULL);
	fixture_stream(&w->f, "only-a", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(w);
}

static int64_t
down(struct world *w, unsigned route)
{
	int64_t until_us =
	    sched_route_down(w->s, route, "connection refused", w->now_us);

	sched_check(w->s);
	return until_us;
}

static void
mail_waits_for_its_only_route(void **state)
{
	struct world w;
	int64_t until_us;

	(void)state;
	two_routes(&w);
	world_add(&w, "only-a", "gmail", 1);
	until_us = down(&w, 0);
	assert_in_range(until_us - w.now_us, SEC * 8 / 10, SEC * 12 / 10);
	assert_int_equal(world_wait(&w, GATE_NEXT_HOP).due_us, until_us);
	w.now_us = until_us;
	assert_int_equal(world_dispatch(&w, 1).attempts, 0);
	world_end(&w);
}

static void
a_flow_takes_the_next_route_while_its_own_is_down(void **state)
{
	struct world w;

	(void)state;
	two_routes(&w);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	assert_int_equal(world_dispatch(&w, 1).route, 0);
	world_unuse(&w, 1);
	down(&w, 0);
	assert_string_equal(world_dispatch(&w, 1).lane, "ip-b/gmail");
	assert_int_equal(world_lane(&w, "ip-a/gmail").n_queued, 0);
	assert_int_equal(world_lane(&w, "ip-b/gmail").n_queued, 2);
	sched_route_up(w.s, 0, w.now_us);
	assert_int_equal(world_dispatch(&w, 2).route, 0);
	world_end(&w);
}

static void
waiting_for_a_connection_is_not_being_closed(void **state)
{
	struct world w;

	(void)state;
	two_routes(&w);
	w.f.routes[0].connections = 1;
	sched_reload(w.s, &w.f.conf, w.now_us);
	world_add(&w, "default", "gmail", 1);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	world_wait(&w, GATE_ROUTE_CONNECTIONS);
	world_end(&w);
}

static void
backoff_grows_with_the_outage(void **state)
{
	struct world w;
	int64_t began_us;
	int n = 0;

	(void)state;
	two_routes(&w);
	began_us = w.now_us;
	while (w.now_us < began_us + 3600 * SEC) {
		int64_t want_us = (w.now_us - began_us) / 10;
		int64_t until_us = down(&w, 0);

		want_us = want_us < SEC	 ? SEC
		    : want_us > 60 * SEC ? 60 * SEC
					 : want_us;
		assert_in_range(until_us - w.now_us, want_us * 8 / 10,
		    want_us < 50 * SEC ? want_us * 12 / 10 : 60 * SEC);
		w.now_us = until_us;
		n++;
	}
	assert_in_range(n, 60, 140); /* a dead hop costs few attempts */
	sched_route_up(w.s, 0, w.now_us);
	assert_in_range(down(&w, 0) - w.now_us, SEC * 8 / 10, SEC * 12 / 10);
	world_end(&w);
}

/* Ten connections that fail together are one event. */
static void
failures_while_down_say_nothing_new(void **state)
{
	struct world w;
	int64_t until_us;

	(void)state;
	two_routes(&w);
	until_us = down(&w, 0);
	w.now_us += 1000;
	for (int i = 0; i < 9; i++)
		assert_int_equal(down(&w, 0), until_us);
	world_end(&w);
}

static void
one_delivery_probes_and_the_others_keep_away(void **state)
{
	struct world w;

	(void)state;
	two_routes(&w);
	for (int i = 0; i < 4; i++)
		world_add(&w, "default", "gmail", 1);
	w.now_us = down(&w, 0);
	assert_int_equal(world_dispatch(&w, 1).route, 0); /* the probe */
	assert_int_equal(world_dispatch(&w, 2).route, 1);
	world_unuse(&w, 1);
	w.now_us = down(&w, 0);
	assert_int_equal(world_dispatch(&w, 1).route, 0);
	world_done(&w, 1, 1); /* it works */
	assert_int_equal(world_dispatch(&w, 3).route, 0);
	assert_int_equal(world_dispatch(&w, 4).route, 0);
	world_end(&w);
}

static void
a_probe_holds_mail_that_has_no_other_route(void **state)
{
	struct world w;

	(void)state;
	two_routes(&w);
	world_add(&w, "only-a", "gmail", 1);
	world_add(&w, "only-a", "gmail", 1);
	w.now_us = down(&w, 0);
	world_dispatch(&w, 1);
	assert_int_equal(world_wait(&w, GATE_NEXT_HOP).due_us, 432001 * SEC);
	world_unuse(&w, 1); /* it told nothing: another may try */
	world_dispatch(&w, 1);
	world_retry(&w, 1, 1); /* a 450 is a sign of life */
	world_dispatch(&w, 2);
	world_end(&w);
}

static void
a_reply_that_was_none_is_no_sign_of_life(void **state)
{
	struct verdict v = {
		.message = 1,
		.n_deferred = 1,
		.n_pending = 1,
		.next = SETTLE_RETRY,
		.class = CLASS_SYSTEM,
		.blame = BLAME_NEXT_HOP,
		.code = 0,
		.reply = "connection lost",
	};
	struct world w;
	int64_t until_us;

	(void)state;
	two_routes(&w);
	world_add(&w, "only-a", "gmail", 1);
	world_dispatch(&w, 1);
	until_us = down(&w, 0);
	world_verdict(&w, &v);
	world_add(&w, "only-a", "gmail", 1);
	assert_int_equal(world_wait(&w, GATE_NEXT_HOP).due_us, until_us);
	world_end(&w);
}

static void
routes_that_do_not_exist_change_nothing(void **state)
{
	struct world w;

	(void)state;
	two_routes(&w);
	assert_int_equal(down(&w, 77), w.now_us);
	sched_route_up(w.s, 77, w.now_us);
	world_end(&w);
}

static void
see(const struct route_view *r, void *arg)
{
	struct route_view *views = arg;

	views[strcmp(r->name, "ip-b") == 0] = *r;
}

static void
views_tell_of_it(void **state)
{
	struct route_view views[2];
	struct world w;

	(void)state;
	two_routes(&w);
	world_add(&w, "default", "gmail", 1);
	down(&w, 0);
	world_dispatch(&w, 1);
	sched_routes_each(w.s, see, views);
	assert_true(views[0].is_down);
	assert_string_equal(views[0].why, "connection refused");
	assert_int_equal(views[0].in_flight, 0);
	assert_false(views[1].is_down);
	assert_int_equal(views[1].in_flight, 1);
	assert_int_equal(views[1].connections, 10);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_waits_for_its_only_route),
		cmocka_unit_test(
		    a_flow_takes_the_next_route_while_its_own_is_down),
		cmocka_unit_test(waiting_for_a_connection_is_not_being_closed),
		cmocka_unit_test(backoff_grows_with_the_outage),
		cmocka_unit_test(failures_while_down_say_nothing_new),
		cmocka_unit_test(one_delivery_probes_and_the_others_keep_away),
		cmocka_unit_test(a_probe_holds_mail_that_has_no_other_route),
		cmocka_unit_test(a_reply_that_was_none_is_no_sign_of_life),
		cmocka_unit_test(routes_that_do_not_exist_change_nothing),
		cmocka_unit_test(views_tell_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
