/* SPDX-License-Identifier: ISC */
/* What was learned survives a restart: every record is written when it changes
 * and nothing else, and what comes back is what was there. */
#include "scheduler/lane_store.h"
#include "scheduler/lessons.h"
#include "tests/unit/sched_world.h"

#define UTC (INT64_C(1764000000) * SEC)

/* The database: records as they would lie on disk. */
#define RECORDS_MAX 64
struct disk {
	char key[RECORDS_MAX][128];
	char value[RECORDS_MAX][512];
	size_t n;
	size_t n_put, n_removed;
};

static void
put(const char *key, const char *value, void *arg)
{
	struct disk *d = arg;
	size_t i = 0;

	while (i < d->n && strcmp(d->key[i], key) != 0)
		i++;
	if (value == NULL) {
		d->n_removed++;
		if (i == d->n)
			return;
		d->n--;
		memmove(d->key[i], d->key[d->n], sizeof(d->key[i]));
		memmove(d->value[i], d->value[d->n], sizeof(d->value[i]));
		return;
	}
	assert_true(i < RECORDS_MAX);
	d->n_put++;
	if (i == d->n)
		d->n++;
	snprintf(d->key[i], sizeof(d->key[i]), "%s", key);
	snprintf(d->value[i], sizeof(d->value[i]), "%s", value);
}

static int64_t
utc(const struct world *w)
{
	return UTC + w->now_us;
}

static void
save(struct world *w, struct disk *d)
{
	d->n_put = d->n_removed = 0;
	lane_store_save(w->s, utc(w), put, d);
}

static const char *
record(const struct disk *d, const char *key)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->key[i], key) == 0)
			return d->value[i];
	return NULL;
}

static void
a_world(struct world *w)
{
	fixture_init(&w->f);
	fixture_rate(&fixture_provider(&w->f, "gmail")->limits, 1000, SEC);
	fixture_rate(&fixture_provider(&w->f, "yahoo")->limits, 1000, SEC);
	fixture_route(&w->f, "ip-a", 20);
	fixture_route(&w->f, "ip-b", 20);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", "ip-b",
	    NULL);
	w->f.conf.adapt = (struct conf_adapt){
		.enabled = true,
		.floor = { 1, 60 * SEC },
		.react = { .decrease_permille = 150, .hold_us = SEC },
		.recover = { .probe_permille = 50, .every_us = SEC / 2 },
		.suspend = { .rejected_permille = 50,
		    .sample = 5,
		    .for_us = 3600 * SEC,
		    .max_us = 86400 * SEC },
	};
	w->f.conf.adapt.given = ~0u;
	world_start(w);
}

/* The process dies; another one starts an hour of real time later, with a
 * monotonic clock that begins anew. */
static void
restart(struct world *w, struct disk *d, int64_t later_us)
{
	int64_t at_us = utc(w) + later_us;

	sched_free(w->s);
	w->s = sched_new(&w->f.conf, 2);
	w->now_us = 5 * SEC;
	sched_clock(w->s, w->now_us);
	for (size_t i = 0; i < d->n; i++)
		assert_int_equal(lane_store_restore(w->s, d->key[i],
				     d->value[i], at_us),
		    0);
	/* From now on utc() counts from there. */
	w->now_us = at_us - UTC;
	sched_check(w->s);
}

static void
settle(struct world *w, const char *provider, enum reply_class class,
    enum blame blame, int code)
{
	uint64_t id = world_add(w, "default", provider, 1);
	struct plan p = world_plan(w);
	struct verdict v = { .message = id,
		.class = class,
		.blame = blame,
		.code = code,
		.reply = "421 4.7.28 slow down" };

	assert_int_equal(p.kind, PLAN_DISPATCH);
	if (class == CLASS_OK)
		v.n_delivered = 1;
	else
		v.n_failed = 1; /* gone either way */
	if (class == CLASS_RATE)
		v.n_rate = 1;
	world_verdict(w, &v);
}

