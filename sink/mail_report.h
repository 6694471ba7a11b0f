/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MAIL_REPORT_H
#define FLYBALL_MAIL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Mail that tells what became of other mail: delivery status notifications
 * (RFC 3464, RFC 6533) and complaints (ARF, RFC 5965). Bytes in, records out.
 */
#define REPORT_BYTES_MAX      (2u << 20) /* larger ones aren't read */
#define REPORT_RECIPIENTS_MAX 1000

enum report_kind {
	REPORT_NONE, /* it is something else */
	REPORT_DSN,
	REPORT_COMPLAINT,
};

enum report_action { /* RFC 3464 2.3.3 */
	ACTION_NONE,
	ACTION_FAILED,
	ACTION_DELAYED,
	ACTION_DELIVERED,
	ACTION_RELAYED,
	ACTION_EXPANDED,
};

struct report_recipient { /* strings "" where nothing was said */
	char *original;	  /* address that the sender wrote */
	char *final;	  /* that it ended with */
	enum report_action action;
	char *status;	  /* "5.1.1" */
	char *diagnostic; /* the reply's text, without its type */
	char *remote;	  /* host that said it */
	int64_t utc_us;	  /* of the last attempt; 0: unknown */
};

struct mail_report {
	enum report_kind kind;
	/* Of the mail that it is about: */
	char *envid;	  /* its ENVID, decoded */
	char *trace;	  /* our own mark in its header */
	char *message_id; /* without < > */
	char *queue_id;	  /* with the MTA that reports */
	char *mail_from;  /* its reverse-path, or its From */
	char *to;	  /* its To, where that is one address */
	/* Of a complaint: */
	char *feedback_type; /* lower case: "abuse", "not-spam", ... */
	char *source_ip;
	char *reporter; /* User-Agent, or Reporting-MTA of a DSN */
	struct report_recipient *recipients;
	size_t n_recipients;
};

/* The field that carries our mark. */
#define REPORT_TRACE_FIELD "X-Flyball-Trace"

/* Reads a whole message. Anything may be in it. `out` is to be freed with
 * mail_report_fini(), whatever its kind. */
void mail_report_read(struct mail_report *out, const char *data, size_t len);
void mail_report_fini(struct mail_report *r);

/* The Message-ID of a message, without < >; malloc'd, NULL: none. Looks only
 * at the header, in either form of line ends. */
char *mail_report_message_id(const char *data, size_t len);

/* A complaint; not-spam, and what is told of authentication, is none. */
bool mail_report_is_against_us(const struct mail_report *r);

#endif
