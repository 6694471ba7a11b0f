/* SPDX-License-Identifier: ISC */
/*
 * The demonstration provider's model in virtual time: it must hold its limits
 * exactly, as every number of the adaptation is measured against it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "tests/provider/model.h"
#include "tests/provider/voice.h"

#define S INT64_C(1000000)

/* Sends one message to `rcpt` at an instant, on a session that stays open. */
static struct provider_verdict
send_to(struct provider_model *m, struct provider_session *s, const char *rcpt,
    int64_t at_us)
{
	struct provider_verdict v;

	provider_model_mail(m, s, at_us, &v);
	if (v.code != 250)
		return v;
	provider_model_rcpt(m, s, "a@app.test", rcpt, at_us, &v);
	if (v.code != 250)
		return v;
	provider_model_eod(m, s, at_us, &v);
	return v;
}

static struct provider_session
open_session(struct provider_model *m, int64_t at_us)
{
	struct provider_session s;
	struct provider_verdict v;

	provider_model_connect(m, &s, at_us, &v);
	assert_int_equal(v.code, 220);
	return s;
}

/* Tries `per_s` messages a second from..to; returns how many were taken. */
static unsigned
send_steadily(struct provider_model *m, struct provider_session *s,
    double per_s, int64_t from_us, int64_t to_us)
{
	unsigned n = 0;
	char rcpt[40];

	for (unsigned i = 0; i * 1e6 / per_s < (double)(to_us - from_us); i++) {
		int64_t at_us = from_us + (int64_t)(i * 1e6 / per_s);

		snprintf(rcpt, sizeof(rcpt), "u%u@x.test", i);
		n += send_to(m, s, rcpt, at_us).kind == PROVIDER_OK;
	}
	return n;
}

static struct provider_stats
stats(struct provider_model *m, int64_t at_us)
{
	struct provider_stats st;

	provider_model_stats(m, at_us, &st);
	return st;
}

static void
test_no_limit_refuses_nothing(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;

	(void)state;
	provider_spec_init(&spec, "free");
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	assert_int_equal(send_steadily(m, &s, 1000, 0, 5 * S), 5000);
	assert_true(isinf(stats(m, 5 * S).ideal));
	provider_model_free(m);
}

static void
test_rate_is_held_in_every_phase(void **state)
{
	(void)state;
	for (int phase = PROVIDER_MAIL; phase <= PROVIDER_EOD; phase++) {
		struct provider_spec spec;
		struct provider_model *m;
		struct provider_session s;
		struct provider_stats st;

		provider_spec_init(&spec, "steady");
		spec.rate = 20;
		spec.burst = 5;
		spec.rate_phase = (enum provider_phase)phase;
		m = provider_model_new(&spec, 1, 7 * S);
		s = open_session(m, 7 * S);
		/* Three times too fast for ten seconds: burst + 10 x 20. */
		assert_in_range(send_steadily(m, &s, 60, 7 * S, 17 * S), 203,
		    205);
		st = stats(m, 17 * S);
		assert_int_equal(provider_stats_attempts(&st), 600);
		assert_int_equal(provider_stats_violations(&st),
		    st.refused[PROVIDER_RATE]);
		assert_true(fabs(st.ideal - 205) < 0.01);
		/* Not faster than the limit: not one refusal more. */
		provider_model_free(m);
		m = provider_model_new(&spec, 1, 7 * S);
		s = open_session(m, 7 * S);
		assert_int_equal(send_steadily(m, &s, 20, 7 * S, 17 * S), 200);
		provider_model_free(m);
	}
}

static void
test_one_in_five_seconds(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;

	(void)state;
	provider_spec_init(&spec, "slow");
	spec.rate = 0.2;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	assert_int_equal(send_steadily(m, &s, 0.2, 0, 60 * S), 12);
	assert_int_equal(send_to(m, &s, "a@x", 56 * S).kind, PROVIDER_RATE);
	assert_int_equal(send_to(m, &s, "a@x", 61 * S).kind, PROVIDER_OK);
	provider_model_free(m);
}

static void
test_a_dropped_transaction_gives_back(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s, other;
	struct provider_verdict v;

	(void)state;
	provider_spec_init(&spec, "one");
	spec.rate = 0.001;
	spec.burst = 1;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	other = open_session(m, 0);
	provider_model_mail(m, &s, 0, &v);
	assert_int_equal(v.code, 250);
	provider_model_mail(m, &other, 0, &v);
	assert_int_equal(v.kind, PROVIDER_RATE);
	provider_model_disconnect(m, &s, 0);
	assert_int_equal(send_to(m, &other, "b@x", 0).kind, PROVIDER_OK);
	assert_int_equal(stats(m, 0).n_open, 1);
	provider_model_free(m);
}

