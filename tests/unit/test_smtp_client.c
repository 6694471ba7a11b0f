/* SPDX-License-Identifier: ISC */
/*
 * The client against scripted peers: one row for each way in which a delivery
 * can end. Each row runs three times, with the peer's bytes in one piece, one
 * by one, and cut at random: the outcome must be the same.
 */
#include "sink/smtp_client.h"

#include "scripted_peer.h"

#include "conf/base/rng.h"

#define SEED  20261125
#define HELLO "Subject: hello\r\n\r\n.dot\r\nhello\r\n"

enum cut { CUT_NOT, CUT_BYTES, CUT_RANDOM };

struct world {
	struct peer peer;
	struct conf_route route;
	struct smtp_client *client;
	struct envelope envelope;
	struct recipient recipients[40];
	struct rcpt_result results[40];
	struct transaction t;
	struct rng rng;
	enum cut cut;
	bool tls_fails;
	bool wants_tls;
	int n_ready, n_done, n_close;
	size_t biggest_out;
};

/* ---- the client's callbacks ---- */

static void
on_start_tls(void *arg)
{
	((struct world *)arg)->wants_tls = true;
}

static void
on_ready(void *arg)
{
	((struct world *)arg)->n_ready++;
}

static void
on_done(void *arg)
{
	struct world *w = arg;

	w->n_done++;
	for (size_t i = 0; i < w->t.n_recipients; i++)
		assert_int_not_equal(w->results[i].fate, FATE_UNKNOWN);
}

static void
on_close(void *arg, const char *why)
{
	assert_non_null(why);
	((struct world *)arg)->n_close++;
}

/* ---- the world ---- */

#define S INT64_C(1000000)

static void
world_init(struct world *w, const char *caps, const char *script)
{
	*w = (struct world){ .peer = { .caps = caps, .script = script } };
	w->route.next_hop.host = (char *)"192.0.2.1";
	w->route.tls_name = w->route.tls_ca = w->route.source = w->route.ehlo =
	    w->route.auth.user = w->route.auth.password = (char *)"";
	w->route.timeouts.greeting_us = 1 * S;
	w->route.timeouts.command_us = 2 * S;
	w->route.timeouts.mail_us = 3 * S;
	w->route.timeouts.rcpt_us = 4 * S;
	w->route.timeouts.data_us = 5 * S;
	w->route.timeouts.data_block_us = 6 * S;
	w->route.timeouts.data_done_us = 7 * S;
	w->route.idle_timeout_us = 8 * S;
	w->envelope.sender = (char *)"sender@example.com";
	w->t.envelope = &w->envelope;
	w->t.recipients = w->recipients;
	w->t.results = w->results;
	w->t.n_recipients = 1;
	w->t.provider = "gmail";
	w->t.body = HELLO;
	w->t.body_len = strlen(HELLO);
	for (size_t i = 0; i < 40; i++)
		w->recipients[i].address = (char *)"rcpt@example.org";
	w->rng.state = SEED;
}

static void
world_open(struct world *w)
{
	const struct client_ops ops = { .start_tls = on_start_tls,
		.ready = on_ready,
		.done = on_done,
		.close = on_close,
		.arg = w };

	w->client = smtp_client_new(&w->route, "flyball.example", &ops);
	peer_greet(&w->peer);
}

static void
world_fini(struct world *w)
{
	transaction_fini_results(&w->t);
	smtp_client_free(w->client);
	peer_fini(&w->peer);
}

static size_t
next_cut(struct world *w, size_t len)
{
	if (w->cut == CUT_NOT || len == 0)
		return len;
	return w->cut == CUT_BYTES ? 1 : 1 + rng_below(&w->rng, len);
}

static bool
pump_out(struct world *w)
{
	struct strbuf *out = smtp_client_out(w->client);

	if (out->len == 0)
		return false;
	if (out->len > w->biggest_out)
		w->biggest_out = out->len;
	if (w->peer.is_gone)
		strbuf_reset(out); /* into the void */
	else
		peer_feed(&w->peer, out->data, out->len);
	strbuf_reset(out);
	smtp_client_writable(w->client);
	return true;
}

static bool
pump_tls(struct world *w)
{
	if (!w->wants_tls)
		return false;
	w->wants_tls = false;
	assert_true(w->peer.wants_tls);
	w->peer.wants_tls = false;
	w->peer.has_tls = true;
	strbuf_reset(&w->peer.out);
	smtp_client_tls_done(w->client, !w->tls_fails, "bad certificate");
	return true;
}

static bool
pump_in(struct world *w)
{
	struct strbuf *in = &w->peer.out;
	size_t n = next_cut(w, in->len);

	if (n == 0)
		return false;
	smtp_client_input(w->client, in->data, n);
	strbuf_consume(in, n);
	return true;
}

/* Until nobody has anything to say. */
static void
world_run(struct world *w)
{
	while (pump_out(w) || pump_tls(w) || pump_in(w))
		;
	if (w->peer.is_gone)
		smtp_client_lost(w->client, "the peer closed the connection");
}

/* A transaction to its end; what the peer is silent about times out. */
static void
world_send(struct world *w)
{
	int n_done = w->n_done;

	transaction_fini_results(&w->t);
	assert_int_equal(smtp_client_state(w->client), CLIENT_READY);
	smtp_client_send(w->client, &w->t);
	world_run(w);
	if (w->n_done == n_done)
		smtp_client_lost(w->client, "timed out");
	assert_int_equal(w->n_done, n_done + 1);
}

/* ---- transactions ---- */

struct row {
	const char *name;
	const char *caps;
	int n_rcpts;
	const char *script;
	const char *fates; /* Delivered, deTerred, Failed, Untried */
	int code;	   /* the first recipient's */
	enum phase phase;
	bool is_lost_reply;
	enum client_state end;
	const char *log; /* from MAIL on; NULL: any */
};

#define NONE  ""
#define PIPE  "PIPELINING"
#define CHUNK "PIPELINING;CHUNKING"
#define SLOW  "CHUNKING"

