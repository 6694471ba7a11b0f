/* SPDX-License-Identifier: ISC */
/*
 * Quotas: a day's count with its plan, guard and reservation. The gates in
 * gate_plan.c ask and charge; quotas.c finds them by name and stores them. A
 * quota knows no lane and no queue.
 *
 * The subtle rule: a charge never passes what is granted, what is granted is
 * on disk, and a restart takes all that was granted for sent.
 */
#include "scheduler/quota.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

#define BATCH_SHARE   200 /* of the allowance, at a time */
#define BATCH_SPAN_US INT64_C(250000)
#define BATCH_MAX     10000

/* ---- life ---- */

void
quota_init(struct quota *q, enum quota_kind kind, const char *name)
{
	*q = (struct quota){ .kind = kind, .name = xstrdup(name) };
	q->granted_day = q->asked_day = q->cap_day = WARMUP_NO_DAY;
	q->ledger.is_stored = true;
	q->calendar.day_us = CALENDAR_DAY_US;
}

void
quota_fini(struct quota *q)
{
	ledger_fini(&q->ledger);
	ledger_fini(&q->others);
	free(q->plan_name);
	free(q->name);
}

static void
plan_changed(struct quota *q, const struct conf_plan *plan,
    const struct conf_schedule *schedule, const struct zone *zone)
{
	int64_t volume = q->warmup.allowed;

	warmup_configure(&q->warmup, plan, schedule, zone);
	if (q->plan_name == NULL || strcmp(q->plan_name, plan->name) == 0)
		return;
	warmup_restage(&q->warmup, volume);
	q->is_changed = true;
}

void
quota_configure(struct quota *q, const struct conf_plan *plan,
    const struct conf_schedule *schedule, const struct conf_spike_guard *guard,
    const struct zone *zone)
{
	q->guard = guard;
	q->cap_day = WARMUP_NO_DAY;
	q->calendar.zone_ref = zone;
	q->begin_us = q->end_us = 0;
	if (plan == NULL) {
		q->has_plan = false;
		return;
	}
	/* A plan that was taken away and comes back goes on. */
	if (q->warmup.name == NULL) {
		void (*on_change)(const struct warmup_change *, void *) =
		    q->warmup.on_change;
		void *arg = q->warmup.arg;

		warmup_init(&q->warmup, q->name, &q->ledger, plan, schedule,
		    zone);
		q->warmup.on_change = on_change;
		q->warmup.arg = arg;
		q->warmup.others = &q->others;
	} else {
		plan_changed(q, plan, schedule, zone);
	}
	q->has_plan = true;
	free(q->plan_name);
	q->plan_name = xstrdup(plan->name);
}

/* ---- days ---- */

static bool
has_begun(const struct quota *q)
{
	return q->has_plan && q->warmup.st.day != WARMUP_NO_DAY;
}

int64_t
quota_tick(struct quota *q, int64_t utc_us)
{
	if (q->has_plan)
		warmup_tick(&q->warmup, utc_us, false);
	if (has_begun(q)) {
		q->day = q->warmup.st.day;
		q->end_us = q->warmup.end_us;
		return q->day;
	}
	if (utc_us >= q->end_us || utc_us < q->begin_us) {
		q->day = calendar_day(&q->calendar, utc_us);
		q->begin_us = calendar_begin(&q->calendar, q->day);
		q->end_us = calendar_begin(&q->calendar, q->day + 1);
	}
	return q->day;
}

int64_t
quota_end(const struct quota *q)
{
	return q->end_us;
}

/* Of an instant that is over: the day that it belonged to. */
static int64_t
day_at(struct quota *q, int64_t left_utc_us, int64_t utc_us)
{
	int64_t day = quota_tick(q, utc_us);

	if (!has_begun(q))
		return left_utc_us >= q->begin_us
		    ? day
		    : calendar_day(&q->calendar, left_utc_us);
	if (left_utc_us >= q->warmup.begin_us)
		return day;
	return calendar_day(&q->warmup.calendar, left_utc_us);
}

/* ---- reservations ---- */

static bool
is_shadow_guard(const struct quota *q)
{
	return q->guard == NULL || q->guard->mode == MODE_SHADOW;
}

/* What the charge could reach today; INT64_MAX: nothing limits it. */
static int64_t
limit_of(const struct quota *q)
{
	int64_t limit =
	    has_begun(q) && !quota_is_shadow(q) ? q->warmup.allowed : INT64_MAX;

	if (!is_shadow_guard(q) && q->cap_day == q->day && q->cap < limit)
		limit = q->cap;
	return limit;
}

static int64_t
charged(const struct quota *q)
{
	return ledger_get(&q->ledger, q->day, LEDGER_CHARGED);
}

