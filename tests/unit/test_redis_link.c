/* SPDX-License-Identifier: ISC */
/* The link to Redis against a server that does as it is told, on the same loop:
 * logging in, calls and their one answer each, errors, silence. */
#include "tests/unit/redis_link_world.h"

/* ---- logging in ---- */

static void
what_is_said_first(void **state)
{
	struct world w;
	struct redis_view v;

	(void)state;
	world_init(&w, NULL);
	w.conf.password = (char *)(uintptr_t) "open sesame";
	start_link(&w, "redis://us%%40er@127.0.0.1:%u/3", w.redis.port);
	redis_link_view(w.link, &v);
	assert_int_equal(v.state, REDIS_CONNECTING);
	RUN_UNTIL(&w, w.n_up == 1);
	assert_string_equal(w.redis.log.data,
	    "AUTH us@er open sesame\nSELECT 3\nCLIENT SETNAME flyball:n1\n"
	    "INFO\n");
	redis_link_view(w.link, &v);
	assert_int_equal(v.state, REDIS_UP);
	assert_string_equal(v.version, "7.0.15");
	assert_string_equal(v.run_id, "abcdef");
	assert_string_equal(v.reason, "");
	assert_int_equal(w.n_down, 0);
	world_fini(&w);
}

static void
logins_that_are_refused(void **state)
{
	static const struct {
		const char *script, *info, *reason;
		bool is_slow; /* it won't mend itself */
	} cases[] = {
		{ "AUTH -WRONGPASS invalid username-password pair or user is "
		  "disabled.",
		    NULL, "the password is wrong for user default", true },
		{ "AUTH -ERR invalid password", NULL,
		    "the password is wrong for user default", true },
		{ "AUTH -ERR AUTH <password> called without any password "
		  "configured for the default user.",
		    NULL, "wants no password", true },
		{ "SELECT -ERR DB index is out of range", NULL,
		    "can't select the database", true },
		{ "AUTH -;SELECT -NOAUTH Authentication required.", NULL,
		    "wants a password: give cluster.password_file", true },
		{ "CLIENT -DENIED Redis is running in protected mode", NULL,
		    "protected mode", false },
		{ "INFO -ERR max number of clients reached", NULL,
		    "max number of clients", false },
		{ "INFO -LOADING Redis is loading the dataset in memory", NULL,
		    "LOADING", false },
		{ NULL, "redis_version:7.0.15\r\nloading:1\r\n",
		    "still loads its data", false },
		{ NULL, "redis_version:7.0.15\r\nrole:slave\r\n",
		    "is a replica, where nothing can be written", false },
		{ NULL, "redis_mode:cluster\r\n", "is a Redis Cluster", true },
		{ NULL, "redis_mode:sentinel\r\n",
		    "is a Sentinel: write redis-sentinel://", true },
		{ NULL, "redis_version:3.2.1\r\n",
		    "is Redis 3.2.1; at least 5.0", true },
		{ "CLIENT HTTP/1.1 400 Bad Request", NULL,
		    "doesn't speak as a Redis", false },
		{ "AUTH !", NULL, "closed the connection", false },
		{ "INFO ~", NULL, "no answer for 0.2 s", false },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct world w;
		struct redis_view v;

		world_init(&w, cases[i].script);
		w.redis.info = cases[i].info;
		w.conf.password = (char *)(uintptr_t) "p";
		start_link(&w, "redis://127.0.0.1:%u/1", w.redis.port);
		RUN_UNTIL(&w, w.n_down == 1);
		if (strstr(w.reason, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].reason, w.reason);
		assert_int_equal(strncmp(w.reason, "127.0.0.1:", 10), 0);
		redis_link_view(w.link, &v);
		assert_int_equal(v.state, REDIS_WAITING);
		if ((v.due_us - clock_mono_us() > 2000 * MS) !=
		    cases[i].is_slow)
			fail_msg("%s: waits %lld us", cases[i].reason,
			    (long long)(v.due_us - clock_mono_us()));
		world_fini(&w);
	}
}