static const struct row rows[] = {
	/* All is well: how many flights. */
	{ "plain", NONE, 2, "", "DD", 250, PHASE_EOD, false, CLIENT_READY,
	    "MAIL |RCPT |RCPT |DATA |EOD " },
	{ "pipelining", PIPE, 2, "", "DD", 250, PHASE_EOD, false, CLIENT_READY,
	    "MAIL RCPT RCPT DATA |EOD " },
	{ "chunking, one flight", CHUNK, 2, "", "DD", 250, PHASE_EOD, false,
	    CLIENT_READY, "MAIL RCPT RCPT BDAT EOD " },
	{ "chunking alone", SLOW, 1, "", "D", 250, PHASE_EOD, false,
	    CLIENT_READY, "MAIL |RCPT |BDAT EOD " },
	{ "helo", NULL, 1, "", "D", 250, PHASE_EOD, false, CLIENT_READY,
	    "MAIL |RCPT |DATA |EOD " },
	{ "251 is good too", PIPE, 1, "RCPT 251 will forward", "D", 250,
	    PHASE_EOD, false, CLIENT_READY, NULL },

	/* MAIL refused. */
	{ "mail 4xx", NONE, 2, "MAIL 451 4.3.0 later", "TT", 451, PHASE_MAIL,
	    false, CLIENT_READY, "MAIL " },
	{ "mail 5xx", NONE, 2, "MAIL 550 5.7.1 no", "FF", 550, PHASE_MAIL,
	    false, CLIENT_READY, "MAIL " },
	{ "mail 4xx, pipelined", PIPE, 2, "MAIL 451 4.3.0 later", "TT", 451,
	    PHASE_MAIL, false, CLIENT_READY, "MAIL RCPT RCPT DATA " },
	{ "mail 5xx, chunked", CHUNK, 2, "MAIL 550 5.7.1 no", "FF", 550,
	    PHASE_MAIL, false, CLIENT_READY, "MAIL RCPT RCPT BDAT EOD " },
	{ "mail refused, rcpt and data taken", PIPE, 1,
	    "MAIL 451 4.3.0 no;RCPT 250 odd;DATA 354 odder", "T", 451,
	    PHASE_MAIL, false, CLIENT_READY, "MAIL RCPT DATA |EOD " },
	{ "mail refused, rcpt taken", PIPE, 1, "MAIL 451 4.3.0 no;RCPT 250 odd",
	    "T", 451, PHASE_MAIL, false, CLIENT_READY,
	    "MAIL RCPT DATA |RSET " },

	/* Recipients refused. */
	{ "one refused", NONE, 2, "RCPT 550 5.1.1 no", "FD", 550, PHASE_RCPT,
	    false, CLIENT_READY, "MAIL |RCPT |RCPT |DATA |EOD " },
	{ "one refused, pipelined", PIPE, 3,
	    "RCPT 250 ok;RCPT 550 5.1.1 no;RCPT 450 4.2.1 slow", "DFT", 250,
	    PHASE_EOD, false, CLIENT_READY, "MAIL RCPT RCPT RCPT DATA |EOD " },
	{ "one refused, chunked", CHUNK, 3,
	    "RCPT 550 5.1.1 no;RCPT 250 ok;RCPT 450 4.2.1 slow", "FDT", 550,
	    PHASE_RCPT, false, CLIENT_READY, "MAIL RCPT RCPT RCPT BDAT EOD " },
	{ "all refused", NONE, 2, "RCPT 550 5.1.1 no;RCPT 450 4.2.1 slow", "FT",
	    550, PHASE_RCPT, false, CLIENT_READY, "MAIL |RCPT |RCPT |RSET " },
	{ "all refused, DATA too", PIPE, 2,
	    "RCPT 550 5.1.1 no;RCPT 450 4.2.1 slow", "FT", 550, PHASE_RCPT,
	    false, CLIENT_READY, "MAIL RCPT RCPT DATA |RSET " },
	{ "all refused, but 354", PIPE, 2,
	    "RCPT 550 5.1.1 no;RCPT 450 4.2.1 slow;DATA 354 go", "FT", 550,
	    PHASE_RCPT, false, CLIENT_READY, "MAIL RCPT RCPT DATA |EOD " },
	{ "all refused, but 354 and 250", PIPE, 1,
	    "RCPT 550 5.1.1 no;DATA 354 go;EOD 250 fine", "F", 550, PHASE_RCPT,
	    false, CLIENT_READY, "MAIL RCPT DATA |EOD " },
	{ "all refused, chunked", CHUNK, 2,
	    "RCPT 550 5.1.1 no;RCPT 550 5.1.1 no", "FF", 550, PHASE_RCPT, false,
	    CLIENT_READY, "MAIL RCPT RCPT BDAT EOD |RSET " },
	{ "all refused, chunked slowly", SLOW, 1, "RCPT 550 5.1.1 no", "F", 550,
	    PHASE_RCPT, false, CLIENT_READY, "MAIL |RCPT |RSET " },
	{ "RSET refused", NONE, 1, "RCPT 550 5.1.1 no;RSET 500 what", "F", 550,
	    PHASE_RCPT, false, CLIENT_CLOSED, "MAIL |RCPT |RSET |QUIT " },

	/* Too many recipients: the rest, at once, by itself. */
	{ "452 first", PIPE, 2, "RCPT 452 4.5.3 many;RCPT 452 4.5.3 many", "TT",
	    452, PHASE_RCPT, false, CLIENT_READY, NULL },
	{ "452 after one", PIPE, 3,
	    "RCPT 250 ok;RCPT 452 4.5.3 many;RCPT 452 4.5.3 many", "DUU", 250,
	    PHASE_EOD, false, CLIENT_READY, NULL },
	{ "452 after one, no pipelining", NONE, 4,
	    "RCPT 250 ok;RCPT 452 4.5.3 many", "DUUU", 250, PHASE_EOD, false,
	    CLIENT_READY, "MAIL |RCPT |RCPT |DATA |EOD " },
	{ "552 as RFC 821 had it", PIPE, 2,
	    "RCPT 250 ok;RCPT 552 Too many recipients", "DU", 250, PHASE_EOD,
	    false, CLIENT_READY, NULL },
	{ "bare 452", PIPE, 2, "RCPT 250 ok;RCPT 452 Try again", "DU", 250,
	    PHASE_EOD, false, CLIENT_READY, NULL },
	{ "452 of a full disk", PIPE, 2, "RCPT 250 ok;RCPT 452 4.3.1 disk",
	    "DT", 250, PHASE_EOD, false, CLIENT_READY, NULL },
	{ "LIMITS RCPTMAX", PIPE ";LIMITS MAILMAX=9 RCPTMAX=2", 4, "", "DDUU",
	    250, PHASE_EOD, false, CLIENT_READY, "MAIL RCPT RCPT DATA |EOD " },

	/* DATA and the end. */
	{ "data 4xx", NONE, 2, "DATA 451 4.3.0 later", "TT", 451, PHASE_DATA,
	    false, CLIENT_READY, "MAIL |RCPT |RCPT |DATA |RSET " },
	{ "data 5xx, pipelined", PIPE, 2,
	    "RCPT 450 4.2.1 slow;DATA 554 5.7.1 no", "TF", 450, PHASE_RCPT,
	    false, CLIENT_READY, "MAIL RCPT RCPT DATA |RSET " },
	{ "end 4xx", PIPE, 2, "EOD 450 4.7.1 grey", "TT", 450, PHASE_EOD, false,
	    CLIENT_READY, "MAIL RCPT RCPT DATA |EOD " },
	{ "end 5xx", NONE, 2, "EOD 554 5.7.1 spam", "FF", 554, PHASE_EOD, false,
	    CLIENT_READY, "MAIL |RCPT |RCPT |DATA |EOD " },
	{ "bdat 5xx", CHUNK, 2, "RCPT 550 5.1.1 no;EOD 554 5.7.1 spam", "FF",
	    550, PHASE_RCPT, false, CLIENT_READY,
	    "MAIL RCPT RCPT BDAT EOD |RSET " },
	{ "bdat 4xx", SLOW, 1, "EOD 451 4.3.0 later", "T", 451, PHASE_EOD,
	    false, CLIENT_READY, "MAIL |RCPT |BDAT EOD |RSET " },

	/* 421: the connection's end. */
	{ "421 at mail", NONE, 2, "MAIL 421 4.3.2 bye!", "TT", 421, PHASE_MAIL,
	    false, CLIENT_CLOSED, "MAIL " },
	{ "421 at mail, open", PIPE, 2, "MAIL 421 4.3.2 bye", "TT", 421,
	    PHASE_MAIL, false, CLIENT_CLOSED, NULL },
	{ "421 at mail, chunked", CHUNK, 2, "MAIL 421 4.3.2 bye!", "TT", 421,
	    PHASE_MAIL, false, CLIENT_CLOSED, NULL },
	{ "421 at the 1st rcpt", NONE, 3, "RCPT 421 4.7.28 bye!", "TUU", 421,
	    PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "421 at the 2nd rcpt", NONE, 3, "RCPT 250 ok;RCPT 421 bye!", "TTU",
	    421, PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "421 at the 2nd rcpt, pipelined", PIPE, 4,
	    "RCPT 550 5.1.1 no;RCPT 421 bye!", "FTUU", 550, PHASE_RCPT, false,
	    CLIENT_CLOSED, NULL },
	{ "421 at the 2nd rcpt, chunked", CHUNK, 3, "RCPT 250 ok;RCPT 421 bye!",
	    "TTU", 421, PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "421 at data", PIPE, 2, "RCPT 550 5.1.1 no;DATA 421 bye!", "FT", 550,
	    PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "421 within the body", PIPE, 1, "BODY 421 4.3.2 bye!", "T", 421,
	    PHASE_EOD, false, CLIENT_CLOSED, NULL },
	{ "421 at the end", PIPE, 2, "EOD 421 4.3.2 bye!", "TT", 421, PHASE_EOD,
	    false, CLIENT_CLOSED, NULL },
	{ "421 at bdat", CHUNK, 1, "EOD 421 4.3.2 bye!", "T", 421, PHASE_EOD,
	    false, CLIENT_CLOSED, NULL },
	{ "421 at rset", PIPE, 1, "RCPT 550 5.1.1 no;RSET 421 bye!", "F", 550,
	    PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "421 after all were refused", PIPE, 1,
	    "RCPT 550 5.1.1 no;DATA 421 bye!", "F", 550, PHASE_RCPT, false,
	    CLIENT_CLOSED, NULL },

	/* Lost without a word. */
	{ "lost at mail", NONE, 2, "MAIL !", "TT", 0, PHASE_MAIL, false,
	    CLIENT_CLOSED, NULL },
	{ "lost at mail, pipelined", PIPE, 2, "MAIL !", "TT", 0, PHASE_MAIL,
	    false, CLIENT_CLOSED, NULL },
	{ "lost at the 1st rcpt", NONE, 3, "RCPT !", "TUU", 0, PHASE_RCPT,
	    false, CLIENT_CLOSED, NULL },
	{ "lost at the 2nd rcpt", PIPE, 4, "RCPT 250 ok;RCPT !", "TTUU", 0,
	    PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "lost at data", PIPE, 2, "RCPT 550 5.1.1 no;DATA !", "FT", 550,
	    PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "lost at the end", NONE, 2, "EOD !", "TT", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },
	{ "lost at the end, some refused", PIPE, 3,
	    "RCPT 250 ok;RCPT 550 5.1.1 no;EOD !", "TFT", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },
	{ "lost at bdat", SLOW, 1, "EOD !", "T", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },
	/* All was written in one flight: nobody knows. */
	{ "lost at mail, chunked", CHUNK, 2, "MAIL !", "TT", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },
	{ "lost at rcpt, chunked", CHUNK, 3, "RCPT 550 5.1.1 no;RCPT !", "FTT",
	    550, PHASE_RCPT, true, CLIENT_CLOSED, NULL },
	{ "lost at bdat, all refused", CHUNK, 1, "RCPT 550 5.1.1 no;EOD !", "F",
	    550, PHASE_RCPT, false, CLIENT_CLOSED, NULL },
	{ "lost after a refused mail", PIPE, 1, "MAIL 550 5.7.1 no!", "F", 550,
	    PHASE_MAIL, false, CLIENT_CLOSED, NULL },
	{ "lost at the lone dot", PIPE, 1,
	    "RCPT 550 5.1.1 no;DATA 354 go;"
	    "EOD !",
	    "F", 550, PHASE_RCPT, false, CLIENT_CLOSED, NULL },

	/* Silence: the same by our own clock. */
	{ "silent at mail", NONE, 1, "MAIL ~", "T", 0, PHASE_MAIL, false,
	    CLIENT_CLOSED, NULL },
	{ "silent at rcpt", NONE, 2, "RCPT ~", "TU", 0, PHASE_RCPT, false,
	    CLIENT_CLOSED, NULL },
	{ "silent at data", NONE, 1, "DATA ~", "T", 0, PHASE_DATA, false,
	    CLIENT_CLOSED, NULL },
	{ "silent at the end", NONE, 1, "EOD ~", "T", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },

	/* Nonsense. */
	{ "garbage at mail", NONE, 1, "MAIL HTTP/1.0 200 OK", "T", 0,
	    PHASE_MAIL, false, CLIENT_CLOSED, NULL },
	{ "garbage at rcpt", PIPE, 2, "RCPT 250 ok;RCPT x", "TT", 0, PHASE_RCPT,
	    false, CLIENT_CLOSED, NULL },
	{ "garbage at the end", NONE, 1, "EOD thanks", "T", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },
	{ "354 at mail", NONE, 1, "MAIL 354 go", "T", 0, PHASE_MAIL, false,
	    CLIENT_CLOSED, NULL },
	{ "354 at rcpt", NONE, 2, "RCPT 354 go", "TU", 0, PHASE_RCPT, false,
	    CLIENT_CLOSED, NULL },
	{ "250 at data", NONE, 1, "DATA 250 taken", "T", 0, PHASE_DATA, false,
	    CLIENT_CLOSED, NULL },
	{ "354 at the end", NONE, 1, "EOD 354 go on", "T", 0, PHASE_EOD, true,
	    CLIENT_CLOSED, NULL },
	{ "a reply too many", NONE, 1, "EOD 250 taken\r\n250 really", "D", 250,
	    PHASE_EOD, false, CLIENT_CLOSED, NULL },
	{ "a reply of many lines", PIPE, 1, "RCPT 550-5.1.1 no\n550 5.1.1 no",
	    "F", 550, PHASE_RCPT, false, CLIENT_READY, NULL },
};

