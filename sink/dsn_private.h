/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DSN_PRIVATE_H
#define FLYBALL_DSN_PRIVATE_H

#include "sink/dsn.h"

/* What the parts of a notice share; included in dsn*.c only. */

/* dsn_human.c: the text for people, CRLF line ends, UTF-8 at most. */
void dsn_add_human(const struct dsn_report *report, struct strbuf *out);

/* dsn_status.c: the fields for programs, RFC 3464 2.1; with utf8 the form of
 * RFC 6533 4 (message/global-delivery-status). */
void dsn_add_status(const struct dsn_report *report, bool utf8,
    struct strbuf *out);

/* How much of each reply is shown: all of it, unless very many are very long. */
size_t dsn_reply_max(const struct dsn_report *report);

/* Undoes xtext (RFC 3461 4); false: not xtext, or what it hides can't stand
 * in a field. */
bool dsn_xtext_decode(const char *xtext, struct strbuf *out);

#endif
