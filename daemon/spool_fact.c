/* SPDX-License-Identifier: ISC */
/*
 * One fact on its way to the spool: a key and a value in one piece of memory.
 * Whoever makes facts needs no database for it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/spool.h"

struct spool_fact *
spool_fact_new(const void *key, size_t key_len, const void *value,
    size_t value_len)
{
	struct spool_fact *f;

	assert(key_len > 0 && key_len <= SPOOL_FACT_KEY_MAX);
	if (value == NULL)
		value_len = 0;
	f = xcalloc(1, sizeof(*f) + key_len + value_len);
	f->key_len = (uint32_t)key_len;
	f->value_len = (uint32_t)value_len;
	f->is_removed = value == NULL;
	memcpy(f->bytes, key, key_len);
	if (value_len > 0)
		memcpy(f->bytes + key_len, value, value_len);
	return f;
}

void
spool_facts_free(struct spool_fact *list)
{
	while (list != NULL) {
		struct spool_fact *next = list->next;

		free(list);
		list = next;
	}
}