static char
fate_letter(enum rcpt_fate fate)
{
	static const char letters[] = { [FATE_UNKNOWN] = '?',
		[FATE_DELIVERED] = 'D',
		[FATE_DEFERRED] = 'T',
		[FATE_FAILED] = 'F',
		[FATE_UNTRIED] = 'U' };

	return letters[fate];
}

static void
assert_fates(const struct world *w, const char *name, const char *fates)
{
	char got[41] = "";

	for (size_t i = 0; i < w->t.n_recipients; i++)
		got[i] = fate_letter(w->results[i].fate);
	if (strcmp(got, fates) != 0)
		fail_msg("%s: fates %s, not %s", name, got, fates);
}

/* A lone mark where a flight went to a peer that was gone doesn't count. */
static void
assert_log(const struct world *w, const char *name, const char *log)
{
	const char *got = strstr(w->peer.log.data, "MAIL ");

	if (log != NULL && (got == NULL || strcmp(got, log) != 0))
		fail_msg("%s: said %s, not %s", name, got, log);
}

static void
run_row(const struct row *row, enum cut cut)
{
	struct world w;
	const struct rcpt_result *r = &w.results[0];

	world_init(&w, row->caps, row->script);
	w.cut = cut;
	w.t.n_recipients = (size_t)row->n_rcpts;
	world_open(&w);
	world_run(&w);
	assert_int_equal(w.n_ready, 1);
	world_send(&w);
	assert_fates(&w, row->name, row->fates);
	assert_log(&w, row->name, row->log);
	if (r->code != row->code || r->phase != row->phase)
		fail_msg("%s: %d at %s", row->name, r->code,
		    phase_name(r->phase));
	if (w.t.is_lost_reply != row->is_lost_reply)
		fail_msg("%s: lost reply %d", row->name, w.t.is_lost_reply);
	if (smtp_client_state(w.client) != row->end)
		fail_msg("%s: ends in %s", row->name,
		    client_state_name(smtp_client_state(w.client)));
	assert_true(w.t.is_sent);
	assert_int_equal(w.n_ready,
	    row->end == CLIENT_READY			     ? 2
		: strcmp(row->name, "a reply too many") == 0 ? 2
							     : 1);
	for (size_t i = 0; i < w.t.n_recipients; i++) {
		assert_non_null(w.results[i].reply);
		assert_non_null(w.results[i].answer.rule);
	}
	/* The connection is as good as new. */
	if (row->end == CLIENT_READY) {
		int n_taken = w.peer.n_taken;

		w.peer.script = NULL;
		w.t.n_recipients = 1;
		world_send(&w);
		assert_fates(&w, row->name, "D");
		assert_int_equal(w.peer.n_taken, n_taken + 1);
		assert_string_equal(w.peer.taken.data, HELLO);
	}
	w.t.n_recipients = 40;
	world_fini(&w);
}

