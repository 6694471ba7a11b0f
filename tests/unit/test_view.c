/* SPDX-License-Identifier: ISC */
/* What operators are shown: lanes, queues, totals, and why a lane waits. */
#include "tests/unit/sched_world.h"

static void
a_world(struct world *w)
{
	struct conf_provider *p;

	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	p = fixture_provider(&w->f, "gmail");
	fixture_rate(&p->limits, 20, SEC);
	p->limits.connections = 4;
	fixture_provider(&w->f, "yahoo");
	fixture_route(&w->f, "ip-a", 10);
	fixture_stream(&w->f, "news", PRIORITY_BULK, 1, "ip-a", NULL);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(w);
}

static void
a_lane_shows_its_queue_and_counts(void **state)
{
	struct lane_view l;
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	world_add(&w, "news", "gmail", 3);
	world_add(&w, "default", "gmail", 1);
	world_dispatch(&w, 3);
	w.now_us += SEC;
	world_dispatch(&w, 1);
	world_retry(&w, 3, 1);
	world_done(&w, 1, 1);
	l = world_lane(&w, "ip-a/gmail");
	assert_string_equal(l.route, "ip-a");
	assert_string_equal(l.provider, "gmail");
	assert_string_equal(l.site, "");
	assert_int_equal(l.n_rates, 1);
	assert_int_equal(l.connections, 4);
	assert_int_equal(l.n_queued, 1);
	assert_int_equal(l.n_queued_recipients, 3);
	assert_int_equal(l.n_retrying, 1);
	assert_int_equal(l.n_attempted, 2);
	assert_int_equal(l.n_delivered, 1);
	assert_int_equal(l.n_deferred, 1);
	assert_int_equal(l.last_refusal_code, 450);
	assert_int_equal(l.last_refusal_class, CLASS_GREYLIST);
	assert_int_equal(l.last_refusal_us, w.now_us);
	assert_false(sched_lane_get(w.s, "ip-a/aol", w.now_us, &l));
	world_end(&w);
}

static void
a_lane_shows_what_holds_it(void **state)
{
	struct lane_view l;
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	assert_int_equal(world_lane(&w, "ip-a/gmail").gate, GATE_NONE);
	world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, 1);
	w.now_us += 1000;
	world_wait(&w, GATE_RATE);
	w.now_us += 1000;
	l = world_lane(&w, "ip-a/gmail");
	assert_int_equal(l.gate, GATE_RATE);
	assert_int_equal(l.held_since_us, w.now_us - 1000);
	assert_int_equal(l.due_us, SEC + SEC / 20);
	world_pause(&w, PAUSE_ROUTE, "ip-a", INT64_MAX);
	l = world_lane(&w, "ip-a/gmail");
	assert_int_equal(l.gate, GATE_PAUSE);
	assert_int_equal(l.due_us, INT64_MAX);
	assert_string_equal(l.because, "a test");
	world_end(&w);
}

static void
an_empty_lane_is_held_by_nothing_but_a_pause(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, 1);
	world_done(&w, 1, 1);
	assert_int_equal(world_lane(&w, "ip-a/gmail").gate, GATE_NONE);
	world_pause(&w, PAUSE_PROVIDER, "gmail", INT64_MAX);
	assert_int_equal(world_lane(&w, "ip-a/gmail").gate, GATE_PAUSE);
	world_end(&w);
}

static void
deferred_mail_shows_its_time(void **state)
{
	struct lane_view l;
	struct world w;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "yahoo", 1);
	world_dispatch(&w, 1);
	world_retry(&w, 1, 1);
	l = world_lane(&w, "ip-a/yahoo");
	assert_int_equal(l.gate, GATE_RETRY);
	assert_int_equal(l.due_us, w.now_us + 300 * SEC);
	assert_int_equal(world_delivery(&w, 1).due_us, w.now_us + 300 * SEC);
	world_end(&w);
}

static void
recent_counts_whole_ten_seconds(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	w.now_us = 100 * SEC;
	for (uint64_t i = 1; i <= 7; i++) {
		world_add(&w, "news", "yahoo", 1);
		world_dispatch(&w, i);
		world_done(&w, i, 1);
	}
	assert_int_equal(world_lane(&w, "ip-a/yahoo").recent_per_10s, 0);
	w.now_us = 110 * SEC;
	assert_int_equal(world_lane(&w, "ip-a/yahoo").recent_per_10s, 7);
	w.now_us = 120 * SEC;
	assert_int_equal(world_lane(&w, "ip-a/yahoo").recent_per_10s, 0);
	world_end(&w);
}

static void
first_three(struct world *w, uint64_t seen[3])
{
	struct sched_cursor *c = sched_cursor_new(w->s);
	struct queue_view q;

	for (int i = 0; i < 3; i++) {
		assert_true(sched_cursor_next(c, &q));
		seen[i] = q.message;
	}
	sched_cursor_free(c);
}

