/* SPDX-License-Identifier: ISC */
/*
 * Lessons: two schedulers, of which one learns and is told, and the other takes
 * in what the first would have stored. What only drifts says nothing new.
 */
#include "scheduler/lessons.h"

#include "conf/base/xalloc.h"
#include "scheduler/sender.h"
#include "tests/unit/sched_world.h"

#define NOW_UTC INT64_C(1795586069030083)

struct pair {
	struct world a, b;
	char *key, *value; /* of the last record that is a lesson */
	unsigned n;
};

static void
start_one(struct world *w)
{
	fixture_init(&w->f);
	fixture_rate(&fixture_provider(&w->f, "gmail")->limits, 1000, SEC);
	fixture_route(&w->f, "ip-a", 20);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	world_start(w);
}

static void
start(struct pair *p)
{
	*p = (struct pair){ 0 };
	start_one(&p->a);
	start_one(&p->b);
	sched_utc(p->a.s, SEC, NOW_UTC);
	sched_utc(p->b.s, SEC, NOW_UTC + 90 * SEC); /* ahead */
}

static void
end(struct pair *p)
{
	free(p->key);
	free(p->value);
	world_end(&p->a);
	world_end(&p->b);
}

static void
keep(const char *key, const char *value, void *arg)
{
	struct pair *p = arg;

	if (!sched_is_lesson(key))
		return;
	p->n++;
	free(p->key);
	free(p->value);
	p->key = xstrdup(key);
	p->value = xstrdup(value);
}

/* What changed at `from` is told to the other one. */
static void
tell(struct pair *p, struct sched *from, struct sched *to, int64_t shift_us)
{
	char *value;

	p->n = 0;
	sched_save(from, keep, p);
	assert_int_equal(p->n, 1);
	value =
	    p->value != NULL ? sched_lesson_shift(p->value, shift_us) : NULL;
	assert_int_equal(sched_learn(to, p->key, value, SEC), 0);
	free(value);
}

static int64_t pause_until_us;
static unsigned n_pauses;

static void
see_pause(const struct pause_view *v, void *arg)
{
	(void)arg;
	n_pauses++;
	pause_until_us = v->until_us;
}

static void
a_pause_holds_elsewhere_by_the_others_clock(void **state)
{
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(sched_pause(p.a.s, PAUSE_PROVIDER, "gmail", 61 * SEC,
			     "a trial", SEC, NULL),
	    0);
	tell(&p, p.a.s, p.b.s, 90 * SEC);
	n_pauses = 0;
	sched_pauses_each(p.b.s, see_pause, NULL);
	assert_int_equal(n_pauses, 1);
	assert_int_equal(pause_until_us, 61 * SEC);
	/* It comes back as our own record, and says nothing new. */
	{
		char *heard = sched_lesson_shift(p.value, 90 * SEC);

		sched_save(p.b.s, keep, &p);
		assert_true(sched_lesson_is_same(p.key, heard, p.value));
		free(heard);
	}
	assert_int_equal(sched_resume(p.b.s, PAUSE_PROVIDER, "gmail", SEC,
			     NULL),
	    0);
	tell(&p, p.b.s, p.a.s, -90 * SEC);
	n_pauses = 0;
	sched_pauses_each(p.a.s, see_pause, NULL);
	assert_int_equal(n_pauses, 0);
	end(&p);
}

static void
a_rate_by_hand_holds_elsewhere_until_it_is_taken_back(void **state)
{
	struct rate rate = { 7, SEC };
	struct lane_view v;
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(sched_rate_override(p.a.s, "ip-a/gmail", &rate, 1,
			     INT64_MAX, SEC, NULL),
	    0);
	tell(&p, p.a.s, p.b.s, 90 * SEC);
	assert_true(sched_lane_get(p.b.s, "ip-a/gmail", SEC, &v));
	assert_int_equal(v.rates[0].count, 7);
	assert_int_equal(sched_rate_override(p.a.s, "ip-a/gmail", NULL, 0,
			     INT64_MAX, SEC, NULL),
	    0);
	tell(&p, p.a.s, p.b.s, 90 * SEC);
	assert_true(sched_lane_get(p.b.s, "ip-a/gmail", SEC, &v));
	assert_false(v.is_overridden);
	end(&p);
}

