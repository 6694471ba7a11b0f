/* SPDX-License-Identifier: ISC */
/*
 * Plans as the operator sees and steers them: views, history, orders,
 * forecasts, and whether a submission still has room. Looking begins no plan
 * and changes no count.
 */
#include <stdio.h>
#include <string.h>

#include "scheduler/forecast.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/schedule.h"
#include "scheduler/sender.h"

static const char *const kinds[] = {
	[QUOTA_LANE] = "lane",
	[QUOTA_ROUTE] = "route",
	[QUOTA_SENDER] = "sender",
};

/* ---- views ---- */

/* A lane is made for its name; the others are only found. */
static struct quota_entry *
find(struct sched *s, const char *name)
{
	struct lane *l = lane_by_name(s, name, true);
	struct quota_entry *e;

	if (l != NULL)
		return l->quota;
	e = quotas_find(s, QUOTA_ROUTE, name);
	return e != NULL ? e : quotas_find(s, QUOTA_SENDER, name);
}

static void
view_plan(struct sched *s, struct quota_entry *e, struct plan_view *out)
{
	struct warmup *w = &e->quota.warmup;
	int64_t utc_us = sched_utc_now(s);
	struct warmup_permit permit;

	warmup_say(w, utc_us, out->text, sizeof(out->text));
	out->plan = w->plan->name;
	out->state = warmup_state_name(w);
	out->is_shadow = quota_is_shadow(&e->quota);
	out->stage = w->st.stage + 1;
	out->n_stages = schedule_last_stage(w->schedule) + 1;
	out->n_would_hold = e->quota.n_would_hold;
	if (w->st.day == WARMUP_NO_DAY) {
		out->allowed = schedule_volume(w->schedule, w->st.stage);
		return;
	}
	permit = warmup_ask(w, utc_us);
	out->next_us = sched_mono(s, permit.utc_us);
	out->day = w->st.day - w->st.first_day + 1;
	out->date = calendar_date(&w->calendar, w->st.day);
	out->allowed = w->allowed;
	out->sent = warmup_charged(w);
}

static void
view(struct sched *s, struct quota_entry *e, struct plan_view *out)
{
	int64_t day = quota_tick(&e->quota, sched_utc_now(s));

	*out = (struct plan_view){
		.name = e->quota.name,
		.kind = kinds[e->quota.kind],
		.plan = "",
		.state = "none",
		.date = day,
		.allowed = INT64_MAX,
		.sent = ledger_get(&e->quota.ledger, day, LEDGER_CHARGED),
		.waiting = quotas_waiting(s, e),
		.next_us = s->now_us,
	};
	if (e->quota.has_plan)
		view_plan(s, e, out);
	else
		snprintf(out->text, sizeof(out->text), "%s has no plan",
		    e->quota.name);
}

void
sched_plans_each(struct sched *s, int64_t now_us,
    void (*each)(const struct plan_view *p, void *arg), void *arg)
{
	struct quota_entry *e, *next;

	sched_clock(s, now_us);
	HASH_ITER(hh, s->quotas, e, next)
	{
		struct plan_view v;

		if (!e->quota.has_plan)
			continue;
		view(s, e, &v);
		each(&v, arg);
	}
}

bool
sched_plan_get(struct sched *s, const char *name, int64_t now_us,
    struct plan_view *out)
{
	struct quota_entry *e;

	sched_clock(s, now_us);
	e = find(s, name);
	if (e == NULL)
		return false;
	view(s, e, out);
	return true;
}

void
sched_plan_history(struct sched *s, const char *name,
    void (*each)(const struct plan_day *day, void *arg), void *arg)
{
	struct quota_entry *e = find(s, name);
	const struct ledger *l;
	bool has_begun;

	if (e == NULL)
		return;
	l = &e->quota.ledger;
	has_begun =
	    e->quota.has_plan && e->quota.warmup.st.day != WARMUP_NO_DAY;
	for (uint32_t i = 0; i < l->n; i++) {
		const struct ledger_row *row = &l->rows[i];
		struct plan_day day = {
			.day = row->day,
			.date = row->day,
			.facts = row->facts,
		};

		if (has_begun) {
			day.day -= e->quota.warmup.st.first_day - 1;
			day.date =
			    calendar_date(&e->quota.warmup.calendar, row->day);
		}
		each(&day, arg);
	}
}

/* ---- orders ---- */

int
sched_plan_order(struct sched *s, const char *name, enum warmup_order order,
    int64_t n, int64_t now_us, struct err *err_out)
{
	struct quota_entry *e;

	sched_clock(s, now_us);
	e = find(s, name);
	if (e == NULL)
		return err_set(err_out,
		    "no lane, route or DOMAIN/PROVIDER is called \"%s\"", name);
	if (!e->quota.has_plan)
		return err_set(err_out, "%s has no plan", name);
	if (warmup_order(&e->quota.warmup, order, n, sched_utc_now(s),
		err_out) < 0)
		return -1;
	quotas_touch(s, e);
	quotas_arm(s, e);
	quotas_wake(s, e);
	return 0;
}

