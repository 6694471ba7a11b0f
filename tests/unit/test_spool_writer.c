/* SPDX-License-Identifier: ISC */
/* Who writes, and when: the spool's thread, or a submitter that is alone; at
 * once, or in company. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sched.h>

#include "tests/unit/spool_fixture.h"

#define FOREVER_US (INT64_C(3600) * 1000000)

/* ---- a commit that a test can hold, and that says who made it ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_held, is_inside;
	int64_t slow_us;
	pthread_t thread;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER };

static int
commit_gated(MDB_txn *txn)
{
	pthread_mutex_lock(&gate.lock);
	gate.thread = pthread_self();
	gate.is_inside = true;
	pthread_cond_broadcast(&gate.wake);
	while (gate.is_held)
		pthread_cond_wait(&gate.wake, &gate.lock);
	gate.is_inside = false;
	pthread_mutex_unlock(&gate.lock);
	if (gate.slow_us > 0)
		usleep((useconds_t)gate.slow_us);
	return mdb_txn_commit(txn);
}

static void
gate_hold(bool hold)
{
	pthread_mutex_lock(&gate.lock);
	gate.is_held = hold;
	pthread_cond_broadcast(&gate.wake);
	pthread_mutex_unlock(&gate.lock);
}

static void
gate_wait_inside(void)
{
	pthread_mutex_lock(&gate.lock);
	while (!gate.is_inside)
		pthread_cond_wait(&gate.wake, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

/* Answers come before the role is given back; and the disk was quick. */
static void
wait_idle(struct world *w)
{
	bool is_writing = true;

	while (is_writing) {
		pthread_mutex_lock(&w->spool->queue.lock);
		is_writing = w->spool->queue.is_writing;
		if (!is_writing)
			w->spool->last_commit_us = 0;
		pthread_mutex_unlock(&w->spool->queue.lock);
		sched_yield();
	}
}

static void
begin(struct world *w)
{
	world_init(w);
	spool_io.commit = commit_gated;
	gate.slow_us = 0;
	world_start(w);
	wait_idle(w);
}

static void
end(struct world *w)
{
	spool_test_company_us = 0;
	world_fini(w);
	spool_io.commit = mdb_txn_commit;
}

static struct spool_request *
submission(struct world *w, size_t len)
{
	struct spool_request *q = submission_new(w->spool, SENDER);

	submission_to(q, "gmail", "a@gmail.com", NULL);
	assert_int_equal(body_fill(q->body, 1, len), 0);
	return q;
}

static struct spool_request *
settlement(uint64_t id)
{
	struct spool_request *q = settlement_new(id, 0, 1);

	q->rcpts[0].fate = SPOOL_DELIVERED;
	return q;
}

static uint64_t
n_commits(struct world *w)
{
	struct spool_stats stats;

	spool_stats(w->spool, &stats);
	return stats.n_commits;
}

/* ---- who ---- */

static void
submitter_that_is_alone_writes(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	spool_write(w.spool, submission(&w, 100));
	assert_int_equal(w.n_answered, 1); /* within the call */
	assert_int_equal(w.last.result, SPOOL_OK);
	assert_true(pthread_equal(gate.thread, pthread_self()));
	/* And the thread still does when it is asked. */
	submit_simple(&w, 2, 100);
	assert_false(pthread_equal(gate.thread, pthread_self()));
	wait_idle(&w);
	spool_write(w.spool, submission(&w, 100));
	assert_true(pthread_equal(gate.thread, pthread_self()));
	end(&w);
}

static void
nobody_waits_for_a_commit_under_way(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	gate_hold(true);
	spool_submit(w.spool, submission(&w, 100));
	gate_wait_inside();
	spool_write(w.spool, submission(&w, 100));
	assert_int_equal(world_answered(&w), 0);
	gate_hold(false);
	world_wait(&w, 2);
	assert_false(pthread_equal(gate.thread, pthread_self()));
	end(&w);
}

struct other {
	struct world *w;
	struct spool_request *q;
};

static void *
write_elsewhere(void *arg)
{
	struct other *o = arg;

	spool_write(o->w->spool, o->q);
	return NULL;
}

