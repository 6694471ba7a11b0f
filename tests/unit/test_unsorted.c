/* SPDX-License-Identifier: ISC */
/* Deliveries that wait for their domain's MX hosts: where they go, in which
 * order, and that nothing else waits with them. */
#include "tests/unit/sched_world.h"

#define SITE "hosted.test"

static void
start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	fixture_provider(&w->f, "gmail");
	fixture_route(&w->f, "ip-a", 100);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	fixture_stream(&w->f, "news", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(w);
}

/* hold_us 0: it isn't known, but nothing is held. */
static uint64_t
add(struct world *w, const char *stream, int64_t hold_us, int64_t due_us)
{
	struct sched_delivery d = {
		.message = ++w->n_added,
		.n_pending = 1,
		.stream = stream,
		.provider = "other",
		.site = SITE,
		.expires_us = w->now_us + 432000 * SEC,
		.due_us = due_us,
		.sort_by_us = w->now_us + hold_us,
		.sender_domain = "list.test",
	};

	sched_add(w->s, &d, w->now_us);
	sched_check(w->s);
	return d.message;
}

static void
sort(struct world *w, const char *provider, const char *site)
{
	sched_sort(w->s, SITE, provider, site, w->now_us);
	sched_check(w->s);
}

static bool
has_lane(struct world *w, const char *name)
{
	struct lane_view v;

	return sched_lane_get(w->s, name, w->now_us, &v);
}

static void
they_wait_and_leave_by_the_right_lane_in_order(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	for (int i = 0; i < 5; i++)
		add(&w, "default", 5 * SEC, 0);
	/* Others go on. */
	world_add_site(&w, "default", "other", "else.test", 1);
	world_dispatch(&w, 6);
	world_wait(&w, GATE_RETRY);
	w.now_us += SEC;
	sort(&w, "gmail", "");
	for (uint64_t i = 1; i <= 5; i++)
		assert_string_equal(world_dispatch(&w, i).lane, "ip-a/gmail");
	assert_false(has_lane(&w, "ip-a/other:" SITE));
	world_end(&w);
}

static void
they_join_a_site(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	world_add_site(&w, "default", "other", "hoster.test", 1);
	add(&w, "default", 5 * SEC, 0);
	sort(&w, "other", "hoster.test");
	world_dispatch(&w, 1);
	assert_string_equal(world_dispatch(&w, 2).lane,
	    "ip-a/other:hoster.test");
	world_end(&w);
}

/* Its own name is a site of others' too: they stay. */
static void
what_belongs_there_stays(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	world_add_site(&w, "default", "other", SITE, 1);
	add(&w, "default", 5 * SEC, 0);
	sort(&w, "gmail", "");
	assert_string_equal(world_delivery(&w, 1).site, SITE);
	assert_string_equal(world_delivery(&w, 2).provider, "gmail");
	assert_true(has_lane(&w, "ip-a/other:" SITE));
	world_end(&w);
}

static void
no_answer_lets_them_go(void **state)
{
	struct world w;
	struct plan p;

	(void)state;
	start(&w);
	add(&w, "default", 5 * SEC, 0);
	add(&w, "default", 0, 0);
	/* Nobody was to be waited for with this one. */
	assert_string_equal(world_dispatch(&w, 2).lane, "ip-a/other:" SITE);
	p = world_wait(&w, GATE_RETRY);
	assert_int_equal(p.due_us, w.now_us + 5 * SEC);
	w.now_us += 5 * SEC;
	world_dispatch(&w, 1);
	world_end(&w);
}

static void
the_site_itself_releases_them(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	add(&w, "default", 5 * SEC, 0);
	add(&w, "default", 5 * SEC, 0);
	sort(&w, "other", SITE);
	world_dispatch(&w, 1);
	world_dispatch(&w, 2);
	world_end(&w);
}

static void
a_retry_keeps_its_time(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	add(&w, "default", 5 * SEC, w.now_us + 300 * SEC);
	sort(&w, "gmail", "");
	assert_int_equal(world_wait(&w, GATE_RETRY).due_us,
	    w.now_us + 300 * SEC);
	assert_string_equal(world_delivery(&w, 1).provider, "gmail");
	world_end(&w);
}

static void
in_flight_ones_move_when_they_come_back(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	for (int i = 0; i < 4; i++)
		add(&w, "default", 0, 0);
	for (uint64_t i = 1; i <= 4; i++)
		world_dispatch(&w, i);
	sort(&w, "gmail", "");
	world_retry(&w, 1, 1);
	world_unuse(&w, 2);
	world_done(&w, 3, 1);
	assert_string_equal(world_delivery(&w, 1).provider, "gmail");
	assert_string_equal(world_dispatch(&w, 2).lane, "ip-a/gmail");
	assert_string_equal(world_delivery(&w, 4).provider, "other");
	world_done(&w, 4, 1);
	world_end(&w);
}

