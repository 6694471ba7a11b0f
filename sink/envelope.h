/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ENVELOPE_H
#define FLYBALL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"

/*
 * A message's envelope as the session took it, the spool keeps it and the
 * sink passes it on. Everything is the envelope's own memory.
 */

/* NOTIFY (RFC 3461 4.1); 0 = the parameter was absent. */
enum notify {
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8,
};
enum dsn_ret { RET_ABSENT, RET_FULL, RET_HDRS };
enum body_type { BODY_ABSENT, BODY_7BIT, BODY_8BITMIME };

struct recipient {
	char *address;	/* mailbox as written in RCPT TO, without <> */
	char *orcpt;	/* "rfc822;xtext" as given, or NULL */
	uint8_t notify; /* enum notify, or'ed */
};

/* Recipients of one message that share a destination. */
struct delivery {
	uint32_t number; /* within the message, from 0 */
	char *provider;
	char *stream; /* the operator's choice; NULL = the envelope's */
	char *site;   /* "" unless provider is `other` */
	uint32_t attempts;
	int64_t due_utc_us; /* next attempt; 0 = at once */
	bool delay_warned;
	char *last_reply; /* raw, of the last deferral; NULL = none yet */
	struct recipient *recipients; /* those without final answer */
	size_t n_recipients;
};

struct envelope {
	uint64_t id; /* 0 until the spool gives one */
	int64_t arrived_utc_us;
	char *sender; /* "" = null reverse-path */
	char *envid;  /* xtext as given, or NULL */
	enum dsn_ret ret;
	enum body_type body;
	bool smtputf8;
	bool has_8bit; /* the content really holds octets over 127 */
	char *stream;
	char *user;   /* authenticated, "" = none */
	char *client; /* address text */
	char *helo;
	uint64_t size_bytes;  /* of the content, CRLF line ends */
	uint32_t content_crc; /* CRC-32 of the content, as zlib's crc32() */
	bool has_crc;	      /* spools of schema 1 have none */
	struct delivery *deliveries;
	size_t n_deliveries;
};

/* Which stream it goes by. */
static inline const char *
delivery_stream(const struct envelope *e, const struct delivery *d)
{
	return d->stream != NULL ? d->stream : e->stream;
}

/* 13 characters of Crockford's base32: how ids are shown and typed. */
#define MESSAGE_ID_SIZE 14
char *message_id_format(uint64_t id, char out[MESSAGE_ID_SIZE]);
int message_id_parse(const char *text, uint64_t *id_out);

void envelope_fini(struct envelope *e);
void delivery_fini(struct delivery *d);
/* Appends a recipient with an address copied; the rest is zero. */
struct recipient *delivery_add(struct delivery *d, const char *address);

/*
 * The form on disk, versioned; the envelope without its deliveries, and one
 * delivery. Decoding checks every bound: -1 for what isn't ours. It knows all
 * versions that there have been; what it is given is written in the newest.
 */
void envelope_encode(const struct envelope *e, struct strbuf *out);
int envelope_decode(const void *data, size_t len, struct envelope *out);
void delivery_encode(const struct delivery *d, struct strbuf *out);
int delivery_decode(const void *data, size_t len, struct delivery *out);

#endif
