/* SPDX-License-Identifier: ISC */
/*
 * A disk that fails under the spool: every write, sync and commit, by way of
 * spool_io, and a file system that is really full. Nothing may be answered OK
 * that isn't durable, no settlement may be forgotten or happen twice, a failed
 * sync must not count as one that worked, and all goes on when the disk does.
 */
#include "tests/unit/spool_disk.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
