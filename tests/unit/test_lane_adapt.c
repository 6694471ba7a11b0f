/* SPDX-License-Identifier: ISC */
#include "tests/unit/sched_world.h"

#define HOUR (3600 * SEC)

static void
begin_with(struct world *w, const char *second_route)
{
	struct conf_adapt *a = &w->f.conf.adapt;

	fixture_init(&w->f);
	fixture_provider(&w->f, "yahoo")->limits.connections = 20;
	fixture_route(&w->f, "ip-a", 20);
	if (second_route != NULL)
		fixture_route(&w->f, second_route, 20);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a",
	    second_route, NULL);
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
}

static void
begin(struct world *w)
{
	begin_with(w, NULL);
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

/* The event of a suspension tells what was counted, to the recipient. */
static void
test_a_suspension_tells_what_was_rejected(void **state)
{
	struct sched_change c = { .kind = CHANGE_RATE };
	struct world w;

	(void)state;
	begin(&w);
	for (int i = 0; i < 19; i++)
		send_one(&w, CLASS_OK, 0);
	send_one(&w, CLASS_REPUTATION_REJECT, 0);
	send_one(&w, CLASS_REPUTATION_REJECT, 0);
	while (c.kind != CHANGE_SUSPENDED)
		assert_true(sched_change_next(w.s, &c));
	assert_int_equal(c.n_refused, 2);
	assert_int_equal(c.n_accepted, 19);
	world_end(&w);
}

/* What a route had learned of its connections goes with adaptation. */
static void
test_a_route_forgets_when_adaptation_is_off(void **state)
{
	struct world w;
	struct verdict v = { .class = CLASS_RATE,
		.blame = BLAME_CONNECTIONS,
		.phase = PHASE_CONNECT,
		.code = 421,
		.reply = "421 too many connections" };

	(void)state;
	begin(&w);
	for (int i = 0; i < 4; i++)
		world_dispatch(&w, world_add(&w, "default", "yahoo", 1));
	v.message = 4;
	sched_refused(w.s, &v, w.now_us);
	for (uint64_t id = 1; id < 4; id++)
		world_done(&w, id, 1);
	for (int i = 0; i < 3; i++) {
		uint64_t id = i == 0 ? 4 : world_add(&w, "default", "yahoo", 1);

		world_dispatch(&w, id);
	}
	world_add(&w, "default", "yahoo", 1);
	world_wait(&w, GATE_ROUTE_CONNECTIONS);
	w.f.conf.adapt.enabled = false;
	sched_reload(w.s, &w.f.conf, w.now_us);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
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

/* One delivery by whatever lane lets it go; refused as `reply` says. */
static const char *
lane_of_next(struct world *w, enum reply_class class, enum blame blame)
{
	static char lane[64];
	uint64_t id = world_add(w, "default", "yahoo", 1);
	struct plan p = world_plan(w);
	struct verdict v = { .message = id,
		.n_deferred = class == CLASS_SYSTEM,
		.n_failed = class == CLASS_REPUTATION_REJECT,
		.n_delivered = class == CLASS_OK,
		.n_rejected = class == CLASS_REPUTATION_REJECT,
		.n_pending = class == CLASS_SYSTEM,
		.next = class == CLASS_SYSTEM ? SETTLE_RETRY : SETTLE_DONE,
		.phase = PHASE_EOD,
		.class = class,
		.blame = blame,
		.code = class == CLASS_OK ? 250 : 554,
		.reply = "x" };

	if (p.kind != PLAN_DISPATCH) {
		sched_remove(w->s, id, 0);
		return "none";
	}
	snprintf(lane, sizeof(lane), "%s", p.lane);
	world_verdict(w, &v);
	sched_remove(w->s, id, 0);
	return lane;
}

/* Mail that one address is blocked for goes by another one only where the
 * operator wants it so, and comes back when it is tried again. */
static void
test_a_suspended_lane_holds_or_overflows(void **state)
{
	static const struct {
		enum conf_suspend_overflow overflow;
		enum conf_mode mode;
		enum reply_class class;
		enum blame blame;
		unsigned n; /* so many of these suspend it */
		const char *meanwhile;
	} rows[] = {
		{ SUSPEND_HOLD, MODE_ENFORCE, CLASS_REPUTATION_REJECT,
		    BLAME_ROUTE, 1, "none" },
		{ SUSPEND_NEXT_ROUTE, MODE_ENFORCE, CLASS_REPUTATION_REJECT,
		    BLAME_ROUTE, 1, "ip-b/yahoo" },
		{ SUSPEND_NEXT_ROUTE, MODE_SHADOW, CLASS_REPUTATION_REJECT,
		    BLAME_ROUTE, 1, "ip-a/yahoo" },
		/* its own failure: the next route would meet it too */
		{ SUSPEND_NEXT_ROUTE, MODE_ENFORCE, CLASS_SYSTEM,
		    BLAME_NEXT_HOP, 6, "none" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		struct lane_view lane;

		begin_with(&w, "ip-b");
		w.f.conf.adapt.suspend.overflow = rows[i].overflow;
		w.f.conf.adapt.mode = rows[i].mode;
		world_start(&w);
		for (unsigned k = 0; k < rows[i].n; k++)
			assert_string_equal(lane_of_next(&w, rows[i].class,
						rows[i].blame),
			    "ip-a/yahoo");
		lane = world_lane(&w, "ip-a/yahoo");
		assert_true(lane.is_suspended);
		assert_string_equal(lane_of_next(&w, CLASS_OK, BLAME_NOBODY),
		    rows[i].meanwhile);
		w.now_us = lane.suspended_until_us + 1;
		assert_string_equal(lane_of_next(&w, CLASS_OK, BLAME_NOBODY),
		    "ip-a/yahoo");
		world_end(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_when_nothing_is_taken),
		cmocka_unit_test(test_a_suspension_tells_what_was_rejected),
		cmocka_unit_test(test_a_route_forgets_when_adaptation_is_off),
		cmocka_unit_test(test_no_pause_while_mail_gets_through),
		cmocka_unit_test(test_pause_when_slower_is_no_help),
		cmocka_unit_test(test_pause_of_own_rule),
		cmocka_unit_test(test_a_suspended_lane_holds_or_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
