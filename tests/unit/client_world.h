/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CLIENT_WORLD_H
#define FLYBALL_CLIENT_WORLD_H

/*
 * A client and a scripted peer without a wire between them, for the tests of
 * smtp_client*.c. The peer's bytes reach the client as `cut` says.
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

static inline void
on_start_tls(void *arg)
{
	((struct world *)arg)->wants_tls = true;
}

static inline void
on_ready(void *arg)
{
	((struct world *)arg)->n_ready++;
}

static inline void
on_done(void *arg)
{
	struct world *w = arg;

	w->n_done++;
	for (size_t i = 0; i < w->t.n_recipients; i++)
		assert_int_not_equal(w->results[i].fate, FATE_UNKNOWN);
}

static inline void
on_close(void *arg, const char *why)
{
	assert_non_null(why);
	((struct world *)arg)->n_close++;
}

/* ---- the world ---- */

#define S INT64_C(1000000)

static inline void
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
	w->t.ident = "m1.0";
	w->t.body = HELLO;
	w->t.body_len = strlen(HELLO);
	for (size_t i = 0; i < 40; i++)
		w->recipients[i].address = (char *)"rcpt@example.org";
	w->rng.state = SEED;
}

static inline void
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

static inline void
world_fini(struct world *w)
{
	transaction_fini_results(&w->t);
	smtp_client_free(w->client);
	peer_fini(&w->peer);
}

static inline size_t
next_cut(struct world *w, size_t len)
{
	if (w->cut == CUT_NOT || len == 0)
		return len;
	return w->cut == CUT_BYTES ? 1 : 1 + rng_below(&w->rng, len);
}

static inline bool
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

static inline bool
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

static inline bool
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
static inline void
world_run(struct world *w)
{
	while (pump_out(w) || pump_tls(w) || pump_in(w))
		;
	if (w->peer.is_gone)
		smtp_client_lost(w->client, "the peer closed the connection");
}

/* A transaction to its end; what the peer is silent about times out. */
static inline void
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

/* ---- shorthand ---- */

#define NONE  ""
#define PIPE  "PIPELINING"
#define CHUNK "PIPELINING;CHUNKING"
#define SLOW  "CHUNKING"

static inline char
fate_letter(enum rcpt_fate fate)
{
	static const char letters[] = { [FATE_UNKNOWN] = '?',
		[FATE_DELIVERED] = 'D',
		[FATE_DEFERRED] = 'T',
		[FATE_FAILED] = 'F',
		[FATE_UNTRIED] = 'U' };

	return letters[fate];
}

static inline void
assert_fates(const struct world *w, const char *name, const char *fates)
{
	char got[41] = "";

	for (size_t i = 0; i < w->t.n_recipients; i++)
		got[i] = fate_letter(w->results[i].fate);
	if (strcmp(got, fates) != 0)
		fail_msg("%s: fates %s, not %s", name, got, fates);
}

/* A lone mark where a flight went to a peer that was gone doesn't count. */
static inline void
assert_log(const struct world *w, const char *name, const char *log)
{
	const char *got = strstr(w->peer.log.data, "MAIL ");

	if (log != NULL && (got == NULL || strcmp(got, log) != 0))
		fail_msg("%s: said %s, not %s", name, got, log);
}

/* What the peer was told, as lines. */
static inline void
assert_lines(const struct world *w, const char *lines)
{
	assert_string_equal(w->peer.lines.data, lines);
}

static inline ssize_t
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

#endif
