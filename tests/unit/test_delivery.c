/* SPDX-License-Identifier: ISC */
/* The memory of deliveries: found by its ids, small, and given back. */
#include "scheduler/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"

static void
is_found_by_both_ids(void **state)
{
	struct delivery_map *map = delivery_map_new();
	struct delivery *d = delivery_map_add(map, 7, 1);

	(void)state;
	assert_non_null(d);
	assert_ptr_equal(delivery_map_find(map, 7, 1), d);
	assert_null(delivery_map_find(map, 7, 0));
	assert_null(delivery_map_find(map, 1, 7));
	assert_null(delivery_map_add(map, 7, 1)); /* there already */
	assert_int_equal(delivery_map_count(map), 1);
	delivery_map_remove(map, d);
	assert_null(delivery_map_find(map, 7, 1));
	delivery_map_free(map);
}

static void
a_delivery_is_small(void **state)
{
	(void)state;
	/* With its share of the hash at its emptiest, and of a heap: 128. */
	assert_true(sizeof(struct delivery) <= 104);
}

static void
memory_follows_the_count(void **state)
{
	enum { N = 200000 };
	struct delivery_map *map = delivery_map_new();
	size_t empty = delivery_map_bytes(map);

	(void)state;
	for (uint64_t i = 0; i < N; i++)
		delivery_map_add(map, i, 0);
	assert_true(delivery_map_bytes(map) < (size_t)N * 128);
	for (uint64_t i = 0; i < N; i++)
		delivery_map_remove(map, delivery_map_find(map, i, 0));
	assert_true(delivery_map_bytes(map) < empty + 256 * 1024);
	delivery_map_free(map);
}

static void
random_operations_agree_with_an_array(void **state)
{
	enum { N = 6000 };
	struct delivery **model = xcalloc(N, sizeof(*model));
	struct delivery_map *map = delivery_map_new();
	struct rng rng = { .state = 11 };
	size_t n = 0;

	(void)state;
	print_message("seed 11\n");
	for (int step = 0; step < 300000; step++) {
		/* Waves: it fills up, then drains, so that pages go. */
		bool fills = (step / 20000) % 2 == 0;
		uint64_t id = rng_below(&rng, N);
		struct delivery *d =
		    delivery_map_find(map, id / 3, (uint32_t)(id % 3));

		assert_ptr_equal(d, model[id]);
		if (d == NULL && (fills || rng_below(&rng, 8) == 0)) {
			model[id] =
			    delivery_map_add(map, id / 3, (uint32_t)(id % 3));
			model[id]->attempts = (uint32_t)id;
			n++;
		} else if (d != NULL && (!fills || rng_below(&rng, 8) == 0)) {
			assert_int_equal(d->attempts, id);
			delivery_map_remove(map, d);
			model[id] = NULL;
			n--;
		}
		assert_int_equal(delivery_map_count(map), n);
	}
	free(model);
	delivery_map_free(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found_by_both_ids),
		cmocka_unit_test(a_delivery_is_small),
		cmocka_unit_test(memory_follows_the_count),
		cmocka_unit_test(random_operations_agree_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
