/* SPDX-License-Identifier: ISC */
/*
 * The mail on disk: opening and closing it, the queue of requests, and the
 * thread that writes. spool_commit.c has what a turn of that thread does,
 * spool_store.c the database, spool_body.c the contents, spool_reader.c what
 * other threads see. The governor opens it before anything else and closes it
 * last.
 *
 * The writer takes all that has gathered while it was busy, so the number of
 * requests in a commit follows the load by itself; it never waits for more.
 */
#include "daemon/spool.h"

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
	return dir_sweep(spool, err_out);
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
	return store_scan(spool, spool->ops.added, spool->ops.arg, err_out);
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

/* False: stop; there is nothing left. */
static bool
take_queue(struct spool *spool, struct spool_request **list_out)
{
	bool goes_on;

	pthread_mutex_lock(&spool->queue.lock);
	while (spool->queue.first == NULL && !spool->queue.is_stopping &&
	    clock_mono_us() < writer_due_us(spool))
		wait_until(spool, writer_due_us(spool));
	*list_out = spool->queue.first;
	spool->queue.first = NULL;
	spool->queue.last = &spool->queue.first;
	take_settings(spool);
	goes_on = *list_out != NULL || !spool->queue.is_stopping;
	if (!goes_on)
		spool->queue.is_stopped = true;
	pthread_mutex_unlock(&spool->queue.lock);
	return goes_on;
}

static void
grow_map(struct spool *spool)
{
	struct err err;

	if (store_resize(&spool->store, spool->settings.map_bytes, &err) < 0)
		log_warn("spool_not_resized", LOG_STR("error", err.text));
}

static void *
write_all(void *arg)
{
	struct spool *spool = arg;
	struct spool_request *list;

	pthread_setname_np(pthread_self(), "spool");
	while (take_queue(spool, &list)) {
		grow_map(spool);
		writer_turn(spool, list);
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
	q = spool->queue.first;
	spool->queue.first = NULL;
	spool->queue.last = &spool->queue.first;
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

void
spool_submit(struct spool *spool, struct spool_request *request_take)
{
	struct spool_request *q = request_take;
	bool is_stopped;

	q->next = NULL;
	q->added = NULL;
	q->is_in_doubt = q->is_settled = false;
	q->result = SPOOL_OK;
	pthread_mutex_lock(&spool->queue.lock);
	is_stopped = spool->queue.is_stopped;
	if (!is_stopped) {
		*spool->queue.last = q;
		spool->queue.last = &q->next;
		if (spool->queue.is_waiting)
			pthread_cond_signal(&spool->queue.wake);
	}
	pthread_mutex_unlock(&spool->queue.lock);
	if (!is_stopped)
		return;
	q->result = SPOOL_FAILED;
	err_set(&q->err, "the spool is closed");
	spool_answer(spool, q);
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
	};
	int64_t free_bytes = atomic_load(&spool->space.free_bytes);

	out->free_bytes = free_bytes > 0 ? (uint64_t)free_bytes : 0;
}

const struct histogram *
spool_commit_times(const struct spool *spool)
{
	return &spool->commit_times;
}
