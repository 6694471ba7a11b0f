/* SPDX-License-Identifier: ISC */
/*
 * The link's calls: each is sent, waits for its reply in order, and is
 * answered exactly once, whatever happens: a reply, an error, too much time,
 * the connection's end. redis_link.c owns the connection and hands the replies
 * on.
 *
 * Answers run in a turn of their own, from the list `done`, so that a caller
 * finds itself as it left itself. A call whose time is over keeps its place
 * among those that were sent: the reply may still come, and belongs to nobody
 * then.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/redis_link_private.h"

#define SEC	       INT64_C(1000000)
#define LAG_SPAN_US    (30 * SEC)
/* Deadlines that lie near each other cost one timer. */
#define TIMER_SLACK_US 1000
#define ERROR_MAX      300
#define EVAL_WORDS     3 /* EVALSHA sha1 numkeys */

/* ---- one call ---- */

static void
call_free(struct redis_call *call)
{
	free(call->bytes);
	free(call->argv);
	free(call->error);
	if (call->reply != NULL)
		freeReplyObject(call->reply);
	free(call);
}

static void
call_keep(struct redis_call *call, const struct redis_bytes *a, size_t n_a,
    const struct redis_bytes *b, size_t n_b)
{
	size_t len = 0, at = 0;

	for (size_t i = 0; i < n_a; i++)
		len += a[i].len;
	for (size_t i = 0; i < n_b; i++)
		len += b[i].len;
	call->argc = n_a + n_b;
	call->argv = xcalloc(call->argc + 1, sizeof(*call->argv));
	if (len > REDIS_LINK_CALL_BYTES_MAX)
		return; /* it won't be sent */
	call->bytes = xmalloc(len + 1);
	for (size_t i = 0; i < call->argc; i++) {
		const struct redis_bytes *from = i < n_a ? &a[i] : &b[i - n_a];

		if (from->len > 0)
			memcpy(call->bytes + at, from->v, from->len);
		call->argv[i] =
		    (struct redis_bytes){ call->bytes + at, from->len };
		at += from->len;
	}
}

/* The call is over for its owner, who hears of it in the next turn. */
static void
settle(struct redis_link *l, struct redis_call *call,
    enum redis_outcome outcome, const char *error)
{
	call->answer.outcome = outcome;
	call->answer.sent_us = call->sent_us;
	call->answer.answered_us = clock_mono_us();
	if (error != NULL)
		call->error = xasprintf("%.*s", ERROR_MAX, error);
	if (outcome == REDIS_ANSWERED)
		l->calls.n_answered++;
	else
		l->calls.n_failed++;
	DL_APPEND(l->calls.done, call);
	redis_link_wake(l);
}

void
redis_calls_run_done(struct redis_link *l)
{
	struct redis_call *list = l->calls.done, *call, *tmp;

	/* What is settled meanwhile waits for the next turn. */
	l->calls.done = NULL;
	DL_FOREACH_SAFE(list, call, tmp) {
		DL_DELETE(list, call);
		call->answer.reply = call->reply;
		call->answer.error = call->error;
		call->fn(&call->answer, call->arg);
		call_free(call);
	}
}

/* ---- deadlines ---- */

static void
arm(struct redis_link *l, int64_t due_us)
{
	struct redis_calls *c = &l->calls;
	int64_t wait_us = due_us + TIMER_SLACK_US - clock_mono_us();
	struct timeval tv;

	if (c->timer_due_us != 0 && c->timer_due_us <= due_us)
		return;
	wait_us = wait_us > 0 ? wait_us : 0;
	tv = (struct timeval){ wait_us / SEC, wait_us % SEC };
	c->timer_due_us = due_us;
	event_add(c->timer, &tv);
}

/* Answers it, and leaves something that takes its reply. */
static void
leave_place_holder(struct redis_link *l, struct redis_call *call)
{
	struct redis_call *holder = xcalloc(1, sizeof(*holder));

	holder->kind = CALL_OURS;
	holder->sent_us = call->sent_us;
	DL_REPLACE_ELEM(l->calls.sent, call, holder);
	settle(l, call, REDIS_TIMEOUT, "no answer in time");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;
	struct redis_call *call, *tmp;
	int64_t now_us = clock_mono_us(), next_us = 0;

	(void)fd;
	(void)what;
	l->calls.timer_due_us = 0;
	DL_FOREACH_SAFE(l->calls.sent, call, tmp) {
		if (call->fn == NULL)
			continue;
		if (call->due_us <= now_us)
			leave_place_holder(l, call);
		else if (next_us == 0 || call->due_us < next_us)
			next_us = call->due_us;
	}
	if (next_us != 0)
		arm(l, next_us);
}

