/* SPDX-License-Identifier: ISC */
/*
 * Strings written as JSON: what comes out must be what went in for jansson,
 * or, where the bytes are no text, still be valid JSON.
 */
#include "conf/base/json.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/address.h"
#include "conf/base/rng.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *what;
	const char *in;
	const char *out;
} cases[] = {
	{ "empty", "", "\"\"" },
	{ "plain", "250 2.0.0 Ok", "\"250 2.0.0 Ok\"" },
	{ "quote and backslash", "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "line ends", "a\r\nb\tc", "\"a\\r\\nb\\tc\"" },
	{ "short ones", "\b\f", "\"\\b\\f\"" },
	{ "escape, delete", "\x1b[2J\x7f", "\"\\u001b[2J\\u007f\"" },
	{ "two, three, four bytes", "\u00e9\u20ac\U0001f4e7",
	    "\"\u00e9\u20ac\U0001f4e7\"" },
	{ "C1 control",
	    "a\xc2\x9b"
	    "31m",
	    "\"a\\u009b31m\"" },
	{ "first behind C1", "\xc2\xa0", "\"\xc2\xa0\"" },
	{ "Latin-1", "caf\xe9!", "\"caf" FFFD "!\"" },
	{ "lone continuation", "\x80z", "\"" FFFD "z\"" },
	{ "overlong slash", "\xc0\xaf", "\"" FFFD FFFD "\"" },
	{ "surrogate", "\xed\xa0\x80", "\"" FFFD FFFD FFFD "\"" },
	{ "over U+10FFFF", "\xf4\x90\x80\x80", "\"" FFFD FFFD FFFD FFFD "\"" },
	{ "cut at the end", "a\xe2\x82", "\"a" FFFD FFFD "\"" },
	{ "cut in the middle", "\xe2\x82\xe2\x82\xac",
	    "\"" FFFD FFFD "\u20ac\"" },
	{ "0xff", "\xff", "\"" FFFD "\"" },
};

static void
strings_are_escaped(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct strbuf b = { 0 };

		strbuf_add_json_string(&b, cases[i].in, strlen(cases[i].in));
		if (strcmp(b.data, cases[i].out) != 0)
			fail_msg("%s: %s", cases[i].what, b.data);
		strbuf_fini(&b);
	}
}

static void
nul_is_a_byte_as_others(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_addc(&b, '=');
	strbuf_add_json_string(&b, "a\0b", 3);
	assert_string_equal(b.data, "=\"a\\u0000b\"");
	strbuf_fini(&b);
}

static void
check_with_jansson(const struct strbuf *b, const char *in, size_t len)
{
	json_error_t why;
	json_t *value =
	    json_loadb(b->data, b->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);

	if (value == NULL)
		fail_msg("%s: %s", why.text, b->data);
	if (utf8_is_valid(in, len)) {
		assert_int_equal(json_string_length(value), len);
		assert_memory_equal(json_string_value(value), in, len);
	}
	json_decref(value);
}

static void
any_bytes_give_valid_json(void **state)
{
	static const unsigned char nasty[] = { 0, '"', '\\', 0x7f, 0x80, 0xbf,
		0xc2, 0xe0, 0xed, 0xa0, 0xf0, 0xf4, 0x90, 0xff };
	struct rng rng = { .state = 4627 };
	struct strbuf b = { 0 };
	char in[64];

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (int round = 0; round < 50000; round++) {
		size_t len = (size_t)rng_below(&rng, sizeof(in));

		for (size_t i = 0; i < len; i++)
			in[i] = (char)(rng_below(&rng, 2)
				? nasty[rng_below(&rng, sizeof(nasty))]
				: rng_below(&rng, 256));
		strbuf_reset(&b);
		strbuf_add_json_string(&b, in, len);
		check_with_jansson(&b, in, len);
	}
	strbuf_fini(&b);
}

static const struct {
	const char *s;
	size_t max, cut;
} prefixes[] = {
	{ "abc", 3, 3 }, { "abc", 9, 3 }, { "abc", 2, 2 }, { "abc", 0, 0 },
	{ "a\u20acb", 1, 1 }, { "a\u20acb", 2, 1 }, { "a\u20acb", 3, 1 },
	{ "a\u20acb", 4, 4 }, { "\U0001f4e7x", 1, 0 }, { "\U0001f4e7x", 3, 0 },
	{ "\U0001f4e7x", 4, 4 },
	{ "\x80\x80\x80\x80\x80\x80", 5, 5 }, /* no text at all */
};

static void
prefixes_cut_no_sequence(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		assert_int_equal(utf8_prefix_len(prefixes[i].s,
				     strlen(prefixes[i].s), prefixes[i].max),
		    prefixes[i].cut);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(nul_is_a_byte_as_others),
		cmocka_unit_test(any_bytes_give_valid_json),
		cmocka_unit_test(prefixes_cut_no_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
