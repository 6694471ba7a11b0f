/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_STRBUF_H
#define FLYBALL_STRBUF_H

#include <stddef.h>

/*
 * A growing byte string, always NUL-terminated once something was added.
 * A zeroed struct is an empty one. The caller bounds what a peer may add.
 */
struct strbuf {
	char *data;
	size_t len;
	size_t cap;
};

void strbuf_fini(struct strbuf *b);
void strbuf_reset(struct strbuf *b); /* empties, keeps the memory */
void strbuf_reserve(struct strbuf *b, size_t more);
void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_addc(struct strbuf *b, char c);
void strbuf_adds(struct strbuf *b, const char *s);
void strbuf_addf(struct strbuf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first len bytes. */
void strbuf_consume(struct strbuf *b, size_t len);
/* Hands the memory to the caller (free() it; never NULL) and empties b. */
char *strbuf_take(struct strbuf *b);

#endif
