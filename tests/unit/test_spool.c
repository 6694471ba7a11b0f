/* SPDX-License-Identifier: ISC */
/*
 * The spool as its callers see it: what was taken is there after a restart,
 * settlements and what they leave, limits, the state directory, readers beside
 * the writer. test_spool_notice.c has the notices, test_spool_disk.c a disk
 * that fails, test_spool_crash.c a process that dies.
 */
#include "daemon/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/spool_fixture.h"

/* A sanitizer's memory is its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MANY	    10000
#define KIB_ALLOWED LONG_MAX
#define US_EACH	    100
#else
#define MANY	    100000
#define KIB_ALLOWED 4096
#define US_EACH	    20
#endif

/* ---- what was taken is there ---- */

static const size_t sizes[] = { 0, 1, 100, 4096, 65535, 65536, 65537, 200000,
	3000000 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define N_FILES 3 /* of them are over SPOOL_INLINE_MAX */

static void
taken_mail_is_there_after_a_restart(void **state)
{
	struct world w;
	uint64_t ids[N_SIZES], total = 0;
	struct spool_stats s;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (size_t i = 0; i < N_SIZES; i++) {
		struct answer a = submit_simple(&w, i, sizes[i]);

		assert_int_equal(a.result, SPOOL_OK);
		assert_true(i == 0 || a.id > ids[i - 1]);
		ids[i] = a.id;
		total += sizes[i];
	}
	assert_int_equal(w.n_added, N_SIZES);
	assert_int_equal(count_body_files(w.dir), N_FILES);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N_SIZES; i++)
			assert_true(has_message(&w, ids[i], i, sizes[i]));
		s = stats_of(&w);
		assert_int_equal(s.n_messages, N_SIZES);
		assert_int_equal(s.n_deliveries, N_SIZES);
		assert_int_equal(s.n_bytes, total);
		world_stop(&w);
		w.n_added = 0;
		world_start(&w);
		assert_int_equal(w.n_added, N_SIZES);
		for (size_t i = 0; i < N_SIZES; i++)
			assert_int_equal(w.added[i].id, ids[i]);
	}
	world_fini(&w);
}

static void
envelope_is_kept_as_it_came(void **state)
{
	struct world w;
	struct spool_request *q;
	struct spool_message m;
	struct delivery *d;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	q = submission_new(w.spool, "m\xc3\xbcller@b.example");
	q->envelope.envid = xstrdup("QQ314");
	q->envelope.ret = RET_HDRS;
	q->envelope.body = BODY_8BITMIME;
	q->envelope.smtputf8 = true;
	q->envelope.has_8bit = true;
	d = submission_to(q, "gmail", "a@gmail.com", "b@gmail.com", NULL);
	d->recipients[1].orcpt = xstrdup("rfc822;b+2B@gmail.com");
	d->recipients[1].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
	d = submission_to(q, "other", "c@c.example", NULL);
	free(d->site);
	d->site = xstrdup("c.example");
	d->due_utc_us = INT64_C(1800000000000000);
	body_fill(q->body, 1, 300);
	id = submit_and_wait(&w, q).id;
	assert_int_equal(w.n_added, 2);
	world_stop(&w);
	world_start(&w);

	assert_int_equal(read_delivery(&w, id, 0, &m), 0);
	assert_string_equal(m.envelope.sender, "m\xc3\xbcller@b.example");
	assert_string_equal(m.envelope.envid, "QQ314");
	assert_int_equal(m.envelope.ret, RET_HDRS);
	assert_int_equal(m.envelope.body, BODY_8BITMIME);
	assert_true(m.envelope.smtputf8 && m.envelope.has_8bit);
	assert_string_equal(m.envelope.user, "shop");
	assert_int_equal(m.envelope.size_bytes, 300);
	assert_int_equal(m.envelope.n_deliveries, 1);
	assert_int_equal(m.envelope.deliveries->n_recipients, 2);
	assert_string_equal(m.envelope.deliveries->recipients[1].orcpt,
	    "rfc822;b+2B@gmail.com");
	assert_int_equal(m.envelope.deliveries->recipients[1].notify,
	    NOTIFY_SUCCESS | NOTIFY_DELAY);
	spool_message_fini(&m);
	assert_int_equal(read_delivery(&w, id, 1, &m), 0);
	assert_string_equal(m.envelope.deliveries->site, "c.example");
	assert_int_equal(m.envelope.deliveries->due_utc_us,
	    INT64_C(1800000000000000));
	assert_int_equal(m.envelope.deliveries->number, 1);
	spool_message_fini(&m);
	assert_int_equal(read_delivery(&w, id, 2, &m), 1);
	assert_int_equal(read_delivery(&w, id + 1, 0, &m), 1);
	world_fini(&w);
}

