/* SPDX-License-Identifier: ISC */
/*
 * One walk over all that is queued, at start and after trouble: counts it, and
 * tells of every delivery in order of arrival. A record that can't be read is
 * logged and passed over: one of them must not keep the rest from leaving.
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
	uint64_t passed_id; /* of one that couldn't */
	uint64_t n_messages, n_deliveries, n_bytes, n_damaged;
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
	if (s->has_message)
		envelope_fini(&s->e);
	s->e = (struct envelope){ 0 };
	s->has_message = false;
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
	s->n_messages++;
	s->n_bytes += s->e.size_bytes;
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

static int
walk(struct scan *s, const struct store *st, MDB_txn *txn)
{
	MDB_val key, data;
	MDB_cursor *c;
	int rc = mdb_cursor_open(txn, st->mail, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0)
		read_record(s, &key, &data);
	end_message(s);
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
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
		return err_set(err_out, "%s: %s", spool->store.path,
		    mdb_strerror(rc));
	atomic_store(&spool->stats.n_messages, s.n_messages);
	atomic_store(&spool->stats.n_deliveries, s.n_deliveries);
	atomic_store(&spool->stats.n_bytes, s.n_bytes);
	spool->is_counted = true;
	return 0;
}
