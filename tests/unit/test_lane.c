/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is: strict priority with its floor, shares by weight, rounds
 * among lanes and routes, and nobody starves. Every test lets mail leave with
 * full queues and counts who went.
 */
#include "tests/unit/sched_world.h"

#include "conf/base/rng.h"

/* One lane, paced, all streams full: sends `n` recipients, counts by stream. */
struct tally {
	const char *names[8];
	uint64_t n[8];
	uint64_t total;
};

static void
count(struct tally *t, const char *name, uint64_t n)
{
	int i = 0;

	while (t->names[i] != NULL && strcmp(t->names[i], name) != 0)
		i++;
	t->names[i] = name;
	t->n[i] += n;
	t->total += n;
}

static uint64_t
of(const struct tally *t, const char *name)
{
	for (int i = 0; i < 8 && t->names[i] != NULL; i++)
		if (strcmp(t->names[i], name) == 0)
			return t->n[i];
	return 0;
}

static uint64_t
permille(const struct tally *t, const char *name)
{
	return of(t, name) * 1000 / t->total;
}

/* What left comes back as the same number of recipients: queues stay full. */
static void
run(struct world *w, struct tally *t, int n)
{
	static const char *const names[] = { "high", "normal", "bulk", "bulk3",
		"default" };
	struct plan p;

	while (n > 0) {
		struct verdict v = { .class = CLASS_OK, .code = 250 };

		sched_plan(w->s, w->now_us, &p);
		if (p.kind == PLAN_WAIT) {
			assert_true(p.due_us < INT64_MAX);
			w->now_us = p.due_us;
			continue;
		}
		n--;
		for (size_t i = 0; i < 5; i++)
			if (strcmp(p.stream, names[i]) == 0)
				count(t, names[i], p.n_recipients);
		v.message = p.message;
		v.n_delivered = p.n_recipients;
		sched_verdict(w->s, &v, w->now_us);
		sched_add(w->s,
		    &(struct sched_delivery){
			.message = ++w->n_added,
			.n_pending = p.n_pending,
			.stream = p.stream,
			.provider = p.provider,
			.site = "",
			.expires_us = INT64_MAX,
		    },
		    w->now_us);
	}
	sched_check(w->s);
}

static void
one_lane(struct world *w, int64_t rate)
{
	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	fixture_rate(&fixture_provider(&w->f, "gmail")->limits, rate, SEC);
	fixture_provider(&w->f, "yahoo");
	fixture_provider(&w->f, "gmx");
	fixture_route(&w->f, "ip-a", 0);
	fixture_route(&w->f, "ip-b", 0);
	fixture_stream(&w->f, "high", PRIORITY_HIGH, 1, "ip-a", NULL);
	fixture_stream(&w->f, "normal", PRIORITY_NORMAL, 1, "ip-a", NULL);
	fixture_stream(&w->f, "bulk", PRIORITY_BULK, 1, "ip-a", NULL);
	fixture_stream(&w->f, "bulk3", PRIORITY_BULK, 3, "ip-a", NULL);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-b", NULL);
	world_start(w);
}

static void
fill(struct world *w, const char *stream, const char *provider, uint32_t n)
{
	for (int i = 0; i < 20; i++)
		world_add(w, stream, provider, n);
}

static void
lower_classes_have_their_floor(void **state)
{
	struct tally t = { 0 };
	struct world w;

	(void)state;
	one_lane(&w, 1000);
	fill(&w, "high", "gmail", 1);
	fill(&w, "normal", "gmail", 1);
	fill(&w, "bulk", "gmail", 1);
	run(&w, &t, 10000);
	assert_in_range(permille(&t, "high"), 895, 905);
	assert_in_range(permille(&t, "normal"), 48, 52);
	assert_in_range(permille(&t, "bulk"), 48, 52);
	world_end(&w);
}

