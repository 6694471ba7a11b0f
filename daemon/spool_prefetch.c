/* SPDX-License-Identifier: ISC */
/*
 * Start-up from a cold disk. The records of a queue lie scattered between the
 * contents; the scan alone would wait for one page after the other, and the
 * kernel's read-ahead would bring in all the contents around them. So a few
 * threads walk pieces of the queue ahead of the scan, and meanwhile the kernel
 * is told to read what is asked for and no more. They change nothing and need
 * nothing: where one can't be started, the scan is only slower.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/spool_private.h"

/* Below so many pages it isn't worth a thread. */
#define LEAVES_MIN 256
#define N_CHUNKS   256
/* So many pages of contents to one of records, and read-ahead is a loss. Small
 * contents lie among the records. */
#define SPARSE	   3

/* LMDB doesn't tell where its map is, but every page begins with its number:
 * from a key in one it isn't far to page 0. It is only advice. */
static void
advise(const struct prefetch *p, int advice)
{
	const uintptr_t page = (uintptr_t)p->key & ~(p->st->page_bytes - 1);
	size_t number;

	memcpy(&number, (const void *)page, sizeof(number));
	(void)madvise((void *)(page - number * p->st->page_bytes),
	    p->st->map_bytes, advice);
}

/* Walks from the chunk's first message to the next chunk's: it is enough to
 * come by, the contents' pages aren't touched. */
static void
walk_chunk(struct prefetch *p, MDB_cursor *c, unsigned chunk)
{
	uint64_t step = (p->last_id - p->first_id) / N_CHUNKS + 1;
	uint64_t id = p->first_id + chunk * step;
	MDB_val key, data;
	int rc = record_seek(c, id, &key, &data);

	while (rc == 0 && !atomic_load(&p->is_stopping) &&
	    record_name(&key).id - id < step)
		rc = mdb_cursor_get(c, &key, &data, MDB_NEXT);
}

static void *
walk_chunks(void *arg)
{
	struct prefetch *p = arg;
	MDB_txn *txn;
	MDB_cursor *c;

	if (mdb_txn_begin(p->st->env, NULL, MDB_RDONLY, &txn) != 0)
		return NULL;
	if (mdb_cursor_open(txn, p->st->mail, &c) == 0) {
		unsigned chunk;

		while ((chunk = atomic_fetch_add(&p->next_chunk, 1)) < N_CHUNKS)
			walk_chunk(p, c, chunk);
		mdb_cursor_close(c);
	}
	mdb_txn_abort(txn);
	return NULL;
}

void
prefetch_start(struct prefetch *p, const struct store *st, MDB_txn *txn)
{
	MDB_stat stat;

	*p = (struct prefetch){ .st = st };
	if (mdb_stat(txn, st->mail, &stat) != 0 ||
	    stat.ms_leaf_pages < LEAVES_MIN ||
	    record_ends(st, txn, &p->first_id, &p->last_id, &p->key) != 0)
		return;
	p->is_sparse = stat.ms_overflow_pages / SPARSE > stat.ms_leaf_pages;
	if (p->is_sparse)
		advise(p, MADV_RANDOM);
	while (p->n_threads < PREFETCH_THREADS &&
	    pthread_create(&p->threads[p->n_threads], NULL, walk_chunks, p) ==
		0)
		p->n_threads++;
}

void
prefetch_stop(struct prefetch *p)
{
	atomic_store(&p->is_stopping, true);
	atomic_store(&p->next_chunk, N_CHUNKS);
	for (size_t i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	if (p->is_sparse)
		advise(p, MADV_NORMAL);
}
