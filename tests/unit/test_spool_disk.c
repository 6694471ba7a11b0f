/* SPDX-License-Identifier: ISC */
/*
 * A disk that fails under the spool: every write, sync and commit, by way of
 * spool_io, and a file system that is really full. Nothing may be answered OK
 * that isn't durable, no settlement may be forgotten or happen twice, a failed
 * sync must not count as one that worked, and all goes on when the disk does.
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

static void
trace(char what)
{
	pthread_mutex_lock(&disk.lock);
	if (disk.trace.len == 0 || what != 'w' ||
	    disk.trace.data[disk.trace.len - 1] != 'w')
		strbuf_addc(&disk.trace, what);
	pthread_mutex_unlock(&disk.lock);
}

static bool
fails(_Atomic int *n_failures)
{
	if (atomic_load(n_failures) == 0)
		return false;
	atomic_fetch_sub(n_failures, 1);
	errno = EIO;
	return true;
}

static ssize_t
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

static int
disk_sync(int fd)
{
	atomic_fetch_add(&disk.n_syncs, 1);
	if (fails(&disk.n_sync_failures))
		return -1;
	trace('s');
	return fdatasync(fd);
}

static int
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

static int
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

static int64_t
disk_utc_us(void)
{
	return clock_utc_us();
}

static int
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

static int
disk_fini(void **state)
{
	(void)state;
	strbuf_fini(&disk.trace);
	return 0;
}

static void
wait_for_cures(struct world *w, size_t n)
{
	pthread_mutex_lock(&w->lock);
	while (w->n_cures < n)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* What is there, asked after a restart too. */
static void
restart(struct world *w)
{
	world_stop(w);
	w->n_added = 0;
	world_start(w);
}

/* ---- commits ---- */

static void
failed_commit_accepts_nothing_and_recovers(void **state)
{
	struct world w;
	struct answer before, failed;
	int commits;

	(void)state;
	world_init(&w);
	world_start(&w);
	before = submit_simple(&w, 1, 1000);
	disk.n_commit_failures = 1;
	failed = submit_simple(&w, 2, 100000);
	assert_int_equal(failed.result, SPOOL_FAILED);
	assert_int_equal(failed.id, 0);
	assert_non_null(strstr(failed.error, "commit"));
	assert_int_equal(w.n_troubles, 1);
	assert_true(stats_of(&w).is_failing);
	/* At once, without asking the disk. */
	commits = disk.n_commits;
	assert_int_equal(submit_simple(&w, 3, 10).result, SPOOL_FAILED);
	assert_int_equal(disk.n_commits, commits);
	wait_for_cures(&w, 1);
	assert_false(stats_of(&w).is_failing);
	assert_int_equal(count_body_files(w.dir), 0);
	assert_int_equal(stats_of(&w).n_messages, 1);
	assert_int_equal(submit_simple(&w, 4, 1000).result, SPOOL_OK);
	assert_true(w.last.id > before.id);
	assert_int_equal(w.n_troubles, 1);
	restart(&w);
	assert_int_equal(w.n_added, 2);
	assert_true(has_message(&w, before.id, 1, 1000));
	world_fini(&w);
}

static void
settlement_waits_until_the_disk_works(void **state)
{
	struct world w;
	uint64_t ids[2];
	struct answer a;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (int i = 0; i < 2; i++)
		ids[i] = submit_simple(&w, (uint64_t)i, 100).id;
	/* Its own commit, and two probes. */
	disk.n_commit_failures = 3;
	a = settle_simple(&w, ids[0], SPOOL_FAILED_FOR_GOOD);
	assert_int_equal(a.result, SPOOL_OK);
	assert_int_equal(w.n_troubles, 1);
	assert_int_equal(w.n_cures, 1);
	/* One notice, told once. */
	assert_int_equal(w.n_added, 3);
	assert_string_equal(w.added[2].stream, SPOOL_DSN_STREAM);
	assert_int_equal(stats_of(&w).n_messages, 2);
	restart(&w);
	assert_int_equal(w.n_added, 2);
	world_fini(&w);
}

