/* SPDX-License-Identifier: ISC */
/*
 * Reading what is queued, from any thread, beside the writer: a snapshot is
 * taken, copied out and let go at once, because one that stays open keeps
 * LMDB from using freed pages again. A body file is opened after that: where
 * it has gone meanwhile, so has its message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

struct spool_reader *
spool_reader_new(struct spool *spool, struct err *err_out)
{
	struct spool_reader *r = xcalloc(1, sizeof(*r));
	struct store *st = &spool->store;

	r->spool = spool;
	pthread_rwlock_wrlock(&st->lock);
	r->next = st->readers;
	if (r->next != NULL)
		r->next->prev = r;
	st->readers = r;
	pthread_rwlock_unlock(&st->lock);
	if (store_read_begin(r, err_out) < 0) {
		spool_reader_free(r);
		return NULL;
	}
	store_read_end(r);
	return r;
}

void
spool_reader_free(struct spool_reader *r)
{
	struct store *st;

	if (r == NULL)
		return;
	st = &r->spool->store;
	pthread_rwlock_wrlock(&st->lock);
	mdb_txn_abort(r->txn);
	if (r->next != NULL)
		r->next->prev = r->prev;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		st->readers = r->next;
	pthread_rwlock_unlock(&st->lock);
	free(r);
}

/* Beside LMDB's codes. */
#define CONTENT_CHANGED 1

/* LMDB's code to what the callers know: 1 isn't there, -1 is an error. */
static int
answer(const struct spool_reader *r, int rc, uint64_t message,
    struct err *err_out)
{
	char id[MESSAGE_ID_SIZE];

	if (rc == 0)
		return 0;
	if (rc == MDB_NOTFOUND)
		return 1;
	return err_set(err_out, "%s: message %s: %s", r->spool->store.path,
	    message_id_format(message, id),
	    rc == CONTENT_CHANGED ? "its content isn't what was received"
				  : mdb_strerror(rc));
}

static int
read_envelope(struct spool_reader *r, uint64_t message, uint32_t number,
    struct envelope *out)
{
	const struct store *st = &r->spool->store;
	struct delivery d;
	int rc = record_get_delivery(st, r->txn, message, number, &d);

	if (rc != 0)
		return rc;
	rc = record_get_message(st, r->txn, message, out);
	if (rc != 0) {
		delivery_fini(&d);
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	}
	out->deliveries = xmemdup(&d, sizeof(d));
	out->n_deliveries = 1;
	return 0;
}

static int
read_inline(struct spool_reader *r, struct spool_message *m)
{
	MDB_val data;
	int rc =
	    record_get_body(&r->spool->store, r->txn, m->envelope.id, &data);

	if (rc == MDB_NOTFOUND)
		return 0; /* in a file, then */
	if (rc != 0)
		return rc;
	if (data.mv_size != m->envelope.size_bytes)
		return MDB_CORRUPTED;
	if (m->envelope.has_crc &&
	    content_crc(0, data.mv_data, data.mv_size) !=
		m->envelope.content_crc)
		return CONTENT_CHANGED;
	m->body = xmemdup(data.mv_data, data.mv_size);
	m->body_len = data.mv_size;
	return 0;
}

static int
open_body(struct spool *spool, struct spool_message *m, struct err *err_out)
{
	char name[BODY_NAME_SIZE];
	struct stat st;

	body_name(m->envelope.id, name);
	m->body_fd = openat(spool->bodies_fd, name, O_RDONLY | O_CLOEXEC);
	if (m->body_fd < 0 || fstat(m->body_fd, &st) < 0)
		return err_sys(err_out, "%s/bodies/%s", spool->dir, name);
	m->body_len = (uint64_t)st.st_size;
	if (m->body_len != m->envelope.size_bytes)
		return err_set(err_out, "%s/bodies/%s: %llu bytes, not %llu",
		    spool->dir, name, (unsigned long long)m->body_len,
		    (unsigned long long)m->envelope.size_bytes);
	return 0;
}

static int
is_still_there(struct spool_reader *r, uint64_t message, uint32_t number)
{
	struct delivery d;
	int rc;

	if (store_read_begin(r, NULL) < 0)
		return true;
	rc = record_get_delivery(&r->spool->store, r->txn, message, number, &d);
	store_read_end(r);
	if (rc == 0)
		delivery_fini(&d);
	return rc != MDB_NOTFOUND;
}

int
spool_read_delivery(struct spool_reader *r, uint64_t message, uint32_t number,
    struct spool_message *out, struct err *err_out)
{
	int rc;

	*out = (struct spool_message){ .body_fd = -1 };
	if (store_read_begin(r, err_out) < 0)
		return -1;
	rc = read_envelope(r, message, number, &out->envelope);
	if (rc == 0) {
		rc = read_inline(r, out);
		if (rc != 0)
			spool_message_fini(out);
	}
	store_read_end(r);
	if (rc != 0)
		return answer(r, rc, message, err_out);
	if (out->body != NULL)
		return 0;
	if (open_body(r->spool, out, err_out) == 0)
		return 0;
	spool_message_fini(out);
	return is_still_there(r, message, number) ? -1 : 1;
}

int
spool_read_message(struct spool_reader *r, uint64_t message,
    struct envelope *out, struct err *err_out)
{
	const struct store *st = &r->spool->store;
	int rc;

	*out = (struct envelope){ 0 };
	if (store_read_begin(r, err_out) < 0)
		return -1;
	rc = record_get_message(st, r->txn, message, out);
	if (rc == 0) {
		rc = record_get_deliveries(st, r->txn, out);
		if (rc != 0)
			envelope_fini(out);
	}
	store_read_end(r);
	return answer(r, rc, message, err_out);
}

void
spool_message_fini(struct spool_message *m)
{
	envelope_fini(&m->envelope);
	free(m->body);
	if (m->body_fd >= 0)
		close(m->body_fd);
	*m = (struct spool_message){ .body_fd = -1 };
}
