/* SPDX-License-Identifier: ISC */
/*
 * The commands of one client: what the model says to them. Called by session.c
 * for each line.
 *
 * A listener that belongs to one provider asks its model from the banner on.
 * On a shared one the provider shows only in RCPT: its model hears of the
 * connection and of MAIL then, or already at MAIL where the client pipelines.
 */
#include "tests/provider/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/bufferevent_ssl.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define RCPTS_MAX 10000

struct provider_model *
session_model(const struct session *s)
{
	return s->port->models[s->provider];
}

void
session_drop_transaction(struct session *s)
{
	if (s->provider >= 0)
		provider_model_reset(session_model(s), &s->at[s->provider],
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
		provider_model_connect(session_model(s), at, now_us, v);
		if (v->code != 220)
			return false;
		s->is_known[s->provider] = true;
	}
	provider_model_mail(session_model(s), at, now_us, v);
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
		session_say(s, 503, "5.5.1", "nested MAIL");
		return;
	}
	if (s->port->server->world->needs_tls && !s->is_tls) {
		session_say(s, 530, "5.7.0",
		    "Must issue a STARTTLS command first");
		return;
	}
	s->sender = read_path(line, "MAIL FROM:");
	if (s->sender == NULL) {
		session_say(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
		return;
	}
	if (s->provider < 0)
		s->provider = peek_provider(s);
	if (s->provider >= 0 && !ask_for_mail(s, &v))
		session_drop_transaction(s);
	session_answer(s, &v, READS_COMMANDS);
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
			session_say(s, 503, "5.5.1", "MAIL first");
		else
			session_say(s, 501, "5.5.4",
			    "Syntax: RCPT TO:<address>");
		return;
	}
	provider = world_find_provider(s->port->server->world, rcpt);
	if (s->provider < 0)
		s->provider = provider;
	if (provider < 0) {
		session_say(s, 554, "5.7.1", "Relay access denied");
	} else if (provider != s->provider) {
		session_say(s, 452, "4.5.3", "One receiving system at a time");
	} else if (!s->is_asked && !ask_for_mail(s, &v)) {
		session_answer(s, &v, READS_COMMANDS);
	} else {
		provider_model_rcpt(session_model(s), &s->at[provider],
		    s->sender, rcpt, server_now_us(), &v);
		session_answer(s, &v, READS_COMMANDS);
		if (v.code == 250) {
			keep_rcpt(s, rcpt);
			return;
		}
	}
	free(rcpt);
}

static void
on_ehlo(struct session *s, const char *line)
{
	const struct world *w = s->port->server->world;
	struct strbuf out = { 0 };

	session_drop_transaction(s);
	if (strncasecmp(line, "HELO", 4) == 0) {
		session_say(s, 250, "", "mx.example.net");
		return;
	}
	strbuf_adds(&out, "250-mx.example.net\r\n");
	if (w->certificate != NULL && !s->is_tls)
		strbuf_adds(&out, "250-STARTTLS\r\n");
	for (size_t i = 0; i < w->ehlo.n; i++)
		strbuf_addf(&out, "250-%s\r\n", w->ehlo.v[i]);
	strbuf_adds(&out, "250 HELP\r\n");
	bufferevent_write(s->bev, out.data, out.len);
	strbuf_fini(&out);
}

static void
on_rset(struct session *s, const char *line)
{
	(void)line;
	session_drop_transaction(s);
	session_say(s, 250, "2.0.0", "Ok");
}

static void
on_noop(struct session *s, const char *line)
{
	(void)line;
	session_say(s, 250, "2.0.0", "Ok");
}

static void
on_quit(struct session *s, const char *line)
{
	struct provider_verdict v = { .code = 221,
		.enhanced = "2.0.0",
		.text = "Bye",
		.action = PROVIDER_CLOSE };

	(void)line;
	session_answer(s, &v, IS_CLOSING);
}

static void
on_starttls(struct session *s, const char *line)
{
	struct server *sv = s->port->server;
	struct evbuffer *in = bufferevent_get_input(s->bev);
	struct bufferevent *tls;

	(void)line;
	if (sv->tls == NULL || s->is_tls) {
		session_say(s, 502, "5.5.1", "TLS not available");
		return;
	}
	evbuffer_add_printf(bufferevent_get_output(s->bev),
	    "220 2.0.0 Ready to start TLS\r\n");
	evbuffer_drain(in, evbuffer_get_length(in));
	session_drop_transaction(s);
	tls = bufferevent_openssl_filter_new(sv->base, s->bev, SSL_new(sv->tls),
	    BUFFEREVENT_SSL_ACCEPTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	s->is_tls = true;
	session_adopt(s, tls);
}

static const struct {
	const char *verb;
	void (*call)(struct session *s, const char *line);
} verbs[] = {
	{ "MAIL", on_mail },
	{ "RCPT", on_rcpt },
	{ "DATA", session_on_data },
	{ "BDAT", session_on_bdat },
	{ "RSET", on_rset },
	{ "NOOP", on_noop },
	{ "EHLO", on_ehlo },
	{ "HELO", on_ehlo },
	{ "STARTTLS", on_starttls },
	{ "QUIT", on_quit },
};

void
session_on_line(struct session *s, const char *line)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t len = strlen(verbs[i].verb);

		if (strncasecmp(line, verbs[i].verb, len) == 0 &&
		    (line[len] == '\0' || line[len] == ' ')) {
			verbs[i].call(s, line);
			return;
		}
	}
	session_say(s, 502, "5.5.2", "command not recognized");
}
