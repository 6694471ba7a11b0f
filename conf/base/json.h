/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_JSON_H
#define FLYBALL_JSON_H

#include <stddef.h>

#include "conf/base/strbuf.h"

/*
 * Adds `len` bytes as a JSON string (RFC 8259 7) with its quotes. The result is
 * valid JSON and valid UTF-8 whatever the bytes are: each byte that is part of
 * no well-formed sequence becomes U+FFFD. Controls are escaped, the C1 ones
 * too, so that a line shown on a terminal can't drive it.
 */
void strbuf_add_json_string(struct strbuf *b, const char *s, size_t len);

/* The longest prefix of at most `max` bytes that cuts no UTF-8 sequence. */
size_t utf8_prefix_len(const char *s, size_t len, size_t max);

#endif
