/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DSN_H
#define FLYBALL_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"
#include "sink/envelope.h"

/*
 * Delivery status notifications: RFC 3461 (when), 3464 (what), 6533 (UTF-8),
 * 3462/6522 (multipart/report). Pure: bytes out.
 */
enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED };

struct dsn_recipient {
	const struct recipient *recipient;
	enum dsn_action action;
	char status[16];	/* "5.1.1" */
	const char *reply;	/* raw reply of the next hop, or NULL */
	const char *remote_mta; /* next hop's name, or NULL */
	int64_t will_retry_until_utc_us; /* DELAYED; 0 = leave out */
};

struct dsn_report {
	const char *reporting_mta;	 /* daemon.hostname */
	const struct envelope *envelope; /* of the message it is about */
	const struct dsn_recipient *recipients;
	size_t n_recipients;
	const char *headers; /* the message's header section, CRLF */
	size_t headers_len;
	const char *body; /* whole content for RET=FULL; NULL = headers only */
	size_t body_len;
	int64_t now_utc_us;
};

/* Whether the sender wants to hear this of this recipient (NOTIFY, null
 * sender): RFC 3461 4.1, 5.2. */
bool dsn_is_wanted(const struct envelope *e, const struct recipient *r,
    enum dsn_action action);

/*
 * Writes the whole message, header fields included, CRLF line ends. 7-bit,
 * unless the report is UTF-8 or gives 8-bit content back whole; not even then
 * after a refusal of such content (status X.6.X). *utf8_out: needs SMTPUTF8 to
 * be passed on. All of one report's recipients have the same action.
 */
void dsn_write(const struct dsn_report *report, struct strbuf *out,
    bool *utf8_out);

#endif