static void
recipients_are_settled_once_whatever_the_disk_says(void **state)
{
	static const int modes[] = { COMMIT_FAILS, COMMIT_FAILS_LATE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct spool_request *q;
		struct spool_message m;
		uint64_t id;

		print_message("%s\n", i == 0 ? "failed" : "taken all the same");
		world_init(&w);
		world_start(&w);
		q = submission_new(w.spool, SENDER);
		submission_to(q, "gmail", "gone@gmail.com", "failed@gmail.com",
		    "moved@gmail.com", "kept@gmail.com", "last@gmail.com",
		    NULL);
		body_fill(q->body, 1, 100);
		id = submit_and_wait(&w, q).id;
		disk.commit_mode = modes[i];
		disk.n_commit_failures = 1;
		q = settlement_new(id, 0, 4);
		q->rcpts[0].fate = SPOOL_DELIVERED;
		q->rcpts[1].fate = SPOOL_FAILED_FOR_GOOD;
		q->rcpts[2].fate = SPOOL_MOVE;
		q->rcpts[3].fate = SPOOL_KEEP;
		q->attempts = 1;
		assert_int_equal(submit_and_wait(&w, q).result, SPOOL_OK);
		assert_int_equal(w.n_troubles, 1);
		assert_int_equal(w.n_cures, 1);
		/* The message, its notice, the moved one. */
		assert_int_equal(w.n_added, 3);
		assert_int_equal(stats_of(&w).n_messages, 2);
		assert_int_equal(stats_of(&w).n_deliveries, 3);
		restart(&w);
		assert_int_equal(w.n_added, 3);
		assert_int_equal(read_delivery(&w, id, 0, &m), 0);
		assert_int_equal(m.envelope.deliveries->n_recipients, 2);
		assert_string_equal(m.envelope.deliveries->recipients[0]
					.address,
		    "kept@gmail.com");
		assert_string_equal(m.envelope.deliveries->recipients[1]
					.address,
		    "last@gmail.com");
		spool_message_fini(&m);
		world_fini(&w);
	}
}

static void
refused_message_is_not_sent_even_if_the_disk_took_it(void **state)
{
	struct world w;
	struct answer small, large;
	struct spool_stats s;

	(void)state;
	world_init(&w);
	world_start(&w);
	submit_simple(&w, 1, 100);
	disk.commit_mode = COMMIT_FAILS_LATE;
	disk.n_commit_failures = 1;
	small = submit_simple(&w, 2, 100);
	assert_int_equal(small.result, SPOOL_FAILED);
	wait_for_cures(&w, 1);
	disk.n_commit_failures = 2; /* and the probe is reported failed */
	large = submit_simple(&w, 3, 100000);
	assert_int_equal(large.result, SPOOL_FAILED);
	wait_for_cures(&w, 2);
	s = stats_of(&w);
	assert_int_equal(s.n_messages, 1);
	assert_int_equal(s.n_deliveries, 1);
	assert_int_equal(s.n_bytes, 100);
	assert_int_equal(count_body_files(w.dir), 0);
	assert_int_equal(w.n_added, 1);
	restart(&w);
	assert_int_equal(w.n_added, 1);
	world_fini(&w);
}

static void
group_fails_and_is_answered_as_a_whole(void **state)
{
	struct world w;
	struct answer a[20] = { 0 };
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_simple(&w, 0, 100).id;
	world_stop(&w);
	world_open(&w);
	for (size_t i = 0; i < 20; i++) {
		struct spool_request *q;

		if (i == 7) {
			q = settlement_new(id, 0, 1);
			q->rcpts[0].fate = SPOOL_DELIVERED;
		} else {
			q = submission_new(w.spool, SENDER);
			submission_to(q, "gmail", "a@gmail.com", NULL);
			body_fill(q->body, i, i == 3 ? 70000 : 100);
		}
		q->owner = &a[i];
		spool_submit(w.spool, q);
	}
	w.n_answered = w.n_added = 0;
	disk.n_commit_failures = 1;
	assert_int_equal(spool_start(w.spool, NULL), 0);
	world_wait(&w, 20);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(a[i].result, i == 7 ? SPOOL_OK : SPOOL_FAILED);
	assert_int_equal(stats_of(&w).n_messages, 0);
	assert_int_equal(w.n_added, 0);
	assert_int_equal(count_body_files(w.dir), 0);
	world_fini(&w);
}

