/* SPDX-License-Identifier: ISC */
/*
 * What the governor remembers beside the mail, in a tree of its own: counts of
 * the day, plan stages, adapted rates, pauses, suppressed recipients. The
 * spool knows keys and bytes and nothing of their meaning; what it gives is
 * that they are on disk in the same commit as the outcome they came with.
 */
#include "daemon/spool_private.h"

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

static bool
is_archived(const MDB_val *key)
{
	return *(const char *)key->mv_data == SPOOL_FACT_ARCHIVE;
}

/* Steps over the archive in one go: it may be ten times all the rest. */
static int
walk(MDB_txn *txn, MDB_dbi dbi,
    void (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg)
{
	char behind = SPOOL_FACT_ARCHIVE + 1;
	MDB_cursor_op op = MDB_FIRST;
	MDB_cursor *c;
	MDB_val key, value;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, op)) == 0) {
		op = MDB_NEXT;
		if (!is_archived(&key)) {
			each(key.mv_data, key.mv_size, value.mv_data,
			    value.mv_size, arg);
			continue;
		}
		key = (MDB_val){ 1, &behind };
		op = MDB_SET_RANGE;
	}
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
		return store_err(err_out, st->path, rc);
	return 0;
}

static int
walk_from(MDB_txn *txn, MDB_dbi dbi, MDB_val *key,
    bool (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg)
{
	MDB_cursor *c;
	MDB_val value;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(c, key, &value, MDB_SET_RANGE);
	while (rc == 0 &&
	    each(key->mv_data, key->mv_size, value.mv_data, value.mv_size, arg))
		rc = mdb_cursor_get(c, key, &value, MDB_NEXT);
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
spool_facts_read(struct spool_reader *r, const void *from, size_t from_len,
    bool (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg, struct err *err_out)
{
	const struct store *st = &r->spool->store;
	MDB_val key = { from_len, (void *)(uintptr_t)from };
	int rc;

	if (store_read_begin(r, err_out) < 0)
		return -1;
	rc = walk_from(r->txn, st->fact, &key, each, arg);
	store_read_end(r);
	if (rc != 0)
		return store_err(err_out, st->path, rc);
	return 0;
}
