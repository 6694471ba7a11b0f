/* SPDX-License-Identifier: ISC */
/*
 * Quotas by name: made when a lane, a route's total or a sender domain needs
 * one, kept when a site's lane goes away, told of days that end and of clocks
 * that step. gate_plan.c asks and charges them; store.c writes them.
 *
 * A plan's day may end while nobody asks: the timer notes what is still held
 * then, and lets mail that took another way come back.
 */
#include "scheduler/quotas.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/leases.h"
#include "scheduler/sender.h"

static const char *const kinds[] = {
	[QUOTA_LANE] = "lane",
	[QUOTA_ROUTE] = "route",
	[QUOTA_SENDER] = "sender",
};

/* ---- what the snapshot says ---- */

static const struct conf_schedule *
schedule_of(const struct conf_plan *plan, const char *provider)
{
	for (size_t i = 0; i < plan->n_providers; i++)
		if (strcmp(plan->providers[i].provider, provider) == 0)
			return &plan->providers[i].schedule;
	return &plan->schedule;
}

static const struct conf_plan *
plan_named(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_plans; i++)
		if (strcmp(conf->plans[i].name, name) == 0)
			return &conf->plans[i];
	return NULL;
}

/* "ip-a/gmail" -> its route's plan; "a.example/gmail" -> the domain's. */
static const struct conf_plan *
plan_of(struct sched *s, const struct quota_entry *e)
{
	size_t len = strcspn(e->quota.name, "/");
	const struct conf *conf = s->conf;

	if (e->quota.kind == QUOTA_SENDER) {
		for (size_t i = 0; i < conf->n_senders; i++)
			if (strlen(conf->senders[i].domain) == len &&
			    strncmp(conf->senders[i].domain, e->quota.name,
				len) == 0)
				return plan_named(conf, conf->senders[i].plan);
		return NULL;
	}
	for (size_t i = 0; i < conf->n_routes; i++) {
		const struct conf_route *r = &conf->routes[i];

		if (strlen(r->name) == len && r->plan != NULL && r->plan[0] &&
		    strncmp(r->name, e->quota.name, len) == 0)
			return plan_named(conf, r->plan);
	}
	return NULL;
}

static const char *
provider_of(struct sched *s, const struct quota_entry *e)
{
	const char *slash = strchr(e->quota.name, '/');
	const struct dest *dest;

	if (slash == NULL)
		return "";
	dest = dest_find(s, slash + 1);
	if (dest != NULL)
		return dest->provider->name;
	return strncmp(slash + 1, "other:", 6) == 0 ? "other" : slash + 1;
}

static void
configure(struct sched *s, struct quota_entry *e)
{
	const struct conf_plan *plan = plan_of(s, e);
	const struct conf_schedule *schedule = NULL;
	bool is_lane = e->quota.kind == QUOTA_LANE;

	if (plan != NULL && e->quota.kind == QUOTA_ROUTE)
		plan = plan->has_total ? plan : NULL;
	if (plan != NULL)
		schedule = e->quota.kind == QUOTA_ROUTE
		    ? &plan->total
		    : schedule_of(plan, provider_of(s, e));
	quota_configure(&e->quota, plan, schedule,
	    is_lane && s->conf->spike_guard.is_given ? &s->conf->spike_guard
						     : NULL,
	    s->zone);
	quotas_arm(s, e);
}

void
quotas_configure_all(struct sched *s)
{
	for (struct quota_entry *e = s->quotas; e; e = e->hh.next)
		configure(s, e);
}

void
quotas_touch(struct sched *s, struct quota_entry *e)
{
	if (e->is_dirty || !quotas_counts(e))
		return;
	e->is_dirty = true;
	DL_APPEND2(s->dirty_quotas, e, dirty_prev, dirty_next);
}

/* ---- waking ---- */

static void
wake_of_route(struct sched *s, struct lane *l, void *arg)
{
	if (strcmp(l->route->name, arg) == 0)
		lane_wake(s, l);
}

