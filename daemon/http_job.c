/* SPDX-License-Identifier: ISC */
/*
 * Long answers of the HTTP port: made one at a time in short steps, with
 * breaks, so that whoever looks can't keep the governor from its mail. JSON
 * comes from the admin socket's commands, asked as somebody who may only look.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/http_private.h"

#define JOBS_MAX 32

/* What surrounds a result on the admin socket; HTTP has its own way to say
 * whether it went well. */
static const char ok_head[] = "{\"ok\":true,\"result\":";
#define OK_TAIL_LEN (sizeof("}\n") - 1)

static void
job_free(struct http_job *job)
{
	DL_DELETE(job->http->jobs, job);
	metrics_page_free(job->metrics);
	command_free(job->command);
	evbuffer_free(job->body);
	free(job);
}

static void
set_turn(struct http *h, int64_t wait_us)
{
	struct timeval tv = { .tv_sec = wait_us / 1000000,
		.tv_usec = wait_us % 1000000 };

	event_add(h->turn, &tv);
}

static struct http_job *
job_new(struct http *h, struct evhttp_request *request)
{
	struct http_job *job;
	int n;

	DL_COUNT(h->jobs, job, n);
	if (n >= JOBS_MAX || http_n_unread(h) > HTTP_UNREAD_MAX) {
		http_reply_text(request, 503, "too busy; try again later\n");
		return NULL;
	}
	job = xcalloc(1, sizeof(*job));
	job->http = h;
	job->request = request;
	job->body = evbuffer_new();
	if (h->jobs == NULL)
		set_turn(h, 0);
	DL_APPEND(h->jobs, job);
	return job;
}

void
http_job_metrics(struct http *h, struct evhttp_request *request)
{
	struct http_job *job = job_new(h, request);

	if (job != NULL)
		job->metrics = metrics_page_new(h->g);
}

void
http_job_command(struct http *h, struct evhttp_request *request,
    const char *line)
{
	const struct command_peer peer = {
		.uid = geteuid(), .pid = getpid(), .may_change = false
	};
	struct http_job *job = job_new(h, request);

	if (job != NULL)
		job->command = command_new(h->g, &peer, line, strlen(line));
}

/* ---- steps ---- */

static void
free_text(const void *data, size_t len, void *arg)
{
	(void)len;
	(void)arg;
	free((void *)(uintptr_t)data);
}

/* The text's memory becomes the buffer's. */
static void
move_text(struct evbuffer *to, struct strbuf *from)
{
	size_t len = from->len;
	char *text;

	if (len == 0)
		return;
	text = strbuf_take(from);
	evbuffer_add_reference(to, text, len, free_text, NULL);
}

static void
reply_command(struct http_job *job)
{
	char head[sizeof(ok_head)] = "";
	size_t len = evbuffer_get_length(job->body);
	struct evbuffer *body;

	evbuffer_copyout(job->body, head, sizeof(head) - 1);
	if (strcmp(head, ok_head) != 0) {
		http_reply(job->request, 404, "application/json", job->body);
		return;
	}
	body = evbuffer_new();
	evbuffer_drain(job->body, sizeof(ok_head) - 1);
	evbuffer_remove_buffer(job->body, body,
	    len - (sizeof(ok_head) - 1) - OK_TAIL_LEN);
	evbuffer_add(body, "\n", 1);
	http_reply(job->request, 200, "application/json", body);
	evbuffer_free(body);
}

/* True: it is answered. */
static bool
step_command(struct http_job *job)
{
	enum step step = command_step(job->command);

	move_text(job->body, command_out(job->command));
	if (step == STEP_MORE || step == STEP_PACED)
		return false;
	reply_command(job);
	return true;
}

static bool
step_metrics(struct http_job *job)
{
	if (!metrics_page_step(job->metrics))
		return false;
	move_text(job->body, metrics_page_text(job->metrics));
	http_reply(job->request, 200,
	    "text/plain; version=0.0.4; charset=utf-8", job->body);
	return true;
}

void
http_on_turn(evutil_socket_t fd, short what, void *http)
{
	struct http *h = http;
	struct http_job *job = h->jobs;
	int64_t began_us = clock_mono_us(), wait_us;

	(void)fd;
	(void)what;
	if (job == NULL)
		return;
	if (job->metrics != NULL ? step_metrics(job) : step_command(job)) {
		job_free(job);
	} else {
		/* The next one's turn. */
		DL_DELETE(h->jobs, job);
		DL_APPEND(h->jobs, job);
	}
	wait_us = turn_budget_book(&h->budget, began_us, clock_mono_us());
	if (h->jobs != NULL)
		set_turn(h, wait_us);
}

void
http_jobs_lose(struct http *h, struct evhttp_connection *connection)
{
	struct http_job *job, *next;

	DL_FOREACH_SAFE(h->jobs, job, next)
		if (evhttp_request_get_connection(job->request) == connection)
			job_free(job);
}

void
http_jobs_free(struct http *h)
{
	while (h->jobs != NULL)
		job_free(h->jobs);
}
