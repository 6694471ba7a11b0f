/* SPDX-License-Identifier: ISC */
/*
 * The server's side of an SMTP session: its states, its life, the lines that
 * come in and the replies that go out, gathered to one write a turn. The
 * socket's owner feeds it bytes and answers; the verbs, MAIL and RCPT, content
 * and AUTH live in files of their own beside this one.
 *
 * It must not touch a socket, wait, or look anything up. The one subtle rule:
 * any callback may answer before it returns, so after calling one nothing may
 * be assumed about the state.
 */
#include "daemon/smtp_session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/log.h"
#include "conf/base/log_limit.h"
#include "conf/base/xalloc.h"
#include "daemon/smtp_session_private.h"

/* Octets with CRLF. RFC 5321 4.5.3.1.4 has 512, and the parameters of RFC
 * 1870, 3461, 4954, 6152 and 6531 ask for 1,300 more. */
#define LINE_MAX_COMMAND   2048
#define LINE_MAX_SASL	   12288 /* RFC 4954 4 */
/* A stranger was told to go; RFC 5321 3.1 lets him say QUIT. */
#define REFUSED_TIMEOUT_US (10 * INT64_C(1000000))

enum phase { PHASE_COMMAND, PHASE_CONTENT, PHASE_WAIT, PHASE_OVER };

static const struct state_row {
	const char *name;
	enum phase phase;
	const char *misplaced; /* to a verb that doesn't belong here */
} states[] = {
	[SESSION_REFUSED] = { "refused", PHASE_COMMAND,
	    "503 5.5.1 No service for you here, QUIT" },
	[SESSION_START] = { "start", PHASE_COMMAND,
	    "503 5.5.1 Send EHLO first" },
	[SESSION_READY] = { "ready", PHASE_COMMAND,
	    "503 5.5.1 Send MAIL first" },
	[SESSION_MAIL] = { "mail", PHASE_COMMAND,
	    "503 5.5.1 Not within a transaction" },
	[SESSION_RCPT] = { "rcpt", PHASE_COMMAND,
	    "503 5.5.1 Not within a transaction" },
	[SESSION_BDAT] = { "bdat", PHASE_CONTENT,
	    "503 5.5.1 Not between BDAT chunks" },
	[SESSION_SASL] = { "sasl", PHASE_COMMAND, "" },
	[SESSION_DATA] = { "data", PHASE_CONTENT, "" },
	[SESSION_CHUNK] = { "chunk", PHASE_CONTENT, "" },
	[SESSION_TLS_WAIT] = { "tls_wait", PHASE_WAIT, "" },
	[SESSION_AUTH_WAIT] = { "auth_wait", PHASE_WAIT, "" },
	[SESSION_SUBMIT_WAIT] = { "submit_wait", PHASE_WAIT, "" },
	[SESSION_CLOSED] = { "closed", PHASE_OVER, "" },
};

/* ---- states and replies ---- */

void
session_enter(struct smtp_session *s, enum session_state state)
{
	enum phase old = states[s->state].phase, new = states[state].phase;

	if (s->state == state)
		return;
	log_debug("session_state", LOG_STR("client", s->client),
	    LOG_STR("from", states[s->state].name),
	    LOG_STR("to", states[state].name));
	s->state = state;
	if (new == PHASE_WAIT)
		s->was_waiting = true;
	else if (old != new)
		s->since_us = s->now_us;
}

const char *
session_misplaced(const struct smtp_session *s)
{
	return states[s->state].misplaced;
}

void
session_reply(struct smtp_session *s, const char *text)
{
	size_t len = strlen(text);

	strbuf_reserve(&s->out, len + 2);
	strbuf_add(&s->out, text, len);
	strbuf_add(&s->out, "\r\n", 2);
}

void
session_replyf(struct smtp_session *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	session_reply(s, text);
}

/* Whoever connects can cause one. */
static struct log_limit abuse = { .event = "session_abuse" };

void
session_reply_bad(struct smtp_session *s, const char *text)
{
	s->n_bad++;
	if (s->conf->limits.bad_commands == 0 ||
	    s->n_bad < s->conf->limits.bad_commands) {
		session_reply(s, text);
		return;
	}
	if (log_limit_take(&abuse, s->now_us))
		log_info("session_abuse", LOG_STR("client", s->client),
		    LOG_INT("bad_commands", s->n_bad),
		    LOG_STR("last_reply", text));
	session_reply(s, "421 4.7.0 Too many bad commands, closing");
	session_close(s, "too many bad commands", true);
}

void
session_flush(struct smtp_session *s)
{
	struct strbuf out = s->out;

	if (out.len == 0)
		return;
	/* The callback may come back with more. */
	s->out = (struct strbuf){ 0 };
	s->ops.write(s->ops.arg, out.data, out.len);
	if (s->out.data != NULL || out.cap > 4096) {
		strbuf_fini(&out);
		return;
	}
	strbuf_reset(&out);
	s->out = out;
}