/* By other nodes as well. */
static int64_t
charged_by_all(const struct quota *q)
{
	return charged(q) + ledger_get(&q->others, q->day, LEDGER_CHARGED);
}

int64_t
quota_limit(const struct quota *q)
{
	return limit_of(q);
}

void
quota_hear(struct quota *q, int64_t day, int64_t n)
{
	ledger_set(&q->others, day, LEDGER_CHARGED, n);
}

bool
quota_is_today(struct quota *q, int64_t left_utc_us)
{
	int64_t begin_us = has_begun(q) ? q->warmup.begin_us : q->begin_us;

	return left_utc_us >= begin_us;
}

/* A half per cent, but in the short days of a rehearsal what leaves while a
 * slow disk writes. */
static int64_t
batch_of(const struct quota *q, int64_t limit)
{
	int64_t span_us = q->warmup.close_us - q->warmup.open_us;
	int64_t batch = 1 + limit / BATCH_SHARE;

	if (has_begun(q) && span_us > 0 && limit < INT64_MAX / BATCH_SPAN_US &&
	    batch < limit * BATCH_SPAN_US / span_us)
		batch = limit * BATCH_SPAN_US / span_us;
	return batch < BATCH_MAX ? batch : BATCH_MAX;
}

/* Asks for more before what is granted is used up. */
static void
reserve(struct quota *q)
{
	int64_t limit = limit_of(q), batch, used, have;

	if (!q->must_persist || limit == INT64_MAX)
		return;
	batch = batch_of(q, limit);
	used = charged(q);
	have = q->asked_day == q->day ? q->asked : 0;
	if (have >= used + batch || have >= limit)
		return;
	q->asked_day = q->day;
	q->asked = used + 2 * batch < limit ? used + 2 * batch : limit;
	ledger_set(&q->ledger, q->day, LEDGER_RESERVED, q->asked);
}

bool
quota_is_waiting(const struct quota *q)
{
	return q->asked_day == q->day &&
	    (q->granted_day != q->day || q->granted < q->asked);
}

static struct quota_permit
from_disk(struct quota *q, bool has_mail, struct quota_permit p)
{
	int64_t granted, room;

	if (!q->must_persist || p.room == 0 || limit_of(q) == INT64_MAX)
		return p;
	if (has_mail)
		reserve(q);
	else if (!quota_is_waiting(q))
		return p; /* the next one would only ask */
	granted = q->granted_day == q->day ? q->granted : 0;
	room = granted - charged(q);
	if (room <= 0)
		return (struct quota_permit){ .hold = QUOTA_DISK,
			.utc_us = INT64_MAX };
	if (room < p.room)
		p.room = room;
	return p;
}

void
quota_stored(struct quota *q, int64_t day, int64_t reserved)
{
	if (q->granted_day == day && q->granted >= reserved)
		return;
	q->granted_day = day;
	q->granted = reserved;
}

void
quota_persist(struct quota *q, bool on)
{
	q->must_persist = on;
}

void
quota_settle(struct quota *q)
{
	for (uint32_t i = 0; i < q->ledger.n; i++) {
		const struct ledger_row *row = &q->ledger.rows[i];

		if (row->facts[LEDGER_RESERVED] != 0)
			ledger_set(&q->ledger, row->day, LEDGER_RESERVED, 0);
	}
	q->asked_day = q->granted_day = WARMUP_NO_DAY;
}

void
quota_restored(struct quota *q)
{
	for (uint32_t i = 0; i < q->ledger.n; i++) {
		struct ledger_row *row = &q->ledger.rows[i];
		uint32_t reserved = row->facts[LEDGER_RESERVED];

		if (row->facts[LEDGER_CHARGED] < reserved)
			row->facts[LEDGER_CHARGED] = reserved;
	}
	if (!has_begun(q))
		return;
	warmup_configure(&q->warmup, q->warmup.plan, q->warmup.schedule,
	    q->warmup.calendar.zone_ref);
	if (strcmp(q->plan_name, q->warmup.plan->name) == 0)
		return;
	/* Another plan took over while we were away. */
	warmup_restage(&q->warmup,
	    ledger_get(&q->ledger, q->warmup.st.day, LEDGER_ALLOWED));
	free(q->plan_name);
	q->plan_name = xstrdup(q->warmup.plan->name);
	q->is_changed = true;
}

/* ---- may one leave? ---- */

bool
quota_is_shadow(const struct quota *q)
{
	return q->has_plan && q->warmup.plan->mode == MODE_SHADOW;
}

static struct quota_permit
open_permit(int64_t utc_us)
{
	return (struct quota_permit){ .room = INT64_MAX, .utc_us = utc_us };
}

