/* SPDX-License-Identifier: ISC */
/* Conditions on lines of the event log. */
#include "daemon/event_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/command_words.h"

static const char line[] =
    "{\"ts\":\"2026-11-25T01:00:00.000Z\",\"event\":\"deferred\","
    "\"provider\":\"gmail\",\"recipient\":\"r@x.test\",\"code\":421,"
    "\"reply\":\"421 \\\"provider\\\":\\\"yahoo\\\" a\\\\\",\"is_x\":true}\n";

static bool
fits(const char *conditions)
{
	struct event_filter *f;
	struct words w;
	bool result;

	assert_int_equal(words_split(conditions, strlen(conditions), &w, NULL),
	    0);
	f = event_filter_new(w.v, w.n, NULL);
	assert_non_null(f);
	result = event_filter_fits(f, line, strlen(line));
	event_filter_free(f);
	words_fini(&w);
	return result;
}

static void
lines_fit(void **state)
{
	static const struct {
		const char *conditions;
		bool fits;
	} cases[] = {
		{ "", true },
		{ "event=deferred", true },
		{ "event=Def*", true },
		{ "event=delivered", false },
		{ "event=delivered event=deferred", true },
		{ "event=deferred provider=yahoo", false }, /* in a reply */
		{ "event=deferred provider=gmail", true },
		{ "code=421", true },
		{ "code=42?", true },
		{ "code=42", false },
		{ "is_x=true", true },
		{ "reply=421*", true },
		{ "reply=*yahoo*", true },
		{ "recipient=*@x.test code=421", true },
		{ "sender=*", false }, /* it has none */
		{ "e=deferred", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (fits(cases[i].conditions) != cases[i].fits)
			fail_msg("%s", cases[i].conditions);
	assert_true(event_filter_fits(NULL, line, strlen(line)));
}

static void
wrong_words_are_refused(void **state)
{
	char *many[17];
	char *wrong[] = { (char *)"deferred", (char *)"=x" };
	struct err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_null(event_filter_new(&wrong[i], 1, &err));
		assert_non_null(strstr(err.text, "no condition"));
	}
	for (size_t i = 0; i < 17; i++)
		many[i] = (char *)"a=b";
	assert_null(event_filter_new(many, 17, &err));
}

/* Lines that are cut anywhere are no harm. */
static void
cut_lines(void **state)
{
	char *words[] = { (char *)"reply=*z*", (char *)"code=*" };
	struct event_filter *f = event_filter_new(words, 2, NULL);

	(void)state;
	for (size_t len = 0; len <= strlen(line); len++) {
		char *copy = malloc(len ? len : 1);

		memcpy(copy, line, len);
		event_filter_fits(f, copy, len);
		free(copy);
	}
	event_filter_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_fit),
		cmocka_unit_test(wrong_words_are_refused),
		cmocka_unit_test(cut_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
