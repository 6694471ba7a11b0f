/* SPDX-License-Identifier: ISC */
/*
 * The writer's work: one transaction for all requests that have gathered, one
 * sync, then their answers in order (group commit). A request that fails by
 * itself (a limit, its own body file) is answered so and leaves the others
 * alone; when the transaction fails, no submission in it was accepted, and no
 * settlement in it is given up: forgetting one would send mail twice.
 * spool_trouble.c has what happens then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

struct spool_io spool_io = {
	.write = write,
	.sync = fdatasync,
	.sync_dir = fsync,
	.commit = mdb_txn_commit,
	.utc_us = clock_utc_us,
};

/* What one transaction takes: it bounds its memory and everyone's wait. */
#define TURN_REQUESTS_MAX 2048
#define TURN_BYTES_MAX	  ((uint64_t)16 << 20)

#define MAP_GROWTH_BYTES ((size_t)64 << 20)

/* ---- answers ---- */

void
spool_added_free(struct spool_added *list)
{
	while (list != NULL) {
		struct spool_added *next = list->next;

		envelope_fini(&list->envelope);
		free(list);
		list = next;
	}
}

static void
tell_submitted(struct spool *spool, const struct spool_request *q)
{
	for (size_t i = 0; i < q->envelope.n_deliveries; i++) {
		struct envelope one = q->envelope;

		one.deliveries = &q->envelope.deliveries[i];
		one.n_deliveries = 1;
		spool->ops.added(&one, spool->ops.arg);
	}
}

static void
tell_added(struct spool *spool, const struct spool_request *q)
{
	if (q->result != SPOOL_OK || spool->ops.added == NULL)
		return;
	if (q->kind == SPOOL_SUBMIT)
		tell_submitted(spool, q);
	for (struct spool_added *a = q->added; a != NULL; a = a->next)
		spool->ops.added(&a->envelope, spool->ops.arg);
}

void
spool_answer(struct spool *spool, struct spool_request *q)
{
	tell_added(spool, q);
	if (spool->ops.committed != NULL)
		spool->ops.committed(q, spool->ops.arg);
	else
		spool_request_free(q);
}

void
spool_refuse(struct spool_request *q, enum spool_result result, const char *why)
{
	q->result = result;
	q->envelope.id = 0;
	err_set(&q->err, "%s", why);
}

/* ---- one submission ---- */

static const char *
limit_reached(const struct turn *t, uint64_t bytes)
{
	struct spool *spool = t->spool;
	int64_t n = (int64_t)atomic_load(&spool->stats.n_messages);
	int64_t n_bytes = (int64_t)atomic_load(&spool->stats.n_bytes);

	if (n + t->n_messages >= spool->settings.max_messages)
		return "spool.max_messages is reached";
	if (n_bytes + t->n_bytes + (int64_t)bytes > spool->settings.max_bytes)
		return "spool.max_bytes is reached";
	return NULL;
}

static bool
has_room(struct turn *t, struct spool_request *q)
{
	static const char no_room[] =
	    "too little is free on the file system (spool.min_free)";
	uint64_t bytes = body_len(q->body);
	const char *limit =
	    body_is_over(q->body) ? no_room : limit_reached(t, bytes);

	if (limit != NULL) {
		spool_refuse(q, SPOOL_FULL, limit);
		return false;
	}
	/* What went to a file was counted as it was written. */
	if (!space_take(&t->spool->space, body_is_file(q->body) ? 0 : bytes)) {
		spool_refuse(q, SPOOL_FULL, no_room);
		return false;
	}
	return true;
}

static bool
is_sound(struct spool_request *q)
{
	const struct envelope *e = &q->envelope;

	for (size_t i = 0; i < e->n_deliveries; i++)
		if (e->deliveries[i].n_recipients == 0)
			return false;
	return e->n_deliveries > 0 && q->body != NULL;
}

