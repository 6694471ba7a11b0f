/* SPDX-License-Identifier: ISC */
/* The growing string, against what the same steps give in a plain array. */
#include "conf/base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

static void
pieces_are_joined(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_adds(&b, "220 ");
	strbuf_addf(&b, "%s %d", "relay", 7);
	strbuf_addc(&b, '!');
	strbuf_add(&b, "\r\n", 2);
	strbuf_add(&b, NULL, 0);
	strbuf_adds(&b, "");
	assert_string_equal(b.data, "220 relay 7!\r\n");
	assert_int_equal(b.len, 14);
	strbuf_fini(&b);
	assert_null(b.data);
}

static void
nul_bytes_count_as_others(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_add(&b, "a\0b", 3);
	strbuf_addc(&b, '\0');
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "a\0b\0", 5);
	strbuf_fini(&b);
}

static void
format_longer_than_any_guess(void **state)
{
	struct strbuf b = { 0 };
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t len = 120; len < 135; len++) {
		strbuf_reset(&b);
		strbuf_addf(&b, "%.*s|", (int)len, text);
		assert_int_equal(b.len, len + 1);
		assert_int_equal(strlen(b.data), len + 1);
		assert_int_equal(b.data[len], '|');
	}
	strbuf_addf(&b, "<%s>", text);
	assert_int_equal(b.len, 135 + 4999 + 2);
	assert_int_equal(b.data[b.len - 1], '>');
	strbuf_fini(&b);
}

static void
reset_keeps_the_memory(void **state)
{
	struct strbuf b = { 0 };
	char *before;

	(void)state;
	strbuf_reset(&b); /* of nothing */
	assert_null(b.data);
	strbuf_adds(&b, "something");
	before = b.data;
	strbuf_reset(&b);
	assert_ptr_equal(b.data, before);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	strbuf_fini(&b);
}

static const struct {
	size_t drop;
	const char *left;
} consumed[] = {
	{ 0, "abcdef" },
	{ 1, "bcdef" },
	{ 5, "f" },
	{ 6, "" },
	{ 7, "" },
	{ 1000, "" },
};

static void
consume_drops_the_front(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(consumed) / sizeof(*consumed); i++) {
		struct strbuf b = { 0 };

		strbuf_adds(&b, "abcdef");
		strbuf_consume(&b, consumed[i].drop);
		assert_string_equal(b.data, consumed[i].left);
		assert_int_equal(b.len, strlen(consumed[i].left));
		strbuf_fini(&b);
	}
}

static void
taken_memory_is_the_callers(void **state)
{
	struct strbuf b = { 0 };
	char *text;

	(void)state;
	text = strbuf_take(&b); /* of nothing: still a string */
	assert_string_equal(text, "");
	free(text);
	strbuf_adds(&b, "mine");
	text = strbuf_take(&b);
	assert_string_equal(text, "mine");
	assert_null(b.data);
	assert_int_equal(b.len + b.cap, 0);
	free(text);
}

static void
reserve_makes_room_once(void **state)
{
	struct strbuf b = { 0 };
	char *before;

	(void)state;
	strbuf_reserve(&b, 1000);
	before = b.data;
	for (int i = 0; i < 1000; i++)
		strbuf_addc(&b, 'y');
	assert_ptr_equal(b.data, before);
	strbuf_fini(&b);
}

/* Any order of steps leaves what a plain array would hold. */
static void
random_steps_agree_with_a_model(void **state)
{
	struct rng rng = { .state = 20261124 };
	char *model = malloc(1 << 20);
	size_t len = 0;
	struct strbuf b = { 0 };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)rng_below(&rng, 90);
		char piece[90];

		memset(piece, (int)rng_below(&rng, 256), sizeof(piece));
		if (rng_below(&rng, 3) > 0 && len < 100000) {
			strbuf_add(&b, piece, n);
			memcpy(model + len, piece, n);
			len += n;
		} else {
			n *= rng_below(&rng, 4);
			strbuf_consume(&b, n);
			n = n < len ? n : len;
			memmove(model, model + n, len - n);
			len -= n;
		}
		assert_int_equal(b.len, len);
	}
	assert_true(len > 0);
	assert_memory_equal(b.data, model, len);
	assert_int_equal(b.data[len], '\0');
	strbuf_fini(&b);
	free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_joined),
		cmocka_unit_test(nul_bytes_count_as_others),
		cmocka_unit_test(format_longer_than_any_guess),
		cmocka_unit_test(reset_keeps_the_memory),
		cmocka_unit_test(consume_drops_the_front),
		cmocka_unit_test(taken_memory_is_the_callers),
		cmocka_unit_test(reserve_makes_room_once),
		cmocka_unit_test(random_steps_agree_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
