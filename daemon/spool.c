/* SPDX-License-Identifier: ISC */
/*
 * The mail on disk: opening and closing it, the queue of requests, and the
 * thread that writes. spool_commit.c has what a turn of that thread does,
 * spool_store.c the database, spool_body.c the contents, spool_reader.c what
 * other threads see. The governor opens it before anything else and closes it
 * last.
 *
 * The writer takes all that has gathered while it was busy, so the number of
 * requests in a commit follows the load by itself. Only settlements wait, for
 * a moment, for others: nobody waits for them, and the next submission's commit
 * takes them along for nothing.
 *
 * Writing is a role, not a thread: whoever sets `is_writing` has it, and with
 * it all that belongs to the writer. A thread with nothing else to do may take
 * it for its own request (spool_write()); to hand one to a sleeping thread and
 * back costs as much as the disk.
 */
#include "daemon/spool.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

void (*spool_test_step)(const char *where);
size_t spool_test_map_bytes;
int64_t spool_test_company_us;
int64_t spool_test_backoff_us;

/* ---- settings ---- */

/*
 * LMDB's map is fixed when it is opened, but costs address space only. A body
 * of a page and a byte takes two pages, an envelope with its deliveries well
 * under one, but for messages to very many: those are what the rest is for.
 */
static size_t
map_bytes_for(const struct conf_spool *s)
{
	size_t bytes = 2 * (size_t)s->max_bytes +
	    8192 * (size_t)s->max_messages + ((size_t)1 << 30);

	if (spool_test_map_bytes != 0)
		return spool_test_map_bytes;
	return bytes & ~(((size_t)1 << 20) - 1);
}

static struct settings
settings_of(const struct conf *conf)
{
	return (struct settings){ .max_messages = conf->spool.max_messages,
		.max_bytes = conf->spool.max_bytes,
		.expire_us = conf->spool.expire_us,
		.map_bytes = map_bytes_for(&conf->spool),
		.hostname = xstrdup(conf->daemon.hostname) };
}

void
spool_configure(struct spool *spool, const struct conf *conf)
{
	atomic_store(&spool->space.min_free_bytes, conf->spool.min_free_bytes);
	pthread_mutex_lock(&spool->queue.lock);
	free(spool->queue.next.hostname);
	spool->queue.next = settings_of(conf);
	spool->queue.has_settings = true;
	pthread_mutex_unlock(&spool->queue.lock);
}

/* Under the queue's lock. */
static void
take_settings(struct spool *spool)
{
	if (!spool->queue.has_settings)
		return;
	free(spool->settings.hostname);
	spool->settings = spool->queue.next;
	spool->queue.next.hostname = NULL;
	spool->queue.has_settings = false;
}

/* ---- life cycle ---- */

static void
queue_init(struct spool *spool)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&spool->queue.wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&spool->queue.lock, NULL);
	spool->queue.last = &spool->queue.first;
}

static int
open_all(struct spool *spool, const struct conf *conf, struct err *err_out)
{
	if (dir_open(spool, conf->daemon.state_dir, err_out) < 0)
		return -1;
	space_init(&spool->space, spool->dir_fd, conf->spool.min_free_bytes);
	if (store_open(&spool->store, spool->dir, spool->settings.map_bytes,
		err_out) < 0)
		return -1;
	/* The names of database and folders must outlive a power failure. */
	if (spool_io.sync_dir(spool->dir_fd) < 0 ||
	    spool_io.sync_dir(spool->bodies_fd) < 0)
		return err_sys(err_out, "%s: sync", spool->dir);
	return dir_sweep_unfinished(spool, err_out);
}

struct spool *
spool_open(const struct conf *conf, const struct spool_ops *ops,
    struct err *err_out)
{
	struct spool *spool = xcalloc(1, sizeof(*spool));

	spool->ops = *ops;
	spool->settings = settings_of(conf);
	spool->dir_fd = spool->lock_fd = spool->bodies_fd = -1;
	spool->store.fd = -1;
	queue_init(spool);
	if (open_all(spool, conf, err_out) < 0) {
		spool_close(spool);
		return NULL;
	}
	return spool;
}

int
spool_scan(struct spool *spool, struct err *err_out)
{
	if (store_scan(spool, spool->ops.added, spool->ops.arg, err_out) < 0 ||
	    store_verify(spool->store.path, err_out) < 0)
		return -1;
	return dir_sweep(spool, err_out);
}

void
spool_close(struct spool *spool)
{
	spool_stop(spool);
	store_close(&spool->store);
	space_fini(&spool->space);
	dir_close(spool);
	pthread_cond_destroy(&spool->queue.wake);
	pthread_mutex_destroy(&spool->queue.lock);
	free(spool->queue.next.hostname);
	free(spool->settings.hostname);
	free(spool);
}

