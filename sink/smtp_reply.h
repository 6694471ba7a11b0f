/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SMTP_REPLY_H
#define FLYBALL_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/base/strbuf.h"

/*
 * Reads SMTP replies (RFC 5321 4.2) from bytes: one or more lines "250-text",
 * the last one "250 text" or just "250". Tolerates bare LF and a changing
 * code (the last line's counts, as GMX and web.de need). Lines over 2,000
 * octets and replies over 64 KiB or 512 lines are an error: the peer isn't
 * SMTP.
 */
#define REPLY_TEXT_MAX 65536

struct smtp_reply {
	int code;	    /* 200..599 */
	char enhanced[16];  /* "4.7.28" of the last line that has one */
	struct strbuf text; /* the whole, lines joined by \n, codes kept */
	/* private to the reader */
	struct strbuf line;
	int n_lines;
	bool is_complete;
};

enum reply_read { REPLY_MORE, REPLY_DONE, REPLY_BROKEN };

/* Zeroed is ready. Reads at most one reply; *used_out says how much it took.
 * After DONE the next call begins a new reply. */
enum reply_read smtp_reply_read(struct smtp_reply *r, const char *data,
    size_t len, size_t *used_out);
void smtp_reply_fini(struct smtp_reply *r);

/* "5.1.1" out of "550 5.1.1 text" / "550-5.1.1 text"; "" when there is none
 * or when its class digit contradicts the code (RFC 3463 2). */
void smtp_enhanced_of(const char *line, char out[16]);

#endif
