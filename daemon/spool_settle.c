/* SPDX-License-Identifier: ISC */
/*
 * What became of a delivery, written down: recipients that are done leave it,
 * those that go on by themselves move to a new one, the sender's notices are
 * queued, and with its last delivery the message goes. All inside the writer's
 * transaction; nothing of the request is used up, because the transaction may
 * fail and the settlement is then tried again.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

static enum spool_fate
fate_of(const struct spool_request *q, size_t i)
{
	return i < q->n_rcpts ? q->rcpts[i].fate : SPOOL_KEEP;
}

static void
move_recipient(struct delivery *to, struct recipient *r)
{
	to->recipients[to->n_recipients++] = *r;
	*r = (struct recipient){ 0 };
}

/* The reply that a delivery's last deferral is remembered by. */
static void
remember_reply(struct delivery *d, const struct spool_request *q,
    enum spool_fate fate)
{
	for (size_t i = 0; i < q->n_rcpts; i++) {
		if (q->rcpts[i].fate != fate || q->rcpts[i].reply == NULL)
			continue;
		free(d->last_reply);
		d->last_reply = xstrdup(q->rcpts[i].reply);
		return;
	}
}

/* Sorts d's recipients: kept and moved ones out of it, the rest stays. */
static void
sort_recipients(const struct spool_request *q, struct delivery *d,
    struct delivery *kept, struct delivery *moved)
{
	kept->recipients = xcalloc(d->n_recipients, sizeof(struct recipient));
	moved->recipients = xcalloc(d->n_recipients, sizeof(struct recipient));
	for (size_t i = 0; i < d->n_recipients; i++) {
		enum spool_fate fate = fate_of(q, i);

		if (fate == SPOOL_KEEP)
			move_recipient(kept, &d->recipients[i]);
		else if (fate == SPOOL_MOVE)
			move_recipient(moved, &d->recipients[i]);
	}
}

static void
copy_place(const struct delivery *from, struct delivery *to)
{
	to->number = from->number;
	to->provider = xstrdup(from->provider);
	to->site = xstrdup(from->site);
	to->last_reply = xstrdup(from->last_reply);
	to->stream = xstrdup(from->stream);
	to->delay_warned = from->delay_warned;
}

static void
tell_later(struct spool_request *q, struct envelope *e_take)
{
	struct spool_added *a = xcalloc(1, sizeof(*a));
	struct spool_added **end = &q->added;

	a->envelope = *e_take;
	*e_take = (struct envelope){ 0 };
	while (*end != NULL)
		end = &(*end)->next;
	*end = a;
}

static int
put_kept(struct turn *t, const struct spool_request *q,
    const struct envelope *e, struct delivery *kept)
{
	if (kept->n_recipients == 0)
		return record_remove_delivery(t, e, kept->number);
	kept->attempts = q->attempts;
	kept->due_utc_us = q->due_utc_us;
	kept->delay_warned |= q->delay_warning;
	if (q->stream != NULL) {
		free(kept->stream);
		kept->stream = xstrdup(q->stream);
	}
	remember_reply(kept, q, SPOOL_KEEP);
	return record_put_delivery(t, e->id, kept, false);
}

/* The envelope goes along with the news of the new delivery. */
static int
put_moved(struct turn *t, struct spool_request *q, struct envelope *e,
    struct delivery *moved)
{
	uint32_t top = moved->number;
	bool any;
	int rc = record_top_number(&t->spool->store, t->txn, e->id, &top, &any);

	if (rc != 0)
		return rc;
	moved->number = top + 1;
	moved->attempts = q->move_attempts;
	moved->due_utc_us = q->move_due_utc_us;
	moved->delay_warned |= q->delay_warning;
	remember_reply(moved, q, SPOOL_MOVE);
	rc = record_put_delivery(t, e->id, moved, true);
	e->deliveries = xmemdup(moved, sizeof(*moved));
	e->n_deliveries = 1;
	*moved = (struct delivery){ 0 };
	tell_later(q, e);
	return rc;
}

static int
put_notices(struct turn *t, struct spool_request *q, struct notice *notices,
    size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct envelope *e = &notices[i].envelope;

		rc = store_new_id(&t->spool->store, t->txn, &e->id);
		if (rc == 0)
			rc = record_add(t, e, notices[i].content.data,
			    notices[i].content.len);
		if (rc == 0)
			tell_later(q, e);
	}
	return rc;
}

/* New deliveries first: with the last old one the message would go. */
static int
apply(struct turn *t, struct spool_request *q, struct envelope *e,
    struct delivery *d)
{
	struct notice notices[NOTICES_MAX];
	struct delivery kept = { 0 }, moved = { 0 };
	size_t n_notices = notices_make(t, q, e, d, notices);
	int rc;

	copy_place(d, &kept);
	copy_place(d, &moved);
	sort_recipients(q, d, &kept, &moved);
	rc = put_notices(t, q, notices, n_notices);
	if (rc == 0 && moved.n_recipients > 0) {
		struct envelope told = { 0 };

		rc = record_get_message(&t->spool->store, t->txn, e->id, &told);
		if (rc == 0)
			rc = put_moved(t, q, &told, &moved);
		envelope_fini(&told);
	}
	if (rc == 0)
		rc = put_kept(t, q, e, &kept);
	for (size_t i = 0; i < n_notices; i++)
		notice_fini(&notices[i]);
	delivery_fini(&kept);
	delivery_fini(&moved);
	return rc;
}

static int
is_gone(const struct spool_request *q)
{
	char id[MESSAGE_ID_SIZE];

	log_debug("settled_already",
	    LOG_STR("msg", message_id_format(q->message, id)),
	    LOG_INT("delivery", q->number));
	return 0;
}

/* Another settlement may be fine, and a full transaction must not die of one
 * unreadable record. */
static int
is_damaged(struct spool_request *q, const char *what)
{
	char id[MESSAGE_ID_SIZE];

	message_id_format(q->message, id);
	q->result = SPOOL_FAILED;
	err_set(&q->err, "message %s: its %s can't be read", id, what);
	log_error("spool_damaged", LOG_STR("what", what), LOG_STR("msg", id),
	    LOG_INT("delivery", q->number));
	return 0;
}

int
settle(struct turn *t, struct spool_request *q)
{
	const struct store *st = &t->spool->store;
	struct delivery d;
	struct envelope e;
	int rc = record_get_delivery(st, t->txn, q->message, q->number, &d);

	if (rc == MDB_NOTFOUND)
		return is_gone(q);
	if (rc == MDB_CORRUPTED)
		return is_damaged(q, "delivery");
	if (rc != 0)
		return rc;
	rc = record_get_message(st, t->txn, q->message, &e);
	if (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED)
		rc = is_damaged(q, "envelope");
	else if (rc == 0) {
		rc = apply(t, q, &e, &d);
		envelope_fini(&e);
	}
	delivery_fini(&d);
	return rc;
}
