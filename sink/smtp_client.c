/* SPDX-License-Identifier: ISC */
/*
 * The client's side of an SMTP connection: life, states, deadlines. The pool
 * brings the peer's bytes and takes ours; here they become replies, and each
 * reply is one step: of the greeting (smtp_client_greet.c) or of a transaction
 * (smtp_client_send.c). No socket, no clock, no libevent: a test drives it
 * with strings.
 *
 * It must not decide when to retry or how fast to send; it only tells what
 * became of each recipient.
 *
 * The one subtle rule: a callback may begin the next transaction, so after
 * ops.ready() and ops.done() the state is whatever it is now.
 */
#include "sink/smtp_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "sink/smtp_client_private.h"

static const struct state_row {
	const char *awaited;
	enum phase phase; /* of a reply, or of a loss, in this state */
} states[] = {
	[CLIENT_GREETING] = { "the greeting", PHASE_CONNECT },
	[CLIENT_EHLO] = { "the reply to EHLO", PHASE_HELO },
	[CLIENT_HELO] = { "the reply to HELO", PHASE_HELO },
	[CLIENT_STARTTLS] = { "the reply to STARTTLS", PHASE_STARTTLS },
	[CLIENT_TLS] = { "the TLS handshake", PHASE_STARTTLS },
	[CLIENT_AUTH] = { "the reply to AUTH", PHASE_AUTH },
	[CLIENT_READY] = { "a message", PHASE_MAIL },
	[CLIENT_ENVELOPE] = { "the reply to the envelope", PHASE_MAIL },
	[CLIENT_BODY] = { "the peer to read the message", PHASE_DATA },
	[CLIENT_EOD] = { "the reply to the message", PHASE_EOD },
	[CLIENT_RSET] = { "the reply to RSET", PHASE_UNKNOWN },
	[CLIENT_QUIT] = { "the reply to QUIT", PHASE_UNKNOWN },
	[CLIENT_CLOSED] = { "nothing", PHASE_UNKNOWN },
};

/* ---- life ---- */

struct smtp_client *
smtp_client_new(const struct conf_route *route, const char *ehlo,
    const struct client_ops *ops)
{
	struct smtp_client *c = xcalloc(1, sizeof(*c));

	c->route = route;
	c->ehlo = xstrdup(ehlo);
	c->ops = *ops;
	c->state = CLIENT_GREETING;
	return c;
}

void
smtp_client_free(struct smtp_client *c)
{
	if (c == NULL)
		return;
	smtp_reply_fini(&c->reply);
	strbuf_fini(&c->out);
	free(c->refusal);
	free(c->ehlo);
	free(c);
}

void
transaction_fini_results(struct transaction *t)
{
	for (size_t i = 0; t->results != NULL && i < t->n_recipients; i++) {
		free(t->results[i].reply);
		t->results[i] = (struct rcpt_result){ 0 };
	}
}

/* ---- states ---- */

void
client_enter(struct smtp_client *c, enum client_state state)
{
	if (state == CLIENT_CLOSED)
		c->last_phase = smtp_client_phase(c);
	c->state = state;
}

void
client_add(struct smtp_client *c, const char *text)
{
	strbuf_adds(&c->out, text);
}

void
client_close(struct smtp_client *c, bool is_polite, const char *why)
{
	if (c->state == CLIENT_CLOSED)
		return;
	if (is_polite)
		client_add(c, "QUIT\r\n");
	client_enter(c, CLIENT_CLOSED);
	c->ops.close(c->ops.arg, why);
}

/* ---- the peer's bytes ---- */

/* What isn't SMTP, or an answer that nobody asked for. */
static void
meet_nonsense(struct smtp_client *c, const char *why)
{
	switch (c->state) {
	case CLIENT_ENVELOPE:
	case CLIENT_BODY:
	case CLIENT_EOD:
		client_send_lost(c, why);
		client_close(c, false, why);
		break;
	case CLIENT_READY:
	case CLIENT_RSET:
	case CLIENT_QUIT:
		client_close(c, false, why);
		break;
	default:
		client_refuse(c, 0, why);
		break;
	}
}

