/* SPDX-License-Identifier: ISC */
/* Pauses: what each kind holds, until when, and what happens to the mail. */
#include "tests/unit/sched_world.h"

static void
a_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	fixture_provider(&w->f, "gmail");
	fixture_provider(&w->f, "yahoo");
	fixture_route(&w->f, "ip-a", 10);
	fixture_route(&w->f, "ip-b", 10);
	fixture_stream(&w->f, "news", PRIORITY_BULK, 1, "ip-a", "ip-b", NULL);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(w);
}

static void
kinds_have_names(void **state)
{
	(void)state;
	for (int k = PAUSE_ROUTE; k <= PAUSE_SENDER; k++)
		assert_int_equal(
		    pause_kind_parse(pause_kind_name((enum pause_kind)k)), k);
	assert_int_equal(pause_kind_parse("planet"), -1);
	assert_int_equal(pause_kind_parse(""), -1);
}

static void
each_kind_holds_its_own(void **state)
{
	static const struct {
		enum pause_kind kind;
		const char *name;
	} cases[] = {
		{ PAUSE_ROUTE, "ip-a" },
		{ PAUSE_PROVIDER, "gmail" },
		{ PAUSE_LANE, "ip-a/gmail" },
		{ PAUSE_STREAM, "default" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		struct plan p;

		a_world(&w);
		world_pause(&w, cases[i].kind, cases[i].name,
		    w.now_us + 60 * SEC);
		world_add(&w, "default", "gmail", 1);
		p = world_wait(&w, GATE_PAUSE);
		assert_int_equal(p.due_us, w.now_us + 60 * SEC);
		w.now_us += 60 * SEC - 1;
		world_wait(&w, GATE_PAUSE);
		w.now_us += 1;
		world_dispatch(&w, 1);
		world_end(&w);
	}
}

static void
without_an_end_it_waits_for_resume(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "default", "gmail", 1);
	for (int k = PAUSE_ROUTE; k <= PAUSE_STREAM; k++) {
		static const char *const names[] = { "ip-a", "gmail",
			"ip-a/gmail", "default" };

		world_pause(&w, (enum pause_kind)k, names[k], INT64_MAX);
		w.now_us += 1000 * SEC;
		world_wait(&w, GATE_PAUSE);
		world_resume(&w, (enum pause_kind)k, names[k]);
		world_dispatch(&w, 1);
		world_unuse(&w, 1);
	}
	world_end(&w);
}

static void
a_paused_route_or_lane_sends_mail_to_the_next(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	world_add(&w, "news", "yahoo", 1);
	world_pause(&w, PAUSE_ROUTE, "ip-a", INT64_MAX);
	assert_string_equal(world_dispatch(&w, 1).lane, "ip-b/gmail");
	world_unuse(&w, 1);
	world_resume(&w, PAUSE_ROUTE, "ip-a");
	world_pause(&w, PAUSE_LANE, "ip-a/gmail", INT64_MAX);
	world_plan(&w);
	world_plan(&w);
	assert_string_equal(world_delivery(&w, 1).lane, "ip-b/gmail");
	assert_string_equal(world_delivery(&w, 2).lane, "ip-a/yahoo");
	world_end(&w);
}

static void
a_paused_provider_or_stream_holds_its_mail_only(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_pause(&w, PAUSE_PROVIDER, "gmail", INT64_MAX);
	world_pause(&w, PAUSE_STREAM, "default", INT64_MAX);
	world_add(&w, "news", "gmail", 1);
	world_add(&w, "default", "yahoo", 1);
	world_add(&w, "news", "yahoo", 1);
	world_dispatch(&w, 3);
	world_wait(&w, GATE_PAUSE);
	world_end(&w);
}

static void
what_is_in_flight_comes_back_to_a_paused_lane(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 1);
	world_pause(&w, PAUSE_LANE, "ip-a/gmail", INT64_MAX);
	world_unuse(&w, 1);
	world_wait(&w, GATE_PAUSE);
	world_end(&w);
}

static void
unknown_names_are_refused_with_the_known_ones(void **state)
{
	static const struct {
		enum pause_kind kind;
		const char *name, *hint;
	} cases[] = {
		{ PAUSE_ROUTE, "ip-c", "there are: ip-a, ip-b" },
		{ PAUSE_PROVIDER, "aol", "there are: gmail, yahoo, other" },
		{ PAUSE_STREAM, "", "there are: news, default" },
		{ PAUSE_LANE, "ip-a", "ROUTE/PROVIDER" },
		{ PAUSE_LANE, "ip-c/gmail", "ROUTE/PROVIDER" },
		{ PAUSE_LANE, "ip-a/other", "ROUTE/other:SITE" },
	};
	struct world w;
	struct err err;

	(void)state;
	a_world(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(sched_pause(w.s, cases[i].kind, cases[i].name,
				     INT64_MAX, "", w.now_us, &err),
		    -1);
		assert_non_null(strstr(err.text, cases[i].hint));
		assert_int_equal(sched_resume(w.s, cases[i].kind, cases[i].name,
				     w.now_us, &err),
		    -1);
	}
	assert_int_equal(sched_resume(w.s, PAUSE_ROUTE, "ip-a", w.now_us, &err),
	    -1);
	assert_non_null(strstr(err.text, "isn't paused"));
	world_end(&w);
}

static void
count_pause(const struct pause_view *p, void *arg)
{
	struct pause_view *out = arg;

	*out = *p;
}

static void
pausing_again_changes_end_and_reason(void **state)
{
	struct pause_view view = { 0 };
	struct world w;

	(void)state;
	a_world(&w);
	world_pause(&w, PAUSE_ROUTE, "ip-a", w.now_us + 5 * SEC);
	w.now_us += SEC;
	assert_int_equal(sched_pause(w.s, PAUSE_ROUTE, "ip-a", INT64_MAX,
			     "blocklisted", w.now_us, NULL),
	    0);
	w.now_us += 100 * SEC;
	world_plan(&w);
	sched_pauses_each(w.s, count_pause, &view);
	assert_string_equal(view.name, "ip-a");
	assert_string_equal(view.because, "blocklisted");
	assert_int_equal(view.since_us, SEC);
	assert_int_equal(view.until_us, INT64_MAX);
	world_end(&w);
}

static void
a_lane_may_be_paused_before_it_has_mail(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_pause(&w, PAUSE_LANE, "ip-a/other:a.example", INT64_MAX);
	w.now_us += 7200 * SEC; /* it isn't collected meanwhile */
	world_add_site(&w, "default", "other", "a.example", 1);
	world_add_site(&w, "default", "other", "b.example", 1);
	world_dispatch(&w, 2);
	world_wait(&w, GATE_PAUSE);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(each_kind_holds_its_own),
		cmocka_unit_test(without_an_end_it_waits_for_resume),
		cmocka_unit_test(a_paused_route_or_lane_sends_mail_to_the_next),
		cmocka_unit_test(
		    a_paused_provider_or_stream_holds_its_mail_only),
		cmocka_unit_test(what_is_in_flight_comes_back_to_a_paused_lane),
		cmocka_unit_test(unknown_names_are_refused_with_the_known_ones),
		cmocka_unit_test(pausing_again_changes_end_and_reason),
		cmocka_unit_test(a_lane_may_be_paused_before_it_has_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
