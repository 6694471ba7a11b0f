/* SPDX-License-Identifier: ISC */
/*
 * A table of fixed size in sets of eight: a name has its set, and there the
 * oldest gives way. The governor adds what left and asks for what came back.
 * Names are kept as keyed hashes, so a peer can't choose whom it drives out.
 */
#include "daemon/relayed.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

#define SET	 8
#define TEXT_MAX 1024

struct slot {
	uint64_t hash; /* 0: free */
	uint64_t age;
	struct relayed_entry entry;
};

struct relayed {
	uint8_t key[SIPHASH_KEY_SIZE];
	uint64_t clock;
	size_t n_slots;
	struct slot slots[];
};

struct relayed *
relayed_new(size_t n_slots, const uint8_t key[SIPHASH_KEY_SIZE])
{
	struct relayed *r =
	    xcalloc(1, sizeof(*r) + n_slots * sizeof(struct slot));

	assert(n_slots >= SET && (n_slots & (n_slots - 1)) == 0);
	r->n_slots = n_slots;
	memcpy(r->key, key, sizeof(r->key));
	return r;
}

void
relayed_free(struct relayed *r)
{
	free(r);
}

/* Addresses are the same whatever their case. */
static uint64_t
hash_of(const struct relayed *r, enum relayed_key kind, const char *text)
{
	char copy[TEXT_MAX];
	size_t len = 0;
	uint64_t hash;

	copy[len++] = (char)kind;
	for (; *text != '\0' && len < sizeof(copy); text++)
		copy[len++] = kind == RELAYED_RECIPIENT
		    ? (char)tolower((unsigned char)*text)
		    : *text;
	hash = siphash(r->key, copy, len);
	return hash != 0 ? hash : 1;
}

static struct slot *
set_of(const struct relayed *r, uint64_t hash)
{
	return (struct slot *)&r
	    ->slots[(hash >> 8) & (r->n_slots - SET) & ~(size_t)(SET - 1)];
}

void
relayed_add(struct relayed *r, enum relayed_key kind, const char *text,
    const struct relayed_entry *e)
{
	uint64_t hash = hash_of(r, kind, text);
	struct slot *set = set_of(r, hash), *into = set;

	for (int i = 0; i < SET; i++) {
		if (set[i].hash == hash) {
			into = &set[i];
			break;
		}
		if (set[i].age < into->age)
			into = &set[i];
	}
	*into = (struct slot){ hash, ++r->clock, *e };
}

const struct relayed_entry *
relayed_find(const struct relayed *r, enum relayed_key kind, const char *text)
{
	uint64_t hash = hash_of(r, kind, text);
	const struct slot *set = set_of(r, hash);

	for (int i = 0; *text != '\0' && i < SET; i++)
		if (set[i].hash == hash)
			return &set[i].entry;
	return NULL;
}
