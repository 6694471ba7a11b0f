/* SPDX-License-Identifier: ISC */
/*
 * Leases on their way: what the scheduler asks for becomes a call of
 * daemon/cluster/lease.lua, its answer a grant. Decides nothing. All that is
 * due goes out in one write, as hiredis gathers what one turn sends.
 */
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/cluster_private.h"

/* What is due within this time goes with what is due now. */
#define TOGETHER_US  20000
/* Of one turn; the rest comes with the next one. */
#define CALLS_A_TURN 1000
/* Under way at once. With ten thousand lanes that have mail Redis may be the
 * slower one: then lanes wait their turn here, where the next one to be asked
 * for is known, and not so long in Redis' line that time runs out. */
#define CALLS_OUT    2000

struct cluster_call {
	struct cluster *c; /* NULL: it is gone */
	char *subject;
	struct lease_ask ask;
	struct cluster_call *prev, *next;
};

/* ---- arguments and answers ---- */

void
cluster_arg_str(struct cluster_args *a, const char *text)
{
	if (a->n < CLUSTER_ARGS_MAX)
		a->v[a->n++] = (struct redis_bytes){ text, strlen(text) };
}

void
cluster_arg_int(struct cluster_args *a, int64_t n)
{
	if (a->n == CLUSTER_ARGS_MAX)
		return;
	snprintf(a->numbers[a->n], sizeof(a->numbers[0]), "%lld", (long long)n);
	cluster_arg_str(a, a->numbers[a->n]);
}

int64_t
cluster_reply_int(const struct redisReply *r, size_t i)
{
	if (r->type != REDIS_REPLY_ARRAY || i >= r->elements ||
	    r->element[i]->type != REDIS_REPLY_INTEGER)
		return 0;
	return r->element[i]->integer;
}

const char *
cluster_reply_str(const struct redisReply *r, size_t i)
{
	if (r->type != REDIS_REPLY_ARRAY || i >= r->elements ||
	    r->element[i]->str == NULL)
		return "";
	return r->element[i]->str;
}

/* ---- answers ---- */

#define HEAD   4 /* OK, now, is_recovering, n_live */
#define FIELDS 5 /* of each item */

static bool
read_grant(const struct cluster_call *call, const struct redis_answer *a,
    struct lease_answer *out)
{
	const struct redisReply *r = a->reply;

	*out = (struct lease_answer){
		.seq = call->ask.seq, .sent_us = a->sent_us, .n = call->ask.n
	};
	if (r->type != REDIS_REPLY_ARRAY ||
	    r->elements != HEAD + FIELDS * (size_t)out->n)
		return false;
	for (unsigned i = 0; i < out->n; i++) {
		size_t at = HEAD + FIELDS * (size_t)i;

		out->items[i].held = cluster_reply_int(r, at);
		out->items[i].more_ms = cluster_reply_int(r, at + 1);
		out->items[i].target = cluster_reply_int(r, at + 2);
		out->items[i].total = cluster_reply_int(r, at + 3);
		out->items[i].sent = cluster_reply_int(r, at + 4);
		if (out->items[i].held < 0)
			return false;
	}
	return true;
}

static void
on_grant(struct cluster_call *call, const struct redis_answer *a)
{
	const char *word = cluster_reply_str(a->reply, 0);
	struct cluster *c = call->c;
	struct lease_answer grant;

	if (strcmp(word, "OK") == 0 && read_grant(call, a, &grant)) {
		cluster_heard(c, a->sent_us);
		if (sched_lease_answer(c->sched, call->subject, &grant,
			clock_mono_us()))
			governor_plan_soon(c->g);
		return;
	}
	sched_lease_failed(c->sched, call->subject, call->ask.seq,
	    clock_mono_us());
	if (strcmp(word, "SCHEME") == 0)
		cluster_refuse(c,
		    "Redis holds what nodes of scheme %lld "
		    "wrote; this one speaks scheme %d",
		    (long long)cluster_reply_int(a->reply, 1), CLUSTER_SCHEME);
	if (strcmp(word, "STALE") == 0) /* or a newer call came first */
		cluster_heard_newer(c, cluster_reply_int(a->reply, 1));
}

