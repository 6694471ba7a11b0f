/* SPDX-License-Identifier: ISC */
/*
 * A commit failed. The writer calls here from then on: submissions are refused
 * at once, what else was asked for is kept and tried again, with growing
 * pauses, after the database was opened anew (see store_reopen() for why).
 *
 * The subtle rule: what was reported as failed may be on the disk all the
 * same. Only the database, opened anew, knows; until then nothing of it is
 * either repeated or thrown away.
 */
#include <stdlib.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

#define BACKOFF_FIRST_US ((int64_t)250000)
#define BACKOFF_MAX_US	 ((int64_t)10000000)
/* A failure so long after the last one begins anew with a short pause. */
#define QUIET_US	 ((int64_t)60000000)

/*
 * Nothing of a failed transaction may show. Where the commit itself failed,
 * the disk may have taken it all the same, so nothing is thrown away yet: see
 * resolve_doubt().
 */
void
trouble_undo(struct spool *spool, const struct turn *t,
    struct spool_request *list)
{
	spool->store.id_ceiling = 0;
	if (t->is_in_doubt)
		spool->doubtful_txn = t->id;
	for (struct spool_request *q = list; q != NULL; q = q->next) {
		q->is_in_doubt = t->is_in_doubt;
		if (!t->is_in_doubt) {
			spool_added_free(q->added);
			q->added = NULL;
		} else if (q->kind == SPOOL_SUBMIT && q->envelope.id != 0) {
			body_release(q->body);
			spool->doomed = xrealloc(spool->doomed,
			    (spool->n_doomed + 1) * sizeof(*spool->doomed));
			spool->doomed[spool->n_doomed++] = q->envelope.id;
		}
	}
}

/* ---- what waits ---- */

static void
keep(struct spool *spool, struct spool_request *q)
{
	q->next = NULL;
	if (spool->kept == NULL)
		spool->kept_last = &spool->kept;
	*spool->kept_last = q;
	spool->kept_last = &q->next;
}

/* Settlements wait, submissions are refused. */
void
trouble_hold(struct spool *spool, struct spool_request *list, const char *why)
{
	while (list != NULL) {
		struct spool_request *q = list;

		list = q->next;
		if (q->kind != SPOOL_SUBMIT) {
			keep(spool, q);
			continue;
		}
		spool_refuse(q, SPOOL_FAILED, why);
		spool_answer(spool, q);
	}
}

/* ---- the state ---- */

void
trouble_begin(struct spool *spool, const struct err *err)
{
	int64_t now_us = clock_mono_us();
	bool is_new = !spool->is_failing;

	if (now_us - spool->failed_us > QUIET_US || spool->backoff_us == 0)
		spool->backoff_us = spool_test_backoff_us != 0
		    ? spool_test_backoff_us
		    : BACKOFF_FIRST_US;
	else if (spool->backoff_us < BACKOFF_MAX_US / 2)
		spool->backoff_us *= 2;
	else
		spool->backoff_us = BACKOFF_MAX_US;
	spool->failed_us = now_us;
	spool->retry_us = now_us + spool->backoff_us;
	spool->is_failing = true;
	atomic_store(&spool->stats.is_failing, true);
	log_warn("spool_retry", LOG_STR("error", err->text),
	    LOG_INT("wait_ms", spool->backoff_us / 1000));
	if (is_new && spool->ops.trouble != NULL)
		spool->ops.trouble(err, spool->ops.arg);
}

static void
end_trouble(struct spool *spool)
{
	spool->is_failing = false;
	atomic_store(&spool->stats.is_failing, false);
	if (spool->ops.trouble != NULL)
		spool->ops.trouble(NULL, spool->ops.arg);
}

/* ---- out of it again ---- */

/*
 * The database was opened anew: is the transaction in it whose commit failed?
 * Then its settlements happened; told again they would speak of other
 * recipients, those that were left.
 */
static void
resolve_doubt(struct spool *spool)
{
	bool is_taken = spool->doubtful_txn != 0 &&
	    store_last_txn(&spool->store) >= spool->doubtful_txn;

	for (struct spool_request *q = spool->kept; q != NULL; q = q->next) {
		if (!q->is_in_doubt)
			continue;
		q->is_in_doubt = false;
		q->is_settled = is_taken;
		if (!is_taken) {
			spool_added_free(q->added);
			q->added = NULL;
		}
	}
	if (is_taken)
		spool->is_counted = false;
	spool->doubtful_txn = 0;
}

/* Messages of the failed transaction were refused: whoever sent them sends
 * them again, so they must not be in the database. */
static int
remove_doomed(struct turn *t)
{
	struct spool *spool = t->spool;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < spool->n_doomed; i++) {
		rc = record_remove_message(t, spool->doomed[i]);
		if (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED)
			rc = 0;
	}
	return rc;
}

static void
sweep_doomed(struct spool *spool)
{
	for (size_t i = 0; i < spool->n_doomed; i++)
		body_remove(spool, spool->doomed[i]);
	free(spool->doomed);
	spool->doomed = NULL;
	spool->n_doomed = 0;
}

/* A commit that changes next to nothing: does the disk work? */
static int
probe(struct spool *spool, struct err *err_out)
{
	struct store *st = &spool->store;
	struct turn t = { .spool = spool };
	uint64_t id;
	int rc = mdb_txn_begin(st->env, NULL, 0, &t.txn);

	if (rc != 0)
		goto failed;
	rc = remove_doomed(&t);
	if (rc == 0) {
		st->id_ceiling = 0; /* writes a new one */
		rc = store_new_id(st, t.txn, &id);
	}
	if (rc == 0)
		rc = spool_io.commit(t.txn);
	else
		mdb_txn_abort(t.txn);
	turn_fini(&t);
	if (rc == 0) {
		sweep_doomed(spool);
		return 0;
	}
failed:
	st->id_ceiling = 0;
	return store_err(err_out, st->path, rc);
}

/* What a failed commit settled after all. */
static void
answer_settled(struct spool *spool)
{
	struct spool_request *list = spool->kept;

	spool->kept = NULL;
	while (list != NULL) {
		struct spool_request *q = list;

		list = q->next;
		if (q->is_settled) {
			q->next = NULL;
			spool_answer(spool, q);
		} else {
			keep(spool, q);
		}
	}
}

bool
trouble_recover(struct spool *spool)
{
	struct err err;

	if (store_reopen(&spool->store, &err) < 0) {
		trouble_begin(spool, &err);
		return false;
	}
	resolve_doubt(spool);
	if (probe(spool, &err) < 0 ||
	    (!spool->is_counted && store_scan(spool, NULL, NULL, &err) < 0)) {
		trouble_begin(spool, &err);
		return false;
	}
	end_trouble(spool);
	answer_settled(spool);
	return true;
}
