/* SPDX-License-Identifier: ISC */
/* The pool against real next hops on loopback: what is reused and what isn't,
 * and how a job ends when its connection does. */
/* clang-format off */
#include "pool_world.h"
#include "tests/unit/dns_fake.h"
#include "pool_route.h"
/* clang-format on */

/* ---- reuse ---- */

static void
one_connection_serves_many_messages(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(send_one(&w), FATE_DELIVERED);
		assert_string_equal(w.job.job.peer, w.server.where);
		assert_false(w.job.job.is_tls);
		assert_false(w.job.job.is_unused);
		assert_int_equal(pool_n_open(w.pool), 1);
		assert_int_equal(pool_n_busy(w.pool), 0);
	}
	assert_int_equal(w.server.n_sessions, 1);
	assert_int_equal(server_n_taken(&w.server), 5);
	assert_string_equal(w.server.sessions[0].peer.taken.data, HELLO);
	assert_memory_equal(w.server.sessions[0].peer.lines.data,
	    "EHLO flyball.example\n", 21);
	world_close(&w);
}

static void
messages_per_connection_is_kept(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	for (int i = 0; i < 5; i++) {
		job_fini(&w.job);
		job_init(&w.job);
		w.job.job.messages_per_connection = 2;
		pool_send(w.pool, 0, &w.job.job);
		run_until(base, w.job.n_done == 1);
	}
	run_until(base, pool_n_open(w.pool) == 1);
	assert_int_equal(w.server.n_sessions, 3);
	assert_int_equal(w.server.sessions[0].peer.n_taken, 2);
	assert_int_equal(w.server.sessions[1].peer.n_taken, 2);
	assert_int_equal(w.server.sessions[2].peer.n_taken, 1);
	run_until(base, was_told(&w.server, 0, "QUIT"));
	world_close(&w);
}

static void
several_at_once_have_a_connection_each(void **state)
{
	struct test_job jobs[3];
	struct world w;

	(void)state;
	world_open(&w, "");
	for (int turn_no = 0; turn_no < 3; turn_no++) {
		for (int i = 0; i < 3; i++)
			start(&w, &jobs[i]);
		assert_int_equal(pool_n_busy(w.pool), 3);
		for (int i = 0; i < 3; i++) {
			run_until(base, jobs[i].n_done == 1);
			assert_int_equal(jobs[i].result.fate, FATE_DELIVERED);
			job_fini(&jobs[i]);
		}
		run_until(base, pool_n_busy(w.pool) == 0);
		assert_int_equal(pool_n_open(w.pool), 3);
	}
	assert_int_equal(w.server.n_sessions, 3);
	world_close(&w);
}

static void
idle_connections_go_after_their_time(void **state)
{
	_Atomic unsigned n_open = 3; /* another pool's */
	struct world w;

	(void)state;
	world_open(&w, "");
	pool_count_into(w.pool, &n_open);
	route(&w)->idle_timeout_us = 20000;
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(pool_n_open(w.pool), 1);
	assert_int_equal(n_open, 4);
	run_until(base, pool_n_open(w.pool) == 0);
	assert_int_equal(n_open, 3);
	run_until(base, was_told(&w.server, 0, "QUIT"));
	/* And a new one comes when it is needed. */
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(w.server.n_sessions, 2);
	pool_count_into(w.pool, NULL);
	world_close(&w);
}

static void
a_peer_may_close_an_idle_connection(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	stream_free(w.server.sessions[0].stream);
	w.server.sessions[0].stream = NULL;
	run_until(base, pool_n_open(w.pool) == 0);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	world_close(&w);
}

/* It closed just as we began: the message moves on without a word. */
static void
a_stale_connection_costs_no_attempt(void **state)
{
	static const struct {
		const char *script;
		bool moves;
	} rows[] = {
		{ "MAIL 250 ok;MAIL !", true },
		{ "MAIL 250 ok;MAIL 421 4.4.2 idle too long!", true },
		/* It takes so many messages a connection, and no more. */
		{ "MAIL 250 ok;MAIL 421 4.7.0 Max messages per connection "
		  "reached!",
		    true },
		{ "MAIL 250 ok;MAIL 421 4.7.28 unusual rate of mail!", false },
		{ "MAIL 250 ok;MAIL 451 4.3.0 later", false },
		{ "RCPT 250 ok;RCPT !", false },
		{ "MAIL !", false }, /* on a fresh one it means us */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;

		world_open(&w, "");
		w.server.scripts[0] = rows[i].script;
		w.server.scripts[1] = "";
		if (strncmp(rows[i].script, "MAIL !", 6) != 0)
			assert_int_equal(send_one(&w), FATE_DELIVERED);
		assert_int_equal(send_one(&w),
		    rows[i].moves ? FATE_DELIVERED : FATE_DEFERRED);
		assert_int_equal(w.server.n_sessions, rows[i].moves ? 2 : 1);
		world_close(&w);
	}
}