static void
step(struct smtp_client *c)
{
	c->n_replies++;
	switch (c->state) {
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_STARTTLS:
	case CLIENT_AUTH:
		client_greet_reply(c);
		break;
	case CLIENT_ENVELOPE:
	case CLIENT_BODY:
	case CLIENT_EOD:
		client_send_reply(c);
		break;
	case CLIENT_RSET:
		if (c->reply.code / 100 == 2)
			client_send_ready(c);
		else
			client_close(c, c->reply.code != 421, "RSET refused");
		break;
	case CLIENT_READY: /* mostly 421: it was idle for too long */
		client_close(c, false, "the peer ended the connection");
		break;
	case CLIENT_QUIT:
		client_close(c, false, "QUIT");
		break;
	case CLIENT_TLS:
	case CLIENT_CLOSED:
		break;
	}
}

void
smtp_client_input(struct smtp_client *c, const char *data, size_t len)
{
	/* What follows the 220 to STARTTLS came in clear: RFC 3207 6. */
	while (len > 0 && c->state != CLIENT_CLOSED && c->state != CLIENT_TLS) {
		size_t used;
		enum reply_read rc =
		    smtp_reply_read(&c->reply, data, len, &used);

		data += used;
		len -= used;
		if (rc == REPLY_DONE)
			step(c);
		else if (rc == REPLY_BROKEN)
			meet_nonsense(c, "the peer doesn't speak SMTP");
	}
}

void
smtp_client_writable(struct smtp_client *c)
{
	if (c->state == CLIENT_BODY && client_content_fill(c) < 0)
		client_send_disk_failed(c);
}

void
smtp_client_tls_done(struct smtp_client *c, bool ok, const char *why)
{
	char text[300];

	if (c->state == CLIENT_CLOSED)
		return;
	if (!ok) {
		snprintf(text, sizeof(text), "TLS failed: %s", why);
		if (c->refusal == NULL)
			c->refusal = xstrdup(text);
		client_close(c, false, "TLS failed");
		return;
	}
	c->is_tls = true;
	if (c->state == CLIENT_TLS) {
		smtp_reply_fini(&c->reply);
		client_greet_begin_ehlo(c);
	}
}

void
smtp_client_lost(struct smtp_client *c, const char *why)
{
	if (c->state == CLIENT_CLOSED)
		return;
	if (c->course.t != NULL)
		client_send_lost(c, why);
	if (c->state != CLIENT_CLOSED)
		client_enter(c, CLIENT_CLOSED);
}

void
smtp_client_quit(struct smtp_client *c)
{
	assert(c->state == CLIENT_READY);
	client_add(c, "QUIT\r\n");
	client_enter(c, CLIENT_QUIT);
}

/* ---- what others ask ---- */

struct strbuf *
smtp_client_out(struct smtp_client *c)
{
	return &c->out;
}

enum client_state
smtp_client_state(const struct smtp_client *c)
{
	return c->state;
}

const char *
client_state_name(enum client_state state)
{
	return states[state].awaited;
}

enum phase
smtp_client_phase(const struct smtp_client *c)
{
	const struct course *k = &c->course;

	if (c->state == CLIENT_CLOSED)
		return c->last_phase;
	if (c->state != CLIENT_ENVELOPE || k->awaits_mail)
		return states[c->state].phase;
	if (k->awaits_rcpts > 0)
		return PHASE_RCPT;
	return k->awaits_data ? PHASE_DATA : PHASE_EOD;
}

int64_t
smtp_client_timeout_us(const struct smtp_client *c)
{
	switch (c->state) {
	case CLIENT_GREETING:
		return c->route->timeouts.greeting_us;
	case CLIENT_READY:
		return c->route->idle_timeout_us;
	case CLIENT_BODY:
		return c->route->timeouts.data_block_us;
	case CLIENT_EOD:
		return c->route->timeouts.data_done_us;
	case CLIENT_ENVELOPE:
		break;
	default:
		return c->route->timeouts.command_us;
	}
	/* A server may keep its replies back until it has worked through all
	 * that was pipelined (RFC 2920 3.2), the message included. */
	if (c->course.is_end_sent)
		return c->route->timeouts.data_done_us;
	switch (smtp_client_phase(c)) {
	case PHASE_MAIL:
		return c->route->timeouts.mail_us;
	case PHASE_RCPT:
		return c->route->timeouts.rcpt_us;
	default:
		return c->route->timeouts.data_us;
	}
}

bool
smtp_client_is_tls(const struct smtp_client *c)
{
	return c->is_tls;
}

unsigned
smtp_client_n_sent(const struct smtp_client *c)
{
	return c->n_sent;
}

unsigned
smtp_client_n_replies(const struct smtp_client *c)
{
	return c->n_replies;
}

const char *
smtp_client_refusal(const struct smtp_client *c, int *code_out)
{
	*code_out = c->refusal_code;
	return c->refusal ? c->refusal : "";
}
