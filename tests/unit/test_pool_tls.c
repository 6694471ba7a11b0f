/* SPDX-License-Identifier: ISC */
/* The pool and TLS against real next hops on loopback: policies, trust, what is
 * resumed; and content larger than any buffer, in clear and under TLS. */
#include "pool_route.h"

/* ---- TLS ---- */

static void
tls_policies_hold_on_the_wire(void **state)
{
	static const struct {
		const char *name, *policy, *certificate;
		bool offers, breaks;
		bool is_tls;	     /* of what was delivered */
		const char *refusal; /* NULL: delivered */
		size_t n_sessions;
	} rows[] = {
		{ "none", "none", "good", true, false, false, NULL, 1 },
		{ "opportunistic, good", "opportunistic", "good", true, false,
		    true, NULL, 1 },
		{ "opportunistic, expired", "opportunistic", "expired", true,
		    false, true, NULL, 1 },
		{ "opportunistic, not offered", "opportunistic", "good", false,
		    false, false, NULL, 1 },
		/* Once more, in clear. */
		{ "opportunistic, broken", "opportunistic", "good", true, true,
		    false, NULL, 2 },
		{ "required, good", "required", "good", true, false, true, NULL,
		    1 },
		{ "required, expired", "required", "expired", true, false, true,
		    NULL, 1 },
		{ "required, not offered", "required", "good", false, false,
		    false, "doesn't offer STARTTLS", 1 },
		{ "required, broken", "required", "good", true, true, false,
		    "TLS failed", 1 },
		{ "verify, good", "verify", "good", true, false, true, NULL,
		    1 },
		{ "verify, expired", "verify", "expired", true, false, false,
		    "certificate has expired", 1 },
		{ "verify, other name", "verify", "other", true, false, false,
		    "IP address mismatch", 1 },
		{ "verify, not offered", "verify", "good", false, false, false,
		    "doesn't offer STARTTLS", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		char *text;
		struct err err;

		world_open(&w, "");
		server_use_tls(&w.server, &pki, rows[i].certificate);
		w.server.caps =
		    rows[i].offers ? "STARTTLS;PIPELINING" : "PIPELINING";
		w.server.breaks_tls = rows[i].breaks;
		text = xasprintf("  r: {next_hop: \"%s\", tls: %s, "
				 "tls_ca: \"%s\"}\n",
		    w.server.where, rows[i].policy,
		    tls_file(&pki, "ca", ".pem"));
		conf_unref(w.conf);
		w.conf = make_conf(text);
		free(text);
		assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
		send_one(&w);
		if (w.job.job.is_unused != (rows[i].refusal != NULL))
			fail_msg("%s: unused %d", rows[i].name,
			    w.job.job.is_unused);
		if (rows[i].refusal != NULL) {
			if (strstr(w.job.job.refusal, rows[i].refusal) == NULL)
				fail_msg("%s: %s", rows[i].name,
				    w.job.job.refusal);
			assert_true(w.job.job.is_unreachable);
			assert_int_equal(w.job.job.refusal_phase,
			    PHASE_STARTTLS);
			assert_int_equal(server_n_taken(&w.server), 0);
		} else {
			assert_int_equal(w.job.result.fate, FATE_DELIVERED);
			assert_int_equal(w.job.job.is_tls, rows[i].is_tls);
		}
		if (w.server.n_sessions != rows[i].n_sessions)
			fail_msg("%s: %zu sessions", rows[i].name,
			    w.server.n_sessions);
		world_close(&w);
	}
}

static void
tls_route(struct world *w, const char *more)
{
	char *text = xasprintf("  r: {next_hop: \"%s\", tls: verify, "
			       "tls_ca: \"%s\"%s}\n",
	    w->server.where, tls_file(&pki, "ca", ".pem"), more);
	struct err err;

	conf_unref(w->conf);
	w->conf = make_conf(text);
	free(text);
	assert_int_equal(pool_configure(w->pool, w->conf, &err), 0);
}

static void
tls_sessions_are_resumed_by_the_next_connection(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "");
	server_use_tls(&w.server, &pki, "good");
	w.server.caps = "STARTTLS;PIPELINING";
	tls_route(&w, "");
	for (int i = 0; i < 4; i++) {
		job_fini(&w.job);
		job_init(&w.job);
		w.job.job.messages_per_connection = 1;
		pool_send(w.pool, 0, &w.job.job);
		run_until(base, w.job.n_done == 1);
		assert_int_equal(w.job.result.fate, FATE_DELIVERED);
	}
	assert_int_equal(w.server.n_sessions, 4);
	assert_int_equal(w.server.n_resumed, 3);
	world_close(&w);
}

