/* SPDX-License-Identifier: ISC */
/*
 * Content by DATA and BDAT: dots, ends, bare line ends. Every case is read
 * whole, byte by byte and cut at random, with one result.
 */
#include "daemon/content_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"

struct row {
	const char *name;
	const char *in;
	const char *out; /* NULL: refused with `faults` */
	size_t taken;	 /* 0: no end yet, all is taken */
	unsigned faults;
};

/* `in` of DATA is followed by more: what is behind the end stays. */
static const struct row data_rows[] = {
	{ "empty", ".\r\nQUIT\r\n", "", 3, 0 },
	{ "one line", "a\r\n.\r\nQUIT\r\n", "a\r\n", 6, 0 },
	{ "no end", "a\r\n.", "a\r\n", 0, 0 },
	{ "no end after CR", "a\r\n.\r", "a\r\n", 0, 0 },
	{ "end without line", "a.\r\n.\r\n", "a.\r\n", 7, 0 },
	{ "dot line", "..\r\n.\r\n", ".\r\n", 7, 0 },
	{ "stuffed", "..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", 13, 0 },
	{ "not stuffed", ".a\r\n.\r\n", "a\r\n", 7, 0 },
	{ "dots inside", "a.b..c\r\n.\r\n", "a.b..c\r\n", 11, 0 },
	{ "blank lines", "\r\n\r\n.\r\n", "\r\n\r\n", 7, 0 },
	{ "8 bit", "\xc3\xa9\r\n.\r\n", "\xc3\xa9\r\n", 7, 0 },
	/* Everything by which messages were smuggled. */
	{ "LF.LF", "a\n.\nMAIL\r\n.\r\nQ", NULL, 13, CONTENT_BARE_NEWLINE },
	{ "LF.CRLF", "a\n.\r\nMAIL\r\n.\r\nQ", NULL, 14, CONTENT_BARE_NEWLINE },
	{ "CRLF.LF", "a\r\n.\nMAIL\r\n.\r\nQ", NULL, 14, CONTENT_BARE_NEWLINE },
	{ "CR.CR", "a\r.\rMAIL\r\n.\r\nQ", NULL, 13, CONTENT_BARE_NEWLINE },
	{ "CR.CRLF", "a\r.\r\nMAIL\r\n.\r\nQ", NULL, 14, CONTENT_BARE_NEWLINE },
	{ "CRLF.CR", "a\r\n.\rMAIL\r\n.\r\nQ", NULL, 14, CONTENT_BARE_NEWLINE },
	{ "CRLF.CR.CRLF", "a\r\n.\r.\r\n.\r\nQ", NULL, 11,
	    CONTENT_BARE_NEWLINE },
	{ "CRCRLF", "a\r\r\n.\r\nQ", NULL, 7, CONTENT_BARE_NEWLINE },
	{ "CRLF.CRCRLF", "a\r\n.\r\r\n.\r\nQ", NULL, 10, CONTENT_BARE_NEWLINE },
	{ "LFCR.", "a\n\r.\r\n.\r\nQ", NULL, 9, CONTENT_BARE_NEWLINE },
	{ "first is LF", "\n.\r\n.\r\nQ", NULL, 7, CONTENT_BARE_NEWLINE },
	{ "first is CR", "\r.\r\n.\r\nQ", NULL, 7, CONTENT_BARE_NEWLINE },
	{ "dot LF first", ".\n.\r\n.\r\nQ", NULL, 8, CONTENT_BARE_NEWLINE },
};

static const struct row chunk_rows[] = {
	{ "empty", "", "", 0, 0 },
	{ "line", "a\r\n", "a\r\n", 0, 0 },
	{ "no line end", "a\r\nb", "a\r\nb\r\n", 0, 0 },
	{ "dots stay", "..\r\n.\r\n.", "..\r\n.\r\n.\r\n", 0, 0 },
	{ "ends with CR", "a\r", NULL, 0, CONTENT_BARE_NEWLINE },
	{ "bare LF", "a\nb\r\n", NULL, 0, CONTENT_BARE_NEWLINE },
	{ "bare CR", "a\rb\r\n", NULL, 0, CONTENT_BARE_NEWLINE },
	{ "CRCRLF", "a\r\r\n", NULL, 0, CONTENT_BARE_NEWLINE },
	{ "LF first", "\na\r\n", NULL, 0, CONTENT_BARE_NEWLINE },
	{ "LF.CRLF", "a\n.\r\nb\r\n", NULL, 0, CONTENT_BARE_NEWLINE },
};

static void
on_span(const char *data, size_t len, void *arg)
{
	assert_true(len > 0);
	strbuf_add(arg, data, len);
}

/* A piece of its own memory, so that the sanitizer sees one byte too many. */
static size_t
feed(struct content_reader *r, const char *data, size_t len, bool is_chunk,
    bool *done)
{
	char *copy = malloc(len);
	size_t n = len;

	memcpy(copy, data, len);
	if (is_chunk)
		content_reader_chunk(r, copy, len);
	else
		n = content_reader_data(r, copy, len, done);
	free(copy);
	return n;
}