static void
message_without_recipients_is_refused_alone(void **state)
{
	struct world w;
	struct spool_request *empty, *good;
	struct answer a = { 0 }, b = { 0 };

	(void)state;
	world_init(&w);
	world_open(&w);
	empty = submission_new(w.spool, SENDER);
	submission_to(empty, "gmail", NULL);
	empty->owner = &a;
	good = submission_new(w.spool, SENDER);
	submission_to(good, "gmail", "a@gmail.com", NULL);
	good->owner = &b;
	spool_submit(w.spool, empty);
	spool_submit(w.spool, good);
	assert_int_equal(spool_start(w.spool, NULL), 0);
	world_wait(&w, 2);
	assert_int_equal(a.result, SPOOL_FAILED);
	assert_int_equal(b.result, SPOOL_OK);
	assert_int_equal(stats_of(&w).n_commits, 1);
	assert_int_equal(stats_of(&w).n_messages, 1);
	world_fini(&w);
}

/* ---- ids ---- */

static int64_t test_now_utc_us;

static int64_t
test_clock(void)
{
	return test_now_utc_us;
}

static void
ids_grow_when_the_clock_is_set_back(void **state)
{
	const struct spool_io real = spool_io;
	struct world w;
	uint64_t first, second, third;

	(void)state;
	world_init(&w);
	spool_io.utc_us = test_clock;
	test_now_utc_us = INT64_C(1800000000000000);
	world_start(&w);
	first = submit_simple(&w, 1, 10).id;
	test_now_utc_us -= INT64_C(3600000000);
	second = submit_simple(&w, 2, 10).id;
	assert_true(second > first);
	/* Nothing is left that would show how far ids have come. */
	settle_simple(&w, first, SPOOL_DELIVERED);
	settle_simple(&w, second, SPOOL_DELIVERED);
	world_stop(&w);
	world_start(&w);
	third = submit_simple(&w, 3, 10).id;
	assert_true(third > second);
	world_fini(&w);
	spool_io = real;
}

/* ---- settlements ---- */

static uint64_t
submit_three(struct world *w)
{
	struct spool_request *q = submission_new(w->spool, SENDER);

	submission_to(q, "gmail", "a@gmail.com", "b@gmail.com", "c@gmail.com",
	    NULL);
	body_fill(q->body, 1, 500);
	return submit_and_wait(w, q).id;
}

static void
settled_recipients_leave_their_delivery(void **state)
{
	struct world w;
	struct spool_request *q;
	struct spool_message m;
	const struct delivery *d;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_three(&w);
	q = settlement_new(id, 0, 2);
	q->rcpts[0].fate = SPOOL_DELIVERED;
	q->rcpts[1].fate = SPOOL_KEEP;
	q->rcpts[1].reply = xstrdup("450 4.2.1 later");
	q->attempts = 3;
	q->due_utc_us = 777;
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_OK);
	assert_int_equal(read_delivery(&w, id, 0, &m), 0);
	d = m.envelope.deliveries;
	assert_int_equal(d->n_recipients, 2);
	assert_string_equal(d->recipients[0].address, "b@gmail.com");
	assert_string_equal(d->recipients[1].address, "c@gmail.com");
	assert_int_equal(d->attempts, 3);
	assert_int_equal(d->due_utc_us, 777);
	assert_string_equal(d->last_reply, "450 4.2.1 later");
	spool_message_fini(&m);
	q = settlement_new(id, 0, 2);
	q->rcpts[0].fate = SPOOL_DROPPED;
	q->rcpts[1].fate = SPOOL_DELIVERED;
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_OK);
	assert_int_equal(read_delivery(&w, id, 0, &m), 1);
	assert_int_equal(stats_of(&w).n_messages, 0);
	assert_int_equal(stats_of(&w).n_deliveries, 0);
	assert_int_equal(stats_of(&w).n_bytes, 0);
	/* Again, and of what never was. */
	assert_int_equal(settle_simple(&w, id, SPOOL_DELIVERED).result,
	    SPOOL_OK);
	assert_int_equal(settle_simple(&w, 4711, SPOOL_DELIVERED).result,
	    SPOOL_OK);
	assert_int_equal(stats_of(&w).n_messages, 0);
	assert_int_equal(w.n_added, 1);
	world_fini(&w);
}

