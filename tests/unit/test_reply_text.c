/* SPDX-License-Identifier: ISC */
/* One line out of many, and the codes that count. */
#include "scheduler/reply_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *reply, *plain;
} lines[] = {
	{ "550 5.1.1 User Unknown", "550 5.1.1 user unknown" },
	{ "421-4.7.28 unusual rate\n421-4.7.28 of mail\n421 4.7.28 slow",
	    "421 4.7.28 unusual rate of mail slow" },
	{ "550-a\n550 b", "550 a b" },
	{ "550-a\r\n550 b\r\n", "550 a b" },
	{ "550-a\n550", "550 a" },
	/* The last line's code, and the last enhanced one that agrees. */
	{ "421-a\n554 b", "554 a b" },
	{ "550-a\n550 5.7.1 b", "550 5.7.1 a b" },
	{ "550-5.7.1 a\n550 5.2.1 b", "550 5.2.1 5.7.1 a b" },
	{ "550 4.7.1 digits disagree", "550 4.7.1 digits disagree" },
	/* No codes, and what only looks like one. */
	{ "connection refused", "connection refused" },
	{ "550 192.0.2.1 blocked", "550 192.0.2.1 blocked" },
	{ "550 5.1.2.3 blocked", "550 5.1.2.3 blocked" },
	{ "5501 x", "5501 x" },
	/* Letters, blanks. */
	{ "550 Bo\303\256te  du\tdestinataire\001pleine",
	    "550 boite du destinataire pleine" },
	{ "550 Bo\356te", "550 boite" },
	{ "550 skrzynka przepe\305\202niona, \304\215esk\303\275",
	    "550 skrzynka przepelniona, cesky" },
	{ "550 \346\224\266\344\273\266\344\272\272",
	    "550 \346\224\266\344\273\266\344\272\272" },
	{ "550 \303", "550 a" },
	{ "", "" },
	{ "\n\n\n", "" },
};

static void
many_lines_become_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char out[REPLY_TEXT_SIZE], enhanced[16];
		struct reply_fact fact = {
			.code = reply_text_code(lines[i].reply, enhanced),
			.enhanced = enhanced,
			.text = lines[i].reply,
		};

		size_t len = reply_text_plain(&fact, out);

		assert_string_equal(out, lines[i].plain);
		assert_int_equal(len, strlen(out));
	}
}

static void
codes_are_found(void **state)
{
	char enhanced[16];

	(void)state;
	assert_int_equal(reply_text_code("550 5.1.1 x", enhanced), 550);
	assert_string_equal(enhanced, "5.1.1");
	assert_int_equal(reply_text_code("421-4.7.0 a\n550 x", enhanced), 550);
	assert_string_equal(enhanced, "");
	assert_int_equal(reply_text_code("250", enhanced), 250);
	assert_int_equal(reply_text_code("150 x", enhanced), 0);
	assert_int_equal(reply_text_code("6", enhanced), 0);
	assert_int_equal(reply_text_code("", enhanced), 0);
	assert_int_equal(reply_text_code("421 4.7.650 x", enhanced), 421);
	assert_string_equal(enhanced, "4.7.650");
	assert_int_equal(reply_text_code("421 4.7.6500 x", enhanced), 421);
	assert_string_equal(enhanced, "");
}

static void
nulls_are_empty(void **state)
{
	char out[REPLY_TEXT_SIZE];
	struct reply_fact fact = { .code = 550 };

	(void)state;
	reply_text_plain(&fact, out);
	assert_string_equal(out, "550");
}

/* Beginning and end are kept, whatever the length; nothing overflows. */
static void
long_replies_keep_both_ends(void **state)
{
	(void)state;
	for (size_t n = 3000; n < 6000; n += 7) {
		char *reply = malloc(n + 64), out[REPLY_TEXT_SIZE];
		struct reply_fact fact = { .code = 550, .text = reply };
		size_t len;

		assert_non_null(reply);
		strcpy(reply, "550-begin ");
		memset(reply + 10, 'x', n);
		strcpy(reply + 10 + n, "\n550 the end");
		len = reply_text_plain(&fact, out);
		assert_true(len < REPLY_TEXT_SIZE);
		assert_int_equal(strncmp(out, "550 begin x", 11), 0);
		assert_string_equal(out + len - 7, "the end");
		free(reply);
	}
}

static void
the_end_of_one_long_line_is_kept(void **state)
{
	struct reply_fact fact = { .code = 550, .enhanced = "5.7.1" };
	char text[2 * REPLY_TEXT_SIZE], out[REPLY_TEXT_SIZE];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "550 5.7.1 first ", 16);
	strcpy(text + sizeof(text) - 6, " last");
	fact.text = text;
	reply_text_plain(&fact, out);
	assert_memory_equal(out, "550 5.7.1 first x", 17);
	assert_string_equal(out + strlen(out) - 5, " last");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_lines_become_one),
		cmocka_unit_test(codes_are_found),
		cmocka_unit_test(nulls_are_empty),
		cmocka_unit_test(long_replies_keep_both_ends),
		cmocka_unit_test(the_end_of_one_long_line_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
