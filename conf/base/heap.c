/* SPDX-License-Identifier: ISC */
/*
 * The binary heap behind everything that is due at some time: deferred
 * deliveries, lanes that wait for tokens, timers. Each node knows its place,
 * so that taking one out of the middle costs O(log n) like everything else.
 *
 * The array doubles, and halves when three quarters are unused, so a heap that
 * once held a million entries doesn't keep their memory.
 */
#include "conf/base/heap.h"

#include <assert.h>
#include <stdlib.h>

#include "conf/base/xalloc.h"

#define HEAP_CAP_MIN 8

static void
resize(struct heap *h, uint32_t cap)
{
	h->v = xrealloc(h->v, cap * sizeof(struct heap_node *));
	h->cap = cap;
}

static void
put(struct heap *h, uint32_t i, struct heap_node *node)
{
	h->v[i] = node;
	node->place = i + 1;
}

static void
sift_up(struct heap *h, uint32_t i)
{
	struct heap_node *node = h->v[i];

	while (i > 0) {
		uint32_t parent = (i - 1) / 2;

		if (h->v[parent]->key <= node->key)
			break;
		put(h, i, h->v[parent]);
		i = parent;
	}
	put(h, i, node);
}

static void
sift_down(struct heap *h, uint32_t i)
{
	struct heap_node *node = h->v[i];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->v[child + 1]->key < h->v[child]->key)
			child++;
		if (node->key <= h->v[child]->key)
			break;
		put(h, i, h->v[child]);
		i = child;
	}
	put(h, i, node);
}

void
heap_fini(struct heap *h)
{
	free(h->v);
	*h = (struct heap){ 0 };
}

void
heap_add(struct heap *h, struct heap_node *node, int64_t key)
{
	assert(!heap_has(node));
	if (h->n == h->cap)
		resize(h, h->cap ? h->cap * 2 : HEAP_CAP_MIN);
	node->key = key;
	h->v[h->n] = node;
	sift_up(h, h->n++);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	uint32_t i = node->place - 1;
	struct heap_node *last;

	assert(i < h->n && h->v[i] == node);
	last = h->v[--h->n];
	node->place = 0;
	if (last != node) {
		put(h, i, last);
		sift_up(h, i);
		sift_down(h, last->place - 1);
	}
	if (h->cap > HEAP_CAP_MIN && h->n < h->cap / 4)
		resize(h, h->cap / 2);
}

void
heap_move(struct heap *h, struct heap_node *node, int64_t key)
{
	if (!heap_has(node)) {
		heap_add(h, node, key);
		return;
	}
	assert(h->v[node->place - 1] == node);
	node->key = key;
	sift_up(h, node->place - 1);
	sift_down(h, node->place - 1);
}

int64_t
heap_last_key(const struct heap *h)
{
	int64_t last = INT64_MIN;

	/* It has nothing below it. */
	for (uint32_t i = h->n / 2; i < h->n; i++)
		if (h->v[i]->key > last)
			last = h->v[i]->key;
	return last;
}
