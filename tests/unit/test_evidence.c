/* SPDX-License-Identifier: ISC */
/* What an MTA's log tells: a lane learns from it as from its own replies. */
#include "tests/unit/log_lane_world.h"

static const struct verdict rate_refusal = { .n_deferred = 1,
	.phase = PHASE_EOD,
	.class = CLASS_RATE,
	.blame = BLAME_LANE,
	.code = 421,
	.reply = "421 4.7.28 too fast" };

static void
begin(struct log_world *lw, int64_t credit)
{
	lw_begin(lw, credit);
	lw->w.f.conf.adapt.enabled = true;
	world_start(&lw->w);
}

/* Hands over n, a tenth of a second apart, each accepted a little later. */
static void
run_in(struct log_world *lw, int n)
{
	for (int i = 0; i < n; i++) {
		lw_hand(lw, 1);
		lw->w.now_us += SEC / 10;
		lw_accept(lw, 1);
	}
}

static void
test_the_relays_word_is_no_acceptance(void **state)
{
	struct log_world lw;
	struct lane_view lane;

	(void)state;
	begin(&lw, 100);
	lw_hand(&lw, 1);
	lane = world_lane(&lw.w, "ip-a/yahoo");
	assert_int_equal(lane.n_attempted, 1);
	assert_int_equal(lane.n_delivered, 0);
	assert_int_equal(lane.n_handed, 1);
	lw_accept(&lw, 1);
	lane = world_lane(&lw.w, "ip-a/yahoo");
	assert_int_equal(lane.n_delivered, 1);
	assert_int_equal(lane.n_handed, 0);
	lw_end(&lw);
}

static void
test_a_421_that_only_the_log_saw_slows_the_lane(void **state)
{
	struct log_world lw;
	struct lane_view lane;
	struct evidence e;

	(void)state;
	begin(&lw, 100);
	run_in(&lw, 50);
	lane = world_lane(&lw.w, "ip-a/yahoo");
	assert_true(rate_is_unlimited(&lane.adapted));
	e = lw_evidence(&lw, &rate_refusal);
	e.epoch = lw_hand(&lw, 1);
	lw_tell(&lw, &e);
	lane = world_lane(&lw.w, "ip-a/yahoo");
	assert_false(rate_is_unlimited(&lane.adapted));
	assert_int_equal(lane.n_deferred, 1);
	assert_string_equal(lane.last_refusal, "421 4.7.28 too fast");
	lw_end(&lw);
}

/* Facts, but no evidence: the rest of one reply, and what is old. */
static void
test_repeats_and_old_lines_change_no_speed(void **state)
{
	(void)state;
	for (int is_stale = 0; is_stale < 2; is_stale++) {
		struct log_world lw;
		struct lane_view lane;
		struct evidence e;

		begin(&lw, 100);
		run_in(&lw, 50);
		e = lw_evidence(&lw, &rate_refusal);
		e.epoch = lw_hand(&lw, 1);
		e.is_repeat = !is_stale;
		e.is_stale = is_stale;
		lw_tell(&lw, &e);
		lane = world_lane(&lw.w, "ip-a/yahoo");
		assert_true(rate_is_unlimited(&lane.adapted));
		assert_int_equal(lane.n_deferred, 1);
		lw_end(&lw);
	}
}

/* The MTA tries again by itself: it is the lane's turn that it takes. */
static void
test_retries_are_charged(void **state)
{
	struct conf_limit_set *limits;
	struct log_world lw;
	struct evidence e;
	uint64_t id;

	(void)state;
	lw_begin(&lw, 100);
	limits = &lw.w.f.conf.providers[0].limits;
	limits->rates.v[0] = (struct rate){ 10, SEC };
	limits->rates.n = 1;
	limits->burst = 10;
	world_start(&lw.w);
	lw_hand(&lw, 1);
	e = lw_evidence(&lw, &rate_refusal);
	lw_tell(&lw, &e);
	e.is_first = false;
	e.is_retry = true;
	for (int i = 0; i < 9; i++)
		lw_tell(&lw, &e);
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_attempted, 10);
	id = world_add(&lw.w, "default", "yahoo", 1);
	world_wait(&lw.w, GATE_RATE);
	lw.w.now_us += SEC;
	world_dispatch(&lw.w, id);
	lw_end(&lw);
}

/* Nothing is known of them, and nothing is waited for any more. */
static void
test_credit_alone(void **state)
{
	struct evidence e = { .route = "ip-a",
		.provider = "yahoo",
		.site = "",
		.n_released = 2,
		.is_first = true };
	struct log_world lw;

	(void)state;
	begin(&lw, 2);
	lw_hand(&lw, 2);
	world_add(&lw.w, "default", "yahoo", 1);
	world_wait(&lw.w, GATE_CREDIT);
	lw_tell(&lw, &e);
	assert_int_equal(world_plan(&lw.w).kind, PLAN_DISPATCH);
	lw_tell(&lw, &e); /* once more: never below nothing */
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_handed, 0);
	lw_end(&lw);
}

/* From before the start: the lane comes into being with it. */
static void
test_handed_before_the_start(void **state)
{
	struct evidence e = {
		.route = "ip-a", .provider = "yahoo", .site = ""
	};
	struct evidence unknown = {
		.route = "gone", .provider = "yahoo", .site = ""
	};
	struct log_world lw;

	(void)state;
	begin(&lw, 4);
	sched_handed(lw.w.s, &e, 4, lw.w.now_us);
	sched_handed(lw.w.s, &unknown, 4, lw.w.now_us);
	world_add(&lw.w, "default", "yahoo", 1);
	world_wait(&lw.w, GATE_CREDIT);
	lw_end(&lw);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_relays_word_is_no_acceptance),
		cmocka_unit_test(
		    test_a_421_that_only_the_log_saw_slows_the_lane),
		cmocka_unit_test(test_repeats_and_old_lines_change_no_speed),
		cmocka_unit_test(test_retries_are_charged),
		cmocka_unit_test(test_credit_alone),
		cmocka_unit_test(test_handed_before_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