/* The floor counts recipients: small bulk mail beside big urgent mail. */
static void
the_floor_is_of_recipients(void **state)
{
	struct tally t = { 0 };
	struct world w;

	(void)state;
	one_lane(&w, 10000); /* depth 100 */
	fill(&w, "high", "gmail", 50);
	fill(&w, "bulk", "gmail", 1);
	run(&w, &t, 20000);
	assert_in_range(permille(&t, "bulk"), 48, 52);
	world_end(&w);

	memset(&t, 0, sizeof(t));
	one_lane(&w, 10000);
	fill(&w, "high", "gmail", 1);
	fill(&w, "bulk", "gmail", 50);
	run(&w, &t, 20000);
	assert_in_range(permille(&t, "bulk"), 45, 55);
	world_end(&w);
}

static void
urgent_mail_alone_has_it_all(void **state)
{
	struct tally t = { 0 };
	struct world w;

	(void)state;
	one_lane(&w, 1000);
	fill(&w, "high", "gmail", 1);
	run(&w, &t, 1000);
	assert_int_equal(of(&t, "high"), 1000);
	/* Nothing was saved up by whoever comes later. */
	fill(&w, "bulk", "gmail", 1);
	memset(&t, 0, sizeof(t));
	run(&w, &t, 20);
	assert_in_range(of(&t, "bulk"), 0, 1);
	world_end(&w);
}

static void
urgent_mail_goes_next_though_bulk_waits_for_tokens(void **state)
{
	struct world w;

	(void)state;
	one_lane(&w, 5000); /* depth 50 */
	world_add(&w, "bulk", "gmail", 50);
	world_add(&w, "bulk", "gmail", 50);
	world_dispatch(&w, 1);
	w.now_us += SEC / 1000;
	world_wait(&w, GATE_RATE);
	world_add(&w, "high", "gmail", 2);
	world_dispatch(&w, 3);
	world_end(&w);
}

static void
a_small_delivery_does_not_wait_for_a_big_one_that_is_gone(void **state)
{
	struct world w;

	(void)state;
	one_lane(&w, 5000);
	world_add(&w, "bulk", "gmail", 50);
	world_add(&w, "bulk", "gmail", 50);
	world_add(&w, "bulk", "gmail", 1);
	world_dispatch(&w, 1);
	w.now_us += SEC / 1000;
	world_wait(&w, GATE_RATE);
	assert_true(sched_remove(w.s, 2, 0));
	world_dispatch(&w, 3);
	world_end(&w);
}

static void
streams_of_a_class_share_by_weight(void **state)
{
	static const uint32_t sizes[][2] = { { 1, 1 }, { 7, 7 }, { 1, 40 },
		{ 40, 1 }, { 3, 50 } };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tally t = { 0 };
		struct world w;

		one_lane(&w, 10000);
		fill(&w, "bulk", "gmail", sizes[i][0]);
		fill(&w, "bulk3", "gmail", sizes[i][1]);
		run(&w, &t, 20000);
		assert_in_range(permille(&t, "bulk3"), 740, 760);
		world_end(&w);
	}
}

/* Shares are even over short stretches too: no long runs of one stream. */
static void
weights_interleave_finely(void **state)
{
	struct world w;

	(void)state;
	one_lane(&w, 1000);
	fill(&w, "bulk", "gmail", 1);
	fill(&w, "bulk3", "gmail", 1);
	for (int i = 0; i < 100; i++) {
		struct tally t = { 0 };

		run(&w, &t, 8);
		assert_in_range(of(&t, "bulk3"), 5, 7);
	}
	world_end(&w);
}