/* With BDAT all of the message is written before the first reply. */
static void
a_stale_connection_is_told_from_a_lost_reply(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	w.server.caps = "PIPELINING;CHUNKING";
	w.server.scripts[0] = "MAIL 250 ok;MAIL !";
	w.server.scripts[1] = "EOD !";
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(send_one(&w), FATE_DEFERRED);
	assert_int_equal(w.server.n_sessions, 2);
	assert_true(w.job.job.transaction.is_lost_reply);
	world_close(&w);
}

/* A delayed acknowledgement is 40 ms, and would come with each. */
static void
no_time_is_lost_between_two_halves_of_an_answer(void **state)
{
	int n_late = 0;
	struct world w;

	(void)state;
	world_open(&w, "");
	w.server.caps = "PIPELINING;CHUNKING";
	w.server.is_piecemeal = true;
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	for (int i = 0; i < 20; i++) {
		int64_t begin_us = clock_mono_us();

		assert_int_equal(send_one(&w), FATE_DELIVERED);
		n_late += clock_mono_us() - begin_us >= 20000;
	}
	assert_in_range(n_late, 0, 10);
	world_close(&w);
}

/* ---- configuration ---- */

static void
a_reload_keeps_what_needn_t_change(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	configure(&w, ", connections: 7, idle_timeout: 10s");
	assert_int_equal(pool_n_open(w.pool), 1);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(w.server.n_sessions, 1);

	configure(&w, ", ehlo: other.example");
	assert_int_equal(pool_n_open(w.pool), 0);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(w.server.n_sessions, 2);
	assert_true(was_told(&w.server, 1, "EHLO other.example\n"));
	world_close(&w);
}

static void
a_busy_connection_ends_its_job_under_the_old_configuration(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	start(&w, &w.job);
	configure(&w, ", ehlo: other.example");
	run_until(base, w.job.n_done == 1);
	assert_int_equal(w.job.result.fate, FATE_DELIVERED);
	assert_true(was_told(&w.server, 0, "EHLO flyball.example\n"));
	run_until(base, pool_n_open(w.pool) == 0);
	world_close(&w);
}

static void
a_reload_that_fails_changes_nothing(void **state)
{
	struct conf *bad;
	struct err err;
	struct world w;
	char *text;

	(void)state;
	world_open(&w, "");
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	text = xasprintf("  r: {next_hop: \"%s\", tls: none}\n"
			 "  s: {next_hop: \"127.0.0.1:25\", tls: verify}\n",
	    w.server.where);
	bad = make_conf(text);
	free(text);
	/* It was there when the file was read. */
	free(bad->routes[1].tls_ca);
	bad->routes[1].tls_ca = xstrdup("/nonexistent.pem");
	assert_int_equal(pool_configure(w.pool, bad, &err), -1);
	assert_non_null(strstr(err.text, "/nonexistent.pem"));
	conf_unref(bad);
	assert_int_equal(pool_find_route(w.pool, "r"), 0);
	assert_int_equal(pool_find_route(w.pool, "s"), -1);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(w.server.n_sessions, 1);
	pool_drain(w.pool);
	world_close(&w);
}

/* ---- ends ---- */

