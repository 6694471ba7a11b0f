/* SPDX-License-Identifier: ISC */
/*
 * One client of the demonstration provider: reads commands, asks the model of
 * whoever owns the recipient, says what it says. Called by server.c for each
 * connection; owns its bufferevent and frees itself.
 *
 * A listener that belongs to one provider asks its model from the banner on.
 * On a shared one the provider shows only in RCPT: its model hears of the
 * connection and of MAIL then, or already at MAIL where the client pipelines.
 *
 * The subtle rule: while an answer is delayed no further command is read, so
 * pipelined replies keep their order. A session dies in one place, at the end
 * of a turn.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>

#include "conf/base/json.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "tests/provider/digest.h"
#include "tests/provider/server.h"

#define LINE_MAX_BYTES	65536
#define INPUT_MAX_BYTES (256 * 1024)
#define RCPTS_MAX	10000

enum state {
	READS_COMMANDS,
	READS_DATA,
	READS_CHUNK,
	STAYS_SILENT,
	IS_CLOSING, /* writes what is left */
	IS_DEAD,
};

struct session {
	struct port *port;
	struct bufferevent *bev;
	struct event *timer;
	enum state state;
	bool is_waiting; /* a delayed answer comes first */
	struct provider_verdict answer;
	enum state after; /* that answer */
	bool is_tls;
	struct provider_session door;
	struct provider_session *at; /* a row per provider */
	bool *is_known;		     /* to that provider */
	int provider;		     /* of this transaction; -1: unknown yet */
	char *sender;		     /* NULL: no MAIL */
	bool is_asked;		     /* the model heard of this MAIL */
	char **rcpts;
	size_t n_rcpts;
	struct digest *digest;
	size_t n_content; /* bytes so far */
	size_t n_chunk;	  /* to come */
	bool is_last_chunk;
	bool is_fresh; /* DATA just began */
};

static void session_work(struct session *s);

/* ---- answers ---- */

static void
put(struct session *s, const char *text)
{
	bufferevent_write(s->bev, text, strlen(text));
}

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
static void
answer(struct session *s, const struct provider_verdict *v, enum state after)
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

static void
say(struct session *s, int code, const char *enhanced, const char *text)
{
	struct provider_verdict v = {
		.code = code, .enhanced = enhanced, .action = PROVIDER_REPLY
	};

	snprintf(v.text, sizeof(v.text), "%s", text);
	answer(s, &v, READS_COMMANDS);
}

/* ---- the transaction ---- */

static struct provider_model *
model_of(const struct session *s)
{
	return s->port->models[s->provider];
}

static void
transaction_drop(struct session *s)
{
	if (s->provider >= 0)
		provider_model_reset(model_of(s), &s->at[s->provider],
		    server_now_us());
	for (size_t i = 0; i < s->n_rcpts; i++)
		free(s->rcpts[i]);
	s->n_rcpts = 0;
	free(s->sender);
	s->sender = NULL;
	s->is_asked = false;
	s->n_content = 0;
	s->provider = s->port->listener->provider;
}

/* "MAIL FROM:<a@b> X": the path without brackets, or NULL. */
static char *
read_path(const char *line, const char *verb)
{
	const char *open, *close;

	if (strncasecmp(line, verb, strlen(verb)) != 0)
		return NULL;
	open = strchr(line, '<');
	close = open != NULL ? strchr(open, '>') : NULL;
	return close != NULL ? xstrndup(open + 1, (size_t)(close - open - 1))
			     : NULL;
}

/* The provider of a pipelined RCPT that lies behind this MAIL, or -1. */
static int
peek_provider(struct session *s)
{
	struct evbuffer *in = bufferevent_get_input(s->bev);
	char line[400];
	ev_ssize_t n = evbuffer_copyout(in, line, sizeof(line) - 1);
	char *rcpt;
	int provider;

	line[n > 0 ? n : 0] = '\0';
	if (strchr(line, '\n') == NULL)
		return -1;
	*strchr(line, '\n') = '\0';
	rcpt = read_path(line, "RCPT TO:");
	provider = rcpt != NULL
	    ? world_find_provider(s->port->server->world, rcpt)
	    : -1;
	free(rcpt);
	return provider;
}

