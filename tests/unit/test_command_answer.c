/* SPDX-License-Identifier: ISC */
/* Answers are valid JSON, with nothing left out but past the limit. */
#include "daemon/command_answer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
is(struct answer *a, const char *json)
{
	json_t *parsed = json_loads(a->json.data, JSON_DECODE_ANY, NULL);

	assert_non_null(parsed);
	json_decref(parsed);
	assert_string_equal(a->json.data, json);
	answer_reset(a);
}

static void
values_of_each_kind(void **state)
{
	struct answer a = { 0 };

	(void)state;
	answer_open(&a, NULL, '{');
	answer_str(&a, "s", "a\"\n\x1b");
	answer_strn(&a, "sn", "abcdef", 3);
	answer_opt(&a, "o", "");
	answer_opt(&a, "p", NULL);
	answer_int(&a, "i", -5);
	answer_int(&a, "most", INT64_MAX);
	answer_int(&a, "least", INT64_MIN);
	answer_int(&a, "none", 0);
	answer_bool(&a, "b", true);
	answer_time(&a, "t", 1764033600123000);
	answer_time(&a, "never", 0);
	answer_wait(&a, "w", 2500, 1000);
	answer_wait(&a, "over", 500, 1000);
	answer_wait(&a, "ever", INT64_MAX, 1000);
	answer_ratio(&a, "whole", 40, 2);
	answer_ratio(&a, "part", 10, 3);
	answer_ratio(&a, "small", 1, 100);
	answer_close(&a, '}');
	is(&a,
	    "{\"s\":\"a\\\"\\n\\u001b\",\"sn\":\"abc\",\"o\":null,\"p\":null,"
	    "\"i\":-5,\"most\":9223372036854775807,"
	    "\"least\":-9223372036854775808,\"none\":0,\"b\":true,\"t\":\"2025-11-25T01:20:00.123Z\","
	    "\"never\":null,\"w\":2,\"over\":0,\"ever\":null,\"whole\":20,"
	    "\"part\":3.333,\"small\":0.010}");
}

static void
commas_stand_where_they_belong(void **state)
{
	struct answer a = { 0 };

	(void)state;
	answer_open(&a, NULL, '{');
	answer_key(&a, "empty");
	answer_open(&a, NULL, '[');
	answer_close(&a, ']');
	answer_open(&a, "list", '[');
	answer_int(&a, NULL, 1);
	answer_open(&a, NULL, '{');
	answer_close(&a, '}');
	answer_int(&a, NULL, 2);
	answer_close(&a, ']');
	answer_key(&a, "last");
	answer_null(&a, NULL);
	answer_close(&a, '}');
	is(&a, "{\"empty\":[],\"list\":[1,{},2],\"last\":null}");
	answer_int(&a, NULL, 7); /* a reset one is as new */
	is(&a, "7");
}

/* A piece may be taken at any time: the rest goes on as if it were there. */
static void
it_goes_on_after_a_piece_was_taken(void **state)
{
	struct answer a = { 0 };

	(void)state;
	answer_open(&a, NULL, '[');
	answer_int(&a, NULL, 1);
	strbuf_reset(&a.json);
	answer_int(&a, NULL, 2);
	answer_close(&a, ']');
	assert_string_equal(a.json.data, ",2]");
	answer_fini(&a);
}

static void
it_ends_at_its_limit(void **state)
{
	static char text[4096];
	struct answer a = { 0 };

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	answer_open(&a, NULL, '[');
	for (int i = 0; i < 2 * ANSWER_MAX / (int)sizeof(text); i++)
		answer_str(&a, NULL, text);
	assert_true(a.is_full);
	assert_true(a.json.len < ANSWER_MAX + 2 * sizeof(text));
	answer_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_each_kind),
		cmocka_unit_test(commas_stand_where_they_belong),
		cmocka_unit_test(it_goes_on_after_a_piece_was_taken),
		cmocka_unit_test(it_ends_at_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