/* ---- sending ---- */

/* Words ahead of keys and arguments, by the kind of call. */
static void
transmit(struct redis_link *l, struct redis_call *call)
{
	const struct redis_script *script = call->script;
	struct redis_bytes *argv =
	    xcalloc(call->argc + EVAL_WORDS, sizeof(*argv));
	char n_keys[24];
	size_t n = 0;

	if (call->kind == CALL_SCRIPT) {
		const char *verb = call->is_source_sent ? "EVAL" : "EVALSHA";
		const char *body =
		    call->is_source_sent ? script->source : script->sha1;

		snprintf(n_keys, sizeof(n_keys), "%zu", call->n_keys);
		argv[n++] = (struct redis_bytes){ verb, strlen(verb) };
		argv[n++] = (struct redis_bytes){ body, strlen(body) };
		argv[n++] = (struct redis_bytes){ n_keys, strlen(n_keys) };
	}
	if (call->argc > 0)
		memcpy(argv + n, call->argv, call->argc * sizeof(*argv));
	l->calls.n_sent_bytes += redis_conn_send(l->conn, argv, n + call->argc);
	free(argv);
	DL_APPEND(l->calls.sent, call);
	l->calls.n_sent++;
}

static void
start(struct redis_link *l, struct redis_call *call, int64_t timeout_us)
{
	if (l->is_closing) {
		call_free(call);
		return;
	}
	call->sent_us = clock_mono_us();
	call->due_us =
	    call->sent_us + (timeout_us > 0 ? timeout_us : l->timeout_us);
	l->calls.n_calls++;
	if (l->state != REDIS_UP) {
		settle(l, call, REDIS_UNSENT,
		    l->reason[0] != '\0' ? l->reason : "not connected yet");
	} else if (call->bytes == NULL) {
		settle(l, call, REDIS_UNSENT, "the call is too large");
	} else if (l->calls.n_sent >= REDIS_LINK_CALLS_MAX) {
		settle(l, call, REDIS_UNSENT, "too many calls wait for Redis");
	} else {
		transmit(l, call);
		arm(l, call->due_us);
	}
}

void
redis_link_call(struct redis_link *l, const struct redis_script *script,
    const struct redis_bytes *keys, size_t n_keys,
    const struct redis_bytes *args, size_t n_args, int64_t timeout_us,
    redis_answer_fn *fn, void *arg)
{
	struct redis_call *call = xcalloc(1, sizeof(*call));

	call->kind = CALL_SCRIPT;
	call->script = script;
	call->n_keys = n_keys;
	call->fn = fn;
	call->arg = arg;
	call_keep(call, keys, n_keys, args, n_args);
	start(l, call, timeout_us);
}

void
redis_link_command(struct redis_link *l, const struct redis_bytes *argv,
    size_t argc, int64_t timeout_us, redis_answer_fn *fn, void *arg)
{
	struct redis_call *call = xcalloc(1, sizeof(*call));

	call->kind = CALL_COMMAND;
	call->fn = fn;
	call->arg = arg;
	call_keep(call, argv, argc, NULL, 0);
	start(l, call, timeout_us);
}

/* Nobody waits for the reply. */
static void
send_ours(struct redis_link *l, const struct redis_bytes *argv, size_t argc)
{
	struct redis_call *call;

	if (l->state != REDIS_UP || l->calls.n_sent >= REDIS_LINK_CALLS_MAX)
		return;
	call = xcalloc(1, sizeof(*call));
	call->kind = CALL_OURS;
	call->sent_us = clock_mono_us();
	call_keep(call, argv, argc, NULL, 0);
	if (call->bytes != NULL)
		transmit(l, call);
	else
		call_free(call);
}

void
redis_calls_ping(struct redis_link *l)
{
	const struct redis_bytes argv[] = { { "PING", 4 } };

	send_ours(l, argv, 1);
}

/* ---- replies ---- */

static void
note_lag(struct redis_calls *c, int64_t lag_us, int64_t now_us)
{
	if (now_us - c->half_minute_us >= LAG_SPAN_US) {
		c->lag_max_us[1] = now_us - c->half_minute_us < 2 * LAG_SPAN_US
		    ? c->lag_max_us[0]
		    : -1;
		c->lag_max_us[0] = -1;
		c->half_minute_us = now_us;
	}
	if (lag_us > c->lag_max_us[0])
		c->lag_max_us[0] = lag_us;
	c->lag_us = c->lag_us < 0 ? lag_us : (7 * c->lag_us + lag_us) / 8;
}

