/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MX_TABLE_H
#define FLYBALL_MX_TABLE_H

#include <stddef.h>

#include "daemon/mx_facts.h"
#include "daemon/spool.h"

/*
 * The facts of many domains: bounded, the one that wasn't asked for longest
 * goes first, and kept over a restart by facts in the spool.
 */
struct mx_table;

struct mx_table *mx_table_new(size_t max);
void mx_table_free(struct mx_table *t);
/* NULL: nothing is known. Good until the next put. */
const struct mx_facts *mx_table_find(struct mx_table *t, const char *domain);
/* Takes what f holds. What changes on disk is put behind *facts. */
void mx_table_put(struct mx_table *t, const char *domain,
    struct mx_facts *f_take, struct spool_fact **facts);
size_t mx_table_count(const struct mx_table *t);

/* At start. True: the key is one of ours. What can't be read or has no room is
 * put before *facts, to be removed. */
bool mx_table_restore(struct mx_table *t, const void *key, size_t key_len,
    const void *value, size_t value_len, struct spool_fact **facts);

#endif
