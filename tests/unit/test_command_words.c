/* SPDX-License-Identifier: ISC */
/* Lines of the admin socket into words and back. */
#include "daemon/command_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"

static const struct {
	const char *line;
	size_t n;
	const char *words[6];
} lines[] = {
	{ "", 0, { 0 } },
	{ " \t ", 0, { 0 } },
	{ "status", 1, { "status" } },
	{ "  a\tb  ", 2, { "a", "b" } },
	{ "because \"too fast\"", 2, { "because", "too fast" } },
	{ "because=\"too fast\" x", 2, { "because=too fast", "x" } },
	{ "\"\"", 1, { "" } },
	{ "\"\" \"\"", 2, { "", "" } },
	{ "a\"b\"c", 1, { "abc" } },
	{ "\"a\\\"b\\\\c\"", 1, { "a\"b\\c" } },
	{ "\"a\\nb\"", 1, { "a\\nb" } },
	{ "a\\b", 1, { "a\\b" } },
	{ "r\xc3\xa9sum\xc3\xa9 \xff", 2, { "r\xc3\xa9sum\xc3\xa9", "\xff" } },
	{ "sender=<> attempts>3", 2, { "sender=<>", "attempts>3" } },
};

static void
lines_become_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct words w;
		struct err err = { "" };

		if (words_split(lines[i].line, strlen(lines[i].line), &w,
			&err) < 0)
			fail_msg("\"%s\": %s", lines[i].line, err.text);
		if (w.n != lines[i].n)
			fail_msg("\"%s\": %zu words", lines[i].line, w.n);
		for (size_t j = 0; j < w.n; j++)
			assert_string_equal(w.v[j], lines[i].words[j]);
		words_fini(&w);
	}
}

static void
wrong_lines_are_refused(void **state)
{
	static const struct {
		const char *line;
		size_t len;
		const char *why;
	} wrong[] = {
		{ "a \"b", 4, "quote" },
		{ "\"a\\\"", 4, "quote" },
		{ "a\nb", 3, "\\x0a" },
		{ "a\0b", 3, "\\x00" },
		{ "\x1b[2J", 4, "byte 1" },
		{ "x\x7f", 2, "\\x7f" },
	};
	char *lots = xcalloc(1, COMMAND_LINE_MAX + 1);
	struct words w;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(words_split(wrong[i].line, wrong[i].len, &w,
				     &err),
		    -1);
		if (strstr(err.text, wrong[i].why) == NULL)
			fail_msg("%s lacks %s", err.text, wrong[i].why);
	}
	memset(lots, 'x', COMMAND_LINE_MAX + 1);
	assert_int_equal(words_split(lots, COMMAND_LINE_MAX, &w, &err), 0);
	words_fini(&w);
	assert_int_equal(words_split(lots, COMMAND_LINE_MAX + 1, &w, &err), -1);
	free(lots);
}

/* Whatever words there are: joined and split they are the same again. */
static void
words_come_back_as_they_were(void **state)
{
	static const char letters[] = "ab \t\"\\=<>*\xc3\xa9";
	const uint64_t seed = 7;
	struct rng rng = { seed };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 5000; i++) {
		char text[5][8], *v[5];
		size_t n = 1 + rng_below(&rng, 5);
		struct strbuf line = { 0 };
		struct words w;

		for (size_t j = 0; j < n; j++) {
			size_t len = rng_below(&rng, 7);

			for (size_t k = 0; k < len; k++)
				text[j][k] = letters[rng_below(&rng,
				    sizeof(letters) - 1)];
			text[j][len] = '\0';
			v[j] = text[j];
		}
		assert_int_equal(words_join(v, n, &line, NULL), 0);
		assert_int_equal(words_split(line.data, line.len, &w, NULL), 0);
		assert_int_equal(w.n, n);
		for (size_t j = 0; j < n; j++)
			assert_string_equal(w.v[j], v[j]);
		words_fini(&w);
		strbuf_fini(&line);
	}
}

static void
words_that_fit_no_line_are_refused(void **state)
{
	char *two_lines[] = { (char *)"a\nb" };
	struct strbuf line = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(words_join(two_lines, 1, &line, &err), -1);
	strbuf_fini(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_words),
		cmocka_unit_test(wrong_lines_are_refused),
		cmocka_unit_test(words_come_back_as_they_were),
		cmocka_unit_test(words_that_fit_no_line_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
