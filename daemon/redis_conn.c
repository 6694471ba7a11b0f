/* SPDX-License-Identifier: ISC */
/*
 * One connection to a Redis: bytes from and to a stream, through hiredis'
 * writer and reader. The link, its subscription and the search among Sentinels
 * open them; what a reply means is theirs.
 *
 * hiredis' own loop isn't used: its release in Debian 12 has no TLS, resolves
 * names where it connects, and knows no deadlines.
 *
 * The one subtle rule: any callback may free the connection, so every entry
 * from the stream holds it (enter/leave) and looks at is_dead after each.
 */
#include "daemon/redis_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "sink/stream.h"

#define WORDS_MAX 16
#define IDLE_US	  INT64_C(1000000)

struct redis_conn {
	struct stream *stream;
	SSL *tls; /* until the handshake begins */
	redisReader *reader;
	const struct redis_conn_ops *ops;
	void *arg;
	int64_t timeout_us;
	struct strbuf early; /* written before it was open */
	unsigned n_owed;
	size_t unread_bytes; /* fed since the last whole reply */
	uint64_t received_bytes;
	int64_t read_us; /* when bytes came last */
	bool is_open;
	bool is_ended;
	unsigned depth; /* callbacks on the stack */
	bool is_dead;
};

/* ---- life ---- */

static void
release(struct redis_conn *c)
{
	redisReaderFree(c->reader);
	strbuf_fini(&c->early);
	free(c);
}

static void
enter(struct redis_conn *c)
{
	c->depth++;
}

static void
leave(struct redis_conn *c)
{
	c->depth--;
	if (c->depth == 0 && c->is_dead)
		release(c);
}

void
redis_conn_free(struct redis_conn *c)
{
	if (c == NULL || c->is_dead)
		return;
	c->is_dead = true;
	SSL_free(c->tls);
	stream_free(c->stream);
	if (c->depth == 0)
		release(c);
}

static void
end(struct redis_conn *c, const char *why)
{
	if (c->is_dead || c->is_ended)
		return;
	c->is_ended = true;
	stream_hold(c->stream);
	c->ops->ended(why, c->arg);
}

/* ---- writing ---- */

/* Silence counts while something is owed, from the last that was read. */
static void
wait_for_reply(struct redis_conn *c)
{
	if (c->is_open)
		stream_set_timeout(c->stream, c->n_owed ? c->timeout_us : 0);
}

size_t
redis_conn_send(struct redis_conn *c, const struct redis_bytes *argv,
    size_t argc)
{
	const char **v = xcalloc(argc, sizeof(*v));
	size_t *lens = xcalloc(argc, sizeof(*lens));
	char *text = NULL;
	int len;

	for (size_t i = 0; i < argc; i++) {
		v[i] = argv[i].v;
		lens[i] = argv[i].len;
	}
	len = redisFormatCommandArgv(&text, (int)argc, v, lens);
	free(v);
	free(lens);
	assert(len > 0); /* memory is all that it could want */
	if (c->is_open)
		stream_write(c->stream, text, (size_t)len);
	else
		strbuf_add(&c->early, text, (size_t)len);
	redisFreeCommand(text);
	c->n_owed++;
	if (c->n_owed == 1)
		wait_for_reply(c);
	return (size_t)len;
}

size_t
redis_conn_say(struct redis_conn *c, const char *const *words)
{
	struct redis_bytes argv[WORDS_MAX];
	size_t n = 0;

	for (; words[n] != NULL; n++) {
		assert(n < WORDS_MAX);
		argv[n] = (struct redis_bytes){ words[n], strlen(words[n]) };
	}
	return redis_conn_send(c, argv, n);
}

/* ---- reading ---- */

static bool
is_string(const struct redisReply *r, const char *text)
{
	return r->type == REDIS_REPLY_STRING && strcmp(r->str, text) == 0;
}

/* ["message", CHANNEL, PAYLOAD]: nobody asked for it. */
static bool
is_published(const struct redis_conn *c, const struct redisReply *r)
{
	return c->ops->published != NULL && r->type == REDIS_REPLY_ARRAY &&
	    r->elements == 3 && is_string(r->element[0], "message") &&
	    r->element[1]->type == REDIS_REPLY_STRING &&
	    r->element[2]->type == REDIS_REPLY_STRING;
}