static void
every_way_a_delivery_can_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run_row(&rows[i], CUT_NOT);
		run_row(&rows[i], CUT_BYTES);
		run_row(&rows[i], CUT_RANDOM);
	}
}

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

/* What the peer was told, as lines. */
static void
assert_lines(const struct world *w, const char *lines)
{
	assert_string_equal(w->peer.lines.data, lines);
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

/* ---- parameters, and what can't be sent ---- */

#define ALL  "SIZE 1000;8BITMIME;SMTPUTF8;DSN;PIPELINING"
#define UTF8 "caf\xc3\xa9"

struct param_row {
	const char *name;
	const char *caps;
	struct envelope envelope; /* sender NULL: the usual one */
	struct recipient recipients[2];
	const char *body; /* NULL: the usual one */
	bool is_streamed;
	const char *fates;
	const char *reply; /* the first recipient's, begins so; NULL: any */
	const char *lines; /* MAIL and RCPT; "" = none sent */
};

static const struct param_row param_rows[] = {
	{ .name = "nothing offered, nothing passed",
	    .caps = PIPE,
	    .envelope = { .body = BODY_7BIT,
		.ret = RET_HDRS,
		.envid = (char *)"x" },
	    .recipients = { { .notify = NOTIFY_NEVER,
		.orcpt = (char *)"rfc822;a@b" } },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "all passed",
	    .caps = ALL,
	    .envelope = { .body = BODY_8BITMIME,
		.ret = RET_FULL,
		.envid = (char *)"QQ+2B1",
		.smtputf8 = true },
	    .recipients = { { .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE |
		    NOTIFY_DELAY,
		.orcpt = (char *)"rfc822;a+2Bb@c" } },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com> SIZE=31 BODY=8BITMIME "
		     "SMTPUTF8 RET=FULL ENVID=QQ+2B1\n"
		     "RCPT TO:<rcpt@example.org> NOTIFY=SUCCESS,FAILURE,DELAY "
		     "ORCPT=rfc822;a+2Bb@c\n" },
	{ .name = "null sender, NOTIFY=NEVER",
	    .caps = ALL,
	    .envelope = { .sender = (char *)"", .ret = RET_HDRS },
	    .recipients = { { .notify = NOTIFY_NEVER } },
	    .fates = "D",
	    .lines = "MAIL FROM:<> SIZE=31 RET=HDRS\n"
		     "RCPT TO:<rcpt@example.org> NOTIFY=NEVER\n" },
	{ .name = "8-bit that didn't say so",
	    .caps = ALL,
	    .envelope = { .has_8bit = true },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com> SIZE=31 BODY=8BITMIME\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "8-bit not taken",
	    .caps = PIPE,
	    .envelope = { .has_8bit = true },
	    .fates = "F",
	    .reply = "554 5.6.3",
	    .lines = "" },
	{ .name = "8-bit not taken by HELO",
	    .caps = NULL,
	    .envelope = { .has_8bit = true },
	    .fates = "F",
	    .reply = "554 5.6.3",
	    .lines = "" },
	{ .name = "BODY=8BITMIME, but 7-bit",
	    .caps = PIPE,
	    .envelope = { .body = BODY_8BITMIME },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "just the size", .caps = "SIZE 31", .fates = "D" },
	{ .name = "too large",
	    .caps = "SIZE 30",
	    .fates = "F",
	    .reply = "552 5.3.4",
	    .lines = "" },
	{ .name = "SIZE 0 is no limit", .caps = "SIZE 0", .fates = "D" },
	{ .name = "SIZE alone is no limit", .caps = "SIZE", .fates = "D" },
	{ .name = "UTF-8 recipient, taken",
	    .caps = ALL,
	    .envelope = { .smtputf8 = true },
	    .recipients = { { .address = (char *)UTF8 "@example.org" } },
	    .fates = "D" },
	{ .name = "one UTF-8 recipient, not taken",
	    .caps = PIPE,
	    .envelope = { .smtputf8 = true },
	    .recipients = { { .address = (char *)UTF8 "@example.org" },
		{ .address = (char *)"b@example.org" } },
	    .fates = "FD",
	    .reply = "553 5.6.7",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<b@example.org>\n" },
	{ .name = "UTF-8 sender, not taken",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true,
		.sender = (char *)UTF8 "@example.com" },
	    .fates = "F",
	    .reply = "553 5.6.7",
	    .lines = "" },
	{ .name = "SMTPUTF8 without need",
	    .caps = PIPE,
	    .envelope = { .smtputf8 = true },
	    .fates = "D" },
	{ .name = "UTF-8 body only",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: x\r\n\r\n" UTF8 "\r\n",
	    .fates = "D" },
	{ .name = "UTF-8 header",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: " UTF8 "\r\n\r\n" UTF8 "\r\n",
	    .fates = "F",
	    .reply = "553 5.6.7",
	    .lines = "" },
	{ .name = "UTF-8 header, from a file",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: " UTF8 "\r\n\r\n" UTF8 "\r\n",
	    .is_streamed = true,
	    .fates = "F",
	    .reply = "553 5.6.7",
	    .lines = "" },
	{ .name = "UTF-8 body, from a file",
	    .caps = "8BITMIME",
	    .envelope = { .smtputf8 = true, .has_8bit = true },
	    .body = "Subject: x\r\n\r\n" UTF8 "\r\n",
	    .is_streamed = true,
	    .fates = "D" },
	{ .name = "UTF-8 ORCPT goes only with SMTPUTF8",
	    .caps = "DSN",
	    .recipients = { { .orcpt = (char *)"utf-8;" UTF8 "@b" } },
	    .fates = "D",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<rcpt@example.org>\n" },
	{ .name = "injected command",
	    .caps = PIPE,
	    .recipients = { { .address = (char *)"a@b>\r\nRCPT TO:<c@d" },
		{ .address = (char *)"b@example.org" } },
	    .fates = "FD",
	    .reply = "501 5.1.3",
	    .lines = "MAIL FROM:<sender@example.com>\n"
		     "RCPT TO:<b@example.org>\n" },
	{ .name = "injected by the sender",
	    .caps = PIPE,
	    .envelope = { .sender = (char *)"a@b>\nRSET" },
	    .fates = "F",
	    .reply = "501 5.1.3",
	    .lines = "" },
};

static ssize_t
read_string(void *arg, uint64_t offset, char *buf, size_t len)
{
	const char *s = arg;
	size_t left = strlen(s) - (size_t)offset;

	if (len > 7)
		len = 7; /* in small pieces */
	if (len > left)
		len = left;
	memcpy(buf, s + offset, len);
	return (ssize_t)len;
}

static void
run_param_row(const struct param_row *row)
{
	struct world w;
	const char *lines;

	world_init(&w, row->caps, "");
	w.t.n_recipients = strlen(row->fates);
	w.envelope = row->envelope;
	if (w.envelope.sender == NULL)
		w.envelope.sender = (char *)"sender@example.com";
	for (size_t i = 0; i < w.t.n_recipients; i++) {
		w.recipients[i] = row->recipients[i];
		if (w.recipients[i].address == NULL)
			w.recipients[i].address = (char *)"rcpt@example.org";
	}
	if (row->body != NULL) {
		w.t.body = row->is_streamed ? NULL : row->body;
		w.t.body_len = strlen(row->body);
		w.t.body_read = read_string;
		w.t.body_arg = (void *)row->body;
	}
	world_open(&w);
	world_run(&w);
	strbuf_reset(&w.peer.lines);
	world_send(&w);
	assert_fates(&w, row->name, row->fates);
	if (row->reply != NULL &&
	    strncmp(w.results[0].reply, row->reply, strlen(row->reply)) != 0)
		fail_msg("%s: %s", row->name, w.results[0].reply);
	lines = w.peer.lines.data ? w.peer.lines.data : "";
	if (row->lines != NULL &&
	    strncmp(lines, row->lines, strlen(row->lines)) != 0)
		fail_msg("%s: said %s", row->name, lines);
	if (row->lines != NULL && *row->lines == '\0')
		assert_string_equal(lines, "");
	assert_int_equal(w.t.dsn_passed, peer_offers(&w.peer, "DSN"));
	/* Refused by ourselves: the connection stays, no permit is used. */
	assert_int_equal(smtp_client_state(w.client), CLIENT_READY);
	assert_int_equal(w.t.is_sent, w.peer.n_taken > 0);
	world_fini(&w);
}

static void
what_is_offered_is_passed_and_the_rest_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(param_rows) / sizeof(param_rows[0]); i++)
		run_param_row(&param_rows[i]);
}

