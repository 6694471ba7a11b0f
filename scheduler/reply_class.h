/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REPLY_CLASS_H
#define FLYBALL_REPLY_CLASS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a reply means and whom it blames: the two answers of the classifier.
 * A reply without code (code 0) is what our own side saw: a timeout, a reset,
 * a refused connection; `text` then tells it.
 */
enum reply_class {
	CLASS_OK,
	CLASS_RATE,
	CLASS_REPUTATION_DEFER,
	CLASS_REPUTATION_REJECT,
	CLASS_AUTH,
	CLASS_GREYLIST,
	CLASS_MAILBOX_FULL,
	CLASS_BAD_MAILBOX,
	CLASS_BAD_DOMAIN,
	CLASS_CONTENT,
	CLASS_SYSTEM,
	CLASS_OTHER,
};
#define CLASS_COUNT 12

enum blame {
	BLAME_NOBODY,
	BLAME_LANE,
	BLAME_CONNECTIONS,
	BLAME_ROUTE,
	BLAME_SENDER_DOMAIN,
	BLAME_STREAM,
	BLAME_RECIPIENT,
	BLAME_RECIPIENT_DOMAIN,
	BLAME_MESSAGE,
	BLAME_NEXT_HOP,
};
#define BLAME_COUNT 10

/* Where in the conversation the reply came. */
enum phase {
	PHASE_CONNECT, /* TCP, TLS on connect, banner */
	PHASE_HELO,
	PHASE_STARTTLS,
	PHASE_AUTH,
	PHASE_MAIL,
	PHASE_RCPT,
	PHASE_DATA, /* DATA or a BDAT that isn't the last */
	PHASE_EOD,  /* the final dot or BDAT LAST */
	PHASE_UNKNOWN,
};
#define PHASE_COUNT 9

const char *reply_class_name(enum reply_class c); /* "reputation-defer" */
const char *blame_name(enum blame b);		  /* "sender_domain" */
const char *phase_name(enum phase p);		  /* "eod" */
int phase_parse(const char *name);		  /* -1: no such phase */

struct reply_fact {
	enum phase phase;
	int code;		/* 100..599, 0 = no reply at all */
	const char *enhanced;	/* "4.7.28" or "" */
	const char *text;	/* the whole reply, lines joined by \n */
	const char *provider;	/* name; "" when unknown */
};

struct reply_answer {
	enum reply_class class;
	enum blame blame;
	bool is_final;	  /* this recipient will never work: bounce */
	const char *rule; /* name of the rule that answered; static */
};

/*
 * Classifies by code and enhanced code (RFC 5321 4.2, RFC 3463, the IANA
 * enhanced status code registry). Pure and thread-safe.
 */
struct reply_answer reply_classify(const struct reply_fact *fact);

#endif