static void
deliver(struct redis_conn *c, const struct redisReply *r)
{
	if (is_published(c, r)) {
		c->ops->published((struct redis_bytes){ r->element[1]->str,
				      r->element[1]->len },
		    (struct redis_bytes){
			r->element[2]->str, r->element[2]->len },
		    c->arg);
		return;
	}
	if (c->n_owed == 0) {
		char why[200];

		snprintf(why, sizeof(why), "said what nobody asked for: %.100s",
		    r->str != NULL ? r->str : "no text");
		end(c, why);
		return;
	}
	c->n_owed--;
	c->ops->replied(r, c->arg);
}

static size_t
on_input(void *arg, const char *data, size_t len)
{
	struct redis_conn *c = arg;
	char why[200];
	void *reply;

	enter(c);
	c->received_bytes += len;
	c->read_us = clock_mono_us();
	c->unread_bytes += len;
	if (redisReaderFeed(c->reader, data, len) != REDIS_OK)
		goto broken;
	while (!c->is_dead && !c->is_ended) {
		if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
			goto broken;
		if (reply == NULL)
			break;
		c->unread_bytes = 0;
		deliver(c, reply);
		freeReplyObject(reply);
	}
	if (!c->is_dead && !c->is_ended &&
	    c->unread_bytes > REDIS_CONN_REPLY_BYTES_MAX)
		end(c, "its reply doesn't end");
	if (!c->is_dead && !c->is_ended)
		wait_for_reply(c);
	leave(c);
	return len;
broken:
	snprintf(why, sizeof(why), "doesn't speak as a Redis: %s",
	    c->reader->errstr);
	end(c, why);
	leave(c);
	return len;
}

/* ---- the stream's other callbacks ---- */

static void
become_open(struct redis_conn *c)
{
	c->is_open = true;
	wait_for_reply(c);
	stream_write_all(c->stream, &c->early);
	c->ops->opened(c->arg);
}

static void
on_connected(void *arg)
{
	struct redis_conn *c = arg;
	SSL *tls = c->tls;

	enter(c);
	c->tls = NULL;
	if (tls != NULL)
		stream_start_tls(c->stream, tls, false);
	else
		become_open(c);
	leave(c);
}

static void
on_tls_done(void *arg, bool ok)
{
	struct redis_conn *c = arg;
	char why[200];

	enter(c);
	if (ok) {
		become_open(c);
	} else {
		snprintf(why, sizeof(why), "TLS: %s", stream_error(c->stream));
		end(c, why);
	}
	leave(c);
}

static void
on_ended(void *arg, enum stream_end how)
{
	struct redis_conn *c = arg;
	char why[200];

	if (how == STREAM_TIMEOUT)
		snprintf(why, sizeof(why), "%s for %.3g s",
		    c->is_open ? "no answer" : "no connection",
		    (double)c->timeout_us / 1e6);
	else if (how == STREAM_EOF)
		snprintf(why, sizeof(why), "it closed the connection");
	else
		snprintf(why, sizeof(why), "%s", stream_error(c->stream));
	enter(c);
	end(c, why);
	leave(c);
}

static const struct stream_ops ops = {
	.input = on_input,
	.connected = on_connected,
	.tls_done = on_tls_done,
	.ended = on_ended,
};

struct redis_conn *
redis_conn_open(struct event_base *base, const struct redis_peer *peer,
    SSL *tls_take, int64_t timeout_us, const struct redis_conn_ops *conn_ops,
    void *arg)
{
	struct redis_conn *c = xcalloc(1, sizeof(*c));

	c->tls = tls_take;
	c->ops = conn_ops;
	c->arg = arg;
	c->timeout_us = timeout_us;
	c->reader = redisReaderCreate();
	assert(c->reader != NULL);
	/* Not through a callback: stream_connect() calls none. */
	c->stream =
	    stream_connect(base, (const struct sockaddr *)&peer->address,
		peer->len, NULL, 0, &ops, c);
	stream_set_timeout(c->stream, timeout_us);
	return c;
}

bool
redis_conn_is_idle(const struct redis_conn *c, int64_t now_us)
{
	return c->is_open && c->n_owed == 0 && now_us - c->read_us >= IDLE_US;
}

uint64_t
redis_conn_received_bytes(const struct redis_conn *c)
{
	return c->received_bytes;
}
