/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MIME_TEXT_H
#define FLYBALL_MIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/base/strbuf.h"

/* Octets of a line without its CRLF, RFC 5322 2.1.1. */
#define MIME_LINE_MAX 998

/* Fit to travel as 7bit (or 8bit) without an encoding: lines end in CRLF and
 * are short enough, no NUL, no CR or LF alone (RFC 2045 2.7, 2.8). */
bool mime_is_plain(const char *data, size_t len, bool eight_bit_ok);
bool mime_has_8bit(const char *data, size_t len);

/* Quoted-printable (RFC 2045 6.7); CRLF stays a line's end, all else that
 * isn't printable is encoded. */
void mime_add_qp(struct strbuf *out, const char *data, size_t len);

/*
 * "Name: text", folded at white space. Text may be any bytes: white space and
 * line ends become single spaces, controls "?"; outside ASCII it stays as it is
 * where utf8_ok and it is UTF-8, else becomes \x{HEX} (RFC 6533 3), or "?".
 */
void mime_add_field(struct strbuf *out, const char *name, const char *text,
    bool utf8_ok);

/* As above for what white space belongs to (a quoted local part): one line,
 * cut where it would be too long. */
void mime_add_field_verbatim(struct strbuf *out, const char *name,
    const char *text, bool utf8_ok);

#endif
