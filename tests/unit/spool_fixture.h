/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_FIXTURE_H
#define FLYBALL_SPOOL_FIXTURE_H

/*
 * A spool in a temporary directory, and requests that are waited for. Included
 * by the spool's tests behind cmocka.h.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

#define ADDED_MAX 1024
#define SENDER	  "sender@news.example"

/* One answered request, what became known with it. */
struct answer {
	enum spool_result result;
	uint64_t id;
	char error[512];
};

struct added {
	uint64_t id;
	uint32_t number;
	size_t n_recipients;
	uint32_t attempts;
	int64_t due_utc_us;
	char stream[32];
	char provider[32];
	char first[128]; /* recipient */
};

struct world {
	char dir[64];
	struct conf conf;
	struct spool *spool;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	size_t n_answered;
	struct answer last;
	size_t n_added;
	struct added added[ADDED_MAX]; /* the latest, a ring */
	size_t n_troubles, n_cures;
};

static inline void
on_committed(struct spool_request *q, void *arg)
{
	struct world *w = arg;
	struct answer *mine = q->owner;
	struct answer a = { .result = q->result, .id = q->envelope.id };

	if (q->result != SPOOL_OK)
		snprintf(a.error, sizeof(a.error), "%s", q->err.text);
	spool_request_free(q); /* its file is gone when the test looks */
	pthread_mutex_lock(&w->lock);
	w->last = a;
	if (mine != NULL)
		*mine = a;
	w->n_answered++;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static inline void
on_added(const struct envelope *e, void *arg)
{
	struct world *w = arg;
	const struct delivery *d = e->deliveries;
	struct added *a;

	pthread_mutex_lock(&w->lock);
	a = &w->added[w->n_added++ % ADDED_MAX];
	*a = (struct added){ .id = e->id,
		.number = d->number,
		.n_recipients = d->n_recipients,
		.attempts = d->attempts,
		.due_utc_us = d->due_utc_us };
	snprintf(a->stream, sizeof(a->stream), "%s", e->stream);
	snprintf(a->provider, sizeof(a->provider), "%s", d->provider);
	snprintf(a->first, sizeof(a->first), "%s", d->recipients->address);
	pthread_mutex_unlock(&w->lock);
}

static inline void
on_trouble(const struct err *err, void *arg)
{
	struct world *w = arg;

	pthread_mutex_lock(&w->lock);
	if (err != NULL)
		w->n_troubles++;
	else
		w->n_cures++;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static inline struct spool_ops
world_ops(struct world *w)
{
	return (struct spool_ops){ .committed = on_committed,
		.added = on_added,
		.trouble = on_trouble,
		.arg = w };
}

/* A directory and limits that no test meets by accident. */
static inline void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	strcpy(w->dir, "/tmp/test_spool.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->conf.daemon.state_dir = w->dir;
	w->conf.daemon.hostname = (char *)"relay.example";
	w->conf.spool.max_messages = 1000000;
	w->conf.spool.max_bytes = INT64_C(1) << 34;
	w->conf.spool.expire_us = INT64_C(5) * 86400 * 1000000;
	log_set_level(LOG_LEVEL_ERROR);
}

static inline void
world_open(struct world *w)
{
	struct spool_ops ops = world_ops(w);
	struct err err = { .text = "" };

	w->spool = spool_open(&w->conf, &ops, &err);
	if (w->spool == NULL)
		fail_msg("%s", err.text);
}

static inline void
world_start(struct world *w)
{
	struct err err = { .text = "" };

	world_open(w);
	if (spool_scan(w->spool, &err) < 0 || spool_start(w->spool, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void
world_stop(struct world *w)
{
	spool_close(w->spool);
	w->spool = NULL;
}

static inline void
remove_tree(const char *dir)
{
	char command[PATH_MAX + 16];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static inline void
world_fini(struct world *w)
{
	if (w->spool != NULL)
		world_stop(w);
	remove_tree(w->dir);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}

static inline size_t
world_answered(struct world *w)
{
	size_t n;

	pthread_mutex_lock(&w->lock);
	n = w->n_answered;
	pthread_mutex_unlock(&w->lock);
	return n;
}

static inline void
world_wait(struct world *w, size_t n_answered)
{
	pthread_mutex_lock(&w->lock);
	while (w->n_answered < n_answered)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* ---- requests ---- */

/* A content whose bytes follow from a number, with a header section. */
static inline char *
content_make(uint64_t seed, size_t len)
{
	static const char header[] =
	    "From: a@b.example\r\nSubject: test\r\n\r\n";
	char *data = xmalloc(len + 1);
	uint64_t z = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < len; i++) {
		z ^= z << 13;
		z ^= z >> 7;
		z ^= z << 17;
		data[i] = (char)('a' + z % 26);
		if (i % 64 == 62)
			data[i] = '\r';
		if (i % 64 == 63)
			data[i] = '\n';
	}
	if (len >= sizeof(header))
		memcpy(data, header, sizeof(header) - 1);
	return data;
}

static inline struct spool_request *
submission_new(struct spool *spool, const char *sender)
{
	struct spool_request *q = xcalloc(1, sizeof(*q));

	q->kind = SPOOL_SUBMIT;
	q->envelope = (struct envelope){ .arrived_utc_us = clock_utc_us(),
		.sender = xstrdup(sender),
		.stream = xstrdup("default"),
		.user = xstrdup("shop"),
		.client = xstrdup("192.0.2.17"),
		.helo = xstrdup("app.example") };
	q->body = body_new(spool);
	return q;
}

static inline struct delivery *
submission_to(struct spool_request *q, const char *provider, ...)
{
	struct envelope *e = &q->envelope;
	struct delivery *d;
	const char *address;
	va_list ap;

	e->deliveries = xrealloc(e->deliveries,
	    (e->n_deliveries + 1) * sizeof(*e->deliveries));
	d = &e->deliveries[e->n_deliveries];
	*d = (struct delivery){ .number = (uint32_t)e->n_deliveries++,
		.provider = xstrdup(provider),
		.site = xstrdup("") };
	va_start(ap, provider);
	while ((address = va_arg(ap, const char *)) != NULL)
		delivery_add(d, address);
	va_end(ap);
	return d;
}

/* In pieces of 10,000, as they come from a socket. */
static inline int
body_fill(struct body *b, uint64_t seed, size_t len)
{
	char *data = content_make(seed, len);
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < len; at += 10000)
		rc = body_add(b, data + at, len - at < 10000 ? len - at : 10000,
		    NULL);
	free(data);
	return rc;
}

static inline struct answer
submit_and_wait(struct world *w, struct spool_request *q)
{
	size_t n = world_answered(w);

	spool_submit(w->spool, q);
	world_wait(w, n + 1);
	return w->last;
}

static inline struct answer
submit_simple(struct world *w, uint64_t seed, size_t len)
{
	struct spool_request *q = submission_new(w->spool, SENDER);

	submission_to(q, "gmail", "rcpt@gmail.com", NULL);
	assert_int_equal(body_fill(q->body, seed, len), 0);
	return submit_and_wait(w, q);
}

static inline struct spool_request *
settlement_new(uint64_t id, uint32_t number, size_t n_rcpts)
{
	struct spool_request *q = xcalloc(1, sizeof(*q));

	q->kind = SPOOL_SETTLE;
	q->message = id;
	q->number = number;
	q->n_rcpts = n_rcpts;
	q->rcpts = xcalloc(n_rcpts, sizeof(*q->rcpts));
	return q;
}

static inline struct answer
settle_simple(struct world *w, uint64_t id, enum spool_fate fate)
{
	struct spool_request *q = settlement_new(id, 0, 1);

	q->rcpts[0].fate = fate;
	return submit_and_wait(w, q);
}

/* ---- looking ---- */

static inline int
read_delivery(struct world *w, uint64_t id, uint32_t number,
    struct spool_message *m)
{
	struct err err = { .text = "" };
	struct spool_reader *r = spool_reader_new(w->spool, &err);
	int rc;

	if (r == NULL)
		fail_msg("%s", err.text);
	rc = spool_read_delivery(r, id, number, m, &err);
	spool_reader_free(r);
	return rc;
}

/* The content as stored, wherever it is; NULL: it can't be read whole. */
static inline char *
content_of(const struct spool_message *m)
{
	char *data = xcalloc(1, m->body_len + 1);

	if (m->body != NULL)
		memcpy(data, m->body, m->body_len);
	else if (pread(m->body_fd, data, m->body_len, 0) !=
	    (ssize_t)m->body_len) {
		free(data);
		return NULL;
	}
	return data;
}

/* Whether the delivery is there with the content of that number. */
static inline bool
has_message(struct world *w, uint64_t id, uint64_t seed, size_t len)
{
	struct spool_message m;
	char *want, *got;
	bool is_same;

	if (read_delivery(w, id, 0, &m) != 0)
		return false;
	want = content_make(seed, len);
	got = content_of(&m);
	is_same =
	    got != NULL && m.body_len == len && memcmp(want, got, len) == 0;
	free(want);
	free(got);
	spool_message_fini(&m);
	return is_same;
}

static inline struct spool_stats
stats_of(struct world *w)
{
	struct spool_stats s;

	spool_stats(w->spool, &s);
	return s;
}

/* Files below bodies/, but for folders. */
static inline size_t
count_body_files(const char *state_dir)
{
	char command[PATH_MAX + 64], line[32] = "";
	FILE *p;

	snprintf(command, sizeof(command), "find %s/bodies -type f | wc -l",
	    state_dir);
	p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof(line), p));
	pclose(p);
	return strtoul(line, NULL, 10);
}

#endif
