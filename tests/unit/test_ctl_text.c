/* SPDX-License-Identifier: ISC */
/* Numbers and texts as flyballctl shows them. */
#include "daemon/ctl_text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
is(struct strbuf *b, const char *text)
{
	assert_string_equal(b->data != NULL ? b->data : "", text);
	strbuf_fini(b);
}

static void
spans(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ -5, "0ms" },
		{ 0, "0ms" },
		{ 999, "999ms" },
		{ 1000, "1s" },
		{ 59999, "59s" },
		{ 60000, "1m" },
		{ 90500, "1m30s" },
		{ 3600000, "1h" },
		{ 7500000, "2h5m" },
		{ 86400000, "1d" },
		{ 100000000, "1d3h" },
		{ INT64_C(86400000) * 400, "400d" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct strbuf b = { 0 };

		text_add_span(&b, cases[i].ms);
		is(&b, cases[i].text);
	}
}

static void
numbers(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	text_add_count(&b, 0);
	is(&b, "0");
	text_add_count(&b, 999);
	is(&b, "999");
	text_add_count(&b, 12045);
	is(&b, "12,045");
	text_add_count(&b, 1234567);
	is(&b, "1,234,567");
	text_add_count(&b, 12345678);
	is(&b, "12.35M");
	text_add_bytes(&b, 512);
	is(&b, "512B");
	text_add_bytes(&b, 1536);
	is(&b, "1.5KiB");
	text_add_bytes(&b, INT64_C(200) << 30);
	is(&b, "200GiB");
	text_add_per_s(&b, 0);
	is(&b, "0");
	text_add_per_s(&b, 18.52);
	is(&b, "18.5/s");
	text_add_per_s(&b, 1200);
	is(&b, "1200/s");
	text_add_per_s(&b, 0.05);
	is(&b, "3/min");
	text_add_per_s(&b, 0.0005);
	is(&b, "1.8/h");
}

/* What a peer wrote can't drive the terminal. */
static void
controls_are_shown(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	text_add_clean(&b, "550 \x1b[31mred\x7f\r\nnext\tend\xc2\x9b!", " / ");
	is(&b, "550 \\x1b[31mred\\x7f / next\\x09end\\x9b!");
	text_add_clean(&b, "caf\xc3\xa9 \xe2\x82\xac", " ");
	is(&b, "caf\xc3\xa9 \xe2\x82\xac");
	text_add_clean(&b, "cut \xc2", " "); /* the end of a string */
	is(&b, "cut \xc2");
}

static void
columns(void **state)
{
	(void)state;
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		skip();
	assert_int_equal(text_columns("abc", 3), 3);
	assert_int_equal(text_columns("caf\xc3\xa9", 5), 4);
	assert_int_equal(text_columns("\xe6\x97\xa5\xe6\x9c\xac", 6), 4);
	assert_int_equal(text_prefix("caf\xc3\xa9s", 4), 5);
	assert_int_equal(text_prefix("\xe6\x97\xa5\xe6\x9c\xac", 3), 3);
	assert_int_equal(text_prefix("abc", 9), 3);
	assert_int_equal(text_columns("\xff\xfe", 2), 2);
}

static void
values_by_their_keys(void **state)
{
	static const struct {
		const char *key, *json, *text;
	} cases[] = {
		{ "age_ms", "90000", "1m30s" },
		{ "size_bytes", "2048", "2KiB" },
		{ "rate_per_s", "0.5", "30/min" },
		{ "queued", "12345", "12,345" },
		{ "pid", "12345", "12345" },
		{ "tokens", "null", "-" },
		{ "is_builtin", "true", "yes" },
		{ "rates", "[\"5/s\",\"2k/h\"]", "5/s, 2k/h" },
		{ "rates", "[]", "-" },
		{ "reply", "\"a\\nb\"", "a / b" },
		{ "commit_mean", "1.23456", "1.235" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct strbuf b = { 0 };
		json_t *value =
		    json_loads(cases[i].json, JSON_DECODE_ANY, NULL);

		text_add_value(&b, cases[i].key, value);
		is(&b, cases[i].text);
		json_decref(value);
	}
}

static void
labels(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	text_add_label(&b, "held_since");
	is(&b, "held since");
	text_add_label(&b, "age_ms");
	is(&b, "age");
	text_add_label(&b, "is_builtin");
	is(&b, "builtin");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans),
		cmocka_unit_test(numbers),
		cmocka_unit_test(controls_are_shown),
		cmocka_unit_test(columns),
		cmocka_unit_test(values_by_their_keys),
		cmocka_unit_test(labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