/* The file's name says nothing of what is in it. */
static void
a_reload_reads_trust_that_changed(void **state)
{
	struct pki other;
	struct world w;
	char *path, *text;
	struct err err;

	(void)state;
	tls_init(&other);
	path = tls_path(&pki, "trust", ".pem");
	world_open(&w, "");
	server_use_tls(&w.server, &pki, "good");
	w.server.caps = "STARTTLS;PIPELINING";
	text =
	    xasprintf("  r: {next_hop: \"%s\", tls: verify, tls_ca: \"%s\"}\n",
		w.server.where, path);
	conf_unref(w.conf);
	tls_write(path, NULL, pki.ca);
	w.conf = make_conf(text);
	free(text);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	/* Written anew, but the same: the connection stays. */
	tls_write(path, NULL, pki.ca);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	assert_int_equal(pool_n_open(w.pool), 1);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_int_equal(w.server.n_sessions, 1);
	/* Who was trusted isn't any more, also not on a connection that is
	 * open. */
	tls_write(path, NULL, other.ca);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	assert_int_equal(pool_n_open(w.pool), 0);
	send_one(&w);
	assert_true(w.job.job.is_unused);
	assert_non_null(strstr(w.job.job.refusal, "certificate"));
	tls_write(path, NULL, pki.ca);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), 0);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	/* One that can't be read fails the reload, and nothing changes. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pool_configure(w.pool, w.conf, &err), -1);
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	world_close(&w);
	tls_fini(&other);
}

static void
port_465_speaks_tls_from_the_first_byte(void **state)
{
	struct world w;
	char address[20];

	(void)state;
	world_open(&w, "");
	server_close(&w.server);
	snprintf(address, sizeof(address), "127.77.%d.%d",
	    1 + getpid() / 200 % 200, 1 + getpid() % 200);
	if (!server_open_at(&w.server, base, address, 465)) {
		print_message("port 465 isn't ours to open\n");
		server_open(&w.server, base);
		world_close(&w);
		skip();
	}
	server_use_tls(&w.server, &pki, "good");
	w.server.is_implicit = true;
	tls_route(&w, ", tls_name: mx.example");
	assert_int_equal(send_one(&w), FATE_DELIVERED);
	assert_true(w.job.job.is_tls);
	assert_false(was_told(&w.server, 0, "STARTTLS"));
	world_close(&w);
}

/* ---- large content ---- */

#define LARGE_LEN 6000000

static ssize_t
read_large(void *arg, uint64_t offset, char *buf, size_t len)
{
	static const char line[] = ".123456789 123456789 123456789 1234567\r\n";

	(void)arg;
	for (size_t i = 0; i < len; i++)
		buf[i] = line[(offset + i) % (sizeof(line) - 1)];
	return (ssize_t)len;
}

static void
large_content_arrives_whole(void **state)
{
	static const char *const caps[] = { "PIPELINING", "PIPELINING;CHUNKING",
		"STARTTLS;PIPELINING;CHUNKING" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct strbuf *taken;
		struct world w;
		char line[40];

		world_open(&w, "");
		server_use_tls(&w.server, &pki, "good");
		w.server.caps = caps[i];
		if (i == 2)
			tls_route(&w, "");
		job_fini(&w.job);
		job_init(&w.job);
		w.job.job.transaction.body = NULL;
		w.job.job.transaction.body_len = LARGE_LEN;
		w.job.job.transaction.body_read = read_large;
		pool_send(w.pool, 0, &w.job.job);
		run_until(base, w.job.n_done == 1);
		assert_int_equal(w.job.result.fate, FATE_DELIVERED);
		taken = &w.server.sessions[0].peer.taken;
		assert_int_equal(taken->len, LARGE_LEN);
		read_large(NULL, 0, line, sizeof(line));
		for (size_t at = 0; at < LARGE_LEN; at += sizeof(line))
			assert_memory_equal(taken->data + at, line,
			    sizeof(line));
		world_close(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_policies_hold_on_the_wire),
		cmocka_unit_test(
		    tls_sessions_are_resumed_by_the_next_connection),
		cmocka_unit_test(a_reload_reads_trust_that_changed),
		cmocka_unit_test(port_465_speaks_tls_from_the_first_byte),
		cmocka_unit_test(large_content_arrives_whole),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
