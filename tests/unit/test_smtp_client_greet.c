/* SPDX-License-Identifier: ISC */
/* Greetings, TLS policies and AUTH: who gets to READY, and who is told what. */
#include "client_world.h"

/* ---- the greeting ---- */

struct greet_row {
	const char *name;
	const char *caps;
	const char *script;
	enum conf_route_tls tls;
	const char *user; /* NULL: no AUTH */
	const char *host; /* NULL: not this machine */
	bool tls_fails;
	bool is_ready;
	int code;
	enum phase phase;
	const char *refusal; /* contained */
	const char *log;
};

#define TLS  "STARTTLS"
#define AUTH "AUTH PLAIN LOGIN"
#define HERE "127.0.0.1"

static const struct greet_row greet_rows[] = {
	{ .name = "plain", .caps = NONE, .is_ready = true, .log = "|EHLO " },
	{ .name = "no ESMTP",
	    .caps = NULL,
	    .is_ready = true,
	    .log = "|EHLO |HELO " },
	{ .name = "greeting 4xx",
	    .caps = NONE,
	    .script = "CONNECT 450 later",
	    .code = 450,
	    .phase = PHASE_CONNECT,
	    .refusal = "450 later",
	    .log = "|QUIT " },
	{ .name = "greeting 554",
	    .caps = NONE,
	    .script = "CONNECT 554-no\n554 5.7.1 service",
	    .code = 554,
	    .phase = PHASE_CONNECT,
	    .refusal = "554 5.7.1 service",
	    .log = "|QUIT " },
	{ .name = "greeting 421",
	    .caps = NONE,
	    .script = "CONNECT 421 bye!",
	    .code = 421,
	    .phase = PHASE_CONNECT,
	    .refusal = "421 bye" },
	{ .name = "greeting lost",
	    .caps = NONE,
	    .script = "CONNECT !",
	    .phase = PHASE_CONNECT,
	    .refusal = "" },
	{ .name = "not SMTP",
	    .caps = NONE,
	    .script = "CONNECT SSH-2.0-OpenSSH_9.2p1",
	    .phase = PHASE_CONNECT,
	    .refusal = "doesn't speak SMTP" },
	{ .name = "ehlo 421",
	    .caps = NONE,
	    .script = "EHLO 421 busy!",
	    .code = 421,
	    .phase = PHASE_HELO,
	    .refusal = "421 busy",
	    .log = "|EHLO " },
	{ .name = "ehlo 4xx",
	    .caps = NONE,
	    .script = "EHLO 451 4.3.0 later",
	    .code = 451,
	    .phase = PHASE_HELO,
	    .refusal = "451",
	    .log = "|EHLO |QUIT " },
	{ .name = "ehlo 554",
	    .caps = NONE,
	    .script = "EHLO 554 no service",
	    .code = 554,
	    .phase = PHASE_HELO,
	    .refusal = "554" },
	{ .name = "ehlo lost",
	    .caps = NONE,
	    .script = "EHLO !",
	    .phase = PHASE_HELO,
	    .refusal = "" },
	{ .name = "helo refused",
	    .caps = NULL,
	    .script = "HELO 550 who?",
	    .code = 550,
	    .phase = PHASE_HELO,
	    .refusal = "550 who?",
	    .log = "|EHLO |HELO |QUIT " },

	{ .name = "none, offered",
	    .caps = TLS,
	    .is_ready = true,
	    .log = "|EHLO " },
	{ .name = "opportunistic, offered",
	    .caps = TLS,
	    .tls = ROUTE_TLS_OPPORTUNISTIC,
	    .is_ready = true,
	    .log = "|EHLO |STARTTLS |EHLO " },
	{ .name = "opportunistic, not offered",
	    .caps = NONE,
	    .tls = ROUTE_TLS_OPPORTUNISTIC,
	    .is_ready = true,
	    .log = "|EHLO " },
	{ .name = "opportunistic, refused",
	    .caps = TLS,
	    .script = "STARTTLS 454 4.7.0 not now",
	    .tls = ROUTE_TLS_OPPORTUNISTIC,
	    .is_ready = true,
	    .log = "|EHLO |STARTTLS " },
	{ .name = "opportunistic, 421",
	    .caps = TLS,
	    .script = "STARTTLS 421 bye!",
	    .tls = ROUTE_TLS_OPPORTUNISTIC,
	    .code = 421,
	    .phase = PHASE_STARTTLS,
	    .refusal = "421 bye" },
	{ .name = "required, offered",
	    .caps = TLS,
	    .tls = ROUTE_TLS_REQUIRED,
	    .is_ready = true,
	    .log = "|EHLO |STARTTLS |EHLO " },
	{ .name = "required, not offered",
	    .caps = NONE,
	    .tls = ROUTE_TLS_REQUIRED,
	    .phase = PHASE_STARTTLS,
	    .refusal = "doesn't offer STARTTLS",
	    .log = "|EHLO |QUIT " },
	{ .name = "required, no ESMTP",
	    .caps = NULL,
	    .tls = ROUTE_TLS_REQUIRED,
	    .phase = PHASE_STARTTLS,
	    .refusal = "doesn't offer STARTTLS" },
	{ .name = "required, refused",
	    .caps = TLS,
	    .script = "STARTTLS 454 4.7.0 not now",
	    .tls = ROUTE_TLS_REQUIRED,
	    .code = 454,
	    .phase = PHASE_STARTTLS,
	    .refusal = "454 4.7.0 not now",
	    .log = "|EHLO |STARTTLS |QUIT " },
	{ .name = "verify, bad certificate",
	    .caps = TLS,
	    .tls = ROUTE_TLS_VERIFY,
	    .tls_fails = true,
	    .phase = PHASE_STARTTLS,
	    .refusal = "bad certificate",
	    .log = "|EHLO |STARTTLS " },
	{ .name = "lost at starttls",
	    .caps = TLS,
	    .script = "STARTTLS !",
	    .tls = ROUTE_TLS_REQUIRED,
	    .phase = PHASE_STARTTLS,
	    .refusal = "" },
	{ .name = "2nd ehlo refused",
	    .caps = TLS,
	    .script = "EHLO 250-x\n250 STARTTLS;EHLO 451 no",
	    .tls = ROUTE_TLS_REQUIRED,
	    .code = 451,
	    .phase = PHASE_HELO,
	    .refusal = "451 no" },

	{ .name = "auth over TLS",
	    .caps = TLS ";" AUTH,
	    .tls = ROUTE_TLS_REQUIRED,
	    .user = "app",
	    .is_ready = true,
	    .log = "|EHLO |STARTTLS |EHLO |AUTH " },
	{ .name = "auth in clear",
	    .caps = AUTH,
	    .user = "app",
	    .phase = PHASE_AUTH,
	    .refusal = "no TLS",
	    .log = "|EHLO |QUIT " },
	{ .name = "auth in clear, TLS refused",
	    .caps = TLS ";" AUTH,
	    .script = "STARTTLS 454 no",
	    .tls = ROUTE_TLS_OPPORTUNISTIC,
	    .user = "app",
	    .phase = PHASE_AUTH,
	    .refusal = "no TLS",
	    .log = "|EHLO |STARTTLS |QUIT " },
	{ .name = "auth on this machine",
	    .caps = AUTH,
	    .user = "app",
	    .host = HERE,
	    .is_ready = true,
	    .log = "|EHLO |AUTH " },
	{ .name = "auth on ::1",
	    .caps = AUTH,
	    .user = "app",
	    .host = "::1",
	    .is_ready = true },
	{ .name = "auth on localhost",
	    .caps = AUTH,
	    .user = "app",
	    .host = "localhost",
	    .is_ready = true },
	{ .name = "not this machine",
	    .caps = AUTH,
	    .user = "app",
	    .host = "128.0.0.1",
	    .phase = PHASE_AUTH,
	    .refusal = "no TLS" },
	{ .name = "auth not offered",
	    .caps = NONE,
	    .user = "app",
	    .host = HERE,
	    .phase = PHASE_AUTH,
	    .refusal = "neither" },
	{ .name = "auth, others offered",
	    .caps = "AUTH GSSAPI CRAM-MD5",
	    .user = "app",
	    .host = HERE,
	    .phase = PHASE_AUTH,
	    .refusal = "neither" },
	{ .name = "auth 535",
	    .caps = AUTH,
	    .script = "AUTH 535 5.7.8 bad credentials",
	    .user = "app",
	    .host = HERE,
	    .code = 535,
	    .phase = PHASE_AUTH,
	    .refusal = "535 5.7.8",
	    .log = "|EHLO |AUTH |QUIT " },
	{ .name = "auth 454",
	    .caps = AUTH,
	    .script = "AUTH 454 4.7.0 later",
	    .user = "app",
	    .host = HERE,
	    .code = 454,
	    .phase = PHASE_AUTH,
	    .refusal = "454 4.7.0" },
	{ .name = "auth 421",
	    .caps = AUTH,
	    .script = "AUTH 421 bye!",
	    .user = "app",
	    .host = HERE,
	    .code = 421,
	    .phase = PHASE_AUTH,
	    .refusal = "421" },
	{ .name = "auth lost",
	    .caps = AUTH,
	    .script = "AUTH !",
	    .user = "app",
	    .host = HERE,
	    .phase = PHASE_AUTH,
	    .refusal = "" },
	{ .name = "auth login",
	    .caps = "AUTH LOGIN",
	    .script = "AUTH 334 VXNlcm5hbWU6;AUTH 334 UGFzc3dvcmQ6",
	    .user = "app",
	    .host = HERE,
	    .is_ready = true },
	{ .name = "auth=login",
	    .caps = "AUTH=LOGIN",
	    .script = "AUTH 334 VXNlcm5hbWU6;AUTH 334 UGFzc3dvcmQ6",
	    .user = "app",
	    .host = HERE,
	    .is_ready = true },
	{ .name = "plain isn't meant, login is",
	    .caps = AUTH,
	    .script = "AUTH 504 5.5.4 no;AUTH 334 x;AUTH 334 x",
	    .user = "app",
	    .host = HERE,
	    .is_ready = true },
	{ .name = "endless challenge",
	    .caps = AUTH,
	    .script = "AUTH 334 x",
	    .user = "app",
	    .host = HERE,
	    .phase = PHASE_AUTH,
	    .refusal = "asks for more" },
	{ .name = "354 to auth",
	    .caps = AUTH,
	    .script = "AUTH 354 x",
	    .user = "app",
	    .host = HERE,
	    .phase = PHASE_AUTH,
	    .refusal = "makes no sense" },
};

