/* SPDX-License-Identifier: ISC */
/* What was put under a hash is found there, whatever else came and went. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "scheduler/slot_table.h"

#define HASHES 600 /* few, so that they meet often */
#define STEPS  200000

/* Hashes that begin at a handful of places: long runs of full slots. */
static uint64_t
hash_at(uint64_t i)
{
	return (i + 1) << 32 | (i % 7);
}

static void
it_holds_what_a_plain_array_holds(void **state)
{
	struct rng rng = { 20261125 };
	struct slot_table t;
	uint32_t held[HASHES] = { 0 };
	uint32_t n = 0;

	(void)state;
	print_message("seed 20261125\n");
	slot_table_init(&t, HASHES);
	for (uint32_t step = 1; step <= STEPS; step++) {
		uint64_t i = rng_below(&rng, HASHES);
		struct slot *slot = slot_table_find(&t, hash_at(i));

		assert_int_equal(slot != NULL, held[i] != 0);
		if (slot != NULL) {
			assert_int_equal(slot->a, held[i]);
			slot_table_remove(&t, slot);
			held[i] = 0;
			n--;
		} else {
			slot = slot_table_add(&t, hash_at(i));
			assert_non_null(slot);
			assert_int_equal(slot->a, 0);
			slot->a = held[i] = step;
			n++;
		}
		assert_int_equal(t.n, n);
	}
	slot_table_fini(&t);
}

static void
it_is_full_at_its_most(void **state)
{
	struct slot_table t;

	(void)state;
	slot_table_init(&t, 300);
	for (uint64_t i = 0; i < 300; i++)
		assert_non_null(slot_table_add(&t, i * 1000 + 1));
	assert_null(slot_table_add(&t, 5));
	assert_non_null(slot_table_add(&t, 1001)); /* that is there */
	slot_table_remove(&t, slot_table_find(&t, 1001));
	assert_non_null(slot_table_add(&t, 5));
	assert_null(slot_table_find(&t, 1001));
	slot_table_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_holds_what_a_plain_array_holds),
		cmocka_unit_test(it_is_full_at_its_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