static void
test_steps_ramp_and_period(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;

	(void)state;
	provider_spec_init(&spec, "drop");
	spec.rate = 100;
	spec.n_steps = 1;
	spec.steps[0].at_us = 20 * S;
	spec.steps[0].factor = 0.1;
	m = provider_model_new(&spec, 1, 0);
	assert_true(fabs(stats(m, 19 * S).limit - 100) < 1e-9);
	assert_true(fabs(stats(m, 20 * S).limit - 10) < 1e-9);
	/* 20 s at 100 and the burst of 100, 40 s at 10. */
	assert_true(fabs(stats(m, 60 * S).ideal - (100 + 2000 + 400)) < 1);
	provider_model_free(m);

	spec.is_ramp = true;
	spec.steps_period_us = 40 * S;
	m = provider_model_new(&spec, 1, 0);
	assert_true(fabs(stats(m, 10 * S).limit - 55) < 1e-9);
	assert_true(fabs(stats(m, 30 * S).limit - 10) < 1e-9);
	assert_true(fabs(stats(m, 40 * S).limit - 100) < 1e-9);
	/* A ramp's area, the flat part, the burst. */
	assert_true(fabs(stats(m, 40 * S).ideal - (100 + 1100 + 200)) < 2);
	provider_model_free(m);
}

static void
test_connections(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s[3], refused;
	struct provider_verdict v;

	(void)state;
	provider_spec_init(&spec, "narrow");
	spec.connections = 3;
	m = provider_model_new(&spec, 1, 0);
	for (int i = 0; i < 3; i++)
		s[i] = open_session(m, 0);
	provider_model_connect(m, &refused, 0, &v);
	assert_int_equal(v.code, 421);
	assert_int_equal(v.kind, PROVIDER_CONNECTIONS);
	assert_int_equal(v.action, PROVIDER_CLOSE);
	provider_model_disconnect(m, &refused, 0);
	assert_int_equal(stats(m, 0).n_open, 3);
	provider_model_disconnect(m, &s[1], 0);
	provider_model_disconnect(m, &s[1], 0); /* twice is once */
	s[1] = open_session(m, 1);
	assert_int_equal(stats(m, 0).n_open, 3);
	provider_model_free(m);
}

static void
test_messages_and_recipients(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;
	struct provider_verdict v;

	(void)state;
	provider_spec_init(&spec, "strict");
	spec.messages_per_connection = 2;
	spec.recipients_per_message = 2;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	provider_model_mail(m, &s, 0, &v);
	provider_model_rcpt(m, &s, "a@b", "1@x", 0, &v);
	provider_model_rcpt(m, &s, "a@b", "2@x", 0, &v);
	assert_int_equal(v.code, 250);
	provider_model_rcpt(m, &s, "a@b", "3@x", 0, &v);
	assert_int_equal(v.code, 452);
	assert_int_equal(v.kind, PROVIDER_TOO_MANY_RCPTS);
	provider_model_eod(m, &s, 0, &v);
	assert_int_equal(v.code, 250);
	assert_int_equal(stats(m, 0).refused[PROVIDER_OK], 2);
	assert_int_equal(send_to(m, &s, "4@x", 0).kind, PROVIDER_OK);
	assert_int_equal(send_to(m, &s, "5@x", 0).kind, PROVIDER_MESSAGES);
	s = open_session(m, 0);
	assert_int_equal(send_to(m, &s, "5@x", 0).kind, PROVIDER_OK);
	provider_model_free(m);
}