static void
check_greeting(const struct greet_row *row, struct world *w)
{
	int code;
	const char *refusal = smtp_client_refusal(w->client, &code);

	assert_int_equal(w->n_done, 0);
	if (w->n_ready != row->is_ready)
		fail_msg("%s: ready %d", row->name, w->n_ready);
	if (row->log != NULL && strcmp(w->peer.log.data, row->log) != 0)
		fail_msg("%s: said %s", row->name, w->peer.log.data);
	if (code != row->code)
		fail_msg("%s: code %d", row->name, code);
	if (row->is_ready) {
		assert_int_equal(smtp_client_state(w->client), CLIENT_READY);
		assert_string_equal(refusal, "");
		return;
	}
	if (strstr(refusal, row->refusal) == NULL ||
	    (*row->refusal == '\0' && *refusal != '\0'))
		fail_msg("%s: refusal '%s'", row->name, refusal);
	assert_int_equal(smtp_client_state(w->client), CLIENT_CLOSED);
	if (smtp_client_phase(w->client) != row->phase)
		fail_msg("%s: at %s", row->name,
		    phase_name(smtp_client_phase(w->client)));
}

static void
every_way_a_greeting_can_end(void **state)
{
	static const enum cut cuts[] = { CUT_NOT, CUT_BYTES, CUT_RANDOM };

	(void)state;
	for (size_t i = 0; i < sizeof(greet_rows) / sizeof(greet_rows[0]);
	     i++) {
		const struct greet_row *row = &greet_rows[i];

		for (size_t j = 0; j < 3; j++) {
			struct world w;

			world_init(&w, row->caps, row->script);
			w.cut = cuts[j];
			w.tls_fails = row->tls_fails;
			w.route.tls = row->tls;
			if (row->host != NULL)
				w.route.next_hop.host = (char *)row->host;
			if (row->user != NULL) {
				w.route.auth.user = (char *)row->user;
				w.route.auth.password = (char *)"secret";
			}
			world_open(&w);
			world_run(&w);
			check_greeting(row, &w);
			world_fini(&w);
		}
	}
}

