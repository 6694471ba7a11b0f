/* SPDX-License-Identifier: ISC */
/*
 * The client against scripted peers: one row for each way in which a delivery
 * can end, run with the peer's bytes in one piece, one by one, and cut at
 * random: the outcome must be the same. Then what a connection goes through,
 * and peers that say anything.
 */
#include "client_world.h"

/* ---- transactions ---- */

#define XFORWARD PIPE ";XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"

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

	/* XFORWARD IDENT, where it is offered and answered in any way. */
	{ "xforward", XFORWARD, 1, "XFORWARD 250 ok", "D", 250, PHASE_EOD,
	    false, CLIENT_READY, "MAIL RCPT DATA |EOD " },
	{ "xforward refused", XFORWARD, 1, "XFORWARD 550 5.7.0 not you", "D",
	    250, PHASE_EOD, false, CLIENT_READY, "MAIL RCPT DATA |EOD " },
	{ "xforward 421", XFORWARD, 1, "XFORWARD 421 4.3.2 bye!", "T", 421,
	    PHASE_MAIL, false, CLIENT_CLOSED, NULL },
	{ "xforward without ident", PIPE ";XFORWARD NAME ADDR", 1, "", "D", 250,
	    PHASE_EOD, false, CLIENT_READY, "MAIL RCPT DATA |EOD " },
	{ "xforward without a pipeline", "XFORWARD NAME IDENT", 1, "", "D", 250,
	    PHASE_EOD, false, CLIENT_READY, "MAIL |RCPT |DATA |EOD " },

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

/* An envelope of more than a piece, and a peer that answers MAIL before it has
 * read all of it: the content isn't on its way by then. */
static void
a_large_envelope_is_answered_before_its_end(void **state)
{
	static char orcpt[2100];
	struct strbuf *out;
	struct world w;

	(void)state;
	memset(orcpt, 'x', sizeof(orcpt) - 1);
	memcpy(orcpt, "rfc822;", 7);
	world_init(&w, CHUNK ";DSN", "");
	w.t.n_recipients = 40;
	for (int i = 0; i < 40; i++)
		w.recipients[i].orcpt = orcpt;
	world_open(&w);
	world_run(&w);
	smtp_client_send(w.client, &w.t);
	out = smtp_client_out(w.client);
	assert_true(out->len > 65536);
	/* On the wire, but the stream's queue isn't low yet. */
	peer_feed(&w.peer, out->data, out->len);
	strbuf_reset(out);
	while (pump_in(&w))
		;
	world_run(&w);
	assert_int_equal(w.n_done, 1);
	assert_int_equal(w.results[0].fate, FATE_DELIVERED);
	assert_int_equal(w.results[39].fate, FATE_DELIVERED);
	assert_int_equal(smtp_client_state(w.client), CLIENT_READY);
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
		cmocka_unit_test(
		    after_a_wasted_content_the_envelope_goes_first),
		cmocka_unit_test(mailmax_ends_the_connection),
		cmocka_unit_test(an_idle_connection_that_is_ended_is_closed),
		cmocka_unit_test(quit_waits_for_its_reply),
		cmocka_unit_test(every_phase_has_its_timeout),
		cmocka_unit_test(a_late_loss_says_that_it_may_arrive_twice),
		cmocka_unit_test(a_large_envelope_is_answered_before_its_end),
		cmocka_unit_test(
		    each_recipient_has_one_result_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