static void
test_tolerance_grows_only_for_the_well_behaved(void **state)
{
	static const struct {
		const char *name;
		double a_day; /* tried */
		double after_three_days;
	} cases[] = {
		{ "uses it well", 100, 337.5 },
		{ "never goes over, grows with it", -1, 337.5 },
		{ "hammers", 400, 34.3 },
		{ "idle", 1, 51.2 },
		{ "uses half", 50, 100 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_spec spec;
		struct provider_model *m;
		struct provider_session s;

		provider_spec_init(&spec, cases[i].name);
		spec.day_us = 10 * S;
		spec.tolerance.start = 100;
		m = provider_model_new(&spec, 1, 0);
		s = open_session(m, 0);
		for (int day = 0; day < 3; day++) {
			double n = cases[i].a_day;

			if (n < 0 || n == 100)
				n = stats(m, day * 10 * S).tolerance;
			send_steadily(m, &s, floor(n) / 10, day * 10 * S,
			    (day + 1) * 10 * S - 1);
		}
		if (fabs(stats(m, 30 * S).tolerance -
			cases[i].after_three_days) > 0.1)
			fail_msg("%s: %g", cases[i].name,
			    stats(m, 30 * S).tolerance);
		/* The all-knowing: 100 + 150 + 225. */
		assert_true(stats(m, 30 * S - 1).ideal > 474.9);
		provider_model_free(m);
	}
}

static void
test_hammering_the_day_ends_in_554(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;
	struct provider_stats st;

	(void)state;
	provider_spec_init(&spec, "patience");
	spec.tolerance.start = 100;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	send_steadily(m, &s, 10, 0, 30 * S);
	st = stats(m, 30 * S);
	assert_int_equal(st.refused[PROVIDER_OK], 100);
	assert_int_equal(st.refused[PROVIDER_DAILY], 21);
	assert_int_equal(st.refused[PROVIDER_REPUTATION_REJECT], 179);
	provider_model_free(m);
}

static void
test_reputation_spirals_and_heals(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;
	struct provider_stats st;

	(void)state;
	provider_spec_init(&spec, "spiral");
	spec.rate = 50;
	spec.reputation.is_on = true;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	assert_true(fabs(stats(m, 0).limit - 35) < 1e-9);
	send_steadily(m, &s, 150, 0, 10 * S);
	st = stats(m, 10 * S);
	assert_true(st.reputation < 0.05);
	assert_true(st.refused[PROVIDER_REPUTATION_REJECT] > 100);
	/* Steady and slow: a rise to the full, without a refusal. */
	provider_model_free(m);
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	assert_int_equal(send_steadily(m, &s, 20, 0, 30 * S), 600);
	assert_true(stats(m, 30 * S).reputation > 0.999);
	/* Nobody earns trust by silence. */
	provider_model_free(m);
	m = provider_model_new(&spec, 1, 0);
	assert_true(fabs(stats(m, 300 * S).reputation - 0.7) < 1e-9);
	provider_model_free(m);
}

static void
test_greylist(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;
	unsigned n = 0;

	(void)state;
	provider_spec_init(&spec, "grey");
	spec.greylist.share = 1;
	spec.greylist.delay_us = 3 * S;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	assert_int_equal(send_to(m, &s, "a@x", 0).kind, PROVIDER_GREYLIST);
	assert_int_equal(send_to(m, &s, "a@x", 2 * S).kind, PROVIDER_GREYLIST);
	assert_int_equal(send_to(m, &s, "b@x", 3 * S).kind, PROVIDER_GREYLIST);
	assert_int_equal(send_to(m, &s, "a@x", 3 * S).kind, PROVIDER_OK);
	provider_model_free(m);

	spec.greylist.share = 0.25;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	n = send_steadily(m, &s, 1000, 0, 1 * S);
	assert_in_range(n, 700, 800);
	provider_model_free(m);
}

static void
test_noise_costs_no_token_and_has_its_share(void **state)
{
	struct provider_spec spec;
	struct provider_model *m;
	struct provider_session s;
	struct provider_stats st;

	(void)state;
	provider_spec_init(&spec, "noise");
	spec.noise.unknown_user = 0.1;
	spec.noise.mailbox_full = 0.05;
	spec.noise.content = 0.02;
	spec.noise.system = 0.02;
	spec.demand = 1000;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	send_steadily(m, &s, 1000, 0, 10 * S);
	st = stats(m, 10 * S);
	assert_in_range(st.refused[PROVIDER_UNKNOWN_USER], 900, 1100);
	assert_in_range(st.refused[PROVIDER_MAILBOX_FULL], 400, 500);
	assert_in_range(st.refused[PROVIDER_CONTENT], 120, 220);
	assert_in_range(st.refused[PROVIDER_SYSTEM], 120, 220);
	assert_int_equal(provider_stats_violations(&st), 0);
	/* The best there is: all but those that nobody gets through. */
	assert_true(fabs(st.ideal - 10000 * 0.9 * 0.95 * 0.98) < 1);
	provider_model_free(m);

	spec.rate = 1;
	spec.burst = 1;
	spec.noise.unknown_user = 1;
	m = provider_model_new(&spec, 1, 0);
	s = open_session(m, 0);
	send_steadily(m, &s, 1000, 0, 1 * S);
	assert_int_equal(stats(m, S).refused[PROVIDER_RATE], 0);
	provider_model_free(m);
}

static void
test_outages(void **state)
{
	static const enum provider_action want[] = {
		[PROVIDER_OUTAGE_RESET] = PROVIDER_RESET,
		[PROVIDER_OUTAGE_HANG] = PROVIDER_HANG,
		[PROVIDER_OUTAGE_421] = PROVIDER_CLOSE,
	};

	(void)state;
	for (int how = 0; how < 3; how++) {
		struct provider_spec spec;
		struct provider_model *m;
		struct provider_session s, late;
		struct provider_verdict v;

		provider_spec_init(&spec, "out");
		spec.demand = 10;
		spec.n_outages = 1;
		spec.outages[0].from_us = 10 * S;
		spec.outages[0].to_us = 20 * S;
		spec.outages[0].how = (enum provider_outage)how;
		m = provider_model_new(&spec, 1, 0);
		s = open_session(m, 0);
		assert_int_equal(send_to(m, &s, "a@x", 9 * S).kind,
		    PROVIDER_OK);
		assert_int_equal(send_to(m, &s, "a@x", 10 * S).action,
		    want[how]);
		provider_model_connect(m, &late, 15 * S, &v);
		assert_int_equal(v.action, want[how]);
		assert_true(stats(m, 15 * S).limit == 0);
		/* What waited meanwhile goes at once when it is back. */
		assert_true(fabs(stats(m, 20 * S).ideal - 100) < 1e-6);
		assert_true(fabs(stats(m, 30 * S).ideal - 300) < 1e-6);
		provider_model_free(m);
	}
}

static void
test_same_seed_same_run(void **state)
{
	uint64_t got[2][PROVIDER_KINDS];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct provider_spec spec;
		struct provider_model *m;
		struct provider_session s;
		struct provider_stats st;

		provider_spec_init(&spec, "seeded");
		spec.rate = 100;
		spec.noise.system = 0.1;
		spec.noise.unknown_user = 0.1;
		spec.reputation.is_on = true;
		m = provider_model_new(&spec, 4711, 0);
		s = open_session(m, 0);
		send_steadily(m, &s, 150, 0, 20 * S);
		st = stats(m, 20 * S);
		memcpy(got[i], st.refused, sizeof(got[i]));
		provider_model_free(m);
	}
	assert_memory_equal(got[0], got[1], sizeof(got[0]));
}