struct quota_permit
quota_ask_plan(struct quota *q, bool has_mail, int64_t utc_us)
{
	struct warmup_permit w;

	if (!q->has_plan || quota_is_shadow(q))
		return open_permit(utc_us);
	w = warmup_ask(&q->warmup, utc_us);
	quota_tick(q, utc_us);
	if (w.hold != WARMUP_OPEN)
		return (struct quota_permit){ .hold = QUOTA_PLAN,
			.plan_hold = w.hold,
			.utc_us = w.utc_us };
	return from_disk(q, has_mail,
	    (struct quota_permit){ .room = w.room, .utc_us = utc_us });
}

static int64_t
guard_cap(struct quota *q, int64_t utc_us)
{
	int64_t day_us =
	    has_begun(q) ? q->warmup.plan->day_us : q->calendar.day_us;

	quota_tick(q, utc_us);
	if (q->cap_day != q->day) {
		q->cap = spike_guard_cap(q->guard, &q->ledger, q->day, day_us,
		    &q->peak);
		q->cap_day = q->day;
	}
	return q->cap;
}

struct quota_permit
quota_ask_guard(struct quota *q, bool has_mail, int64_t utc_us)
{
	int64_t left;

	if (is_shadow_guard(q))
		return open_permit(utc_us);
	left = guard_cap(q, utc_us);
	if (left == INT64_MAX)
		return open_permit(utc_us);
	left -= charged_by_all(q);
	if (left <= 0)
		return (struct quota_permit){ .hold = QUOTA_GUARD,
			.utc_us = q->end_us };
	return from_disk(q, has_mail,
	    (struct quota_permit){ .room = left, .utc_us = utc_us });
}

/* In shadow mode: would it have been held? */
static bool
would_hold(struct quota *q, int64_t n, int64_t utc_us)
{
	if (quota_is_shadow(q)) {
		struct warmup_permit w = warmup_ask(&q->warmup, utc_us);

		if (w.hold != WARMUP_OPEN || w.room < n)
			return true;
	}
	return q->guard != NULL && q->guard->mode == MODE_SHADOW &&
	    guard_cap(q, utc_us) < charged_by_all(q) + n;
}

void
quota_charge(struct quota *q, int64_t n, int64_t utc_us)
{
	if (q->has_plan)
		warmup_tick(&q->warmup, utc_us, true);
	quota_tick(q, utc_us);
	if (would_hold(q, n, utc_us))
		q->n_would_hold += (uint64_t)n;
	if (has_begun(q))
		warmup_charge(&q->warmup, n, utc_us);
	else
		ledger_add(&q->ledger, q->day, LEDGER_CHARGED, n);
	reserve(q);
}

void
quota_give_back(struct quota *q, int64_t n, int64_t left_utc_us)
{
	int64_t day = has_begun(q) && left_utc_us >= q->warmup.begin_us
	    ? q->warmup.st.day
	    : calendar_day(has_begun(q) ? &q->warmup.calendar : &q->calendar,
		  left_utc_us);

	if (has_begun(q))
		warmup_give_back(&q->warmup, day, n);
	else
		ledger_add(&q->ledger, day, LEDGER_CHARGED, -n);
}

int64_t
quota_left(const struct quota *q)
{
	int64_t left = INT64_MAX, n;

	if (has_begun(q) && !quota_is_shadow(q))
		left = warmup_left(&q->warmup);
	if (!is_shadow_guard(q) && q->cap_day == q->day &&
	    q->cap != INT64_MAX) {
		n = q->cap - charged_by_all(q);
		if (n < left)
			left = n > 0 ? n : 0;
	}
	return left;
}

/* ---- facts ---- */

void
quota_facts(struct quota *q, const struct quota_facts *f, int64_t left_utc_us,
    int64_t utc_us)
{
	int64_t day = day_at(q, left_utc_us, utc_us);
	struct ledger *l = &q->ledger;

	ledger_add(l, day, LEDGER_ATTEMPTED, f->attempted);
	ledger_add(l, day, LEDGER_ACCEPTED, f->accepted);
	ledger_add(l, day, LEDGER_DEFERRED, f->deferred);
	ledger_add(l, day, LEDGER_SLOWED, f->slowed);
	ledger_add(l, day, LEDGER_REJECTED, f->rejected);
	ledger_add(l, day, LEDGER_BOUNCED, f->bounced);
	ledger_add(l, day, LEDGER_DIRTY, f->dirty);
	if (has_begun(q) && day == q->warmup.st.day)
		warmup_watch(&q->warmup, utc_us);
}

void
quota_note(struct quota *q, enum ledger_fact fact, int64_t n, int64_t utc_us)
{
	ledger_add(&q->ledger, quota_tick(q, utc_us), fact, n);
}
