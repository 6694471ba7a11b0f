/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

static struct conf conf;
static char dir[64];

static struct {
	pthread_mutex_t lock;
	pthread_cond_t told;
	unsigned n_committed;
	bool is_failing;
	enum spool_result result; /* that is expected */
} news = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false,
	SPOOL_OK };

static void
on_committed(struct spool_request *q, void *arg)
{
	(void)arg;
	assert_int_equal(q->result, news.result);
	spool_request_free(q);
	pthread_mutex_lock(&news.lock);
	news.n_committed++;
	pthread_cond_signal(&news.told);
	pthread_mutex_unlock(&news.lock);
}

static void
on_trouble(const struct err *err, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&news.lock);
	news.is_failing = err != NULL;
	pthread_cond_signal(&news.told);
	pthread_mutex_unlock(&news.lock);
}

static void
await_committed(unsigned n)
{
	pthread_mutex_lock(&news.lock);
	while (news.n_committed < n)
		pthread_cond_wait(&news.told, &news.lock);
	news.n_committed = 0;
	pthread_mutex_unlock(&news.lock);
}

static struct spool *
open_spool(void)
{
	const struct spool_ops ops = { .committed = on_committed,
		.trouble = on_trouble };
	struct err err;
	struct spool *spool = spool_open(&conf, &ops, &err);

	if (spool == NULL)
		fail_msg("%s", err.text);
	return spool;
}

static struct spool *
open_and_start(void)
{
	struct spool *spool = open_spool();
	struct err err;

	assert_int_equal(spool_scan(spool, &err), 0);
	assert_int_equal(spool_start(spool, &err), 0);
	return spool;
}

static struct spool_request *
fact_request(const char *key, const char *value)
{
	struct spool_request *q = xcalloc(1, sizeof(*q));

	q->kind = SPOOL_FACTS;
	q->facts =
	    spool_fact_new(key, strlen(key), value, value ? strlen(value) : 0);
	return q;
}

static void
put(struct spool *spool, const char *key, const char *value)
{
	spool_submit(spool, fact_request(key, value));
}

static void
on_fact(const void *key, size_t key_len, const void *value, size_t value_len,
    void *arg)
{
	strbuf_addf(arg, "%.*s=%.*s;", (int)key_len, (const char *)key,
	    (int)value_len, (const char *)value);
}

static void
assert_facts(const char *expected)
{
	struct spool *spool = open_spool();
	struct strbuf text = { 0 };
	struct err err;

	strbuf_adds(&text, "");
	assert_int_equal(spool_facts_each(spool, on_fact, &text, &err), 0);
	assert_string_equal(text.data, expected);
	strbuf_fini(&text);
	spool_close(spool);
}

static void
test_kept_replaced_and_removed(void **state)
{
	struct spool *spool = open_and_start();

	(void)state;
	put(spool, "b", "two");
	put(spool, "a", "one");
	put(spool, "c", "");
	await_committed(3);
	spool_stop(spool);
	spool_close(spool);
	assert_facts("a=one;b=two;c=;");
	spool = open_and_start();
	put(spool, "b", "three");
	put(spool, "a", NULL);
	put(spool, "never there", NULL);
	await_committed(3);
	spool_stop(spool);
	spool_close(spool);
	assert_facts("b=three;c=;");
}

static bool
on_fact_until(const void *key, size_t key_len, const void *value,
    size_t value_len, void *arg)
{
	on_fact(key, key_len, value, value_len, arg);
	return ((struct strbuf *)arg)->len < 8;
}