static void
the_queue_is_shown_in_order_of_arrival(void **state)
{
	uint64_t seen[3];
	struct sched_totals t;
	struct queue_view q;
	struct world w;

	(void)state;
	a_world(&w);
	w.n_added = 10;
	world_add(&w, "news", "gmail", 1); /* 11 */
	w.n_added = 4;
	world_add(&w, "news", "gmail", 2);    /* 5, restored late */
	world_add(&w, "default", "yahoo", 1); /* 6 */
	w.n_added = 7;
	world_add(&w, "news", "gmail", 1); /* 8 */
	first_three(&w, seen);
	assert_int_equal(seen[0], 5);
	assert_int_equal(seen[1], 6);
	assert_int_equal(seen[2], 8);
	assert_int_equal(sched_n_ahead(w.s, 8, 0), 2);
	assert_int_equal(world_delivery(&w, 5).n_pending, 2);
	assert_false(sched_delivery_get(w.s, 5, 1, &q));
	sched_totals(w.s, &t);
	assert_int_equal(t.n_deliveries, 4);
	assert_int_equal(t.n_recipients, 5);
	assert_int_equal(t.oldest_message, 5);
	assert_int_equal(t.n_lanes, 2);
	world_end(&w);
}

static void
count_lane(const char *name, void *arg)
{
	(void)name;
	(*(int *)arg)++;
}

static void
all_lanes_are_shown(void **state)
{
	struct world w;
	int n = 0;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	world_add_site(&w, "news", "other", "a.example", 1);
	world_add_site(&w, "news", "other", "b.example", 1);
	sched_lane_names_each(w.s, count_lane, &n);
	assert_int_equal(n, 3);
	world_end(&w);
}

/* ---- why ---- */

static const struct gate_view *
find_gate(const struct gate_view *v, size_t n, enum gate gate)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].gate == gate)
			return &v[i];
	fail_msg("no gate %s", gate_name(gate));
	return NULL;
}

static void
why_names_every_gate_the_holding_one_first(void **state)
{
	struct gate_view v[GATE_COUNT];
	struct world w;
	size_t n;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	world_add(&w, "news", "gmail", 1);
	world_dispatch(&w, 1);
	world_wait(&w, GATE_RATE);
	n = sched_why(w.s, "ip-a/gmail", w.now_us, v);
	assert_int_equal(n, 8);
	assert_int_equal(v[0].gate, GATE_RATE);
	assert_false(v[0].is_open);
	assert_int_equal(v[0].until_us, w.now_us + SEC / 20);
	assert_string_equal(v[0].text,
	    "gmail's rate of 20/s is used up; the next recipient may leave "
	    "in 50ms");
	for (size_t i = 1; i < n; i++) {
		assert_true(v[i].is_open);
		assert_int_equal(v[i].since_us, 0);
		assert_true(v[i].text[0] != '\0');
	}
	assert_string_equal(find_gate(v, n, GATE_CONNECTIONS)->text,
	    "lane ip-a/gmail uses 1 of its 4 connections");
	assert_int_equal(sched_why(w.s, "ip-a/aol", w.now_us, v), 0);
	world_end(&w);
}

static void
why_speaks_of_pauses_and_next_hops(void **state)
{
	struct gate_view v[GATE_COUNT];
	struct world w;
	size_t n;

	(void)state;
	a_world(&w);
	world_add(&w, "news", "gmail", 1);
	world_pause(&w, PAUSE_ROUTE, "ip-a", w.now_us + 30 * SEC);
	world_pause(&w, PAUSE_PROVIDER, "gmail", w.now_us + 45 * SEC);
	n = sched_why(w.s, "ip-a/gmail", w.now_us + 500, v);
	assert_int_equal(v[0].gate, GATE_PAUSE);
	assert_int_equal(v[0].since_us, w.now_us);
	assert_string_equal(v[0].text,
	    "provider gmail is paused for another 45s: a test");
	world_resume(&w, PAUSE_ROUTE, "ip-a");
	world_resume(&w, PAUSE_PROVIDER, "gmail");
	world_pause(&w, PAUSE_STREAM, "news", INT64_MAX);
	n = sched_why(w.s, "ip-a/gmail", w.now_us, v);
	assert_string_equal(v[0].text,
	    "stream news is paused until it is resumed: a test");
	world_resume(&w, PAUSE_STREAM, "news");
	sched_route_down(w.s, 0, "connection refused", w.now_us);
	n = sched_why(w.s, "ip-a/gmail", w.now_us, v);
	assert_int_equal(v[0].gate, GATE_NEXT_HOP);
	assert_non_null(strstr(v[0].text,
	    "127.0.0.1:10025 of route ip-a can't be reached; tried again "
	    "in "));
	assert_non_null(strstr(v[0].text, ": connection refused"));
	assert_string_equal(find_gate(v, n, GATE_PAUSE)->text,
	    "nobody has paused it");
	world_end(&w);
}

static void
gates_have_names(void **state)
{
	(void)state;
	for (enum gate g = 0; g < GATE_COUNT; g++)
		assert_non_null(gate_name(g));
	assert_string_equal(gate_name(GATE_NEXT_HOP), "next-hop");
}