static void
lanes_of_a_route_take_turns(void **state)
{
	uint64_t n[3] = { 0 };
	struct world w;

	(void)state;
	one_lane(&w, 1000000);
	w.f.routes[0].connections = 1;
	sched_reload(w.s, &w.f.conf, w.now_us);
	for (int i = 0; i < 300; i++) {
		world_add(&w, "bulk", "gmail", 1);
		world_add(&w, "bulk", "yahoo", 1);
		world_add(&w, "bulk", "gmx", 1);
	}
	for (int i = 0; i < 300; i++) {
		struct plan p = world_plan(&w);

		assert_int_equal(p.kind, PLAN_DISPATCH);
		n[p.provider[1] == 'm' ? p.provider[2] == 'x' : 2]++;
		world_done(&w, p.message, 1);
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(n[i], 99, 101);
	world_end(&w);
}

/* One connection, an urgent lane always ready: bulk lanes still get 5%. */
static void
a_route_has_the_floor_among_lanes(void **state)
{
	uint64_t n_bulk = 0;
	struct world w;

	(void)state;
	one_lane(&w, 1000000);
	w.f.routes[0].connections = 1;
	sched_reload(w.s, &w.f.conf, w.now_us);
	for (int i = 0; i < 1000; i++) {
		world_add(&w, "high", "gmx", 1);
		if (i < 100)
			world_add(&w, "bulk", "yahoo", 1);
	}
	for (int i = 0; i < 1000; i++) {
		struct plan p = world_plan(&w);

		n_bulk += strcmp(p.stream, "bulk") == 0;
		world_done(&w, p.message, 1);
	}
	assert_in_range(n_bulk, 48, 52);
	world_end(&w);
}

static void
routes_take_turns(void **state)
{
	unsigned before = 99;
	struct world w;

	(void)state;
	one_lane(&w, 1000000);
	for (int i = 0; i < 50; i++) {
		world_add(&w, "normal", "gmx", 1);
		world_add(&w, "default", "yahoo", 1);
	}
	for (int i = 0; i < 100; i++) {
		struct plan p = world_plan(&w);

		assert_int_equal(p.kind, PLAN_DISPATCH);
		assert_true(p.route != before);
		before = p.route;
	}
	world_end(&w);
}

static void
a_flow_is_first_in_first_out(void **state)
{
	struct world w;

	(void)state;
	one_lane(&w, 1000);
	for (int i = 0; i < 100; i++)
		world_add(&w, "bulk", "gmail", 1);
	for (uint64_t i = 1; i <= 100; i++) {
		struct plan p = world_plan(&w);

		while (p.kind == PLAN_WAIT) {
			w.now_us = p.due_us;
			p = world_plan(&w);
		}
		assert_int_equal(p.message, i);
	}
	world_end(&w);
}

/* Random classes, weights and sizes: the longest wait of anyone is bounded. */
static void
nobody_starves(void **state)
{
	static const char *const names[] = { "high", "normal", "bulk",
		"bulk3" };

	(void)state;
	print_message("seeds 1..20\n");
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rng rng = { .state = seed };
		struct tally t = { 0 };
		struct world w;

		one_lane(&w, 10000);
		for (int i = 0; i < 4; i++)
			fill(&w, names[i], "gmail",
			    1 + (uint32_t)rng_below(&rng, 60));
		for (int round = 0; round < 10; round++) {
			memset(&t, 0, sizeof(t));
			run(&w, &t, 5000);
			assert_true(permille(&t, "normal") >= 30);
			assert_true(of(&t, "bulk") > 0);
			assert_true(of(&t, "bulk3") > 0);
			assert_true(of(&t, "bulk") + of(&t, "bulk3") >=
			    t.total * 30 / 1000);
		}
		world_end(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lower_classes_have_their_floor),
		cmocka_unit_test(the_floor_is_of_recipients),
		cmocka_unit_test(urgent_mail_alone_has_it_all),
		cmocka_unit_test(
		    urgent_mail_goes_next_though_bulk_waits_for_tokens),
		cmocka_unit_test(
		    a_small_delivery_does_not_wait_for_a_big_one_that_is_gone),
		cmocka_unit_test(streams_of_a_class_share_by_weight),
		cmocka_unit_test(weights_interleave_finely),
		cmocka_unit_test(lanes_of_a_route_take_turns),
		cmocka_unit_test(a_route_has_the_floor_among_lanes),
		cmocka_unit_test(routes_take_turns),
		cmocka_unit_test(a_flow_is_first_in_first_out),
		cmocka_unit_test(nobody_starves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