/* Lets the provider's model hear of the connection and of MAIL; false: it
 * refused, *v says how. */
static bool
ask_for_mail(struct session *s, struct provider_verdict *v)
{
	struct provider_session *at = &s->at[s->provider];
	int64_t now_us = server_now_us();

	if (!s->is_known[s->provider]) {
		provider_model_connect(model_of(s), at, now_us, v);
		if (v->code != 220)
			return false;
		s->is_known[s->provider] = true;
	}
	provider_model_mail(model_of(s), at, now_us, v);
	s->is_asked = v->code == 250;
	return s->is_asked;
}

static void
on_mail(struct session *s, const char *line)
{
	struct provider_verdict v = {
		.code = 250, .enhanced = "2.1.0", .text = "Sender ok"
	};

	if (s->sender != NULL) {
		say(s, 503, "5.5.1", "nested MAIL");
		return;
	}
	if (s->port->server->world->needs_tls && !s->is_tls) {
		say(s, 530, "5.7.0", "Must issue a STARTTLS command first");
		return;
	}
	s->sender = read_path(line, "MAIL FROM:");
	if (s->sender == NULL) {
		say(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
		return;
	}
	if (s->provider < 0)
		s->provider = peek_provider(s);
	if (s->provider >= 0 && !ask_for_mail(s, &v))
		transaction_drop(s);
	answer(s, &v, READS_COMMANDS);
}

static void
keep_rcpt(struct session *s, char *rcpt_take)
{
	s->rcpts = xrealloc(s->rcpts, (s->n_rcpts + 1) * sizeof(*s->rcpts));
	s->rcpts[s->n_rcpts++] = rcpt_take;
}

static void
on_rcpt(struct session *s, const char *line)
{
	char *rcpt = read_path(line, "RCPT TO:");
	struct provider_verdict v;
	int provider;

	if (s->sender == NULL || rcpt == NULL || s->n_rcpts >= RCPTS_MAX) {
		free(rcpt);
		if (s->sender == NULL)
			say(s, 503, "5.5.1", "MAIL first");
		else
			say(s, 501, "5.5.4", "Syntax: RCPT TO:<address>");
		return;
	}
	provider = world_find_provider(s->port->server->world, rcpt);
	if (s->provider < 0)
		s->provider = provider;
	if (provider < 0) {
		say(s, 554, "5.7.1", "Relay access denied");
	} else if (provider != s->provider) {
		say(s, 452, "4.5.3", "One receiving system at a time");
	} else if (!s->is_asked && !ask_for_mail(s, &v)) {
		answer(s, &v, READS_COMMANDS);
	} else {
		provider_model_rcpt(model_of(s), &s->at[provider], s->sender,
		    rcpt, server_now_us(), &v);
		answer(s, &v, READS_COMMANDS);
		if (v.code == 250) {
			keep_rcpt(s, rcpt);
			return;
		}
	}
	free(rcpt);
}

static void
store(struct session *s)
{
	struct strbuf line = { 0 };
	char hex[65];

	digest_end(s->digest, hex);
	for (size_t i = 0; i < s->n_rcpts; i++) {
		strbuf_adds(&line, "{\"rcpt\":");
		strbuf_add_json_string(&line, s->rcpts[i], strlen(s->rcpts[i]));
		strbuf_adds(&line, ",\"sender\":");
		strbuf_add_json_string(&line, s->sender, strlen(s->sender));
		strbuf_addf(&line,
		    ",\"provider\":\"%s\",\"listener\":\"%s\",\"bytes\":%zu,"
		    "\"sha256\":\"%s\"}\n",
		    s->port->server->world->providers[s->provider].spec.name,
		    s->port->listener->name, digest_bytes(s->digest), hex);
	}
	/* One write: a reader never sees half a line for long. */
	fwrite(line.data, 1, line.len, s->port->server->store);
	fflush(s->port->server->store);
	strbuf_fini(&line);
}

static void
on_message(struct session *s)
{
	struct provider_verdict v;

	if (s->n_content > (size_t)s->port->server->world->size_bytes) {
		transaction_drop(s);
		say(s, 552, "5.3.4", "Message too big for system");
		return;
	}
	provider_model_eod(model_of(s), &s->at[s->provider], server_now_us(),
	    &v);
	if (v.code == 250 && s->digest != NULL)
		store(s);
	transaction_drop(s);
	answer(s, &v, READS_COMMANDS);
}

static void
content_start(struct session *s, bool is_dotted)
{
	s->n_content = 0;
	if (s->port->server->store == NULL)
		return;
	if (s->digest == NULL)
		s->digest = digest_new();
	digest_start(s->digest, is_dotted);
}

static void
on_data(struct session *s, const char *line)
{
	struct provider_verdict v = { .code = 354,
		.enhanced = "",
		.text = "End data with <CR><LF>.<CR><LF>" };

	(void)line;
	if (s->n_rcpts == 0) {
		say(s, s->sender != NULL ? 554 : 503, "5.5.1",
		    "no valid recipients");
		return;
	}
	content_start(s, true);
	s->is_fresh = true;
	answer(s, &v, READS_DATA);
}

static void
on_bdat(struct session *s, const char *line)
{
	char *end;

	s->n_chunk = strtoul(line + 4, &end, 10);
	s->is_last_chunk = strcasecmp(end, " LAST") == 0;
	if (s->n_content == 0)
		content_start(s, false);
	s->state = READS_CHUNK; /* also without recipients: it is coming */
}

/* ---- other verbs ---- */

static void
on_ehlo(struct session *s, const char *line)
{
	const struct world *w = s->port->server->world;
	struct strbuf out = { 0 };

	transaction_drop(s);
	if (strncasecmp(line, "HELO", 4) == 0) {
		say(s, 250, "", "mx.example.net");
		return;
	}
	strbuf_adds(&out, "250-mx.example.net\r\n");
	if (w->certificate != NULL && !s->is_tls)
		strbuf_adds(&out, "250-STARTTLS\r\n");
	for (size_t i = 0; i < w->ehlo.n; i++)
		strbuf_addf(&out, "250-%s\r\n", w->ehlo.v[i]);
	strbuf_adds(&out, "250 HELP\r\n");
	put(s, out.data);
	strbuf_fini(&out);
}

static void
on_rset(struct session *s, const char *line)
{
	(void)line;
	transaction_drop(s);
	say(s, 250, "2.0.0", "Ok");
}

static void
on_noop(struct session *s, const char *line)
{
	(void)line;
	say(s, 250, "2.0.0", "Ok");
}

static void
on_quit(struct session *s, const char *line)
{
	struct provider_verdict v = { .code = 221,
		.enhanced = "2.0.0",
		.text = "Bye",
		.action = PROVIDER_CLOSE };

	(void)line;
	answer(s, &v, IS_CLOSING);
}

static void on_read(struct bufferevent *bev, void *arg);
static void on_written(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);

static void
on_starttls(struct session *s, const char *line)
{
	struct server *sv = s->port->server;
	struct evbuffer *in = bufferevent_get_input(s->bev);
	struct bufferevent *tls;

	(void)line;
	if (sv->tls == NULL || s->is_tls) {
		say(s, 502, "5.5.1", "TLS not available");
		return;
	}
	put(s, "220 2.0.0 Ready to start TLS\r\n");
	evbuffer_drain(in, evbuffer_get_length(in));
	transaction_drop(s);
	tls = bufferevent_openssl_filter_new(sv->base, s->bev, SSL_new(sv->tls),
	    BUFFEREVENT_SSL_ACCEPTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	s->is_tls = true;
	s->bev = tls;
	bufferevent_setcb(tls, on_read, on_written, on_event, s);
	bufferevent_enable(tls, EV_READ | EV_WRITE);
}

static const struct {
	const char *verb;
	void (*call)(struct session *s, const char *line);
} verbs[] = {
	{ "MAIL", on_mail },
	{ "RCPT", on_rcpt },
	{ "DATA", on_data },
	{ "BDAT", on_bdat },
	{ "RSET", on_rset },
	{ "NOOP", on_noop },
	{ "EHLO", on_ehlo },
	{ "HELO", on_ehlo },
	{ "STARTTLS", on_starttls },
	{ "QUIT", on_quit },
};

static void
on_line(struct session *s, const char *line)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t len = strlen(verbs[i].verb);

		if (strncasecmp(line, verbs[i].verb, len) == 0 &&
		    (line[len] == '\0' || line[len] == ' ')) {
			verbs[i].call(s, line);
			return;
		}
	}
	say(s, 502, "5.5.2", "command not recognized");
}

