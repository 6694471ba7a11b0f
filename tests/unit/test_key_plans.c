/* SPDX-License-Identifier: ISC */
/* Plans as they are written: every form of a schedule and a window, and what
 * can't work with the reason. */
#include "conf/key_plans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEC  INT64_C(1000000)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct conf *
load_plan(const char *plan, struct strbuf *errors)
{
	struct strbuf text = { 0 };
	struct conf *conf;

	strbuf_addf(&text,
	    "routes: {a: {next_hop: \"127.0.0.1:1\"}}\n"
	    "plans: {p: %s}\n",
	    plan);
	conf = conf_load_text("f", text.data, text.len, errors);
	strbuf_fini(&text);
	return conf;
}

static struct conf *
load_good(const char *plan)
{
	struct strbuf errors = { 0 };
	struct conf *conf = load_plan(plan, &errors);

	if (conf == NULL)
		fail_msg("%s: %s", plan, errors.data);
	strbuf_fini(&errors);
	return conf;
}

static void
forms_of_a_schedule(void **state)
{
	struct conf *conf = load_good(
	    "{schedule: {from: 50, growth: 150%, to: 100k}, total: [7, 7, "
	    "1.5k], providers: {gmail: {from: 20, growth: [{until: 1k, by: "
	    "200%}, {by: 120%}], to: 5k}}}");
	const struct conf_plan *p = conf_plan(conf, "p");
	const struct conf_schedule *s = &p->schedule;

	(void)state;
	assert_int_equal(s->from, 50);
	assert_int_equal(s->to, 100000);
	assert_int_equal(s->n_growth, 1);
	assert_int_equal(s->growth[0].by_permille, 1500);
	assert_true(s->growth[0].until == INT64_MAX);
	assert_true(p->has_total);
	assert_int_equal(p->total.n_volumes, 3);
	assert_int_equal(p->total.volumes[2], 1500);
	assert_int_equal(p->n_providers, 1);
	assert_string_equal(p->providers[0].provider, "gmail");
	s = &p->providers[0].schedule;
	assert_int_equal(s->n_growth, 2);
	assert_int_equal(s->growth[0].until, 1000);
	assert_int_equal(s->growth[1].by_permille, 1200);
	conf_unref(conf);

	conf = load_good("{volumes: [1, 2]}");
	p = conf_plan(conf, "p");
	assert_int_equal(p->schedule.n_volumes, 2);
	assert_false(p->has_total);
	conf_unref(conf);
	conf = load_good("{schedule: {volumes: [5]}}");
	assert_int_equal(conf_plan(conf, "p")->schedule.volumes[0], 5);
	conf_unref(conf);
}

static void
what_a_plan_is_by_itself(void **state)
{
	struct conf *conf = load_good("{schedule: [5, 10]}");
	const struct conf_plan *p = conf_plan(conf, "p");

	(void)state;
	assert_int_equal(p->start_day, -1);
	assert_int_equal(p->day_us, DAY);
	assert_int_equal(p->window_from_us, 0);
	assert_int_equal(p->window_to_us, DAY);
	assert_int_equal(p->count, COUNT_SENDING_DAYS);
	assert_int_equal(p->mode, MODE_ENFORCE);
	assert_int_equal(p->pace, PACE_EVEN);
	assert_int_equal(p->advance_when.volume_permille, 700);
	assert_int_equal(p->advance_when.deferred_permille, 100);
	assert_int_equal(p->advance_when.complained_permille, 1);
	assert_int_equal(p->unhealthy.stop_rejected_permille, 50);
	assert_int_equal(p->idle.step_back_after_us, 7 * DAY);
	assert_int_equal(p->overflow, OVERFLOW_NEXT_ROUTE);
	assert_int_equal(p->done, DONE_UNLIMITED);
	conf_unref(conf);
}