struct taken {
	uint64_t v[8];
	size_t n;
};

static void
take(uint64_t message, uint32_t number, uint32_t n_pending, void *arg)
{
	struct taken *t = arg;

	assert_int_equal(number, 0);
	assert_int_equal(n_pending, 1);
	t->v[t->n++] = message;
}

static void
what_can_go_nowhere_is_taken_out(void **state)
{
	struct taken t = { .n = 0 };
	struct sched_totals totals;
	struct world w;

	(void)state;
	start(&w);
	sched_unsorted_take(w.s, SITE, w.now_us, take, &t); /* nobody */
	add(&w, "default", 0, 0);
	world_dispatch(&w, 1); /* too late for this one */
	add(&w, "default", 5 * SEC, 0);
	add(&w, "news", 0, 0);
	add(&w, "default", 5 * SEC, w.now_us + 60 * SEC);
	world_add_site(&w, "default", "other", SITE, 1); /* another's */
	sched_unsorted_take(w.s, SITE, w.now_us, take, &t);
	sched_check(w.s);
	assert_int_equal(t.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(t.v[i], i + 2);
	sched_totals(w.s, &totals);
	assert_int_equal(totals.n_deliveries, 2);
	world_end(&w);
}

/* Domains that don't exist are as dirty as unknown users; each stream answers
 * for its own. */
static void
domains_that_take_no_mail_make_a_list_dirty(void **state)
{
	struct taken t = { .n = 0 };
	struct world w;
	uint64_t news;

	(void)state;
	memset(&w, 0, sizeof(w));
	fixture_init(&w.f);
	fixture_provider(&w.f, "gmail");
	fixture_route(&w.f, "ip-a", 100);
	fixture_stream(&w.f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	fixture_stream(&w.f, "news", PRIORITY_NORMAL, 1, "ip-a", NULL);
	w.f.conf.list_health = (struct conf_list_health){
		.is_given = true,
		.bounced_permille = 80,
		.sample = 4,
	};
	world_start(&w);
	for (int i = 0; i < 3; i++)
		add(&w, "news", 5 * SEC, 0);
	add(&w, "default", 5 * SEC, 0);
	sched_unsorted_take(w.s, SITE, w.now_us, take, &t);
	assert_int_equal(t.n, 4);
	sched_check(w.s);
	/* One more, of a domain that was known by then. */
	sched_unroutable(w.s, "news", 1, w.now_us);
	news = world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, world_add(&w, "default", "gmail", 1));
	assert_int_equal(world_plan(&w).kind, PLAN_WAIT);
	assert_int_equal(world_lane(&w, "ip-a/gmail").gate, GATE_LIST_HEALTH);
	world_resume(&w, PAUSE_STREAM, "news");
	world_dispatch(&w, news);
	sched_check(w.s);
	world_end(&w);
}

/* Any order of events leaves everything where it says it is. */
static void
random_life(void **state)
{
	uint64_t seed = 20261125;
	struct rng rng = { seed };
	uint64_t in_flight[1000];
	size_t n = 0;
	struct world w;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	start(&w);
	for (int i = 0; i < 600; i++) {
		struct plan p;

		w.now_us += (int64_t)rng_below(&rng, 2 * SEC);
		switch (rng_below(&rng, 8)) {
		case 0:
			sort(&w, "gmail", "");
			break;
		case 1:
			sort(&w, "other", rng_below(&rng, 2) ? SITE : "b.test");
			break;
		case 2:
		case 3:
			p = world_plan(&w);
			if (p.kind == PLAN_DISPATCH)
				in_flight[n++] = p.message;
			break;
		case 4:
		case 5:
			if (n == 0)
				break;
			n--;
			if (rng_below(&rng, 2))
				world_unuse(&w, in_flight[n]);
			else if (rng_below(&rng, 2))
				world_done(&w, in_flight[n], 1);
			else
				world_retry(&w, in_flight[n], 1);
			break;
		default:
			add(&w, rng_below(&rng, 2) ? "news" : "default",
			    (int64_t)rng_below(&rng, 3 * SEC), 0);
		}
	}
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    they_wait_and_leave_by_the_right_lane_in_order),
		cmocka_unit_test(they_join_a_site),
		cmocka_unit_test(what_belongs_there_stays),
		cmocka_unit_test(no_answer_lets_them_go),
		cmocka_unit_test(the_site_itself_releases_them),
		cmocka_unit_test(a_retry_keeps_its_time),
		cmocka_unit_test(in_flight_ones_move_when_they_come_back),
		cmocka_unit_test(what_can_go_nowhere_is_taken_out),
		cmocka_unit_test(domains_that_take_no_mail_make_a_list_dirty),
		cmocka_unit_test(random_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