/* ---- input ---- */

/* Takes the next n bytes as content. */
static void
take_content(struct session *s, struct evbuffer *in, size_t n)
{
	s->n_content += n;
	while (n > 0 && s->digest != NULL && s->port->server->store != NULL) {
		size_t part = evbuffer_get_contiguous_space(in);

		part = part < n ? part : n;
		digest_add(s->digest,
		    (const char *)evbuffer_pullup(in, (ev_ssize_t)part), part);
		evbuffer_drain(in, part);
		n -= part;
	}
	evbuffer_drain(in, n);
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
	on_line(s, line);
	free(line);
	return true;
}

static bool
read_data(struct session *s, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in);
	struct evbuffer_ptr end;
	char first[3];

	if (s->is_fresh) {
		if (len < 3)
			return false;
		s->is_fresh = false;
		evbuffer_copyout(in, first, 3);
		if (memcmp(first, ".\r\n", 3) == 0) {
			evbuffer_drain(in, 3);
			on_message(s);
			return true;
		}
	}
	end = evbuffer_search(in, "\r\n.\r\n", 5, NULL);
	if (end.pos >= 0) {
		take_content(s, in, (size_t)end.pos + 2);
		evbuffer_drain(in, 3);
		on_message(s);
		return true;
	}
	if (len > 4)
		take_content(s, in, len - 4);
	return false;
}

