/* SPDX-License-Identifier: ISC */
/*
 * Messages, deliveries and contents as records of one tree:
 *
 *	id, MESSAGE		-> envelope_encode()
 *	id, DELIVERY, number	-> delivery_encode()
 *	id, BODY		-> the content, when it isn't in a file
 *
 * Numbers in keys are big-endian, so all of a message lies together, and
 * messages lie in order of arrival. Ids only grow, hence MDB_APPEND: pages
 * fill up one after the other. One tree, because a commit writes a page of
 * each level of every tree that it touches, and a long queue that empties in
 * no order touches a page of its own with every message.
 *
 * All of these return LMDB's codes. Called within a transaction, by the
 * writer, the readers and the scan.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

/* ---- keys ---- */

struct key {
	uint8_t bytes[RECORD_KEY_MAX];
	MDB_val val;
};

static uint64_t
read_be64(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return be64toh(value);
}

static uint32_t
read_be32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}

void
record_make_key(uint64_t id, enum record_kind kind, uint32_t number,
    uint8_t out[RECORD_KEY_MAX])
{
	uint64_t be = htobe64(id);
	uint32_t number_be = htobe32(number);

	memcpy(out, &be, sizeof(be));
	out[8] = (uint8_t)kind;
	memcpy(out + 9, &number_be, sizeof(number_be));
}

static MDB_val *
make_key(struct key *k, uint64_t id, enum record_kind kind)
{
	record_make_key(id, kind, 0, k->bytes);
	k->val = (MDB_val){ RECORD_KEY_SIZE(kind), k->bytes };
	return &k->val;
}

static MDB_val *
delivery_key(struct key *k, uint64_t id, uint32_t number)
{
	record_make_key(id, RECORD_DELIVERY, number, k->bytes);
	k->val = (MDB_val){ RECORD_KEY_SIZE(RECORD_DELIVERY), k->bytes };
	return &k->val;
}

struct record_name
record_name(const MDB_val *key)
{
	const uint8_t *p = key->mv_data;
	struct record_name n = { .kind = RECORD_ALIEN };

	if (key->mv_size >= 8)
		n.id = read_be64(p);
	if (key->mv_size == 9 &&
	    (p[8] == RECORD_MESSAGE || p[8] == RECORD_BODY))
		n.kind = p[8];
	if (key->mv_size == 13 && p[8] == RECORD_DELIVERY) {
		n.kind = RECORD_DELIVERY;
		n.number = read_be32(p + 9);
	}
	return n;
}

/* ---- writing ---- */

int
record_put_delivery(struct turn *t, uint64_t id, const struct delivery *d,
    bool is_new)
{
	struct store *st = &t->spool->store;
	struct key key;
	MDB_val data;

	strbuf_reset(&st->scratch);
	delivery_encode(d, &st->scratch);
	data = (MDB_val){ st->scratch.len, st->scratch.data };
	t->n_deliveries += is_new;
	return mdb_put(t->txn, st->mail, delivery_key(&key, id, d->number),
	    &data, 0);
}

static int
append_deliveries(struct turn *t, const struct envelope *e)
{
	struct store *st = &t->spool->store;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < e->n_deliveries; i++) {
		const struct delivery *d = &e->deliveries[i];
		struct key key;
		MDB_val data;

		strbuf_reset(&st->scratch);
		delivery_encode(d, &st->scratch);
		data = (MDB_val){ st->scratch.len, st->scratch.data };
		rc = mdb_put(t->txn, st->mail,
		    delivery_key(&key, e->id, d->number), &data, MDB_APPEND);
	}
	t->n_deliveries += (int64_t)e->n_deliveries;
	return rc;
}

int
record_add(struct turn *t, const struct envelope *e, const void *content,
    size_t len)
{
	struct store *st = &t->spool->store;
	struct key key;
	MDB_val data;
	int rc;

	strbuf_reset(&st->scratch);
	envelope_encode(e, &st->scratch);
	data = (MDB_val){ st->scratch.len, st->scratch.data };
	rc = mdb_put(t->txn, st->mail, make_key(&key, e->id, RECORD_MESSAGE),
	    &data, MDB_APPEND);
	if (rc == 0)
		rc = append_deliveries(t, e);
	if (rc == 0 && content != NULL) {
		data = (MDB_val){ len, (void *)(uintptr_t)content };
		rc = mdb_put(t->txn, st->mail,
		    make_key(&key, e->id, RECORD_BODY), &data, MDB_APPEND);
	}
	t->n_messages++;
	t->n_bytes += (int64_t)e->size_bytes;
	return rc;
}

/* The message and its content; a file goes when this is committed. */
static int
remove_message(struct turn *t, const struct envelope *e)
{
	struct store *st = &t->spool->store;
	struct key key;
	int rc = mdb_del(t->txn, st->mail,
	    make_key(&key, e->id, RECORD_MESSAGE), NULL);

	if (rc != 0)
		return rc;
	t->n_messages--;
	t->n_bytes -= (int64_t)e->size_bytes;
	rc =
	    mdb_del(t->txn, st->mail, make_key(&key, e->id, RECORD_BODY), NULL);
	if (rc != MDB_NOTFOUND)
		return rc;
	t->gone = xrealloc(t->gone, (t->n_gone + 1) * sizeof(*t->gone));
	t->gone[t->n_gone++] = e->id;
	return 0;
}

