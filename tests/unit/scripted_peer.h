/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SCRIPTED_PEER_H
#define FLYBALL_SCRIPTED_PEER_H

/*
 * An SMTP server for tests, without a socket: commands in, replies out. It is
 * strict with its client (asserts on a bare CR or LF, on pipelining that it
 * didn't offer, on commands out of order) and says what its script says.
 *
 * A script is a list of "VERB reply" in one string, separated by ";". The
 * entries of one verb are used up in order; afterwards it answers as any good
 * server. Verbs: CONNECT EHLO HELO STARTTLS AUTH MAIL RCPT DATA BODY EOD RSET
 * QUIT; AUTH stands for each line of the exchange, EOD for the end of DATA and
 * for BDAT LAST, BODY for the first octets of the content. A reply "!" hangs
 * up, "~" falls silent, one that ends in "!" says it and hangs up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

struct peer {
	const char *caps; /* "PIPELINING;SIZE 1000"; NULL: "-" no ESMTP */
	const char *script;
	/* Instead of the script: a reply, or NULL for the usual one. */
	const char *(*say)(struct peer *p, const char *verb);
	void *say_arg;
	bool used[64]; /* script entries */
	struct strbuf in, out;
	size_t in_at; /* of in, already taken */
	bool is_mute;
	bool is_gone; /* hangs up when out is read */
	bool has_tls;
	bool wants_tls; /* STARTTLS was taken; the driver does the rest */
	enum { PEER_COMMAND, PEER_DATA, PEER_BDAT, PEER_AUTH } mode;
	uint64_t bdat_left;
	bool has_mail, is_reused;
	int n_rcpts; /* accepted in this transaction */
	bool body_asked;
	struct strbuf body;
	/* what it saw */
	struct strbuf log;	  /* verbs, flights marked by "|" */
	struct strbuf lines;	  /* commands as they came, LF between */
	struct strbuf recipients; /* accepted, of this transaction */
	struct strbuf taken;	  /* the last message that it took */
	struct strbuf taken_by;	  /* and its recipients */
	int n_taken;
};

static inline void
peer_fini(struct peer *p)
{
	strbuf_fini(&p->in);
	strbuf_fini(&p->out);
	strbuf_fini(&p->body);
	strbuf_fini(&p->log);
	strbuf_fini(&p->lines);
	strbuf_fini(&p->recipients);
	strbuf_fini(&p->taken);
	strbuf_fini(&p->taken_by);
}

static inline bool
peer_offers(const struct peer *p, const char *cap)
{
	return p->caps != NULL && strstr(p->caps, cap) != NULL;
}

/* The next unused entry of this verb, or NULL. */
static inline char *
peer_scripted(struct peer *p, const char *verb)
{
	const char *s = p->script;

	for (int i = 0; s != NULL && *s != '\0'; i++) {
		size_t len = strcspn(s, ";"), n = strlen(verb);

		assert_true(i < 64);
		if (!p->used[i] && len > n && strncmp(s, verb, n) == 0 &&
		    s[n] == ' ') {
			p->used[i] = true;
			return xstrndup(s + n + 1, len - n - 1);
		}
		s += len;
		s += *s == ';';
	}
	return NULL;
}

/* Answers; the code it said, 0 for silence. */
static inline int
peer_answer(struct peer *p, const char *verb, const char *usual)
{
	char *mine = NULL;
	const char *said = p->say ? p->say(p, verb) : NULL;
	size_t len;
	int code;

	if (said == NULL && p->say == NULL)
		said = mine = peer_scripted(p, verb);
	if (said == NULL)
		said = usual;
	len = strlen(said);
	code = atoi(said);
	p->is_mute |= strcmp(said, "~") == 0;
	if (*said == '\0' || p->is_mute) {
		free(mine);
		return 0;
	}
	if (said[len - 1] == '!') {
		p->is_gone = true;
		len--;
	}
	for (size_t i = 0; i < len; i++) {
		if (said[i] == '\n')
			strbuf_addc(&p->out, '\r');
		strbuf_addc(&p->out, said[i]);
	}
	if (len > 0)
		strbuf_add(&p->out, "\r\n", 2);
	free(mine);
	return code;
}

