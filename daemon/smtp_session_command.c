/* SPDX-License-Identifier: ISC */
/*
 * The table of verbs: in which states each may stand, whether it has
 * arguments, what is checked and who does it. The small verbs are here too;
 * the session calls session_command() with every whole line.
 *
 * A new verb is a row here. Its handler may count on the row's conditions and
 * repeats none of them.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/smtp_session_private.h"

/* ---- greetings ---- */

bool
session_auth_is_offered(const struct smtp_session *s)
{
	return s->listener->auth == LISTENER_AUTH_REQUIRED &&
	    (s->is_tls || s->listener->plaintext_auth);
}

static bool
starttls_is_offered(const struct smtp_session *s)
{
	return s->listener->tls == LISTENER_TLS_STARTTLS && !s->is_tls &&
	    s->has_tls_context;
}

static const char *
check_helo(const struct smtp_session *s, const char *args)
{
	(void)s;
	return smtp_helo_is_valid(args)
	    ? NULL
	    : "501 5.5.4 Syntax: EHLO name-or-address-literal";
}

static void
greeting_take(struct smtp_session *s, const char *name, bool is_esmtp)
{
	session_reset(s);
	free(s->helo);
	s->helo = xstrdup(name);
	s->is_esmtp = is_esmtp;
	session_enter(s, SESSION_READY);
}

static void
proceed_helo(struct smtp_session *s, char *args)
{
	greeting_take(s, args, false);
	session_replyf(s, "250 %s", s->conf->daemon.hostname);
}

static void
proceed_ehlo(struct smtp_session *s, char *args)
{
	const struct conf_limits *limits = &s->conf->limits;

	greeting_take(s, args, true);
	session_replyf(s, "250-%s", s->conf->daemon.hostname);
	session_reply(s, "250-PIPELINING");
	session_replyf(s, "250-SIZE %lld",
	    (long long)limits->message_size_bytes);
	session_reply(s, "250-8BITMIME");
	session_reply(s, "250-SMTPUTF8");
	session_reply(s, "250-DSN");
	session_reply(s, "250-ENHANCEDSTATUSCODES");
	session_reply(s, "250-CHUNKING");
	if (starttls_is_offered(s))
		session_reply(s, "250-STARTTLS");
	if (session_auth_is_offered(s))
		session_reply(s, "250-AUTH PLAIN LOGIN");
	session_replyf(s, "250 LIMITS RCPTMAX=%u", limits->recipients);
}

/* ---- small verbs ---- */

static void
proceed_noop(struct smtp_session *s, char *args)
{
	(void)args;
	session_reply(s, "250 2.0.0 Ok");
}

static void
proceed_rset(struct smtp_session *s, char *args)
{
	(void)args;
	session_reset(s);
	session_reply(s, "250 2.0.0 Ok");
}

static void
proceed_help(struct smtp_session *s, char *args)
{
	(void)args;
	session_reply(s,
	    "214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP "
	    "VRFY HELP QUIT, as RFC 5321 and 6409 say");
}

static void
proceed_vrfy(struct smtp_session *s, char *args)
{
	(void)args;
	session_reply(s,
	    "252 2.5.0 Can't verify, will take mail and try to deliver it");
}

static void
proceed_expn(struct smtp_session *s, char *args)
{
	(void)args;
	session_reply_bad(s, "502 5.5.1 EXPN is not implemented");
}

static void
proceed_quit(struct smtp_session *s, char *args)
{
	(void)args;
	session_replyf(s, "221 2.0.0 %s closing", s->conf->daemon.hostname);
	session_close(s, "quit", false);
}

static const char *
check_starttls(const struct smtp_session *s, const char *args)
{
	(void)args;
	if (s->is_tls)
		return "503 5.5.1 TLS is up already";
	if (s->listener->tls != LISTENER_TLS_STARTTLS)
		return "502 5.5.1 STARTTLS is not offered here";
	if (!s->has_tls_context)
		return "454 4.7.0 TLS is not available now";
	return NULL;
}

/*
 * Whatever came behind STARTTLS was sent in clear, perhaps by somebody in
 * between: it is thrown away and not taken for a part of the TLS session
 * (RFC 3207 4.2; CVE-2011-0411).
 */
static void
proceed_starttls(struct smtp_session *s, char *args)
{
	(void)args;
	session_reply(s, "220 2.0.0 Ready to start TLS");
	s->discards_rest = true;
	session_enter(s, SESSION_TLS_WAIT);
	session_flush(s);
	s->ops.start_tls(s->ops.arg);
}

