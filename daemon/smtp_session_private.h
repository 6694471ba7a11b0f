/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SMTP_SESSION_PRIVATE_H
#define FLYBALL_SMTP_SESSION_PRIVATE_H

/* Shared by daemon/smtp_session*.c and by nobody else. */

#include "conf/base/strbuf.h"
#include "daemon/content_reader.h"
#include "daemon/header_scan.h"
#include "daemon/smtp_command.h"
#include "daemon/smtp_session.h"

enum session_state {
	SESSION_REFUSED,     /* a stranger: nothing but QUIT is heard */
	SESSION_START,	     /* EHLO or HELO is to come */
	SESSION_READY,	     /* between messages */
	SESSION_MAIL,	     /* has a sender */
	SESSION_RCPT,	     /* has a recipient or more */
	SESSION_BDAT,	     /* between the chunks of one message */
	SESSION_SASL,	     /* the next line belongs to AUTH */
	SESSION_DATA,	     /* content behind DATA */
	SESSION_CHUNK,	     /* content of a BDAT chunk */
	SESSION_TLS_WAIT,    /* for smtp_session_tls_done() */
	SESSION_AUTH_WAIT,   /* for smtp_session_auth_done() */
	SESSION_SUBMIT_WAIT, /* for smtp_session_submit_done() */
	SESSION_CLOSED,
};

/* What the next SASL line is. */
enum sasl_step { SASL_PLAIN, SASL_LOGIN_USER, SASL_LOGIN_PASSWORD };

struct session_content {     /* of the message that is being taken */
	struct body *body;   /* NULL: not begun, or given up */
	const char *refusal; /* the reply that the whole message gets */
	struct content_reader reader;
	struct header_scan header;
	struct header_scan_ops header_ops;
};

struct session_chunk {
	uint64_t size;
	uint64_t n_left;
	bool is_last;
	enum session_state back; /* the state before a refused one */
	const char *refusal;	 /* it belongs to no message: what to say */
};

struct smtp_session {
	const struct conf *conf;
	const struct conf_listener *listener;
	struct session_ops ops;
	char client[64];
	bool is_trusted;
	bool has_tls_context;
	bool is_tls;
	char *tls_text; /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or NULL */

	enum session_state state;
	int64_t begun_us;
	int64_t now_us;	  /* of the last input */
	int64_t since_us; /* when what is awaited began */
	bool was_waiting; /* since_us begins at the next input */
	unsigned depth;	  /* of calls into the session; writes at 0 */
	bool is_draining;
	bool discards_rest; /* of this input: STARTTLS */
	unsigned n_bad;	    /* commands since the last good message */
	unsigned n_auth_failures;
	unsigned n_strange; /* commands of one whom nobody knows yet */

	struct strbuf line; /* of a command, until its CRLF is in */
	char line_previous; /* the byte before what comes next */
	bool line_is_long;  /* over the limit: the rest is dropped */
	struct strbuf out;  /* replies of this turn */

	char *helo; /* NULL: none yet */
	bool is_esmtp;
	struct auth_identity *identity;
	enum sasl_step sasl_step;
	char *sasl_user;

	struct envelope envelope; /* from MAIL on; deliveries[0] has all */
	struct session_content content;
	struct session_chunk chunk;
	const char **wanted; /* header fields named by streams */
	struct header_value *header_values;
	size_t n_wanted;
};

/* ---- smtp_session.c ---- */

/* The one door between states. */
void session_enter(struct smtp_session *s, enum session_state state);
/* Adds a reply to this turn's; CRLF is added. */
void session_reply(struct smtp_session *s, const char *text);
void session_replyf(struct smtp_session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a command that makes no sense: too many end the session. */
void session_reply_bad(struct smtp_session *s, const char *text);
/* Writes what there is, then asks to be closed. */
void session_close(struct smtp_session *s, const char *why, bool abusive);
void session_flush(struct smtp_session *s);
/* Around everything that is called from outside: replies go out, and a
 * shutdown is seen, when the outermost call ends. */
void session_begin(struct smtp_session *s);
void session_end(struct smtp_session *s);
/* What a verb is told that doesn't belong into this state. */
const char *session_misplaced(const struct smtp_session *s);

/* ---- smtp_session_command.c ---- */
/* One line without its CRLF. */
void session_command(struct smtp_session *s, char *line);
bool session_auth_is_offered(const struct smtp_session *s);

/* ---- smtp_session_auth.c ---- */
const char *session_auth_check(const struct smtp_session *s, const char *args);
void session_auth(struct smtp_session *s, char *args);
/* A line of the SASL exchange, NULL when it was too long or malformed. */
void session_sasl_line(struct smtp_session *s, const char *line, bool is_long);
void session_sasl_forget(struct smtp_session *s);

/* ---- smtp_session_mail.c ---- */
const char *session_mail_check(const struct smtp_session *s, const char *args);
void session_mail(struct smtp_session *s, char *args);
void session_rcpt(struct smtp_session *s, char *args);
/* Forgets the transaction, if there is one; READY again after a greeting. */
void session_reset(struct smtp_session *s);

/* ---- smtp_session_content.c ---- */
const char *session_data_check(const struct smtp_session *s, const char *args);
void session_data(struct smtp_session *s, char *args);
void session_bdat(struct smtp_session *s, char *args);
/* Content in DATA and CHUNK; returns how many bytes it took. */
size_t session_content_input(struct smtp_session *s, const char *data,
    size_t len);
void session_content_forget(struct smtp_session *s);

#endif
