/* SPDX-License-Identifier: ISC */
/* Lanes' history: what is counted into which minute, what is given to the
 * spool and when, and that its size has a bound. */
#include "daemon/history.h"

#include "tests/unit/fake_governor.h"

#define T INT64_C(1795572600) /* a whole minute, ten past an hour */

static struct governor g;

static int
start(void **state)
{
	(void)state;
	fake_start(&g);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fake_stop(&g);
	return 0;
}

struct seen {
	struct history_point points[50];
	size_t n;
};

static void
see(const struct history_point *p, void *arg)
{
	struct seen *s = arg;

	assert_true(s->n < 50);
	s->points[s->n++] = *p;
}

static void
answer(const char *lane, enum reply_class class, const char *reply,
    int64_t utc_s)
{
	struct history_answers a = { .reply = reply };

	if (class == CLASS_OK)
		a.n_delivered = 1;
	else
		a.n_deferred = a.n_refused[class] = 1;
	history_answered(g.history, lane, &a, utc_s * SEC);
}

/* The stored points of one kind, as text; facts are given up. */
static size_t
stored(enum history_kind kind, const char *lane, struct seen *out)
{
	struct spool_fact *list = history_take(g.history), *f;
	char prefix[SPOOL_FACT_KEY_MAX];
	size_t len = history_key_prefix(prefix, sizeof(prefix), kind, lane);

	out->n = 0;
	for (f = list; f != NULL; f = f->next)
		if (f->key_len > len && memcmp(f->bytes, prefix, len) == 0)
			assert_int_equal(history_point_parse(f->bytes +
						 f->key_len,
					     f->value_len,
					     &out->points[out->n++]),
			    0);
	spool_facts_free(list);
	return out->n;
}

static void
minutes_are_stored_when_over(void **state)
{
	struct seen s;

	(void)state;
	answer("ip-a/gmail", CLASS_OK, NULL, T + 1);
	answer("ip-a/gmail", CLASS_RATE, "421 slow", T + 59);
	assert_null(history_take(g.history));
	answer("ip-a/gmail", CLASS_OK, NULL, T + 60);
	assert_int_equal(stored(HISTORY_MINUTE, "ip-a/gmail", &s), 1);
	assert_int_equal(s.points[0].utc_s, T);
	assert_int_equal(s.points[0].n_delivered, 1);
	assert_int_equal(s.points[0].n_refused[CLASS_RATE], 1);
	assert_string_equal(s.points[0].reply, "421 slow");
	history_flush(g.history);
	/* The hour holds both minutes. */
	assert_int_equal(stored(HISTORY_HOUR, "ip-a/gmail", &s), 1);
	assert_int_equal(s.points[0].utc_s, T - T % 3600);
	assert_int_equal(s.points[0].n_delivered, 2);
	history_flush(g.history);
	assert_null(history_take(g.history));
}

static void
sweep_closes_what_has_no_more_events(void **state)
{
	struct seen s;
	int64_t now_us = clock_mono_us();

	(void)state;
	history_accepted(g.history, "ip-a/gmail", 3, T * SEC);
	history_tick(g.history, g.s, now_us, (T + 30) * SEC);
	assert_null(history_take(g.history));
	history_tick(g.history, g.s, now_us, (T + 61) * SEC);
	assert_int_equal(stored(HISTORY_MINUTE, "ip-a/gmail", &s), 1);
	assert_int_equal(s.points[0].n_accepted, 3);
	/* Nothing waits, nothing happens: nothing is stored. */
	history_tick(g.history, g.s, now_us, (T + 200) * SEC);
	assert_null(history_take(g.history));
}

static void
queues_are_history_too(void **state)
{
	struct seen s;
	int64_t now_us = clock_mono_us();
	struct err err;

	(void)state;
	fake_add(&g, "gmail", "a@x.test", "b@gmail.com", 0);
	assert_int_equal(sched_pause(g.s, PAUSE_PROVIDER, "gmail", INT64_MAX,
			     "", now_us, &err),
	    0);
	history_tick(g.history, g.s, now_us, T * SEC);
	history_tick(g.history, g.s, now_us, (T + 60) * SEC);
	history_tick(g.history, g.s, now_us, (T + 120) * SEC);
	assert_int_equal(stored(HISTORY_MINUTE, "ip-a/gmail", &s), 2);
	assert_int_equal(s.points[1].utc_s, T + 60);
	assert_int_equal(s.points[1].n_queued, 1);
	assert_int_equal(s.points[1].rate_milli, 20000);
}

static void
reading_tells_what_is_under_way(void **state)
{
	struct seen s = { 0 };

	(void)state;
	answer("ip-a/gmail", CLASS_OK, NULL, T);
	assert_true(history_read(g.history, "ip-a/gmail", HISTORY_MINUTE,
	    T - 60, T + 5, see, &s));
	assert_int_equal(s.n, 1);
	assert_int_equal(s.points[0].n_delivered, 1);
	assert_false(history_read(g.history, "ip-a/nobody", HISTORY_MINUTE, 0,
	    T, see, &s));
	s.n = 0;
	history_read(g.history, "ip-a/gmail", HISTORY_MINUTE, T + 60, T + 70,
	    see, &s);
	assert_int_equal(s.n, 0);
}

static void
a_clock_that_steps_back_begins_anew(void **state)
{
	struct seen s = { 0 };

	(void)state;
	answer("ip-a/gmail", CLASS_OK, NULL, T);
	answer("ip-a/gmail", CLASS_OK, NULL, T - 7200);
	history_read(g.history, "ip-a/gmail", HISTORY_HOUR, 0, T, see, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.points[0].utc_s, T - 7200 - (T - 7200) % 3600);
	assert_int_equal(s.points[0].n_delivered, 1);
}

static void
refusals_are_counted_since_the_start(void **state)
{
	(void)state;
	assert_null(history_refused(g.history, "ip-a/gmail"));
	answer("ip-a/gmail", CLASS_RATE, "x", T);
	answer("ip-a/gmail", CLASS_RATE, "x", T + 100000);
	assert_int_equal(history_refused(g.history, "ip-a/gmail")[CLASS_RATE],
	    2);
}

static void
sites_share_the_rest(void **state)
{
	char lane[64];

	(void)state;
	for (int i = 0; i < HISTORY_SITES_MAX + 50; i++) {
		snprintf(lane, sizeof(lane), "ip-a/other:s%d.test", i);
		answer(lane, CLASS_RATE, "x", T);
	}
	snprintf(lane, sizeof(lane), "ip-a/other:s%d.test", HISTORY_SITES_MAX);
	assert_null(history_refused(g.history, lane));
	assert_int_equal(history_refused(g.history,
			     "ip-a/other:(rest)")[CLASS_RATE],
	    50);
	assert_int_equal(history_refused(g.history,
			     "ip-a/other:s0.test")[CLASS_RATE],
	    1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(minutes_are_stored_when_over),
		TEST(sweep_closes_what_has_no_more_events),
		TEST(queues_are_history_too),
		TEST(reading_tells_what_is_under_way),
		TEST(a_clock_that_steps_back_begins_anew),
		TEST(refusals_are_counted_since_the_start),
		TEST(sites_share_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
