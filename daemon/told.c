/* SPDX-License-Identifier: ISC */
/*
 * A set of names in order of age, each as a keyed hash: a peer can't choose
 * what it stands for, and none costs more than another. governor_known.c gives
 * the names and asks; nothing here knows what they mean.
 *
 * The one subtle rule: what the scheduler learns of an outcome and the fact
 * that it was told are written in one save, so a crash leaves both or neither.
 */
#include "daemon/told.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/spool.h"

#define PREFIX	     "t " /* of facts */
#define PREFIX_BYTES 2
#define KEY_CHARS    (PREFIX_BYTES + 16)
#define VALUE_MAX    24

struct told_entry {
	UT_hash_handle hh;
	uint64_t hash;
	int64_t utc_us;
};

void
told_init(struct told *t, const uint8_t key[SIPHASH_KEY_SIZE], size_t most)
{
	*t = (struct told){ .key = key, .most = most };
}

static void
drop(struct told *t, struct told_entry *e)
{
	HASH_DEL(t->entries, e);
	t->n--;
	free(e);
}

void
told_fini(struct told *t)
{
	while (t->entries != NULL)
		drop(t, t->entries);
}

static uint64_t
hash_of(const struct told *t, const char *name)
{
	struct strbuf folded = { 0 };
	uint64_t hash;

	strbuf_add(&folded, "told ", strlen("told "));
	for (; *name != '\0'; name++)
		strbuf_addc(&folded, (char)tolower((unsigned char)*name));
	hash = siphash(t->key, folded.data, folded.len);
	strbuf_fini(&folded);
	return hash;
}

static struct told_entry *
find(const struct told *t, uint64_t hash)
{
	struct told_entry *e;

	HASH_FIND(hh, t->entries, &hash, sizeof(hash), e);
	return e;
}

bool
told_has(const struct told *t, const char *name)
{
	return find(t, hash_of(t, name)) != NULL;
}

static void
add(struct told *t, uint64_t hash, int64_t utc_us)
{
	struct told_entry *e = xcalloc(1, sizeof(*e));

	e->hash = hash;
	e->utc_us = utc_us;
	HASH_ADD(hh, t->entries, hash, sizeof(e->hash), e);
	t->n++;
}

/* ---- kept ---- */

static void
put(uint64_t hash, const char *value, struct spool_fact **facts)
{
	char key[KEY_CHARS + 1];
	struct spool_fact *fact;

	snprintf(key, sizeof(key), PREFIX "%016" PRIx64, hash);
	fact = spool_fact_new(key, KEY_CHARS, value,
	    value != NULL ? strlen(value) : 0);
	fact->next = *facts;
	*facts = fact;
}

static void
make_room(struct told *t, struct spool_fact **facts)
{
	while (t->n > t->most) {
		put(t->entries->hash, NULL, facts);
		drop(t, t->entries);
	}
}

void
told_add(struct told *t, const char *name, int64_t utc_us,
    struct spool_fact **facts)
{
	uint64_t hash = hash_of(t, name);
	char value[VALUE_MAX];

	if (find(t, hash) != NULL)
		return;
	add(t, hash, utc_us);
	snprintf(value, sizeof(value), "%" PRId64, utc_us);
	put(hash, value, facts);
	make_room(t, facts);
}

bool
told_restore(struct told *t, const void *key, size_t key_len, const void *value,
    size_t value_len)
{
	char text[KEY_CHARS + 1] = "", when[VALUE_MAX] = "", *end;
	uint64_t hash;

	if (key_len < PREFIX_BYTES || memcmp(key, PREFIX, PREFIX_BYTES) != 0)
		return false;
	if (key_len != KEY_CHARS || value_len >= sizeof(when))
		return true; /* not as we write it: it says nothing */
	memcpy(text, key, key_len);
	memcpy(when, value, value_len);
	hash = strtoull(text + PREFIX_BYTES, &end, 16);
	if (*end == '\0' && find(t, hash) == NULL)
		add(t, hash, strtoll(when, NULL, 10));
	return true;
}

static int
by_age(const struct told_entry *a, const struct told_entry *b)
{
	return (a->utc_us > b->utc_us) - (a->utc_us < b->utc_us);
}

void
told_restored(struct told *t, struct spool_fact **facts)
{
	HASH_SORT(t->entries, by_age);
	make_room(t, facts);
}