static void
test_voices_have_a_word_for_everything(void **state)
{
	const struct provider_voice *voice;

	(void)state;
	for (size_t i = 0; (voice = voice_at(i)) != NULL; i++) {
		assert_ptr_equal(voice_find(voice->name), voice);
		for (int kind = 0; kind < PROVIDER_KINDS; kind++) {
			struct provider_verdict v = { 0 };
			char line[1024];
			size_t len;

			voice_say(voice, (enum provider_kind)kind,
			    "u@example.com", &v);
			len = provider_verdict_format(&v, line, sizeof(line));
			assert_true(v.code >= 250 && v.code < 560);
			assert_true(v.code == 250 || kind != PROVIDER_OK);
			assert_null(strchr(line, '%'));
			assert_memory_equal(line + len - 2, "\r\n", 3);
			for (char *p = line; *p; p = strchr(p, '\n') + 1)
				assert_int_equal(atoi(p), v.code);
		}
	}
	assert_null(voice_find("nobody"));
}

static void
test_replies_of_several_lines(void **state)
{
	struct provider_verdict v = {
		.code = 421, .enhanced = "4.7.28", .text = "one\ntwo\nthree"
	};
	char line[100];

	(void)state;
	provider_verdict_format(&v, line, sizeof(line));
	assert_string_equal(line,
	    "421-4.7.28 one\r\n421-4.7.28 two\r\n421 4.7.28 three\r\n");
	v.enhanced = "";
	provider_verdict_format(&v, line, sizeof(line));
	assert_string_equal(line, "421-one\r\n421-two\r\n421 three\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit_refuses_nothing),
		cmocka_unit_test(test_rate_is_held_in_every_phase),
		cmocka_unit_test(test_one_in_five_seconds),
		cmocka_unit_test(test_a_dropped_transaction_gives_back),
		cmocka_unit_test(test_steps_ramp_and_period),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_messages_and_recipients),
		cmocka_unit_test(
		    test_tolerance_grows_only_for_the_well_behaved),
		cmocka_unit_test(test_hammering_the_day_ends_in_554),
		cmocka_unit_test(test_reputation_spirals_and_heals),
		cmocka_unit_test(test_greylist),
		cmocka_unit_test(test_noise_costs_no_token_and_has_its_share),
		cmocka_unit_test(test_outages),
		cmocka_unit_test(test_same_seed_same_run),
		cmocka_unit_test(test_voices_have_a_word_for_everything),
		cmocka_unit_test(test_replies_of_several_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