static void
moved_recipients_get_a_delivery_of_their_own(void **state)
{
	struct world w;
	struct spool_request *q;
	struct spool_message m;
	const struct added *news = &w.added[1];
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_three(&w);
	q = settlement_new(id, 0, 3);
	q->rcpts[0].fate = SPOOL_KEEP;
	q->rcpts[1].fate = SPOOL_MOVE;
	q->rcpts[1].reply = xstrdup("450 4.2.1 moved");
	q->rcpts[2].fate = SPOOL_DELIVERED;
	q->attempts = 0;
	q->move_attempts = 1;
	q->move_due_utc_us = 4711;
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_OK);
	assert_int_equal(w.n_added, 2);
	assert_int_equal(news->id, id);
	assert_int_equal(news->number, 1);
	assert_int_equal(news->n_recipients, 1);
	assert_int_equal(news->attempts, 1);
	assert_int_equal(news->due_utc_us, 4711);
	assert_string_equal(news->provider, "gmail");
	assert_string_equal(news->first, "b@gmail.com");
	assert_int_equal(stats_of(&w).n_messages, 1);
	assert_int_equal(stats_of(&w).n_deliveries, 2);
	assert_int_equal(read_delivery(&w, id, 1, &m), 0);
	assert_string_equal(m.envelope.deliveries->last_reply,
	    "450 4.2.1 moved");
	spool_message_fini(&m);
	assert_int_equal(settle_simple(&w, id, SPOOL_DELIVERED).result,
	    SPOOL_OK);
	assert_int_equal(read_delivery(&w, id, 0, &m), 1);
	assert_int_equal(stats_of(&w).n_messages, 1);

	/* All moved: the old delivery goes, the message stays. */
	q = settlement_new(id, 1, 1);
	q->rcpts[0].fate = SPOOL_MOVE;
	assert_int_equal(submit_and_wait(&w, q).result, SPOOL_OK);
	assert_int_equal(read_delivery(&w, id, 1, &m), 1);
	assert_int_equal(read_delivery(&w, id, 2, &m), 0);
	spool_message_fini(&m);
	assert_int_equal(stats_of(&w).n_deliveries, 1);
	world_fini(&w);
}

static void
last_delivery_takes_message_and_file_along(void **state)
{
	struct world w;
	struct spool_request *q;
	struct envelope e;
	struct spool_reader *r;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	q = submission_new(w.spool, SENDER);
	submission_to(q, "gmail", "a@gmail.com", NULL);
	submission_to(q, "yahoo", "a@yahoo.com", NULL);
	submission_to(q, "gmx", "a@gmx.de", NULL);
	body_fill(q->body, 5, 100000);
	id = submit_and_wait(&w, q).id;
	assert_int_equal(count_body_files(w.dir), 1);
	settle_simple(&w, id, SPOOL_DELIVERED);
	assert_true(!has_message(&w, id, 5, 100000));
	r = spool_reader_new(w.spool, NULL);
	assert_int_equal(spool_read_message(r, id, &e, NULL), 0);
	assert_int_equal(e.n_deliveries, 2);
	assert_int_equal(e.deliveries[1].number, 2);
	assert_string_equal(e.deliveries[1].provider, "gmx");
	envelope_fini(&e);
	for (uint32_t number = 1; number < 3; number++) {
		q = settlement_new(id, number, 1);
		q->rcpts[0].fate = SPOOL_DROPPED;
		assert_int_equal(count_body_files(w.dir), 1);
		submit_and_wait(&w, q);
	}
	assert_int_equal(count_body_files(w.dir), 0);
	assert_int_equal(spool_read_message(r, id, &e, NULL), 1);
	spool_reader_free(r);
	world_fini(&w);
}

/* ---- limits ---- */