/* hiredis keeps its reply; ours must live until the next turn. */
static struct redisReply *
reply_copy(const struct redisReply *from)
{
	struct redisReply *to = xcalloc(1, sizeof(*to));

	to->type = from->type;
	to->integer = from->integer;
	to->len = from->len;
	if (from->str != NULL)
		to->str = xmemdup(from->str, from->len + 1);
	to->elements = from->elements;
	if (from->elements > 0)
		to->element = xcalloc(from->elements, sizeof(*to->element));
	for (size_t i = 0; i < from->elements; i++)
		to->element[i] = reply_copy(from->element[i]);
	return to;
}

/* What the server says of itself in an error, whoever asked. */
static void
heed_error(struct redis_link *l, const struct redis_error *e, const char *text)
{
	char why[ERROR_MAX];

	if (e->effect != REDIS_ERROR_MOVE)
		return;
	snprintf(why, sizeof(why), "says %.200s", text);
	redis_link_drop(l, why, false);
}

static void
meet_error(struct redis_link *l, struct redis_call *call, const char *text)
{
	struct redis_error e = redis_error_classify(text);
	char error[ERROR_MAX];

	if (call->fn == NULL) {
		call_free(call);
		heed_error(l, &e, text);
		return;
	}
	if (e.effect == REDIS_ERROR_SCRIPT && call->kind == CALL_SCRIPT &&
	    !call->is_source_sent) {
		call->is_source_sent = true;
		transmit(l, call);
		return;
	}
	snprintf(error, sizeof(error), "%.40s%s%.200s",
	    call->script != NULL ? call->script->name : "",
	    call->script != NULL ? ": " : "", text);
	settle(l, call, e.outcome, error);
	heed_error(l, &e, text);
}

void
redis_calls_replied(struct redis_link *l, const struct redisReply *r)
{
	struct redis_call *call = l->calls.sent;
	int64_t now_us = clock_mono_us();

	assert(call != NULL); /* the connection counts what it owes */
	DL_DELETE(l->calls.sent, call);
	l->calls.n_sent--;
	note_lag(&l->calls, now_us - call->sent_us, now_us);
	if (r->type == REDIS_REPLY_ERROR) {
		meet_error(l, call, r->str);
		return;
	}
	if (call->fn == NULL) {
		call_free(call);
		return;
	}
	call->reply = reply_copy(r);
	settle(l, call, REDIS_ANSWERED, NULL);
}

void
redis_calls_lost(struct redis_link *l, const char *why)
{
	struct redis_call *call, *tmp;

	DL_FOREACH_SAFE(l->calls.sent, call, tmp) {
		DL_DELETE(l->calls.sent, call);
		if (call->fn == NULL)
			call_free(call);
		else
			settle(l, call, REDIS_LOST, why);
	}
	l->calls.n_sent = 0;
}

/* ---- scripts ---- */

static void
load_script(struct redis_link *l, const struct redis_script *script)
{
	const struct redis_bytes argv[] = { { "SCRIPT", 6 }, { "LOAD", 4 },
		{ script->source, strlen(script->source) } };

	send_ours(l, argv, 3);
}

void
redis_calls_load_scripts(struct redis_link *l)
{
	for (struct redis_script *s = l->scripts; s != NULL; s = s->next)
		load_script(l, s);
}

struct redis_script *
redis_link_script(struct redis_link *l, const char *name, const char *source)
{
	struct redis_script *s = xcalloc(1, sizeof(*s));
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	s->name = xstrdup(name);
	s->source = xstrdup(source);
	if (EVP_Digest(source, strlen(source), digest, &len, EVP_sha1(),
		NULL) != 1)
		len = 0; /* no SHA-1 here: each server knows it by EVAL */
	for (unsigned i = 0; i < len; i++)
		snprintf(s->sha1 + 2 * (size_t)i, 3, "%02x", digest[i]);
	LL_APPEND(l->scripts, s);
	load_script(l, s);
	return s;
}

/* ---- life ---- */

void
redis_calls_init(struct redis_link *l)
{
	l->calls.timer = evtimer_new(l->base, on_timer, l);
	l->calls.lag_us = l->calls.lag_max_us[0] = l->calls.lag_max_us[1] = -1;
}

void
redis_calls_fini(struct redis_link *l)
{
	struct redis_script *s, *tmp;

	redis_calls_lost(l, "the link is closed");
	redis_calls_run_done(l);
	event_free(l->calls.timer);
	LL_FOREACH_SAFE(l->scripts, s, tmp) {
		free(s->name);
		free(s->source);
		free(s);
	}
}
