/* SPDX-License-Identifier: ISC */
/*
 * One delivery's way through the deciding thread: the scheduler's plan becomes
 * a job for a worker; the job's results become a verdict for the scheduler, a
 * settlement for the spool, and events.
 *
 * The subtle rule: a delivery of which something remains goes back to the
 * scheduler only when its settlement is on disk. Otherwise the next dispatch
 * could read the old list of recipients and send to some of them twice.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "daemon/outcome.h"

#define PLANS_A_TURN 1000

/* ---- connections by route and worker ---- */

static struct route_use *
use_get(struct governor *g, const char *route)
{
	struct route_use *u;

	HASH_FIND_STR(g->uses, route, u);
	if (u != NULL)
		return u;
	u = xcalloc(1, sizeof(*u));
	u->name = xstrdup(route);
	u->n_busy = xcalloc(g->n_workers, sizeof(*u->n_busy));
	HASH_ADD_KEYPTR(hh, g->uses, u->name, strlen(u->name), u);
	return u;
}

void
governor_uses_free(struct governor *g)
{
	struct route_use *u, *next;

	HASH_ITER(hh, g->uses, u, next)
	{
		HASH_DEL(g->uses, u);
		free(u->name);
		free(u->n_busy);
		free(u);
	}
}

/* The worker with most of its share of this route's connections free. The
 * scheduler counts the route as a whole, so one of them has some. */
static unsigned
choose_worker(struct governor *g, const struct route_use *u, unsigned route)
{
	unsigned limit = g->rt->conf->routes[route].connections;
	unsigned best = 0;
	long best_free = LONG_MIN;

	for (unsigned w = 0; w < g->n_workers; w++) {
		/* The remainder is spread differently for each route. */
		unsigned turn = (w + route) % g->n_workers;
		long n_share = (long)(limit / g->n_workers) +
		    (turn < limit % g->n_workers);
		long n_free = n_share - (long)u->n_busy[w];

		if (n_free > best_free) {
			best_free = n_free;
			best = w;
		}
	}
	return best;
}

/* ---- plan -> job ---- */

static void
dispatch(struct governor *g, const struct plan *plan)
{
	const struct conf_route *route = &g->rt->conf->routes[plan->route];
	struct route_use *use = use_get(g, route->name);
	struct job *job = xcalloc(1, sizeof(*job));
	char id[MESSAGE_ID_SIZE];

	job->message = plan->message;
	job->number = plan->number;
	job->n_recipients = plan->n_recipients;
	job->n_pending = plan->n_pending;
	job->attempts = plan->attempts;
	job->route = plan->route;
	job->route_name = xstrdup(route->name);
	snprintf(job->ident, sizeof(job->ident), "%s.%" PRIu32,
	    message_id_format(plan->message, id), plan->number);
	job->lane = xstrdup(plan->lane);
	job->provider = xstrdup(plan->provider);
	job->pool.messages_per_connection = plan->messages_per_connection;
	job->content.body_fd = -1;
	job->worker = choose_worker(g, use, plan->route);
	use->n_busy[job->worker]++;
	worker_send(g->workers[job->worker], job);
}

static void
arm_plan_timer(struct governor *g, int64_t due_us, int64_t now_us)
{
	int64_t wait_us = due_us > now_us ? due_us - now_us : 0;
	struct timeval tv = { .tv_sec = wait_us / 1000000,
		.tv_usec = wait_us % 1000000 };

	if (due_us == g->timer_due_us)
		return;
	g->timer_due_us = due_us;
	if (due_us == INT64_MAX)
		event_del(g->plan_timer);
	else
		event_add(g->plan_timer, &tv);
}

/* While the spool can't write, no outcome could be kept: then every message
 * sent now would be sent again after a crash. So nothing leaves. */