static void
messages_up_to_the_limit(void **state)
{
	struct world w;
	struct answer a[6] = { 0 };
	size_t n_ok = 0;

	(void)state;
	world_init(&w);
	w.conf.spool.max_messages = 4;
	world_open(&w);
	/* All in one commit. */
	for (size_t i = 0; i < 6; i++) {
		struct spool_request *q = submission_new(w.spool, SENDER);

		submission_to(q, "gmail", "a@gmail.com", NULL);
		q->owner = &a[i];
		spool_submit(w.spool, q);
	}
	assert_int_equal(spool_start(w.spool, NULL), 0);
	world_wait(&w, 6);
	assert_int_equal(stats_of(&w).n_commits, 1);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(a[i].result, i < 4 ? SPOOL_OK : SPOOL_FULL);
		n_ok += a[i].result == SPOOL_OK;
	}
	assert_int_equal(stats_of(&w).n_messages, n_ok);
	assert_int_equal(w.n_added, n_ok);
	settle_simple(&w, a[0].id, SPOOL_DELIVERED);
	assert_int_equal(submit_simple(&w, 9, 10).result, SPOOL_OK);
	assert_int_equal(submit_simple(&w, 9, 10).result, SPOOL_FULL);
	assert_non_null(strstr(w.last.error, "max_messages"));
	w.conf.spool.max_messages = 5;
	spool_configure(w.spool, &w.conf);
	assert_int_equal(submit_simple(&w, 9, 10).result, SPOOL_OK);
	assert_int_equal(submit_simple(&w, 9, 10).result, SPOOL_FULL);
	assert_int_equal(w.n_troubles, 0);
	world_fini(&w);
}

static void
bytes_up_to_the_limit(void **state)
{
	struct world w;
	struct answer a;

	(void)state;
	world_init(&w);
	w.conf.spool.max_bytes = 200000;
	world_start(&w);
	a = submit_simple(&w, 1, 100000);
	assert_int_equal(a.result, SPOOL_OK);
	assert_int_equal(submit_simple(&w, 2, 100001).result, SPOOL_FULL);
	assert_non_null(strstr(w.last.error, "max_bytes"));
	assert_int_equal(count_body_files(w.dir), 1);
	assert_int_equal(submit_simple(&w, 3, 100000).result, SPOOL_OK);
	assert_int_equal(submit_simple(&w, 4, 1).result, SPOOL_FULL);
	assert_int_equal(submit_simple(&w, 5, 0).result, SPOOL_OK);
	settle_simple(&w, a.id, SPOOL_DROPPED);
	assert_int_equal(submit_simple(&w, 6, 100000).result, SPOOL_OK);
	world_stop(&w);
	/* Counted the same after a restart. */
	world_start(&w);
	assert_int_equal(submit_simple(&w, 7, 1).result, SPOOL_FULL);
	assert_int_equal(w.n_troubles, 0);
	world_fini(&w);
}

static void
room_is_left_on_the_file_system(void **state)
{
	struct world w;
	struct spool_stats s;

	(void)state;
	world_init(&w);
	w.conf.spool.min_free_bytes = INT64_C(1) << 60;
	world_start(&w);
	assert_int_equal(submit_simple(&w, 1, 10).result, SPOOL_FULL);
	assert_non_null(strstr(w.last.error, "min_free"));
	/* No trouble with the disk: the body goes on for show. */
	assert_int_equal(submit_simple(&w, 2, 300000).result, SPOOL_FULL);
	assert_int_equal(count_body_files(w.dir), 0);
	/* At the edge. */
	s = stats_of(&w);
	w.conf.spool.min_free_bytes = (int64_t)s.free_bytes - 100000000;
	spool_configure(w.spool, &w.conf);
	assert_int_equal(submit_simple(&w, 3, 1000000).result, SPOOL_OK);
	w.conf.spool.min_free_bytes = (int64_t)s.free_bytes + 100000000;
	spool_configure(w.spool, &w.conf);
	assert_int_equal(submit_simple(&w, 4, 1).result, SPOOL_FULL);
	assert_int_equal(w.n_troubles, 0);
	world_fini(&w);
}

static void
full_map_refuses_mail_but_settles(void **state)
{
	struct world w;
	uint64_t ids[2000];
	size_t n = 0;
	struct answer a;

	(void)state;
	world_init(&w);
	spool_test_map_bytes = 2 << 20;
	world_start(&w);
	while ((a = submit_simple(&w, n, 4000)).result == SPOOL_OK) {
		assert_true(n < 2000);
		ids[n++] = a.id;
	}
	assert_int_equal(a.result, SPOOL_FULL);
	assert_true(n > 50);
	/* A failure, and its notice, in what is reserved for that. */
	for (size_t i = 0; i < n; i++)
		assert_int_equal(settle_simple(&w, ids[i],
				     SPOOL_FAILED_FOR_GOOD)
				     .result,
		    SPOOL_OK);
	assert_int_equal(stats_of(&w).n_messages, n);
	world_stop(&w);
	w.n_added = 0;
	world_start(&w);
	/* Pages that were freed are room again, nearly all of it. */
	for (size_t i = 0; i < n; i++)
		settle_simple(&w, w.added[i].id, SPOOL_DROPPED);
	for (size_t i = 0; i < n * 8 / 10; i++)
		assert_int_equal(submit_simple(&w, i, 4000).result, SPOOL_OK);
	assert_int_equal(w.n_troubles, 0);
	world_fini(&w);
	spool_test_map_bytes = 0;
}

