/* SPDX-License-Identifier: ISC */
/*
 * The gates of days: a lane's plan, a route's total, a sender domain's plan,
 * the spike guard; and those of senders and lists that are paused. Rows of
 * gate_rows.c; the quotas count, this file asks them and puts it into words.
 *
 * Mail overflows to its stream's next route when a plan that says so has
 * nothing left for today, or when more waits than the day has left: waiting in
 * line for a pace that can't be met would only make it late.
 */
#include "scheduler/gate_plan.h"

#include <string.h>

#include "scheduler/lane_adapt.h"
#include "scheduler/sender.h"

/* A plan begins with its first mail, not with somebody's look at it. */
static bool
is_asleep(const struct gate_ask *ask, const struct quota *q)
{
	return q->has_plan && q->warmup.st.day == WARMUP_NO_DAY &&
	    ask->lane->n_flows == 0;
}

static struct quota_permit
ask_plan(const struct gate_ask *ask, struct quota_entry *e)
{
	int64_t utc_us = sched_utc_now(ask->s);

	if (e == NULL || !e->quota.has_plan || is_asleep(ask, &e->quota))
		return (struct quota_permit){ .room = INT64_MAX,
			.utc_us = utc_us };
	return quota_ask_plan(&e->quota, ask->flow != NULL, utc_us);
}

static int64_t
when_of(const struct gate_ask *ask, struct quota_entry *e,
    const struct quota_permit *p)
{
	if (p->room > 0)
		return INT64_MIN;
	if (p->hold == QUOTA_DISK) {
		ask->s->wants_save = true;
		quotas_touch(ask->s, e);
	}
	return sched_mono(ask->s, p->utc_us);
}

static void
charge(const struct gate_ask *ask, struct quota_entry *e)
{
	if (e == NULL || !quotas_counts(e))
		return;
	quota_charge(&e->quota, ask->n, sched_utc_now(ask->s));
	if (quota_is_waiting(&e->quota))
		ask->s->wants_save = true;
	quotas_touch(ask->s, e);
	quotas_arm(ask->s, e);
}

static void
give_back(const struct gate_ask *ask, struct quota_entry *e)
{
	if (e == NULL || !quotas_counts(e))
		return;
	quota_give_back(&e->quota, ask->n,
	    ask->left_us + ask->s->utc_offset_us);
	quotas_touch(ask->s, e);
}

/* Queued recipients of the destination that may take this route. */
static int64_t
n_wanting(const struct gate_ask *ask)
{
	const struct flow *f;
	uint64_t n = 0;

	DL_FOREACH2(ask->lane->dest->flows, f, dest_next)
	for (size_t i = 0; i < f->stream->n_routes; i++)
		if (f->stream->routes[i] == ask->route) {
			n += f->n_queued_recipients;
			break;
		}
	return (int64_t)n;
}

static bool
overflows(const struct gate_ask *ask, struct quota_entry *e)
{
	struct quota_permit p;

	if (e == NULL || !e->quota.has_plan ||
	    e->quota.warmup.plan->overflow != OVERFLOW_NEXT_ROUTE)
		return false;
	p = ask_plan(ask, e);
	if (p.hold != QUOTA_PLAN)
		return false;
	if (p.plan_hold == WARMUP_PACE &&
	    n_wanting(ask) <= quota_left(&e->quota))
		return false;
	/* It comes back when this one opens. */
	e->overflow_us = sched_mono(ask->s, p.utc_us);
	quotas_arm(ask->s, e);
	return true;
}

static void
say(const struct gate_ask *ask, struct quota_entry *e, struct gate_view *view)
{
	struct quota_permit p;
	size_t len;

	if (e == NULL || !e->quota.has_plan)
		return;
	p = ask_plan(ask, e);
	if (p.hold == QUOTA_DISK) {
		SAY(view, "%s waits until its day's count is on disk",
		    e->quota.name);
		return;
	}
	warmup_say(&e->quota.warmup, sched_utc_now(ask->s), view->text,
	    sizeof(view->text));
	len = strlen(view->text);
	if (quota_is_shadow(&e->quota))
		snprintf(view->text + len, sizeof(view->text) - len,
		    " (shadow: held to nothing)");
}

int64_t
quota_since(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;

	return l->held_since_us != 0 ? l->held_since_us : ask->now_us;
}

/* Of the flow that is asked about; else of the lane's flows with mail, when
 * all of them are held. */
static const struct flow *
held_flow(const struct gate_ask *ask, int64_t (*opens)(const struct flow *f))
{
	const struct flow *f, *first = NULL;

	if (ask->flow != NULL)
		return opens(ask->flow) > ask->now_us ? ask->flow : NULL;
	DL_FOREACH2(ask->lane->dest->flows, f, dest_next)
	{
		if (f->lane != ask->lane || f->queue == NULL)
			continue;
		if (opens(f) <= ask->now_us)
			return NULL;
		if (first == NULL || opens(f) < opens(first))
			first = f;
	}
	return first;
}

static int64_t
domain_opens(const struct flow *f)
{
	struct quota_permit p;

	if (f->gate == NULL || f->gate->quota == NULL)
		return INT64_MIN;
	p = quota_ask_plan(&f->gate->quota->quota, false,
	    sched_utc_now(f->gate->s));
	return p.room > 0 ? INT64_MIN : sched_mono(f->gate->s, p.utc_us);
}

