/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MISTAKES_H
#define FLYBALL_MISTAKES_H

#include <stdarg.h>
#include <stddef.h>

struct strbuf;

/* Where something stands; the file's name is lent. 1-based; line 0: nowhere
 * in particular. */
struct place {
	const char *file;
	unsigned line, column;
};

/*
 * All that is wrong with a configuration, gathered so that the operator sees
 * it at once. A zeroed struct is an empty one.
 */
struct mistakes {
	struct mistake *v;
	size_t n;
	size_t n_more; /* beyond what is kept */
};

void mistakes_fini(struct mistakes *m);
/* `path` ("routes.ip-a.next_hop") may be "": then no key is at fault. */
void mistakes_add(struct mistakes *m, struct place at, const char *path,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void mistakes_add_va(struct mistakes *m, struct place at, const char *path,
    const char *fmt, va_list ap) __attribute__((format(printf, 4, 0)));

/* In the order of the file, one a line: "file:line:column: path: what". */
void mistakes_write(struct mistakes *m, struct strbuf *out);

#endif
