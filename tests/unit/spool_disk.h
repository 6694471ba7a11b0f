/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_DISK_H
#define FLYBALL_SPOOL_DISK_H

/*
 * A disk that can be told to fail, by way of spool_io. Included by the tests of
 * what the spool makes of it.
 */
#include "daemon/spool.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "tests/unit/spool_fixture.h"

/* ---- the disk ---- */

enum commit_mode {
	COMMIT_WORKS,
	COMMIT_FAILS,	   /* nothing of it is on the disk */
	COMMIT_FAILS_LATE, /* all of it is, but an error is reported */
};

static struct {
	_Atomic int commit_mode;
	_Atomic int n_commit_failures; /* so many, then it works */
	_Atomic int n_commits;
	_Atomic int write_errno; /* 0 = works */
	_Atomic int short_writes;
	_Atomic int n_sync_failures, n_syncs;
	_Atomic int n_sync_dir_passes, n_sync_dir_failures, n_sync_dirs;
	pthread_mutex_t lock;
	struct strbuf trace; /* w, s, d, c in the order of success */
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline void
trace(char what)
{
	pthread_mutex_lock(&disk.lock);
	if (disk.trace.len == 0 || what != 'w' ||
	    disk.trace.data[disk.trace.len - 1] != 'w')
		strbuf_addc(&disk.trace, what);
	pthread_mutex_unlock(&disk.lock);
}

static inline bool
fails(_Atomic int *n_failures)
{
	if (atomic_load(n_failures) == 0)
		return false;
	atomic_fetch_sub(n_failures, 1);
	errno = EIO;
	return true;
}

static inline ssize_t
disk_write(int fd, const void *data, size_t len)
{
	int error = atomic_load(&disk.write_errno);

	if (error == EINTR)
		atomic_store(&disk.write_errno, 0);
	if (error != 0) {
		errno = error;
		return -1;
	}
	trace('w');
	if (atomic_load(&disk.short_writes) && len > 1000)
		len = 1000;
	return write(fd, data, len);
}

static inline int
disk_sync(int fd)
{
	atomic_fetch_add(&disk.n_syncs, 1);
	if (fails(&disk.n_sync_failures))
		return -1;
	trace('s');
	return fdatasync(fd);
}

static inline int
disk_sync_dir(int fd)
{
	atomic_fetch_add(&disk.n_sync_dirs, 1);
	if (disk.n_sync_dir_passes > 0)
		disk.n_sync_dir_passes--;
	else if (fails(&disk.n_sync_dir_failures))
		return -1;
	trace('d');
	return fsync(fd);
}

static inline int
disk_commit(MDB_txn *txn)
{
	atomic_fetch_add(&disk.n_commits, 1);
	if (!fails(&disk.n_commit_failures)) {
		trace('c');
		return mdb_txn_commit(txn);
	}
	if (atomic_load(&disk.commit_mode) == COMMIT_FAILS_LATE)
		assert_int_equal(mdb_txn_commit(txn), 0);
	else
		mdb_txn_abort(txn);
	return EIO;
}

static inline int64_t
disk_utc_us(void)
{
	return clock_utc_us();
}

static inline int
disk_init(void **state)
{
	(void)state;
	spool_io = (struct spool_io){ .write = disk_write,
		.sync = disk_sync,
		.sync_dir = disk_sync_dir,
		.commit = disk_commit,
		.utc_us = disk_utc_us };
	atomic_store(&disk.commit_mode, COMMIT_FAILS);
	atomic_store(&disk.n_commit_failures, 0);
	atomic_store(&disk.n_sync_failures, 0);
	atomic_store(&disk.n_sync_dir_failures, 0);
	atomic_store(&disk.n_sync_dir_passes, 0);
	atomic_store(&disk.write_errno, 0);
	atomic_store(&disk.short_writes, 0);
	return 0;
}

static inline int
disk_fini(void **state)
{
	(void)state;
	strbuf_fini(&disk.trace);
	return 0;
}

static inline void
wait_for_cures(struct world *w, size_t n)
{
	pthread_mutex_lock(&w->lock);
	while (w->n_cures < n)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* What is there, asked after a restart too. */
static inline void
restart(struct world *w)
{
	world_stop(w);
	w->n_added = 0;
	world_start(w);
}

#endif
