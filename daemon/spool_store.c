/* SPDX-License-Identifier: ISC */
/*
 * The database: one LMDB environment, STATE_DIR/spool.mdb.
 *
 *	meta	name -> value (schema, next id)
 *	mail	messages, deliveries and contents: spool_record.c
 *	fact	what the governor remembers: spool_facts.c
 *
 * Here it is opened, given room, and opened again when a commit failed. The
 * writer calls what changes things; readers come in through
 * store_read_begin().
 *
 * MDB_WRITEMAP is not used: on a full disk it ends in SIGBUS, where a write
 * ends in an error that can be answered; and a stray pointer would write mail.
 * Nor is MDB_NOMEMINIT: what lay in our memory, a password perhaps, must not
 * get onto the disk in the slack of a page.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/fault.h"
#include "daemon/spool_private.h"

#define ID_SEQUENCE_BITS  20
/* So far ahead ids are reserved: one more page to write in so much time. */
#define ID_RESERVE_MS	  60000
/* The end of the map is for settlements alone. */
#define RESERVE_BYTES_MAX ((size_t)64 << 20)
#define READERS_MAX	  1024
#define DATABASES_MAX	  32

/* How far the file reaches beyond its used pages. A commit adds one step at
 * most: the zeros go to the disk with the next commit's sync, and all of them
 * at once would be a message's long wait. */
#define AHEAD_BYTES ((uint64_t)4 << 20)
#define STEP_BYTES  ((uint64_t)64 << 10)

int
store_err(struct err *err_out, const char *path, int rc)
{
	bool is_damage = rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ||
	    rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH ||
	    rc == MDB_INCOMPATIBLE || rc == MDB_CURSOR_FULL || rc == EINVAL ||
	    rc == MDB_BAD_TXN; /* what came before was such an error */

	if (!is_damage)
		return err_set(err_out, "%s: %s", path, mdb_strerror(rc));
	return err_set(err_out, "%s is damaged (%s): %s", path,
	    mdb_strerror(rc), SPOOL_HINT);
}

/* ---- meta ---- */

int
meta_get(const struct store *st, MDB_txn *txn, const char *name,
    uint64_t *value_out)
{
	MDB_val key = { strlen(name), (void *)(uintptr_t)name };
	MDB_val data;
	int rc = mdb_get(txn, st->meta, &key, &data);

	if (rc == 0 && data.mv_size != 8)
		return MDB_CORRUPTED;
	if (rc == 0) {
		memcpy(value_out, data.mv_data, sizeof(*value_out));
		*value_out = be64toh(*value_out);
	}
	return rc;
}

int
meta_put(const struct store *st, MDB_txn *txn, const char *name, uint64_t value)
{
	MDB_val key = { strlen(name), (void *)(uintptr_t)name };
	uint64_t be = htobe64(value);
	MDB_val data = { sizeof(be), &be };

	return mdb_put(txn, st->meta, &key, &data, 0);
}

/* ---- opening ---- */