static void
our_own_refusals_are_classified_like_theirs(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "SIZE 5", "");
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_int_equal(w.results[0].code, 552);
	assert_string_equal(w.results[0].enhanced, "5.3.4");
	assert_int_equal(w.results[0].answer.class, CLASS_CONTENT);
	assert_int_equal(w.results[0].answer.blame, BLAME_MESSAGE);
	assert_int_equal(w.results[0].phase, PHASE_MAIL);
	world_fini(&w);
}

/* ---- content ---- */

static void
assert_content(const char *caps, const char *body, bool is_streamed,
    const char *taken)
{
	struct world w;

	world_init(&w, caps, "");
	w.t.body = is_streamed ? NULL : body;
	w.t.body_len = strlen(body);
	w.t.body_read = read_string;
	w.t.body_arg = (void *)body;
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_fates(&w, body, "D");
	assert_int_equal(w.peer.n_taken, 1);
	assert_string_equal(w.peer.taken.data ? w.peer.taken.data : "", taken);
	world_fini(&w);
}

static void
content_arrives_as_it_was(void **state)
{
	static const char *const bodies[] = { "", "\r\n", ".\r\n", "..\r\n",
		".\r\n.\r\n..\r\n", "a\r\n.\r\nb\r\n", "\r\n.\r\n",
		"a.b\r\n.\r\n", "x: y\r\n\r\n.hidden\r\n",
		"0123456\r\n.23456\r\n", "01234\r\n\r\n.\r\n...\r\n" };
	static const char *const caps[] = { NONE, PIPE, CHUNK, SLOW };

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (size_t j = 0; j < sizeof(caps) / sizeof(caps[0]); j++) {
			assert_content(caps[j], bodies[i], false, bodies[i]);
			assert_content(caps[j], bodies[i], true, bodies[i]);
		}
}

