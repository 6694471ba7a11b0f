/* SPDX-License-Identifier: ISC */
/* Not more than the credit lies in the queue of an MTA whose log is read. */
#include "tests/unit/log_lane_world.h"

static void
test_no_more_than_the_credit(void **state)
{
	struct log_world lw;

	(void)state;
	lw_begin(&lw, 3);
	world_start(&lw.w);
	for (int i = 0; i < 3; i++)
		lw_hand(&lw, 1);
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_handed, 3);
	world_add(&lw.w, "default", "yahoo", 1);
	world_wait(&lw.w, GATE_CREDIT);
	lw_accept(&lw, 1);
	assert_int_equal(world_plan(&lw.w).kind, PLAN_DISPATCH);
	lw_end(&lw);
}

/* A transaction of many is cut to what there is room for. */
static void
test_a_large_one_is_cut(void **state)
{
	struct log_world lw;
	struct plan p;

	(void)state;
	lw_begin(&lw, 5);
	world_start(&lw.w);
	lw_hand(&lw, 2);
	world_add(&lw.w, "default", "yahoo", 50);
	p = world_plan(&lw.w);
	assert_int_equal(p.kind, PLAN_DISPATCH);
	assert_int_equal(p.n_recipients, 3);
	lw_end(&lw);
}

/* Without a log the next hop's answer is final: nothing is held. */
static void
test_without_a_log(void **state)
{
	struct log_world lw;

	(void)state;
	lw_begin(&lw, 1);
	lw.w.f.conf.feedback.n_postfix_logs = 0;
	world_start(&lw.w);
	for (int i = 0; i < 20; i++) {
		uint64_t id = world_add(&lw.w, "default", "yahoo", 1);

		world_dispatch(&lw.w, id);
		world_done(&lw.w, id, 1);
	}
	assert_false(world_lane(&lw.w, "ip-a/yahoo").has_log);
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_handed, 0);
	lw_end(&lw);
}

/* What comes back unused, refused or deferred by the next hop itself holds
 * nothing. */
static void
test_what_never_got_there(void **state)
{
	struct log_world lw;
	uint64_t id;

	(void)state;
	lw_begin(&lw, 2);
	world_start(&lw.w);
	id = world_add(&lw.w, "default", "yahoo", 2);
	world_dispatch(&lw.w, id);
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_handed, 2);
	world_unuse(&lw.w, id);
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_handed, 0);
	world_dispatch(&lw.w, id);
	world_retry(&lw.w, id, 2);
	assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").n_handed, 0);
	lw_end(&lw);
}

/* By itself it is five seconds of the lane's rate, and at least ten. */
static void
test_credit_by_rate(void **state)
{
	static const struct {
		struct rate rate;
		int64_t credit;
	} rows[] = {
		{ { 100, SEC }, 500 },
		{ { 20, SEC }, 100 },
		{ { 1, SEC }, 10 },
		{ { 1, 3600 * SEC }, 10 },
		{ { 0, 0 }, 100 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct log_world lw;
		struct conf_limit_set *limits;

		lw_begin(&lw, 0);
		limits = &lw.w.f.conf.providers[0].limits;
		limits->rates.v[0] = rows[i].rate;
		limits->rates.n = 1;
		limits->burst = 1;
		world_start(&lw.w);
		world_add(&lw.w, "default", "yahoo", 1);
		assert_int_equal(world_lane(&lw.w, "ip-a/yahoo").credit,
		    rows[i].credit);
		lw_end(&lw);
	}
}

static void
test_why(void **state)
{
	struct gate_view v[GATE_COUNT];
	struct log_world lw;

	(void)state;
	lw_begin(&lw, 1);
	world_start(&lw.w);
	lw_hand(&lw, 1);
	world_add(&lw.w, "default", "yahoo", 1);
	world_wait(&lw.w, GATE_CREDIT);
	assert_true(sched_why(lw.w.s, "ip-a/yahoo", lw.w.now_us, v) > 0);
	assert_int_equal(v[0].gate, GATE_CREDIT);
	assert_string_equal(v[0].text,
	    "1 recipients lie with ip-a's next hop without a final answer in "
	    "its log, of 1 that may; the next answer makes room");
	lw_end(&lw);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_more_than_the_credit),
		cmocka_unit_test(test_a_large_one_is_cut),
		cmocka_unit_test(test_without_a_log),
		cmocka_unit_test(test_what_never_got_there),
		cmocka_unit_test(test_credit_by_rate),
		cmocka_unit_test(test_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
