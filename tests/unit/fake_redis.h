/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FAKE_REDIS_H
#define FLYBALL_FAKE_REDIS_H

/*
 * A Redis for tests, on the test's own loop: it parses commands and says what
 * its script says, else what a good server would. It keeps nothing.
 *
 * A script is a list of "VERB reply" with ";" between; the entries of one verb
 * are used up in order. Replies are as on the wire, without the last CRLF:
 * "+OK", "-OOM no", ":7". "!" hangs up, "~" says nothing, "!" at the end says
 * it and hangs up; "-" alone skips the entry: the usual reply. Verbs are upper
 * case; of SCRIPT, CLIENT and SENTINEL the first word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define FAKE_CONNS 16

struct fake_redis;
struct fake_conn {
	struct fake_redis *server;
	int fd; /* -1: free */
	struct event *readable;
	redisReader *reader;
	bool is_listening; /* it subscribed */
};

struct fake_redis {
	struct event_base *base;
	int fd;
	uint16_t port;
	struct event *acceptable;
	struct fake_conn conns[FAKE_CONNS];
	const char *script;
	bool used[64];
	const char *info;   /* NULL: a master, 7.0.15 */
	char master[64];    /* what SENTINEL says: "127.0.0.1 7000" */
	bool is_mute;	    /* says nothing at all */
	bool knows_scripts; /* EVALSHA finds them */
	unsigned n_accepted, n_evalsha, n_eval, n_ping;
	struct strbuf log; /* verbs with arguments, LF between */
};

static inline void
fake_hang_up(struct fake_conn *c)
{
	if (c->fd < 0)
		return;
	event_free(c->readable);
	redisReaderFree(c->reader);
	close(c->fd);
	c->fd = -1;
}

static inline void
fake_say(struct fake_conn *c, const char *text)
{
	struct strbuf line = { 0 };

	if (c->server->is_mute)
		return;
	strbuf_addf(&line, "%s\r\n", text);
	assert_true(write(c->fd, line.data, line.len) == (ssize_t)line.len);
	strbuf_fini(&line);
}

static inline void
fake_say_bulk(struct fake_conn *c, const char *text)
{
	struct strbuf reply = { 0 };

	strbuf_addf(&reply, "$%zu\r\n%s", strlen(text), text);
	fake_say(c, reply.data);
	strbuf_fini(&reply);
}

/* The next entry of this verb; NULL: none. */
static inline char *
fake_scripted(struct fake_redis *f, const char *verb)
{
	const char *s = f->script;

	for (int i = 0; s != NULL && *s != '\0'; i++) {
		size_t len = strcspn(s, ";"), n = strlen(verb);

		assert_true(i < 64);
		if (!f->used[i] && len > n && strncmp(s, verb, n) == 0 &&
		    s[n] == ' ') {
			f->used[i] = true;
			return xstrndup(s + n + 1, len - n - 1);
		}
		s += len;
		s += *s == ';';
	}
	return NULL;
}

static inline void
fake_say_usual(struct fake_conn *c, const redisReply *r)
{
	struct fake_redis *f = c->server;
	const char *verb = r->element[0]->str;
	char text[300], host[64];
	unsigned port;

	if (strcmp(verb, "INFO") == 0) {
		fake_say_bulk(c,
		    f->info != NULL ? f->info
				    : "# Server\r\nredis_version:7.0.15\r\n"
				      "redis_mode:standalone\r\n"
				      "run_id:abcdef\r\nrole:master\r\n"
				      "loading:0\r\n");
	} else if (strcmp(verb, "EVALSHA") == 0 && !f->knows_scripts) {
		fake_say(c, "-NOSCRIPT No matching script.");
	} else if (strncmp(verb, "EVAL", 4) == 0) {
		/* What it was given, back. */
		fake_say_bulk(c, r->element[r->elements - 1]->str);
	} else if (strcmp(verb, "PING") == 0) {
		fake_say(c,
		    c->is_listening ? "*2\r\n$4\r\npong\r\n$0\r\n" : "+PONG");
	} else if (strcmp(verb, "SUBSCRIBE") == 0) {
		c->is_listening = true;
		snprintf(text, sizeof(text),
		    "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%s\r\n:1",
		    strlen(r->element[1]->str), r->element[1]->str);
		fake_say(c, text);
	} else if (strcmp(verb, "SENTINEL") == 0) {
		if (sscanf(f->master, "%63s %u", host, &port) != 2) {
			fake_say(c, "*-1");
			return;
		}
		snprintf(text, sizeof(text), "%u", port);
		snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%u",
		    strlen(host), host, strlen(text), port);
		fake_say(c, text);
	} else {
		fake_say(c, "+OK");
	}
}