/* 20 a second for two seconds, then a refusal. */
static void
slow_down(struct world *w, const char *provider)
{
	for (int i = 0; i < 40; i++) {
		w->now_us += SEC / 20;
		settle(w, provider, CLASS_OK, BLAME_NOBODY, 250);
	}
	settle(w, provider, CLASS_RATE, BLAME_LANE, 550);
}

static void
a_speed_is_remembered(void **state)
{
	struct disk d = { .n = 0 };
	struct lane_view before, after;
	struct world w;

	(void)state;
	a_world(&w);
	slow_down(&w, "gmail");
	before = world_lane(&w, "ip-a/gmail");
	assert_true(before.adapted.count > 0);
	save(&w, &d);
	assert_int_equal(d.n_put, 1);
	assert_non_null(record(&d, "adapt ip-a/gmail"));
	save(&w, &d);
	assert_int_equal(d.n_put + d.n_removed, 0); /* nothing new */
	restart(&w, &d, 60 * SEC);
	w.now_us = 5 * SEC;
	after = world_lane(&w, "ip-a/gmail");
	assert_int_equal(after.adapted.count, before.adapted.count);
	assert_int_equal(after.adapted.window_us, before.adapted.window_us);
	assert_int_equal(after.failed.count, before.failed.count);
	world_end(&w);
}

/* Free again, with its limit still known: that isn't the same lesson. */
static void
a_lane_that_is_open_again_says_so(void **state)
{
	struct disk d = { .n = 0 };
	char before[300];
	struct world w;

	(void)state;
	a_world(&w);
	slow_down(&w, "gmail");
	save(&w, &d);
	snprintf(before, sizeof(before), "%s", record(&d, "adapt ip-a/gmail"));
	w.f.providers[0].limits.rates.v[0].count = 1;
	sched_reload(w.s, &w.f.conf, w.now_us);
	assert_string_equal(world_lane(&w, "ip-a/gmail").adapt_state, "open");
	save(&w, &d);
	assert_non_null(record(&d, "adapt ip-a/gmail"));
	assert_false(sched_lesson_is_same("adapt ip-a/gmail", before,
	    record(&d, "adapt ip-a/gmail")));
	world_end(&w);
}

static void
what_is_forgotten_is_deleted(void **state)
{
	struct disk d = { .n = 0 };
	struct world w;

	(void)state;
	a_world(&w);
	slow_down(&w, "gmail");
	save(&w, &d);
	assert_int_equal(d.n, 1);
	assert_int_equal(sched_lane_forget(w.s, "ip-a/gmail", w.now_us, NULL),
	    0);
	save(&w, &d);
	assert_int_equal(d.n, 0);
	world_end(&w);
}

static void
a_suspension_goes_on(void **state)
{
	static const struct {
		const char *name;
		int64_t later_us;
		bool is_over;
	} cases[] = {
		{ "a minute later", 60 * SEC, false },
		{ "two hours later", 7200 * SEC, true },
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct disk d = { .n = 0 };
		struct lane_view before, after;
		struct world w;

		printf("%s\n", cases[i].name);
		a_world(&w);
		for (int k = 0; k < 5; k++) {
			w.now_us += SEC;
			settle(&w, "gmail", CLASS_REPUTATION_REJECT, BLAME_LANE,
			    554);
		}
		before = world_lane(&w, "ip-a/gmail");
		assert_true(before.is_suspended);
		save(&w, &d);
		restart(&w, &d, cases[i].later_us);
		w.now_us = 5 * SEC;
		world_add(&w, "default", "gmail", 1);
		after = world_lane(&w, "ip-a/gmail");
		assert_true(after.is_suspended);
		assert_string_equal(after.suspended_because, "rejected");
		if (cases[i].is_over) {
			/* One tries, and the others wait for it. */
			w.now_us++;
			world_add(&w, "default", "gmail", 1);
			assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
			world_wait(&w, GATE_SUSPENDED);
		} else {
			assert_in_range(after.suspended_until_us,
			    w.now_us + 3500 * SEC, w.now_us + 3960 * SEC);
			world_wait(&w, GATE_SUSPENDED);
		}
		world_end(&w);
	}
}

