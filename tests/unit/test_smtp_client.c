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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_a_delivery_can_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