void
session_close(struct smtp_session *s, const char *why, bool abusive)
{
	if (s->state == SESSION_CLOSED)
		return;
	session_enter(s, SESSION_CLOSED);
	session_flush(s);
	s->ops.close(s->ops.arg, why, abusive);
}

void
session_begin(struct smtp_session *s)
{
	s->depth++;
}

void
session_end(struct smtp_session *s)
{
	enum phase phase = states[s->state].phase;
	bool is_boundary = phase == PHASE_COMMAND || s->state == SESSION_BDAT;

	if (s->is_draining && is_boundary) {
		session_replyf(s, "421 4.3.2 %s shutting down, try later",
		    s->conf->daemon.hostname);
		session_close(s, "shutdown", false);
	}
	if (--s->depth == 0)
		session_flush(s);
}

/* ---- lines ---- */

static bool
line_is_sasl(const struct smtp_session *s)
{
	return s->state == SESSION_SASL ||
	    (s->line.len >= 5 && strncasecmp(s->line.data, "AUTH ", 5) == 0);
}

/* Keeps what the line's limit allows; a first part decides which limit. */
static void
line_add(struct smtp_session *s, const char *data, size_t len)
{
	size_t limit = LINE_MAX_COMMAND, n;

	for (;;) {
		n = s->line.len < limit ? limit - s->line.len : 0;
		if (n > len)
			n = len;
		strbuf_add(&s->line, data, n);
		data += n;
		len -= n;
		if (len == 0)
			return;
		if (limit == LINE_MAX_SASL || !line_is_sasl(s))
			break;
		limit = LINE_MAX_SASL;
	}
	s->line_is_long = true;
}

/* A line of AUTH is overwritten before its buffer holds another, or is freed.
 * What was copied before it came here, under TLS or from the socket, isn't
 * reached from here. A large buffer isn't kept. */
static void
line_forget(struct smtp_session *s, bool was_sasl)
{
	if (was_sasl && s->line.data != NULL)
		explicit_bzero(s->line.data, s->line.cap);
	if (s->line.cap > 4096)
		strbuf_fini(&s->line);
	strbuf_reset(&s->line);
	s->line_is_long = false;
	s->line_previous = '\0';
}

/*
 * The line is whole. A CR or LF within it ends no line: one server of a chain
 * that thinks so and one that doesn't are how commands are smuggled. Trailing
 * blanks are forgiven (RFC 5321 4.1.1).
 */
static void
line_done(struct smtp_session *s)
{
	bool is_sasl = line_is_sasl(s), is_malformed = s->line_is_long;
	char *line = s->line.data;
	size_t len = s->line.len;

	/* Between chunks the message's own deadline goes on. */
	if (states[s->state].phase == PHASE_COMMAND)
		s->since_us = s->now_us;
	if (!is_malformed) {
		len -= 2;
		is_malformed = memchr(line, '\r', len) != NULL ||
		    memchr(line, '\n', len) != NULL ||
		    memchr(line, '\0', len) != NULL;
		line[len] = '\0';
	}
	if (s->state == SESSION_SASL) {
		session_sasl_line(s, is_malformed ? NULL : line,
		    s->line_is_long);
	} else if (s->line_is_long) {
		session_reply_bad(s,
		    is_sasl ? "500 5.5.6 Authentication line too long"
			    : "500 5.5.2 Line too long");
	} else if (is_malformed) {
		session_reply_bad(s, "500 5.5.2 Bare CR, LF or NUL in a line");
	} else {
		while (len > 0 && strchr(" \t", line[len - 1]) != NULL)
			line[--len] = '\0';
		session_command(s, line);
	}
	line_forget(s, is_sasl);
}

static size_t
line_input(struct smtp_session *s, const char *data, size_t len)
{
	const char *lf = memchr(data, '\n', len);
	size_t n = lf != NULL ? (size_t)(lf - data) + 1 : len;
	char before_lf = n >= 2 ? data[n - 2] : s->line_previous;

	line_add(s, data, n);
	s->line_previous = data[n - 1];
	if (lf != NULL && before_lf == '\r')
		line_done(s);
	return n;
}

/* ---- life cycle ---- */

static bool
is_wanted(const struct smtp_session *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n_wanted; i++)
		if (strcasecmp(s->wanted[i], name) == 0)
			return true;
	return false;
}

/* The names belong to the snapshot that the session holds on to. */
static void
collect_wanted(struct smtp_session *s)
{
	size_t i, j;

	for (i = 0; i < s->conf->n_streams; i++) {
		const struct conf_stream *stream = &s->conf->streams[i];

		for (j = 0; j < stream->match.n_header; j++) {
			const char *name = stream->match.header[j].name;

			if (is_wanted(s, name))
				continue;
			s->wanted = xrealloc(s->wanted,
			    (s->n_wanted + 1) * sizeof(*s->wanted));
			s->wanted[s->n_wanted++] = name;
		}
	}
	if (s->n_wanted > 0)
		s->header_values =
		    xcalloc(s->n_wanted, sizeof(*s->header_values));
}

