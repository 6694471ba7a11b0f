/* SPDX-License-Identifier: ISC */
/*
 * The thread of an I/O worker: its loop, its letters, and the jobs that the
 * governor sends. A job's content is read from the spool here, so that the
 * deciding thread never waits for a disk.
 */
#include "daemon/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/trace.h"
#include "daemon/worker_private.h"
#include "sink/mail_report.h"
#include "sink/stream.h"

struct configure_letter {
	struct letter letter;
	struct runtime *rt;
};

/* ---- jobs ---- */

void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	transaction_fini_results(&job->pool.transaction);
	reply_rules_unref(job->pool.transaction.rules);
	free(job->pool.transaction.results);
	free(job->pool.refusal);
	spool_message_fini(&job->content);
	free(job->route_name);
	free(job->lane);
	free(job->provider);
	free(job->trace);
	free(job->envid);
	free(job->message_id);
	free(job);
}

static void
give_back(struct worker *w, struct job *job)
{
	mailbox_post(w->shared->governor, &job->letter, GOVERNOR_RESULT);
	worker_check_drained(w);
}

static void
on_job_done(struct pool_job *pool_job, void *arg)
{
	struct worker *w = arg;

	give_back(w, pool_job->arg);
}

static ssize_t
read_content(void *arg, uint64_t offset, char *buf, size_t len)
{
	struct job *job = arg;

	return pread(job->content.body_fd, buf, len, (off_t)offset);
}

static void
fill_transaction(const struct worker *w, struct job *job)
{
	struct transaction *t = &job->pool.transaction;
	struct delivery *d = &job->content.envelope.deliveries[0];

	t->envelope = &job->content.envelope;
	t->recipients = d->recipients;
	t->n_recipients = job->n_recipients < d->n_recipients
	    ? job->n_recipients
	    : d->n_recipients;
	t->results = xcalloc(t->n_recipients, sizeof(*t->results));
	t->provider = job->provider;
	t->ident = job->ident;
	/* A reload may swap the worker's while this one is under way. */
	t->rules = reply_rules_ref(w->rt->rules);
	t->body = job->content.body;
	t->body_len = job->content.body_len;
	t->body_read = read_content;
	t->body_arg = job;
	job->pool.arg = job;
	job->pool.started_us = clock_mono_us();
}

/* Where reports are read, each message carries the mark by which one about it
 * is known again, and its envelope one that is nobody's to see. DSNs come to
 * us, so an envelope without ENVID may get ours; a sender's own stays. */
static void
mark(const struct worker *w, struct job *job)
{
	struct transaction *t = &job->pool.transaction;
	const uint8_t *key = w->shared->trace_key;
	char text[TRACE_SIZE], envid[TRACE_ENVID_SIZE];

	if (!w->rt->conf->feedback.reports.is_given)
		return;
	if (t->envelope->envid == NULL) {
		trace_write_envid(key, job->message, t->recipients,
		    t->n_recipients, envid);
		t->envid = job->envid = xstrdup(envid);
	}
	if (t->body != NULL)
		job->message_id =
		    mail_report_message_id(t->body, (size_t)t->body_len);
	if (trace_write(key, job->message, job->route_name, t->envelope->stream,
		t->recipients, t->n_recipients, text) < 0)
		return;
	job->trace = xasprintf(REPORT_TRACE_FIELD ": %s\r\n", text);
	t->prefix = job->trace;
	t->prefix_len = strlen(job->trace);
}

/* Has a recipient come to the suppression list since the message was accepted?
 * With a backlog there may be days in between. */
static bool
find_suppressed(const struct worker *w, struct job *job)
{
	struct transaction *t = &job->pool.transaction;
	int64_t utc_us = clock_utc_us();
	bool any = false;

	if (w->rt->conf->suppression.action == SUPPRESSION_OFF)
		return false;
	for (size_t i = 0; i < t->n_recipients; i++) {
		struct rcpt_result *r = &t->results[i];
		struct suppression_hit hit;

		if (!suppression_list_has(w->shared->suppressions,
			t->recipients[i].address, utc_us, &hit))
			continue;
		any = true;
		r->fate = FATE_FAILED;
		r->answer.class =
		    hit.is_domain ? CLASS_BAD_DOMAIN : CLASS_BAD_MAILBOX;
		r->answer.blame = reply_class_blame(r->answer.class);
		r->reply = xstrdup(suppression_refusal(&hit));
		snprintf(r->enhanced, sizeof(r->enhanced), "%.5s",
		    r->reply + 4);
	}
	return any;
}

static void
start_job(struct worker *w, struct job *job)
{
	int found, route = pool_find_route(w->pool, job->route_name);

	/* A reload that failed here alone: by its number it would go out by
	 * another route. */
	if (route < 0) {
		job->pool.is_unused = true;
		job->pool.refusal = xstrdup("the route couldn't be set up at "
					    "the last reload; reload again");
		give_back(w, job);
		return;
	}
	found = spool_read_delivery(w->reader, job->message, job->number,
	    &job->content, &job->err);
	if (found != 0) {
		job->fate = found < 0 ? JOB_DISK : JOB_GONE;
		give_back(w, job);
		return;
	}
	fill_transaction(w, job);
	if (find_suppressed(w, job)) {
		job->fate = JOB_SUPPRESSED;
		give_back(w, job);
		return;
	}
	mark(w, job);
	pool_send(w->pool, (unsigned)route, &job->pool);
}