static bool
read_chunk(struct session *s, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in);
	size_t part = len < s->n_chunk ? len : s->n_chunk;

	take_content(s, in, part);
	s->n_chunk -= part;
	if (s->n_chunk > 0)
		return false;
	s->state = READS_COMMANDS;
	if (s->n_rcpts == 0)
		say(s, 503, "5.5.1", "no valid recipients");
	else if (s->is_last_chunk)
		on_message(s);
	else
		say(s, 250, "2.0.0", "Ok");
	return true;
}

static void
session_free(struct session *s)
{
	int64_t now_us = server_now_us();

	transaction_drop(s);
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
			goes_on = read_data(s, in);
			break;
		case READS_CHUNK:
			goes_on = read_chunk(s, in);
			break;
		default:
			evbuffer_drain(in, evbuffer_get_length(in));
			goes_on = false;
			break;
		}
	}
	if (s->state == IS_DEAD ||
	    (s->state == IS_CLOSING && !s->is_waiting &&
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
	if (s->state == IS_CLOSING)
		session_work(s);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		session_free(arg);
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
	answer(s, &v, READS_COMMANDS);
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
	s->bev = bufferevent_socket_new(port->server->base, fd,
	    BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(s->bev, on_read, on_written, on_event, s);
	bufferevent_setwatermark(s->bev, EV_READ, 0, INPUT_MAX_BYTES);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	greet(s);
	session_work(s);
}
