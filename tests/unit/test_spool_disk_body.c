/* SPDX-License-Identifier: ISC */
/* A disk that fails under the spool: contents in files, the state directory, and
 * a file system that is really full. */
#include "tests/unit/spool_disk.h"

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