static void
settlement_is_not_lost_when_the_end_comes_first(void **state)
{
	struct world w;
	uint64_t id;
	struct spool_request *q;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_simple(&w, 1, 100).id;
	disk.n_commit_failures = 1000;
	q = settlement_new(id, 0, 1);
	q->rcpts[0].fate = SPOOL_DELIVERED;
	spool_submit(w.spool, q);
	spool_stop(w.spool);
	assert_int_equal(w.n_answered, 2);
	assert_int_equal(w.last.result, SPOOL_FAILED);
	disk.n_commit_failures = 0;
	restart(&w);
	/* It goes out a second time, which is better than never. */
	assert_int_equal(w.n_added, 1);
	assert_true(has_message(&w, id, 1, 100));
	world_fini(&w);
}

static void
pauses_grow_while_the_disk_fails(void **state)
{
	struct world w;
	struct answer a;
	int64_t begun_us;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_simple(&w, 1, 100).id;
	disk.n_commit_failures = 3; /* 0.25, 0.5, 1 s */
	begun_us = clock_mono_us();
	a = settle_simple(&w, id, SPOOL_DELIVERED);
	assert_int_equal(a.result, SPOOL_OK);
	assert_true(clock_mono_us() - begun_us >= 1700000);
	assert_int_equal(w.n_troubles, 1);
	world_fini(&w);
}

/* ---- body files ---- */

static void
body_is_durable_before_the_commit_that_names_it(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	world_start(&w);
	strbuf_reset(&disk.trace);
	assert_int_equal(submit_simple(&w, 1, 100000).result, SPOOL_OK);
	/* Written; synced; a new folder and the name in it; committed. */
	assert_string_equal(disk.trace.data, "wsddc");
	strbuf_reset(&disk.trace);
	assert_int_equal(submit_simple(&w, 2, 1000).result, SPOOL_OK);
	assert_string_equal(disk.trace.data, "c");
	world_fini(&w);
}

/* One bad apple, and others in the same commit. */
static void
submit_with_two_neighbours(struct world *w, struct answer a[3])
{
	uint64_t commits;

	world_stop(w);
	world_open(w);
	disk.n_sync_failures = 1;
	disk.n_syncs = 0;
	commits = stats_of(w).n_commits;
	for (size_t i = 0; i < 3; i++) {
		struct spool_request *q = submission_new(w->spool, SENDER);

		submission_to(q, "gmail", "a@gmail.com", NULL);
		assert_int_equal(body_fill(q->body, i, i == 1 ? 100000 : 100),
		    0);
		q->owner = &a[i];
		spool_submit(w->spool, q);
	}
	w->n_answered = 0;
	assert_int_equal(spool_start(w->spool, NULL), 0);
	world_wait(w, 3);
	assert_int_equal(stats_of(w).n_commits, commits + 1);
}

static void
failed_sync_of_a_body_fails_it_alone(void **state)
{
	struct world w;
	struct answer a[3] = { 0 };

	(void)state;
	world_init(&w);
	world_start(&w);
	submit_with_two_neighbours(&w, a);
	assert_int_equal(a[0].result, SPOOL_OK);
	assert_int_equal(a[1].result, SPOOL_FAILED);
	assert_int_equal(a[2].result, SPOOL_OK);
	/* A second sync would say that all is well. */
	assert_int_equal(disk.n_syncs, 1);
	assert_int_equal(count_body_files(w.dir), 0);
	assert_int_equal(stats_of(&w).n_messages, 2);
	assert_int_equal(w.n_troubles, 0);
	assert_int_equal(stats_of(&w).n_body_failures, 1);
	restart(&w);
	assert_int_equal(w.n_added, 2);
	assert_true(has_message(&w, a[2].id, 2, 100));
	world_fini(&w);
}