/* ---- the writer ---- */

static void
wait_until(struct spool *spool, int64_t due_us)
{
	struct timespec ts = { .tv_sec = due_us / 1000000,
		.tv_nsec = due_us % 1000000 * 1000 };

	spool->queue.is_waiting = true;
	if (due_us == INT64_MAX)
		pthread_cond_wait(&spool->queue.wake, &spool->queue.lock);
	else
		pthread_cond_timedwait(&spool->queue.wake, &spool->queue.lock,
		    &ts);
	spool->queue.is_waiting = false;
}

/* Settlements that wait for company, at most, and for how long. A crash
 * delivers them twice, as those that are in flight. */
#define COMPANY_MAX 8
#define COMPANY_US  1000

/* When what is queued is to be written; INT64_MAX: nothing is. Under the
 * queue's lock. */
static int64_t
queue_due_us(const struct spool *spool)
{
	if (spool->queue.is_writing)
		return INT64_MAX;
	if (spool->queue.is_stopping || spool->queue.is_urgent)
		return 0;
	if (spool->queue.first == NULL)
		return writer_due_us(spool);
	if (spool->queue.n >= COMPANY_MAX)
		return 0;
	return spool->queue.since_us +
	    (spool_test_company_us != 0 ? spool_test_company_us : COMPANY_US);
}

/* Under the queue's lock. */
static struct spool_request *
queue_take(struct spool *spool)
{
	struct spool_request *list = spool->queue.first;

	spool->queue.first = NULL;
	spool->queue.last = &spool->queue.first;
	spool->queue.n = 0;
	spool->queue.is_urgent = false;
	return list;
}

/* Takes the writer's role, and what there is to write. False: stop; there is
 * nothing left. */
static bool
writer_begin(struct spool *spool, struct spool_request **list_out)
{
	bool goes_on;
	int64_t due_us;

	pthread_mutex_lock(&spool->queue.lock);
	while ((due_us = queue_due_us(spool)) == INT64_MAX ||
	    (due_us > 0 && clock_mono_us() < due_us))
		wait_until(spool, due_us);
	*list_out = queue_take(spool);
	take_settings(spool);
	goes_on = *list_out != NULL || !spool->queue.is_stopping;
	spool->queue.is_stopped = !goes_on;
	spool->queue.is_writing = true;
	pthread_mutex_unlock(&spool->queue.lock);
	return goes_on;
}

static void
writer_end(struct spool *spool)
{
	bool wakes;

	pthread_mutex_lock(&spool->queue.lock);
	spool->queue.is_writing = false;
	wakes = spool->queue.is_waiting && queue_due_us(spool) != INT64_MAX;
	pthread_mutex_unlock(&spool->queue.lock);
	if (wakes)
		pthread_cond_signal(&spool->queue.wake);
}

static void
grow_map(struct spool *spool)
{
	struct store *st = &spool->store;
	struct err err;

	if (store_resize(st, spool->settings.map_bytes, &err) == 0)
		return;
	log_warn("spool_not_resized", LOG_STR("error", err.text));
	spool->settings.map_bytes = st->map_bytes; /* until a reload */
	if (st->env == NULL)
		trouble_begin(spool, &err);
}

static void *
write_all(void *arg)
{
	struct spool *spool = arg;
	struct spool_request *list;

	pthread_setname_np(pthread_self(), "spool");
	while (writer_begin(spool, &list)) {
		grow_map(spool);
		writer_turn(spool, list);
		writer_end(spool);
	}
	writer_finish(spool);
	return NULL;
}

int
spool_start(struct spool *spool, struct err *err_out)
{
	sigset_t all, old;
	int rc;

	if (!spool->is_counted && store_scan(spool, NULL, NULL, err_out) < 0)
		return -1;
	store_preallocate(&spool->store, &spool->space);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&spool->thread, NULL, write_all, spool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		errno = rc;
		return err_sys(err_out, "the spool's thread");
	}
	spool->is_running = true;
	return 0;
}

/* Requests that came when nobody was there to write. */
static void
refuse_queued(struct spool *spool)
{
	struct spool_request *q;

	pthread_mutex_lock(&spool->queue.lock);
	spool->queue.is_stopped = true;
	q = queue_take(spool);
	pthread_mutex_unlock(&spool->queue.lock);
	while (q != NULL) {
		struct spool_request *next = q->next;

		q->next = NULL;
		q->result = SPOOL_FAILED;
		err_set(&q->err, "the spool is closed");
		spool_answer(spool, q);
		q = next;
	}
}

