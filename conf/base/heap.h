/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HEAP_H
#define FLYBALL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A binary heap of nodes that live inside other structs, smallest key on top;
 * nodes of equal keys come in no particular order. A zeroed heap is empty, a
 * zeroed node is in no heap. The heap never owns its nodes. Use HEAP_OWNER to
 * get from a node to the struct that holds it.
 */
struct heap_node {
	int64_t key;
	uint32_t place; /* 1-based; 0 = in no heap */
};

struct heap {
	struct heap_node **v;
	uint32_t n;
	uint32_t cap;
};

#define HEAP_OWNER(node, type, member) \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

void heap_fini(struct heap *h); /* nodes that are left are forgotten */
void heap_add(struct heap *h, struct heap_node *node, int64_t key);
/* The node must be in this heap. */
void heap_remove(struct heap *h, struct heap_node *node);
/* Changes the key of a node that is in, or adds one that isn't. */
void heap_move(struct heap *h, struct heap_node *node, int64_t key);

static inline struct heap_node *
heap_top(const struct heap *h)
{
	return h->n > 0 ? h->v[0] : NULL;
}

/* The smallest key; INT64_MAX when empty. */
static inline int64_t
heap_top_key(const struct heap *h)
{
	return h->n > 0 ? h->v[0]->key : INT64_MAX;
}

/* The largest key; INT64_MIN when empty. Looks at half of the nodes. */
int64_t heap_last_key(const struct heap *h);

static inline bool
heap_has(const struct heap_node *node)
{
	return node->place != 0;
}

#endif
