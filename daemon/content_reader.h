/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONTENT_READER_H
#define FLYBALL_CONTENT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The longest content line that is passed on, CRLF not counted. RFC 5321
 * 4.5.3.1.6 asks for 998 and for no limit where one can be avoided. We stand
 * in front of an MTA that knows what it bears, and folding would break DKIM
 * signatures, so longer lines pass as they are; a line of more than this is no
 * text any more.
 */
#define CONTENT_LINE_MAX 65535

enum content_fault {		  /* bits */
	CONTENT_BARE_NEWLINE = 1, /* CR without LF, LF without CR: 5.6.11 */
	CONTENT_NUL = 2,	  /* 5.6.11 */
	CONTENT_LINE_LONG = 4,	  /* over CONTENT_LINE_MAX: 5.6.0 */
};

/* A piece of the content, dots unstuffed; lent for the call. */
typedef void content_span_fn(const char *data, size_t len, void *arg);

/* Embedded as a value; the fields are the reader's own but for the results. */
struct content_reader {
	content_span_fn *span;
	void *arg;
	int state;
	size_t line_len;
	/* Results; they don't depend on how the bytes were cut into calls. */
	unsigned faults;  /* enum content_fault; after one, no more spans */
	uint64_t n_bytes; /* without stuffed dots and end mark */
	bool has_8bit;	  /* only meant when there was no fault */
};

void content_reader_init(struct content_reader *r, content_span_fn *span,
    void *arg);

/*
 * Bytes behind DATA. Returns how many belong to the content, the end mark
 * included; *done_out is true once CRLF "." CRLF, and nothing else, was seen.
 */
size_t content_reader_data(struct content_reader *r, const char *data,
    size_t len, bool *done_out);

/* Bytes of a BDAT chunk: no dots to unstuff, the same checks. */
void content_reader_chunk(struct content_reader *r, const char *data,
    size_t len);

/* The last chunk is in: ends the last line where the client did not, as the
 * content goes on by DATA. A CR at the very end is a bare one. */
void content_reader_chunk_end(struct content_reader *r);

#endif