static void
on_answer(const struct redis_answer *a, void *arg)
{
	struct cluster_call *call = arg;
	struct cluster *c = call->c;

	if (c != NULL) {
		DL_DELETE(c->calls, call);
		c->n_calls--;
		if (a->outcome == REDIS_ANSWERED) {
			on_grant(call, a);
		} else {
			sched_lease_failed(c->sched, call->subject,
			    call->ask.seq, clock_mono_us());
			cluster_failed(c, a);
		}
	}
	free(call->subject);
	free(call);
	if (c != NULL && c->is_throttled && c->n_calls <= CALLS_OUT / 2) {
		c->is_throttled = false;
		cluster_turn(c);
	}
}

void
cluster_forget_calls(struct cluster *c)
{
	struct cluster_call *call, *next;

	DL_FOREACH_SAFE(c->calls, call, next)
		call->c = NULL;
	c->calls = NULL;
	c->n_calls = 0;
}

/* ---- calls ---- */

static void
add_items(struct cluster_args *args, const struct lease_ask *ask,
    char more[LEASE_ITEMS_MAX][64])
{
	static const char *const kinds[] = {
		[LEASE_SHORT] = "s",
		[LEASE_LONG] = "p",
		[LEASE_DAY] = "d",
	};

	for (unsigned i = 0; i < ask->n; i++) {
		const struct lease_ask_item *it = &ask->items[i];

		cluster_arg_str(args, kinds[it->kind]);
		cluster_arg_int(args, it->id);
		cluster_arg_int(args, it->limit);
		cluster_arg_int(args, it->have);
		cluster_arg_int(args, it->want);
		if (it->kind == LEASE_DAY)
			snprintf(more[i], 64, "%lld %lld", (long long)it->hold,
			    (long long)it->seen);
		else
			snprintf(more[i], 64, "%lld", (long long)it->back);
		cluster_arg_str(args, more[i]);
	}
}

static void
send_call(struct cluster *c, const char *subject, const struct lease_ask *ask)
{
	struct cluster_call *call = xcalloc(1, sizeof(*call));
	struct cluster_args args = { .n = 0 };
	char more[LEASE_ITEMS_MAX][64];
	char *key = cluster_key(c, subject);
	struct redis_bytes keys[] = { { key, strlen(key) },
		{ c->key_generation, strlen(c->key_generation) } };

	call->c = c;
	call->subject = xstrdup(subject);
	call->ask = *ask;
	DL_APPEND(c->calls, call);
	c->n_calls++;
	cluster_arg_int(&args, CLUSTER_SCHEME);
	cluster_arg_str(&args, "");
	cluster_arg_int(&args, c->conf->lease_us / 1000);
	cluster_arg_int(&args, sched_lease_keep_ms(c->sched, subject));
	cluster_arg_str(&args, c->conf->name);
	cluster_arg_int(&args, c->incarnation);
	cluster_arg_int(&args, (int64_t)ask->seq);
	add_items(&args, ask, more);
	c->n_lease_calls++;
	redis_link_call(c->link, c->lease, keys, 2, args.v, args.n, 0,
	    on_answer, call);
	free(key);
}

void
cluster_ask(struct cluster *c, int64_t now_us)
{
	struct lease_ask ask;
	const char *subject;

	c->is_throttled |= c->n_calls >= CALLS_OUT;
	for (int i = 0; i < CALLS_A_TURN && !c->is_throttled &&
	     sched_lease_next(c->sched, now_us + TOGETHER_US, now_us, &subject,
		 &ask);
	     i++) {
		char *name = xstrdup(subject);

		send_call(c, name, &ask);
		free(name);
		c->is_throttled = c->n_calls >= CALLS_OUT;
	}
}
