/* SPDX-License-Identifier: ISC */
/*
 * The content reader behind DATA and BDAT: how the bytes are cut must not
 * matter, no bare CR or LF may pass, and what passed with its dots doubled is
 * what was read.
 */
#include "daemon/content_reader.h"

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"
#include "tests/fuzz/fuzz.h"

struct result {
	struct strbuf passed;
	struct content_reader reader;
	size_t n_taken;
	bool is_done;
};

static void
on_span(const char *data, size_t len, void *arg)
{
	fuzz_check(len > 0);
	strbuf_add(&((struct result *)arg)->passed, data, len);
}

static void
run(struct result *r, bool is_chunk, const struct fuzz *in, uint64_t seed)
{
	struct rng rng = { seed };
	size_t at = 0;

	*r = (struct result){ 0 };
	content_reader_init(&r->reader, on_span, r);
	while (at < in->len && !r->is_done) {
		size_t n = seed == 0 ? in->len - at
				     : 1 + rng_below(&rng, 1 + seed % 7);
		struct fuzz piece;
		char *copy;

		if (n > in->len - at)
			n = in->len - at;
		piece = (struct fuzz){ in->data + at, n };
		copy = fuzz_exact(&piece);
		if (is_chunk)
			content_reader_chunk(&r->reader, copy, n);
		else
			n = content_reader_data(&r->reader, copy, n,
			    &r->is_done);
		free(copy);
		fuzz_check(n > 0);
		at += n;
	}
	if (is_chunk)
		content_reader_chunk_end(&r->reader);
	r->n_taken = at;
}

static void
check_lines(const struct strbuf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		char c = text->data[i];

		fuzz_check(c != '\0');
		if (c == '\n')
			fuzz_check(i > 0 && text->data[i - 1] == '\r');
		if (c == '\r')
			fuzz_check(i + 1 < text->len &&
			    text->data[i + 1] == '\n');
	}
}

/* The way back: dots doubled and the end mark. */
static void
check_stuffed(const struct result *r, const uint8_t *data)
{
	struct strbuf wire = { 0 };

	for (size_t i = 0; i < r->passed.len; i++) {
		if (r->passed.data[i] == '.' &&
		    (i == 0 || r->passed.data[i - 1] == '\n'))
			strbuf_addc(&wire, '.');
		strbuf_addc(&wire, r->passed.data[i]);
	}
	strbuf_adds(&wire, ".\r\n");
	/* A lone dot that wasn't doubled is forgiven, so compare only what
	 * should be equal. */
	if (wire.len == r->n_taken)
		fuzz_check(memcmp(wire.data, data, wire.len) == 0);
	strbuf_fini(&wire);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	unsigned how = fuzz_byte(&in);
	struct result whole, cut;

	run(&whole, how & 1, &in, 0);
	run(&cut, how & 1, &in, 1 + how / 2);
	fuzz_check(whole.reader.faults == cut.reader.faults);
	fuzz_check(whole.reader.n_bytes == cut.reader.n_bytes);
	fuzz_check(whole.n_taken == cut.n_taken);
	fuzz_check(whole.is_done == cut.is_done);
	if (whole.reader.faults == 0) {
		fuzz_check(whole.passed.len == cut.passed.len);
		fuzz_check(whole.passed.len == 0 ||
		    memcmp(whole.passed.data, cut.passed.data,
			whole.passed.len) == 0);
		fuzz_check(whole.reader.has_8bit == cut.reader.has_8bit);
		fuzz_check(whole.passed.len == whole.reader.n_bytes);
		if (whole.is_done || (how & 1))
			check_lines(&whole.passed);
		if (whole.is_done)
			check_stuffed(&whole, in.data);
	}
	strbuf_fini(&whole.passed);
	strbuf_fini(&cut.passed);
	return 0;
}
