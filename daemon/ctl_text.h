/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CTL_TEXT_H
#define FLYBALL_CTL_TEXT_H

#include <jansson.h>
#include <stddef.h>

#include "conf/base/strbuf.h"

/*
 * Numbers and texts as a person reads them. Pure. All append to `out`.
 */

/* Two units at most: "350ms", "12s", "5m30s", "2h5m", "3d4h". */
void text_add_span(struct strbuf *out, int64_t ms);
/* "0", "950", "12,345", "1.25M". */
void text_add_count(struct strbuf *out, int64_t n);
/* "512B", "1.5KiB", "12MiB". */
void text_add_bytes(struct strbuf *out, int64_t bytes);
/* "18.5/s", or per minute, hour or day where it is under one. */
void text_add_per_s(struct strbuf *out, double per_s);

/* What peers wrote mustn't drive a terminal: controls as \xNN; line ends as
 * `line_end`. */
void text_add_clean(struct strbuf *out, const char *text, const char *line_end);
/* Columns that UTF-8 text takes on a terminal. */
size_t text_columns(const char *text, size_t len);
/* The longest prefix within so many columns, in bytes. */
size_t text_prefix(const char *text, size_t columns);

/* A JSON value as its key says: ..._ms is a span, ..._bytes a size, ..._per_s
 * a rate; null is "-", lists have commas. Only scalars and lists of them. */
void text_add_value(struct strbuf *out, const char *key, const json_t *value);
/* "held_since" -> "held since", without the unit's ending. */
void text_add_label(struct strbuf *out, const char *key);

#endif
