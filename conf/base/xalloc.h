/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_XALLOC_H
#define FLYBALL_XALLOC_H

#include <stddef.h>

/*
 * Allocation that aborts when memory is out: nothing sensible can be done
 * then, and the spool loses nothing. Sizes that a peer controls are bounded
 * before they come here. All results are freed with free().
 */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t len);
void *xmemdup(const void *p, size_t len);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