/* The peer fails the test at a bare CR or LF in DATA; here both ways. */
static void
bare_line_ends_never_leave(void **state)
{
	static const struct {
		const char *body, *chunked, *stuffed;
	} bodies[] = {
		{ "a\n.\nb\r\n", "a . b\r\n", "a . b\r\n" },
		{ "a\r.\rb\r\n", "a . b\r\n", "a . b\r\n" },
		{ "a\r\r\nb\r\n", "a \r\nb\r\n", "a \r\nb\r\n" },
		{ "\n.\r\n", " .\r\n", " .\r\n" },
		{ "a\r\n\r.\r\nb\r\n", "a\r\n .\r\nb\r\n", "a\r\n .\r\nb\r\n" },
		{ "no end", "no end", "no end\r\n" },
		{ "half an end\r", "half an end ", "half an end \r\n" },
		{ "0123\r\n\r4567\n\r\n", "0123\r\n 4567 \r\n",
		    "0123\r\n 4567 \r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (int streamed = 0; streamed < 2; streamed++) {
			assert_content(CHUNK, bodies[i].body, streamed,
			    bodies[i].chunked);
			assert_content(PIPE, bodies[i].body, streamed,
			    bodies[i].stuffed);
		}
}

struct large {
	uint64_t len;
	uint64_t fails_at; /* 0 = never */
	bool ends_early;
	uint64_t n_reads;
};

static ssize_t
read_large(void *arg, uint64_t offset, char *buf, size_t len)
{
	static const char line[] = ".0123456789 0123456789 0123456789 0123\r\n";
	struct large *l = arg;

	l->n_reads++;
	if (l->fails_at > 0 && offset >= l->fails_at)
		return l->ends_early ? 0 : -1;
	for (size_t i = 0; i < len; i++)
		buf[i] = line[(offset + i) % (sizeof(line) - 1)];
	return (ssize_t)len;
}

static void
send_large(struct world *w, const char *caps, struct large *l)
{
	world_init(w, caps, "");
	w->t.body = NULL;
	w->t.body_len = l->len;
	w->t.body_read = read_large;
	w->t.body_arg = l;
	world_open(w);
	world_run(w);
	world_send(w);
}

static void
large_content_streams_in_little_memory(void **state)
{
	static const char *const caps[] = { NONE, PIPE, CHUNK };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct large l = { .len = 40 * 20000 };
		struct world w;
		char first[80];

		send_large(&w, caps[i], &l);
		assert_fates(&w, "large", "D");
		assert_int_equal(w.peer.taken.len, l.len);
		read_large(&l, 0, first, sizeof(first));
		for (size_t at = 0; at < l.len; at += 80)
			assert_memory_equal(w.peer.taken.data + at, first, 80);
		assert_true(w.biggest_out < 100000);
		/* The envelope was answered before any of it was read. */
		if (caps[i] == (const char *)CHUNK)
			assert_non_null(strstr(w.peer.log.data,
			    "MAIL RCPT |BDAT "));
		world_fini(&w);
	}
}

