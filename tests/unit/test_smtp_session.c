/* SPDX-License-Identifier: ISC */
/*
 * Whole dialogues with the session, without a socket: what a client sends and
 * exactly what it is told. Each runs in one piece, byte by byte and cut at
 * random, with answers given at once and later, and must read the same.
 */
#include "daemon/smtp_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/log.h"
#include "conf/base/rng.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/content_reader.h"

/* ---- a body, a configuration and a server that the tests own ---- */

struct body {
	struct strbuf data;
};

static size_t n_bodies, n_conf_refs;
static size_t body_room = SIZE_MAX; /* then the disk fails */
static size_t n_body_adds;

struct body *
body_new(struct spool *spool)
{
	(void)spool;
	n_bodies++;
	return xcalloc(1, sizeof(struct body));
}

int
body_add(struct body *b, const void *data, size_t len, struct err *err_out)
{
	n_body_adds++;
	if (b->data.len + len > body_room)
		return err_set(err_out, "disk full");
	strbuf_add(&b->data, data, len);
	return 0;
}

uint64_t
body_len(const struct body *b)
{
	return b->data.len;
}

void
body_free(struct body *b)
{
	n_bodies--;
	strbuf_fini(&b->data);
	free(b);
}

struct conf *
conf_ref(const struct conf *conf)
{
	n_conf_refs++;
	return (struct conf *)conf;
}

void
conf_unref(const struct conf *conf)
{
	(void)conf;
	n_conf_refs--;
}

static char host[] = "mx.example";
static char header_name[] = "X-Stream", header_value[] = "*";
static struct conf_header_match header_match = { header_name, header_value };
static struct conf_stream stream = {
	.match = { .header = &header_match, .n_header = 1 },
};
static struct conf_listener listeners[] = {
	{ .tls = LISTENER_TLS_NONE, .auth = LISTENER_AUTH_NONE },
	{ .tls = LISTENER_TLS_STARTTLS, .auth = LISTENER_AUTH_REQUIRED },
	{ .tls = LISTENER_TLS_NONE,
	    .auth = LISTENER_AUTH_REQUIRED,
	    .plaintext_auth = true },
};
static const struct conf conf_template = {
	.daemon = { .hostname = host },
	.limits = { .message_size_bytes = 200,
	    .recipients = 3,
	    .command_timeout_us = 300000000,
	    .data_timeout_us = 600000000,
	    .auth_failures = 2,
	    .bad_commands = 6,
	    .received_hops = 2 },
	.streams = &stream,
	.n_streams = 1,
};

enum kind {
	TRUSTED,   /* auth none, in its network */
	STRANGER,  /* auth none, out of it */
	STARTTLS,  /* auth required */
	TLS,	   /* the same, TLS is up */
	NO_TLS,	   /* the same, without a certificate */
	PLAINTEXT, /* auth required, without TLS */
};

enum due { NOTHING, TLS_DUE, AUTH_DUE, SUBMIT_DUE };

struct server {
	struct conf conf;
	struct smtp_session *s;
	struct strbuf out;
	bool answers_late;
	enum due due;
	struct auth_identity *identity;
	bool is_temporary;
	enum spool_result result;
	bool has_started_tls, is_closed, is_abusive;
	unsigned n_may_submit;
	bool no_body;
	unsigned n_writes;
	/* The last message. */
	unsigned n_messages;
	struct envelope envelope;
	struct strbuf content;
	char *stream;
};

static void
on_write(void *arg, const char *data, size_t len)
{
	struct server *v = arg;

	assert_true(len > 0);
	assert_false(v->is_closed);
	v->n_writes++;
	strbuf_add(&v->out, data, len);
}

static void
answer(struct server *v)
{
	enum due due = v->due;

	v->due = NOTHING;
	switch (due) {
	case NOTHING:
		break;
	case TLS_DUE:
		smtp_session_tls_done(v->s, "TLSv1.3 X");
		break;
	case AUTH_DUE:
		smtp_session_auth_done(v->s, v->identity, v->is_temporary);
		v->identity = NULL;
		break;
	case SUBMIT_DUE:
		smtp_session_submit_done(v->s, v->result, 1);
		break;
	}
}

static void
answer_now_or_later(struct server *v, enum due due)
{
	assert_int_equal(v->due, NOTHING);
	assert_true(smtp_session_is_waiting(v->s));
	v->due = due;
	if (!v->answers_late)
		answer(v);
}

static void
on_start_tls(void *arg)
{
	struct server *v = arg;

	/* The 220 must have been written, in clear. */
	assert_non_null(strstr(v->out.data, "220 2.0.0 Ready"));
	v->has_started_tls = true;
	answer_now_or_later(v, TLS_DUE);
}

static struct auth_identity *
identity_new(const char *name, const char *domain)
{
	struct auth_identity *who = xcalloc(1, sizeof(*who));

	who->name = xstrdup(name);
	who->stream = xstrdup("");
	if (domain != NULL) {
		who->sender_domains.n = 1;
		who->sender_domains.v = xcalloc(1, sizeof(char *));
		who->sender_domains.v[0] = xstrdup(domain);
	}
	return who;
}

/* ann may send as anybody, bob only as b.example, cy one recipient; the file
 * of `busy` can't be read. */
static void
on_check_password(void *arg, const char *user, const char *password)
{
	struct server *v = arg;

	v->identity = NULL;
	v->is_temporary = strcmp(user, "busy") == 0;
	if (strcmp(password, "secret") == 0 &&
	    (strcmp(user, "ann") == 0 || strcmp(user, "bob") == 0 ||
		strcmp(user, "cy") == 0))
		v->identity = identity_new(user,
		    strcmp(user, "bob") == 0 ? "B.example" : NULL);
	answer_now_or_later(v, AUTH_DUE);
}

static void
on_submit(void *arg, struct envelope *envelope_take, struct body *body_take)
{
	struct server *v = arg;
	const char *value = smtp_session_header(v->s, "x-stream");

	v->n_messages++;
	envelope_fini(&v->envelope);
	v->envelope = *envelope_take;
	strbuf_reset(&v->content);
	strbuf_add(&v->content, body_take->data.data, body_take->data.len);
	assert_int_equal(v->content.len, envelope_take->size_bytes);
	*envelope_take = (struct envelope){ 0 };
	body_free(body_take);
	free(v->stream);
	v->stream = xstrdup(value);
	answer_now_or_later(v, SUBMIT_DUE);
}

static struct body *
on_body_new(void *arg)
{
	struct server *v = arg;

	return v->no_body ? NULL : body_new(NULL);
}

static bool
on_may_submit(void *arg, const struct auth_identity *who, unsigned n_recipients)
{
	struct server *v = arg;

	v->n_may_submit += n_recipients;
	return strcmp(who->name, "cy") != 0 || v->n_may_submit <= 1;
}

static void
on_close(void *arg, const char *why, bool abusive)
{
	struct server *v = arg;

	assert_false(v->is_closed);
	assert_non_null(why);
	v->is_closed = true;
	v->is_abusive = abusive;
}

static void
server_start(struct server *v, enum kind kind, bool answers_late)
{
	struct session_setup setup = { .now_us = 0 };
	struct session_ops ops = {
		.write = on_write,
		.start_tls = on_start_tls,
		.check_password = on_check_password,
		.submit = on_submit,
		.body_new = on_body_new,
		.may_submit = on_may_submit,
		.close = on_close,
		.arg = v,
	};

	if (v->conf.daemon.hostname == NULL)
		v->conf = conf_template;
	v->answers_late = answers_late;
	setup.conf = &v->conf;
	setup.listener = kind <= STRANGER ? &listeners[0]
	    : kind == PLAINTEXT		  ? &listeners[2]
					  : &listeners[1];
	setup.is_trusted = kind == TRUSTED;
	setup.has_tls_context = kind == STARTTLS || kind == TLS;
	setup.is_tls = kind == TLS;
	setup.tls_text = kind == TLS ? "TLSv1.2 Y" : NULL;
	snprintf(setup.client, sizeof(setup.client), "[192.0.2.1]");
	v->s = smtp_session_new(&setup, &ops);
	smtp_session_greet(v->s);
}