/* With all its deliveries; the last takes the message along. */
int
record_remove_message(struct turn *t, uint64_t id)
{
	struct store *st = &t->spool->store;
	struct envelope e;
	uint32_t number;
	bool any = true;
	int rc = record_get_message(st, t->txn, id, &e);

	if (rc != 0)
		return rc;
	while (rc == 0 && any) {
		rc = record_top_number(st, t->txn, id, &number, &any);
		if (rc == 0 && any)
			rc = record_remove_delivery(t, &e, number);
	}
	envelope_fini(&e);
	return rc;
}

int
record_remove_delivery(struct turn *t, const struct envelope *e,
    uint32_t number)
{
	struct store *st = &t->spool->store;
	struct key key;
	uint32_t top;
	bool any;
	int rc =
	    mdb_del(t->txn, st->mail, delivery_key(&key, e->id, number), NULL);

	if (rc != 0)
		return rc;
	t->n_deliveries--;
	rc = record_top_number(st, t->txn, e->id, &top, &any);
	return rc != 0 || any ? rc : remove_message(t, e);
}

/* ---- reading ---- */

int
record_get_message(const struct store *st, MDB_txn *txn, uint64_t id,
    struct envelope *out)
{
	struct key key;
	MDB_val data;
	int rc =
	    mdb_get(txn, st->mail, make_key(&key, id, RECORD_MESSAGE), &data);

	if (rc != 0)
		return rc;
	if (envelope_decode(data.mv_data, data.mv_size, out) < 0)
		return MDB_CORRUPTED;
	out->id = id;
	return 0;
}

int
record_get_delivery(const struct store *st, MDB_txn *txn, uint64_t id,
    uint32_t number, struct delivery *out)
{
	struct key key;
	MDB_val data;
	int rc = mdb_get(txn, st->mail, delivery_key(&key, id, number), &data);

	if (rc != 0)
		return rc;
	if (delivery_decode(data.mv_data, data.mv_size, out) < 0)
		return MDB_CORRUPTED;
	out->number = number;
	return 0;
}

static int
append_delivery(struct envelope *e, uint32_t number, const MDB_val *data)
{
	struct delivery d;

	if (delivery_decode(data->mv_data, data->mv_size, &d) < 0)
		return MDB_CORRUPTED;
	d.number = number;
	e->deliveries = xrealloc(e->deliveries,
	    (e->n_deliveries + 1) * sizeof(*e->deliveries));
	e->deliveries[e->n_deliveries++] = d;
	return 0;
}

int
record_get_deliveries(const struct store *st, MDB_txn *txn, struct envelope *e)
{
	struct key first;
	MDB_val key = *delivery_key(&first, e->id, 0);
	MDB_val data;
	MDB_cursor *c;
	int rc = mdb_cursor_open(txn, st->mail, &c);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(c, &key, &data, MDB_SET_RANGE);
	while (rc == 0) {
		struct record_name name = record_name(&key);

		if (name.id != e->id || name.kind != RECORD_DELIVERY)
			break;
		rc = append_delivery(e, name.number, &data);
		if (rc == 0)
			rc = mdb_cursor_get(c, &key, &data, MDB_NEXT);
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
record_get_body(const struct store *st, MDB_txn *txn, uint64_t id, MDB_val *out)
{
	struct key key;

	return mdb_get(txn, st->mail, make_key(&key, id, RECORD_BODY), out);
}

/* The record before the content's place, whether there is one or not. */
int
record_top_number(const struct store *st, MDB_txn *txn, uint64_t id,
    uint32_t *number_out, bool *any_out)
{
	struct key body;
	MDB_val key = *make_key(&body, id, RECORD_BODY);
	MDB_val data;
	MDB_cursor *c;
	int rc = mdb_cursor_open(txn, st->mail, &c);

	*any_out = false;
	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(c, &key, &data, MDB_SET_RANGE);
	rc = mdb_cursor_get(c, &key, &data,
	    rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
	if (rc == 0) {
		struct record_name name = record_name(&key);

		*any_out = name.id == id && name.kind == RECORD_DELIVERY;
		*number_out = name.number;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
record_has_file(const struct store *st, MDB_txn *txn, uint64_t id,
    bool *has_out)
{
	struct key key;
	MDB_val data;
	int rc =
	    mdb_get(txn, st->mail, make_key(&key, id, RECORD_MESSAGE), &data);

	*has_out = false;
	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : rc;
	rc = record_get_body(st, txn, id, &data);
	*has_out = rc == MDB_NOTFOUND;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
record_ends(const struct store *st, MDB_txn *txn, uint64_t *first_out,
    uint64_t *last_out, const void **key_out)
{
	MDB_cursor *c;
	MDB_val key, data;
	int rc = mdb_cursor_open(txn, st->mail, &c);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(c, &key, &data, MDB_FIRST);
	if (rc == 0) {
		*first_out = record_name(&key).id;
		rc = mdb_cursor_get(c, &key, &data, MDB_LAST);
	}
	if (rc == 0) {
		*last_out = record_name(&key).id;
		*key_out = key.mv_data;
	}
	mdb_cursor_close(c);
	return rc;
}

int
record_seek(MDB_cursor *c, uint64_t id, MDB_val *key, MDB_val *data)
{
	struct key from;

	*key = *make_key(&from, id, RECORD_MESSAGE);
	return mdb_cursor_get(c, key, data, MDB_SET_RANGE);
}