static inline void
fake_answer(struct fake_conn *c, const redisReply *r)
{
	struct fake_redis *f = c->server;
	const char *verb = r->element[0]->str;
	char *said = fake_scripted(f, verb);

	for (size_t i = 0; i < r->elements; i++)
		strbuf_addf(&f->log, "%s%.60s", i > 0 ? " " : "",
		    r->element[i]->str);
	strbuf_addc(&f->log, '\n');
	f->n_evalsha += strcmp(verb, "EVALSHA") == 0;
	f->n_eval += strcmp(verb, "EVAL") == 0;
	f->n_ping += strcmp(verb, "PING") == 0;
	if (said == NULL || strcmp(said, "-") == 0) {
		fake_say_usual(c, r);
	} else if (strcmp(said, "!") == 0) {
		fake_hang_up(c);
	} else if (strcmp(said, "~") != 0) {
		size_t len = strlen(said);
		bool is_last = said[len - 1] == '!';

		said[len - is_last] = '\0';
		fake_say(c, said);
		if (is_last)
			fake_hang_up(c);
	}
	free(said);
}

static inline void
fake_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct fake_conn *c = arg;
	char buf[65536];
	ssize_t len = recv(fd, buf, sizeof(buf), 0);
	void *r = NULL;

	(void)what;
	if (len <= 0) {
		fake_hang_up(c);
		return;
	}
	assert_int_equal(redisReaderFeed(c->reader, buf, (size_t)len),
	    REDIS_OK);
	while (c->fd >= 0) {
		assert_int_equal(redisReaderGetReply(c->reader, &r), REDIS_OK);
		if (r == NULL)
			break;
		fake_answer(c, r);
		freeReplyObject(r);
	}
}

static inline void
fake_on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct fake_redis *f = arg;
	struct fake_conn *c = f->conns;

	(void)what;
	while (c < f->conns + FAKE_CONNS && c->fd >= 0)
		c++;
	assert_true(c < f->conns + FAKE_CONNS);
	c->fd = accept(fd, NULL, NULL);
	assert_true(c->fd >= 0);
	evutil_make_socket_nonblocking(c->fd);
	c->server = f;
	c->is_listening = false;
	c->reader = redisReaderCreate();
	c->readable = event_new(f->base, c->fd, EV_READ | EV_PERSIST,
	    fake_on_readable, c);
	event_add(c->readable, NULL);
	f->n_accepted++;
}

/* port 0: any. */
static inline void
fake_redis_start(struct fake_redis *f, struct event_base *base, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int on = 1;

	for (int i = 0; i < FAKE_CONNS; i++)
		f->conns[i].fd = -1;
	f->base = base;
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(f->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(f->fd, 16), 0);
	getsockname(f->fd, (struct sockaddr *)&at, &len);
	f->port = ntohs(at.sin_port);
	f->acceptable =
	    event_new(base, f->fd, EV_READ | EV_PERSIST, fake_on_acceptable, f);
	event_add(f->acceptable, NULL);
}

static inline void
fake_redis_stop(struct fake_redis *f)
{
	for (int i = 0; i < FAKE_CONNS; i++)
		fake_hang_up(&f->conns[i]);
	event_free(f->acceptable);
	close(f->fd);
	f->fd = -1;
}

static inline void
fake_redis_fini(struct fake_redis *f)
{
	if (f->fd >= 0)
		fake_redis_stop(f);
	strbuf_fini(&f->log);
}

static inline void
fake_redis_publish(struct fake_redis *f, const char *channel,
    const char *payload)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s",
	    strlen(channel), channel, strlen(payload), payload);
	for (int i = 0; i < FAKE_CONNS; i++)
		if (f->conns[i].fd >= 0 && f->conns[i].is_listening)
			fake_say(&f->conns[i], text.data);
	strbuf_fini(&text);
}

#endif