static void
what_never_came_to_mail_is_unused(void **state)
{
	static const struct {
		const char *script;
		bool is_unreachable;
		int code;
		enum phase phase;
		const char *refusal;
	} rows[] = {
		{ "CONNECT 421 4.7.0 too many connections!", false, 421,
		    PHASE_CONNECT, "421 4.7.0 too many connections" },
		{ "CONNECT 554 5.7.1 no", false, 554, PHASE_CONNECT,
		    "554 5.7.1 no" },
		{ "CONNECT !", true, 0, PHASE_CONNECT,
		    "the peer closed the connection" },
		{ "CONNECT HTTP/1.1 400 what", true, 0, PHASE_CONNECT,
		    "the peer doesn't speak SMTP" },
		{ "EHLO 421 busy!", false, 421, PHASE_HELO, "421 busy" },
		{ "EHLO !", true, 0, PHASE_HELO,
		    "the peer closed the connection" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pool_job *job;
		struct world w;

		world_open(&w, "");
		w.server.scripts[0] = rows[i].script;
		send_one(&w);
		job = &w.job.job;
		assert_true(job->is_unused);
		assert_false(job->transaction.is_sent);
		assert_int_equal(job->is_unreachable, rows[i].is_unreachable);
		assert_int_equal(job->refusal_code, rows[i].code);
		assert_int_equal(job->refusal_phase, rows[i].phase);
		assert_string_equal(job->refusal, rows[i].refusal);
		assert_string_equal(job->peer, w.server.where);
		run_until(base, pool_n_open(w.pool) == 0);
		world_close(&w);
	}
}

static void
nobody_there_is_told_with_the_address(void **state)
{
	char *text;
	struct world w;

	(void)state;
	world_open(&w, "");
	close(w.server.fd);
	event_del(&w.server.event);
	w.server.fd = -1;
	send_one(&w);
	text = xasprintf("connect to %s: Connection refused", w.server.where);
	assert_string_equal(w.job.job.refusal, text);
	assert_true(w.job.job.is_unused && w.job.job.is_unreachable);
	assert_int_equal(w.job.job.refusal_code, 0);
	free(text);
	world_close(&w);
}

static void
silence_ends_by_the_phases_timeout(void **state)
{
	static const struct {
		const char *script; /* NULL: no greeting */
		bool is_unused;
		const char *why;
	} rows[] = {
		{ NULL, true, "timed out while waiting for the greeting" },
		{ "EHLO ~", true,
		    "timed out while waiting for the reply to EHLO" },
		{ "MAIL ~", false,
		    "timed out while waiting for the reply to the envelope" },
		{ "EOD ~", false,
		    "the reply to the end of the message was lost, so it may "
		    "arrive twice: timed out while waiting for the reply to "
		    "the message" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t begin_us = clock_mono_us(), *timeouts;
		struct world w;

		world_open(&w, "");
		/* Only the one that is meant is short. */
		timeouts = &route(&w)->timeouts.greeting_us;
		if (i == 1)
			timeouts = &route(&w)->timeouts.command_us;
		if (i == 2)
			timeouts = &route(&w)->timeouts.mail_us;
		if (i == 3)
			timeouts = &route(&w)->timeouts.data_done_us;
		*timeouts = 30000;
		w.server.is_mute = rows[i].script == NULL;
		w.server.scripts[0] = rows[i].script;
		send_one(&w);
		assert_true(clock_mono_us() - begin_us >= 30000);
		assert_int_equal(w.job.job.is_unused, rows[i].is_unused);
		assert_string_equal(rows[i].is_unused ? w.job.job.refusal
						      : w.job.result.reply,
		    rows[i].why);
		assert_int_equal(w.job.job.transaction.is_lost_reply, i == 3);
		run_until(base, pool_n_open(w.pool) == 0);
		world_close(&w);
	}
}

static void
an_aborted_job_ends_once(void **state)
{
	struct test_job jobs[4];
	struct world w;

	(void)state;
	world_open(&w, "");
	w.server.scripts[0] = "MAIL 250 ok;MAIL ~"; /* reused, then silent */
	w.server.scripts[1] = "EOD ~";
	w.server.scripts[2] = "EHLO ~";
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	for (int i = 0; i < 3; i++)
		start(&w, &jobs[i]);
	run_until(base,
	    w.server.n_sessions == 3 && was_told(&w.server, 1, "EOD") &&
		was_told(&w.server, 2, "EHLO"));
	start(&w, &jobs[3]); /* still connecting */
	pool_abort(w.pool);
	assert_int_equal(pool_n_open(w.pool), 0);
	assert_int_equal(pool_n_busy(w.pool), 0);
	for (int i = 0; i < 4; i++)
		run_until(base, jobs[i].n_done == 1);
	turn(base);
	assert_int_equal(jobs[0].result.fate, FATE_DEFERRED);
	assert_string_equal(jobs[0].result.reply, "flyball is stopping");
	assert_true(jobs[1].job.transaction.is_lost_reply);
	assert_true(jobs[2].job.is_unused);
	assert_true(jobs[3].job.is_unused);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(jobs[i].n_done, 1);
		job_fini(&jobs[i]);
	}
	world_close(&w);
}

static void
a_drained_pool_ends_its_jobs_and_quits(void **state)
{
	struct test_job jobs[2];
	struct world w;

	(void)state;
	world_open(&w, "");
	start(&w, &jobs[0]);
	run_until(base, jobs[0].n_done == 1);
	job_fini(&jobs[0]);
	start(&w, &jobs[0]);
	start(&w, &jobs[1]);
	pool_drain(w.pool);
	run_until(base, jobs[0].n_done == 1 && jobs[1].n_done == 1);
	assert_int_equal(jobs[0].result.fate, FATE_DELIVERED);
	assert_int_equal(jobs[1].result.fate, FATE_DELIVERED);
	run_until(base, pool_n_open(w.pool) == 0);
	for (size_t i = 0; i < 2; i++)
		run_until(base, was_told(&w.server, i, "QUIT"));
	job_fini(&jobs[0]);
	job_fini(&jobs[1]);
	world_close(&w);
}

/* ---- addresses ---- */

static void
names_are_resolved_and_their_addresses_tried(void **state)
{
	struct world w;
	struct err err;
	char *text;

	(void)state;
	world_open(&w, "");
	text = xasprintf("  r: {next_hop: \"localhost:%u\", tls: none}\n",
	    ntohs(w.server.at.sin_port));
	conf_unref(w.conf);
	w.conf = make_conf(text);
	free(text);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	/* ::1, where it is in /etc/hosts, refuses. */
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_string_equal(w.job.job.peer, w.server.where);
	world_close(&w);
}

/* A next hop of three hosts, of which two are down, asked for once. */
static void
hosts_that_are_down_are_passed_over(void **state)
{
	struct dns_fake dns;
	struct world w;
	struct err err;
	char *text;

	(void)state;
	world_open(&w, "");
	dns_fake_start(&dns, base);
	dns.n_addresses = 3; /* 127.0.0.1 to 127.0.0.3 */
	pool_use_dns(w.pool, &dns.dns);
	text = xasprintf("  r: {next_hop: \"hop.test:%u\", tls: none, "
			 "idle_timeout: 1ms}\n",
	    ntohs(w.server.at.sin_port));
	conf_unref(w.conf);
	w.conf = make_conf(text);
	free(text);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(send_one(&w), FATE_DELIVERED);
		assert_string_equal(w.job.job.peer, w.server.where);
		run_until(base, pool_n_open(w.pool) == 0);
	}
	assert_int_equal(w.server.n_sessions, 6);
	assert_int_equal(dns.n_asked, 1);
	/* None of them: what the last one said, with its address. */
	dns.last_octet = 7;
	w.server.at.sin_port = 0;
	text = xasprintf("  r: {next_hop: \"down.test:1\", tls: none}\n");
	conf_unref(w.conf);
	w.conf = make_conf(text);
	free(text);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	send_one(&w);
	assert_true(w.job.job.is_unreachable);
	assert_non_null(strstr(w.job.job.refusal, "Connection refused"));
	assert_non_null(strstr(w.job.job.refusal,
	    "connect to down.test:1 at 127.0.0."));
	/* And a name that isn't there. */
	dns.rcode = 3;
	text = xasprintf("  r: {next_hop: \"gone.test:1\", tls: none}\n");
	conf_unref(w.conf);
	w.conf = make_conf(text);
	free(text);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	send_one(&w);
	assert_true(w.job.job.is_unreachable);
	assert_string_equal(w.job.job.refusal,
	    "connect to gone.test:1: no address found: Domain name not "
	    "found");
	dns_fake_end(&dns);
	world_close(&w);
}