static void
map_grows_with_the_limits(void **state)
{
	struct world w;
	size_t n = 0;

	(void)state;
	world_init(&w);
	spool_test_map_bytes = 2 << 20;
	world_start(&w);
	while (submit_simple(&w, n, 30000).result == SPOOL_OK)
		n++;
	spool_test_map_bytes = 8 << 20;
	spool_configure(w.spool, &w.conf);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(submit_simple(&w, n + i, 30000).result,
		    SPOOL_OK);
	world_stop(&w);
	world_start(&w);
	assert_int_equal(stats_of(&w).n_messages, 2 * n);
	world_fini(&w);
	spool_test_map_bytes = 0;
}

/* ---- the state directory ---- */

static void
assert_refused(struct world *w, const char *why)
{
	struct spool_ops ops = world_ops(w);
	struct err err = { .text = "" };

	assert_null(spool_open(&w->conf, &ops, &err));
	if (strstr(err.text, why) == NULL)
		fail_msg("\"%s\" isn't in \"%s\"", why, err.text);
	assert_non_null(strstr(err.text, w->dir));
}

static void
second_daemon_is_refused(void **state)
{
	struct world w;
	char why[64];

	(void)state;
	world_init(&w);
	world_start(&w);
	snprintf(why, sizeof(why), "in use by another flyballd (process %d)",
	    (int)getpid());
	assert_refused(&w, why);
	assert_int_equal(submit_simple(&w, 1, 10).result, SPOOL_OK);
	world_stop(&w);
	world_start(&w);
	world_fini(&w);
}

static void
directory_of_another_user_is_refused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	if (geteuid() == 0) {
		assert_int_equal(chown(w.dir, 12345, (gid_t)-1), 0);
		assert_refused(&w, "belongs to user 12345");
		assert_int_equal(chown(w.dir, 0, (gid_t)-1), 0);
	} else {
		char *mine = w.conf.daemon.state_dir;

		w.conf.daemon.state_dir = (char *)"/";
		strcpy(w.dir, "/");
		assert_refused(&w, "belongs to user 0");
		w.conf.daemon.state_dir = mine;
		return;
	}
	world_fini(&w);
}

static void
directory_is_made_for_its_owner_alone(void **state)
{
	struct world w;
	char *below;
	struct stat s;

	(void)state;
	world_init(&w);
	below = xasprintf("%s/new", w.dir);
	w.conf.daemon.state_dir = below;
	world_start(&w);
	assert_int_equal(stat(below, &s), 0);
	assert_int_equal(s.st_mode & 07777, 0700);
	world_stop(&w);
	w.conf.daemon.state_dir = (char *)"/nonexistent/state";
	strcpy(below, "/nonexistent");
	{
		struct spool_ops ops = world_ops(&w);
		struct err err;

		assert_null(spool_open(&w.conf, &ops, &err));
		assert_non_null(strstr(err.text, "/nonexistent/state"));
	}
	free(below);
	world_fini(&w);
}

/* What a later flyball might write. */
static void
set_schema(const char *dir, uint64_t version)
{
	char *path = xasprintf("%s/spool.mdb", dir);
	uint64_t be = htobe64(version);
	MDB_val key = { 6, (void *)(uintptr_t) "schema" };
	MDB_val data = { 8, &be };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(path);
}

static void
newer_schema_is_refused_older_goes_on(void **state)
{
	struct world w;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_simple(&w, 1, 100).id;
	world_stop(&w);
	set_schema(w.dir, 99);
	assert_refused(&w, "newer flyball (schema 99");
	set_schema(w.dir, 0);
	world_start(&w);
	assert_true(has_message(&w, id, 1, 100));
	world_stop(&w);
	/* The step forward was written down. */
	set_schema(w.dir, 99);
	assert_refused(&w, "newer flyball (schema 99");
	world_fini(&w);
}