static inline void
peer_greet(struct peer *p)
{
	peer_answer(p, "CONNECT", "220 peer.example ESMTP");
}

static inline void
peer_forget(struct peer *p)
{
	p->has_mail = false;
	p->n_rcpts = 0;
	strbuf_reset(&p->recipients);
	strbuf_reset(&p->body);
}

static inline void
peer_ehlo(struct peer *p)
{
	struct strbuf text = { 0 };
	const char *s = p->caps;

	strbuf_adds(&text, "250-peer.example");
	while (s != NULL && *s != '\0') {
		size_t len = strcspn(s, ";");

		if (len > 0 &&
		    !(p->has_tls && strncmp(s, "STARTTLS", 8) == 0)) {
			strbuf_adds(&text, "\n250-");
			strbuf_add(&text, s, len);
		}
		s += len;
		s += *s == ';';
	}
	strbuf_adds(&text, "\n250 HELP");
	peer_answer(p, "EHLO",
	    p->caps != NULL ? text.data : "502 5.5.1 what is that?");
	strbuf_fini(&text);
	peer_forget(p);
}

static inline void
peer_end(struct peer *p)
{
	int code;

	p->mode = PEER_COMMAND;
	strbuf_adds(&p->log, "EOD ");
	if (p->n_rcpts == 0)
		code = peer_answer(p, "EOD", "554 5.5.1 no valid recipients");
	else
		code = peer_answer(p, "EOD", "250 2.0.0 taken");
	if (code / 100 == 2 && p->n_rcpts > 0) {
		p->n_taken++;
		strbuf_reset(&p->taken);
		strbuf_add(&p->taken, p->body.data, p->body.len);
		strbuf_reset(&p->taken_by);
		strbuf_add(&p->taken_by, p->recipients.data, p->recipients.len);
	}
	peer_forget(p);
}

/* "MAIL FROM:<a@b> X" -> "MAIL" */
static inline void
peer_command(struct peer *p, char *line)
{
	char verb[16] = "";
	int code;

	snprintf(verb, sizeof(verb), "%.*s", (int)strcspn(line, " "), line);
	strbuf_addf(&p->log, "%s ", verb);
	strbuf_addf(&p->lines, "%s\n", line);
	if (strcmp(verb, "EHLO") == 0) {
		peer_ehlo(p);
	} else if (strcmp(verb, "HELO") == 0) {
		peer_answer(p, verb, "250 peer.example");
	} else if (strcmp(verb, "STARTTLS") == 0) {
		p->wants_tls = peer_answer(p, verb, "220 go") == 220;
	} else if (strcmp(verb, "AUTH") == 0) {
		code = peer_answer(p, verb, "235 2.7.0 welcome");
		p->mode = code == 334 ? PEER_AUTH : PEER_COMMAND;
	} else if (strcmp(verb, "XFORWARD") == 0) {
		assert_string_equal(line, "XFORWARD IDENT=m1.0");
		peer_answer(p, verb, "250 2.0.0 ok");
	} else if (strcmp(verb, "MAIL") == 0) {
		assert_false(p->has_mail);
		code = peer_answer(p, verb, "250 2.1.0 ok");
		p->has_mail = code / 100 == 2;
	} else if (strcmp(verb, "RCPT") == 0) {
		code = p->has_mail
		    ? peer_answer(p, verb, "250 2.1.5 ok")
		    : peer_answer(p, "RCPT", "503 5.5.1 MAIL first");
		if (code / 100 == 2 && p->has_mail) {
			p->n_rcpts++;
			strbuf_addf(&p->recipients, "%.*s ",
			    (int)strcspn(line + 9, ">"), line + 9);
		}
	} else if (strcmp(verb, "DATA") == 0) {
		code = peer_answer(p, verb,
		    p->n_rcpts > 0 ? "354 go on"
				   : "554 5.5.1 no valid recipients");
		if (code == 354)
			p->mode = PEER_DATA;
		p->body_asked = false;
	} else if (strcmp(verb, "BDAT") == 0) {
		assert_true(peer_offers(p, "CHUNKING"));
		assert_non_null(strstr(line, " LAST"));
		p->bdat_left = strtoull(line + 5, NULL, 10);
		p->mode = PEER_BDAT;
		p->body_asked = false;
	} else if (strcmp(verb, "RSET") == 0) {
		peer_answer(p, verb, "250 2.0.0 reset");
		peer_forget(p);
	} else if (strcmp(verb, "QUIT") == 0) {
		peer_answer(p, verb, "221 2.0.0 bye!");
	} else {
		fail_msg("unknown command: %s", line);
	}
}

