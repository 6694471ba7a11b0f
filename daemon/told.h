/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TOLD_H
#define FLYBALL_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/siphash.h"

/*
 * What was told of our mail already, so that no outcome counts twice: a log
 * and a report may both tell it, and whoever wrote a report may send it again.
 * Kept over a restart as facts of the store, one a name; the oldest is
 * forgotten first, and that only by what else was told. An entry takes some 100
 * bytes.
 */
struct spool_fact;
struct told {
	const uint8_t *key; /* SIPHASH_KEY_SIZE, lent; the same at each start */
	struct told_entry *entries; /* the oldest first */
	size_t n, most;
};

void told_init(struct told *t, const uint8_t key[SIPHASH_KEY_SIZE],
    size_t most);
void told_fini(struct told *t);
/* Names are the same whatever their case. */
bool told_has(const struct told *t, const char *name);
/* What is to be stored comes before what is in *facts. One that is there
 * already stays as it is. */
void told_add(struct told *t, const char *name, int64_t utc_us,
    struct spool_fact **facts);

/* At start, each fact: true, it is one of ours. Those beyond the most are
 * deleted by told_restored(), once, behind them. */
bool told_restore(struct told *t, const void *key, size_t key_len,
    const void *value, size_t value_len);
void told_restored(struct told *t, struct spool_fact **facts);

#endif