static void
file_that_is_no_database_is_refused(void **state)
{
	struct world w;
	char *path;
	FILE *f;

	(void)state;
	world_init(&w);
	path = xasprintf("%s/spool.mdb", w.dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 10000; i++)
		fputs("no database ", f);
	fclose(f);
	assert_refused(&w, "spool.mdb");
	free(path);
	world_fini(&w);
}

static void
put_file(const char *dir, const char *name)
{
	char *path = xasprintf("%s/bodies/%s", dir, name);
	FILE *f;

	*strrchr(path, '/') = '\0';
	(void)mkdir(path, 0700);
	path[strlen(path)] = '/';
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("left behind", f);
	fclose(f);
	free(path);
}

static bool
has_file(const char *dir, const char *name)
{
	char *path = xasprintf("%s/bodies/%s", dir, name);
	bool has = access(path, F_OK) == 0;

	free(path);
	return has;
}

static void
orphans_are_swept_and_nothing_else(void **state)
{
	char orphan[BODY_NAME_SIZE], mine[BODY_NAME_SIZE];
	static const char *const alien[] = { "notes.txt", "ab/notes.txt",
		"ab/0000000000001", "zz/0000000000001", "abc/0000000000001" };
	struct world w;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	id = submit_simple(&w, 1, 100000).id;
	world_stop(&w);
	body_name(id, mine);
	body_name(id + 1, orphan);
	assert_true(has_file(w.dir, mine));
	put_file(w.dir, orphan);
	put_file(w.dir, "new-0");
	put_file(w.dir, "new-31");
	for (size_t i = 0; i < sizeof(alien) / sizeof(*alien); i++)
		put_file(w.dir, alien[i]);
	world_start(&w);
	assert_false(has_file(w.dir, orphan));
	assert_false(has_file(w.dir, "new-0"));
	assert_false(has_file(w.dir, "new-31"));
	for (size_t i = 0; i < sizeof(alien) / sizeof(*alien); i++)
		assert_true(has_file(w.dir, alien[i]));
	assert_true(has_message(&w, id, 1, 100000));
	world_fini(&w);
}

static void
body_that_was_not_submitted_leaves_nothing(void **state)
{
	struct world w;
	struct body *b;
	char buf[10];

	(void)state;
	world_init(&w);
	world_start(&w);
	b = body_new(w.spool);
	assert_int_equal(body_fill(b, 1, 100), 0);
	assert_int_equal(body_read(b, 95, buf, 10), 5);
	assert_int_equal(body_read(b, 100, buf, 10), 0);
	assert_int_equal(body_fill(b, 1, 100000), 0);
	assert_int_equal(body_len(b), 100100);
	assert_int_equal(body_read(b, 100095, buf, 10), 5);
	assert_int_equal(count_body_files(w.dir), 1);
	body_free(b);
	assert_int_equal(count_body_files(w.dir), 0);
	world_fini(&w);
}

/* ---- damage ---- */

static void
overwrite_record(struct world *w, uint64_t id, bool whole_delivery)
{
	char *path = xasprintf("%s/spool.mdb", w->dir);
	uint8_t bytes[13] = { 0 };
	uint64_t be = htobe64(id);
	MDB_val key = { whole_delivery ? 13 : 9, bytes };
	MDB_val data = { 7, (void *)(uintptr_t) "\xff garbage" };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	memcpy(bytes, &be, 8);
	bytes[8] = whole_delivery ? RECORD_DELIVERY : RECORD_MESSAGE;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "mail", 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(path);
}

static void
damaged_record_holds_nothing_else_back(void **state)
{
	struct world w;
	uint64_t ids[4];
	struct spool_message m;
	struct spool_request *q[2];
	struct answer a[2] = { 0 };

	(void)state;
	world_init(&w);
	world_start(&w);
	for (size_t i = 0; i < 4; i++)
		ids[i] = submit_simple(&w, i, 1000).id;
	world_stop(&w);
	overwrite_record(&w, ids[1], false);
	overwrite_record(&w, ids[2], true);
	w.n_added = 0;
	world_start(&w);
	assert_int_equal(w.n_added, 2);
	assert_int_equal(w.added[0].id, ids[0]);
	assert_int_equal(w.added[1].id, ids[3]);
	assert_int_equal(read_delivery(&w, ids[1], 0, &m), -1);
	assert_int_equal(read_delivery(&w, ids[2], 0, &m), -1);
	assert_true(has_message(&w, ids[3], 3, 1000));
	world_stop(&w);
	world_open(&w);
	for (size_t i = 0; i < 2; i++) {
		q[i] = settlement_new(ids[i], 0, 1);
		q[i]->rcpts[0].fate = SPOOL_DELIVERED;
		q[i]->owner = &a[i];
		spool_submit(w.spool, q[i]);
	}
	w.n_answered = 0;
	assert_int_equal(spool_start(w.spool, NULL), 0);
	world_wait(&w, 2);
	assert_int_equal(a[0].result, SPOOL_OK);
	assert_int_equal(a[1].result, SPOOL_FAILED);
	assert_int_equal(read_delivery(&w, ids[0], 0, &m), 1);
	assert_int_equal(w.n_troubles, 0);
	world_fini(&w);
}