static void
the_source_address_is_the_routes(void **state)
{
	struct world w;
	struct err err;
	char *text, seen[INET_ADDRSTRLEN];

	(void)state;
	world_open(&w, ", source: 127.0.0.88");
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	inet_ntop(AF_INET, &w.server.last_client.sin_addr, seen, sizeof(seen));
	assert_string_equal(seen, "127.0.0.88");

	/* From an IPv6 address nobody gets to an IPv4 one; where the next hop
	 * is a name, the configuration can't know. */
	text =
	    xasprintf("  r: {next_hop: \"%s\", tls: none}\n", w.server.where);
	conf_unref(w.conf);
	w.conf = make_conf(text);
	free(text);
	free(route(&w)->source);
	route(&w)->source = xstrdup("::1");
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	send_one(&w);
	assert_true(w.job.job.is_unused && w.job.job.is_unreachable);
	assert_non_null(strstr(w.job.job.refusal, "no address of the family"));
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection_serves_many_messages),
		cmocka_unit_test(messages_per_connection_is_kept),
		cmocka_unit_test(several_at_once_have_a_connection_each),
		cmocka_unit_test(idle_connections_go_after_their_time),
		cmocka_unit_test(a_peer_may_close_an_idle_connection),
		cmocka_unit_test(a_stale_connection_costs_no_attempt),
		cmocka_unit_test(a_stale_connection_is_told_from_a_lost_reply),
		cmocka_unit_test(
		    no_time_is_lost_between_two_halves_of_an_answer),
		cmocka_unit_test(a_reload_keeps_what_needn_t_change),
		cmocka_unit_test(
		    a_busy_connection_ends_its_job_under_the_old_configuration),
		cmocka_unit_test(a_reload_that_fails_changes_nothing),
		cmocka_unit_test(what_never_came_to_mail_is_unused),
		cmocka_unit_test(nobody_there_is_told_with_the_address),
		cmocka_unit_test(silence_ends_by_the_phases_timeout),
		cmocka_unit_test(an_aborted_job_ends_once),
		cmocka_unit_test(a_drained_pool_ends_its_jobs_and_quits),
		cmocka_unit_test(names_are_resolved_and_their_addresses_tried),
		cmocka_unit_test(hosts_that_are_down_are_passed_over),
		cmocka_unit_test(the_source_address_is_the_routes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