void
governor_plan(struct governor *g)
{
	int64_t now_us = clock_mono_us();
	struct plan plan;

	g->wants_plan = false;
	if (g->is_draining || g->is_spool_failing)
		return;
	for (int i = 0; i < PLANS_A_TURN; i++) {
		sched_plan(g->sched, now_us, &plan);
		if (plan.kind == PLAN_WAIT) {
			arm_plan_timer(g, plan.due_us, now_us);
			return;
		}
		if (plan.kind == PLAN_DISPATCH) {
			dispatch(g, &plan);
			continue;
		}
		governor_event_expired(g, &plan);
		g->n_failed += plan.n_pending;
		governor_settle_all(g, plan.message, plan.number,
		    plan.n_pending, SPOOL_FAILED_FOR_GOOD, "4.4.7", NULL);
	}
	arm_plan_timer(g, now_us, now_us); /* other work gets its turn */
}

/* ---- result -> metrics ---- */

static void
note_times(struct governor *g, const struct job *job)
{
	int64_t took_us = clock_mono_us() - job->pool.started_us;
	int64_t arrived_utc_us = job->content.envelope.arrived_utc_us;

	histogram_note(&g->delivery_times, took_us);
	if (job->attempts == 0)
		histogram_note(&g->queue_times,
		    clock_utc_us() - arrived_utc_us - took_us);
}

static void
note_answers(struct governor *g, const struct job *job, const struct outcome *o,
    bool is_relayed)
{
	const struct transaction *t = &job->pool.transaction;
	struct history_answers a = { .n_delivered =
					 is_relayed ? 0 : o->n_delivered,
		.n_bounced = o->n_failed };

	for (size_t i = 0; i < t->n_recipients; i++) {
		const struct rcpt_result *r = &t->results[i];

		if (r->fate != FATE_DEFERRED && r->fate != FATE_FAILED)
			continue;
		a.n_deferred += r->fate == FATE_DEFERRED;
		a.n_refused[r->answer.class]++;
		if (a.reply == NULL || r == o->speaker)
			a.reply = r->reply;
	}
	history_answered(g->history, job->lane, &a, clock_utc_us());
}

/* ---- result -> verdict and settlement ---- */

/* A reload may have moved the route while the job was under way; -1: gone. */
static int
route_now(const struct governor *g, const struct job *job)
{
	const struct conf *conf = g->rt->conf;

	for (size_t i = 0; i < conf->n_routes; i++)
		if (strcmp(conf->routes[i].name, job->route_name) == 0)
			return (int)i;
	return -1;
}

struct spool_request *
governor_settlement(uint64_t message, uint32_t number, size_t n_rcpts)
{
	struct spool_request *q = xcalloc(1, sizeof(*q));

	q->kind = SPOOL_SETTLE;
	q->message = message;
	q->number = number;
	q->n_rcpts = n_rcpts;
	q->rcpts = xcalloc(n_rcpts, sizeof(*q->rcpts));
	return q;
}

static int64_t
utc_of(int64_t mono_us)
{
	return mono_us - clock_mono_us() + clock_utc_us();
}

static bool
needs_delay_warning(struct governor *g, const struct job *job)
{
	const struct envelope *e = &job->content.envelope;
	int64_t after_us = g->rt->conf->spool.delay_warning_us;

	return after_us > 0 && !e->deliveries[0].delay_warned &&
	    clock_utc_us() - e->arrived_utc_us >= after_us;
}

/*
 * Deferred recipients wait for their retry; those that weren't offered (the
 * gate let only a part through, or the peer takes no more in one go) and those
 * that were refused for the lane's speed go on at once. When there are both,
 * the deferred ones become a delivery of their own.
 */
