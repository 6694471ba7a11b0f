/* SPDX-License-Identifier: ISC */
/* The adaptive gates in the scheduler: what slows, what waits, what is told,
 * and that shadow mode holds nothing. */
#include "scheduler/lane_adapt.h"
#include "tests/unit/sched_world.h"

static void
begin(struct world *w)
{
	fixture_init(&w->f);
	for (int i = 0; i < 2; i++) {
		struct conf_provider *p =
		    fixture_provider(&w->f, i == 0 ? "gmail" : "yahoo");

		fixture_rate(&p->limits, 1000, SEC);
		p->limits.burst = 1000;
	}
	fixture_route(&w->f, "ip-a", 50);
	fixture_stream(&w->f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	w->f.conf.adapt = (struct conf_adapt){
		.given = ~0u,
		.enabled = true,
		.floor = { 1, 60 * SEC },
		.react = { .decrease_permille = 150, .hold_us = SEC },
		.recover = { .probe_permille = 50, .every_us = SEC / 2 },
		.suspend = { .rejected_permille = 50,
		    .sample = 5,
		    .for_us = 60 * SEC,
		    .max_us = 600 * SEC },
	};
	world_start(w);
}

static void
answer(struct world *w, uint64_t id, enum reply_class class, enum blame blame,
    int code)
{
	struct verdict v = { .message = id,
		.n_delivered = class == CLASS_OK,
		.n_failed = class != CLASS_OK,
		.phase = PHASE_MAIL,
		.class = class,
		.blame = blame,
		.code = code,
		.reply = "what it said" };

	world_verdict(w, &v);
}

/* One that leaves now and is answered so. */
static void
send_one(struct world *w, const char *provider, enum reply_class class,
    enum blame blame, int code)
{
	uint64_t id = world_add(w, "default", provider, 1);

	world_dispatch(w, id);
	answer(w, id, class, blame, code);
}

/* Two seconds of 40 a second, then it is too fast. */
static void
slow_down(struct world *w)
{
	for (int i = 0; i < 80; i++) {
		w->now_us += SEC / 40;
		send_one(w, "gmail", CLASS_OK, BLAME_NOBODY, 250);
	}
	send_one(w, "gmail", CLASS_RATE, BLAME_LANE, 421);
}

static const struct gate_view *
look(struct world *w, struct gate_view v[GATE_COUNT], enum gate gate)
{
	size_t n = sched_why(w->s, "ip-a/gmail", w->now_us, v);

	for (size_t i = 0; i < n; i++)
		if (v[i].gate == gate)
			return &v[i];
	fail_msg("no gate %s", gate_name(gate));
	return NULL;
}

static void
a_refusal_slows_its_lane_alone(void **state)
{
	struct lane_view l;
	struct world w;

	(void)state;
	begin(&w);
	slow_down(&w);
	l = world_lane(&w, "ip-a/gmail");
	assert_string_equal(l.adapt_state, "holding");
	assert_in_range(l.adapted.count, 28, 36);
	world_add(&w, "default", "gmail", 1);
	assert_in_range(world_wait(&w, GATE_ADAPTED).due_us,
	    w.now_us + SEC / 40, w.now_us + SEC / 10);
	world_dispatch(&w, world_add(&w, "default", "yahoo", 1));
	l = world_lane(&w, "ip-a/yahoo");
	assert_string_equal(l.adapt_state, "open");
	world_end(&w);
}

/* Each class and whom it blames: what slows, and what doesn't. */
static void
only_rate_and_reputation_slow(void **state)
{
	static const struct {
		enum reply_class class;
		enum blame blame;
		int code;
		bool slows;
	} cases[] = {
		{ CLASS_RATE, BLAME_LANE, 421, true },
		{ CLASS_REPUTATION_DEFER, BLAME_LANE, 421, true },
		{ CLASS_RATE, BLAME_RECIPIENT, 450, false },
		{ CLASS_RATE, BLAME_SENDER_DOMAIN, 421, false },
		{ CLASS_REPUTATION_REJECT, BLAME_LANE, 554, false },
		{ CLASS_AUTH, BLAME_SENDER_DOMAIN, 550, false },
		{ CLASS_GREYLIST, BLAME_MESSAGE, 450, false },
		{ CLASS_MAILBOX_FULL, BLAME_RECIPIENT, 452, false },
		{ CLASS_BAD_MAILBOX, BLAME_RECIPIENT, 550, false },
		{ CLASS_BAD_DOMAIN, BLAME_RECIPIENT_DOMAIN, 550, false },
		{ CLASS_CONTENT, BLAME_MESSAGE, 554, false },
		{ CLASS_SYSTEM, BLAME_NEXT_HOP, 451, false },
		{ CLASS_OTHER, BLAME_MESSAGE, 451, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;

		printf("%s, %s\n", reply_class_name(cases[i].class),
		    blame_name(cases[i].blame));
		begin(&w);
		for (int k = 0; k < 80; k++) {
			w.now_us += SEC / 40;
			send_one(&w, "gmail", CLASS_OK, BLAME_NOBODY, 250);
		}
		send_one(&w, "gmail", cases[i].class, cases[i].blame,
		    cases[i].code);
		assert_int_equal(world_lane(&w, "ip-a/gmail").adapted.count > 0,
		    cases[i].slows);
		world_end(&w);
	}
}

static void
every_change_is_told_with_its_evidence(void **state)
{
	struct sched_change c;
	struct world w;
	int n = 0;

	(void)state;
	begin(&w);
	assert_false(sched_change_next(w.s, &c));
	slow_down(&w);
	assert_true(sched_change_next(w.s, &c));
	assert_int_equal(c.kind, CHANGE_RATE);
	assert_string_equal(change_kind_name(c.kind), "rate");
	assert_string_equal(c.lane, "ip-a/gmail");
	assert_string_equal(c.route, "ip-a");
	assert_string_equal(c.provider, "gmail");
	assert_true(rate_is_unlimited(&c.from));
	assert_in_range(c.to.count, 28, 36);
	assert_string_equal(c.state, "holding");
	assert_int_equal(c.code, 421);
	assert_int_equal(c.class, CLASS_RATE);
	assert_string_equal(c.reply, "what it said");
	assert_in_range(c.n_accepted, 38, 46);
	assert_int_equal(c.n_refused, 1);
	assert_in_range(c.over_us, SEC, 2 * SEC);
	assert_false(c.is_shadow);
	assert_false(sched_change_next(w.s, &c));
	/* Time goes by: back up, told without a reply. */
	w.now_us += 2 * SEC;
	world_plan(&w);
	while (sched_change_next(w.s, &c)) {
		assert_string_equal(c.reply, "");
		n++;
	}
	assert_int_equal(n, 1);
	world_end(&w);
}

/* Nobody asks: the newest stay, and how many were lost is said. */
static void
changes_that_nobody_asks_for_are_bounded(void **state)
{
	struct sched_change c = { .n_lost = 0 };
	struct world w;
	unsigned n = 0, n_lost = 0;

	(void)state;
	begin(&w);
	for (int i = 0; i < 1500; i++) {
		slow_down(&w);
		sched_lane_forget(w.s, "ip-a/gmail", w.now_us, NULL);
	}
	while (sched_change_next(w.s, &c)) {
		n++;
		n_lost += c.n_lost;
	}
	assert_int_equal(n, 1024);
	assert_int_equal(n + n_lost, 3000);
	world_end(&w);
}

static void
shadow_decides_and_holds_nothing(void **state)
{
	struct gate_view v[GATE_COUNT];
	struct sched_change c;
	struct lane_view l;
	struct world w;

	(void)state;
	begin(&w);
	w.f.conf.adapt.mode = MODE_SHADOW;
	sched_reload(w.s, &w.f.conf, w.now_us);
	slow_down(&w);
	assert_true(sched_change_next(w.s, &c));
	assert_true(c.is_shadow);
	for (int i = 0; i < 40; i++)
		world_dispatch(&w, world_add(&w, "default", "gmail", 1));
	l = world_lane(&w, "ip-a/gmail");
	assert_true(l.is_shadow);
	assert_in_range(l.n_shadowed, 38, 41);
	assert_true(look(&w, v, GATE_ADAPTED)->is_open);
	assert_non_null(strstr(look(&w, v, GATE_ADAPTED)->text, "shadow"));
	for (uint64_t id = 82; id < 122; id++)
		answer(&w, id, CLASS_REPUTATION_REJECT, BLAME_LANE, 554);
	l = world_lane(&w, "ip-a/gmail");
	assert_true(l.is_suspended); /* it would be */
	world_dispatch(&w, world_add(&w, "default", "gmail", 1));
	world_end(&w);
}

static void
a_suspended_lane_is_tried_by_one_at_a_time(void **state)
{
	struct gate_view v[GATE_COUNT];
	uint64_t id[6];
	struct world w;

	(void)state;
	begin(&w);
	for (int i = 0; i < 5; i++)
		send_one(&w, "gmail", CLASS_REPUTATION_REJECT, BLAME_LANE, 554);
	for (int i = 0; i < 6; i++)
		id[i] = world_add(&w, "default", "gmail", 1);
	w.now_us = world_wait(&w, GATE_SUSPENDED).due_us;
	assert_non_null(strstr(look(&w, v, GATE_SUSPENDED)->text,
	    "rejects our mail for its reputation"));
	for (int i = 0; i < 3; i++) {
		world_dispatch(&w, id[i]);
		world_wait(&w, GATE_SUSPENDED);
		answer(&w, id[i], CLASS_OK, BLAME_NOBODY, 250);
	}
	/* Three went well: it is open again. */
	world_dispatch(&w, id[3]);
	world_dispatch(&w, id[4]);
	assert_true(look(&w, v, GATE_SUSPENDED)->is_open);
	world_end(&w);
}

/* A fresh lane begins with four; what hangs doesn't hold the rest for long. */
static void
a_fresh_lane_begins_with_a_few(void **state)
{
	struct world w;
	int64_t began_us;

	(void)state;
	begin(&w);
	began_us = w.now_us;
	for (int i = 0; i < 30; i++)
		world_add(&w, "default", "gmail", 1);
	for (uint64_t id = 1; id <= 4; id++)
		world_dispatch(&w, id);
	world_wait(&w, GATE_ADAPTED);
	answer(&w, 1, CLASS_OK, BLAME_NOBODY, 250);
	world_dispatch(&w, 5);
	world_dispatch(&w, 6);
	assert_int_equal(world_wait(&w, GATE_ADAPTED).due_us,
	    began_us + 2 * SEC);
	w.now_us = began_us + 2 * SEC;
	for (uint64_t id = 7; id <= 30; id++)
		world_dispatch(&w, id);
	world_end(&w);
}

/* Of twenty at once sixteen aren't let in. */
static void
refuse_connections(struct world *w)
{
	w->now_us += 3 * SEC;
	for (int i = 0; i < 120; i++)
		send_one(w, "gmail", CLASS_OK, BLAME_NOBODY, 250);
	for (int i = 0; i < 20; i++)
		world_dispatch(w, world_add(w, "default", "gmail", 1));
	for (uint64_t id = 125; id <= 140; id++) {
		struct verdict v = { .message = id,
			.phase = PHASE_CONNECT,
			.class = CLASS_RATE,
			.blame = BLAME_CONNECTIONS,
			.code = 421,
			.reply = "421 too many connections" };

		sched_refused(w->s, &v, w->now_us);
		sched_check(w->s);
	}
}

static void
refused_connections_are_fewer_connections(void **state)
{
	struct sched_change c;
	struct lane_view l;
	struct world w;

	(void)state;
	begin(&w);
	refuse_connections(&w);
	world_wait(&w, GATE_ROUTE_CONNECTIONS); /* four are there, and stay */
	l = world_lane(&w, "ip-a/gmail");
	assert_string_equal(l.adapt_state, "open"); /* its speed is as it was */
	assert_int_equal(l.in_flight, 4);
	assert_true(sched_change_next(w.s, &c));
	assert_int_equal(c.kind, CHANGE_CONNECTIONS);
	assert_string_equal(c.lane, "");
	assert_int_equal(c.connections_from, 50);
	assert_int_equal(c.connections_to, 19);
	answer(&w, 121, CLASS_OK, BLAME_NOBODY, 250);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	world_wait(&w, GATE_ROUTE_CONNECTIONS);
	world_end(&w);
}

static void
shadow_keeps_all_connections(void **state)
{
	struct sched_change c;
	struct world w;

	(void)state;
	begin(&w);
	w.f.conf.adapt.mode = MODE_SHADOW;
	sched_reload(w.s, &w.f.conf, w.now_us);
	refuse_connections(&w);
	assert_int_equal(world_plan(&w).kind, PLAN_DISPATCH);
	assert_true(sched_change_next(w.s, &c));
	assert_int_equal(c.kind, CHANGE_CONNECTIONS);
	assert_true(c.is_shadow);
	assert_int_equal(c.connections_from, 50);
	assert_int_equal(c.connections_to, 19); /* it would be */
	world_end(&w);
}

/* One that fails at the banner while others get through is chance; three in a
 * row are a next hop in trouble. */
static void
a_refused_banner_is_chance_until_it_isnt(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	for (uint64_t id = 1; id <= 4; id++)
		world_dispatch(&w, world_add(&w, "default", "gmail", 1));
	for (uint64_t id = 2; id <= 4; id++) {
		struct verdict v = { .message = id,
			.phase = PHASE_CONNECT,
			.class = CLASS_SYSTEM,
			.blame = BLAME_NEXT_HOP,
			.code = 421,
			.reply = "421 4.3.2 maintenance" };

		assert_int_equal(sched_refused(w.s, &v, w.now_us) > w.now_us,
		    id == 4);
	}
	world_wait(&w, GATE_NEXT_HOP);
	world_end(&w);
}

static void
the_operators_rate_is_newer_than_what_was_learned(void **state)
{
	struct rate rate = { 500, SEC };
	struct world w;

	(void)state;
	begin(&w);
	slow_down(&w);
	assert_true(world_lane(&w, "ip-a/gmail").adapted.count > 0);
	sched_rate_override(w.s, "ip-a/gmail", &rate, 1, INT64_MAX, w.now_us,
	    NULL);
	assert_int_equal(world_lane(&w, "ip-a/gmail").adapted.count, 0);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusal_slows_its_lane_alone),
		cmocka_unit_test(only_rate_and_reputation_slow),
		cmocka_unit_test(every_change_is_told_with_its_evidence),
		cmocka_unit_test(changes_that_nobody_asks_for_are_bounded),
		cmocka_unit_test(shadow_decides_and_holds_nothing),
		cmocka_unit_test(a_suspended_lane_is_tried_by_one_at_a_time),
		cmocka_unit_test(a_fresh_lane_begins_with_a_few),
		cmocka_unit_test(refused_connections_are_fewer_connections),
		cmocka_unit_test(shadow_keeps_all_connections),
		cmocka_unit_test(a_refused_banner_is_chance_until_it_isnt),
		cmocka_unit_test(
		    the_operators_rate_is_newer_than_what_was_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
