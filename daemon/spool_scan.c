/* SPDX-License-Identifier: ISC */
/*
 * One walk over all that is queued, at start and after trouble: counts it, and
 * tells of every delivery in order of arrival. Two cursors go side by side
 * over messages and deliveries, so a million takes seconds. A record that
 * can't be read is logged and passed over: one of them must not keep the rest
 * from leaving.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/log.h"
#include "daemon/spool_private.h"

struct scan {
	void (*added)(const struct envelope *e, void *arg);
	void *arg;
	MDB_cursor *messages, *deliveries;
	MDB_val key, data; /* of the next delivery */
	int rc;		   /* of getting it */
	uint64_t n_messages, n_deliveries, n_bytes, n_damaged;
};

static void
damaged(struct scan *s, const char *what, const MDB_val *key)
{
	char id[MESSAGE_ID_SIZE] = "";
	uint64_t value = 0;

	for (size_t i = 0; i < 8 && i < key->mv_size; i++)
		value = value << 8 | ((uint8_t *)key->mv_data)[i];
	s->n_damaged++;
	log_error("spool_damaged", LOG_STR("what", what),
	    LOG_STR("msg", message_id_format(value, id)));
}

static uint64_t
key_number(const MDB_val *key, size_t at, size_t len)
{
	const uint8_t *p = (const uint8_t *)key->mv_data + at;
	uint64_t value = 0;

	while (len-- > 0)
		value = value << 8 | *p++;
	return value;
}

static void
tell_delivery(struct scan *s, struct envelope *e)
{
	struct delivery d;

	if (delivery_decode(s->data.mv_data, s->data.mv_size, &d) < 0) {
		damaged(s, "delivery", &s->key);
		return;
	}
	d.number = (uint32_t)key_number(&s->key, 8, 4);
	s->n_deliveries++;
	if (s->added != NULL) {
		e->deliveries = &d;
		e->n_deliveries = 1;
		s->added(e, s->arg);
		e->deliveries = NULL;
		e->n_deliveries = 0;
	}
	delivery_fini(&d);
}

static void
next_delivery(struct scan *s)
{
	s->rc = mdb_cursor_get(s->deliveries, &s->key, &s->data, MDB_NEXT);
}

/* All deliveries up to those of this message; a NULL envelope: unreadable. */
static void
tell_deliveries(struct scan *s, uint64_t id, struct envelope *e)
{
	for (; s->rc == 0; next_delivery(s)) {
		uint64_t of = key_number(&s->key, 0, 8);

		if (of > id)
			return;
		if (of < id)
			damaged(s, "delivery without message", &s->key);
		else if (e != NULL)
			tell_delivery(s, e);
	}
}

static void
tell_message(struct scan *s, const MDB_val *key, const MDB_val *data)
{
	uint64_t id = key_number(key, 0, 8);
	struct envelope e;

	if (envelope_decode(data->mv_data, data->mv_size, &e) < 0) {
		damaged(s, "message", key);
		tell_deliveries(s, id, NULL);
		return;
	}
	e.id = id;
	s->n_messages++;
	s->n_bytes += e.size_bytes;
	tell_deliveries(s, id, &e);
	envelope_fini(&e);
}

static int
walk(struct scan *s, const struct store *st, MDB_txn *txn)
{
	MDB_val key, data;
	int rc = mdb_cursor_open(txn, st->message, &s->messages);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_open(txn, st->delivery, &s->deliveries);
	if (rc == 0) {
		next_delivery(s);
		while ((rc = mdb_cursor_get(s->messages, &key, &data,
			    MDB_NEXT)) == 0)
			tell_message(s, &key, &data);
		tell_deliveries(s, UINT64_MAX, NULL);
		mdb_cursor_close(s->deliveries);
	}
	mdb_cursor_close(s->messages);
	if (rc == MDB_NOTFOUND)
		rc = s->rc == MDB_NOTFOUND ? 0 : s->rc;
	return rc;
}

int
store_scan(struct spool *spool,
    void (*added)(const struct envelope *e, void *arg), void *arg,
    struct err *err_out)
{
	struct scan s = { .added = added, .arg = arg };
	MDB_txn *txn;
	int rc = mdb_txn_begin(spool->store.env, NULL, MDB_RDONLY, &txn);

	if (rc == 0) {
		rc = walk(&s, &spool->store, txn);
		mdb_txn_abort(txn);
	}
	if (rc != 0)
		return err_set(err_out, "%s: %s", spool->store.path,
		    mdb_strerror(rc));
	atomic_store(&spool->stats.n_messages, s.n_messages);
	atomic_store(&spool->stats.n_deliveries, s.n_deliveries);
	atomic_store(&spool->stats.n_bytes, s.n_bytes);
	spool->is_counted = true;
	return 0;
}