static struct spool_request *
make_settlement(struct governor *g, struct job *job, const struct outcome *o,
    int64_t retry_us)
{
	struct transaction *t = &job->pool.transaction;
	struct spool_request *q =
	    governor_settlement(job->message, job->number, t->n_recipients);

	for (size_t i = 0; i < t->n_recipients; i++) {
		struct rcpt_result *r = &t->results[i];

		q->rcpts[i].fate = outcome_spool_fate(o, r);
		q->rcpts[i].dsn_passed = t->dsn_passed;
		snprintf(q->rcpts[i].status, sizeof(q->rcpts[i].status), "%s",
		    r->enhanced);
		if (r->fate != FATE_DELIVERED) {
			q->rcpts[i].reply = r->reply;
			r->reply = NULL;
		}
	}
	q->attempts = o->has_rest ? job->attempts : job->attempts + 1;
	q->due_utc_us = o->has_rest ? 0 : utc_of(retry_us);
	q->move_attempts = job->attempts + 1;
	q->move_due_utc_us = utc_of(retry_us);
	q->delay_warning = o->n_deferred > 0 && needs_delay_warning(g, job);
	q->next_hop = xstrdup(job->pool.peer);
	return q;
}

static struct pending_verdict *
make_verdict(const struct job *job, const struct outcome *o)
{
	struct pending_verdict *p = xcalloc(1, sizeof(*p));

	p->reply = xstrdup(o->speaker->reply ? o->speaker->reply : "");
	p->verdict.message = job->message;
	p->verdict.number = job->number;
	outcome_verdict(o, &p->verdict);
	p->verdict.reply = p->reply;
	return p;
}

static void
free_verdict(struct pending_verdict *p)
{
	free(p->reply);
	free(p);
}

/* Without adaptation nothing would keep an unpunished message from being
 * refused again at once: then it waits for its retry as any other. */
static bool
lane_adapts(const struct governor *g, const struct job *job)
{
	const struct conf *conf = g->rt->conf;
	const struct conf_provider *provider =
	    conf_provider(conf, job->pool.transaction.provider);
	int route = route_now(g, job);
	struct conf_adapt adapt;

	if (route < 0 || provider == NULL)
		return false;
	adapt = conf_lane_adapt(conf, &conf->routes[route], provider);
	return adapt.enabled && adapt.mode == MODE_ENFORCE;
}

static void
finish_tried(struct governor *g, struct job *job)
{
	struct outcome o;
	struct pending_verdict *p;
	struct spool_fact *facts, *handed = NULL;
	bool is_relayed = governor_is_relayed(g, job);
	int64_t now_us = clock_mono_us();
	int64_t retry_us = sched_retry_at(g->sched, job->attempts + 1, now_us);
	struct spool_request *q;

	outcome_read(&o, &job->pool.transaction, job->n_pending,
	    lane_adapts(g, job));
	p = make_verdict(job, &o);
	if (is_relayed)
		handed = governor_hand_over(g, job, o.n_delivered);
	p->verdict.n_relayed = is_relayed ? o.n_delivered : 0;
	g->n_delivered += o.n_delivered - p->verdict.n_relayed;
	g->n_deferred += o.n_deferred + o.n_unpunished;
	g->n_failed += o.n_failed;
	governor_event_results(g, job, is_relayed);
	governor_note_relayed(g, job);
	note_times(g, job);
	note_answers(g, job, &o, is_relayed);
	facts = governor_judge_recipients(g, job, is_relayed);
	q = make_settlement(g, job, &o, retry_us);
	q->facts = facts;
	if (handed != NULL) {
		handed->next = facts;
		q->facts = handed;
	}
	if (p->verdict.code > 0 && route_now(g, job) >= 0)
		sched_route_up(g->sched, (unsigned)route_now(g, job), now_us);
	if (p->verdict.next == SETTLE_DONE) {
		sched_verdict(g->sched, &p->verdict, now_us);
		free_verdict(p);
	} else {
		q->owner = p; /* comes back when it is on disk */
	}
	spool_submit(g->spool, q);
	/* What the log said of it meanwhile; facts of that come later. */
	if (is_relayed)
		governor_handed_over(g, job);
}

void
governor_settled(struct governor *g, struct letter *letter_take)
{
	struct pending_verdict *p = (struct pending_verdict *)letter_take;

	sched_verdict(g->sched, &p->verdict, clock_mono_us());
	free_verdict(p);
}

