/* SPDX-License-Identifier: ISC */
/* Error sentences: bounded, optional, and with errno's own words. */
#include "conf/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
sentence_is_written(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_set(&err, "lane %s: %d", "ip-a", 7), -1);
	assert_string_equal(err.text, "lane ip-a: 7");
	errno = ENOENT;
	assert_int_equal(err_sys(&err, "open %s", "x"), -1);
	assert_string_equal(err.text, "open x: No such file or directory");
}

static void
nobody_may_want_to_know(void **state)
{
	(void)state;
	errno = EACCES;
	assert_int_equal(err_set(NULL, "%d", 1), -1);
	assert_int_equal(err_sys(NULL, "%d", 1), -1);
}

static void
long_sentences_are_cut(void **state)
{
	struct err err;
	char text[600];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	errno = ENOENT;
	err_sys(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_sys(&err, "%.500s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_string_equal(err.text + 500, ": No such f");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentence_is_written),
		cmocka_unit_test(nobody_may_want_to_know),
		cmocka_unit_test(long_sentences_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