void
quotas_wake(struct sched *s, struct quota_entry *e)
{
	char *name = e->quota.name;
	struct sender *sd;
	struct lane *l;
	char *domain;

	switch (e->quota.kind) {
	case QUOTA_LANE:
		l = lane_by_name(s, name, false);
		if (l == NULL)
			break;
		lane_wake(s, l);
		dest_rehome(s, l->dest);
		break;
	case QUOTA_ROUTE:
		lanes_each_of(s, wake_of_route, name);
		flows_rehome(s);
		break;
	case QUOTA_SENDER:
		domain = xstrndup(name, strcspn(name, "/"));
		sd = sender_find(s, domain);
		free(domain);
		if (sd != NULL)
			sender_refresh(s, sd);
		break;
	}
}

/* ---- days ---- */

static int64_t
n_of_lane(struct sched *s, const char *name)
{
	const struct lane *l = lane_by_name(s, name, false);
	const struct flow *f;
	uint64_t n = 0;

	if (l == NULL)
		return 0;
	DL_FOREACH2(l->dest->flows, f, dest_next)
	if (f->lane == l)
		n += f->n_queued_recipients;
	return (int64_t)n;
}

int64_t
quotas_waiting(struct sched *s, const struct quota_entry *e)
{
	uint64_t n = 0;

	if (e->quota.kind == QUOTA_LANE)
		return n_of_lane(s, e->quota.name);
	for (struct dest *dest = s->dests; dest; dest = dest->hh.next) {
		const struct flow *f;

		DL_FOREACH2(dest->flows, f, dest_next)
		{
			bool is_of = e->quota.kind == QUOTA_ROUTE
			    ? f->lane != NULL && f->lane->route->total == e
			    : f->gate != NULL && f->gate->quota == e;

			if (is_of)
				n += f->n_queued_recipients;
		}
	}
	return (int64_t)n;
}

static void
on_quota_timer(struct sched *s, struct timer *t)
{
	struct quota_entry *e = HEAP_OWNER(t, struct quota_entry, timer);
	int64_t utc_us = sched_utc_now(s);

	if (utc_us >= quota_end(&e->quota) && e->quota.has_plan) {
		int64_t n = quotas_waiting(s, e);

		/* Of the day that ends, hence before it does. */
		if (n > 0 && e->quota.warmup.st.day != WARMUP_NO_DAY)
			ledger_set(&e->quota.ledger, e->quota.warmup.st.day,
			    LEDGER_HELD, n);
	}
	quota_tick(&e->quota, utc_us);
	quotas_touch(s, e);
	e->overflow_us = 0;
	quotas_arm(s, e);
	quotas_wake(s, e);
}

void
quotas_arm(struct sched *s, struct quota_entry *e)
{
	int64_t due_us = INT64_MAX;

	if (e->quota.has_plan) {
		quota_tick(&e->quota, sched_utc_now(s));
		due_us = sched_mono(s, quota_end(&e->quota));
	}
	if (e->overflow_us != 0 && e->overflow_us < due_us)
		due_us = e->overflow_us;
	if (due_us <= s->now_us)
		due_us = s->now_us + 1;
	if (heap_has(&e->timer.node) ? e->timer.node.key == due_us
				     : due_us == INT64_MAX)
		return;
	e->timer.gate = GATE_PLAN;
	sched_timer_set(s, &e->timer, due_us);
}

/* ---- by name ---- */

static char *
key_of(enum quota_kind kind, const char *name)
{
	return xasprintf("%s %s", kinds[kind], name);
}

struct quota_entry *
quotas_find(struct sched *s, enum quota_kind kind, const char *name)
{
	char *key = key_of(kind, name);
	struct quota_entry *e;

	HASH_FIND_STR(s->quotas, key, e);
	free(key);
	return e;
}

static void
on_change(const struct warmup_change *change, void *arg)
{
	struct quota_entry *e = arg;

	change_plan(e->s, e, change);
}

struct quota_entry *
quotas_get(struct sched *s, enum quota_kind kind, const char *name)
{
	struct quota_entry *e = quotas_find(s, kind, name);

	if (e != NULL)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->key = key_of(kind, name);
	e->s = s;
	e->is_site = kind == QUOTA_LANE && strstr(name, "/other:") != NULL;
	e->timer.fire = on_quota_timer;
	quota_init(&e->quota, kind, name);
	e->quota.warmup.on_change = on_change;
	e->quota.warmup.arg = e;
	quota_persist(&e->quota, s->must_persist);
	HASH_ADD_KEYPTR(hh, s->quotas, e->key, strlen(e->key), e);
	configure(s, e);
	return e;
}

static void
entry_free(struct quota_entry *e)
{
	quota_fini(&e->quota);
	free(e->key);
	free(e);
}

