/* SPDX-License-Identifier: ISC */
/*
 * The header scan: everything passes in order, what is added stands at a
 * line's beginning, and the cuts don't matter.
 */
#include "daemon/header_scan.h"

#include "conf/base/rng.h"
#include "tests/fuzz/fuzz.h"

#define MARK "Added: yes\r\n"

struct result {
	struct header_scan scan;
	struct header_value values[2];
	struct strbuf passed;
	size_t mark_at;
	unsigned n_marks;
};

static const char *const wanted[] = { "X-Stream", "Subject" };

static void
on_pass(const char *data, size_t len, void *arg)
{
	strbuf_add(&((struct result *)arg)->passed, data, len);
}

static void
on_fields_end(void *arg)
{
	struct result *r = arg;

	r->n_marks++;
	r->mark_at = r->passed.len;
	strbuf_adds(&r->passed, MARK);
}

static void
run(struct result *r, const char *text, size_t len, uint64_t seed)
{
	struct header_scan_ops ops = { on_pass, on_fields_end, r };
	struct rng rng = { seed };
	size_t at = 0;

	*r = (struct result){ 0 };
	header_scan_init(&r->scan, &ops, wanted, r->values, 2);
	while (at < len) {
		size_t n = seed == 0 ? len - at : 1 + rng_below(&rng, 5);

		if (n > len - at)
			n = len - at;
		header_scan_add(&r->scan, text + at, n);
		at += n;
	}
	header_scan_end(&r->scan);
}

static void
check_same_value(const struct result *a, const struct result *b, int i)
{
	const char *v = header_scan_value(&a->scan, wanted[i]);
	const char *w = header_scan_value(&b->scan, wanted[i]);

	fuzz_check((v == NULL) == (w == NULL));
	fuzz_check(v == NULL || strcmp(v, w) == 0);
	fuzz_check(v == NULL || strlen(v) <= HEADER_VALUE_MAX);
}

/* Without the mark, and the empty line where one was missing, it is what came
 * in. */
static void
check_passed(const struct result *r, const char *text, size_t len)
{
	size_t mark = strlen(MARK), extra;
	const char *rest = r->passed.data + r->mark_at + mark;

	fuzz_check(r->n_marks == 1);
	fuzz_check(r->mark_at <= len);
	fuzz_check(memcmp(r->passed.data, text, r->mark_at) == 0);
	fuzz_check(r->mark_at == 0 || text[r->mark_at - 1] == '\n');
	extra = r->passed.len - mark - len;
	fuzz_check(extra == 0 || extra == 2);
	fuzz_check(extra == 0 || memcmp(rest, "\r\n", 2) == 0);
	fuzz_check(len == r->mark_at ||
	    memcmp(rest + extra, text + r->mark_at, len - r->mark_at) == 0);
}

static void
result_fini(struct result *r)
{
	strbuf_fini(&r->values[0].text);
	strbuf_fini(&r->values[1].text);
	strbuf_fini(&r->passed);
}

/* The content reader lets only whole lines with CRLF through. */
static void
make_lines(const struct fuzz *in, struct strbuf *out)
{
	for (size_t i = 0; i < in->len; i++) {
		char c = (char)in->data[i];

		if (c == '\n')
			strbuf_adds(out, "\r\n");
		else if (c != '\r' && c != '\0')
			strbuf_addc(out, c);
	}
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		strbuf_adds(out, "\r\n");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	uint64_t seed = 1 + fuzz_byte(&in);
	struct strbuf text = { 0 };
	struct result whole, cut;

	make_lines(&in, &text);
	strbuf_reserve(&text, 1);
	run(&whole, text.data, text.len, 0);
	run(&cut, text.data, text.len, seed);
	fuzz_check(whole.passed.len == cut.passed.len);
	fuzz_check(memcmp(whole.passed.data, cut.passed.data,
		       whole.passed.len) == 0);
	fuzz_check(whole.scan.n_received == cut.scan.n_received);
	fuzz_check(whole.scan.has_date == cut.scan.has_date);
	fuzz_check(whole.scan.has_message_id == cut.scan.has_message_id);
	check_same_value(&whole, &cut, 0);
	check_same_value(&whole, &cut, 1);
	check_passed(&whole, text.data, text.len);
	result_fini(&whole);
	result_fini(&cut);
	strbuf_fini(&text);
	return 0;
}
