/* SPDX-License-Identifier: ISC */
/*
 * The memory of queued deliveries: pages of 2048, a list of pages with room,
 * and an open-addressing hash of page places beside them. sched.c adds, finds
 * and removes; nobody else knows how they are kept.
 *
 * Slots hold 32 bits of hash and a 32-bit place, so doubling the table touches
 * no delivery (about 10 ms for a million) and a probe rarely does. Deletion
 * shifts back, hence no tombstones. A page that empties is freed.
 */
#include "scheduler/delivery.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/xalloc.h"

#define PAGE_DELIVERIES 2048u
#define SLOTS_MIN	1024u

struct page {
	struct page *prev, *next; /* while it has room */
	uint32_t number;
	uint32_t n_used;
	uint32_t n_touched;	 /* beyond: never used, never written */
	struct delivery *unused; /* linked by next */
	struct delivery v[PAGE_DELIVERIES];
};

struct slot {
	uint32_t hash;
	uint32_t
	    place; /* page number x PAGE_DELIVERIES + index + 1; 0 = empty */
};

struct delivery_map {
	struct page **pages; /* NULL: this number is free */
	uint32_t n_pages;    /* length of the array */
	uint32_t n_allocated;
	struct page *roomy;
	struct slot *slots;
	uint32_t n_slots; /* a power of two */
	uint32_t n;
};

/* splitmix64's finalizer: message ids are consecutive, slots must not be. */
static uint32_t
hash_ids(uint64_t message, uint32_t number)
{
	uint64_t z = message + number * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)(z ^ (z >> 31));
}

static struct delivery *
at_place(const struct delivery_map *map, uint32_t place)
{
	uint32_t i = place - 1;

	return &map->pages[i / PAGE_DELIVERIES]->v[i % PAGE_DELIVERIES];
}

struct delivery_map *
delivery_map_new(void)
{
	struct delivery_map *map = xcalloc(1, sizeof(*map));

	map->n_slots = SLOTS_MIN;
	map->slots = xcalloc(map->n_slots, sizeof(*map->slots));
	return map;
}

void
delivery_map_free(struct delivery_map *map)
{
	if (map == NULL)
		return;
	for (uint32_t i = 0; i < map->n_pages; i++)
		free(map->pages[i]);
	free(map->pages);
	free(map->slots);
	free(map);
}

/* ---- pages ---- */

static uint32_t
free_page_number(struct delivery_map *map)
{
	uint32_t n = map->n_pages;

	if (map->n_allocated < n) {
		for (uint32_t i = 0; i < n; i++)
			if (map->pages[i] == NULL)
				return i;
	}
	map->n_pages = n ? n * 2 : 16;
	map->pages = xrealloc(map->pages, map->n_pages * sizeof(*map->pages));
	memset(map->pages + n, 0, (map->n_pages - n) * sizeof(*map->pages));
	return n;
}

static struct page *
page_new(struct delivery_map *map)
{
	struct page *page = xmalloc(sizeof(*page));

	page->number = free_page_number(map);
	page->n_used = page->n_touched = 0;
	page->unused = NULL;
	map->pages[page->number] = page;
	map->n_allocated++;
	DL_PREPEND(map->roomy, page);
	return page;
}

static struct delivery *
page_take(struct delivery_map *map, uint32_t *place_out)
{
	struct page *page = map->roomy ? map->roomy : page_new(map);
	struct delivery *d = page->unused;

	if (d != NULL)
		page->unused = d->next;
	else
		d = &page->v[page->n_touched++];
	if (++page->n_used == PAGE_DELIVERIES)
		DL_DELETE(map->roomy, page);
	*place_out =
	    page->number * PAGE_DELIVERIES + (uint32_t)(d - page->v) + 1;
	return d;
}

