/* SPDX-License-Identifier: ISC */
/* The heap against a plain array: whatever is done, the smallest is on top. */
#include "conf/base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/base/rng.h"

struct item {
	int tag;
	struct heap_node node;
};

static void
empty_heap_has_no_top(void **state)
{
	struct heap h = { 0 };

	(void)state;
	assert_null(heap_top(&h));
	assert_int_equal(heap_top_key(&h), INT64_MAX);
	assert_int_equal(heap_last_key(&h), INT64_MIN);
	heap_fini(&h);
}

static void
comes_out_in_order(void **state)
{
	static const int64_t keys[] = { 5, -3, 9, 5, INT64_MAX, INT64_MIN, 0 };
	struct item items[7] = { 0 };
	struct heap h = { 0 };
	int64_t before = INT64_MIN;

	(void)state;
	for (int i = 0; i < 7; i++)
		heap_add(&h, &items[i].node, keys[i]);
	while (h.n > 0) {
		int64_t last = INT64_MIN;

		for (uint32_t i = 0; i < h.n; i++)
			if (h.v[i]->key > last)
				last = h.v[i]->key;
		assert_int_equal(heap_last_key(&h), last);

		struct heap_node *top = heap_top(&h);

		assert_true(top->key >= before);
		before = top->key;
		heap_remove(&h, top);
		assert_false(heap_has(top));
	}
	heap_fini(&h);
}

static void
owner_is_found_from_node(void **state)
{
	struct item item = { .tag = 42 };
	struct heap h = { 0 };

	(void)state;
	heap_add(&h, &item.node, 1);
	assert_int_equal(HEAP_OWNER(heap_top(&h), struct item, node)->tag, 42);
	heap_fini(&h);
}

static void
move_adds_or_changes(void **state)
{
	struct item a = { 0 }, b = { 0 };
	struct heap h = { 0 };

	(void)state;
	heap_move(&h, &a.node, 10);
	heap_move(&h, &b.node, 20);
	assert_ptr_equal(heap_top(&h), &a.node);
	heap_move(&h, &a.node, 30);
	assert_ptr_equal(heap_top(&h), &b.node);
	heap_move(&h, &a.node, 1);
	assert_ptr_equal(heap_top(&h), &a.node);
	assert_int_equal(h.n, 2);
	heap_fini(&h);
}

#define N 500

static int64_t
smallest(const struct item *items)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < N; i++)
		if (heap_has(&items[i].node) && items[i].node.key < least)
			least = items[i].node.key;
	return least;
}

static void
random_operations_keep_the_smallest_on_top(void **state)
{
	static struct item items[N];
	struct rng rng = { .state = 7 };
	struct heap h = { 0 };
	uint32_t n = 0;

	(void)state;
	print_message("seed 7\n");
	for (int step = 0; step < 20000; step++) {
		struct item *it = &items[rng_below(&rng, N)];
		int64_t key = (int64_t)rng_below(&rng, 1000) - 500;

		if (!heap_has(&it->node)) {
			heap_add(&h, &it->node, key);
			n++;
		} else if (rng_below(&rng, 2)) {
			heap_move(&h, &it->node, key);
		} else {
			heap_remove(&h, &it->node);
			n--;
		}
		assert_int_equal(h.n, n);
		assert_int_equal(heap_top_key(&h), smallest(items));
	}
	while (h.n > 0)
		heap_remove(&h, heap_top(&h));
	assert_true(h.cap <= 16); /* memory was given back */
	heap_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_heap_has_no_top),
		cmocka_unit_test(comes_out_in_order),
		cmocka_unit_test(owner_is_found_from_node),
		cmocka_unit_test(move_adds_or_changes),
		cmocka_unit_test(random_operations_keep_the_smallest_on_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