/* What an ACL keeps from us we do without. */
static void
logins_that_are_good_enough(void **state)
{
	static const struct {
		const char *script, *version;
	} cases[] = {
		{ "CLIENT -NOPERM this user has no permissions", "7.0.15" },
		{ "INFO -NOPERM this user has no permissions", "" },
		{ "INFO -ERR unknown command 'INFO'", "" },
		{ "SCRIPT -NOPERM this user has no permissions", "7.0.15" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct redis_view v;
		struct world w;

		world_init(&w, cases[i].script);
		start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
		redis_link_script(w.link, "s", "return 1");
		RUN_UNTIL(&w, w.n_up == 1);
		redis_link_view(w.link, &v);
		assert_string_equal(v.version, cases[i].version);
		run_for(&w, 20 * MS);
		assert_int_equal(w.n_down, 0);
		world_fini(&w);
	}
}

/* ---- calls ---- */

static void
one_answer_each_in_order(void **state)
{
	struct world w;
	struct redis_script *script;
	struct strbuf wanted = { 0 };

	(void)state;
	world_init(&w, NULL);
	w.redis.knows_scripts = true;
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	script = redis_link_script(w.link, "lease", "return ARGV[1]");
	RUN_UNTIL(&w, w.n_up == 1);
	for (int i = 0; i < 500; i++) {
		char text[12];

		snprintf(text, sizeof(text), "%d", i);
		strbuf_addf(&wanted, "0 %d\n", i);
		call(&w, script, text);
	}
	RUN_UNTIL(&w, w.n_answers == 500);
	assert_string_equal(w.answers.data, wanted.data);
	assert_int_equal(w.redis.n_eval, 0);
	assert_non_null(strstr(w.redis.log.data, "SCRIPT LOAD return ARGV[1]"));
	strbuf_fini(&wanted);
	world_fini(&w);
}

static void
a_server_that_forgot_the_script(void **state)
{
	struct world w;
	struct redis_script *script;

	(void)state;
	world_init(&w, NULL);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	script = redis_link_script(w.link, "lease", "return ARGV[1]");
	RUN_UNTIL(&w, w.n_up == 1);
	call(&w, script, "a");
	call(&w, script, "b");
	RUN_UNTIL(&w, w.n_answers == 2);
	assert_string_equal(w.answers.data, "0 a\n0 b\n");
	assert_int_equal(w.redis.n_evalsha, 2);
	assert_int_equal(w.redis.n_eval, 2);
	world_fini(&w);
}

/* Binary keys and arguments come through, of any length that is allowed. */
static void
arguments_are_bytes(void **state)
{
	char *large = xcalloc(1, REDIS_LINK_CALL_BYTES_MAX + 2);
	const struct {
		struct redis_bytes arg;
		enum redis_outcome outcome;
	} cases[] = {
		{ { "", 0 }, REDIS_ANSWERED },
		{ { NULL, 0 }, REDIS_ANSWERED },
		{ { "a\0b\r\n", 5 }, REDIS_ANSWERED },
		{ { large, REDIS_LINK_CALL_BYTES_MAX - 1 }, REDIS_ANSWERED },
		{ { large, REDIS_LINK_CALL_BYTES_MAX }, REDIS_UNSENT },
	};
	const struct redis_bytes key = { "k", 1 };
	struct world w;
	struct redis_script *script;

	(void)state;
	world_init(&w, NULL);
	w.redis.knows_scripts = true;
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	script = redis_link_script(w.link, "s", "return 1");
	RUN_UNTIL(&w, w.n_up == 1);
	for (size_t i = 0; i < N(cases); i++) {
		w.n_answers = 0;
		redis_link_call(w.link, script, &key, 1, &cases[i].arg, 1,
		    5000 * MS, on_answer, &w);
		RUN_UNTIL(&w, w.n_answers == 1);
		assert_int_equal(w.outcome, cases[i].outcome);
	}
	free(large);
	world_fini(&w);
}

static void
errors_and_what_they_come_to(void **state)
{
	static const struct {
		const char *said;
		enum redis_outcome outcome;
		bool is_down; /* the link looks for its server again */
	} cases[] = {
		{ "-ERR user_script:1: attempt to index nil", REDIS_FAILED,
		    false },
		{ "-OOM command not allowed when used memory > 'maxmemory'.",
		    REDIS_FULL, false },
		{ "-ERR Error running script (call to f_1): @user_script:1: "
		  "@user_script: 1: -OOM command not allowed",
		    REDIS_FULL, false },
		{ "-MISCONF Redis is configured to save RDB snapshots",
		    REDIS_UNSENT, false },
		{ "-BUSY Redis is busy running a script.", REDIS_UNSENT,
		    false },
		{ "-NOREPLICAS Not enough good replicas to write.",
		    REDIS_UNSENT, false },
		{ "-NOPERM this user has no permissions to run the 'evalsha' "
		  "command",
		    REDIS_UNSENT, false },
		{ "-READONLY You can't write against a read only replica.",
		    REDIS_UNSENT, true },
		{ "-ERR Error running script (call to f_1): @user_script:1: "
		  "-READONLY You can't write against a read only replica.",
		    REDIS_UNSENT, true },
		{ "-LOADING Redis is loading the dataset in memory",
		    REDIS_UNSENT, true },
		{ "-MOVED 3999 127.0.0.1:6381", REDIS_UNSENT, true },
		{ "-ASK 3999 127.0.0.1:6381", REDIS_UNSENT, true },
		{ "-BUSYGROUP Consumer Group name already exists", REDIS_FAILED,
		    false },
		{ "!", REDIS_LOST, true },
		{ "?what", REDIS_LOST, true },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		char script[200];
		struct redis_script *s;
		struct world w;

		snprintf(script, sizeof(script), "EVALSHA %s", cases[i].said);
		world_init(&w, script);
		w.redis.knows_scripts = true;
		start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
		s = redis_link_script(w.link, "lease", "return 1");
		RUN_UNTIL(&w, w.n_up == 1);
		call(&w, s, "a");
		RUN_UNTIL(&w, w.n_answers == 1);
		if (w.outcome != cases[i].outcome)
			fail_msg("%s: %d", cases[i].said, w.outcome);
		if (w.outcome != REDIS_LOST)
			assert_int_equal(strncmp(w.text, "lease: ", 7), 0);
		assert_int_equal(w.n_down, cases[i].is_down);
		/* And it goes on. */
		RUN_UNTIL(&w, w.n_up == 1u + cases[i].is_down);
		call(&w, s, "b");
		RUN_UNTIL(&w, w.n_answers == 2);
		assert_int_equal(w.outcome, REDIS_ANSWERED);
		world_fini(&w);
	}
}

static void
calls_while_it_is_down(void **state)
{
	struct world w;
	struct redis_script *s;

	(void)state;
	world_init(&w, NULL);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	s = redis_link_script(w.link, "lease", "return 1");
	call(&w, s, "a"); /* not connected yet */
	RUN_UNTIL(&w, w.n_answers == 1);
	assert_int_equal(w.outcome, REDIS_UNSENT);
	RUN_UNTIL(&w, w.n_up == 1);
	fake_redis_stop(&w.redis);
	RUN_UNTIL(&w, w.n_down == 1);
	call(&w, s, "b");
	assert_int_equal(w.n_answers, 1);
	RUN_UNTIL(&w, w.n_answers == 2);
	assert_int_equal(w.outcome, REDIS_UNSENT);
	assert_int_equal(strncmp(w.text, "127.0.0.1:", 10), 0);
	world_fini(&w);
}

/* The server is stopped: each call has its answer in time, the connection is
 * given up, and what comes late reaches nobody. */
static void
silence(void **state)
{
	struct world w;
	struct redis_script *s;

	(void)state;
	world_init(&w, NULL);
	w.conf.timeout_us = 200 * MS;
	w.redis.knows_scripts = true;
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	s = redis_link_script(w.link, "lease", "return 1");
	RUN_UNTIL(&w, w.n_up == 1);
	run_for(&w, 20 * MS);
	w.redis.is_mute = true;
	for (int i = 0; i < 10; i++)
		call(&w, s, "a");
	RUN_UNTIL(&w, w.n_answers == 10);
	assert_true(w.outcome == REDIS_TIMEOUT || w.outcome == REDIS_LOST);
	assert_true(w.took_us >= 199 * MS);
	RUN_UNTIL(&w, w.n_down == 1);
	assert_non_null(strstr(w.reason, "no answer for 0.2 s"));
	run_for(&w, 300 * MS); /* it connects, and hears nothing */
	assert_int_equal(w.n_up, 1);
	assert_int_equal(w.n_answers, 10);
	w.redis.is_mute = false;
	RUN_UNTIL(&w, w.n_up == 2);
	world_fini(&w);
}

/* A reply that is late, while others come: the connection is good, the call is
 * over, and the replies still belong to their calls. */
static void
one_slow_reply(void **state)
{
	struct world w;
	struct redis_script *s;
	const struct redis_bytes arg = { "slow", 4 };

	(void)state;
	world_init(&w, "EVALSHA ~");
	w.redis.knows_scripts = true;
	w.conf.timeout_us = 2000 * MS;
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	s = redis_link_script(w.link, "lease", "return 1");
	RUN_UNTIL(&w, w.n_up == 1);
	run_for(&w, 20 * MS);
	redis_link_call(w.link, s, NULL, 0, &arg, 1, 50 * MS, on_answer, &w);
	RUN_UNTIL(&w, w.n_answers == 1);
	assert_int_equal(w.outcome, REDIS_TIMEOUT);
	assert_true(w.took_us >= 50 * MS);
	for (int i = 0; i < FAKE_CONNS; i++)
		if (w.redis.conns[i].fd >= 0)
			fake_say(&w.redis.conns[i], ":1");
	call(&w, s, "next");
	RUN_UNTIL(&w, w.n_answers == 2);
	assert_string_equal(w.text, "next");
	assert_int_equal(w.n_down, 0);
	world_fini(&w);
}

static void
too_many_calls(void **state)
{
	struct world w;
	struct redis_script *s;

	(void)state;
	world_init(&w, NULL);
	w.redis.knows_scripts = true;
	w.conf.timeout_us = 20000 * MS;
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	s = redis_link_script(w.link, "lease", "return 1");
	RUN_UNTIL(&w, w.n_up == 1);
	run_for(&w, 20 * MS);
	for (int i = 0; i < REDIS_LINK_CALLS_MAX + 1; i++)
		call(&w, s, "a");
	RUN_UNTIL(&w, w.n_answers == 1);
	assert_int_equal(w.outcome, REDIS_UNSENT);
	assert_string_equal(w.text, "too many calls wait for Redis");
	RUN_UNTIL(&w, w.n_answers == REDIS_LINK_CALLS_MAX + 1);
	assert_int_equal(w.outcome, REDIS_ANSWERED);
	world_fini(&w);
}

/* A caller that asks again at once must not keep the loop for itself. */
static void
ask_again(const struct redis_answer *a, void *arg)
{
	struct world *w = arg;
	const struct redis_bytes word = { "PING", 4 };

	(void)a;
	w->n_answers++;
	redis_link_command(w->link, &word, 1, 0, ask_again, w);
}

static void
a_caller_that_never_gives_up(void **state)
{
	const struct redis_bytes word = { "PING", 4 };
	struct world w;

	(void)state;
	world_init(&w, NULL);
	fake_redis_stop(&w.redis);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	redis_link_command(w.link, &word, 1, 0, ask_again, &w);
	run_for(&w, 50 * MS); /* comes back */
	assert_true(w.n_answers > 1);
	world_fini(&w); /* and this ends */
}

static void
the_end_answers_all(void **state)
{
	struct world w;
	struct redis_script *s;

	(void)state;
	world_init(&w, NULL);
	start_link(&w, "redis://127.0.0.1:%u", w.redis.port);
	s = redis_link_script(w.link, "lease", "return 1");
	call(&w, s, "unsent");
	RUN_UNTIL(&w, w.n_up == 1);
	w.n_answers = 0;
	call(&w, s, "sent");
	redis_link_free(w.link);
	w.link = NULL;
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(w.outcome, REDIS_LOST);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_first),
		cmocka_unit_test(logins_that_are_refused),
		cmocka_unit_test(logins_that_are_good_enough),
		cmocka_unit_test(one_answer_each_in_order),
		cmocka_unit_test(a_server_that_forgot_the_script),
		cmocka_unit_test(arguments_are_bytes),
		cmocka_unit_test(errors_and_what_they_come_to),
		cmocka_unit_test(calls_while_it_is_down),
		cmocka_unit_test(silence),
		cmocka_unit_test(one_slow_reply),
		cmocka_unit_test(too_many_calls),
		cmocka_unit_test(a_caller_that_never_gives_up),
		cmocka_unit_test(the_end_answers_all),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
