/* SPDX-License-Identifier: ISC */
#include "tests/unit/sched_world.h"

#define HOUR (3600 * SEC)

static void
begin(struct world *w)
{
	struct conf_adapt *a = &w->f.conf.adapt;

	fixture_init(&w->f);
	fixture_provider(&w->f, "yahoo")->limits.connections = 20;
	fixture_route(&w->f, "ip-a", 20);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	a->enabled = true;
	a->floor = (struct rate){ 1, 60 * SEC };
	a->react.decrease_permille = 150;
	a->react.hold_us = 60 * SEC;
	a->recover.probe_permille = 50;
	a->recover.every_us = 60 * SEC;
	a->suspend.rejected_permille = 50;
	a->suspend.sample = 20;
	a->suspend.for_us = HOUR;
	a->suspend.max_us = 24 * HOUR;
	world_start(w);
}

static void
send_one(struct world *w, enum reply_class class, int64_t pause_us)
{
	uint64_t id = world_add(w, "default", "yahoo", 1);
	struct verdict v = { .message = id,
		.n_deferred = class != CLASS_OK,
		.n_delivered = class == CLASS_OK,
		.n_pending = class != CLASS_OK,
		.next = class == CLASS_OK ? SETTLE_DONE : SETTLE_RETRY,
		.phase = PHASE_MAIL,
		.class = class,
		.blame = class == CLASS_OK ? BLAME_NOBODY : BLAME_LANE,
		.code = class == CLASS_OK ? 250 : 421,
		.pause_us = pause_us,
		.reply = "x" };
	struct plan p;

	while ((p = world_plan(w)).kind == PLAN_WAIT) {
		assert_true(p.due_us < INT64_MAX);
		w->now_us = p.due_us;
	}
	assert_int_equal(p.message, id);
	w->now_us += 20000;
	world_verdict(w, &v);
}

/* Nothing is taken any more: what the provider advises is done. */
static void
test_pause_when_nothing_is_taken(void **state)
{
	struct world w;
	struct lane_view lane;

	(void)state;
	begin(&w);
	send_one(&w, CLASS_REPUTATION_DEFER, 4 * HOUR);
	lane = world_lane(&w, "ip-a/yahoo");
	assert_true(lane.is_suspended);
	assert_string_equal(lane.suspended_because, "advised");
	assert_true(lane.suspended_until_us >= w.now_us + 4 * HOUR);
	world_end(&w);
}

/* Most of the mail gets through: slower is enough. */
static void
test_no_pause_while_mail_gets_through(void **state)
{
	struct world w;
	struct lane_view lane;

	(void)state;
	begin(&w);
	for (int i = 0; i < 50; i++) {
		send_one(&w, CLASS_OK, 0);
		w.now_us += SEC / 10;
	}
	send_one(&w, CLASS_REPUTATION_DEFER, 4 * HOUR);
	lane = world_lane(&w, "ip-a/yahoo");
	assert_false(lane.is_suspended);
	assert_false(rate_is_unlimited(&lane.adapted));
	world_end(&w);
}

/* It was slowed down, and still nothing is taken. */
static void
test_pause_when_slower_is_no_help(void **state)
{
	struct world w;
	int n = 0;

	(void)state;
	begin(&w);
	for (int i = 0; i < 50; i++) {
		send_one(&w, CLASS_OK, 0);
		w.now_us += SEC / 10;
	}
	while (!world_lane(&w, "ip-a/yahoo").is_suspended) {
		assert_true(n++ < 200);
		send_one(&w, CLASS_REPUTATION_DEFER, 4 * HOUR);
		w.now_us += SEC;
	}
	world_end(&w);
}

/* An operator's own rule may ask for a pause at a rate reply: at once. */
static void
test_pause_of_own_rule(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	for (int i = 0; i < 50; i++)
		send_one(&w, CLASS_OK, 0);
	send_one(&w, CLASS_RATE, 10 * 60 * SEC);
	assert_true(world_lane(&w, "ip-a/yahoo").is_suspended);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_when_nothing_is_taken),
		cmocka_unit_test(test_no_pause_while_mail_gets_through),
		cmocka_unit_test(test_pause_when_slower_is_no_help),
		cmocka_unit_test(test_pause_of_own_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