/* The name of the new folder, and the name in it. */
static void
failed_sync_of_a_folder_fails_the_body(void **state)
{
	struct world w;

	(void)state;
	for (int at = 0; at < 2; at++) {
		int before;

		world_init(&w);
		world_start(&w);
		disk.n_sync_dir_passes = at;
		disk.n_sync_dir_failures = 1;
		assert_int_equal(submit_simple(&w, 1, 100000).result,
		    SPOOL_FAILED);
		assert_int_equal(count_body_files(w.dir), 0);
		assert_int_equal(stats_of(&w).n_messages, 0);
		before = disk.n_sync_dirs;
		for (uint64_t i = 0; i < 40; i++)
			assert_int_equal(submit_simple(&w, i, 70000).result,
			    SPOOL_OK);
		assert_true(disk.n_sync_dirs > before + 40);
		assert_int_equal(count_body_files(w.dir), 40);
		world_fini(&w);
	}
}

static int64_t
still_utc_us(void)
{
	return INT64_C(1800000000000000);
}

/* Ids that follow each other, until one comes to the same folder again: it
 * must not be taken for durable because it is there. */
static void
folder_is_synced_until_that_worked(void **state)
{
	struct world w;
	struct answer a;
	char first[BODY_NAME_SIZE], name[BODY_NAME_SIZE];
	int before;

	(void)state;
	world_init(&w);
	spool_io.utc_us = still_utc_us;
	world_start(&w);
	a = submit_simple(&w, 0, 10);
	body_name(a.id + 1, first);
	disk.n_sync_dir_failures = 1;
	assert_int_equal(submit_simple(&w, 1, 70000).result, SPOOL_FAILED);
	for (;;) {
		before = disk.n_sync_dirs;
		a = submit_simple(&w, 2, 70000);
		assert_int_equal(a.result, SPOOL_OK);
		body_name(a.id, name);
		if (strncmp(name, first, 3) == 0)
			break;
	}
	assert_int_equal(disk.n_sync_dirs, before + 2);
	world_fini(&w);
}

static void
failed_write_breaks_the_body(void **state)
{
	struct world w;
	struct spool_request *q;
	struct err err;

	(void)state;
	world_init(&w);
	world_start(&w);
	q = submission_new(w.spool, SENDER);
	submission_to(q, "gmail", "a@gmail.com", NULL);
	assert_int_equal(body_fill(q->body, 1, 80000), 0);
	disk.write_errno = EIO;
	assert_int_equal(body_add(q->body, "x", 1, &err), -1);
	assert_non_null(strstr(err.text, "bodies/new-"));
	disk.write_errno = 0;
	assert_int_equal(body_add(q->body, "x", 1, &err), -1);
	/* Whoever submits it all the same. */
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_FAILED);
	assert_int_equal(count_body_files(w.dir), 0);
	assert_int_equal(stats_of(&w).n_messages, 0);

	q = submission_new(w.spool, SENDER);
	submission_to(q, "gmail", "a@gmail.com", NULL);
	assert_int_equal(body_fill(q->body, 1, 60000), 0);
	disk.write_errno = EIO; /* while what was in memory is written */
	assert_int_equal(body_fill(q->body, 1, 10000), -1);
	disk.write_errno = 0;
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_FAILED);
	assert_int_equal(count_body_files(w.dir), 0);
	world_fini(&w);
}

static void
full_file_system_is_full_not_broken(void **state)
{
	struct world w;
	struct spool_request *q;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (size_t had = 60000; had <= 80000; had += 20000) {
		q = submission_new(w.spool, SENDER);
		submission_to(q, "gmail", "a@gmail.com", NULL);
		assert_int_equal(body_fill(q->body, 1, had), 0);
		disk.write_errno = ENOSPC;
		assert_int_equal(body_fill(q->body, 1, 20000), 0);
		assert_int_equal(body_len(q->body), had + 20000);
		assert_int_equal(count_body_files(w.dir), 0);
		disk.write_errno = 0;
		assert_int_equal(submit_and_wait(&w, q).result, SPOOL_FULL);
	}
	assert_int_equal(w.n_troubles, 0);
	world_fini(&w);
}