/* One set of row functions for each quota that has a plan. */
#define PLAN_ROW_FUNCTIONS(name, entry)                                     \
	int64_t name##_when(const struct gate_ask *ask)                     \
	{                                                                   \
		struct quota_permit p = ask_plan(ask, entry);               \
                                                                            \
		return when_of(ask, entry, &p);                             \
	}                                                                   \
	int64_t name##_room(const struct gate_ask *ask)                     \
	{                                                                   \
		return ask_plan(ask, entry).room;                           \
	}                                                                   \
	void name##_charge(const struct gate_ask *ask)                      \
	{                                                                   \
		charge(ask, entry);                                         \
	}                                                                   \
	void name##_give_back(const struct gate_ask *ask)                   \
	{                                                                   \
		give_back(ask, entry);                                      \
	}                                                                   \
	void name##_say(const struct gate_ask *ask, struct gate_view *view) \
	{                                                                   \
		say(ask, entry, view);                                      \
	}

/* The domain's quota of the flow that is asked about; without one, of the
 * first of the lane's flows when all of them are held by such. */
static struct quota_entry *
domain_quota(const struct gate_ask *ask)
{
	const struct flow *f =
	    ask->flow != NULL ? ask->flow : held_flow(ask, domain_opens);

	return f != NULL && f->gate != NULL ? f->gate->quota : NULL;
}

PLAN_ROW_FUNCTIONS(plan, ask->lane->quota)
PLAN_ROW_FUNCTIONS(total, ask->route->total)
PLAN_ROW_FUNCTIONS(domain, domain_quota(ask))

bool
plan_overflows(const struct gate_ask *ask)
{
	return overflows(ask, ask->lane->quota);
}

bool
total_overflows(const struct gate_ask *ask)
{
	return overflows(ask, ask->route->total);
}

/* ---- the spike guard ---- */

static struct quota_permit
ask_guard(const struct gate_ask *ask)
{
	return quota_ask_guard(&ask->lane->quota->quota, ask->flow != NULL,
	    sched_utc_now(ask->s));
}

int64_t
guard_when(const struct gate_ask *ask)
{
	struct quota_permit p = ask_guard(ask);

	return when_of(ask, ask->lane->quota, &p);
}

int64_t
guard_room(const struct gate_ask *ask)
{
	return ask_guard(ask).room;
}

void
guard_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct quota *q = &ask->lane->quota->quota;
	struct quota_permit p = ask_guard(ask);
	char text[UNITS_TEXT_SIZE];

	if (q->guard == NULL)
		return;
	if (p.hold == QUOTA_DISK)
		SAY(view, "%s waits until its day's count is on disk",
		    ask->lane->name);
	else if (p.hold == QUOTA_GUARD)
		SAY(view,
		    "%s has sent the %lld that the spike guard allows today "
		    "(its greatest day lately had %lld); goes on in %s",
		    ask->lane->name, (long long)q->cap, (long long)q->peak,
		    gate_span(sched_mono(ask->s, p.utc_us) - ask->now_us,
			text));
	else if (q->guard->mode == MODE_SHADOW)
		SAY(view, "the spike guard only watches %s (shadow)",
		    ask->lane->name);
	else
		SAY(view, "the spike guard allows %s %lld today",
		    ask->lane->name, (long long)q->cap);
}

/* ---- sender domains ---- */

static int64_t
sender_opens(const struct flow *f)
{
	const struct sender_gate *g = f->gate;
	int64_t until_us = INT64_MIN;

	if (g == NULL)
		return until_us;
	if (g->is_shut)
		until_us = g->until_us;
	if (g->sender->pause != NULL && g->sender->pause->until_us > until_us)
		until_us = g->sender->pause->until_us;
	return until_us;
}

static int64_t
list_opens(const struct flow *f)
{
	return f->stream->health.is_held ? INT64_MAX : INT64_MIN;
}

int64_t
sender_when(const struct gate_ask *ask)
{
	const struct flow *f = held_flow(ask, sender_opens);

	return f != NULL ? sender_opens(f) : INT64_MIN;
}

int64_t
sender_since(const struct gate_ask *ask)
{
	const struct flow *f = held_flow(ask, sender_opens);

	if (f == NULL)
		return 0;
	return f->gate->is_shut ? f->gate->since_us
				: f->gate->sender->pause->since_us;
}

const char *
sender_because(const struct gate_ask *ask)
{
	const struct flow *f = held_flow(ask, sender_opens);

	if (f == NULL)
		return "";
	return f->gate->is_shut ? f->gate->because
				: f->gate->sender->pause->because;
}

void
sender_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct flow *f = held_flow(ask, sender_opens);
	char text[UNITS_TEXT_SIZE];

	if (f == NULL)
		return; /* nothing worth a line */
	if (f->gate->is_shut)
		SAY(view, "%s is paused at %s for another %s: %s",
		    f->gate->sender->name, f->gate->dest,
		    gate_span(f->gate->until_us - ask->now_us, text),
		    f->gate->because);
	else
		SAY(view, "%s is paused by the operator%s%s",
		    f->gate->sender->name,
		    f->gate->sender->pause->because[0] ? ": " : "",
		    f->gate->sender->pause->because);
}

/* ---- lists ---- */

int64_t
list_when(const struct gate_ask *ask)
{
	return held_flow(ask, list_opens) != NULL ? INT64_MAX : INT64_MIN;
}

int64_t
list_since(const struct gate_ask *ask)
{
	const struct flow *f = held_flow(ask, list_opens);

	return f != NULL ? sched_mono(ask->s, f->stream->health.since_us) : 0;
}

const char *
list_because(const struct gate_ask *ask)
{
	return held_flow(ask, list_opens) != NULL ? "its list is dirty" : "";
}

void
list_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct flow *f = held_flow(ask, list_opens);
	char text[120];

	if (f == NULL) {
		if (ask->s->conf->list_health.is_given)
			SAY(view, "no stream's list is too dirty");
		return;
	}
	list_health_say(&f->stream->health, &ask->s->conf->list_health, text,
	    sizeof(text));
	SAY(view, "stream %s is held until it is resumed: %s", f->stream->name,
	    text);
}