struct smtp_session *
smtp_session_new(const struct session_setup *setup,
    const struct session_ops *ops)
{
	struct smtp_session *s = xcalloc(1, sizeof(*s));

	s->conf = conf_ref(setup->conf);
	s->listener = setup->listener;
	s->ops = *ops;
	snprintf(s->client, sizeof(s->client), "%s", setup->client);
	s->is_trusted = setup->is_trusted;
	s->has_tls_context = setup->has_tls_context;
	s->is_tls = setup->is_tls;
	s->tls_text = xstrdup(setup->tls_text);
	s->begun_us = s->now_us = s->since_us = setup->now_us;
	/* Without AUTH only the operator's own networks may send. */
	s->state = s->listener->auth == LISTENER_AUTH_NONE && !s->is_trusted
	    ? SESSION_REFUSED
	    : SESSION_START;
	collect_wanted(s);
	return s;
}

void
smtp_session_free(struct smtp_session *s)
{
	size_t i;

	if (s == NULL)
		return;
	assert(s->depth == 0);
	session_reset(s);
	session_sasl_forget(s);
	auth_identity_free(s->identity);
	for (i = 0; i < s->n_wanted; i++)
		strbuf_fini(&s->header_values[i].text);
	free(s->header_values);
	free(s->wanted);
	free(s->helo);
	free(s->tls_text);
	strbuf_fini(&s->line);
	strbuf_fini(&s->out);
	conf_unref(s->conf);
	free(s);
}

void
smtp_session_greet(struct smtp_session *s)
{
	session_begin(s);
	if (s->state == SESSION_REFUSED)
		session_replyf(s, "554 5.7.1 %s no service for you",
		    s->conf->daemon.hostname);
	else
		session_replyf(s, "220 %s ESMTP flyball",
		    s->conf->daemon.hostname);
	session_end(s);
}

size_t
smtp_session_input(struct smtp_session *s, const char *data, size_t len,
    int64_t now_us)
{
	size_t taken = 0;

	s->now_us = now_us;
	if (s->was_waiting && !smtp_session_is_waiting(s)) {
		s->was_waiting = false;
		s->since_us = now_us;
	}
	session_begin(s);
	while (taken < len && !s->discards_rest &&
	    s->out.len < SMTP_SESSION_OUT_MAX &&
	    states[s->state].phase < PHASE_WAIT) {
		if (s->state == SESSION_DATA || s->state == SESSION_CHUNK)
			taken +=
			    session_content_input(s, data + taken, len - taken);
		else
			taken += line_input(s, data + taken, len - taken);
	}
	if (s->discards_rest || s->state == SESSION_CLOSED)
		taken = len;
	s->discards_rest = false;
	session_end(s);
	return taken;
}

/* ---- answers and news from outside ---- */

void
smtp_session_tls_done(struct smtp_session *s, const char *tls_text)
{
	if (s->state != SESSION_TLS_WAIT)
		return;
	session_begin(s);
	s->is_tls = true;
	free(s->tls_text);
	s->tls_text = xstrdup(tls_text);
	/* What the client said in clear is void (RFC 3207 4.2). */
	free(s->helo);
	s->helo = NULL;
	auth_identity_free(s->identity);
	s->identity = NULL;
	session_enter(s, SESSION_START);
	session_end(s);
}

void
smtp_session_shutdown(struct smtp_session *s)
{
	session_begin(s);
	s->is_draining = true;
	session_end(s);
}

void
smtp_session_timed_out(struct smtp_session *s)
{
	session_begin(s);
	if (s->state != SESSION_CLOSED) {
		session_replyf(s, "421 4.4.2 %s timeout, closing",
		    s->conf->daemon.hostname);
		session_close(s, "timeout", false);
	}
	session_end(s);
}

/* ---- questions ---- */

int64_t
smtp_session_timeout_us(const struct smtp_session *s)
{
	int64_t command_us = s->conf->limits.command_timeout_us;

	if (states[s->state].phase == PHASE_CONTENT)
		return s->conf->limits.data_timeout_us;
	if (s->state == SESSION_REFUSED && command_us > REFUSED_TIMEOUT_US)
		return REFUSED_TIMEOUT_US;
	return command_us;
}

int64_t
smtp_session_deadline_us(const struct smtp_session *s)
{
	if (states[s->state].phase >= PHASE_WAIT)
		return INT64_MAX;
	return s->since_us + smtp_session_timeout_us(s);
}

bool
smtp_session_is_waiting(const struct smtp_session *s)
{
	return states[s->state].phase == PHASE_WAIT;
}

const struct auth_identity *
smtp_session_identity(const struct smtp_session *s)
{
	return s->identity;
}

const char *
smtp_session_header(const struct smtp_session *s, const char *name)
{
	return header_scan_value(&s->content.header, name);
}