static void
page_give(struct delivery_map *map, struct delivery *d, uint32_t place)
{
	struct page *page = map->pages[(place - 1) / PAGE_DELIVERIES];

	d->next = page->unused;
	page->unused = d;
	if (page->n_used-- == PAGE_DELIVERIES)
		DL_APPEND(map->roomy, page);
	/* The only page with room stays, or a queue at a page's edge would
	 * allocate and free with each message. */
	if (page->n_used > 0 || (map->roomy == page && page->next == NULL))
		return;
	DL_DELETE(map->roomy, page);
	map->pages[page->number] = NULL;
	map->n_allocated--;
	free(page);
}

/* ---- hash ---- */

static void
slot_put(struct slot *slots, uint32_t n_slots, struct slot s)
{
	uint32_t i = s.hash & (n_slots - 1);

	while (slots[i].place != 0)
		i = (i + 1) & (n_slots - 1);
	slots[i] = s;
}

static void
slots_resize(struct delivery_map *map, uint32_t n_slots)
{
	struct slot *slots = xcalloc(n_slots, sizeof(*slots));

	for (uint32_t i = 0; i < map->n_slots; i++)
		if (map->slots[i].place != 0)
			slot_put(slots, n_slots, map->slots[i]);
	free(map->slots);
	map->slots = slots;
	map->n_slots = n_slots;
}

/* The slot of these ids, or the empty one where they would go. */
static uint32_t
slot_find(const struct delivery_map *map, uint64_t message, uint32_t number)
{
	uint32_t hash = hash_ids(message, number);
	uint32_t i = hash & (map->n_slots - 1);

	for (;; i = (i + 1) & (map->n_slots - 1)) {
		const struct slot *s = &map->slots[i];
		const struct delivery *d;

		if (s->place == 0)
			return i;
		if (s->hash != hash)
			continue;
		d = at_place(map, s->place);
		if (d->message == message && d->number == number)
			return i;
	}
}

/* Closes the gap at i: each follower that may move back does. */
static void
slot_clear(struct delivery_map *map, uint32_t i)
{
	uint32_t mask = map->n_slots - 1;

	for (uint32_t j = (i + 1) & mask; map->slots[j].place != 0;
	     j = (j + 1) & mask) {
		uint32_t home = map->slots[j].hash & mask;

		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		map->slots[i] = map->slots[j];
		i = j;
	}
	map->slots[i].place = 0;
}

/* ---- verbs ---- */

struct delivery *
delivery_map_add(struct delivery_map *map, uint64_t message, uint32_t number)
{
	struct delivery *d;
	uint32_t i, place;

	if ((uint64_t)(map->n + 1) * 5 > (uint64_t)map->n_slots * 4)
		slots_resize(map, map->n_slots * 2);
	i = slot_find(map, message, number);
	if (map->slots[i].place != 0)
		return NULL;
	d = page_take(map, &place);
	*d = (struct delivery){ .message = message, .number = number };
	map->slots[i] = (struct slot){ hash_ids(message, number), place };
	map->n++;
	return d;
}

struct delivery *
delivery_map_find(const struct delivery_map *map, uint64_t message,
    uint32_t number)
{
	uint32_t place = map->slots[slot_find(map, message, number)].place;

	return place != 0 ? at_place(map, place) : NULL;
}

void
delivery_map_remove(struct delivery_map *map, struct delivery *d)
{
	uint32_t i = slot_find(map, d->message, d->number);
	uint32_t place = map->slots[i].place;

	assert(place != 0 && at_place(map, place) == d);
	slot_clear(map, i);
	page_give(map, d, place);
	map->n--;
	if (map->n_slots > SLOTS_MIN && map->n < map->n_slots / 8)
		slots_resize(map, map->n_slots / 2);
}

size_t
delivery_map_count(const struct delivery_map *map)
{
	return map->n;
}

size_t
delivery_map_bytes(const struct delivery_map *map)
{
	return sizeof(*map) + map->n_pages * sizeof(*map->pages) +
	    map->n_allocated * sizeof(struct page) +
	    map->n_slots * sizeof(*map->slots);
}