static void
windows_and_starts(void **state)
{
	static const struct {
		const char *plan;
		int64_t from_us, to_us, start_day;
	} cases[] = {
		{ "{schedule: [5], window: \"07:00-21:00\"}", 7 * HOUR,
		    21 * HOUR, -1 },
		{ "{schedule: [5], window: \"00:00-24:00\"}", 0, DAY, -1 },
		{ "{schedule: [5], window: all, start: 1970-01-02}", 0, DAY,
		    1 },
		{ "{schedule: [5], day: 20s, start: first_message}", 0,
		    20 * SEC, -1 },
		{ "{schedule: [5], day: 20s, window: 5s-15s, start: "
		  "2026-12-01}",
		    5 * SEC, 15 * SEC, 20788 },
		{ "{schedule: [5], day: 20h, window: \"07:00-20:00\"}",
		    7 * HOUR, 20 * HOUR, -1 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct conf *conf = load_good(cases[i].plan);
		const struct conf_plan *p = conf_plan(conf, "p");

		assert_int_equal(p->window_from_us, cases[i].from_us);
		assert_int_equal(p->window_to_us, cases[i].to_us);
		assert_int_equal(p->start_day, cases[i].start_day);
		conf_unref(conf);
	}
}

static void
what_cannot_work_says_why(void **state)
{
	static const struct {
		const char *plan, *error;
	} cases[] = {
		{ "{}", "f:2:12: plans.p.schedule: is missing\n" },
		{ "{schedule: {from: 50, growth: 90%, to: 100k}}",
		    "f:2:42: plans.p.schedule: growth of 90% never leads from "
		    "50 to 100000; tomorrow must be more than 100% of "
		    "today\n" },
		{ "{schedule: {from: 50, growth: [{until: 60, by: 200%}, {by: "
		  "100%}], to: 100k}}",
		    "f:2:42: plans.p.schedule: growth of 100% never leads "
		    "from 50 to 100000; tomorrow must be more than 100% of "
		    "today\n" },
		{ "{schedule: {from: 50, growth: 150%, to: 40}}",
		    "f:2:23: plans.p.schedule: to is less than from: a plan "
		    "only grows\n" },
		{ "{schedule: {from: 1, growth: 100.1%, to: 1M}}",
		    "f:2:41: plans.p.schedule: it would take more than ten "
		    "years to get from 1 to 1000000\n" },
		{ "{schedule: {from: 0, growth: 150%, to: 1M}}",
		    "f:2:30: plans.p.schedule.from: \"0\" is too small; the "
		    "least is 1\n" },
		{ "{schedule: {from: 50, to: 100}}",
		    "f:2:23: plans.p.schedule: needs from, growth and to, or "
		    "volumes for each day\n" },
		{ "{schedule: {from: 5, volumes: [1]}}",
		    "f:2:23: plans.p.schedule: volumes are each day's "
		    "numbers; from, growth and to can't stand beside them\n" },
		{ "{schedule: [5, 4]}",
		    "f:2:27: plans.p.schedule: is less than the day before: a "
		    "plan only grows\n" },
		{ "{schedule: []}",
		    "f:2:23: plans.p.schedule: must have 1 to 3650 days\n" },
		{ "{schedule: 5}",
		    "f:2:23: plans.p.schedule: must be {from: 50, growth: "
		    "150%, to: 100k} or a list of each day's volume\n" },
		{ "{schedule: [1], volumes: [1]}",
		    "f:2:28: plans.p.volumes: can't stand beside schedule: it "
		    "is the same\n" },
		{ "{schedule: {from: 1, growth: [{by: 200%}, {by: 120%}], to: "
		  "9}}",
		    "f:2:42: plans.p.schedule.growth[0].until: is missing; "
		    "only the last step may go without\n" },
		{ "{schedule: {from: 1, growth: [{until: 9, by: 200%}, "
		  "{until: 9, by: 120%}], to: 9}}",
		    "f:2:64: plans.p.schedule.growth[1]: until must be more "
		    "than the step before has\n" },
		{ "{schedule: {from: 1, growth: [], to: 9}}",
		    "f:2:41: plans.p.schedule.growth: must have 1 to 16 "
		    "steps\n" },
		{ "{schedule: [1], window: \"07:00-07:00\"}",
		    "f:2:36: plans.p.window: \"07:00-07:00\" is a window of "
		    "no length\n" },
		{ "{schedule: [1], window: \"21:00-07:00\"}",
		    "f:2:36: plans.p.window: \"21:00-07:00\" ends before it "
		    "begins; a window can't go past midnight\n" },
		{ "{schedule: [1], window: \"07:00-24:01\"}",
		    "f:2:36: plans.p.window: \"07:00-24:01\" is no window; "
		    "write \"07:00-21:00\" or all\n" },
		{ "{schedule: [1], start: 2026-02-30}",
		    "f:2:35: plans.p.start: \"2026-02-30\" is no date; write "
		    "2026-12-01 or first_message\n" },
		{ "{schedule: [1], advance_when: {deferred: \"<0%\"}}",
		    "f:2:53: plans.p.advance_when.deferred: \"<0%\" is too "
		    "small; the least is 0.1%: beyond that the gate would "
		    "never open\n" },
		{ "{schedule: [1], advance_when: {volume: 101%}}",
		    "f:2:51: plans.p.advance_when.volume: \"101%\" is too "
		    "large; the most is 100%: beyond that the gate would "
		    "never open\n" },
		{ "{schedule: [1], day: 25h}",
		    "f:2:33: plans.p.day: \"25h\" is too large; the most is "
		    "1d\n" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf errors = { 0 };

		if (load_plan(cases[i].plan, &errors) != NULL)
			fail_msg("accepted: %s", cases[i].plan);
		assert_string_equal(errors.data, cases[i].error);
		strbuf_fini(&errors);
	}
}

/* What comes with the program is whole, and an operator's keys go over it. */
static void
ready_made_plans(void **state)
{
	static const char *const names[] = { "cautious", "moderate", "brisk",
		"new-domain", "sendgrid", "sendgrid-manual", "sparkpost",
		"braze-conservative", "braze-moderate", "braze-aggressive",
		"ses", "ipost", "responsys", "salesforce", "copernica",
		"blueshift", "3ava" };
	struct conf *conf = load_good("{schedule: [5]}");
	const struct conf_plan *p;

	(void)state;
	for (size_t i = 0; i < N(names); i++) {
		p = conf_plan(conf, names[i]);
		if (p == NULL)
			fail_msg("no plan %s", names[i]);
		assert_true(p->schedule.n_volumes + p->schedule.n_growth > 0);
	}
	assert_int_equal(conf->n_plans, N(names) + 1);
	p = conf_plan(conf, "sparkpost");
	assert_int_equal(p->total.volumes[0], 200);
	assert_int_equal(p->total.volumes[28], 10000000);
	assert_int_equal(conf_plan(conf, "new-domain")->overflow,
	    OVERFLOW_HOLD);
	conf_unref(conf);

	conf = load_good("{schedule: [5]}, sparkpost: {schedule: [7], pace: "
			 "front}, responsys: {providers: {yahoo: {volumes: "
			 "[1]}}}");
	p = conf_plan(conf, "sparkpost");
	assert_int_equal(p->schedule.n_volumes, 1);
	assert_int_equal(p->total.n_volumes, 29);
	assert_int_equal(p->pace, PACE_FRONT);
	assert_int_equal(p->advance_when.volume_permille, 900);
	p = conf_plan(conf, "responsys");
	assert_int_equal(p->n_providers, 1);
	conf_unref(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_of_a_schedule),
		cmocka_unit_test(what_a_plan_is_by_itself),
		cmocka_unit_test(windows_and_starts),
		cmocka_unit_test(what_cannot_work_says_why),
		cmocka_unit_test(ready_made_plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
