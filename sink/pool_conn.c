/* SPDX-License-Identifier: ISC */
/*
 * One connection of the pool: carries bytes between a stream and the client's
 * machine, moves the deadline with the dialogue, and says how a job ended when
 * the connection does. The pool starts it; pool_connect.c connects it.
 *
 * The one subtle rule: the client calls back from within its own steps, so a
 * connection is freed only when the step is over (pool_conn_after), by the
 * stream's news or by the pool.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/xalloc.h"
#include "scheduler/reply_text.h"
#include "sink/pool_private.h"
#include "sink/tls.h"

#define SUBMISSIONS_PORT 465 /* RFC 8314: TLS from the first byte */

/* ---- life ---- */

static struct reply_answer
answer_of_refusal(const struct pool_job *job)
{
	char enhanced[16];
	struct reply_fact fact = { .phase = job->refusal_phase,
		.code = job->refusal_code,
		.enhanced = enhanced,
		.text = job->refusal,
		.provider = job->transaction.provider };

	reply_text_code(job->refusal, enhanced);
	return reply_rules_ask(job->transaction.rules, &fact);
}

/* The permit wasn't used: MAIL was never written. */
static void
finish_unused(struct conn *c, bool is_unreachable, enum phase phase, int code,
    const char *why)
{
	struct pool_job *job = c->job;

	c->job = NULL;
	snprintf(job->peer, sizeof(job->peer), "%s", c->peer);
	job->is_unused = true;
	job->is_unreachable = is_unreachable;
	job->refusal_phase = phase;
	job->refusal_code = code;
	free(job->refusal);
	job->refusal = xstrdup(why);
	job->refusal_answer = answer_of_refusal(job);
	pool_finish_job(c->way->pool, job);
}

static void
conn_free(struct conn *c)
{
	struct way *w = c->way;

	assert(c->job == NULL);
	if (c->state == CONN_IDLE)
		DL_DELETE(w->idle, c);
	DL_DELETE2(w->pool->all, c, all_prev, all_next);
	host_lookup_cancel(c->lookup);
	host_addresses_unref(c->addresses);
	smtp_client_free(c->client);
	stream_free(c->stream);
	pool_count(w->pool, -1);
	w->n_conns--;
	conf_unref(c->conf);
	free(c);
	pool_way_release(w);
}

static void
conn_set_idle(struct conn *c, bool idle)
{
	if (idle == (c->state == CONN_IDLE))
		return;
	c->state = idle ? CONN_IDLE : CONN_BUSY;
	if (idle)
		DL_PREPEND(c->way->idle, c);
	else
		DL_DELETE(c->way->idle, c);
}

/* QUIT politely; the stream flushes it by itself. */
void
pool_conn_quit(struct conn *c)
{
	struct strbuf *out;

	if (c->client != NULL && smtp_client_state(c->client) == CLIENT_READY) {
		smtp_client_quit(c->client);
		out = smtp_client_out(c->client);
		stream_write_all(c->stream, out);
		stream_free_flush(c->stream);
		c->stream = NULL;
	}
	conn_free(c);
}

/* Moves what the client wants to say to the stream, and the deadline along
 * when the dialogue went a step: never when a peer merely trickles. */
static void
conn_push(struct conn *c)
{
	struct strbuf *out = smtp_client_out(c->client);
	enum client_state state = smtp_client_state(c->client);
	unsigned n_replies = smtp_client_n_replies(c->client);
	bool has_moved = out->len > 0 || state != c->timed_state ||
	    n_replies != c->timed_replies;

	if (out->len > 0) {
		stream_write_all(c->stream, out);
		if (out->cap > STREAM_READ_MAX)
			strbuf_fini(out);
	}
	if (!has_moved)
		return;
	c->timed_state = state;
	c->timed_replies = n_replies;
	if (state != CLIENT_READY)
		stream_set_timeout(c->stream,
		    smtp_client_timeout_us(c->client));
	else if (c->way->is_retired || c->way->pool->is_draining)
		stream_set_timeout(c->stream, 1); /* QUIT from the loop */
	else
		stream_set_timeout(c->stream, c->route->idle_timeout_us);
}