/* What comes while a submitter writes is the thread's, and soon. */
static void
thread_takes_what_came_meanwhile(void **state)
{
	struct world w;
	struct other o = { .w = &w };
	pthread_t thread;

	(void)state;
	begin(&w);
	o.q = submission(&w, 100);
	gate_hold(true);
	assert_int_equal(pthread_create(&thread, NULL, write_elsewhere, &o), 0);
	gate_wait_inside();
	spool_submit(w.spool, submission(&w, 100));
	spool_submit(w.spool, submission(&w, 100));
	gate_hold(false);
	pthread_join(thread, NULL);
	world_wait(&w, 3);
	assert_int_equal(n_commits(&w), 2);
	end(&w);
}

static void
end_waits_for_who_writes(void **state)
{
	struct world w;
	struct other o = { .w = &w };
	pthread_t thread;

	(void)state;
	begin(&w);
	o.q = submission(&w, 100);
	gate_hold(true);
	assert_int_equal(pthread_create(&thread, NULL, write_elsewhere, &o), 0);
	gate_wait_inside();
	spool_submit(w.spool, submission(&w, 100));
	gate_hold(false);
	spool_stop(w.spool);
	assert_int_equal(world_answered(&w), 2);
	pthread_join(thread, NULL);
	end(&w);
}

/* A slow disk, and a file that is still to be synced, are the thread's. */
static void
what_takes_time_is_for_the_thread(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	spool_write(w.spool, submission(&w, SPOOL_INLINE_MAX + 1));
	world_wait(&w, 1);
	assert_false(pthread_equal(gate.thread, pthread_self()));
	gate.slow_us = 6000;
	submit_simple(&w, 1, 100);
	spool_write(w.spool, submission(&w, 100));
	world_wait(&w, 3);
	assert_false(pthread_equal(gate.thread, pthread_self()));
	end(&w);
}

/* ---- when ---- */

static void
settlement_goes_with_the_next_submission(void **state)
{
	struct answer first;
	struct world w;
	uint64_t n;

	(void)state;
	begin(&w);
	first = submit_simple(&w, 1, 100);
	spool_test_company_us = FOREVER_US;
	n = n_commits(&w);
	spool_submit(w.spool, settlement(first.id));
	spool_write(w.spool, submission(&w, 100));
	world_wait(&w, 3);
	assert_int_equal(n_commits(&w), n + 1);
	end(&w);
}

static void
settlement_without_company_goes_alone(void **state)
{
	struct answer first;
	struct world w;

	(void)state;
	begin(&w);
	first = submit_simple(&w, 1, 100);
	spool_submit(w.spool, settlement(first.id));
	world_wait(&w, 2);
	assert_int_equal(w.last.result, SPOOL_OK);
	end(&w);
}

#define COMPANY 8

static void
enough_settlements_are_company(void **state)
{
	struct world w;
	uint64_t ids[COMPANY], n;

	(void)state;
	begin(&w);
	for (size_t i = 0; i < COMPANY; i++)
		ids[i] = submit_simple(&w, i, 100).id;
	spool_test_company_us = FOREVER_US;
	n = n_commits(&w);
	for (size_t i = 0; i < COMPANY; i++) {
		assert_int_equal(world_answered(&w), COMPANY);
		spool_submit(w.spool, settlement(ids[i]));
	}
	world_wait(&w, 2 * COMPANY);
	assert_int_equal(n_commits(&w), n + 1);
	end(&w);
}

static void
what_waits_is_committed_at_the_end(void **state)
{
	struct answer first;
	struct world w;

	(void)state;
	begin(&w);
	first = submit_simple(&w, 1, 100);
	spool_test_company_us = FOREVER_US;
	spool_submit(w.spool, settlement(first.id));
	spool_stop(w.spool);
	assert_int_equal(world_answered(&w), 2);
	assert_int_equal(w.last.result, SPOOL_OK);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submitter_that_is_alone_writes),
		cmocka_unit_test(nobody_waits_for_a_commit_under_way),
		cmocka_unit_test(thread_takes_what_came_meanwhile),
		cmocka_unit_test(end_waits_for_who_writes),
		cmocka_unit_test(what_takes_time_is_for_the_thread),
		cmocka_unit_test(settlement_goes_with_the_next_submission),
		cmocka_unit_test(settlement_without_company_goes_alone),
		cmocka_unit_test(enough_settlements_are_company),
		cmocka_unit_test(what_waits_is_committed_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