static void
server_stop(struct server *v)
{
	smtp_session_free(v->s);
	auth_identity_free(v->identity);
	envelope_fini(&v->envelope);
	strbuf_fini(&v->content);
	strbuf_fini(&v->out);
	free(v->stream);
	*v = (struct server){ 0 };
	assert_int_equal(n_bodies, 0);
	assert_int_equal(n_conf_refs, 0);
}

/* The owner's part: gives bytes in pieces of 1..max (0: all at once), answers
 * what is due, and throws away what came before TLS. */
static void
server_feed(struct server *v, const char *data, size_t len, struct rng *rng,
    size_t max)
{
	size_t pos = 0;

	v->has_started_tls = false;
	while (pos < len && !v->has_started_tls) {
		size_t n = max == 0 ? len : 1 + rng_below(rng, max), taken;
		char *copy;

		if (n > len - pos)
			n = len - pos;
		copy = xmemdup(data + pos, n);
		taken = smtp_session_input(v->s, copy, n, 1000000);
		free(copy);
		assert_true(taken <= n);
		if (taken < n)
			assert_int_not_equal(v->due, NOTHING);
		pos += taken;
		if (v->due != NOTHING)
			assert_int_equal(smtp_session_input(v->s, "NOOP\r\n", 6,
					     1000000),
			    0);
		answer(v);
	}
}

static void
say(struct server *v, const char *text)
{
	server_feed(v, text, strlen(text), NULL, 0);
}

/* What the server said since the last time. */
static void
expect(struct server *v, const char *text)
{
	assert_string_equal(v->out.data != NULL ? v->out.data : "", text);
	strbuf_reset(&v->out);
}

/* ---- dialogues ---- */

#define GREETING "220 mx.example ESMTP flyball\r\n"
#define HEAD                                                   \
	"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 200\r\n" \
	"250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"          \
	"250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n"
#define TAIL	  "250 LIMITS RCPTMAX=3\r\n"
#define AUTHS	  "250-AUTH PLAIN LOGIN\r\n"
#define EHLO	  "EHLO c.example\r\n"
#define R_EHLO	  GREETING HEAD TAIL
#define R_TLS	  GREETING HEAD AUTHS TAIL
#define M	  "MAIL FROM:<a@a.example>\r\n"
#define R_M	  "250 2.1.0 Ok\r\n"
#define R	  "RCPT TO:<b@b.example>\r\n"
#define R_R	  "250 2.1.5 Ok\r\n"
#define D	  "DATA\r\n"
#define R_D	  "354 End data with <CR><LF>.<CR><LF>\r\n"
#define H	  "Date: d\r\nMessage-ID: <1@a>\r\n"
#define OK	  "250 2.0.0 Ok\r\n"
#define QUEUED	  "250 2.0.0 Ok: queued as 0000000000001\r\n"
#define QUIT	  "QUIT\r\n"
#define R_Q	  "221 2.0.0 mx.example closing\r\n"
#define UP	  EHLO M R
#define R_UP	  R_EHLO R_M R_R
#define BARE	  "550 5.6.11 Bare CR or LF in the message: lines end with CRLF\r\n"
#define FULL	  "452 4.3.1 Queue is full, try later\r\n"
#define FAILED	  "451 4.3.0 Can't keep the message now, try later\r\n"
#define BYE	  "421 4.3.2 mx.example shutting down, try later\r\n"
#define TOO_BIG	  "552 5.3.4 Message size exceeds the limit\r\n"
#define BAD_PARAM "501 5.5.4 Bad value of parameter "
#define UNKNOWN	  "500 5.5.2 Command not recognized\r\n"
#define ABUSE	  "421 4.7.0 Too many bad commands, closing\r\n"
#define ANN	  "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
#define AUTHED	  "235 2.7.0 Authentication succeeded\r\n"
#define WRONG	  "535 5.7.8 Authentication failed\r\n"
#define MALFORMED "501 5.5.2 Malformed authentication data\r\n"
#define X10	  "xxxxxxxxxx"
#define X40	  X10 X10 X10 X10

enum end { OPEN, CLOSED, ABUSIVE };

