/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SLOT_TABLE_H
#define FLYBALL_SLOT_TABLE_H

#include <stdint.h>

/* Two numbers under a hash; what they mean is the user's. */
struct slot {
	uint64_t hash; /* 0: empty */
	uint32_t a;
	uint32_t b;
};

struct slot_table {
	struct slot *v;
	uint32_t n_slots, n, max;
	uint32_t swept; /* the user's: up to here */
};

/* At most `max` entries. */
void slot_table_init(struct slot_table *t, uint32_t max);
void slot_table_fini(struct slot_table *t);
/* NULL: it isn't there. Good until the next add or remove. */
struct slot *slot_table_find(const struct slot_table *t, uint64_t hash);
/* Finds, or adds an empty one. NULL: it is full. */
struct slot *slot_table_add(struct slot_table *t, uint64_t hash);
void slot_table_remove(struct slot_table *t, struct slot *slot);

#endif
