/* SPDX-License-Identifier: ISC */
/*
 * The header section as it passes: what is counted, what is caught, where
 * fields are added. Every case whole, byte by byte and cut at random.
 */
#include "daemon/header_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

/* "+" marks the place where fields may be added. */
static const struct row {
	const char *name;
	const char *in;
	const char *out;
	unsigned n_received;
	bool has_message_id, has_date;
	const char *stream; /* X-Stream */
} rows[] = {
	{ "usual",
	    "Received: a\r\nDate: d\r\nMessage-ID: <1@a>\r\n\r\nReceived: x\r\n",
	    "Received: a\r\nDate: d\r\nMessage-ID: <1@a>\r\n+\r\nReceived: "
	    "x\r\n",
	    1, true, true, NULL },
	{ "any case",
	    "RECEIVED: a\r\nreceived:b\r\ndate:\r\nmessage-id:\r\n\r\n",
	    "RECEIVED: a\r\nreceived:b\r\ndate:\r\nmessage-id:\r\n+\r\n", 2,
	    true, true, NULL },
	{ "no body", "Subject: s\r\n", "Subject: s\r\n+", 0, false, false,
	    NULL },
	{ "nothing", "", "+", 0, false, false, NULL },
	{ "blank line only", "\r\n", "+\r\n", 0, false, false, NULL },
	{ "blank line and text", "\r\ntext\r\n", "+\r\ntext\r\n", 0, false,
	    false, NULL },
	{ "text only", "hello, world\r\n", "+\r\nhello, world\r\n", 0, false,
	    false, NULL },
	{ "text with colon", "see this: that\r\n", "+\r\nsee this: that\r\n", 0,
	    false, false, NULL },
	{ "text that starts with a blank", " a: b\r\n", "+\r\n a: b\r\n", 0,
	    false, false, NULL },
	{ "text that starts with a colon", ": b\r\n", "+\r\n: b\r\n", 0, false,
	    false, NULL },
	{ "text behind fields", "A: b\r\ntext\r\nDate: d\r\n",
	    "A: b\r\n+\r\ntext\r\nDate: d\r\n", 0, false, false, NULL },
	{ "8 bit name", "A\xc3\xa9: b\r\n", "+\r\nA\xc3\xa9: b\r\n", 0, false,
	    false, NULL },
	{ "continued", "A: b\r\n c\r\n\td\r\nDate: x\r\n\r\n",
	    "A: b\r\n c\r\n\td\r\nDate: x\r\n+\r\n", 0, false, true, NULL },
	{ "continued is no field", "A: b\r\n Date: x\r\n\r\n",
	    "A: b\r\n Date: x\r\n+\r\n", 0, false, false, NULL },
	{ "blank before colon", "Date : x\r\n\r\n", "Date : x\r\n+\r\n", 0,
	    false, true, NULL },
	{ "a longer name", "Dates: x\r\nDat: y\r\n\r\n",
	    "Dates: x\r\nDat: y\r\n+\r\n", 0, false, false, NULL },
	{ "wanted", "X-Stream: news\r\n\r\n", "X-Stream: news\r\n+\r\n", 0,
	    false, false, "news" },
	{ "wanted, any case", "x-stream:  news \t\r\n\r\n",
	    "x-stream:  news \t\r\n+\r\n", 0, false, false, "news" },
	{ "wanted, folded", "X-Stream: a\r\n b\r\nC: d\r\n\r\n",
	    "X-Stream: a\r\n b\r\nC: d\r\n+\r\n", 0, false, false, "a b" },
	{ "wanted, twice", "X-Stream: a\r\nX-Stream: b\r\n\r\n",
	    "X-Stream: a\r\nX-Stream: b\r\n+\r\n", 0, false, false, "a" },
	{ "wanted, empty", "X-Stream:\r\n\r\n", "X-Stream:\r\n+\r\n", 0, false,
	    false, "" },
	{ "wanted, last line", "X-Stream: a \r\n", "X-Stream: a \r\n+", 0,
	    false, false, "a" },
	{ "wanted, in the text", "\r\nX-Stream: a\r\n", "+\r\nX-Stream: a\r\n",
	    0, false, false, NULL },
};

static void
on_pass(const char *data, size_t len, void *arg)
{
	strbuf_add(arg, data, len);
}

static void
on_fields_end(void *arg)
{
	strbuf_addc(arg, '+');
}

static const char *const wanted[] = { "X-Other", "x-Stream" };