static const struct dialogue {
	const char *name;
	enum kind kind;
	const char *in;
	const char *out;
	unsigned n_messages;
	const char *content; /* of the last message, without our Received */
	enum end end;
	const char *in_tls; /* after the first batch, if TLS came up in it */
} dialogues[] = {
	/* Greetings and small verbs. */
	{ .name = "nothing", TRUSTED, "", GREETING },
	{ .name = "ehlo", TRUSTED, EHLO QUIT, R_EHLO R_Q, .end = CLOSED },
	{ .name = "helo",
	    TRUSTED,
	    "HELO c\r\n" QUIT,
	    GREETING "250 mx.example\r\n" R_Q,
	    .end = CLOSED },
	{ .name = "ehlo with literal", TRUSTED, "EHLO [IPv6:::1]\r\n", R_EHLO },
	{ .name = "ehlo without name",
	    TRUSTED,
	    "EHLO\r\n"
	    "HELO \r\n",
	    GREETING "501 5.5.4 This command needs an argument\r\n"
		     "501 5.5.4 This command needs an argument\r\n" },
	{ .name = "ehlo with two names",
	    TRUSTED,
	    "EHLO a b\r\n",
	    GREETING "501 5.5.4 Syntax: EHLO name-or-address-literal\r\n" },
	{ .name = "small verbs",
	    TRUSTED,
	    "NOOP\r\nnoop x y\r\nRSET\r\nVRFY a\r\nHELP\r\nHELP MAIL\r\n" QUIT,
	    GREETING OK OK OK
	    "252 2.5.0 Can't verify, will take mail and try to deliver it\r\n"
	    "214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP "
	    "VRFY HELP QUIT, as RFC 5321 and 6409 say\r\n"
	    "214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP "
	    "VRFY HELP QUIT, as RFC 5321 and 6409 say\r\n" R_Q,
	    .end = CLOSED },
	{ .name = "refused verbs",
	    TRUSTED,
	    EHLO "EXPN a\r\nVRFY\r\nTURN\r\n\r\n",
	    R_EHLO
	    "502 5.5.1 EXPN is not implemented\r\n"
	    "501 5.5.4 This command needs an argument\r\n" UNKNOWN UNKNOWN },
	{ .name = "arguments that nobody asked for",
	    TRUSTED,
	    EHLO "RSET x\r\nQUIT now\r\nSTARTTLS x\r\n" UP "DATA x\r\n",
	    R_EHLO
	    "501 5.5.4 This command takes no arguments\r\n"
	    "501 5.5.4 This command takes no arguments\r\n"
	    "501 5.5.4 This command takes no arguments\r\n" HEAD TAIL R_M R_R
	    "501 5.5.4 This command takes no arguments\r\n" },
	{ .name = "trailing blanks",
	    TRUSTED,
	    EHLO "NOOP \t \r\nRSET  \r\n",
	    R_EHLO OK OK },
	{ .name = "after quit nothing",
	    TRUSTED,
	    "QUIT\r\nNOOP\r\nEHLO c\r\n",
	    GREETING R_Q,
	    .end = CLOSED },

	/* Lines. */
	{ .name = "bare LF ends no command",
	    TRUSTED,
	    "NOOP\nNOOP\r\nNOOP\r\n",
	    GREETING "500 5.5.2 Bare CR, LF or NUL in a line\r\n" OK },
	{ .name = "bare CR ends no command",
	    TRUSTED,
	    "NOOP\rNOOP\r\nNOOP\r\n",
	    GREETING "500 5.5.2 Bare CR, LF or NUL in a line\r\n" OK },
	{ .name = "CRCRLF",
	    TRUSTED,
	    "NOOP\r\r\nNOOP\r\n",
	    GREETING "500 5.5.2 Bare CR, LF or NUL in a line\r\n" OK },
	{ .name = "bare LF before CRLF",
	    TRUSTED,
	    "\n\r\n\n\n\r\nNOOP\r\n",
	    GREETING "500 5.5.2 Bare CR, LF or NUL in a line\r\n"
		     "500 5.5.2 Bare CR, LF or NUL in a line\r\n" OK },
	{ .name = "a mail by bare LF isn't begun",
	    TRUSTED,
	    EHLO "RSET\nMAIL FROM:<a@b>\n\r\n" R,
	    R_EHLO "500 5.5.2 Bare CR, LF or NUL in a line\r\n"
		   "503 5.5.1 Send MAIL first\r\n" },
	{ .name = "too many bad commands",
	    TRUSTED,
	    "A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nNOOP\r\n",
	    GREETING UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN ABUSE,
	    .end = ABUSIVE },
	{ .name = "one less",
	    TRUSTED,
	    "A\r\nB\r\nC\r\nD\r\nE\r\nNOOP\r\n",
	    GREETING UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN OK },
	{ .name = "a good message forgives",
	    TRUSTED,
	    EHLO "A\r\nB\r\nC\r\nD\r\nE\r\n" M R D H ".\r\nF\r\n",
	    R_EHLO UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN R_M R_R R_D QUEUED
		UNKNOWN,
	    1,
	    H },

	/* Who may send. */
	{ .name = "a stranger",
	    STRANGER,
	    EHLO M "NOOP\r\nBDAT 5\r\nQUIT\nFOO\r\n" QUIT,
	    "554 5.7.1 mx.example no service for you\r\n"
	    "503 5.5.1 No service for you here, QUIT\r\n"
	    "503 5.5.1 No service for you here, QUIT\r\n"
	    "503 5.5.1 No service for you here, QUIT\r\n"
	    "503 5.5.1 No service for you here, QUIT\r\n"
	    "503 5.5.1 No service for you here, QUIT\r\n" R_Q,
	    .end = CLOSED },
	{ .name = "mail without auth",
	    TLS,
	    EHLO M,
	    R_TLS "530 5.7.0 Authentication required\r\n" },
	{ .name = "mail without tls",
	    STARTTLS,
	    EHLO M,
	    GREETING HEAD "250-STARTTLS\r\n" TAIL
			  "530 5.7.0 Must issue a STARTTLS command first\r\n" },
	{ .name = "mail without greeting",
	    TRUSTED,
	    M R D "BDAT 4\r\nNOOP",
	    GREETING "503 5.5.1 Send EHLO first\r\n"
		     "503 5.5.1 Send EHLO first\r\n"
		     "503 5.5.1 Send EHLO first\r\n"
		     "503 5.5.1 Send EHLO first\r\n" },

	/* STARTTLS. */
	{ .name = "starttls",
	    STARTTLS,
	    EHLO "STARTTLS\r\n",
	    GREETING HEAD "250-STARTTLS\r\n" TAIL
			  "220 2.0.0 Ready to start TLS\r\n"
			  "503 5.5.1 Send EHLO first\r\n" HEAD AUTHS TAIL
			  "503 5.5.1 TLS is up already\r\n",
	    .in_tls = M EHLO "STARTTLS\r\n" },
	{ .name = "starttls with commands injected",
	    STARTTLS,
	    EHLO "STARTTLS\r\nRSET\r\nEHLO evil\r\nNOOP\r\nNO",
	    GREETING HEAD "250-STARTTLS\r\n" TAIL
			  "220 2.0.0 Ready to start TLS\r\n" OK,
	    .in_tls = "NOOP\r\n" },
	{ .name = "starttls before ehlo",
	    STARTTLS,
	    "STARTTLS\r\n",
	    GREETING "503 5.5.1 Send EHLO first\r\n" },
	{ .name = "starttls not offered",
	    TRUSTED,
	    EHLO "STARTTLS\r\n",
	    R_EHLO "502 5.5.1 STARTTLS is not offered here\r\n" },
	{ .name = "starttls without certificate",
	    NO_TLS,
	    EHLO "STARTTLS\r\n",
	    R_EHLO "454 4.7.0 TLS is not available now\r\n" },
	{ .name = "starttls under implicit tls",
	    TLS,
	    EHLO "STARTTLS\r\n",
	    R_TLS "503 5.5.1 TLS is up already\r\n" },

	/* AUTH. */
	{ .name = "plain",
	    TLS,
	    EHLO ANN M R D H ".\r\n",
	    R_TLS AUTHED R_M R_R R_D QUEUED,
	    1,
	    H },
	{ .name = "plain, then asked",
	    TLS,
	    EHLO "AUTH PLAIN\r\nAGFubgBzZWNyZXQ=\r\n",
	    R_TLS "334 \r\n" AUTHED },
	{ .name = "plain, any case",
	    TLS,
	    EHLO "auth plain AGFubgBzZWNyZXQ=\r\n",
	    R_TLS AUTHED },
	{ .name = "plain with the same authzid",
	    TLS,
	    EHLO "AUTH PLAIN YW5uAGFubgBzZWNyZXQ=\r\n",
	    R_TLS AUTHED },
	{ .name = "plain for another",
	    TLS,
	    EHLO "AUTH PLAIN Ym9iAGFubgBzZWNyZXQ=\r\n",
	    R_TLS WRONG },
	{ .name = "plain, wrong password",
	    TLS,
	    EHLO "AUTH PLAIN AGFubgB4\r\n" M,
	    R_TLS WRONG "530 5.7.0 Authentication required\r\n" },
	{ .name = "plain, empty password",
	    TLS,
	    EHLO "AUTH PLAIN AGFubgA=\r\n",
	    R_TLS WRONG },
	{ .name = "plain, one NUL",
	    TLS,
	    EHLO "AUTH PLAIN AGFubg==\r\n",
	    R_TLS MALFORMED },
	{ .name = "plain, three NULs",
	    TLS,
	    EHLO "AUTH PLAIN AGFubgBzAHQ=\r\n",
	    R_TLS MALFORMED },
	{ .name = "plain, empty",
	    TLS,
	    EHLO "AUTH PLAIN =\r\n",
	    R_TLS MALFORMED },
	{ .name = "plain, no base64",
	    TLS,
	    EHLO "AUTH PLAIN !\r\nAUTH PLAIN AGFubgBzZWNyZXQ\r\n"
		 "AUTH PLAIN AGFubgBzZWNyZXQ= x\r\nNOOP\r\n",
	    R_TLS MALFORMED MALFORMED MALFORMED OK },
	{ .name = "login",
	    TLS,
	    EHLO "AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n",
	    R_TLS "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" AUTHED },
	{ .name = "login with name",
	    TLS,
	    EHLO "AUTH LOGIN YW5u\r\nc2VjcmV0\r\n",
	    R_TLS "334 UGFzc3dvcmQ6\r\n" AUTHED },
	{ .name = "login, wrong password",
	    TLS,
	    EHLO "AUTH LOGIN YW5u\r\neA==\r\n",
	    R_TLS "334 UGFzc3dvcmQ6\r\n" WRONG },
	{ .name = "login, empty name",
	    TLS,
	    EHLO "AUTH LOGIN\r\n\r\nc2VjcmV0\r\n",
	    R_TLS "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" WRONG },
	{ .name = "login, NUL in name",
	    TLS,
	    EHLO "AUTH LOGIN\r\nYQBi\r\nNOOP\r\n",
	    R_TLS "334 VXNlcm5hbWU6\r\n" MALFORMED OK },
	{ .name = "login, no base64",
	    TLS,
	    EHLO "AUTH LOGIN\r\nann\r\nNOOP\r\n",
	    R_TLS "334 VXNlcm5hbWU6\r\n" MALFORMED OK },
	{ .name = "login, bare LF",
	    TLS,
	    EHLO "AUTH LOGIN\r\nYW5u\nYW5u\r\nNOOP\r\n",
	    R_TLS "334 VXNlcm5hbWU6\r\n" MALFORMED OK },
	{ .name = "cancelled",
	    TLS,
	    EHLO "AUTH LOGIN YW5u\r\n*\r\nNOOP\r\n",
	    R_TLS "334 UGFzc3dvcmQ6\r\n"
		  "501 5.7.0 Authentication cancelled\r\n" OK },
	{ .name = "unknown mechanism",
	    TLS,
	    EHLO "AUTH CRAM-MD5\r\nAUTH\r\n",
	    R_TLS "504 5.5.4 Only PLAIN and LOGIN are offered\r\n"
		  "501 5.5.4 This command needs an argument\r\n" },
	{ .name = "users can't be read",
	    TLS,
	    EHLO "AUTH PLAIN AGJ1c3kAeA==\r\n" M,
	    R_TLS "454 4.7.0 Authentication is not possible now\r\n"
		  "530 5.7.0 Authentication required\r\n" },
	{ .name = "twice",
	    TLS,
	    EHLO ANN ANN,
	    R_TLS AUTHED "503 5.5.1 Already authenticated\r\n" },
	{ .name = "before ehlo",
	    TLS,
	    ANN,
	    GREETING "503 5.5.1 Send EHLO first\r\n" },
	{ .name = "without tls",
	    STARTTLS,
	    EHLO ANN,
	    GREETING HEAD
	    "250-STARTTLS\r\n" TAIL
	    "538 5.7.11 Encryption required, STARTTLS first\r\n" },
	{ .name = "without tls where that is allowed",
	    PLAINTEXT,
	    EHLO ANN M,
	    R_TLS AUTHED R_M },
	{ .name = "not offered",
	    TRUSTED,
	    EHLO ANN,
	    R_EHLO "502 5.5.1 AUTH is not offered here\r\n" },
	{ .name = "within a transaction",
	    TLS,
	    EHLO ANN M ANN,
	    R_TLS AUTHED R_M "503 5.5.1 Not within a transaction\r\n" },
	{ .name = "too many failures",
	    TLS,
	    EHLO "AUTH PLAIN AGFubgB4\r\nAUTH PLAIN AGFubgB4\r\n" ANN,
	    R_TLS WRONG
	    "421 4.7.0 Too many failed authentications, closing\r\n",
	    .end = ABUSIVE },
	{ .name = "one less failure",
	    TLS,
	    EHLO "AUTH PLAIN AGFubgB4\r\n" ANN,
	    R_TLS WRONG AUTHED },
	{ .name = "sender's domain",
	    TLS,
	    EHLO "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n" M
		 "MAIL FROM:<x@b.EXAMPLE>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\n"
		 "MAIL FROM:<x@c.b.example>\r\n",
	    R_TLS AUTHED
	    "553 5.7.1 Sender's domain is not allowed for this user\r\n" R_M OK
		R_M OK
	    "553 5.7.1 Sender's domain is not allowed for this user\r\n" },
	{ .name = "rate of submission",
	    TLS,
	    EHLO "AUTH PLAIN AGN5AHNlY3JldA==\r\n" M R R D H ".\r\n",
	    R_TLS AUTHED R_M R_R
	    "450 4.7.1 This user's rate of submission is reached\r\n" R_D
		QUEUED,
	    1,
	    H },

	/* MAIL and RCPT. */
	{ .name = "order of commands",
	    TRUSTED,
	    EHLO R D M M D "BDAT 2\r\nabDATA\r\n",
	    R_EHLO "503 5.5.1 Send MAIL first\r\n"
		   "503 5.5.1 Send MAIL first\r\n" R_M
		   "503 5.5.1 Not within a transaction\r\n"
		   "554 5.5.1 No valid recipients\r\n"
		   "554 5.5.1 No valid recipients\r\n" ABUSE,
	    .end = ABUSIVE },
	{ .name = "size at its limit",
	    TRUSTED,
	    EHLO "MAIL FROM:<> SIZE=200\r\nRSET\r\nMAIL FROM:<> SIZE=201\r\n"
		 "MAIL FROM:<> SIZE=99999999999999999999\r\n",
	    R_EHLO R_M OK TOO_BIG TOO_BIG },
	{ .name = "bad parameters",
	    TRUSTED,
	    EHLO "MAIL FROM:<> RET=X\r\nMAIL FROM:<> X=Y\r\n"
		 "MAIL FROM:<> BODY=BINARYMIME\r\n" M
		 "RCPT TO:<a@b> NOTIFY=X\r\n",
	    R_EHLO BAD_PARAM
	    "RET\r\n555 5.5.4 Unsupported parameter\r\n"
	    "555 5.5.4 BODY=BINARYMIME is not offered here\r\n" R_M BAD_PARAM
	    "NOTIFY\r\n" },
	{ .name = "recipients at their limit",
	    TRUSTED,
	    EHLO M R R R R D H ".\r\n",
	    R_EHLO R_M R_R R_R R_R
	    "452 4.5.3 Too many recipients\r\n" R_D QUEUED,
	    1,
	    H },
	{ .name = "bad recipients are no bad commands",
	    TRUSTED,
	    EHLO M "RCPT TO:<a>\r\nRCPT TO:<a>\r\nRCPT TO:<a>\r\nRCPT TO:<a>"
		   "\r\nRCPT TO:<a>\r\nRCPT TO:<a>\r\n"
		   "RCPT TO:<postmaster>\r\n" R D H ".\r\n",
	    R_EHLO R_M
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "550 5.1.3 Recipient address needs a domain\r\n" R_R R_D QUEUED,
	    1,
	    H },
	{ .name = "utf-8 addresses",
	    TRUSTED,
	    EHLO M "RCPT TO:<\xc3\xa9@b>\r\nRSET\r\n"
		   "MAIL FROM:<\xc3\xa9@b>\r\n"
		   "MAIL FROM:<\xc3\xa9@b> SMTPUTF8\r\n"
		   "RCPT TO:<\xc3\xa9@b\xc3\xbc"
		   "cher.example>\r\n"
		   "RCPT TO:<a@\xc3\xbc@b>\r\nRCPT TO:<a@\xe2\x80\x8b>\r\n",
	    R_EHLO R_M "553 5.6.7 Recipient address needs SMTPUTF8\r\n" OK
		       "553 5.6.7 Sender address needs SMTPUTF8\r\n" R_M R_R
		       "501 5.1.3 Bad recipient address syntax\r\n"
		       "550 5.1.2 Recipient's domain is none\r\n" },
	{ .name = "rset and ehlo forget",
	    TRUSTED,
	    UP "RSET\r\n" R M R EHLO D,
	    R_UP OK "503 5.5.1 Send MAIL first\r\n" R_M R_R HEAD TAIL
		    "503 5.5.1 Send MAIL first\r\n" },

	/* DATA. */
	{ .name = "pipelined",
	    TRUSTED,
	    UP D H "\r\n..a\r\n.\r\n" M R D H "\r\nb\r\n.\r\n" QUIT,
	    R_UP R_D QUEUED R_M R_R R_D QUEUED R_Q,
	    2,
	    H "\r\nb\r\n",
	    CLOSED },
	{ .name = "dots",
	    TRUSTED,
	    UP D H "\r\n..\r\n...a\r\n.b\r\n.\r\n",
	    R_UP R_D QUEUED,
	    1,
	    H "\r\n.\r\n..a\r\nb\r\n" },
	{ .name = "no blank line",
	    TRUSTED,
	    UP D H "text here\r\n.\r\n",
	    R_UP R_D QUEUED,
	    1,
	    H "\r\ntext here\r\n" },
	{ .name = "smuggled by LF.LF",
	    TRUSTED,
	    UP D H "\r\na\n.\n" M R D "b\r\n.\r\nNOOP\r\n",
	    R_UP R_D BARE OK },
	{ .name = "smuggled by LF.CRLF",
	    TRUSTED,
	    UP D H "\r\na\n.\r\n" M R D "b\r\n.\r\nNOOP\r\n",
	    R_UP R_D BARE OK },
	{ .name = "smuggled by CRLF.LF",
	    TRUSTED,
	    UP D H "\r\na\r\n.\n" M R D "b\r\n.\r\nNOOP\r\n",
	    R_UP R_D BARE OK },
	{ .name = "smuggled by CR.CR",
	    TRUSTED,
	    UP D H "\r\na\r.\r" M R D "b\r\n.\r\nNOOP\r\n",
	    R_UP R_D BARE OK },
	{ .name = "smuggled by CR.CRLF",
	    TRUSTED,
	    UP D H "\r\na\r.\r\n" M R D "b\r\n.\r\nNOOP\r\n",
	    R_UP R_D BARE OK },
	{ .name = "smuggled by CRLF.CR",
	    TRUSTED,
	    UP D H "\r\na\r\n.\r" M R D "b\r\n.\r\nNOOP\r\n",
	    R_UP R_D BARE OK },
	{ .name = "bare CR in the header",
	    TRUSTED,
	    UP D "A: b\rC: d\r\n.\r\n",
	    R_UP R_D BARE },
	{ .name = "size at its limit while reading",
	    TRUSTED,
	    UP D H "\r\n" X40 X40 X40 X40 "12345678\r\n.\r\n" M R D H
		   "\r\n" X40 X40 X40 X40 "123456789\r\n.\r\nNOOP\r\n",
	    R_UP R_D QUEUED R_M R_R R_D TOO_BIG OK,
	    1,
	    H "\r\n" X40 X40 X40 X40 "12345678\r\n" },
	{ .name = "too big and bare LF",
	    TRUSTED,
	    UP D "\n" X40 X40 X40 X40 X40 "\r\n.\r\n",
	    R_UP R_D TOO_BIG },
	{ .name = "a loop",
	    TRUSTED,
	    UP D "Received: 1\r\nReceived: 2\r\n" H
		 "\r\nReceived: 3\r\n.\r\n" M R D
		 "Received: 1\r\nReceived: 2\r\nReceived: 3\r\n" H "\r\n.\r\n",
	    R_UP R_D QUEUED R_M R_R R_D
	    "554 5.4.6 Too many Received fields: a mail loop\r\n",
	    1,
	    "Received: 1\r\nReceived: 2\r\n" H "\r\nReceived: 3\r\n" },

	/* BDAT. */
	{ .name = "bdat",
	    TRUSTED,
	    UP "BDAT 28 LAST\r\n" H M,
	    R_UP QUEUED R_M,
	    1,
	    H },
	{ .name = "bdat in chunks",
	    TRUSTED,
	    UP "BDAT 28\r\n" H "bdat 5 last\r\n\r\na\r\nNOOP\r\n",
	    R_UP "250 2.0.0 28 octets received\r\n" QUEUED OK,
	    1,
	    H "\r\na\r\n" },
	{ .name = "bdat cut within CRLF",
	    TRUSTED,
	    UP "BDAT 27\r\nDate: d\r\nMessage-ID: <1@a>\rBDAT 1 LAST\r\n\n",
	    R_UP "250 2.0.0 27 octets received\r\n" QUEUED,
	    1,
	    H },
	{ .name = "bdat 0 last",
	    TRUSTED,
	    UP "BDAT 28\r\n" H "BDAT 0 LAST\r\n",
	    R_UP "250 2.0.0 28 octets received\r\n" QUEUED,
	    1,
	    H },
	{ .name = "bdat 0",
	    TRUSTED,
	    UP "BDAT 0\r\nBDAT 28 LAST\r\n" H,
	    R_UP "250 2.0.0 0 octets received\r\n" QUEUED,
	    1,
	    H },
	{ .name = "bdat without last CRLF",
	    TRUSTED,
	    UP "BDAT 33 LAST\r\n" H "\r\nabc",
	    R_UP QUEUED,
	    1,
	    H "\r\nabc\r\n" },
	{ .name = "bdat keeps dots",
	    TRUSTED,
	    UP "BDAT 34 LAST\r\n" H "\r\n.\r\n.",
	    R_UP QUEUED,
	    1,
	    H "\r\n.\r\n.\r\n" },
	{ .name = "bdat with commands in it",
	    TRUSTED,
	    UP "BDAT 36 LAST\r\n" H "\r\nQUIT\r\n",
	    R_UP QUEUED,
	    1,
	    H "\r\nQUIT\r\n" },
	{ .name = "bdat: bare CR at the end of a chunk",
	    TRUSTED,
	    UP "BDAT 2\r\na\rBDAT 2 LAST\r\nb\nNOOP\r\n",
	    R_UP "250 2.0.0 2 octets received\r\n" BARE OK },
	{ .name = "bdat: bare CR at the very end",
	    TRUSTED,
	    UP "BDAT 29 LAST\r\n" H "\rNOOP\r\n",
	    R_UP BARE OK },
	{ .name = "bdat: bare LF, chunks behind it are read",
	    TRUSTED,
	    UP "BDAT 2\r\na\nBDAT 6\r\nQUIT\r\nBDAT 1 LAST\r\nx" M,
	    R_UP BARE BARE BARE R_M },
	{ .name = "bdat without mail",
	    TRUSTED,
	    EHLO "BDAT 6\r\nQUIT\r\nNOOP\r\n",
	    R_EHLO "503 5.5.1 Send MAIL first\r\n" OK },
	{ .name = "bdat without recipients",
	    TRUSTED,
	    EHLO M "BDAT 6 LAST\r\nQUIT\r\n" R,
	    R_EHLO R_M "554 5.5.1 No valid recipients\r\n" R_R },
	{ .name = "bdat, then others",
	    TRUSTED,
	    UP "BDAT 28\r\n" H D M R "RSET\r\n" M,
	    R_UP "250 2.0.0 28 octets received\r\n"
		 "503 5.5.1 Not between BDAT chunks\r\n"
		 "503 5.5.1 Not between BDAT chunks\r\n"
		 "503 5.5.1 Not between BDAT chunks\r\n" OK R_M },
	{ .name = "bdat at the limit of size",
	    TRUSTED,
	    UP "BDAT 160\r\n" X40 X40 X40 X40 "BDAT 40 LAST\r\n" X40 M R
	       "BDAT 160\r\n" X40 X40 X40 X40 "BDAT 41\r\nx" X40
	       "BDAT 2 LAST\r\n\r\n",
	    R_UP "250 2.0.0 160 octets received\r\n" TOO_BIG R_M R_R
		 "250 2.0.0 160 octets received\r\n" TOO_BIG TOO_BIG },
	{ .name = "bdat of no size",
	    TRUSTED,
	    UP "BDAT x LAST\r\nNOOP\r\n",
	    R_UP "501 5.5.4 Syntax: BDAT size [LAST]\r\n"
		 "421 4.7.0 No telling where the chunk ends, closing\r\n",
	    .end = CLOSED },
	{ .name = "bdat with more",
	    TRUSTED,
	    UP "BDAT 1 LAST x\r\n",
	    R_UP "501 5.5.4 Syntax: BDAT size [LAST]\r\n"
		 "421 4.7.0 No telling where the chunk ends, closing\r\n",
	    .end = CLOSED },
};

