/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FUZZ_H
#define FLYBALL_FUZZ_H

/*
 * What the fuzz targets share. Each target is a file fuzz_NAME.c with the one
 * entry below; libFuzzer calls it (`make fuzz`), or replay.c with the files of
 * corpus/NAME (`make check`). A target says what must hold with fuzz_check():
 * a property that can fail, not only "doesn't crash".
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define fuzz_check(condition)                                              \
	do {                                                               \
		if (!(condition)) {                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
			    #condition);                                   \
			abort();                                           \
		}                                                          \
	} while (0)

/* The input, eaten from its front. */
struct fuzz {
	const uint8_t *data;
	size_t len;
};

static inline unsigned
fuzz_byte(struct fuzz *f)
{
	if (f->len == 0)
		return 0;
	f->len--;
	return *f->data++;
}

/* A copy of up to the next `stop` byte, or the end; NUL behind, so no NUL is
 * in it. The caller frees it. */
static inline char *
fuzz_text(struct fuzz *f, char stop)
{
	const uint8_t *end = memchr(f->data, stop, f->len);
	size_t n = end != NULL ? (size_t)(end - f->data) : f->len;
	char *text = xstrndup((const char *)f->data, n);

	f->data += n;
	f->len -= n;
	fuzz_byte(f);
	return text;
}

/* A copy of just this size, so that a byte too far is seen. */
static inline char *
fuzz_exact(const struct fuzz *f)
{
	char *copy = malloc(f->len != 0 ? f->len : 1);

	if (f->len > 0)
		memcpy(copy, f->data, f->len);
	return copy;
}

#endif