static inline size_t
peer_left(const struct peer *p)
{
	return p->in.len - p->in_at;
}

/* One line with its CRLF; false when it isn't there yet. */
static inline bool
peer_line(struct peer *p, char **line_out, size_t *used_out)
{
	char *from = p->in.data + p->in_at;
	char *lf = peer_left(p) ? memchr(from, '\n', peer_left(p)) : NULL;

	if (lf == NULL)
		return false;
	assert_true(lf > from && lf[-1] == '\r');
	assert_null(memchr(from, '\r', (size_t)(lf - 1 - from)));
	*line_out = xstrndup(from, (size_t)(lf - 1 - from));
	*used_out = (size_t)(lf + 1 - from);
	return true;
}

static inline void
peer_data_line(struct peer *p, const char *line, size_t len)
{
	if (strcmp(line, ".") == 0) {
		peer_end(p);
		return;
	}
	if (*line == '.') {
		line++;
		len--;
	}
	strbuf_add(&p->body, line, len);
	strbuf_add(&p->body, "\r\n", 2);
}

static inline bool
peer_step(struct peer *p)
{
	size_t used;
	char *line;

	if ((p->mode == PEER_DATA || p->mode == PEER_BDAT) && !p->body_asked &&
	    (peer_left(p) > 0 || (p->mode == PEER_BDAT && p->bdat_left == 0))) {
		p->body_asked = true;
		peer_answer(p, "BODY", "");
		return true;
	}
	if (p->mode == PEER_BDAT) {
		size_t n = peer_left(p) < p->bdat_left ? peer_left(p)
						       : (size_t)p->bdat_left;

		if (n == 0 && p->bdat_left > 0)
			return false;
		strbuf_add(&p->body, p->in.data + p->in_at, n);
		p->in_at += n;
		p->bdat_left -= n;
		if (p->bdat_left == 0)
			peer_end(p);
		return true;
	}
	if (!peer_line(p, &line, &used))
		return false;
	/* Consumed before it is judged, so that nothing is seen twice. */
	p->in_at += used;
	if (p->mode == PEER_DATA) {
		peer_data_line(p, line, used - 2);
	} else if (p->mode == PEER_AUTH) {
		int code;

		strbuf_addf(&p->lines, "%s\n", line);
		code = peer_answer(p, "AUTH", "235 2.7.0 welcome");
		p->mode = code == 334 ? PEER_AUTH : PEER_COMMAND;
	} else {
		peer_command(p, line);
		/* A command by itself, unless pipelining was offered. */
		if (p->mode == PEER_COMMAND && peer_left(p) > 0 &&
		    !p->wants_tls)
			assert_true(peer_offers(p, "PIPELINING") ||
			    p->is_gone ||
			    strcmp(p->in.data + p->in_at, "QUIT\r\n") == 0);
	}
	free(line);
	return true;
}

/* Takes all, unless it hung up. */
static inline void
peer_feed(struct peer *p, const char *data, size_t len)
{
	strbuf_addc(&p->log, '|');
	strbuf_add(&p->in, data, len);
	while (!p->is_gone && peer_step(p))
		;
	strbuf_consume(&p->in, p->in_at);
	p->in_at = 0;
}

#endif