static void
passwords_go_out_as_the_mechanism_wants(void **state)
{
	char password[600];
	struct world w;

	(void)state;
	world_init(&w, AUTH, "");
	w.route.next_hop.host = (char *)HERE;
	w.route.auth.user = (char *)"app";
	w.route.auth.password = (char *)"secret";
	world_open(&w);
	world_run(&w);
	assert_lines(&w, "EHLO flyball.example\nAUTH PLAIN AGFwcABzZWNyZXQ=\n");
	world_fini(&w);

	world_init(&w, "AUTH LOGIN", "AUTH 334 x;AUTH 334 x");
	w.route.next_hop.host = (char *)HERE;
	w.route.auth.user = (char *)"app";
	w.route.auth.password = (char *)"secret";
	world_open(&w);
	world_run(&w);
	assert_lines(&w, "EHLO flyball.example\nAUTH LOGIN\nYXBw\nc2VjcmV0\n");
	world_fini(&w);

	/* Too long for the command: behind a 334. */
	memset(password, 'p', sizeof(password) - 1);
	password[sizeof(password) - 1] = '\0';
	world_init(&w, AUTH, "AUTH 334 ");
	w.route.next_hop.host = (char *)HERE;
	w.route.auth.user = (char *)"app";
	w.route.auth.password = password;
	world_open(&w);
	world_run(&w);
	assert_int_equal(w.n_ready, 1);
	assert_non_null(strstr(w.peer.lines.data, "\nAUTH PLAIN\nAGFwc"));
	world_fini(&w);
}

