/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SMTP_CLIENT_H
#define FLYBALL_SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"
#include "scheduler/reply_rules.h"
#include "sink/envelope.h"

/*
 * The client's side of one SMTP connection as a state machine without a
 * socket: replies in, commands out, callbacks for what it needs. RFC 5321,
 * 2920 (PIPELINING), 3030 (BDAT), 3207 (STARTTLS), 4954 (AUTH), 3461 (DSN),
 * 6152, 6531, 1870, 9422 (LIMITS), and Postfix's XFORWARD IDENT. The pool gives
 * it bytes, TLS and deadlines.
 */
struct smtp_client;

struct client_ops {
	/* Begin TLS now; answer with smtp_client_tls_done(). */
	void (*start_tls)(void *arg);
	/* Ready for smtp_client_send() (greeted, or a transaction ended). */
	void (*ready)(void *arg);
	/* Every recipient of the transaction has its result. May call
	 * smtp_client_send() or free the client's owner later, not now. */
	void (*done)(void *arg);
	/* The connection is of no more use; close it. `why` is static. */
	void (*close)(void *arg, const char *why);
	void *arg;
};

/* One transaction: a message to some recipients. The caller owns all of it
 * and keeps it until done(). */
enum rcpt_fate {
	FATE_UNKNOWN, /* not offered yet */
	FATE_DELIVERED,
	FATE_DEFERRED,
	FATE_FAILED,
	/* Attempts unchanged: too many recipients for one transaction (452, RFC
	 * 9422 RCPTMAX), or the connection went while the reply to another one
	 * was awaited. That other one is deferred, so there is progress. */
	FATE_UNTRIED,
};
struct rcpt_result {
	enum rcpt_fate fate;
	enum phase phase;
	/* 0 = no reply. What we refuse by ourselves, because the next hop can't
	 * take it, has the code and text that it would have said. */
	int code;
	char enhanced[16];
	char *reply; /* raw text, or what our side saw; malloc'd */
	struct reply_answer answer;
};
struct transaction {
	const struct envelope *envelope;
	const struct recipient *recipients;
	size_t n_recipients;
	struct rcpt_result *results;	 /* n_recipients, filled in */
	const char *provider;		 /* for the classifier */
	const struct reply_rules *rules; /* the same; NULL: by code alone */
	/* How we name it to a next hop that logs what an XFORWARD says: goes
	 * as IDENT where it is offered. NULL: not at all. */
	const char *ident;
	/* ENVID, as xtext, where the envelope has none; NULL: none. */
	const char *envid;
	/* Fields in front of the content, with their CRLF; NULL: none. */
	const char *prefix;
	size_t prefix_len;
	/* The content, CRLF line ends, not dot-stuffed: in memory, or read in
	 * pieces by body_read when body is NULL (-1 = our own disk failed). */
	const char *body;
	uint64_t body_len;
	ssize_t (*body_read)(void *arg, uint64_t offset, char *buf, size_t len);
	void *body_arg;
	/* filled in: */
	bool is_sent;	    /* MAIL was written: the permit is used */
	bool is_lost_reply; /* lost after the final dot: may arrive twice */
	bool ident_passed;  /* the next hop logs our ident */
	bool dsn_passed;    /* NOTIFY and ORCPT went along, RFC 3461 5.2.1 */
	unsigned n_replies; /* that the peer gave to this transaction */
};
/* Frees what results point to and zeroes them; the array is the caller's. */
void transaction_fini_results(struct transaction *t);

enum client_state {
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_STARTTLS,
	CLIENT_TLS, /* handshake under way */
	CLIENT_AUTH,
	CLIENT_READY,
	CLIENT_ENVELOPE, /* MAIL, RCPT, DATA on their way */
	CLIENT_BODY,
	CLIENT_EOD,
	CLIENT_RSET,
	CLIENT_QUIT,
	CLIENT_CLOSED,
};

/* `route` is borrowed and must outlive the client; ehlo is copied. With
 * implicit TLS the pool does the handshake before the first byte. */
struct smtp_client *smtp_client_new(const struct conf_route *route,
    const char *ehlo, const struct client_ops *ops);
void smtp_client_free(struct smtp_client *c);

/* Bytes of the peer; takes all of them. Output grows in smtp_client_out(). */
void smtp_client_input(struct smtp_client *c, const char *data, size_t len);
/* What is to be written; the pool consumes from it. */
struct strbuf *smtp_client_out(struct smtp_client *c);
/* The output is drained below the low-water mark: more body may follow. */
void smtp_client_writable(struct smtp_client *c);
/* TLS came up or failed (why, for the reply text). */
void smtp_client_tls_done(struct smtp_client *c, bool ok, const char *why);
/* The connection ended, or a deadline passed: every recipient without result
 * gets one with code 0 and `why`. */
void smtp_client_lost(struct smtp_client *c, const char *why);
/* Begins a transaction; the state must be READY. */
void smtp_client_send(struct smtp_client *c, struct transaction *t);
void smtp_client_quit(struct smtp_client *c);

enum client_state smtp_client_state(const struct smtp_client *c);
/* What is waited for: "timed out while waiting for %s". */
const char *client_state_name(enum client_state state);
enum phase smtp_client_phase(const struct smtp_client *c);
/* How long the present state may last (RFC 5321 4.5.3.2): the route's key. */
int64_t smtp_client_timeout_us(const struct smtp_client *c);
bool smtp_client_is_tls(const struct smtp_client *c);
unsigned smtp_client_n_sent(const struct smtp_client *c);    /* transactions */
unsigned smtp_client_n_replies(const struct smtp_client *c); /* read so far */
/* The reply that refused us before READY (banner, EHLO, TLS, AUTH); "" while
 * there is none. Its code is 0 when it was no reply. */
const char *smtp_client_refusal(const struct smtp_client *c, int *code_out);

#endif