/* A 421 that ends this connection and says nothing of others: it lay idle, or
 * has carried as many messages as the peer takes on one. Should it mean that
 * there are too many connections, the next one is told so at its banner. */
static bool
is_about_connection(const struct rcpt_result *r)
{
	return r->code == 421 &&
	    (strcmp(r->enhanced, "4.4.2") == 0 ||
		(r->answer.class == CLASS_RATE &&
		    r->answer.blame == BLAME_CONNECTIONS));
}

/* The peer had closed while the connection lay idle (RFC 5321 3.8 lets it),
 * or says so only now: not one word was said about this message. Should the
 * peer have taken it nevertheless and died before its first reply, then it
 * arrives twice; the later retry that is the other way would do the same. */
static bool
was_stale(const struct conn *c)
{
	const struct transaction *t = &c->job->transaction;

	if (!c->is_reused || !t->is_sent || c->has_timed_out ||
	    c->way->pool->is_aborting)
		return false;
	return t->n_replies == 0 ||
	    (t->n_replies == 1 && is_about_connection(&t->results[0]));
}

static void
conn_end_job(struct conn *c)
{
	struct pool_job *job = c->job;

	if (was_stale(c)) {
		struct way *w = c->way;

		c->job = NULL;
		transaction_fini_results(&job->transaction);
		job->transaction.is_sent = false;
		w->pool->n_busy--;
		pool_start_job(w, job);
		return;
	}
	c->job = NULL;
	pool_finish_job(c->way->pool, job);
}

/* Everything that ends a connection comes through here. What is still on its
 * way must not arrive later: the message is sent once more, and a peer that
 * reads nothing would hold the kernel's buffers for many minutes. */
void
pool_conn_lost(struct conn *c, const char *why)
{
	int code = 0;
	const char *refusal;

	if (c->job != NULL)
		stream_discard(c->stream);
	if (c->job != NULL && c->client != NULL &&
	    c->job->transaction.is_sent) {
		smtp_client_lost(c->client, why); /* -> on_done */
	} else if (c->job != NULL) {
		enum phase phase =
		    c->client ? smtp_client_phase(c->client) : PHASE_CONNECT;

		if (c->client != NULL)
			smtp_client_lost(c->client, why);
		refusal =
		    c->client ? smtp_client_refusal(c->client, &code) : "";
		finish_unused(c, code == 0, phase, code,
		    *refusal ? refusal : why);
	}
	conn_free(c);
}

/* ---- the client's wishes ---- */

static void
on_start_tls(void *arg)
{
	struct conn *c = arg;
	SSL *ssl = tls_client_new(c->way->context, c->route);

	/* The STARTTLS command itself is already on its way. */
	stream_start_tls(c->stream, ssl, false);
}

void
pool_conn_begin(struct conn *c)
{
	struct pool_job *job = c->job;

	conn_set_idle(c, false);
	snprintf(job->peer, sizeof(job->peer), "%s", c->peer);
	job->is_tls = smtp_client_is_tls(c->client);
	smtp_client_send(c->client, &job->transaction);
}

static void
on_ready(void *arg)
{
	struct conn *c = arg;

	if (c->job != NULL)
		pool_conn_begin(c);
	else if (!c->way->is_retired && !c->way->pool->is_draining)
		conn_set_idle(c, true);
}

static void
on_done(void *arg)
{
	struct conn *c = arg;

	conn_end_job(c);
}

static void
on_close(void *arg, const char *why)
{
	/* pool_conn_after() sees the state: now the client is on the stack. */
	(void)arg;
	(void)why;
}

/* ---- the stream's news ---- */

static bool
is_closed(const struct conn *c)
{
	return smtp_client_state(c->client) == CLIENT_CLOSED;
}

static bool
is_implicit_tls(const struct conf_route *route)
{
	return route->next_hop.port == SUBMISSIONS_PORT &&
	    route->tls != ROUTE_TLS_NONE;
}

static bool
may_fall_back(const struct conn *c)
{
	return c->route->tls == ROUTE_TLS_OPPORTUNISTIC &&
	    !is_implicit_tls(c->route) && !c->without_tls && c->job != NULL &&
	    !c->job->transaction.is_sent;
}

