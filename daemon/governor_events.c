/* SPDX-License-Identifier: ISC */
/*
 * What the event log tells of mail on its way: accepted, tried, and what came
 * of it for each recipient. Called by the governor's other files, on its
 * thread.
 */
#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "daemon/governor_private.h"

void
governor_event_accepted(struct governor *g, const struct added_letter *a,
    const char *provider)
{
	char id[MESSAGE_ID_SIZE];

	for (uint32_t i = 0; i < a->n_pending; i++) {
		event_begin(g->events, "accepted", a->arrived_utc_us);
		event_str(g->events, "message",
		    message_id_format(a->message, id));
		event_str(g->events, "stream", a->stream);
		event_str(g->events, "provider", provider);
		event_str(g->events, "user", *a->user ? a->user : NULL);
		event_str(g->events, "sender", a->sender);
		event_str(g->events, "recipient", a->recipients[i]);
		event_end(g->events);
	}
}

static const char *
fate_event(const struct rcpt_result *r, bool is_relayed)
{
	switch (r->fate) {
	case FATE_DELIVERED:
		return is_relayed ? "relayed" : "delivered";
	case FATE_FAILED:
		return "bounced";
	case FATE_DEFERRED:
	case FATE_UNTRIED:
	case FATE_UNKNOWN:
		break;
	}
	return "deferred";
}

static void
event_result(struct governor *g, const struct job *job, size_t i,
    int64_t took_us, bool is_relayed)
{
	const struct transaction *t = &job->pool.transaction;
	const struct rcpt_result *r = &t->results[i];
	const struct envelope *e = t->envelope;
	struct event_log *log = g->events;
	char id[MESSAGE_ID_SIZE];

	event_begin(log, fate_event(r, is_relayed), clock_utc_us());
	event_str(log, "message", message_id_format(job->message, id));
	event_str(log, "stream", delivery_stream(e, &e->deliveries[0]));
	event_str(log, "route", job->route_name);
	event_str(log, "provider", t->provider);
	event_str(log, "sender", e->sender);
	event_str(log, "recipient", t->recipients[i].address);
	event_str(log, "phase", phase_name(r->phase));
	event_int(log, "code", r->code);
	event_str(log, "enhanced", *r->enhanced ? r->enhanced : NULL);
	event_str(log, "reply", r->reply);
	event_str(log, "class", reply_class_name(r->answer.class));
	event_str(log, "blame", blame_name(r->answer.blame));
	event_int(log, "took_ms", took_us / 1000);
	event_int(log, "attempts", job->attempts + 1);
	event_end(log);
}

/* The transaction as such: a recipient of it may stay without an answer. */
static void
event_attempt(struct governor *g, const struct job *job, int64_t took_us)
{
	const struct transaction *t = &job->pool.transaction;
	const struct envelope *e = t->envelope;
	char id[MESSAGE_ID_SIZE];

	event_begin(g->events, "attempt", clock_utc_us());
	event_str(g->events, "message", message_id_format(job->message, id));
	event_str(g->events, "stream", delivery_stream(e, &e->deliveries[0]));
	event_str(g->events, "route", job->route_name);
	event_str(g->events, "provider", t->provider);
	event_str(g->events, "sender", e->sender);
	event_int(g->events, "recipients", (int64_t)t->n_recipients);
	event_int(g->events, "took_ms", took_us / 1000);
	event_int(g->events, "attempts", job->attempts + 1);
	event_end(g->events);
}

void
governor_event_results(struct governor *g, const struct job *job,
    bool is_relayed)
{
	int64_t took_us = clock_mono_us() - job->pool.started_us;
	const struct transaction *t = &job->pool.transaction;

	if (!event_log_is_wanted(g->events))
		return;
	event_attempt(g, job, took_us);
	for (size_t i = 0; i < t->n_recipients; i++)
		if (t->results[i].fate != FATE_UNTRIED &&
		    t->results[i].fate != FATE_UNKNOWN)
			event_result(g, job, i, took_us, is_relayed);
}

void
governor_event_route_down(struct governor *g, const struct job *job,
    const char *why, int64_t wait_us)
{
	log_info("route_down", LOG_STR("route", job->route_name),
	    LOG_STR("why", why), LOG_INT("wait_ms", wait_us / 1000));
	if (!event_log_is_wanted(g->events))
		return;
	event_begin(g->events, "route", clock_utc_us());
	event_str(g->events, "route", job->route_name);
	event_str(g->events, "state", "down");
	event_str(g->events, "phase", phase_name(job->pool.refusal_phase));
	event_int(g->events, "code", job->pool.refusal_code);
	event_str(g->events, "reply", why);
	event_int(g->events, "wait_ms", wait_us / 1000);
	event_end(g->events);
}

void
governor_event_expired(struct governor *g, const struct plan *plan)
{
	char id[MESSAGE_ID_SIZE];

	if (!event_log_is_wanted(g->events))
		return;
	event_begin(g->events, "expired", clock_utc_us());
	event_str(g->events, "message", message_id_format(plan->message, id));
	event_str(g->events, "stream", plan->stream);
	event_str(g->events, "provider", plan->provider);
	event_int(g->events, "attempts", plan->attempts);
	event_int(g->events, "recipients", plan->n_pending);
	event_end(g->events);
}