static void
only_what_matters_is_another_lesson(void **state)
{
	static const struct {
		const char *key, *a, *b;
		bool is_same;
	} cases[] = {
		{ "pause lane x", "1 1795586069030083 -1 why",
		    "1 1795586069030999 -1 why", true },
		{ "pause lane x", "1 1795586069030083 -1 why",
		    "1 1795586069030083 -1 else", false },
		{ "pause lane x", "1 1795586069030083 -1 why",
		    "1 1795586069030083 1795586099030083 why", false },
		{ "pause lane x", "1 1795586069030083 -1 ", NULL, false },
		{ "pause lane x", NULL, NULL, true },
		/* Its speed, not what it counted, nor its connections. */
		{ "adapt x",
		    "1 1 500 600 590 24 0 1795586069030083 0 0 1 1 0 4 9",
		    "1 2 500 610 600 24 0 1795586969030083 0 0 1 1 0 5 9",
		    true },
		{ "adapt x",
		    "1 1 500 600 590 24 0 1795586069030083 0 0 1 1 0 4 9",
		    "1 1 501 600 590 24 0 1795586069030083 0 0 1 1 0 4 9",
		    false },
		{ "plan lane x",
		    "warm|1 day=5 stage=1 is_held=0 last_sent_utc_us=7",
		    "warm|1 day=6 stage=1 is_held=0 last_sent_utc_us=9", true },
		{ "plan lane x", "warm|1 day=5 stage=1 is_held=0",
		    "warm|1 day=5 stage=2 is_held=0", false },
		{ "sender a/b", "1 2 0 0 0 0 ", "1 3 0 0 0 0 ", true },
		{ "sender a/b", "1 2 0 0 0 0 ",
		    "1 3 1 1 1795586069030083 1795586969030083 auth", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (sched_lesson_is_same(cases[i].key, cases[i].a,
			cases[i].b) != cases[i].is_same)
			fail_msg("case %zu: %s", i, cases[i].key);
}

static void
what_cant_be_read_changes_nothing(void **state)
{
	static const struct {
		const char *key, *value;
	} cases[] = {
		{ "pause lane", "1 2 3" },
		{ "pause moon x", "1 1795586069030083 -1 " },
		{ "pause provider gmail", "1 x" },
		{ "rate ip-a/gmail", "1 1 1 99 1 1" },
		{ "adapt ip-a/gmail", "1 1 1" },
		{ "sender noslash", "1 0 0 0 0 0 " },
		{ "ledger lane ip-a/gmail 5", "1 2" },
		{ "", "" },
	};
	struct pair p;

	(void)state;
	start(&p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (sched_learn(p.a.s, cases[i].key, cases[i].value, SEC) == 0)
			fail_msg("case %zu: %s", i, cases[i].key);
	n_pauses = 0;
	sched_pauses_each(p.a.s, see_pause, NULL);
	assert_int_equal(n_pauses, 0);
	end(&p);
}

/* A sender domain's pause is over at one provider, and goes on at the other. */
static void
one_gate_of_a_sender_ends_by_itself(void **state)
{
	static const char shut[] =
	    "1 0 1 1 1795586069030083 1795589669030083 no DKIM";
	struct sender *sd;
	struct pair p;

	(void)state;
	start(&p);
	assert_int_equal(sched_learn(p.b.s, "sender a.example/gmail", shut,
			     p.b.now_us),
	    0);
	assert_int_equal(sched_learn(p.b.s, "sender a.example/yahoo", shut,
			     p.b.now_us),
	    0);
	assert_int_equal(sched_learn(p.b.s, "sender a.example/gmail", NULL,
			     p.b.now_us),
	    0);
	sd = sender_find(p.b.s, "a.example");
	assert_false(sender_gate_find(sd, "gmail")->is_shut);
	assert_true(sender_gate_find(sd, "yahoo")->is_shut);
	end(&p);
}

static void
instants_alone_are_moved(void **state)
{
	char *text = sched_lesson_shift(
	    "1 1795586069030083 -1 300 until=1795586069030083 at five", SEC);

	(void)state;
	assert_string_equal(text,
	    "1 1795586070030083 -1 300 until=1795586070030083 at five");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pause_holds_elsewhere_by_the_others_clock),
		cmocka_unit_test(
		    a_rate_by_hand_holds_elsewhere_until_it_is_taken_back),
		cmocka_unit_test(only_what_matters_is_another_lesson),
		cmocka_unit_test(what_cant_be_read_changes_nothing),
		cmocka_unit_test(one_gate_of_a_sender_ends_by_itself),
		cmocka_unit_test(instants_alone_are_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