/* After any step of the client: what it wrote, or that it is over. */
void
pool_conn_after(struct conn *c)
{
	if (is_closed(c)) {
		struct strbuf *out = smtp_client_out(c->client);

		stream_write_all(c->stream, out);
		stream_free_flush(c->stream);
		c->stream = NULL;
		pool_conn_lost(c, "the connection was closed");
		return;
	}
	conn_push(c);
}

/* All was sent in one flight, and only a part is answered. A server that sends
 * its replies in two pieces and hasn't turned Nagle off (Postfix) keeps the
 * second one back until the first is acknowledged. */
static bool
has_half_an_answer(const struct conn *c)
{
	enum client_state state = smtp_client_state(c->client);

	return (state == CLIENT_ENVELOPE || state == CLIENT_EOD) &&
	    smtp_client_out(c->client)->len == 0 &&
	    c->job->transaction.n_replies > 0;
}

static size_t
on_input(void *arg, const char *data, size_t len)
{
	struct conn *c = arg;

	smtp_client_input(c->client, data, len);
	if (has_half_an_answer(c))
		stream_ack_now(c->stream);
	pool_conn_after(c);
	return len;
}

static void
on_connected(void *arg)
{
	struct conn *c = arg;
	const struct client_ops ops = { .start_tls = on_start_tls,
		.ready = on_ready,
		.done = on_done,
		.close = on_close,
		.arg = c };
	const struct conf_route *route = c->route;
	const char *ehlo =
	    *route->ehlo ? route->ehlo : c->conf->daemon.hostname;

	c->state = CONN_BUSY;
	c->client = smtp_client_new(route, ehlo, &ops);
	c->timed_state = CLIENT_CLOSED; /* none yet */
	if (is_implicit_tls(route)) {
		stream_set_timeout(c->stream, route->timeouts.greeting_us);
		on_start_tls(c);
		return;
	}
	conn_push(c);
}

/* The handshake failed: where TLS is only a wish, once more without. */
static void
reconnect_clear(struct conn *c)
{
	c->without_tls = true;
	c->clear_route = *c->route;
	c->clear_route.tls = ROUTE_TLS_NONE;
	c->route = &c->clear_route;
	smtp_client_free(c->client);
	c->client = NULL;
	stream_free(c->stream);
	c->stream = NULL;
	c->address = NULL; /* it did connect */
	c->is_tried = 0;
	pool_conn_connect_next(c, "TLS failed");
}

static void
on_tls_done(void *arg, bool ok)
{
	struct conn *c = arg;

	if (!ok && may_fall_back(c)) {
		reconnect_clear(c);
		return;
	}
	smtp_client_tls_done(c->client, ok, stream_error(c->stream));
	pool_conn_after(c);
}

static void
on_writable(void *arg)
{
	struct conn *c = arg;

	smtp_client_writable(c->client);
	pool_conn_after(c);
}

static void
on_ended(void *arg, enum stream_end how)
{
	struct conn *c = arg;
	char why[200];

	if (c->state == CONN_IDLE || c->job == NULL) {
		if (how == STREAM_TIMEOUT)
			pool_conn_quit(c);
		else
			conn_free(c);
		return;
	}
	c->has_timed_out = how == STREAM_TIMEOUT;
	if (how == STREAM_TIMEOUT)
		snprintf(why, sizeof(why), "timed out while waiting for %s",
		    c->client ? client_state_name(smtp_client_state(c->client))
			      : "the connection");
	else if (how == STREAM_EOF)
		snprintf(why, sizeof(why), "the peer closed the connection");
	else
		snprintf(why, sizeof(why), "%s", stream_error(c->stream));
	if (c->state == CONN_CONNECTING)
		pool_conn_connect_next(c, why);
	else
		pool_conn_lost(c, why);
}

const struct stream_ops pool_conn_stream_ops = {
	.input = on_input,
	.connected = on_connected,
	.tls_done = on_tls_done,
	.writable = on_writable,
	.ended = on_ended,
};