/* ---- the table of verbs ---- */

#define IN(state)      (1u << (state))
#define IN_TRANSACTION (IN(SESSION_MAIL) | IN(SESSION_RCPT))
#define IN_ALL                                                    \
	(IN(SESSION_START) | IN(SESSION_READY) | IN_TRANSACTION | \
	    IN(SESSION_BDAT))

enum args_rule { ARGS_ANY, ARGS_NONE, ARGS_SOME };

static const struct verb_row {
	unsigned states; /* where it may stand */
	enum args_rule args;
	/* Looks at more than syntax; NULL or the refusing reply. */
	const char *(*check)(const struct smtp_session *s, const char *args);
	void (*proceed)(struct smtp_session *s, char *args);
} verbs[VERB_COUNT] = {
	[VERB_AUTH] = { IN(SESSION_READY), ARGS_SOME, session_auth_check,
	    session_auth },
	/* Its chunk must be read in whatever state. */
	[VERB_BDAT] = { IN_ALL | IN(SESSION_REFUSED), ARGS_ANY, NULL,
	    session_bdat },
	[VERB_DATA] = { IN_TRANSACTION, ARGS_NONE, session_data_check,
	    session_data },
	[VERB_EHLO] = { IN_ALL, ARGS_SOME, check_helo, proceed_ehlo },
	[VERB_EXPN] = { IN_ALL, ARGS_ANY, NULL, proceed_expn },
	[VERB_HELO] = { IN_ALL, ARGS_SOME, check_helo, proceed_helo },
	[VERB_HELP] = { IN_ALL, ARGS_ANY, NULL, proceed_help },
	[VERB_MAIL] = { IN(SESSION_READY), ARGS_SOME, session_mail_check,
	    session_mail },
	[VERB_NOOP] = { IN_ALL, ARGS_ANY, NULL, proceed_noop },
	[VERB_QUIT] = { IN_ALL | IN(SESSION_REFUSED), ARGS_NONE, NULL,
	    proceed_quit },
	[VERB_RCPT] = { IN_TRANSACTION, ARGS_SOME, NULL, session_rcpt },
	[VERB_RSET] = { IN_ALL, ARGS_NONE, NULL, proceed_rset },
	[VERB_STARTTLS] = { IN(SESSION_READY), ARGS_NONE, check_starttls,
	    proceed_starttls },
	[VERB_VRFY] = { IN_ALL, ARGS_SOME, NULL, proceed_vrfy },
};

static const char *
verb_refusal(const struct smtp_session *s, const struct verb_row *row,
    const char *args)
{
	if (!(row->states & IN(s->state)))
		return session_misplaced(s);
	if (row->args == ARGS_NONE && *args != '\0')
		return "501 5.5.4 This command takes no arguments";
	if (row->args == ARGS_SOME && *args == '\0')
		return "501 5.5.4 This command needs an argument";
	return row->check != NULL ? row->check(s, args) : NULL;
}

/* Who may not send and doesn't say who he is can keep no session by asking
 * small things of it for ever. */
#define STRANGE_COMMANDS_MAX 100
#define STRANGE_US	     (10 * 60 * INT64_C(1000000))

/* True: it was answered. */
static bool
strangers_end(struct smtp_session *s)
{
	if (s->is_trusted || s->identity != NULL || s->state == SESSION_REFUSED)
		return false;
	if (s->now_us - s->begun_us > STRANGE_US) {
		session_replyf(s, "421 4.4.2 %s no authentication, closing",
		    s->conf->daemon.hostname);
		session_close(s, "no authentication in time", false);
		return true;
	}
	if (++s->n_strange <= STRANGE_COMMANDS_MAX)
		return false;
	session_reply_bad(s, "503 5.5.1 Too many commands, authenticate");
	return true;
}

void
session_command(struct smtp_session *s, char *line)
{
	const char *args, *refusal;
	enum smtp_verb verb = smtp_verb_parse(line, &args);

	if (verb != VERB_AUTH && verb != VERB_QUIT && verb != VERB_BDAT &&
	    strangers_end(s))
		return;
	if (verb == VERB_UNKNOWN && s->state != SESSION_REFUSED) {
		session_reply_bad(s, "500 5.5.2 Command not recognized");
		return;
	}
	refusal = verb_refusal(s, &verbs[verb], args);
	if (refusal != NULL)
		session_reply_bad(s, refusal);
	else
		verbs[verb].proceed(s, line + (args - line));
}