static void
short_and_interrupted_writes_are_continued(void **state)
{
	struct world w;
	struct spool_request *q;
	struct answer a;

	(void)state;
	world_init(&w);
	world_start(&w);
	disk.short_writes = 1;
	q = submission_new(w.spool, SENDER);
	submission_to(q, "gmail", "a@gmail.com", NULL);
	disk.write_errno = EINTR;
	assert_int_equal(body_fill(q->body, 6, 100000), 0);
	a = submit_and_wait(&w, q);
	assert_int_equal(a.result, SPOOL_OK);
	assert_true(has_message(&w, a.id, 6, 100000));
	world_fini(&w);
}

/* ---- opening ---- */

static void
directory_that_cannot_be_synced_is_not_used(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	/* Its own name, the names in it, those in bodies/. */
	for (int at = 0; at < 3; at++) {
		struct spool_ops ops = world_ops(&w);
		struct err err;

		disk.n_sync_dir_passes = at;
		disk.n_sync_dir_failures = 1;
		assert_null(spool_open(&w.conf, &ops, &err));
		assert_non_null(strstr(err.text, "sync"));
		assert_int_equal(disk.n_sync_dir_failures, 0);
	}
	world_start(&w);
	world_fini(&w);
}

/* ---- a file system that is really full ---- */

/* Fills the disk with mail until it takes no more; what was answered OK is
 * there, and can be settled on the full disk. */
static void
fill_and_settle(struct world *w, size_t len, enum spool_result end)
{
	uint64_t ids[1000];
	size_t n = 0;
	struct answer a;

	while ((a = submit_simple(w, n, len)).result == SPOOL_OK) {
		assert_true(n < 1000);
		ids[n++] = a.id;
	}
	print_message("%zu of %zu bytes, then: %s\n", n, len, a.error);
	assert_int_equal(a.result, end);
	assert_true(n > 5);
	for (size_t i = 0; i < n; i++)
		assert_true(has_message(w, ids[i], i, len));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(settle_simple(w, ids[i], SPOOL_DELIVERED)
				     .result,
		    SPOOL_OK);
	restart(w);
	assert_int_equal(w->n_added, 0);
	assert_int_equal(count_body_files(w->dir), 0);
}

static void
full_disk_loses_nothing_and_settles(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	/* In a namespace of our own: it goes with the process, come what may. */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", w.dir, "tmpfs", 0, "size=24m,mode=0700") < 0) {
		print_message("no file system can be mounted here\n");
		world_fini(&w);
		skip();
	}
	world_start(&w);
	fill_and_settle(&w, 200000, SPOOL_FULL);
	fill_and_settle(&w, 50000, SPOOL_FULL);
	/* As if another program had taken what spool.min_free is for. */
	world_stop(&w);
	w.conf.spool.min_free_bytes = -(INT64_C(1) << 60);
	world_start(&w);
	fill_and_settle(&w, 200000, SPOOL_FULL);
	fill_and_settle(&w, 50000, SPOOL_FAILED);
	assert_true(w.n_troubles > 0);
	world_stop(&w);
	assert_int_equal(umount(w.dir), 0);
	world_fini(&w);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, disk_init, disk_fini)
	const struct CMUnitTest tests[] = {
		T(failed_commit_accepts_nothing_and_recovers),
		T(settlement_waits_until_the_disk_works),
		T(recipients_are_settled_once_whatever_the_disk_says),
		T(refused_message_is_not_sent_even_if_the_disk_took_it),
		T(group_fails_and_is_answered_as_a_whole),
		T(settlement_is_not_lost_when_the_end_comes_first),
		T(pauses_grow_while_the_disk_fails),
		T(body_is_durable_before_the_commit_that_names_it),
		T(failed_sync_of_a_body_fails_it_alone),
		T(failed_sync_of_a_folder_fails_the_body),
		T(folder_is_synced_until_that_worked),
		T(failed_write_breaks_the_body),
		T(full_file_system_is_full_not_broken),
		T(short_and_interrupted_writes_are_continued),
		T(directory_that_cannot_be_synced_is_not_used),
		T(full_disk_loses_nothing_and_settles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