static uint64_t
next_of(struct sched_cursor *c)
{
	struct queue_view q;

	return sched_cursor_next(c, &q) ? q.message : 0;
}

static void
a_cursor_passes_what_leaves_and_ends(void **state)
{
	struct sched_cursor *c, *other;
	struct world w;

	(void)state;
	a_world(&w);
	c = sched_cursor_new(w.s);
	assert_int_equal(next_of(c), 0);
	sched_cursor_free(c);
	for (int i = 0; i < 6; i++)
		world_add(&w, "news", "gmail", 1);
	c = sched_cursor_new(w.s);
	other = sched_cursor_new(w.s);
	assert_int_equal(next_of(c), 1);
	assert_true(sched_remove(w.s, 2, 0)); /* the next one */
	assert_true(sched_remove(w.s, 3, 0));
	assert_int_equal(next_of(c), 4);
	assert_true(sched_remove(w.s, 4, 0)); /* the one it just met */
	assert_int_equal(world_add(&w, "news", "gmail", 1), 7);
	assert_int_equal(next_of(c), 5);
	assert_int_equal(next_of(c), 6);
	assert_int_equal(next_of(c), 0); /* 7 came later */
	world_dispatch(&w, 1);
	world_done(&w, 1, 1);
	assert_int_equal(next_of(other), 5);
	assert_true(sched_remove(w.s, 6, 0)); /* its last */
	assert_int_equal(next_of(other), 0);
	assert_int_equal(next_of(other), 0);
	sched_cursor_free(c);
	sched_cursor_free(other);
	world_end(&w);
}

static void
how_many_are_ahead(void **state)
{
	struct world w;

	(void)state;
	a_world(&w);
	for (int i = 0; i < 3; i++)
		world_add(&w, "news", "gmail", 1);
	world_add(&w, "default", "gmail", 1); /* another stream */
	assert_int_equal(sched_n_ahead(w.s, 3, 0), 2);
	assert_int_equal(sched_n_ahead(w.s, 1, 0), 0);
	assert_int_equal(sched_n_ahead(w.s, 4, 0), 0);
	assert_int_equal(sched_n_ahead(w.s, 9, 0), 0);
	world_dispatch(&w, 4);
	w.now_us += SEC;
	world_dispatch(&w, 1);
	assert_int_equal(sched_n_ahead(w.s, 1, 0), 0);
	assert_int_equal(sched_n_ahead(w.s, 3, 0), 1);
	world_done(&w, 1, 1);
	world_retry(&w, 4, 1);
	assert_int_equal(sched_n_ahead(w.s, 4, 0), 0);
	world_end(&w);
}

static void
count_name(const char *name, void *arg)
{
	size_t *n = arg;

	assert_non_null(strchr(name, '/'));
	(*n)++;
}

static void
look_at_override(const struct override_view *o, void *arg)
{
	struct override_view *copy = arg;

	*copy = *o;
}

static void
overrides_are_shown_until_taken_back(void **state)
{
	const struct rate slow = { 5, SEC };
	struct override_view o = { 0 };
	size_t n = 0;
	struct world w;

	(void)state;
	a_world(&w);
	assert_int_equal(sched_rate_override(w.s, "ip-a/gmail", &slow, 1,
			     INT64_MAX, w.now_us, NULL),
	    0);
	sched_lane_names_each(w.s, count_name, &n);
	assert_int_equal(n, 1);
	sched_overrides_each(w.s, look_at_override, &o);
	assert_string_equal(o.lane, "ip-a/gmail");
	assert_int_equal(o.n_rates, 1);
	assert_int_equal(o.rates[0].count, 5);
	assert_int_equal(o.since_us, w.now_us);
	assert_true(o.until_us == INT64_MAX);
	assert_int_equal(sched_rate_override(w.s, "ip-a/gmail", NULL, 0,
			     INT64_MAX, w.now_us, NULL),
	    0);
	o.lane = NULL;
	sched_overrides_each(w.s, look_at_override, &o);
	assert_null(o.lane);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_shows_its_queue_and_counts),
		cmocka_unit_test(a_lane_shows_what_holds_it),
		cmocka_unit_test(an_empty_lane_is_held_by_nothing_but_a_pause),
		cmocka_unit_test(deferred_mail_shows_its_time),
		cmocka_unit_test(recent_counts_whole_ten_seconds),
		cmocka_unit_test(the_queue_is_shown_in_order_of_arrival),
		cmocka_unit_test(all_lanes_are_shown),
		cmocka_unit_test(why_names_every_gate_the_holding_one_first),
		cmocka_unit_test(why_speaks_of_pauses_and_next_hops),
		cmocka_unit_test(gates_have_names),
		cmocka_unit_test(a_cursor_passes_what_leaves_and_ends),
		cmocka_unit_test(how_many_are_ahead),
		cmocka_unit_test(overrides_are_shown_until_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
