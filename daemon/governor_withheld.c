/* SPDX-License-Identifier: ISC */
/*
 * Mail that was queued for a recipient before he came to the suppression list:
 * with a backlog there may be days in between. A worker finds him when the
 * delivery's turn comes (worker.c); here he is given up, and the others go on.
 *
 * Nobody was asked, so no lane, plan or list hears of it: the whole permit goes
 * back, and the message has had no attempt.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"

static void
event_withheld(struct governor *g, const struct job *job, size_t i,
    bool is_dropped)
{
	const struct transaction *t = &job->pool.transaction;
	const struct envelope *e = t->envelope;
	char id[MESSAGE_ID_SIZE];

	event_begin(g->events, is_dropped ? "suppressed" : "bounced",
	    clock_utc_us());
	event_str(g->events, "state", is_dropped ? "dropped" : NULL);
	event_str(g->events, "message", message_id_format(job->message, id));
	event_str(g->events, "stream", delivery_stream(e, &e->deliveries[0]));
	event_str(g->events, "provider", t->provider);
	event_str(g->events, "sender", e->sender);
	event_str(g->events, "recipient", t->recipients[i].address);
	event_str(g->events, "enhanced", t->results[i].enhanced);
	event_str(g->events, "reply", t->results[i].reply);
	event_str(g->events, "class",
	    reply_class_name(t->results[i].answer.class));
	event_str(g->events, "blame", blame_name(t->results[i].answer.blame));
	event_int(g->events, "attempts", job->attempts);
	event_end(g->events);
}

void
governor_withhold(struct governor *g, const struct job *job)
{
	const struct transaction *t = &job->pool.transaction;
	bool is_dropped = g->rt->conf->suppression.action == SUPPRESSION_DROP;
	struct spool_request *q =
	    governor_settlement(job->message, job->number, t->n_recipients);
	struct pending_verdict *p = xcalloc(1, sizeof(*p));
	uint32_t n = 0;

	for (size_t i = 0; i < t->n_recipients; i++) {
		const struct rcpt_result *r = &t->results[i];

		if (r->fate != FATE_FAILED)
			continue; /* SPOOL_KEEP */
		n++;
		q->rcpts[i].fate =
		    is_dropped ? SPOOL_DROPPED : SPOOL_FAILED_FOR_GOOD;
		q->rcpts[i].reply = xstrdup(r->reply);
		snprintf(q->rcpts[i].status, sizeof(q->rcpts[i].status), "%s",
		    r->enhanced);
		if (event_log_is_wanted(g->events))
			event_withheld(g, job, i, is_dropped);
	}
	g->n_failed += n;
	history_answered(g->history, job->lane,
	    &(struct history_answers){ .n_bounced = n }, clock_utc_us());
	q->attempts = job->attempts;
	p->reply = xstrdup("");
	p->verdict = (struct verdict){ .message = job->message,
		.number = job->number,
		.n_pending = job->n_pending - n,
		.next = job->n_pending > n ? SETTLE_REQUEUE : SETTLE_DONE,
		.phase = PHASE_UNKNOWN,
		.reply = p->reply };
	q->owner = p; /* comes back when it is on disk */
	spool_submit(g->spool, q);
}