static int
submit(struct turn *t, struct spool_request *q)
{
	struct envelope *e = &q->envelope;
	const void *content = NULL;
	int rc;

	if (!is_sound(q)) {
		spool_refuse(q, SPOOL_FAILED, "a message without deliveries");
		return 0;
	}
	if (body_is_broken(q->body)) {
		spool_refuse(q, SPOOL_FAILED,
		    "the content could not be written");
		return 0;
	}
	if (!has_room(t, q))
		return 0;
	rc = store_new_id(&t->spool->store, t->txn, &e->id);
	if (rc != 0)
		return rc;
	e->size_bytes = body_len(q->body);
	e->content_crc = body_crc(q->body);
	e->has_crc = true;
	for (size_t i = 0; i < e->n_deliveries; i++)
		e->deliveries[i].number = (uint32_t)i;
	if (!body_is_file(q->body)) {
		/* An empty content is one too. */
		content = e->size_bytes > 0 ? body_data(q->body) : "";
	} else if (body_place(q->body, e->id, &q->err) < 0) {
		log_error("body_failed", LOG_STR("error", q->err.text));
		e->id = 0;
		q->result = SPOOL_FAILED;
		return 0;
	}
	return record_add(t, e, content, e->size_bytes);
}

/* ---- one transaction ---- */

void
turn_fini(struct turn *t)
{
	free(t->gone);
}

static int
apply_all(struct turn *t, struct spool_request *list, bool is_full)
{
	int rc = 0;

	for (struct spool_request *q = list; rc == 0 && q; q = q->next) {
		if (q->kind == SPOOL_SETTLE)
			rc = settle(t, q);
		else if (q->kind == SPOOL_FACTS)
			;
		else if (is_full)
			spool_refuse(q, SPOOL_FULL, "the database is full");
		else
			rc = submit(t, q);
		if (rc == 0)
			rc = facts_put(t, q->facts);
		spool_step("request written");
	}
	return rc;
}

static int
run_transaction(struct turn *t, struct spool_request *list, bool is_full)
{
	struct store *st = &t->spool->store;
	int rc;

	is_full = is_full || store_is_full(st);
	rc = mdb_txn_begin(st->env, NULL, 0, &t->txn);
	if (rc != 0)
		return rc;
	rc = apply_all(t, list, is_full);
	if (rc != 0) {
		mdb_txn_abort(t->txn);
		return rc;
	}
	t->id = mdb_txn_id(t->txn);
	t->is_in_doubt = true;
	spool_step("commit begins");
	rc = spool_io.commit(t->txn);
	spool_step("commit ended");
	return rc;
}

static void
add_signed(_Atomic uint64_t *to, int64_t n)
{
	atomic_fetch_add(to, (uint64_t)n);
}

static void
book(struct spool *spool, const struct turn *t, size_t n_requests,
    int64_t took_us)
{
	add_signed(&spool->stats.n_messages, t->n_messages);
	add_signed(&spool->stats.n_deliveries, t->n_deliveries);
	add_signed(&spool->stats.n_bytes, t->n_bytes);
	spool->last_commit_us = took_us;
	atomic_fetch_add(&spool->stats.n_commits, 1);
	atomic_fetch_add(&spool->stats.n_committed, n_requests);
	histogram_note(&spool->commit_times, took_us);
	atomic_fetch_add(&spool->stats.commit_us_total, took_us);
	if (took_us > atomic_load(&spool->stats.commit_us_max))
		atomic_store(&spool->stats.commit_us_max, took_us);
}

static int
commit(struct spool *spool, struct spool_request *list, size_t n, bool is_full)
{
	int64_t begun_us = clock_mono_us();
	struct turn t = { .spool = spool };
	int rc = run_transaction(&t, list, is_full);

	if (rc == 0) {
		book(spool, &t, n, clock_mono_us() - begun_us);
		for (size_t i = 0; i < t.n_gone; i++)
			body_remove(spool, t.gone[i]);
	} else {
		/* LMDB finds a map full before it writes. */
		t.is_in_doubt &= rc != MDB_MAP_FULL;
		trouble_undo(spool, &t, list);
	}
	turn_fini(&t);
	return rc;
}