void
spool_stop(struct spool *spool)
{
	if (spool->is_running) {
		pthread_mutex_lock(&spool->queue.lock);
		spool->queue.is_stopping = true;
		pthread_cond_signal(&spool->queue.wake);
		pthread_mutex_unlock(&spool->queue.lock);
		pthread_join(spool->thread, NULL);
		spool->is_running = false;
	}
	refuse_queued(spool);
}

/* ---- for everyone ---- */

/* Under the queue's lock. True: the writer's thread is to be woken. */
static bool
queue_add(struct spool *spool, struct spool_request *q)
{
	bool was_urgent = spool->queue.is_urgent;

	if (spool->queue.first == NULL)
		spool->queue.since_us = clock_mono_us();
	*spool->queue.last = q;
	spool->queue.last = &q->next;
	spool->queue.n++;
	if (q->kind != SPOOL_SETTLE)
		spool->queue.is_urgent = true;
	/* The first one sets the time; few of the others bring it forward. */
	return spool->queue.is_waiting && !spool->queue.is_writing &&
	    (spool->queue.n == 1 || spool->queue.n == COMPANY_MAX ||
		was_urgent != spool->queue.is_urgent);
}

static void
request_begin(struct spool_request *q)
{
	q->next = NULL;
	q->added = NULL;
	q->is_in_doubt = q->is_settled = false;
	q->result = SPOOL_OK;
}

void
spool_submit(struct spool *spool, struct spool_request *request_take)
{
	struct spool_request *q = request_take;
	bool is_stopped, wakes;

	request_begin(q);
	pthread_mutex_lock(&spool->queue.lock);
	is_stopped = spool->queue.is_stopped;
	wakes = !is_stopped && queue_add(spool, q);
	pthread_mutex_unlock(&spool->queue.lock);
	if (wakes)
		pthread_cond_signal(&spool->queue.wake);
	if (!is_stopped)
		return;
	q->result = SPOOL_FAILED;
	err_set(&q->err, "the spool is closed");
	spool_answer(spool, q);
}

/* A disk that takes its time is the writer's thread's to wait for, and so is
 * a body that is still to be synced. */
#define WRITE_HERE_US 5000

/* Under the queue's lock. */
static bool
may_write_here(const struct spool *spool, const struct spool_request *q)
{
	return spool->is_running && !spool->queue.is_writing &&
	    !spool->queue.is_stopping && !spool->is_failing &&
	    spool->last_commit_us < WRITE_HERE_US &&
	    (q->body == NULL || !body_is_file(q->body));
}

void
spool_write(struct spool *spool, struct spool_request *request_take)
{
	struct spool_request *q = request_take, *list;

	pthread_mutex_lock(&spool->queue.lock);
	if (!may_write_here(spool, q)) {
		pthread_mutex_unlock(&spool->queue.lock);
		spool_submit(spool, q);
		return;
	}
	request_begin(q);
	*spool->queue.last = q;
	list = queue_take(spool);
	take_settings(spool);
	spool->queue.is_writing = true;
	pthread_mutex_unlock(&spool->queue.lock);
	grow_map(spool);
	writer_turn(spool, list);
	writer_end(spool);
}

void
spool_write_last(struct spool *spool, struct spool_request *request_take)
{
	assert(!spool->is_running);
	request_begin(request_take);
	grow_map(spool);
	writer_turn(spool, request_take);
	writer_finish(spool);
}

void
spool_request_free(struct spool_request *request)
{
	if (request == NULL)
		return;
	envelope_fini(&request->envelope);
	body_free(request->body);
	for (size_t i = 0; request->rcpts != NULL && i < request->n_rcpts; i++)
		free(request->rcpts[i].reply);
	free(request->rcpts);
	free(request->next_hop);
	free(request->stream);
	spool_facts_free(request->facts);
	spool_added_free(request->added);
	free(request);
}

void
spool_stats(struct spool *spool, struct spool_stats *out)
{
	*out = (struct spool_stats){
		.n_messages = atomic_load(&spool->stats.n_messages),
		.n_deliveries = atomic_load(&spool->stats.n_deliveries),
		.n_bytes = atomic_load(&spool->stats.n_bytes),
		.n_commits = atomic_load(&spool->stats.n_commits),
		.n_committed = atomic_load(&spool->stats.n_committed),
		.commit_us_total = atomic_load(&spool->stats.commit_us_total),
		.commit_us_max = atomic_load(&spool->stats.commit_us_max),
		.is_failing = atomic_load(&spool->stats.is_failing),
		.n_body_failures = atomic_load(&spool->stats.n_body_failures),
		.body_failed_us = atomic_load(&spool->stats.body_failed_us),
	};
	int64_t free_bytes = atomic_load(&spool->space.free_bytes);

	out->free_bytes = free_bytes > 0 ? (uint64_t)free_bytes : 0;
}

const struct histogram *
spool_commit_times(const struct spool *spool)
{
	return &spool->commit_times;
}
