/* SPDX-License-Identifier: ISC */
/*
 * One client of the demonstration provider: its life, its answers, its input.
 * Called by server.c for each connection; owns its bufferevent and frees
 * itself.
 *
 * The subtle rule: while an answer is delayed no further command is read, so
 * pipelined replies keep their order. A session dies in one place, at the end
 * of a turn.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "tests/provider/session_private.h"

#define LINE_MAX_BYTES	65536
#define INPUT_MAX_BYTES (256 * 1024)

static void
set_linger_zero(struct session *s)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(bufferevent_getfd(s->bev), SOL_SOCKET, SO_LINGER, &hard,
	    sizeof(hard));
}

static void
answer_now(struct session *s)
{
	char line[2 * PROVIDER_TEXT_SIZE];
	size_t len;

	s->state = s->after;
	switch (s->answer.action) {
	case PROVIDER_HANG:
		s->state = STAYS_SILENT;
		return;
	case PROVIDER_RESET:
		set_linger_zero(s);
		s->state = IS_DEAD;
		return;
	case PROVIDER_CLOSE:
		s->state = IS_CLOSING;
		break;
	case PROVIDER_REPLY:
		break;
	}
	len = provider_verdict_format(&s->answer, line, sizeof(line));
	bufferevent_write(s->bev, line, len);
}

/* Answers, after the verdict's delay, and goes on in `after`. */
void
session_answer(struct session *s, const struct provider_verdict *v,
    enum state after)
{
	struct timeval tv = { .tv_sec = v->delay_us / 1000000,
		.tv_usec = v->delay_us % 1000000 };

	s->answer = *v;
	s->after = after;
	if (v->delay_us <= 0) {
		answer_now(s);
		return;
	}
	s->is_waiting = true;
	evtimer_add(s->timer, &tv);
}

void
session_say(struct session *s, int code, const char *enhanced, const char *text)
{
	struct provider_verdict v = {
		.code = code, .enhanced = enhanced, .action = PROVIDER_REPLY
	};

	snprintf(v.text, sizeof(v.text), "%s", text);
	session_answer(s, &v, READS_COMMANDS);
}

/* Each reads a piece; false: more bytes are needed. */
static bool
read_line(struct session *s, struct evbuffer *in)
{
	char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);

	if (line == NULL) {
		if (evbuffer_get_length(in) > LINE_MAX_BYTES)
			s->state = IS_DEAD;
		return false;
	}
	session_on_line(s, line);
	free(line);
	return true;
}

static void
session_free(struct session *s)
{
	int64_t now_us = server_now_us();

	session_drop_transaction(s);
	for (size_t i = 0; i < s->port->server->world->n_providers; i++)
		if (s->is_known[i])
			provider_model_disconnect(s->port->models[i], &s->at[i],
			    now_us);
	provider_model_disconnect(s->port->door, &s->door, now_us);
	event_free(s->timer);
	bufferevent_free(s->bev);
	digest_free(s->digest);
	free(s->rcpts);
	free(s->at);
	free(s->is_known);
	free(s);
}

/* One turn: all that can be read and answered now. May free the session. */
static void
session_work(struct session *s)
{
	bool goes_on = true;

	while (goes_on && !s->is_waiting) {
		struct evbuffer *in = bufferevent_get_input(s->bev);

		switch (s->state) {
		case READS_COMMANDS:
			goes_on = read_line(s, in);
			break;
		case READS_DATA:
			goes_on = session_read_data(s, in);
			break;
		case READS_CHUNK:
			goes_on = session_read_chunk(s, in);
			break;
		default:
			evbuffer_drain(in, evbuffer_get_length(in));
			goes_on = false;
			break;
		}
	}
	if (s->state == IS_DEAD ||
	    ((s->state == IS_CLOSING || s->has_eof) && !s->is_waiting &&
		evbuffer_get_length(bufferevent_get_output(s->bev)) == 0))
		session_free(s);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	session_work(arg);
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct session *s = arg;

	(void)bev;
	if (s->state == IS_CLOSING || s->has_eof)
		session_work(s);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct session *s = arg;

	(void)bev;
	if (what & BEV_EVENT_ERROR) {
		session_free(s);
	} else if (what & BEV_EVENT_EOF) {
		/* Exim closes its side behind QUIT, and reads on. */
		s->has_eof = true;
		session_work(s);
	}
}

void
session_adopt(struct session *s, struct bufferevent *bev)
{
	s->bev = bev;
	bufferevent_setcb(bev, on_read, on_written, on_event, s);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	s->is_waiting = false;
	answer_now(s);
	session_work(s);
}

/* The banner, as door and provider will have it. */
static void
greet(struct session *s)
{
	const struct world_listener *l = s->port->listener;
	struct provider_verdict v;

	provider_model_connect(s->port->door, &s->door, server_now_us(), &v);
	if (v.code == 220 && l->provider >= 0) {
		provider_model_connect(s->port->models[l->provider],
		    &s->at[l->provider], server_now_us(), &v);
		s->is_known[l->provider] = v.code == 220;
	}
	session_answer(s, &v, READS_COMMANDS);
}

void
session_start(struct port *port, int fd)
{
	struct session *s = xcalloc(1, sizeof(*s));
	size_t n = port->server->world->n_providers;

	server_start_clock(port->server);
	s->port = port;
	s->provider = port->listener->provider;
	s->at = xcalloc(n, sizeof(*s->at));
	s->is_known = xcalloc(n, sizeof(*s->is_known));
	s->timer = evtimer_new(port->server->base, on_timer, s);
	session_adopt(s,
	    bufferevent_socket_new(port->server->base, fd,
		BEV_OPT_CLOSE_ON_FREE));
	bufferevent_setwatermark(s->bev, EV_READ, 0, INPUT_MAX_BYTES);
	greet(s);
	session_work(s);
}