/* RFC 3207: what came in clear before or behind the 220 doesn't count. */
static void
nothing_in_clear_survives_starttls(void **state)
{
	static const char injected[] = "220 go\r\n250 injected\r\n"
				       "250-more\r\n250 AUTH PLAIN\r\n";
	struct world w;

	(void)state;
	world_init(&w, TLS ";CHUNKING;PIPELINING",
	    "EHLO 250-x\n250-STARTTLS\n250-CHUNKING\n250 PIPELINING;"
	    "EHLO 250 nothing");
	w.route.tls = ROUTE_TLS_REQUIRED;
	world_open(&w);
	smtp_client_input(w.client, w.peer.out.data, w.peer.out.len);
	strbuf_reset(&w.peer.out);
	pump_out(&w); /* EHLO */
	smtp_client_input(w.client, w.peer.out.data, w.peer.out.len);
	strbuf_reset(&w.peer.out);
	pump_out(&w); /* STARTTLS */
	smtp_client_input(w.client, injected, sizeof(injected) - 1);
	assert_int_equal(smtp_client_state(w.client), CLIENT_TLS);
	world_run(&w);
	assert_int_equal(w.n_ready, 1);
	assert_true(smtp_client_is_tls(w.client));
	/* PIPELINING was said in clear only. */
	w.peer.caps = NONE;
	world_send(&w);
	assert_log(&w, "after TLS", "MAIL |RCPT |DATA |EOD ");
	world_fini(&w);
}

static void
implicit_tls_needs_no_starttls(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, TLS, "");
	w.route.tls = ROUTE_TLS_VERIFY;
	world_open(&w);
	smtp_client_tls_done(w.client, true, "");
	world_run(&w);
	assert_int_equal(w.n_ready, 1);
	assert_lines(&w, "EHLO flyball.example\n");
	world_fini(&w);

	world_init(&w, TLS, "");
	w.route.tls = ROUTE_TLS_VERIFY;
	world_open(&w);
	smtp_client_tls_done(w.client, false, "expired");
	assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
	assert_int_equal(smtp_client_phase(w.client), PHASE_CONNECT);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_a_greeting_can_end),
		cmocka_unit_test(passwords_go_out_as_the_mechanism_wants),
		cmocka_unit_test(nothing_in_clear_survives_starttls),
		cmocka_unit_test(implicit_tls_needs_no_starttls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