static void
the_operators_words_are_kept(void **state)
{
	struct rate rates[] = { { 5, SEC }, { 100, 3600 * SEC } };
	struct disk d = { .n = 0 };
	struct lane_view l;
	struct world w;

	(void)state;
	a_world(&w);
	slow_down(&w, "yahoo");
	assert_int_equal(sched_rate_override(w.s, "ip-a/gmail", rates, 2,
			     w.now_us + 7200 * SEC, w.now_us, NULL),
	    0);
	assert_int_equal(sched_rate_override(w.s, "ip-b/yahoo", rates, 1,
			     w.now_us + 60 * SEC, w.now_us, NULL),
	    0);
	assert_int_equal(sched_connections_override(w.s, "ip-b/gmail", 3,
			     INT64_MAX, w.now_us, NULL),
	    0);
	world_pause(&w, PAUSE_ROUTE, "ip-b", INT64_MAX);
	world_pause(&w, PAUSE_PROVIDER, "yahoo", w.now_us + 7200 * SEC);
	world_pause(&w, PAUSE_LANE, "ip-a/other:a.example",
	    w.now_us + 60 * SEC);
	save(&w, &d);
	assert_string_equal(record(&d, "pause route ip-b") + 2 +
		strcspn(record(&d, "pause route ip-b") + 2, " "),
	    " -1 a test");
	restart(&w, &d, 3600 * SEC);
	w.now_us = 5 * SEC;
	l = world_lane(&w, "ip-a/gmail");
	assert_true(l.is_overridden);
	assert_int_equal(l.n_rates, 2);
	assert_int_equal(l.rates[0].count, 5);
	assert_int_equal(l.rates[1].window_us, 3600 * SEC);
	assert_in_range(l.override_until_us, w.now_us + 3500 * SEC,
	    w.now_us + 3600 * SEC);
	l = world_lane(&w, "ip-b/gmail");
	assert_true(l.connections_are_overridden);
	assert_int_equal(l.connections_configured, 3);
	l = world_lane(&w, "ip-a/yahoo");
	assert_int_equal(l.gate, GATE_PAUSE);
	assert_string_equal(l.because, "a test");
	assert_true(l.held_since_us <= w.now_us - 3599 * SEC);
	assert_true(l.adapted.count > 0); /* restored beside it */
	/* What was over is deleted at the next save. */
	d.n_removed = 0;
	lane_store_save(w.s, UTC, put, &d);
	assert_null(record(&d, "rate ip-b/yahoo"));
	assert_null(record(&d, "pause lane ip-a/other:a.example"));
	assert_non_null(record(&d, "pause route ip-b"));
	world_end(&w);
}

static void
an_end_is_saved_too(void **state)
{
	struct rate rate = { 5, SEC };
	struct disk d = { .n = 0 };
	struct world w;

	(void)state;
	a_world(&w);
	sched_rate_override(w.s, "ip-a/gmail", &rate, 1, INT64_MAX, w.now_us,
	    NULL);
	world_pause(&w, PAUSE_STREAM, "default", w.now_us + 10 * SEC);
	save(&w, &d);
	assert_int_equal(d.n, 2);
	sched_rate_override(w.s, "ip-a/gmail", NULL, 0, 0, w.now_us, NULL);
	w.now_us += 11 * SEC;
	world_plan(&w);
	save(&w, &d);
	assert_int_equal(d.n, 0);
	/* Ended and begun again between two saves. */
	world_pause(&w, PAUSE_STREAM, "default", INT64_MAX);
	save(&w, &d);
	world_resume(&w, PAUSE_STREAM, "default");
	world_pause(&w, PAUSE_STREAM, "default", INT64_MAX);
	save(&w, &d);
	assert_int_equal(d.n, 1);
	world_end(&w);
}

