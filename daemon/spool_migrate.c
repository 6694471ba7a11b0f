/* SPDX-License-Identifier: ISC */
/*
 * The database's schema, and the steps from each to the next:
 *
 *	1	trees `message`, `delivery` and `body`; later, under the same
 *		number, one tree `mail` for all three
 *	2	`mail` alone; envelopes have a checksum of the content, deliveries
 *		a stream of their own
 *
 * Records are read in every form that they have had (sink/envelope.c), so a
 * step only moves what lies elsewhere. All steps run in the transaction that
 * opens the databases: they happen together, or not at all, and a kill in
 * between costs nothing. An older flyball refuses a newer schema.
 */
#include <endian.h>
#include <string.h>

#include "conf/base/log.h"
#include "daemon/spool_private.h"

/* ---- 1 to 2 ---- */

/* Copies a tree that is keyed by id, or by id and number. */
static int
move_tree(struct store *st, MDB_txn *txn, const char *name,
    enum record_kind kind)
{
	uint8_t bytes[RECORD_KEY_MAX];
	MDB_val key, data, to = { RECORD_KEY_SIZE(kind), bytes };
	MDB_cursor *c;
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, name, 0, &dbi);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0 || (rc = mdb_cursor_open(txn, dbi, &c)) != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0) {
		uint64_t id;
		uint32_t number = 0;

		if (key.mv_size != (kind == RECORD_DELIVERY ? 12 : 8)) {
			rc = MDB_CORRUPTED;
			break;
		}
		memcpy(&id, key.mv_data, sizeof(id));
		if (kind == RECORD_DELIVERY)
			memcpy(&number, (uint8_t *)key.mv_data + 8, 4);
		record_make_key(be64toh(id), kind, be32toh(number), bytes);
		rc = mdb_put(txn, st->mail, &to, &data, MDB_NOOVERWRITE);
		if (rc != 0)
			break;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? mdb_drop(txn, dbi, 1) : rc;
}

static int
step_to_2(struct store *st, MDB_txn *txn)
{
	int rc = move_tree(st, txn, "message", RECORD_MESSAGE);

	if (rc == 0)
		rc = move_tree(st, txn, "delivery", RECORD_DELIVERY);
	if (rc == 0)
		rc = move_tree(st, txn, "body", RECORD_BODY);
	return rc;
}

static int
step_to_1(struct store *st, MDB_txn *txn)
{
	(void)st;
	(void)txn;
	return 0; /* the empty database is all there is to it */
}

/* ---- all of them ---- */

/* Row N brings version N to version N + 1. */
static int (*const steps[])(struct store *st, MDB_txn *txn) = {
	step_to_1,
	step_to_2,
};
#define SCHEMA_VERSION ((unsigned)(sizeof(steps) / sizeof(steps[0])))

unsigned
store_schema_version(void)
{
	return SCHEMA_VERSION;
}

int
store_migrate(struct store *st, MDB_txn *txn, struct err *err_out)
{
	uint64_t version = 0, from;
	int rc = meta_get(st, txn, "schema", &version);

	if (rc != 0 && rc != MDB_NOTFOUND)
		return store_err(err_out, st->path, rc);
	if (version > SCHEMA_VERSION)
		return err_set(err_out,
		    "%s was made by a newer flyball (schema %llu, this one "
		    "knows %u)",
		    st->path, (unsigned long long)version, SCHEMA_VERSION);
	from = version;
	for (rc = 0; rc == 0 && version < SCHEMA_VERSION; version++)
		rc = steps[version](st, txn);
	if (rc == 0 && from < SCHEMA_VERSION)
		rc = meta_put(st, txn, "schema", SCHEMA_VERSION);
	if (rc != 0)
		return store_err(err_out, st->path, rc);
	if (from > 0 && from < SCHEMA_VERSION)
		log_info("spool_migrated", LOG_INT("from", from),
		    LOG_INT("to", SCHEMA_VERSION));
	return 0;
}
