/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONF_REPLY_TERMS_H
#define FLYBALL_CONF_REPLY_TERMS_H

/*
 * The words in which a reply is spoken of: what it means, whom it blames,
 * where in the conversation it came. Configuration checks them, the
 * classifier answers in them, logs and events print them.
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
/* -1: no such word. Names are exact, in lower case. */
int reply_class_parse(const char *name);
int blame_parse(const char *name);
int phase_parse(const char *name);
/* "any", "rcpt" or "rcpt, data, eod": bits 1u << phase. 0: not such a list. */
unsigned phases_parse(const char *names);

/* Whom a class blames when a rule names nobody. */
enum blame reply_class_blame(enum reply_class c);

#endif
