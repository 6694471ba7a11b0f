/* SPDX-License-Identifier: ISC */
/* Every command has all that its row must tell, and words find their row. */
#include "daemon/command_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/command_words.h"

static void
each_row_is_documented(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command_row *row = &command_rows[i];

		assert_non_null(row->name);
		if (row->usage == NULL || row->summary == NULL ||
		    row->doc == NULL || row->example == NULL)
			fail_msg("%s lacks a text", row->name);
		assert_true(strlen(row->summary) > 10);
		assert_true(strlen(row->summary) < 70);
		assert_true(row->summary[strlen(row->summary) - 1] != '.');
		assert_true(row->doc[strlen(row->doc) - 1] == '.');
		assert_true(row->min_args >= 0);
		assert_true(row->max_args == -1 ||
		    row->max_args >= row->min_args);
		if (row->max_args == 0)
			assert_string_equal(row->usage, "");
		else
			assert_true(*row->usage != '\0');
	}
}

static void
examples_find_their_own_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command_row *row = &command_rows[i];
		struct words w;
		size_t used;

		assert_int_equal(words_split(row->example, strlen(row->example),
				     &w, NULL),
		    0);
		assert_ptr_equal(command_find(w.v, w.n, &used), row);
		assert_int_equal(command_id_of(row), i);
		assert_true(w.n - used >= (size_t)row->min_args);
		if (row->max_args >= 0)
			assert_true(w.n - used <= (size_t)row->max_args);
		words_fini(&w);
	}
}

static void
words_that_are_no_command_get_a_hint(void **state)
{
	static const struct {
		const char *line, *hint;
	} cases[] = {
		{ "stauts", "`status`" },
		{ "lnaes", "`lanes`" },
		{ "log", "`log level`" },
		{ "evnets", "`events`" },
		{ "reboot-the-moon", "`help`" },
		{ "", "`help`" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct words w;
		struct err hint;
		size_t used;

		assert_int_equal(words_split(cases[i].line,
				     strlen(cases[i].line), &w, NULL),
		    0);
		assert_null(command_find(w.v, w.n, &used));
		assert_int_equal(used, 0);
		command_suggest(w.v, w.n, &hint);
		if (strstr(hint.text, cases[i].hint) == NULL)
			fail_msg("%s: %s", cases[i].line, hint.text);
		words_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_documented),
		cmocka_unit_test(examples_find_their_own_row),
		cmocka_unit_test(words_that_are_no_command_get_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