/* ---- letters ---- */

static void
configure(struct worker *w, struct runtime *rt)
{
	struct runtime *old = w->rt;
	struct err err;

	w->rt = rt;
	if (pool_configure(w->pool, rt->conf, &err) < 0)
		log_error("reload", LOG_STR("error", err.text));
	acceptors_configure(w);
	runtime_unref(old);
}

void
worker_check_drained(struct worker *w)
{
	struct letter *letter;

	if (!w->is_draining || w->has_told_drained || w->n_sessions > 0 ||
	    pool_n_busy(w->pool) > 0)
		return;
	w->has_told_drained = true;
	letter = xcalloc(1, sizeof(*letter));
	mailbox_post(w->shared->governor, letter, GOVERNOR_DRAINED);
}

static void
drain(struct worker *w)
{
	w->is_draining = true;
	acceptors_stop(w);
	pool_drain(w->pool);
	session_io_shutdown_all(w);
	worker_check_drained(w);
}

static void
receive(struct letter *letter_take, void *arg)
{
	struct worker *w = arg;

	switch ((enum worker_letter)letter_take->kind) {
	case WORKER_JOB:
		start_job(w, (struct job *)letter_take);
		return;
	case WORKER_COMMITTED:
	case WORKER_AUTHENTICATED:
		session_io_answer(letter_take);
		return;
	case WORKER_CONFIGURE:
		configure(w, ((struct configure_letter *)letter_take)->rt);
		break;
	case WORKER_DRAIN:
		drain(w);
		break;
	case WORKER_HALT:
		pool_abort(w->pool);
		session_io_close_all(w);
		worker_check_drained(w);
		break;
	case WORKER_STOP:
		event_base_loopbreak(w->base);
		break;
	}
	free(letter_take);
}

/* ---- life ---- */

static void *
run(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	acceptors_configure(w);
	event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
	acceptors_stop(w);
	session_io_close_all(w);
	pool_free(w->pool);
	w->pool = NULL;
	stream_free_lingering();
	return NULL;
}

struct worker *
worker_new(unsigned index, struct worker_shared *shared, struct runtime *rt,
    struct err *err_out)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	struct event_config *config = event_config_new();

#ifndef __SANITIZE_THREAD__
	/* Fewer epoll_ctl calls: changes of one turn are told together. Safe
	 * here as no descriptor is ever duplicated. A removal may be told when
	 * the descriptor is closed and its number another thread's: it meets
	 * nothing then, but ThreadSanitizer can't know. */
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
#endif
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	w->index = index;
	w->shared = shared;
	w->base = event_base_new_with_config(config);
	event_config_free(config);
	w->rt = runtime_ref(rt);
	w->mailbox = mailbox_new(w->base, receive, NULL, w);
	w->pool = pool_new(w->base, on_job_done, w);
	pool_count_into(w->pool, &w->shared->n_connections);
	w->reader = spool_reader_new(shared->spool, err_out);
	if (w->reader == NULL ||
	    pool_configure(w->pool, rt->conf, err_out) < 0) {
		worker_free(w);
		return NULL;
	}
	return w;
}

int
worker_start(struct worker *w, struct err *err_out)
{
	int rc = pthread_create(&w->thread, NULL, run, w);

	if (rc != 0)
		return err_set(err_out, "starting worker %u: %s", w->index,
		    strerror(rc));
	w->is_running = true;
	return 0;
}

void
worker_send(struct worker *w, struct job *job_take)
{
	mailbox_post(w->mailbox, &job_take->letter, WORKER_JOB);
}

void
worker_configure(struct worker *w, struct runtime *rt)
{
	struct configure_letter *letter = xcalloc(1, sizeof(*letter));

	letter->rt = runtime_ref(rt);
	mailbox_post(w->mailbox, &letter->letter, WORKER_CONFIGURE);
}

static void
post_bare(struct worker *w, enum worker_letter kind)
{
	mailbox_post(w->mailbox, xcalloc(1, sizeof(struct letter)), kind);
}

void
worker_drain(struct worker *w)
{
	post_bare(w, WORKER_DRAIN);
}

void
worker_halt(struct worker *w)
{
	post_bare(w, WORKER_HALT);
}

void
worker_stop(struct worker *w)
{
	if (w == NULL || !w->is_running)
		return;
	post_bare(w, WORKER_STOP);
	pthread_join(w->thread, NULL);
	w->is_running = false;
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	if (w->pool != NULL)
		pool_free(w->pool);
	mailbox_free(w->mailbox);
	if (w->reader != NULL)
		spool_reader_free(w->reader);
	runtime_unref(w->rt);
	event_base_free(w->base);
	free(w);
}

const struct histogram *
worker_accept_times(const struct worker *w)
{
	return &w->accept_times;
}