static void
test_read_while_it_runs(void **state)
{
	struct spool *spool = open_and_start();
	struct strbuf text = { 0 };
	struct err err;
	struct spool_reader *r = spool_reader_new(spool, &err);

	(void)state;
	put(spool, "e", "1");
	put(spool, "f", "2");
	put(spool, "g", "3");
	await_committed(3);
	assert_int_equal(spool_facts_read(r, "dd", 2, on_fact_until, &text,
			     &err),
	    0);
	assert_string_equal(text.data, "e=1;f=2;");
	strbuf_reset(&text);
	assert_int_equal(spool_facts_read(r, "h", 1, on_fact_until, &text,
			     &err),
	    0);
	assert_int_equal(text.len, 0);
	strbuf_fini(&text);
	spool_reader_free(r);
	for (const char *key = "efg"; *key != '\0'; key++) {
		char name[2] = { *key };

		put(spool, name, NULL);
	}
	await_committed(3);
	spool_stop(spool);
	spool_close(spool);
}

/* The archive is stepped over at the start, and what is behind it isn't. */
static void
test_archive_is_left_out(void **state)
{
	struct spool *spool = open_and_start();
	struct strbuf text = { 0 };
	struct err err;
	struct spool_reader *r = spool_reader_new(spool, &err);

	(void)state;
	put(spool, "h1", "1");
	put(spool, "h2", "2");
	put(spool, "i", "3");
	await_committed(3);
	assert_int_equal(spool_facts_read(r, "h", 1, on_fact_until, &text,
			     &err),
	    0);
	assert_string_equal(text.data, "h1=1;h2=2;");
	strbuf_fini(&text);
	spool_reader_free(r);
	spool_stop(spool);
	spool_close(spool);
	assert_facts("b=three;c=;i=3;");
	spool = open_and_start();
	put(spool, "i", NULL);
	await_committed(1);
	spool_stop(spool);
	spool_close(spool);
	assert_facts("b=three;c=;"); /* it ends with the archive */
}

static int
failing_commit(MDB_txn *txn)
{
	mdb_txn_abort(txn);
	return EIO;
}

/* The disk fails and comes back: a fact is not lost over it. */
static void
test_not_given_up(void **state)
{
	struct spool *spool = open_and_start();

	(void)state;
	spool_io.commit = failing_commit;
	put(spool, "d", "four");
	pthread_mutex_lock(&news.lock);
	while (!news.is_failing)
		pthread_cond_wait(&news.told, &news.lock);
	assert_int_equal(news.n_committed, 0);
	pthread_mutex_unlock(&news.lock);
	spool_io.commit = mdb_txn_commit;
	await_committed(1);
	assert_false(news.is_failing);
	spool_stop(spool);
	spool_close(spool);
	assert_facts("b=three;c=;d=four;");
}

static int
make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_spool_fact.XXXXXX");
	assert_non_null(mkdtemp(dir));
	conf.daemon.state_dir = dir;
	conf.daemon.hostname = (char *)"relay.example";
	conf.spool.max_messages = 1000;
	conf.spool.max_bytes = 1 << 20;
	conf.spool.expire_us = 1000000;
	return 0;
}

static int
remove_dir(void **state)
{
	char *command = xasprintf("rm -rf %s", dir);
	int status = system(command);

	(void)state;
	free(command);
	return status;
}

/* When nobody else writes any more; with a disk that fails it is told so. */
static void
test_the_last_word(void **state)
{
	struct spool *spool = open_and_start();

	(void)state;
	spool_stop(spool);
	spool_write_last(spool, fact_request("last", "word"));
	await_committed(1);
	spool_close(spool);
	assert_facts("b=three;c=;d=four;last=word;");
	spool = open_and_start();
	spool_stop(spool);
	spool_io.commit = failing_commit;
	news.result = SPOOL_FAILED;
	spool_write_last(spool, fact_request("last", "lost"));
	spool_io.commit = mdb_txn_commit;
	news.result = SPOOL_OK;
	spool_write_last(spool, fact_request("last", NULL));
	await_committed(2);
	spool_close(spool);
	assert_facts("b=three;c=;d=four;");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_replaced_and_removed),
		cmocka_unit_test(test_read_while_it_runs),
		cmocka_unit_test(test_archive_is_left_out),
		cmocka_unit_test(test_not_given_up),
		cmocka_unit_test(test_the_last_word),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
