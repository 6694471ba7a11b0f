/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RELAYED_H
#define FLYBALL_RELAYED_H

#include <stddef.h>
#include <stdint.h>

#include "conf/base/siphash.h"

/*
 * What left lately, in memory of a fixed size: by recipient, Message-ID, ENVID
 * or queue id, for reports that don't bring our mark back. The oldest is
 * forgotten first; a restart forgets all.
 */
struct relayed;

struct relayed_entry {
	uint64_t message;
	const char *route; /* interned */
	const char *stream;
	int64_t left_utc_us;
	uint32_t epoch; /* sched_epoch() then */
};

enum relayed_key {
	RELAYED_RECIPIENT,
	RELAYED_MESSAGE_ID,
	RELAYED_ENVID,
	RELAYED_QUEUE_ID, /* with the next hop */
};

/* n_slots: a power of two, from 8. The key is secret, and copied. */
struct relayed *relayed_new(size_t n_slots,
    const uint8_t key[SIPHASH_KEY_SIZE]);
void relayed_free(struct relayed *r);
void relayed_add(struct relayed *r, enum relayed_key kind, const char *text,
    const struct relayed_entry *e);
/* The latest of that name; NULL: unknown. Good until the next add. */
const struct relayed_entry *relayed_find(const struct relayed *r,
    enum relayed_key kind, const char *text);

#endif