static void
scan_cut(const struct row *row, struct rng *rng, size_t max)
{
	struct header_value values[2] = { 0 };
	struct strbuf out = { 0 };
	struct header_scan_ops ops = { on_pass, on_fields_end, &out };
	struct header_scan h;
	size_t len = strlen(row->in), pos, n;

	header_scan_init(&h, &ops, wanted, values, 2);
	for (pos = 0; pos < len; pos += n) {
		char *copy;

		n = max == 0 ? len : 1 + rng_below(rng, max);
		if (n > len - pos)
			n = len - pos;
		copy = malloc(n);
		memcpy(copy, row->in + pos, n);
		header_scan_add(&h, copy, n);
		free(copy);
	}
	header_scan_end(&h);
	assert_string_equal(out.data, row->out);
	assert_int_equal(h.n_received, row->n_received);
	assert_int_equal(h.has_message_id, row->has_message_id);
	assert_int_equal(h.has_date, row->has_date);
	assert_null(header_scan_value(&h, "X-Other"));
	assert_null(header_scan_value(&h, "Subject"));
	if (row->stream == NULL)
		assert_null(header_scan_value(&h, "X-Stream"));
	else
		assert_string_equal(header_scan_value(&h, "X-Stream"),
		    row->stream);
	strbuf_fini(&values[0].text);
	strbuf_fini(&values[1].text);
	strbuf_fini(&out);
}

static void
sections_are_scanned(void **state)
{
	struct rng rng = { 11 };
	size_t i, k;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].name);
		scan_cut(&rows[i], &rng, 0);
		scan_cut(&rows[i], &rng, 1);
		for (k = 0; k < 50; k++)
			scan_cut(&rows[i], &rng, 1 + k % 12);
	}
}

static void
names_and_values_are_bounded(void **state)
{
	char in[2048];
	struct header_value values[2] = { 0 };
	struct strbuf out = { 0 };
	struct header_scan_ops ops = { on_pass, on_fields_end, &out };
	struct header_scan h;
	size_t len;

	(void)state;
	for (len = HEADER_NAME_MAX; len <= HEADER_NAME_MAX + 1; len++) {
		memset(in, 'n', len);
		memcpy(in + len, ": x\r\n", 5);
		strbuf_reset(&out);
		header_scan_init(&h, &ops, wanted, values, 2);
		header_scan_add(&h, in, len + 5);
		header_scan_end(&h);
		/* Over the limit it is text, set off by a blank line. */
		assert_int_equal(out.data[0],
		    len > HEADER_NAME_MAX ? '+' : 'n');
		assert_int_equal(out.len,
		    len + 6 + (len > HEADER_NAME_MAX ? 2 : 0));
	}
	memset(in, 'v', sizeof(in));
	memcpy(in, "X-Stream:", 9);
	header_scan_init(&h, &ops, wanted, values, 2);
	header_scan_add(&h, in, sizeof(in));
	header_scan_add(&h, "\r\n\r\n", 4);
	assert_int_equal(strlen(header_scan_value(&h, "X-Stream")),
	    HEADER_VALUE_MAX);
	/* The next message begins with nothing. */
	header_scan_init(&h, &ops, wanted, values, 2);
	assert_null(header_scan_value(&h, "X-Stream"));
	strbuf_fini(&values[1].text);
	strbuf_fini(&out);
}

/* What is passed is what came, but for the added blank line. */
static void
random_sections_pass_unchanged(void **state)
{
	static const char *const words[] = { "A:", "Date:", "\r\n", "x", " ",
		"\t", "\r\n\r\n", "Received", ":", "\xc3" };
	struct rng rng = { 5 };
	size_t i, k, n;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (i = 0; i < 5000; i++) {
		struct strbuf in = { 0 }, whole = { 0 }, cut = { 0 };
		struct header_scan_ops ops = { on_pass, on_fields_end, &whole };
		struct header_scan h;

		n = rng_below(&rng, 12);
		for (k = 0; k < n; k++)
			strbuf_adds(&in, words[rng_below(&rng, 10)]);
		strbuf_adds(&in, "\r\n");
		header_scan_init(&h, &ops, NULL, NULL, 0);
		header_scan_add(&h, in.data, in.len);
		header_scan_end(&h);
		ops.arg = &cut;
		header_scan_init(&h, &ops, NULL, NULL, 0);
		for (k = 0; k < in.len; k++)
			header_scan_add(&h, in.data + k, 1);
		header_scan_end(&h);
		assert_string_equal(whole.data, cut.data);
		assert_true(whole.len == in.len + 1 || whole.len == in.len + 3);
		strbuf_fini(&in);
		strbuf_fini(&whole);
		strbuf_fini(&cut);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_are_scanned),
		cmocka_unit_test(names_and_values_are_bounded),
		cmocka_unit_test(random_sections_pass_unchanged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