/* ---- the end ---- */

static void
what_is_queued_at_the_end_is_committed(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (int i = 0; i < 200; i++) {
		struct spool_request *q = submission_new(w.spool, SENDER);

		submission_to(q, "gmail", "a@gmail.com", NULL);
		body_fill(q->body, (uint64_t)i, 1000);
		spool_submit(w.spool, q);
	}
	spool_stop(w.spool);
	assert_int_equal(w.n_answered, 200);
	assert_int_equal(w.n_added, 200);
	/* Too late. */
	spool_submit(w.spool, submission_new(w.spool, SENDER));
	assert_int_equal(w.n_answered, 201);
	assert_int_equal(w.last.result, SPOOL_FAILED);
	world_stop(&w);
	w.n_added = 0;
	world_start(&w);
	assert_int_equal(w.n_added, 200);
	world_fini(&w);
}

/* ---- threads ---- */

#define N_THREADS 4
#define N_EACH	  150

struct sender {
	pthread_t thread;
	struct world *w;
	uint64_t seed;
	size_t n_bad;
};

static void
wait_own(struct world *w, struct answer *a)
{
	pthread_mutex_lock(&w->lock);
	while (a->id == 0 && *a->error == '\0')
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* Submits, reads back, settles, and sees it gone. */
static void *
send_and_settle(void *arg)
{
	struct sender *s = arg;
	struct spool_reader *r = spool_reader_new(s->w->spool, NULL);

	for (uint64_t i = 0; i < N_EACH; i++) {
		struct spool_request *q = submission_new(s->w->spool, SENDER);
		uint64_t seed = s->seed * N_EACH + i;
		size_t len = i % 20 == 0 ? 70000 : 2000;
		struct answer a = { 0 }, b = { .id = 0 };
		struct spool_message m;
		char *want, *got;

		submission_to(q, "gmail", "a@gmail.com", NULL);
		body_fill(q->body, seed, len);
		q->owner = &a;
		/* Some write themselves where they can. */
		if (i % 3 == 0)
			spool_write(s->w->spool, q);
		else
			spool_submit(s->w->spool, q);
		wait_own(s->w, &a);
		if (spool_read_delivery(r, a.id, 0, &m, NULL) != 0) {
			s->n_bad++;
			continue;
		}
		want = content_make(seed, len);
		got = content_of(&m);
		s->n_bad += got == NULL || memcmp(want, got, len) != 0;
		free(want);
		free(got);
		spool_message_fini(&m);
		q = settlement_new(a.id, 0, 1);
		q->rcpts[0].fate = SPOOL_DELIVERED;
		q->envelope.id = 1; /* comes back in the answer */
		q->owner = &b;
		spool_submit(s->w->spool, q);
		wait_own(s->w, &b);
		s->n_bad += spool_read_delivery(r, a.id, 0, &m, NULL) != 1;
	}
	spool_reader_free(r);
	return NULL;
}

static void
many_threads_submit_read_and_settle(void **state)
{
	struct sender senders[N_THREADS];
	struct world w;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (size_t i = 0; i < N_THREADS; i++) {
		senders[i] = (struct sender){ .w = &w, .seed = i };
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
				     send_and_settle, &senders[i]),
		    0);
	}
	/* Reloads and growing maps beside it. */
	for (int i = 1; i < 30; i++) {
		w.conf.spool.max_bytes += 1 << 20;
		spool_configure(w.spool, &w.conf);
		usleep(1000);
	}
	for (size_t i = 0; i < N_THREADS; i++) {
		pthread_join(senders[i].thread, NULL);
		assert_int_equal(senders[i].n_bad, 0);
	}
	assert_int_equal(stats_of(&w).n_messages, 0);
	assert_int_equal(count_body_files(w.dir), 0);
	world_fini(&w);
}

