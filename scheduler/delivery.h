/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DELIVERY_H
#define FLYBALL_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/heap.h"

struct flow;
struct lane;
struct sender;

/*
 * One message x one destination, as small as it can be: a million of them wait
 * in memory. Its state says which container it is in; flow.c alone changes it.
 */
enum delivery_state {
	DELIVERY_LOOSE,	    /* in none */
	DELIVERY_WAITING,   /* in its flow's queue */
	DELIVERY_DEFERRED,  /* in its flow's heap of retries */
	DELIVERY_IN_FLIGHT, /* with a worker */
};

struct delivery {
	uint64_t message;
	uint32_t number;
	uint32_t n_pending;
	int64_t expires_us;
	struct flow *flow;
	struct sender *sender;		      /* domain; NULL: none */
	struct delivery *prev, *next;	      /* the flow's queue */
	struct delivery *age_prev, *age_next; /* all, in order of arrival */
	union {
		struct heap_node retry; /* DEFERRED */
		struct {		/* IN_FLIGHT */
			struct lane *lane;
			uint32_t n_granted;
			uint32_t epoch; /* of the lane's speed, then */
			int64_t left_us;
		} flight;
	};
	uint32_t attempts;
	uint8_t state;	  /* enum delivery_state */
	bool is_unsorted; /* its domain's MX hosts aren't known yet */
	bool is_held;	  /* DEFERRED: until they are */
};

/*
 * Where deliveries live: pages of them, and a hash by (message, number).
 * Memory follows the number of deliveries up and down.
 */
struct delivery_map;

struct delivery_map *delivery_map_new(void);
void delivery_map_free(struct delivery_map *map);
/* A zeroed delivery with these ids; NULL when there is one already. */
struct delivery *delivery_map_add(struct delivery_map *map, uint64_t message,
    uint32_t number);
struct delivery *delivery_map_find(const struct delivery_map *map,
    uint64_t message, uint32_t number);
void delivery_map_remove(struct delivery_map *map, struct delivery *d);
size_t delivery_map_count(const struct delivery_map *map);
size_t delivery_map_bytes(const struct delivery_map *map);

#endif
