/* SPDX-License-Identifier: ISC */
/*
 * One walk over all that is queued, at start and after trouble: counts it, and
 * tells of every delivery in order of arrival. A record that can't be read is
 * logged and passed over: one of them must not keep the rest from leaving. But
 * where the tree itself is wrong (keys out of order, records missing), what is
 * looked up by key may not be found: then there is no going on.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/log.h"
#include "daemon/spool_private.h"

struct scan {
	void (*added)(const struct envelope *e, void *arg);
	void *arg;
	struct envelope e;  /* of the message whose records are read now */
	bool has_message;   /* and it could be read */
	bool is_counted;    /* and there is a delivery that could be, too */
	uint64_t passed_id; /* of one that couldn't */
	uint64_t n_messages, n_deliveries, n_bytes, n_damaged;
	uint8_t last_key[RECORD_KEY_MAX];
	size_t last_len;
};

static void
damaged(struct scan *s, const char *what, uint64_t message)
{
	char id[MESSAGE_ID_SIZE];

	s->n_damaged++;
	log_error("spool_damaged", LOG_STR("what", what),
	    LOG_STR("msg", message_id_format(message, id)));
}

static void
end_message(struct scan *s)
{
	if (s->has_message && !s->is_counted)
		damaged(s, "message without delivery", s->e.id);
	if (s->has_message)
		envelope_fini(&s->e);
	s->e = (struct envelope){ 0 };
	s->has_message = s->is_counted = false;
}

/* By its first delivery: only the last one that leaves takes a message off
 * the count, and its place among max_messages. */
static void
count_message(struct scan *s)
{
	if (s->is_counted)
		return;
	s->is_counted = true;
	s->n_messages++;
	s->n_bytes += s->e.size_bytes;
}

static void
begin_message(struct scan *s, uint64_t id, const MDB_val *data)
{
	end_message(s);
	if (envelope_decode(data->mv_data, data->mv_size, &s->e) < 0) {
		damaged(s, "message", id);
		s->passed_id = id;
		return;
	}
	s->e.id = id;
	s->has_message = true;
}

static void
tell_delivery(struct scan *s, const struct record_name *name,
    const MDB_val *data)
{
	struct delivery d;

	if (!s->has_message || s->e.id != name->id) {
		damaged(s, "delivery without message", name->id);
		return;
	}
	if (delivery_decode(data->mv_data, data->mv_size, &d) < 0) {
		damaged(s, "delivery", name->id);
		return;
	}
	d.number = name->number;
	count_message(s);
	s->n_deliveries++;
	if (s->added != NULL) {
		s->e.deliveries = &d;
		s->e.n_deliveries = 1;
		s->added(&s->e, s->arg);
		s->e.deliveries = NULL;
		s->e.n_deliveries = 0;
	}
	delivery_fini(&d);
}

static void
read_record(struct scan *s, const MDB_val *key, const MDB_val *data)
{
	struct record_name name = record_name(key);

	if (name.id == s->passed_id && name.kind != RECORD_MESSAGE)
		return;
	switch (name.kind) {
	case RECORD_MESSAGE:
		begin_message(s, name.id, data);
		break;
	case RECORD_DELIVERY:
		tell_delivery(s, &name, data);
		break;
	case RECORD_BODY:
		if (!s->has_message || s->e.id != name.id)
			damaged(s, "content without message", name.id);
		break;
	case RECORD_ALIEN:
		damaged(s, "record of no kind", name.id);
		break;
	}
}

/* Keys of another length aren't ours; read_record() says so. */
static bool
is_in_order(struct scan *s, const MDB_val *key)
{
	size_t len = key->mv_size < s->last_len ? key->mv_size : s->last_len;
	int order = memcmp(s->last_key, key->mv_data, len);

	if (order > 0 || (order == 0 && s->last_len >= key->mv_size))
		return false;
	s->last_len =
	    key->mv_size < RECORD_KEY_MAX ? key->mv_size : RECORD_KEY_MAX;
	memcpy(s->last_key, key->mv_data, s->last_len);
	return true;
}

static int
walk(struct scan *s, const struct store *st, MDB_txn *txn)
{
	MDB_val key, data;
	MDB_cursor *c;
	MDB_stat stat;
	size_t n = 0;
	int rc = mdb_cursor_open(txn, st->mail, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0) {
		if (!is_in_order(s, &key)) {
			rc = MDB_CORRUPTED;
			break;
		}
		read_record(s, &key, &data);
		n++;
	}
	end_message(s);
	mdb_cursor_close(c);
	if (rc == MDB_NOTFOUND)
		rc = mdb_stat(txn, st->mail, &stat);
	return rc == 0 && n != stat.ms_entries ? MDB_CORRUPTED : rc;
}

int
store_scan(struct spool *spool,
    void (*added)(const struct envelope *e, void *arg), void *arg,
    struct err *err_out)
{
	struct scan s = { .added = added, .arg = arg };
	struct prefetch ahead;
	MDB_txn *txn;
	int rc = mdb_txn_begin(spool->store.env, NULL, MDB_RDONLY, &txn);

	if (rc == 0) {
		prefetch_start(&ahead, &spool->store, txn);
		rc = walk(&s, &spool->store, txn);
		prefetch_stop(&ahead);
		mdb_txn_abort(txn);
	}
	if (rc != 0)
		return store_err(err_out, spool->store.path, rc);
	if (s.n_damaged > 0) {
		spool->is_damaged = true;
		log_error("spool_damaged", LOG_INT("records", s.n_damaged),
		    LOG_STR("effect", "they are passed over, and stay"),
		    LOG_STR("hint", SPOOL_HINT));
	}
	atomic_store(&spool->stats.n_messages, s.n_messages);
	atomic_store(&spool->stats.n_deliveries, s.n_deliveries);
	atomic_store(&spool->stats.n_bytes, s.n_bytes);
	spool->is_counted = true;
	return 0;
}