/* max 0: in one piece; else pieces of 1..max bytes. */
static void
read_cut(const struct row *row, bool is_chunk, struct rng *rng, size_t max)
{
	struct strbuf out = { 0 };
	struct content_reader r;
	size_t len = strlen(row->in), pos = 0, n;
	bool done = false;

	content_reader_init(&r, on_span, &out);
	while (pos < len && !done) {
		n = max == 0 ? len : 1 + rng_below(rng, max);
		if (n > len - pos)
			n = len - pos;
		pos += feed(&r, row->in + pos, n, is_chunk, &done);
	}
	if (is_chunk)
		content_reader_chunk_end(&r);
	assert_int_equal(done, !is_chunk && row->taken != 0);
	assert_int_equal(pos, row->taken != 0 ? row->taken : len);
	assert_int_equal(r.faults, row->faults);
	if (row->out != NULL) {
		assert_string_equal(out.data ? out.data : "", row->out);
		assert_int_equal(r.n_bytes, strlen(row->out));
		assert_int_equal(r.has_8bit, strstr(row->in, "\xc3") != NULL);
	}
	strbuf_fini(&out);
}

static void
read_all(const struct row *rows, size_t n_rows, bool is_chunk)
{
	struct rng rng = { 42 };
	size_t i, k;

	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < n_rows; i++) {
		print_message("%s\n", rows[i].name);
		read_cut(&rows[i], is_chunk, &rng, 0);
		read_cut(&rows[i], is_chunk, &rng, 1);
		for (k = 0; k < 50; k++)
			read_cut(&rows[i], is_chunk, &rng, 1 + k % 6);
	}
}

static void
data_is_read(void **state)
{
	(void)state;
	read_all(data_rows, sizeof(data_rows) / sizeof(data_rows[0]), false);
}

static void
chunks_are_read(void **state)
{
	(void)state;
	read_all(chunk_rows, sizeof(chunk_rows) / sizeof(chunk_rows[0]), true);
}

static void
nul_is_a_fault(void **state)
{
	struct strbuf out = { 0 };
	struct content_reader r;
	bool done;

	(void)state;
	content_reader_init(&r, on_span, &out);
	assert_int_equal(content_reader_data(&r, "a\0b\r\n.\r\nQ", 9, &done),
	    8);
	assert_true(done);
	assert_int_equal(r.faults, CONTENT_NUL);
	content_reader_init(&r, on_span, &out);
	content_reader_chunk(&r, "a\r\n\0", 4);
	assert_int_equal(r.faults, CONTENT_NUL);
	assert_int_equal(out.len, 0);
	strbuf_fini(&out);
}

static void
lines_end_at_their_limit(void **state)
{
	char *line = malloc(CONTENT_LINE_MAX + 1);
	struct strbuf out = { 0 };
	struct content_reader r;
	size_t len;
	bool done;

	(void)state;
	memset(line, 'x', CONTENT_LINE_MAX + 1);
	for (len = CONTENT_LINE_MAX; len <= CONTENT_LINE_MAX + 1; len++) {
		strbuf_reset(&out);
		content_reader_init(&r, on_span, &out);
		/* Two of them: the count begins anew with each line. */
		content_reader_data(&r, line, 1000, &done);
		content_reader_data(&r, line, CONTENT_LINE_MAX - 1000, &done);
		content_reader_data(&r, "\r\n", 2, &done);
		content_reader_data(&r, line, len, &done);
		assert_int_equal(content_reader_data(&r, "\r\n.\r\n", 5, &done),
		    5);
		assert_true(done);
		assert_int_equal(r.faults,
		    len > CONTENT_LINE_MAX ? CONTENT_LINE_LONG : 0);
		assert_int_equal(r.n_bytes, CONTENT_LINE_MAX + len + 4);
	}
	strbuf_fini(&out);
	free(line);
}

/* Stuffing and reading back is the identity, however it is cut. */
static void
random_content_comes_back(void **state)
{
	static const char *const words[] = { ".", "..", "\r\n", "a", "bc",
		"\r\n.", "xyz", " " };
	struct rng rng = { 7 };
	size_t i, k;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < 3000; i++) {
		struct strbuf plain = { 0 }, stuffed = { 0 };
		struct row row = { .name = "random" };
		size_t n = rng_below(&rng, 30);

		for (k = 0; k < n; k++)
			strbuf_adds(&plain, words[rng_below(&rng, 8)]);
		strbuf_adds(&plain, "\r\n");
		for (k = 0; k < plain.len; k++) {
			if (plain.data[k] == '.' &&
			    (k == 0 || plain.data[k - 1] == '\n'))
				strbuf_addc(&stuffed, '.');
			strbuf_addc(&stuffed, plain.data[k]);
		}
		strbuf_adds(&stuffed, ".\r\n");
		row.taken = stuffed.len;
		strbuf_adds(&stuffed, "MAIL\r\n");
		row.in = stuffed.data;
		row.out = plain.data;
		read_cut(&row, false, &rng, i % 8);
		strbuf_fini(&plain);
		strbuf_fini(&stuffed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_read),
		cmocka_unit_test(chunks_are_read),
		cmocka_unit_test(nul_is_a_fault),
		cmocka_unit_test(lines_end_at_their_limit),
		cmocka_unit_test(random_content_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
