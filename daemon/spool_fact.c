/* SPDX-License-Identifier: ISC */
/*
 * What the governor remembers beside the mail, in a tree of its own: counts of
 * the day, plan stages, adapted rates, pauses, suppressed recipients. The
 * spool knows keys and bytes and nothing of their meaning; what it gives is
 * that they are on disk in the same commit as the outcome they came with.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

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
facts_free(struct spool_fact *list)
{
	while (list != NULL) {
		struct spool_fact *next = list->next;

		free(list);
		list = next;
	}
}

static int
put_one(struct turn *t, const struct spool_fact *f)
{
	MDB_dbi dbi = t->spool->store.fact;
	char *bytes = (char *)(uintptr_t)f->bytes;
	MDB_val key = { f->key_len, bytes };
	MDB_val value = { f->value_len, bytes + f->key_len };
	int rc;

	if (!f->is_removed)
		return mdb_put(t->txn, dbi, &key, &value, 0);
	rc = mdb_del(t->txn, dbi, &key, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
facts_put(struct turn *t, const struct spool_fact *list)
{
	int rc = 0;

	for (; rc == 0 && list != NULL; list = list->next)
		rc = put_one(t, list);
	return rc;
}

static int
walk(MDB_txn *txn, MDB_dbi dbi,
    void (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg)
{
	MDB_cursor *c;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0)
		each(key.mv_data, key.mv_size, value.mv_data, value.mv_size,
		    arg);
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
spool_facts_each(struct spool *spool,
    void (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg, struct err *err_out)
{
	struct store *st = &spool->store;
	MDB_txn *txn;
	int rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &txn);

	if (rc == 0) {
		rc = walk(txn, st->fact, each, arg);
		mdb_txn_abort(txn);
	}
	if (rc != 0)
		return err_set(err_out, "%s: %s", st->path, mdb_strerror(rc));
	return 0;
}
