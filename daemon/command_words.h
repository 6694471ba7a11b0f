/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_COMMAND_WORDS_H
#define FLYBALL_COMMAND_WORDS_H

#include <stddef.h>

#include "conf/base/err.h"
#include "conf/base/strbuf.h"

/*
 * The admin socket's lines as words: separated by blanks or tabs; "..." keeps
 * blanks within a word and may begin inside it (because="too fast"), \" and \\
 * stand in it for themselves. Bytes over 127 are words' own business; control
 * characters are none.
 */
#define COMMAND_LINE_MAX 65536 /* octets, without the newline */

struct words {
	char **v;
	size_t n;
	char *text; /* where they lie */
};

/* -1: an open quote, a control character, a line that is too long. */
int words_split(const char *line, size_t len, struct words *out,
    struct err *err_out);
void words_fini(struct words *w);

/* The line that splits into these words; no newline behind it. -1: a word
 * can't be said in it, or the line would be too long. */
int words_join(char *const *v, size_t n, struct strbuf *out,
    struct err *err_out);

#endif