/* The message behind our own field, which is as its own test says. */
static const char *
behind_received(const char *content)
{
	assert_memory_equal(content, "Received: from ", 15);
	do
		content = strstr(content, "\r\n") + 2;
	while (*content == '\t');
	return content;
}

static void
run(const struct dialogue *d, bool answers_late, struct rng *rng, size_t max)
{
	struct server v = { 0 };

	server_start(&v, d->kind, answers_late);
	server_feed(&v, d->in, strlen(d->in), rng, max);
	if (d->in_tls != NULL) {
		assert_true(v.has_started_tls);
		server_feed(&v, d->in_tls, strlen(d->in_tls), rng, max);
	}
	assert_string_equal(v.out.data, d->out);
	assert_int_equal(v.n_messages, d->n_messages);
	if (d->content != NULL)
		assert_string_equal(behind_received(v.content.data),
		    d->content);
	assert_int_equal(v.is_closed, d->end != OPEN);
	assert_int_equal(v.is_abusive, d->end == ABUSIVE);
	server_stop(&v);
}

static void
dialogues_read_as_written(void **state)
{
	struct rng rng = { 20261124 };
	size_t i, k;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++) {
		print_message("%s\n", dialogues[i].name);
		for (k = 0; k < 2; k++) {
			run(&dialogues[i], k == 1, NULL, 0);
			run(&dialogues[i], k == 1, &rng, 1);
		}
		for (k = 0; k < 40; k++)
			run(&dialogues[i], k % 2 == 1, &rng, 2 + k);
	}
}

