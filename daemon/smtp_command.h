/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SMTP_COMMAND_H
#define FLYBALL_SMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/base/address.h"
#include "sink/envelope.h"

/*
 * SMTP command lines, taken apart. Everything here works on one line without
 * its CRLF, NUL-terminated and free of control characters that could end a
 * line. Parsers return NULL, or the whole reply that refuses the command.
 */
enum smtp_verb {
	VERB_UNKNOWN,
	VERB_AUTH,
	VERB_BDAT,
	VERB_DATA,
	VERB_EHLO,
	VERB_EXPN,
	VERB_HELO,
	VERB_HELP,
	VERB_MAIL,
	VERB_NOOP,
	VERB_QUIT,
	VERB_RCPT,
	VERB_RSET,
	VERB_STARTTLS,
	VERB_VRFY,
};
#define VERB_COUNT (VERB_VRFY + 1)

/* Reads the verb in any case; *args_out is what follows it, without the
 * blanks between, "" when there is nothing. */
enum smtp_verb smtp_verb_parse(const char *line, const char **args_out);

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_MAX 500 /* RFC 3461 4.2 */

struct smtp_mail {
	char path[ADDRESS_PATH_MAX + 1]; /* "" = null reverse-path */
	uint64_t size_bytes; /* as declared; 0 = not; UINT64_MAX = over that */
	enum body_type body;
	bool smtputf8;
	enum dsn_ret ret;
	char envid[ENVID_MAX + 1]; /* xtext; "" = absent */
};
/* "FROM:<path> [params]": RFC 5321, 1870, 6152, 6531, 3461, 4954. */
const char *smtp_mail_parse(const char *args, struct smtp_mail *out);

struct smtp_rcpt {
	char path[ADDRESS_PATH_MAX + 1];
	uint8_t notify;		   /* enum notify, or'ed; 0 = absent */
	char orcpt[ORCPT_MAX + 1]; /* "rfc822;xtext"; "" = absent */
};
/* "TO:<path> [params]"; utf8_ok: SMTPUTF8 was given with MAIL. */
const char *smtp_rcpt_parse(const char *args, bool utf8_ok,
    struct smtp_rcpt *out);

/* "SIZE [LAST]" (RFC 3030 2). -1: then nobody knows where the chunk ends. */
int smtp_bdat_parse(const char *args, uint64_t *size_out, bool *last_out);

/* A name or address literal that may stand in Received. Laxer than a domain:
 * the underscores of inside hosts pass. */
bool smtp_helo_is_valid(const char *args);

/* Strict base64 (RFC 4648 4, no blanks, padding as due). The length, at most
 * `size`, or -1. */
ssize_t smtp_base64_decode(const char *text, size_t len, char *out,
    size_t size);

#endif