static void
our_disk_fails_and_nobody_is_blamed(void **state)
{
	static const char *const caps[] = { NONE, PIPE, CHUNK };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct large l = {
			.len = 800000, .fails_at = 300000, .ends_early = i % 2
		};
		struct world w;

		send_large(&w, caps[i / 2], &l);
		assert_fates(&w, "disk", "T");
		assert_int_equal(w.results[0].code, 0);
		assert_int_equal(w.results[0].answer.blame, BLAME_NOBODY);
		assert_false(w.t.is_lost_reply);
		assert_int_equal(w.peer.n_taken, 0);
		assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
		/* Not a word more within the content. */
		assert_null(strstr(w.peer.log.data, "QUIT"));
		assert_null(strstr(w.peer.log.data, "EOD"));
		world_fini(&w);
	}
}

static void
a_refusal_within_large_content_is_heard(void **state)
{
	static const struct {
		const char *caps, *script, *fates;
		int code;
	} cases[] = {
		{ PIPE, "BODY 552 5.3.4 too large!", "F", 552 },
		{ CHUNK, "BODY 452 4.3.1 no room!", "T", 452 },
		{ CHUNK, "BODY 421 4.3.2 bye!", "T", 421 },
		{ PIPE, "BODY 250 fine!", "T", 0 },
		{ PIPE, "BODY !", "T", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct large l = { .len = 800000 };
		struct world w;

		world_init(&w, cases[i].caps, cases[i].script);
		w.t.body = NULL;
		w.t.body_len = l.len;
		w.t.body_read = read_large;
		w.t.body_arg = &l;
		world_open(&w);
		world_run(&w);
		smtp_client_send(w.client, &w.t);
		/* The peer speaks while there is still more to come. */
		while (smtp_client_state(w.client) != CLIENT_BODY)
			assert_true(pump_out(&w) || pump_in(&w));
		peer_feed(&w.peer, smtp_client_out(w.client)->data,
		    smtp_client_out(w.client)->len);
		strbuf_reset(smtp_client_out(w.client));
		world_run(&w);
		assert_fates(&w, cases[i].script, cases[i].fates);
		assert_int_equal(w.results[0].code, cases[i].code);
		assert_false(w.t.is_lost_reply);
		assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
		assert_null(strstr(w.peer.log.data, "QUIT"));
		world_fini(&w);
	}
}

/* ---- the connection's life ---- */

static void
after_a_wasted_content_the_envelope_goes_first(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, CHUNK, "RCPT 550 5.1.1 no;RCPT 550 5.1.1 no");
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_log(&w, "1st", "MAIL RCPT BDAT EOD |RSET ");
	strbuf_reset(&w.peer.log);
	world_send(&w);
	assert_log(&w, "2nd", "MAIL RCPT |RSET ");
	strbuf_reset(&w.peer.log);
	world_send(&w);
	assert_log(&w, "3rd", "MAIL RCPT |BDAT EOD ");
	strbuf_reset(&w.peer.log);
	world_send(&w);
	assert_log(&w, "4th", "MAIL RCPT BDAT EOD ");
	world_fini(&w);
}

static void
mailmax_ends_the_connection(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, PIPE ";LIMITS RCPTMAX=100 MAILMAX=2", "");
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_int_equal(smtp_client_state(w.client), CLIENT_READY);
	world_send(&w);
	assert_fates(&w, "2nd", "D");
	assert_int_equal(w.n_ready, 2);
	assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
	assert_non_null(strstr(w.peer.lines.data, "QUIT"));
	world_fini(&w);
}

static void
an_idle_connection_that_is_ended_is_closed(void **state)
{
	static const char *const words[] = { "421 4.4.2 idle for too long\r\n",
		"250 what?\r\n", "hello\r\n" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct world w;

		world_init(&w, PIPE, "");
		world_open(&w);
		world_run(&w);
		smtp_client_input(w.client, words[i], strlen(words[i]));
		assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
		assert_int_equal(w.n_close, 1);
		assert_int_equal(w.n_done, 0);
		world_fini(&w);
	}
}

static void
quit_waits_for_its_reply(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, PIPE, "QUIT 221 bye");
	world_open(&w);
	world_run(&w);
	smtp_client_quit(w.client);
	assert_int_equal(smtp_client_state(w.client), CLIENT_QUIT);
	world_run(&w);
	assert_int_equal(smtp_client_state(w.client), CLIENT_CLOSED);
	world_fini(&w);
}

/* Each state's deadline is the route's key for it. */
static void
every_phase_has_its_timeout(void **state)
{
	static const struct {
		const char *caps, *script;
		int64_t timeout_us;
	} cases[] = {
		{ NONE, "MAIL ~", 3 * S },
		{ NONE, "RCPT ~", 4 * S },
		{ NONE, "DATA ~", 5 * S },
		{ NONE, "EOD ~", 7 * S },
		{ PIPE, "MAIL ~;RCPT ~;DATA ~", 3 * S },
		{ PIPE, "RCPT ~;DATA ~", 4 * S },
		{ PIPE, "DATA ~", 5 * S },
		/* All was sent: the peer may answer all at the end. */
		{ CHUNK, "MAIL ~;RCPT ~;EOD ~", 7 * S },
		{ CHUNK, "EOD ~", 7 * S },
		{ NONE, "RCPT 550 5.1.1 no;RSET ~", 2 * S },
		{ NONE, "", 8 * S },
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_init(&w, cases[i].caps, cases[i].script);
		world_open(&w);
		assert_true(smtp_client_timeout_us(w.client) == 1 * S);
		world_run(&w);
		smtp_client_send(w.client, &w.t);
		world_run(&w);
		if (smtp_client_timeout_us(w.client) != cases[i].timeout_us)
			fail_msg("%s: %lld", cases[i].script,
			    (long long)smtp_client_timeout_us(w.client));
		smtp_client_lost(w.client, "timed out");
		world_fini(&w);
	}
}