/* A full map is no trouble with the disk: new mail is refused, settlements
 * get more room. */
static int
commit_somehow(struct spool *spool, struct spool_request *list, size_t n)
{
	struct store *st = &spool->store;
	int rc = commit(spool, list, n, false);

	if (rc == MDB_MAP_FULL)
		rc = commit(spool, list, n, true);
	if (rc == MDB_MAP_FULL &&
	    store_resize(st, st->map_bytes + MAP_GROWTH_BYTES, NULL) == 0)
		rc = commit(spool, list, n, true);
	return rc;
}

/* ---- turns ---- */

/* Takes as much off the list as one transaction bears. */
static struct spool_request *
cut(struct spool_request **list, size_t *n_out)
{
	struct spool_request *first = *list, *q = first;
	uint64_t bytes = 0;

	for (*n_out = 1;; q = q->next, ++*n_out) {
		if (q->kind == SPOOL_SUBMIT && q->body != NULL &&
		    !body_is_file(q->body))
			bytes += body_len(q->body);
		if (q->next == NULL || *n_out == TURN_REQUESTS_MAX ||
		    bytes >= TURN_BYTES_MAX)
			break;
	}
	*list = q->next;
	q->next = NULL;
	return first;
}

static void
answer_all(struct spool *spool, struct spool_request *list)
{
	while (list != NULL) {
		struct spool_request *q = list;

		list = q->next;
		q->next = NULL;
		if (q->kind == SPOOL_SUBMIT && q->result == SPOOL_OK)
			body_release(q->body);
		spool_step("answer");
		spool_answer(spool, q);
	}
}

/* False: the disk failed, and everything in the list was dealt with. */
static bool
commit_list(struct spool *spool, struct spool_request *list)
{
	while (list != NULL) {
		size_t n;
		struct spool_request *now = cut(&list, &n);
		int rc = commit_somehow(spool, now, n);
		struct err err;

		if (rc == 0) {
			answer_all(spool, now);
			store_preallocate(&spool->store, &spool->space);
			continue;
		}
		err_set(&err, "%s: commit: %s", spool->store.path,
		    mdb_strerror(rc));
		trouble_begin(spool, &err);
		trouble_hold(spool, now, err.text);
		trouble_hold(spool, list, err.text);
		return false;
	}
	return true;
}

static struct spool_request *
take_kept(struct spool *spool)
{
	struct spool_request *list = spool->kept;

	spool->kept = NULL;
	return list;
}

void
writer_turn(struct spool *spool, struct spool_request *list)
{
	static const char why[] = "the disk failed a moment ago";

	if (spool->is_failing &&
	    (clock_mono_us() < spool->retry_us || !trouble_recover(spool))) {
		trouble_hold(spool, list, why);
		return;
	}
	/* Kept settlements by themselves: on a full disk they may fit where
	 * new mail doesn't. */
	if (spool->kept != NULL && !commit_list(spool, take_kept(spool))) {
		trouble_hold(spool, list, why);
		return;
	}
	commit_list(spool, list);
}

int64_t
writer_due_us(const struct spool *spool)
{
	return spool->is_failing ? spool->retry_us : INT64_MAX;
}

void
writer_finish(struct spool *spool)
{
	struct spool_request *list;
	size_t n_lost = 0;

	if (spool->is_failing) {
		spool->retry_us = 0;
		writer_turn(spool, NULL);
	}
	for (list = take_kept(spool); list != NULL; n_lost++) {
		struct spool_request *q = list;

		list = q->next;
		q->next = NULL;
		spool_refuse(q, SPOOL_FAILED, "the disk failed until the end");
		spool_answer(spool, q);
	}
	if (n_lost > 0)
		log_error("settlements_lost", LOG_INT("n", n_lost),
		    LOG_STR("effect", "their deliveries are tried again"));
	free(spool->doomed);
	spool->doomed = NULL;
	spool->n_doomed = 0;
}