static void
complain(struct sched *s, struct quota_entry *e, int64_t n)
{
	if (e == NULL || !quotas_counts(e))
		return;
	quota_note(&e->quota, LEDGER_COMPLAINED, n, sched_utc_now(s));
	quotas_touch(s, e);
}

void
sched_complaint(struct sched *s, const char *lane, int64_t n, int64_t now_us)
{
	struct lane *l;

	sched_clock(s, now_us);
	l = lane_by_name(s, lane, true);
	if (l == NULL)
		return;
	complain(s, l->quota, n);
	complain(s, l->route->total, n);
}

/* ---- submission ---- */

static bool
is_full(struct sched *s, struct quota_entry *e)
{
	struct quota *q = &e->quota;

	if (!q->has_plan || quota_is_shadow(q) ||
	    q->warmup.plan->overflow != OVERFLOW_TEMPFAIL)
		return false;
	quota_tick(q, sched_utc_now(s));
	/* Not begun: the first message is what begins it. */
	return q->warmup.st.day != WARMUP_NO_DAY &&
	    quotas_waiting(s, e) >= quota_left(q);
}

void
sched_full_each(struct sched *s, int64_t now_us,
    void (*each)(const char *key, const char *text, void *arg), void *arg)
{
	struct quota_entry *e, *next;

	sched_clock(s, now_us);
	HASH_ITER(hh, s->quotas, e, next)
	{
		char text[200];

		if (!is_full(s, e))
			continue;
		snprintf(text, sizeof(text),
		    "Plan %s takes no more for %s today, try later",
		    e->quota.plan_name, e->quota.name);
		each(e->key, text, arg);
	}
}

/* ---- forecasts ---- */

/* The slower of two rates, by what they let through in the long run. */
static struct rate
slower(struct rate a, struct rate b)
{
	if (rate_is_unlimited(&a))
		return b;
	if (rate_is_unlimited(&b))
		return a;
	return (__int128)a.count * b.window_us < (__int128)b.count * a.window_us
	    ? a
	    : b;
}

static struct rate
rate_of_lane(const struct lane *l)
{
	struct rate r = { 0, 0 };

	for (size_t i = 0; i < l->limits.rates.n; i++)
		r = slower(r, l->limits.rates.v[i]);
	if (!lane_is_shadow(l))
		r = slower(r, rate_in_words(adapt_rate(&l->adapt->speed)));
	return r;
}

static int64_t
n_to_leave(const struct lane *l, const char *stream, bool *has_out)
{
	const struct flow *f;
	uint64_t n = 0;

	*has_out = stream == NULL;
	DL_FOREACH2(l->dest->flows, f, dest_next)
	{
		if (f->lane != l)
			continue;
		/* A deferred delivery is counted once, whatever it holds. */
		n += f->n_queued_recipients + f->retries.n;
		if (stream != NULL && strcmp(f->stream->name, stream) == 0)
			*has_out = true;
	}
	return (int64_t)n;
}

/* When the last of its deferred mail is tried again; INT64_MIN: none is. */
static int64_t
last_retry_us(const struct lane *l)
{
	const struct flow *f;
	int64_t last = INT64_MIN;

	DL_FOREACH2(l->dest->flows, f, dest_next)
	{
		int64_t at_us =
		    f->lane == l ? heap_last_key(&f->retries) : INT64_MIN;

		if (at_us > last)
			last = at_us;
	}
	return last;
}

struct forecast_walk {
	const char *stream;
	void (*each)(const struct forecast_view *f, void *arg);
	void *arg;
};

static void
forecast_lane(struct sched *s, struct lane *l, void *arg)
{
	struct forecast_walk *walk = arg;
	struct gate_ask ask = { .s = s,
		.route = l->route,
		.lane = l,
		.n = 1,
		.now_us = s->now_us };
	struct gate_hold hold = gates_hold(&ask);
	struct quota *q = &l->quota->quota;
	struct forecast f = {
		.utc_us = sched_utc_now(s),
		.rate = rate_of_lane(l),
		.plan = q->has_plan && !quota_is_shadow(q) ? &q->warmup : NULL,
	};
	struct forecast_view v = { .lane = l->name, .gate = hold.gate };
	int64_t retry_us = last_retry_us(l);
	bool has;

	f.n = v.n_waiting = n_to_leave(l, walk->stream, &has);
	if (f.n == 0 || !has)
		return;
	if (hold.gate == GATE_PAUSE || hold.gate == GATE_SUSPENDED ||
	    hold.gate == GATE_NEXT_HOP || hold.gate == GATE_SENDER ||
	    hold.gate == GATE_LIST_HEALTH)
		f.opens_us = hold.until_us == INT64_MAX
		    ? INT64_MAX
		    : hold.until_us + s->utc_offset_us;
	v.done_us = sched_mono(s, forecast_done(&f, &v.n_days));
	if (v.done_us < retry_us)
		v.done_us = retry_us;
	walk->each(&v, walk->arg);
}

void
sched_forecasts_each(struct sched *s, const char *stream, int64_t now_us,
    void (*each)(const struct forecast_view *f, void *arg), void *arg)
{
	struct forecast_walk walk = { stream, each, arg };

	sched_clock(s, now_us);
	lanes_each_of(s, forecast_lane, &walk);
}