static void
a_late_loss_says_that_it_may_arrive_twice(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NONE, "EOD !");
	world_open(&w);
	world_run(&w);
	world_send(&w);
	assert_non_null(strstr(w.results[0].reply, "may arrive twice"));
	assert_non_null(strstr(w.results[0].reply,
	    "the peer closed the connection"));
	assert_int_equal(w.results[0].answer.class, CLASS_SYSTEM);
	world_fini(&w);
}

/* ---- whatever the peer does ---- */

static const char *const random_replies[] = { "250 ok", "250 2.0.0 ok",
	"250-a\n250 b", "354 go", "421 4.3.2 bye!", "421 bye!", "450 4.2.1 no",
	"451 no", "452 4.5.3 too many", "452 4.3.1 full", "550 5.1.1 no",
	"552 5.3.4 large", "554 5.7.1 spam", "503 5.5.1 bad", "!", "~",
	"garbage", "100 what", "550 5.7.1 no!", "250 ok\r\n250 twice" };

/* Mostly well; what it says to one verb in four is anything. */
static const char *
say_anything(struct peer *p, const char *verb)
{
	struct rng *rng = p->say_arg;
	const char *said;
	size_t n = sizeof(random_replies) / sizeof(random_replies[0]);

	if (strcmp(verb, "QUIT") == 0 || rng_below(rng, 4) > 0)
		return NULL;
	/* Replies that are out of step with their commands are found out only
	 * where nothing more is awaited. */
	if (strcmp(verb, "EOD") != 0)
		n--;
	said = random_replies[rng_below(rng, n)];
	/* Who speaks within the content won't read on. */
	if (strcmp(verb, "BODY") == 0 && said[strlen(said) - 1] != '!')
		return NULL;
	return said;
}

/* What must hold between what the peer took and what we believe. */
static void
check_truth(struct world *w, int n_taken_before)
{
	bool was_taken = w->peer.n_taken > n_taken_before;

	for (size_t i = 0; i < w->t.n_recipients; i++) {
		const struct rcpt_result *r = &w->results[i];
		char mark[60];

		snprintf(mark, sizeof(mark), "%s ", w->recipients[i].address);
		if (r->fate == FATE_DELIVERED) {
			assert_true(was_taken);
			assert_non_null(strstr(w->peer.taken_by.data, mark));
		} else if (was_taken && !w->t.is_lost_reply) {
			assert_null(strstr(w->peer.taken_by.data, mark));
		}
		assert_non_null(r->reply);
	}
}

static void
each_recipient_has_one_result_whatever_happens(void **state)
{
	static const char *const caps[] = { NONE, PIPE, CHUNK, SLOW,
		PIPE ";DSN;SIZE 100", CHUNK ";LIMITS RCPTMAX=3", NULL };
	char addresses[40][30];
	int n_fates[5] = { 0 }, n_lost = 0;
	struct rng rng = { .state = SEED };

	(void)state;
	print_message("seed %d\n", SEED);
	for (int i = 0; i < 40; i++)
		snprintf(addresses[i], sizeof(addresses[i]), "r%d@x", i);
	for (int turn = 0; turn < 20000; turn++) {
		struct world w;

		world_init(&w, caps[rng_below(&rng, 7)], NULL);
		w.cut = (enum cut)rng_below(&rng, 3);
		w.rng.state = rng_next(&rng);
		w.t.n_recipients = 1 + rng_below(&rng, 6);
		for (int i = 0; i < 40; i++)
			w.recipients[i].address = addresses[i];
		world_open(&w);
		world_run(&w);
		w.peer.say = say_anything;
		w.peer.say_arg = &rng;
		while (smtp_client_state(w.client) == CLIENT_READY &&
		    w.n_done < 4) {
			int n_taken = w.peer.n_taken;

			world_send(&w);
			check_truth(&w, n_taken);
			n_lost += w.t.is_lost_reply;
			for (size_t i = 0; i < w.t.n_recipients; i++)
				n_fates[w.results[i].fate]++;
		}
		assert_true(w.n_done > 0);
		world_fini(&w);
	}
	/* The scripts reached all there is. */
	assert_int_equal(n_fates[FATE_UNKNOWN], 0);
	assert_true(n_fates[FATE_DELIVERED] > 1000);
	assert_true(n_fates[FATE_DEFERRED] > 1000);
	assert_true(n_fates[FATE_FAILED] > 1000);
	assert_true(n_fates[FATE_UNTRIED] > 1000);
	assert_true(n_lost > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_a_delivery_can_end),
		cmocka_unit_test(every_way_a_greeting_can_end),
		cmocka_unit_test(passwords_go_out_as_the_mechanism_wants),
		cmocka_unit_test(nothing_in_clear_survives_starttls),
		cmocka_unit_test(implicit_tls_needs_no_starttls),
		cmocka_unit_test(
		    what_is_offered_is_passed_and_the_rest_refused),
		cmocka_unit_test(our_own_refusals_are_classified_like_theirs),
		cmocka_unit_test(content_arrives_as_it_was),
		cmocka_unit_test(bare_line_ends_never_leave),
		cmocka_unit_test(large_content_streams_in_little_memory),
		cmocka_unit_test(our_disk_fails_and_nobody_is_blamed),
		cmocka_unit_test(a_refusal_within_large_content_is_heard),
		cmocka_unit_test(
		    after_a_wasted_content_the_envelope_goes_first),
		cmocka_unit_test(mailmax_ends_the_connection),
		cmocka_unit_test(an_idle_connection_that_is_ended_is_closed),
		cmocka_unit_test(quit_waits_for_its_reply),
		cmocka_unit_test(every_phase_has_its_timeout),
		cmocka_unit_test(a_late_loss_says_that_it_may_arrive_twice),
		cmocka_unit_test(
		    each_recipient_has_one_result_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
