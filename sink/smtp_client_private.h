/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SMTP_CLIENT_PRIVATE_H
#define FLYBALL_SMTP_CLIENT_PRIVATE_H

/*
 * Shared by smtp_client*.c only: greet brings a connection to READY, send runs
 * a transaction, content writes the message. client_enter() is the one door
 * that changes the state.
 */
#include "sink/smtp_client.h"
#include "sink/smtp_reply.h"

/* Output grows by so much, then waits for the peer: the low-water mark of the
 * stream, which calls again only when it was reached. Also what a message may
 * measure to be sent before the envelope is answered. */
#define CLIENT_PIECE 65536

enum client_cap { /* from EHLO */
	CAP_PIPELINING = 1,
	CAP_CHUNKING = 2,
	CAP_8BITMIME = 4,
	CAP_SMTPUTF8 = 8,
	CAP_DSN = 16,
	CAP_SIZE = 32,
	CAP_STARTTLS = 64,
	CAP_AUTH_PLAIN = 128,
	CAP_AUTH_LOGIN = 256,
	CAP_XFORWARD_IDENT = 512,
};

enum auth_step { /* what the awaited reply answers */
	AUTH_PLAIN,
	AUTH_PLAIN_LATE, /* too long for the command's line */
	AUTH_LOGIN,
	AUTH_LOGIN_USER,
	AUTH_LOGIN_PASSWORD,
};

/* Where the present transaction stands. */
struct course {
	struct transaction *t; /* NULL: there is none */
	/* Replies that are awaited, in the order in which they come. */
	bool awaits_xforward;
	bool awaits_mail;
	size_t awaits_rcpts;
	bool awaits_data;
	bool awaits_end;
	size_t next_offer;  /* whose RCPT goes out next */
	size_t next_answer; /* whose RCPT is answered next */
	size_t n_accepted;
	bool is_mail_refused;
	bool is_full; /* the peer takes no more recipients */
	/* The content. */
	bool is_begun;	  /* DATA or BDAT was written */
	bool is_stuffed;  /* after DATA: dots doubled, ends with a dot */
	bool is_end_sent; /* all of it was written, with its end */
	uint64_t body_done;
	bool is_mid_line;
	bool holds_cr; /* one that waits for its LF */
	/* The peer forgot the transaction by itself: no RSET needed. */
	bool is_clean;
};

struct smtp_client {
	const struct conf_route *route;
	char *ehlo;
	struct client_ops ops;
	enum client_state state;
	struct smtp_reply reply;
	struct strbuf out;
	bool is_tls;
	unsigned caps;			  /* enum client_cap */
	uint64_t size_max;		  /* RFC 1870; 0 = none told */
	unsigned long mail_max, rcpt_max; /* RFC 9422; 0 = none told */
	enum auth_step auth;
	unsigned n_sent, n_replies;
	char *refusal; /* malloc'd or NULL */
	int refusal_code;
	enum phase last_phase; /* once CLOSED */
	/* The last message was refused as a whole: see what the envelope is
	 * told before the next one's content is sent. */
	bool is_wary;
	struct course course;
};

void client_enter(struct smtp_client *c, enum client_state state);
/* The end from our side; `is_polite` says QUIT before. */
void client_close(struct smtp_client *c, bool is_polite, const char *why);
void client_add(struct smtp_client *c, const char *text);

/* ---- greet ---- */
void client_greet_reply(struct smtp_client *c);
void client_greet_begin_ehlo(struct smtp_client *c);
/* We, or the peer, won't go on: code 0 when it isn't the peer's reply. */
void client_refuse(struct smtp_client *c, int code, const char *text);

/* ---- send ---- */
void client_send_reply(struct smtp_client *c);
/* What is left without result gets one. */
void client_send_lost(struct smtp_client *c, const char *why);
void client_send_disk_failed(struct smtp_client *c);
/* READY after a transaction, when there may be another one. */
void client_send_ready(struct smtp_client *c);

/* ---- fit ---- */
/* Results for those whom the next hop can't take; -1 = our disk. */
int client_fit_transaction(struct smtp_client *c);

/* ---- result ---- */
/* The last reply as the classifier wants it; lent until the next one. */
struct reply_fact client_fact_of_reply(const struct smtp_client *c,
    enum phase phase);
/* As the peer would have said it; the strings are lent. */
struct reply_fact client_fact_of_ours(const struct smtp_client *c, int code,
    const char *enhanced, const char *text);
/* Whether the recipient has no result yet; the first such from `i` on. */
bool client_is_open(const struct transaction *t, size_t i);
size_t client_seek_open(const struct transaction *t, size_t i);
void client_give_result(struct smtp_client *c, size_t i,
    const struct reply_fact *fact);
void client_give_untried(struct smtp_client *c, size_t i,
    const struct reply_fact *fact);
void client_give_all(struct smtp_client *c, const struct reply_fact *fact);
/* The connection goes, by a 421 or by itself. It speaks of what was awaited
 * and of what had been accepted; RCPTs behind that weren't tried. is_whole: it
 * speaks of all. */
void client_give_rest(struct smtp_client *c, const struct reply_fact *fact,
    bool is_whole);
/* Our own disk is nobody's fault out there: the route needn't back off. */
void client_give_disk_failure(struct smtp_client *c);

/* ---- content ---- */
/* BDAT with its size, or what follows a 354. */
void client_content_begin(struct smtp_client *c, bool is_stuffed);
/* Adds content up to CLIENT_PIECE of output, and its end; -1 = our disk. */
int client_content_fill(struct smtp_client *c);
/* Octets over 127 in the header section; -1 = our disk. */
/* With what goes in front of it. */
uint64_t client_content_len(const struct transaction *t);
int client_content_has_utf8_header(const struct transaction *t);

#endif