void
quotas_free(struct sched *s)
{
	struct quota_entry *e, *next;

	HASH_ITER(hh, s->quotas, e, next)
	{
		HASH_DEL(s->quotas, e);
		entry_free(e);
	}
}

/* ---- who uses them ---- */

void
quotas_bind_lane(struct sched *s, struct lane *l)
{
	if (l->quota == NULL) {
		l->quota = quotas_get(s, QUOTA_LANE, l->name);
		l->quota->n_users++;
	}
	if (l->route->total == NULL)
		l->route->total = quotas_get(s, QUOTA_ROUTE, l->route->name);
}

void
quotas_release(struct sched *s, struct quota_entry *e)
{
	if (e != NULL && --e->n_users == 0 && !quotas_counts(e))
		quotas_drop(s, e);
}

void
quotas_drop(struct sched *s, struct quota_entry *e)
{
	if (e->is_dirty)
		DL_DELETE2(s->dirty_quotas, e, dirty_prev, dirty_next);
	if (e->ticket != 0)
		DL_DELETE2(s->saving_quotas, e, saving_prev, saving_next);
	sched_timer_set(s, &e->timer, INT64_MAX);
	lease_unbind_quota(s, e);
	HASH_DEL(s->quotas, e);
	entry_free(e);
}

/* How long it must be remembered after its last mail. */
static int64_t
keep_us(const struct quota *q)
{
	int64_t us = q->guard != NULL ? q->guard->window_us : 0;
	int64_t restart_us;

	if (q->has_plan) {
		restart_us = q->warmup.plan->idle.restart_after_us;
		if (restart_us == 0)
			return LEDGER_DAYS * CALENDAR_DAY_US;
		if (restart_us > us)
			us = restart_us;
	}
	return us + CALENDAR_DAY_US;
}

bool
quotas_is_stale(const struct sched *s, const struct quota_entry *e)
{
	const struct quota *q = &e->quota;
	const struct ledger *l = &q->ledger;
	int64_t last_us;

	if (e->n_users > 0 || q->kind == QUOTA_ROUTE ||
	    (q->kind == QUOTA_LANE && !e->is_site))
		return false;
	if (!quotas_counts(e) || l->n == 0)
		return true;
	last_us =
	    calendar_begin(q->has_plan && q->warmup.st.day != WARMUP_NO_DAY
		    ? &q->warmup.calendar
		    : &q->calendar,
		l->rows[l->n - 1].day);
	return last_us + keep_us(q) < sched_utc_now(s);
}

/* ---- clocks ---- */

static void
wake_lane(struct sched *s, struct lane *l, void *arg)
{
	(void)arg;
	lane_wake(s, l);
}

/* The instants at which gates open have moved. */
static void
ask_again(struct sched *s)
{
	lanes_each_of(s, wake_lane, NULL);
	flows_rehome(s);
	for (struct sender *sd = s->senders; sd; sd = sd->hh.next)
		sender_refresh(s, sd);
}

/* Below it is the clock's slewing, which needs nobody's attention. */
#define STEP_MIN_US INT64_C(500000)

void
sched_utc(struct sched *s, int64_t now_us, int64_t utc_us)
{
	int64_t step_us;

	sched_clock(s, now_us);
	step_us = utc_us - sched_utc_now(s);
	s->utc_offset_us = utc_us - s->now_us;
	if (!s->has_utc) {
		s->has_utc = true;
		step_us = 0;
	}
	if (step_us < STEP_MIN_US && step_us > -STEP_MIN_US)
		return;
	for (struct quota_entry *e = s->quotas; e; e = e->hh.next) {
		if (e->quota.has_plan)
			warmup_stepped(&e->quota.warmup, step_us, utc_us);
		quotas_arm(s, e);
	}
	ask_again(s);
}

void
sched_slept(struct sched *s, int64_t slept_us, int64_t now_us)
{
	sched_clock(s, now_us);
	if (!s->has_utc || slept_us <= 0)
		return;
	s->utc_offset_us += slept_us;
	for (struct quota_entry *e = s->quotas; e; e = e->hh.next)
		quotas_arm(s, e);
	ask_again(s);
}

void
sched_zone(struct sched *s, const struct zone *zone)
{
	s->zone = zone;
	quotas_configure_all(s);
}