static void
idle_reader_lets_pages_be_used_again(void **state)
{
	struct world w;
	struct spool_reader *r;
	struct spool_message m;
	struct stat before, after;
	char *path;
	uint64_t id;

	(void)state;
	world_init(&w);
	world_start(&w);
	path = xasprintf("%s/spool.mdb", w.dir);
	r = spool_reader_new(w.spool, NULL);
	id = submit_simple(&w, 1, 50000).id;
	assert_int_equal(spool_read_delivery(r, id, 0, &m, NULL), 0);
	spool_message_fini(&m);
	for (uint64_t i = 0; i < 20; i++)
		settle_simple(&w, submit_simple(&w, i, 50000).id,
		    SPOOL_DELIVERED);
	assert_int_equal(stat(path, &before), 0);
	for (uint64_t i = 0; i < 300; i++)
		settle_simple(&w, submit_simple(&w, i, 50000).id,
		    SPOOL_DELIVERED);
	assert_int_equal(stat(path, &after), 0);
	/* 15 MB went through; the zeros ahead are 4 MiB. */
	assert_true(after.st_size < before.st_size + (6 << 20));
	spool_reader_free(r);
	free(path);
	world_fini(&w);
}

/* ---- size ---- */

static long
anonymous_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "RssAnon: %ld", &kib);
	if (f != NULL)
		fclose(f);
	return kib;
}

static void
long_queue_is_scanned_quickly_and_in_little_memory(void **state)
{
	struct world w;
	struct err err;
	int64_t begun_us, took_us;
	long kib;

	(void)state;
	world_init(&w);
	world_start(&w);
	for (int i = 0; i < MANY; i++) {
		struct spool_request *q = submission_new(w.spool, SENDER);

		submission_to(q, "gmail", "someone@gmail.com", NULL);
		body_add(q->body, "X: y\r\n\r\n", 8, NULL);
		spool_submit(w.spool, q);
		if (i % 1000 == 0)
			world_wait(&w, (size_t)i);
	}
	world_stop(&w);
	w.n_added = 0;
	world_open(&w);
	kib = anonymous_kib();
	begun_us = clock_mono_us();
	assert_int_equal(spool_scan(w.spool, &err), 0);
	took_us = clock_mono_us() - begun_us;
	kib = anonymous_kib() - kib;
	print_message("%d deliveries scanned in %d ms, %ld KiB\n", MANY,
	    (int)(took_us / 1000), kib);
	assert_int_equal(w.n_added, MANY);
	/* A million in seconds, and no memory that grows with the queue. */
	assert_true(took_us < MANY * INT64_C(1) * US_EACH);
	assert_true(kib < KIB_ALLOWED);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_mail_is_there_after_a_restart),
		cmocka_unit_test(envelope_is_kept_as_it_came),
		cmocka_unit_test(message_without_recipients_is_refused_alone),
		cmocka_unit_test(ids_grow_when_the_clock_is_set_back),
		cmocka_unit_test(settled_recipients_leave_their_delivery),
		cmocka_unit_test(moved_recipients_get_a_delivery_of_their_own),
		cmocka_unit_test(last_delivery_takes_message_and_file_along),
		cmocka_unit_test(messages_up_to_the_limit),
		cmocka_unit_test(bytes_up_to_the_limit),
		cmocka_unit_test(room_is_left_on_the_file_system),
		cmocka_unit_test(full_map_refuses_mail_but_settles),
		cmocka_unit_test(map_grows_with_the_limits),
		cmocka_unit_test(second_daemon_is_refused),
		cmocka_unit_test(directory_of_another_user_is_refused),
		cmocka_unit_test(directory_is_made_for_its_owner_alone),
		cmocka_unit_test(newer_schema_is_refused_older_goes_on),
		cmocka_unit_test(file_that_is_no_database_is_refused),
		cmocka_unit_test(orphans_are_swept_and_nothing_else),
		cmocka_unit_test(body_that_was_not_submitted_leaves_nothing),
		cmocka_unit_test(damaged_record_holds_nothing_else_back),
		cmocka_unit_test(what_is_queued_at_the_end_is_committed),
		cmocka_unit_test(many_threads_submit_read_and_settle),
		cmocka_unit_test(idle_reader_lets_pages_be_used_again),
		cmocka_unit_test(
		    long_queue_is_scanned_quickly_and_in_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