/* Counts as one recipient's: of how many it would have been nobody knows. */
static void
note_refusal(struct governor *g, const struct job *job, enum reply_class class,
    const char *reply)
{
	struct history_answers a = { .n_deferred = 1, .reply = reply };

	a.n_refused[class] = 1;
	history_answered(g->history, job->lane, &a, clock_utc_us());
}

/* The next hop answered, but wouldn't hear of any message. */
static int64_t
refused(struct governor *g, const struct job *job, int64_t now_us)
{
	const char *text = job->pool.refusal ? job->pool.refusal : "";
	const struct reply_answer *answer = &job->pool.refusal_answer;
	struct verdict v = { .message = job->message,
		.number = job->number,
		.phase = job->pool.refusal_phase,
		.class = answer->class,
		.blame = answer->blame,
		.code = job->pool.refusal_code,
		.reply = text,
		.pause_us = answer->pause_us };

	note_refusal(g, job, answer->class, text);
	return sched_refused(g->sched, &v, now_us);
}

/* Nothing was said about the message: the permit goes back, and the route
 * waits before it tries its next hop again, or opens fewer connections. */
static void
finish_unused(struct governor *g, struct job *job)
{
	int64_t now_us = clock_mono_us();
	const char *why = job->pool.refusal ? job->pool.refusal : "";
	int route = route_now(g, job);
	int64_t until_us = now_us;

	if (job->pool.refusal_code > 0 && !g->is_draining && route >= 0) {
		until_us = refused(g, job, now_us);
	} else {
		sched_unuse(g->sched, job->message, job->number, now_us);
		if (!g->is_draining && route >= 0)
			until_us = sched_route_down(g->sched, (unsigned)route,
			    why, now_us);
	}
	if (until_us > now_us)
		governor_event_route_down(g, job, why, until_us - now_us);
}

/* The delivery isn't in the spool: dropped by an operator a moment ago. */
static void
finish_gone(struct governor *g, const struct job *job)
{
	struct verdict v = { .message = job->message,
		.number = job->number,
		.next = SETTLE_DONE,
		.phase = PHASE_UNKNOWN,
		.reply = "" };

	sched_verdict(g->sched, &v, clock_mono_us());
}

/* It waits by itself, as long as after an attempt: the rest of the lane's mail
 * may be readable. Nothing was attempted, so nothing is counted or written. */
static void
finish_unreadable(struct governor *g, const struct job *job)
{
	struct verdict v = { .message = job->message,
		.number = job->number,
		.n_pending = (uint32_t)job->n_pending,
		.next = SETTLE_RETRY,
		.phase = PHASE_UNKNOWN,
		.class = CLASS_SYSTEM,
		.blame = BLAME_NOBODY,
		.reply = "" };
	int64_t now_us = clock_mono_us();
	int64_t due_us = sched_verdict(g->sched, &v, now_us);

	log_error("spool_read", LOG_STR("error", job->err.text),
	    LOG_INT("retry_ms", (due_us - now_us) / 1000),
	    LOG_STR("hint", SPOOL_HINT));
}

void
governor_result(struct governor *g, struct job *job_take)
{
	struct job *job = job_take;

	use_get(g, job->route_name)->n_busy[job->worker]--;
	if (job->fate == JOB_GONE) {
		finish_gone(g, job);
	} else if (job->fate == JOB_SUPPRESSED) {
		governor_withhold(g, job);
	} else if (job->fate == JOB_DISK) {
		finish_unreadable(g, job);
	} else if (job->pool.is_unused) {
		finish_unused(g, job);
	} else {
		finish_tried(g, job);
	}
	job_free(job);
	g->wants_plan = true;
}

/* ---- in and out by other doors ---- */

static void
note_accepted(struct governor *g, const struct added_letter *a)
{
	struct queue_view q;

	if (sched_delivery_get(g->sched, a->message, a->number, &q))
		history_accepted(g->history, q.lane, a->n_pending,
		    clock_utc_us());
}