static int
open_databases(struct store *st, MDB_txn *txn)
{
	const struct {
		const char *name;
		MDB_dbi *dbi;
	} rows[] = { { "meta", &st->meta }, { "mail", &st->mail },
		{ "fact", &st->fact } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc =
		    mdb_dbi_open(txn, rows[i].name, MDB_CREATE, rows[i].dbi);

		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Ids go on behind the newest message and behind all that were reserved: also
 * when the clock was set back, also when the newest messages have left. */
static int
find_last_id(struct store *st, MDB_txn *txn)
{
	uint64_t ceiling = 0, first, newest = 0;
	const void *unused;
	int rc = meta_get(st, txn, "next_id", &ceiling);

	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	rc = record_ends(st, txn, &first, &newest, &unused);
	if (newest > st->last_id)
		st->last_id = newest;
	if (ceiling > st->last_id + 1)
		st->last_id = ceiling - 1;
	st->id_ceiling = 0;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
set_up(struct store *st, struct err *err_out)
{
	MDB_txn *txn;
	MDB_stat stat;
	int rc = mdb_txn_begin(st->env, NULL, 0, &txn);

	if (rc != 0)
		return store_err(err_out, st->path, rc);
	rc = open_databases(st, txn);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return store_err(err_out, st->path, rc);
	}
	if (store_migrate(st, txn, err_out) < 0) {
		mdb_txn_abort(txn);
		return -1;
	}
	rc = find_last_id(st, txn);
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (rc != 0)
		return store_err(err_out, st->path, rc);
	mdb_env_stat(st->env, &stat);
	st->page_bytes = stat.ms_psize;
	return 0;
}

/* LMDB found its file in a state that can't be; it would abort(3). */
static void
on_assert(MDB_env *env, const char *text)
{
	(void)env;
	log_error("database_damaged", LOG_STR("error", text),
	    LOG_STR("hint", SPOOL_HINT));
	_exit(FAULT_STATUS);
}

static int
open_env(struct store *st, struct err *err_out)
{
	/* NOTLS: a snapshot belongs to its reader, not to a thread. */
	const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS;
	int rc = mdb_env_create(&st->env);

	if (rc == 0)
		rc = mdb_env_set_maxdbs(st->env, DATABASES_MAX);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(st->env, READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_mapsize(st->env, st->map_bytes);
	if (rc == 0)
		mdb_env_set_assert(st->env, on_assert);
	if (rc == 0)
		rc = mdb_env_open(st->env, st->path, flags, 0600);
	if (rc != 0)
		store_err(err_out, st->path, rc);
	return rc == 0 ? set_up(st, err_out) : -1;
}

static void
reset_readers(struct store *st)
{
	for (struct spool_reader *r = st->readers; r != NULL; r = r->next) {
		mdb_txn_abort(r->txn);
		r->txn = NULL;
	}
}

static void
close_env(struct store *st)
{
	reset_readers(st);
	if (st->env != NULL)
		mdb_env_close(st->env);
	st->env = NULL;
}

static int
open_file(struct store *st, struct err *err_out)
{
	struct stat s;

	st->fd = open(st->path, O_RDWR | O_CLOEXEC);
	if (st->fd < 0 || fstat(st->fd, &s) < 0)
		return err_sys(err_out, "%s", st->path);
	st->file_bytes = (uint64_t)s.st_size;
	return 0;
}

void
store_close(struct store *st)
{
	if (st->path == NULL)
		return;
	close_env(st);
	if (st->fd >= 0)
		close(st->fd);
	free(st->path);
	strbuf_fini(&st->scratch);
	pthread_rwlock_destroy(&st->lock);
}

/*
 * Makes the disk agree with the page cache about the meta pages, which say what
 * the last good transaction is. After a write error the cache may call pages
 * clean that the disk never got, and another sync would just say that all is
 * well: so they are written again first, each time.
 */
static int
sync_meta(struct store *st, struct err *err_out)
{
	size_t len = 2 * st->page_bytes;
	char *pages = xmalloc(len);
	bool ok = pread(st->fd, pages, len, 0) == (ssize_t)len &&
	    pwrite(st->fd, pages, len, 0) == (ssize_t)len &&
	    spool_io.sync(st->fd) == 0;

	if (!ok)
		err_sys(err_out, "%s: sync", st->path);
	free(pages);
	return ok ? 0 : -1;
}

int
store_open(struct store *st, const char *dir, size_t map_bytes,
    struct err *err_out)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
	    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&st->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	st->fd = -1;
	st->path = xasprintf("%s/spool.mdb", dir);
	st->map_bytes = map_bytes;
	if (store_prepare(st->path, err_out) < 0 || open_env(st, err_out) < 0)
		return -1;
	if (open_file(st, err_out) < 0)
		return -1;
	return sync_meta(st, err_out);
}

/*
 * A commit failed. What its fsync did or didn't write is unknown, and asking
 * again tells nothing: Linux reports a write error once and then takes the
 * pages for clean. So nothing of that transaction is used. LMDB makes this
 * easy: it writes into free pages only and then the meta page, so all pages
 * that the last good transaction names were synced before and are whole.
 * Where the meta page failed, LMDB put the old one back into the page cache
 * and declares the environment dead. Once the disk has the meta pages that the
 * cache shows, opening it again begins from the same transaction as a start
 * after a power failure would.
 */
int
store_reopen(struct store *st, struct err *err_out)
{
	int synced, result;
	struct err ignored;

	pthread_rwlock_wrlock(&st->lock);
	close_env(st);
	synced = sync_meta(st, err_out);
	/* Readers may go on, whatever the disk says to writes. */
	result = open_env(st, synced == 0 ? err_out : &ignored);
	if (result < 0)
		close_env(st);
	pthread_rwlock_unlock(&st->lock);
	return synced == 0 ? result : -1;
}

/* LMDB takes the old map away before it asks for the new one. Where that is
 * refused the environment is left without any, and the next look into it would
 * be the last: so it is opened again as large as it was. */
int
store_resize(struct store *st, size_t map_bytes, struct err *err_out)
{
	struct err ignored;
	int rc;

	if (map_bytes <= st->map_bytes || st->env == NULL)
		return 0;
	pthread_rwlock_wrlock(&st->lock);
	reset_readers(st);
	rc = mdb_env_set_mapsize(st->env, map_bytes);
	if (rc == 0) {
		st->map_bytes = map_bytes;
	} else {
		close_env(st);
		if (open_env(st, &ignored) < 0)
			close_env(st);
	}
	pthread_rwlock_unlock(&st->lock);
	if (rc != 0)
		return err_set(err_out, "%s: map of %zu bytes: %s", st->path,
		    map_bytes, mdb_strerror(rc));
	return 0;
}

uint64_t
store_last_txn(const struct store *st)
{
	MDB_envinfo info;

	mdb_env_info(st->env, &info);
	return info.me_last_txnid;
}

/* ---- room ---- */

static uint64_t
used_bytes(const struct store *st)
{
	MDB_envinfo info;

	mdb_env_info(st->env, &info);
	return (info.me_last_pgno + 1) * (uint64_t)st->page_bytes;
}

/* Pages that were freed and can be used again: LMDB's database 0 lists them,
 * one record a transaction, its first word the number of pages. Only a reading
 * transaction may look. */
static uint64_t
freed_bytes(const struct store *st)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val key, data;
	uint64_t n = 0;

	if (mdb_txn_begin(st->env, NULL, MDB_RDONLY, &txn) != 0)
		return 0;
	if (mdb_cursor_open(txn, 0, &c) == 0) {
		while (mdb_cursor_get(c, &key, &data, MDB_NEXT) == 0) {
			size_t pages;

			memcpy(&pages, data.mv_data, sizeof(pages));
			n += pages;
		}
		mdb_cursor_close(c);
	}
	mdb_txn_abort(txn);
	return n * st->page_bytes;
}

bool
store_is_full(const struct store *st)
{
	uint64_t reserve = st->map_bytes / 8;
	uint64_t used = used_bytes(st);

	if (reserve > RESERVE_BYTES_MAX)
		reserve = RESERVE_BYTES_MAX;
	/* Only near the end is the list of free pages worth reading. */
	if (used + reserve <= st->map_bytes)
		return false;
	return used + reserve > st->map_bytes + freed_bytes(st);
}

/*
 * A sync that must also write a new file size or extent waits for the file
 * system's journal. So there are always a few MiB of zeros behind the last
 * used page; they also are the room in which deliveries can be settled when
 * the disk is full. The writer alone calls this, between transactions: nobody
 * else may be writing behind the last page.
 */
void
store_preallocate(struct store *st, struct space *space)
{
	static const char zeros[STEP_BYTES];
	uint64_t used;
	ssize_t n;

	if (st->env == NULL)
		return;
	used = used_bytes(st);
	if (st->file_bytes < used)
		st->file_bytes = used;
	if (st->file_bytes >= used + AHEAD_BYTES ||
	    !space_take(space, STEP_BYTES))
		return;
	n = pwrite(st->fd, zeros, sizeof(zeros), (off_t)st->file_bytes);
	if (n > 0) /* else a commit will tell */
		st->file_bytes += (uint64_t)n;
}

/* ---- ids ---- */

int
store_new_id(struct store *st, MDB_txn *txn, uint64_t *id_out)
{
	uint64_t now_ms = (uint64_t)spool_io.utc_us() / 1000;
	uint64_t id = now_ms << ID_SEQUENCE_BITS;
	int rc;

	if (id <= st->last_id)
		id = st->last_id + 1;
	if (id >= st->id_ceiling) {
		uint64_t ceiling =
		    id + ((uint64_t)ID_RESERVE_MS << ID_SEQUENCE_BITS);

		rc = meta_put(st, txn, "next_id", ceiling);
		if (rc != 0)
			return rc;
		st->id_ceiling = ceiling;
	}
	st->last_id = id;
	*id_out = id;
	return 0;
}

/* ---- readers ---- */

int
store_read_begin(struct spool_reader *r, struct err *err_out)
{
	struct store *st = &r->spool->store;
	int rc;

	pthread_rwlock_rdlock(&st->lock);
	if (st->env == NULL)
		rc = EIO;
	else if (r->txn == NULL)
		rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &r->txn);
	else
		rc = mdb_txn_renew(r->txn);
	if (rc == 0)
		return 0;
	pthread_rwlock_unlock(&st->lock);
	return store_err(err_out, st->path, rc);
}

void
store_read_end(struct spool_reader *r)
{
	mdb_txn_reset(r->txn);
	pthread_rwlock_unlock(&r->spool->store.lock);
}