static void
connections_are_remembered(void **state)
{
	struct disk d = { .n = 0 };
	struct world w;
	int n = 0;

	(void)state;
	a_world(&w);
	for (int i = 0; i < 4; i++)
		world_add(&w, "default", "gmail", 1);
	while (world_plan(&w).kind == PLAN_DISPATCH)
		n++;
	assert_int_equal(n, 4);
	for (uint64_t id = 1; id <= 2; id++) {
		struct verdict v = { .message = id,
			.phase = PHASE_CONNECT,
			.class = CLASS_RATE,
			.blame = BLAME_CONNECTIONS,
			.code = 421,
			.reply = "421 too many connections" };

		sched_refused(w.s, &v, w.now_us);
	}
	save(&w, &d);
	assert_non_null(record(&d, "connections ip-a"));
	restart(&w, &d, SEC);
	w.now_us = 5 * SEC;
	for (int i = 0; i < 4; i++)
		world_add(&w, "default", "gmail", 1);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	world_wait(&w, GATE_ROUTE_CONNECTIONS);
	world_end(&w);
}

static void
bad_records_are_left_out(void **state)
{
	static const struct {
		const char *key, *value;
		int result;
	} cases[] = {
		{ "plan lane ip-a/gmail", "1 2 3", 1 },
		{ "adapted ip-a/gmail", "1", 1 },
		{ "adapt ip-a/gmail", "", -1 },
		{ "adapt ip-a/gmail", "1", -1 },
		{ "adapt ip-a/gmail", "2 0 0 0 0 0 0 0 0 0 0 0 0 0 0", -1 },
		{ "adapt ip-a/gmail", "1 0 0 0 0 0 0 0 0 0 0 0 0 0 0", 0 },
		{ "adapt nowhere/gmail", "1 0 0 0 0 0 0 0 0 0 0 0 0 0 0", 0 },
		{ "adapt ip-a/gmail", "1 9 0 0 0 0 0 0 0 0 0 0 0 0 0", -1 },
		{ "adapt ip-a/gmail", "1 1 0 0 0 0 0 0 0 0 0 0 0 0 0", -1 },
		{ "adapt ip-a/gmail", "1 1 -5 0 0 0 0 0 0 0 0 0 0 0 0", -1 },
		{ "adapt ip-a/gmail", "1 1 5 x 0 0 0 0 0 0 0 0 0 0 0", -1 },
		{ "adapt ip-a/gmail",
		    "1 1 99999999999999999999 0 0 0 0 0 0 0 0 0 0 0 0", -1 },
		{ "rate ip-a/gmail", "1 0 -1 1 5 1000000", 0 },
		{ "rate ip-a/gmail", "1 0 -1 2 5 1000000", -1 },
		{ "rate ip-a/gmail", "1 0 -1 9 5 1000000", -1 },
		{ "rate ip-a/gmail", "1 0 -1 1 5 0", -1 },
		{ "pause route ip-a", "1 0 -1 why not", 0 },
		{ "pause route gone", "1 0 -1 why not", 0 },
		{ "pause road ip-a", "1 0 -1 why not", -1 },
		{ "pause route", "1 0 -1 why not", -1 },
		{ "pause route ip-a", "1 0", -1 },
		{ "connections ip-a", "1 0 5", -1 },
		{ "connections ip-a", "1 3 5", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;

		a_world(&w);
		sched_clock(w.s, w.now_us);
		printf("%s: %s\n", cases[i].key, cases[i].value);
		assert_int_equal(lane_store_restore(w.s, cases[i].key,
				     cases[i].value, UTC),
		    cases[i].result);
		world_end(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_speed_is_remembered),
		cmocka_unit_test(a_lane_that_is_open_again_says_so),
		cmocka_unit_test(what_is_forgotten_is_deleted),
		cmocka_unit_test(a_suspension_goes_on),
		cmocka_unit_test(the_operators_words_are_kept),
		cmocka_unit_test(an_end_is_saved_too),
		cmocka_unit_test(connections_are_remembered),
		cmocka_unit_test(bad_records_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
