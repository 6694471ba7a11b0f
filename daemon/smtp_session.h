/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SMTP_SESSION_H
#define FLYBALL_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "daemon/spool.h"
#include "sink/envelope.h"

/*
 * The server's side of one SMTP session as a state machine without a socket:
 * bytes in, replies out, callbacks for what takes time. RFC 5321, 6409, 2920,
 * 3030, 3207, 4954, 6152, 6531, 3461, 2034/5248, 1870, 9422.
 */
struct smtp_session;

struct auth_identity { /* a user who is who he says */
	char *name;
	char *stream;			  /* "" = by match */
	struct conf_names sender_domains; /* n == 0: any */
	struct rate rate; /* of submission; unlimited: window 0 */
};

struct session_ops {
	/* Reply bytes; goes out at the end of the turn. */
	void (*write)(void *arg, const char *data, size_t len);
	/* After the 220 was written; answer with smtp_session_tls_done().
	 * Bytes read before and not yet given to smtp_session_input() must be
	 * thrown away: they came in clear (RFC 3207 4.2). */
	void (*start_tls)(void *arg);
	/* Answer with smtp_session_auth_done(). Strings lent for the call. */
	void (*check_password)(void *arg, const char *user,
	    const char *password);
	/* The message is whole. Classify into deliveries, keep, and answer
	 * with smtp_session_submit_done(). Takes the body and what is in the
	 * envelope; the struct itself is lent for the call. All recipients are
	 * in deliveries[0], whose provider and site are NULL, as the envelope's
	 * stream is. */
	void (*submit)(void *arg, struct envelope *envelope_take,
	    struct body *body_take);
	struct body *(*body_new)(void *arg); /* NULL: 451 */
	/* May this user submit n more recipients now (per-user rate)? */
	bool (*may_submit)(void *arg, const struct auth_identity *who,
	    unsigned n_recipients);
	/* Is this mailbox on the suppression list? Then the reply to its RCPT
	 * (static), else NULL. May be NULL. */
	const char *(*suppressed)(void *arg, const char *mailbox);
	/* Close after what is written. `abusive`: delay this address. Called
	 * once; the session takes no notice of anything afterwards. */
	void (*close)(void *arg, const char *why, bool abusive);
	void *arg;
};

struct session_setup {
	const struct conf *conf; /* the session takes a reference */
	const struct conf_listener *listener; /* within conf */
	char client[64];		      /* address text, "[::1]" style */
	bool is_trusted;		      /* in listener.trusted */
	bool has_tls_context;		      /* STARTTLS can be offered */
	bool is_tls;			      /* implicit TLS is up */
	int64_t now_us;
	const char *tls_text; /* of implicit TLS, or NULL; copied */
};

struct smtp_session *smtp_session_new(const struct session_setup *setup,
    const struct session_ops *ops);
/* Free at any time but from within its own callbacks. */
void smtp_session_free(struct smtp_session *s);
void smtp_session_greet(struct smtp_session *s);

/* What one call writes at most, but for the last command's replies. */
#define SMTP_SESSION_OUT_MAX 65536

/* Bytes of the client; returns how many it took. It takes none while it waits
 * for an answer (TLS, password, commit): call again after the answer. Nor more
 * once it has written SMTP_SESSION_OUT_MAX: call again when that is out. */
size_t smtp_session_input(struct smtp_session *s, const char *data, size_t len,
    int64_t now_us);

void smtp_session_tls_done(struct smtp_session *s, const char *tls_text);
/* who NULL: refused; temporary: the users file can't be read (454). */
void smtp_session_auth_done(struct smtp_session *s,
    struct auth_identity *who_take, bool temporary);
void smtp_session_submit_done(struct smtp_session *s, enum spool_result result,
    uint64_t message);
/* Instead of it: the message goes nowhere, with this reply. */
void smtp_session_submit_refused(struct smtp_session *s, const char *reply);
/* The daemon drains: 421 at the next command boundary. */
void smtp_session_shutdown(struct smtp_session *s);
/* The deadline passed: writes 421 4.4.2 and asks to be closed. */
void smtp_session_timed_out(struct smtp_session *s);

/* How long the peer may take for what is awaited now: one command, or the
 * whole of a message's content. */
int64_t smtp_session_timeout_us(const struct smtp_session *s);
/* The instant when that ends. It stays where it is while bytes trickle in and
 * moves when a command is whole. INT64_MAX while the session itself waits. */
int64_t smtp_session_deadline_us(const struct smtp_session *s);
bool smtp_session_is_waiting(const struct smtp_session *s); /* for an answer */

/* Who submits; NULL = nobody has authenticated. */
const struct auth_identity *smtp_session_identity(const struct smtp_session *s);
/* The value of a header field that some stream's match names, unfolded, the
 * first of that name; NULL = absent. From ops.submit until its answer. */
const char *smtp_session_header(const struct smtp_session *s, const char *name);

void auth_identity_free(struct auth_identity *who);

#endif