/* ---- single matters ---- */

/* A batch is answered by one write, whatever is in it. */
static void
replies_are_written_once_a_batch(void **state)
{
	struct server v = { 0 };

	(void)state;
	server_start(&v, TRUSTED, true);
	assert_int_equal(v.n_writes, 1);
	say(&v, EHLO);
	assert_int_equal(v.n_writes, 2);
	say(&v, M R R D);
	assert_int_equal(v.n_writes, 3);
	say(&v, "\r\n.\r\n");
	assert_int_equal(v.n_writes, 4);
	server_stop(&v);
}

static void
envelope_has_what_was_said(void **state)
{
	struct server v = { 0 };
	struct envelope *e = &v.envelope;
	struct recipient *r;

	(void)state;
	server_start(&v, TLS, false);
	say(&v,
	    EHLO ANN
	    "MAIL FROM:<a@a.example> RET=FULL ENVID=QQ BODY=8BITMIME\r\n"
	    "RCPT TO:<\"B b\"@B.example> NOTIFY=NEVER\r\n"
	    "RCPT TO:<c@c> ORCPT=rfc822;x@y NOTIFY=SUCCESS,DELAY\r\n" D
	    "x-STREAM: news \r\n\r\n\xc3\xa9\r\n.\r\n");
	assert_int_equal(v.n_messages, 1);
	assert_string_equal(e->sender, "a@a.example");
	assert_string_equal(e->envid, "QQ");
	assert_string_equal(e->user, "ann");
	assert_string_equal(e->client, "[192.0.2.1]");
	assert_string_equal(e->helo, "c.example");
	assert_int_equal(e->ret, RET_FULL);
	assert_int_equal(e->body, BODY_8BITMIME);
	assert_false(e->smtputf8);
	assert_true(e->has_8bit);
	assert_true(e->arrived_utc_us > 0);
	assert_int_equal(e->n_deliveries, 1);
	assert_int_equal(e->deliveries->n_recipients, 2);
	r = e->deliveries->recipients;
	assert_string_equal(r[0].address, "\"B b\"@B.example");
	assert_null(r[0].orcpt);
	assert_int_equal(r[0].notify, NOTIFY_NEVER);
	assert_string_equal(r[1].address, "c@c");
	assert_string_equal(r[1].orcpt, "rfc822;x@y");
	assert_int_equal(r[1].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_string_equal(v.stream, "news");
	assert_string_equal(smtp_session_identity(v.s)->name, "ann");
	/* Nothing of it is left for the next one. */
	say(&v, "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<d@d>\r\n" D "\r\n.\r\n");
	assert_int_equal(v.n_messages, 2);
	assert_string_equal(e->sender, "");
	assert_null(e->envid);
	assert_true(e->smtputf8);
	assert_false(e->has_8bit);
	assert_int_equal(e->ret, RET_ABSENT);
	assert_int_equal(e->body, BODY_ABSENT);
	assert_int_equal(e->deliveries->n_recipients, 1);
	assert_null(v.stream);
	server_stop(&v);
}

static void
received_is_ours_and_tells_no_names(void **state)
{
	static const struct {
		enum kind kind;
		const char *in, *field;
	} rows[] = {
		{ TRUSTED, UP D "\r\n.\r\n",
		    "Received: from c.example ([192.0.2.1])\r\n"
		    "\tby mx.example (flyball) with ESMTP\r\n"
		    "\tfor <b@b.example>;\r\n\t" },
		{ TRUSTED, "HELO c_d\r\n" M R R D "\r\n.\r\n",
		    "Received: from c_d ([192.0.2.1])\r\n"
		    "\tby mx.example (flyball) with SMTP;\r\n\t" },
		{ TLS, EHLO ANN M R D "\r\n.\r\n",
		    "Received: from c.example ([192.0.2.1])\r\n"
		    "\tby mx.example (flyball) with ESMTPSA (TLSv1.2 Y)\r\n"
		    "\tfor <b@b.example>;\r\n\t" },
		{ PLAINTEXT, EHLO ANN M R D "\r\n.\r\n",
		    "Received: from c.example ([192.0.2.1])\r\n"
		    "\tby mx.example (flyball) with ESMTPA\r\n"
		    "\tfor <b@b.example>;\r\n\t" },
		{ TRUSTED, EHLO "MAIL FROM:<> SMTPUTF8\r\n" R D "\r\n.\r\n",
		    "Received: from c.example ([192.0.2.1])\r\n"
		    "\tby mx.example (flyball) with UTF8SMTP\r\n"
		    "\tfor <b@b.example>;\r\n\t" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct server v = { 0 };

		server_start(&v, rows[i].kind, false);
		say(&v, rows[i].in);
		assert_int_equal(v.n_messages, 1);
		assert_memory_equal(v.content.data, rows[i].field,
		    strlen(rows[i].field));
		server_stop(&v);
	}
}

static void
missing_fields_are_added(void **state)
{
	static const struct {
		const char *in;
		bool date, message_id;
		const char *end;
	} rows[] = {
		{ UP D "A: b\r\n\r\nx\r\n.\r\n", true, true, "\r\n\r\nx\r\n" },
		{ UP D "date: x\r\n\r\nx\r\n.\r\n", false, true,
		    "\r\n\r\nx\r\n" },
		{ UP D "MESSAGE-ID: x\r\n\r\n.\r\n", true, false, "\r\n\r\n" },
		{ UP D H "\r\n.\r\n", false, false, "\r\n\r\n" },
		{ UP D ".\r\n", true, true, "@mx.example>\r\n" },
		{ UP D "\r\nDate: x\r\n.\r\n", true, true,
		    "\r\n\r\nDate: x\r\n" },
		{ UP D "text\r\n.\r\n", true, true, "\r\n\r\ntext\r\n" },
		{ UP "BDAT 0 LAST\r\n", true, true, "@mx.example>\r\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct server v = { 0 };
		const char *text;

		server_start(&v, TRUSTED, false);
		say(&v, rows[i].in);
		assert_int_equal(v.n_messages, 1);
		text = behind_received(v.content.data);
		assert_int_equal(strstr(text, "Date: ") != NULL &&
			strstr(text, " +0000\r\n") > strstr(text, "Date: "),
		    rows[i].date);
		assert_int_equal(strstr(text, "Message-ID: <") != NULL &&
			strstr(text, "@mx.example>\r\n") != NULL,
		    rows[i].message_id);
		text += strlen(text) - strlen(rows[i].end);
		assert_string_equal(text, rows[i].end);
		server_stop(&v);
	}
}

static void
spool_results_are_told(void **state)
{
	static const struct {
		enum spool_result result;
		const char *out;
	} rows[] = {
		{ SPOOL_OK, R_UP R_D QUEUED R_M },
		{ SPOOL_FULL, R_UP R_D FULL R_M },
		{ SPOOL_FAILED, R_UP R_D FAILED R_M },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++) {
		struct server v = { .result = rows[i / 2].result };

		server_start(&v, TRUSTED, i % 2);
		say(&v, UP D "\r\n.\r\n" M);
		expect(&v, rows[i / 2].out);
		server_stop(&v);
	}
}

static void
disk_trouble_is_told_at_the_end(void **state)
{
	struct server v = { 0 };

	(void)state;
	server_start(&v, TRUSTED, false);
	say(&v, UP D);
	expect(&v, R_UP R_D);
	body_room = 0;
	say(&v, "a\r\n");
	expect(&v, "");
	say(&v, "b\r\n.\r\n");
	expect(&v, FAILED);
	body_room = SIZE_MAX;
	assert_int_equal(n_bodies, 0);
	say(&v, M R "BDAT 28\r\n" H);
	expect(&v, R_M R_R "250 2.0.0 28 octets received\r\n");
	body_room = 0;
	say(&v, "BDAT 2\r\n\r\nBDAT 2 LAST\r\n\r\n");
	expect(&v, FAILED FAILED);
	body_room = SIZE_MAX;
	v.no_body = true;
	say(&v, M R D M R "BDAT 2 LAST\r\na\n");
	expect(&v, R_M R_R FAILED R_M R_R BARE);
	say(&v, M R "BDAT 2 LAST\r\n\r\n");
	expect(&v, R_M R_R FAILED);
	server_stop(&v);
}

/* A line of `len` octets with its CRLF, of the given beginning. */
static char *
line_of(const char *start, size_t len)
{
	char *line = xmalloc(len + 1);

	memset(line, 'A', len);
	memcpy(line, start, strlen(start));
	memcpy(line + len - 2, "\r\n", 3);
	return line;
}

static void
check_line(const char *start, size_t len, enum kind kind, const char *before,
    const char *reply)
{
	struct rng rng = { len };
	size_t max;

	for (max = 0; max < 4000; max = max * 3 + 1) {
		struct server v = { 0 };
		char *line = line_of(start, len);

		server_start(&v, kind, false);
		say(&v, before);
		strbuf_reset(&v.out);
		server_feed(&v, line, len, &rng, max);
		say(&v, "NOOP\r\n");
		assert_memory_equal(v.out.data, reply, strlen(reply));
		assert_string_equal(v.out.data + v.out.len - strlen(OK), OK);
		free(line);
		server_stop(&v);
	}
}

static void
lines_end_at_their_limit(void **state)
{
	(void)state;
	check_line("NOOP ", 2048, TRUSTED, EHLO, OK);
	check_line("NOOP ", 2049, TRUSTED, EHLO, "500 5.5.2 Line too long");
	check_line("NOOP ", 100000, TRUSTED, EHLO, "500 5.5.2 Line too long");
	/* The longest line is no password that we know. */
	check_line("AUTH PLAIN ", 12288, TLS, EHLO, MALFORMED);
	check_line("auth plain ", 12289, TLS, EHLO,
	    "500 5.5.6 Authentication line too long");
	check_line("", 12288, TLS, EHLO "AUTH PLAIN\r\n", MALFORMED);
	check_line("", 12289, TLS, EHLO "AUTH PLAIN\r\n",
	    "500 5.5.6 Authentication line too long");
	check_line("AUTHX PLAIN ", 2049, TLS, EHLO, "500 5.5.2 Line too long");
}

static void
nul_in_a_line_or_content_is_refused(void **state)
{
	struct server v = { 0 };

	(void)state;
	server_start(&v, TRUSTED, false);
	server_feed(&v, "NOOP\0x\r\n", 8, NULL, 0);
	expect(&v, GREETING "500 5.5.2 Bare CR, LF or NUL in a line\r\n");
	say(&v, UP D);
	strbuf_reset(&v.out);
	server_feed(&v, "a: b\r\n\r\n\0\r\n.\r\n", 15, NULL, 0);
	expect(&v, "550 5.6.11 NUL in the message\r\n");
	assert_int_equal(v.n_messages, 0);
	server_stop(&v);
}

static void
long_content_lines_pass_up_to_their_limit(void **state)
{
	size_t len;

	(void)state;
	for (len = CONTENT_LINE_MAX; len <= CONTENT_LINE_MAX + 1; len++) {
		struct server v = { .conf = conf_template };
		char *line = line_of("", len + 2);

		v.conf.limits.message_size_bytes = 1000000;
		server_start(&v, TRUSTED, false);
		say(&v, UP D H "\r\n");
		strbuf_reset(&v.out);
		say(&v, line);
		say(&v, ".\r\n");
		expect(&v,
		    len <= CONTENT_LINE_MAX
			? QUEUED
			: "550 5.6.0 A line of the message is too long\r\n");
		free(line);
		server_stop(&v);
	}
}

static void
thousand_recipients_fit(void **state)
{
	struct server v = { .conf = conf_template };
	struct strbuf in = { 0 };
	unsigned i;

	(void)state;
	v.conf.limits.recipients = 1000;
	server_start(&v, TRUSTED, true);
	say(&v, EHLO M);
	for (i = 0; i < 1001; i++)
		strbuf_addf(&in, "RCPT TO:<u%u@d%u.example>\r\n", i, i % 7);
	strbuf_reset(&v.out);
	server_feed(&v, in.data, in.len, NULL, 0);
	assert_int_equal(v.out.len,
	    1000 * strlen(R_R) + strlen("452 4.5.3 Too many recipients\r\n"));
	say(&v, D H ".\r\n");
	assert_int_equal(v.envelope.deliveries->n_recipients, 1000);
	assert_string_equal(v.envelope.deliveries->recipients[999].address,
	    "u999@d5.example");
	assert_null(strstr(v.content.data, "\tfor <"));
	strbuf_fini(&in);
	server_stop(&v);
}

static void
deadlines_are_absolute(void **state)
{
	struct server v = { 0 };
	const int64_t s = 1000000;

	(void)state;
	server_start(&v, TRUSTED, true);
	assert_int_equal(smtp_session_deadline_us(v.s), 300 * s);
	/* Bytes that make no line move nothing. */
	smtp_session_input(v.s, "EHLO c", 6, 100 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 300 * s);
	smtp_session_input(v.s, "\r\n" M R, 2 + strlen(M R), 200 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 500 * s);
	assert_int_equal(smtp_session_timeout_us(v.s), 300 * s);
	smtp_session_input(v.s, D, strlen(D), 210 * s);
	assert_int_equal(smtp_session_timeout_us(v.s), 600 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 810 * s);
	smtp_session_input(v.s, "a\r\n", 3, 800 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 810 * s);
	smtp_session_input(v.s, ".\r\n", 3, 805 * s);
	assert_true(smtp_session_deadline_us(v.s) == INT64_MAX);
	assert_true(smtp_session_is_waiting(v.s));
	answer(&v);
	smtp_session_input(v.s, "", 0, 900 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 1200 * s);
	/* All chunks of one message share one deadline. */
	smtp_session_input(v.s, M R "BDAT 1\r\nx", strlen(M R) + 9, 1000 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 1600 * s);
	smtp_session_input(v.s, "BDAT 2\r\nx", 9, 1500 * s);
	assert_int_equal(smtp_session_deadline_us(v.s), 1600 * s);
	strbuf_reset(&v.out);
	smtp_session_timed_out(v.s);
	expect(&v, "421 4.4.2 mx.example timeout, closing\r\n");
	assert_true(v.is_closed);
	smtp_session_timed_out(v.s);
	expect(&v, "");
	server_stop(&v);
	server_start(&v, STRANGER, true);
	assert_int_equal(smtp_session_deadline_us(v.s), 10 * s);
	server_stop(&v);
}

static void
a_stranger_keeps_no_session_for_ever(void **state)
{
	struct server v = { 0 };
	const int64_t minute_us = 60000000;
	int n = 0;

	(void)state;
	/* By many small commands: the ones too many are bad ones. */
	server_start(&v, TLS, false);
	for (; n < 200 && !v.is_closed; n++)
		smtp_session_input(v.s, "NOOP\r\n", 6, 0);
	assert_int_equal(n, 100 + conf_template.limits.bad_commands);
	assert_true(v.is_abusive);
	server_stop(&v);
	/* By few, one before each deadline. */
	server_start(&v, TLS, false);
	for (n = 1; n < 100 && !v.is_closed; n++)
		smtp_session_input(v.s, "NOOP\r\n", 6, n * 4 * minute_us);
	assert_int_equal(n, 4);
	assert_false(v.is_abusive);
	server_stop(&v);
	/* Whom we know may stay. */
	server_start(&v, TLS, false);
	smtp_session_input(v.s, EHLO ANN, strlen(EHLO ANN), 0);
	for (n = 1; n < 300; n++)
		smtp_session_input(v.s, "NOOP\r\n", 6, n * 4 * minute_us);
	assert_false(v.is_closed);
	server_stop(&v);
}

/* Nobody may have us write without end by asking without reading. */
static void
a_flood_of_commands_is_answered_in_portions(void **state)
{
	enum { N = 65536 };
	struct server v = { 0 };
	struct strbuf flood = { 0 };
	size_t taken = 0;

	(void)state;
	server_start(&v, TRUSTED, true);
	for (int i = 0; i < N; i++)
		strbuf_adds(&flood, "EHLO a\r\n");
	while (taken < flood.len) {
		size_t n;

		strbuf_reset(&v.out);
		n = smtp_session_input(v.s, flood.data + taken,
		    flood.len - taken, 0);
		assert_true(n > 0 && v.out.len > 0);
		assert_true(v.out.len < SMTP_SESSION_OUT_MAX + 1024);
		taken += n;
	}
	assert_int_equal(taken, flood.len);
	strbuf_fini(&flood);
	server_stop(&v);
}

static void
shutdown_comes_at_a_boundary(void **state)
{
	struct server v = { 0 };

	(void)state;
	server_start(&v, TRUSTED, true);
	strbuf_reset(&v.out);
	smtp_session_shutdown(v.s);
	expect(&v, BYE);
	assert_true(v.is_closed && !v.is_abusive);
	server_stop(&v);

	/* A message on its way is taken to its end. */
	server_start(&v, TRUSTED, true);
	say(&v, UP D);
	strbuf_reset(&v.out);
	smtp_session_shutdown(v.s);
	assert_false(v.is_closed);
	say(&v, "\r\n.\r\nNOOP\r\n");
	expect(&v, QUEUED BYE);
	assert_true(v.is_closed);
	server_stop(&v);

	server_start(&v, TLS, true);
	say(&v, EHLO);
	strbuf_reset(&v.out);
	smtp_session_input(v.s, ANN, strlen(ANN), 0);
	smtp_session_shutdown(v.s);
	expect(&v, "");
	answer(&v);
	expect(&v, AUTHED BYE);
	server_stop(&v);

	server_start(&v, TRUSTED, true);
	say(&v, UP "BDAT 4\r\nab");
	strbuf_reset(&v.out);
	smtp_session_shutdown(v.s);
	expect(&v, "");
	say(&v, "cd");
	expect(&v, "250 2.0.0 4 octets received\r\n" BYE);
	server_stop(&v);
}

/* Answers for a session that has gone on (timeout) are dropped, not lost. */
static void
late_answers_are_dropped(void **state)
{
	struct server v = { 0 };

	(void)state;
	server_start(&v, TLS, true);
	smtp_session_input(v.s, EHLO ANN, strlen(EHLO ANN), 0);
	assert_int_equal(v.due, AUTH_DUE);
	smtp_session_timed_out(v.s);
	answer(&v);
	assert_null(smtp_session_identity(v.s));
	smtp_session_tls_done(v.s, "x");
	smtp_session_submit_done(v.s, SPOOL_OK, 1);
	assert_int_equal(smtp_session_input(v.s, "NOOP\r\n", 6, 0), 6);
	server_stop(&v);
}

static void
a_message_costs_few_calls(void **state)
{
	struct server v = { .conf = conf_template };
	struct strbuf in = { 0 };

	(void)state;
	v.conf.limits.message_size_bytes = 1 << 20;
	strbuf_adds(&in, H "From: a@b\r\nTo: c@d\r\nSubject: s\r\n\r\n");
	while (in.len < 4096)
		strbuf_adds(&in, "The quick brown fox jumps over it all.\r\n");
	strbuf_adds(&in, ".\r\n");
	server_start(&v, TRUSTED, true);
	say(&v, UP D);
	n_body_adds = 0;
	server_feed(&v, in.data, in.len, NULL, 0);
	assert_int_equal(v.n_messages, 1);
	assert_true(n_body_adds <= 2);
	strbuf_fini(&in);
	server_stop(&v);
}

/* ---- garbage ---- */

static const char *const fragments[] = { "EHLO c\r\n", "HELO c\r\n", M, R, R, D,
	"BDAT 5\r\n", "BDAT 3 LAST\r\n", "BDAT 99999999999\r\n", "RSET\r\n",
	ANN, "AUTH LOGIN\r\n", "YW5u\r\n", "*\r\n", "STARTTLS\r\n", "NOOP\r\n",
	QUIT, "\r\n.\r\n", ".\r\n", "\r", "\n", ".", "Received: x\r\n", H,
	"\r\n", "X-Stream: y\r\n", " ", "SIZE=9",
	"AUTH PLAIN AGJvYgBzZWNyZXQ=", M R D H ".\r\n",
	M R "BDAT 28 LAST\r\n" H, X40, "\xc3\xa9", "<", ">", "BDAT x\r\n",
	"AUTH PLAIN AGFubgB4\r\n" };

static void
add_garbage(struct strbuf *in, struct rng *rng)
{
	size_t i, n = rng_below(rng, 40);
	bool is_noise = rng_below(rng, 4) == 0;

	if (!is_noise && rng_below(rng, 4) != 0)
		strbuf_adds(in, UP);
	for (i = 0; i < n; i++)
		if (is_noise || rng_below(rng, 12) == 0)
			strbuf_addc(in, (char)rng_next(rng));
		else
			strbuf_adds(in,
			    fragments[rng_below(rng,
				sizeof(fragments) / sizeof(fragments[0]))]);
}

/* Every reply is a reply, and lines end with CRLF. */
static void
check_replies(const char *out)
{
	while (*out != '\0') {
		const char *end = strstr(out, "\r\n");

		assert_non_null(end);
		assert_true(out[0] >= '2' && out[0] <= '5');
		assert_true(out[3] == ' ' || out[3] == '-');
		assert_null(memchr(out, '\n', (size_t)(end - out)));
		out = end + 2;
	}
}

/* One session of it; its replies go to out. Returns how many messages came. */
static unsigned
run_garbage(const struct strbuf *in, enum kind kind, bool no_body,
    struct rng *rng, size_t max, struct strbuf *out)
{
	struct server v = { .no_body = no_body };
	unsigned n_messages;

	server_start(&v, kind, max % 2);
	server_feed(&v, in->data, in->len, rng, max);
	strbuf_add(out, v.out.data, v.out.len);
	n_messages = v.n_messages;
	smtp_session_shutdown(v.s);
	check_replies(v.out.data);
	server_stop(&v);
	return n_messages;
}

/* And however it is cut, it reads the same. */
static void
garbage_leaves_nothing_behind(void **state)
{
	struct rng rng = { 991 };
	unsigned i, n_messages = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < 10000; i++) {
		struct strbuf in = { 0 }, whole = { 0 }, cut = { 0 };
		enum kind kind = (enum kind)rng_below(&rng, 6);
		bool no_body = rng_below(&rng, 50) == 0;

		add_garbage(&in, &rng);
		n_messages += run_garbage(&in, kind, no_body, &rng, 0, &whole);
		run_garbage(&in, kind, no_body, &rng, 1 + i % 64, &cut);
		assert_string_equal(whole.data, cut.data);
		strbuf_fini(&in);
		strbuf_fini(&whole);
		strbuf_fini(&cut);
	}
	print_message("%u messages\n", n_messages);
	assert_true(n_messages > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogues_read_as_written),
		cmocka_unit_test(replies_are_written_once_a_batch),
		cmocka_unit_test(envelope_has_what_was_said),
		cmocka_unit_test(received_is_ours_and_tells_no_names),
		cmocka_unit_test(missing_fields_are_added),
		cmocka_unit_test(spool_results_are_told),
		cmocka_unit_test(disk_trouble_is_told_at_the_end),
		cmocka_unit_test(lines_end_at_their_limit),
		cmocka_unit_test(nul_in_a_line_or_content_is_refused),
		cmocka_unit_test(long_content_lines_pass_up_to_their_limit),
		cmocka_unit_test(thousand_recipients_fit),
		cmocka_unit_test(deadlines_are_absolute),
		cmocka_unit_test(a_stranger_keeps_no_session_for_ever),
		cmocka_unit_test(a_flood_of_commands_is_answered_in_portions),
		cmocka_unit_test(shutdown_comes_at_a_boundary),
		cmocka_unit_test(late_answers_are_dropped),
		cmocka_unit_test(a_message_costs_few_calls),
		cmocka_unit_test(garbage_leaves_nothing_behind),
	};

	setenv("TZ", "UTC", 1);
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