/* A retry that lies further ahead than any delay was written by another clock,
 * one that has been set back since. */
static int64_t
due_of(const struct governor *g, const struct added_letter *a, int64_t now_us)
{
	int64_t ahead_us = a->due_utc_us - clock_utc_us();
	int64_t most_us = 2 * g->rt->conf->spool.retry.max_us;

	if (a->due_utc_us == 0)
		return now_us;
	return now_us + (ahead_us < most_us ? ahead_us : most_us);
}

void
governor_add(struct governor *g, const struct added_letter *a)
{
	int64_t now_us = clock_mono_us();
	/* What has just come expires from now, whatever clock stamped it. */
	int64_t since_us =
	    a->is_new ? now_us : now_us - clock_utc_us() + a->arrived_utc_us;
	struct mx_place place;
	struct sched_delivery d = { .message = a->message,
		.number = a->number,
		.n_pending = a->n_pending,
		.stream = a->stream,
		.expires_us = since_us + g->rt->conf->spool.expire_us,
		.due_us = due_of(g, a, now_us),
		.attempts = a->attempts,
		.sender_domain = a->sender_domain };

	governor_mx_place(g, a->provider, a->site, true, &place);
	if (a->is_new && a->recipients != NULL)
		governor_event_accepted(g, a, place.provider);
	if (place.status != NULL) {
		if (*a->sender_domain != '\0')
			sched_unroutable(g->sched, d.stream, a->n_pending,
			    now_us);
		governor_bounce_unroutable(g, a->message, a->number,
		    a->n_pending, &place);
		return;
	}
	d.provider = place.provider;
	d.site = place.site;
	d.sort_by_us = place.sort_by_us;
	sched_add(g->sched, &d, now_us);
	if (!g->is_scanning && a->attempts == 0)
		note_accepted(g, a);
	g->wants_plan = true;
}

void
governor_settle_all(struct governor *g, uint64_t message, uint32_t number,
    uint32_t n_pending, enum spool_fate fate, const char *status,
    const char *reply)
{
	struct spool_request *q =
	    governor_settlement(message, number, n_pending);

	for (uint32_t i = 0; i < n_pending; i++) {
		q->rcpts[i].fate = fate;
		q->rcpts[i].reply = xstrdup(reply);
		snprintf(q->rcpts[i].status, sizeof(q->rcpts[i].status), "%s",
		    status);
	}
	spool_submit(g->spool, q);
}

static bool
take_out(struct governor *g, uint64_t message, uint32_t number,
    enum spool_fate fate, const char *reply)
{
	struct queue_view q;

	if (!sched_delivery_get(g->sched, message, number, &q) ||
	    !sched_remove(g->sched, message, number))
		return false;
	governor_settle_all(g, message, number, q.n_pending, fate, "5.0.0",
	    reply);
	g->n_failed += q.n_pending;
	return true;
}

bool
governor_bounce(struct governor *g, uint64_t message, uint32_t number,
    const char *reply)
{
	return take_out(g, message, number, SPOOL_FAILED_FOR_GOOD, reply);
}

bool
governor_drop(struct governor *g, uint64_t message, uint32_t number)
{
	return take_out(g, message, number, SPOOL_DROPPED, NULL);
}

bool
governor_reroute(struct governor *g, uint64_t message, uint32_t number,
    const char *stream)
{
	int64_t now_us = clock_mono_us();
	struct queue_view q;
	struct spool_request *request;

	if (!sched_delivery_get(g->sched, message, number, &q) ||
	    !sched_reroute(g->sched, message, number, stream, now_us))
		return false;
	request = governor_settlement(message, number, 0);
	request->attempts = q.attempts;
	request->due_utc_us = q.due_us > now_us ? utc_of(q.due_us) : 0;
	request->stream = xstrdup(stream);
	spool_submit(g->spool, request);
	return true;
}
