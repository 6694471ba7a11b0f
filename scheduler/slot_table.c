/* SPDX-License-Identifier: ISC */
/*
 * Open addressing with linear probing: as many bytes an entry as it holds, and
 * no pointers, so that sixteen million of them fit. The suppression list uses
 * it. Who has removed a slot must not use those he found before.
 */
#include "scheduler/slot_table.h"

#include <stdlib.h>

#include "conf/base/xalloc.h"

#define SLOTS_MIN 256u

void
slot_table_init(struct slot_table *t, uint32_t max)
{
	*t = (struct slot_table){ .n_slots = SLOTS_MIN, .max = max };
	t->v = xcalloc(t->n_slots, sizeof(*t->v));
}

void
slot_table_fini(struct slot_table *t)
{
	free(t->v);
}

/* Its slot, or the empty one where it would go. */
static struct slot *
slot_of(const struct slot_table *t, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & (t->n_slots - 1);

	while (t->v[i].hash != 0 && t->v[i].hash != hash)
		i = (i + 1) & (t->n_slots - 1);
	return &t->v[i];
}

struct slot *
slot_table_find(const struct slot_table *t, uint64_t hash)
{
	struct slot *slot = slot_of(t, hash);

	return slot->hash != 0 ? slot : NULL;
}

static void
grow(struct slot_table *t)
{
	struct slot *old = t->v;
	uint32_t n_old = t->n_slots;

	t->n_slots *= 2;
	t->v = xcalloc(t->n_slots, sizeof(*t->v));
	for (uint32_t i = 0; i < n_old; i++)
		if (old[i].hash != 0)
			*slot_of(t, old[i].hash) = old[i];
	free(old);
}

struct slot *
slot_table_add(struct slot_table *t, uint64_t hash)
{
	struct slot *slot = slot_table_find(t, hash);

	if (slot != NULL)
		return slot;
	if (t->n >= t->max)
		return NULL;
	if (t->n + 1 > t->n_slots / 4 * 3)
		grow(t);
	slot = slot_of(t, hash);
	*slot = (struct slot){ .hash = hash };
	t->n++;
	return slot;
}

/* Those behind it that may move back do, so no search ends too early. */
void
slot_table_remove(struct slot_table *t, struct slot *slot)
{
	uint32_t mask = t->n_slots - 1, i = (uint32_t)(slot - t->v);

	for (uint32_t j = (i + 1) & mask; t->v[j].hash != 0;
	     j = (j + 1) & mask) {
		uint32_t home = (uint32_t)t->v[j].hash & mask;

		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		t->v[i] = t->v[j];
		i = j;
	}
	t->v[i] = (struct slot){ 0 };
	t->n--;
}
