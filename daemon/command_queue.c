/* SPDX-License-Identifier: ISC */
/*
 * `queue` and `message`: what waits, and everything about one message. What
 * the scheduler knows and what lies on disk are put side by side; a delivery
 * whose last result is just being written is "settling".
 */
#include "daemon/command_private.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/queue_walk.h"

#define QUEUE_LIMIT	100
#define QUEUE_LIMIT_MAX 10000
/* A list shows so many recipients of a delivery; `message` shows all. */
#define LIST_RECIPIENTS 10

int
command_read_message(struct command *c, uint64_t id, struct envelope *out)
{
	char text[MESSAGE_ID_SIZE];
	int result =
	    spool_read_message(governor_reader(c->g), id, out, &c->err);

	if (result <= 0)
		return result;
	err_set(&c->hint,
	    "it was delivered, returned or dropped: the event "
	    "log tells which");
	return command_refuse(c, "message %s isn't queued",
	    message_id_format(id, text));
}

void
command_show_arrival(struct command *c, const struct envelope *e)
{
	int64_t age_us = c->now_utc_us - e->arrived_utc_us;

	answer_str(&c->out, "sender", e->sender);
	answer_time(&c->out, "arrived", e->arrived_utc_us);
	answer_int(&c->out, "age_ms", age_us > 0 ? age_us / 1000 : 0);
	answer_int(&c->out, "size_bytes", (int64_t)e->size_bytes);
}

static void
show_recipients(struct command *c, const struct delivery *d, size_t max)
{
	answer_int(&c->out, "recipient_count", (int64_t)d->n_recipients);
	answer_open(&c->out, "recipients", '[');
	for (size_t i = 0; i < d->n_recipients && i < max; i++)
		answer_str(&c->out, NULL, d->recipients[i].address);
	answer_close(&c->out, ']');
}

static void
show_due(struct command *c, const struct queue_view *q)
{
	command_time(c, "due", q->due_us);
	if (q->due_us != 0)
		answer_wait(&c->out, "due_in_ms", q->due_us, c->now_us);
	else
		answer_null(&c->out, "due_in_ms");
	command_time(c, "expires", q->expires_us);
	answer_wait(&c->out, "expires_in_ms", q->expires_us, c->now_us);
}

/* ---- queue ---- */

static void
show_entry(struct command *c, const struct queue_view *q,
    const struct envelope *e)
{
	const struct delivery *d = envelope_delivery(e, q->number);

	answer_open(&c->out, NULL, '{');
	command_id(c, "message", q->message);
	answer_int(&c->out, "number", q->number);
	answer_str(&c->out, "state", queue_state_name(q));
	answer_str(&c->out, "stream", q->stream);
	answer_str(&c->out, "provider", q->provider);
	answer_opt(&c->out, "site", q->site);
	answer_str(&c->out, "lane", q->lane);
	answer_int(&c->out, "attempts", q->attempts);
	show_due(c, q);
	command_show_arrival(c, e);
	if (d != NULL) {
		show_recipients(c, d, LIST_RECIPIENTS);
		answer_opt(&c->out, "reply", d->last_reply);
	}
	answer_close(&c->out, '}');
}

struct listing {
	struct queue_walk *walk;
	int64_t n_left;
};

static enum step
step_queue(struct command *c)
{
	struct listing *l = c->state;
	const struct envelope *e;
	struct queue_view q;

	while (l->n_left > 0) {
		enum walk_result result;

		if (command_is_long(c))
			return STEP_MORE;
		result = queue_walk_next(l->walk, c->now_utc_us, &q, &e);
		if (result == WALK_END)
			break;
		if (result == WALK_LATER)
			continue;
		show_entry(c, &q, e);
		l->n_left--;
	}
	answer_close(&c->out, ']');
	return STEP_DONE;
}

static void
release_queue(struct command *c)
{
	struct listing *l = c->state;

	queue_walk_free(l->walk);
	free(l);
}

int
command_queue(struct command *c)
{
	struct queue_walk *walk;
	struct listing *l;
	int64_t limit = QUEUE_LIMIT;

	if (command_take_limit(c, QUEUE_LIMIT_MAX, &limit) < 0)
		return -1;
	walk = queue_walk_new(governor_sched(c->g), governor_reader(c->g),
	    c->args, c->n_args, &c->is_usage, &c->err);
	if (walk == NULL)
		return -1;
	queue_walk_want_envelopes(walk);
	l = xcalloc(1, sizeof(*l));
	l->walk = walk;
	l->n_left = limit;
	c->state = l;
	c->step = step_queue;
	c->release = release_queue;
	answer_open(&c->out, NULL, '[');
	return 0;
}

/* ---- message ---- */

static void
show_delivery(struct command *c, const struct delivery *d, uint64_t id)
{
	struct sched *s = governor_sched(c->g);
	struct queue_view q;

	answer_open(&c->out, NULL, '{');
	answer_int(&c->out, "number", d->number);
	if (sched_delivery_get(s, id, d->number, &q)) {
		answer_str(&c->out, "state", queue_state_name(&q));
		answer_str(&c->out, "lane", q.lane);
		answer_str(&c->out, "provider", q.provider);
		answer_opt(&c->out, "site", q.site);
		answer_int(&c->out, "attempts", q.attempts);
		answer_int(&c->out, "ahead",
		    (int64_t)sched_n_ahead(s, id, d->number));
		show_due(c, &q);
	} else {
		answer_str(&c->out, "state", "settling");
		answer_null(&c->out, "lane");
		answer_str(&c->out, "provider", d->provider);
		answer_opt(&c->out, "site", d->site);
		answer_int(&c->out, "attempts", d->attempts);
	}
	show_recipients(c, d, SIZE_MAX);
	answer_opt(&c->out, "reply", d->last_reply);
	answer_close(&c->out, '}');
}

static const char *
ret_name(enum dsn_ret ret)
{
	if (ret == RET_FULL)
		return "FULL";
	return ret == RET_HDRS ? "HDRS" : NULL;
}

int
command_message(struct command *c)
{
	struct envelope e;
	uint64_t id;

	if (message_id_parse(c->args[0], &id) < 0) {
		err_set(&c->hint, "`queue` and the event log show them");
		return command_refuse(c, "\"%.100s\" is no message ID",
		    c->args[0]);
	}
	if (command_read_message(c, id, &e) < 0)
		return -1;
	answer_open(&c->out, NULL, '{');
	command_id(c, "message", id);
	command_show_arrival(c, &e);
	answer_str(&c->out, "stream", e.stream);
	answer_opt(&c->out, "user", e.user);
	answer_opt(&c->out, "client", e.client);
	answer_opt(&c->out, "helo", e.helo);
	answer_opt(&c->out, "envid", e.envid);
	answer_opt(&c->out, "ret", ret_name(e.ret));
	answer_bool(&c->out, "smtputf8", e.smtputf8);
	answer_open(&c->out, "deliveries", '[');
	for (size_t i = 0; i < e.n_deliveries; i++)
		show_delivery(c, &e.deliveries[i], id);
	answer_close(&c->out, ']');
	answer_close(&c->out, '}');
	envelope_fini(&e);
	return 0;
}
