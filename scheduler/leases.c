/* SPDX-License-Identifier: ISC */
/*
 * Leases by subject: made when a lane or a quota whose limits are shared needs
 * one, asked for when mail waits for nothing else, dropped with what they are
 * of. gate_lease.c asks and charges them; daemon/cluster.c makes the calls.
 *
 * Who has nothing to send holds nothing and costs no call. A subject makes a
 * call each half period at most, whatever it sends.
 */
#include "scheduler/leases.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

#define DAYS_KEPT 4 /* of a day's count, after the last call */

/* ---- which are due ---- */

static void
arm(struct lease_entry *e)
{
	struct heap *calls = &e->s->cluster.calls;
	int64_t due_us = lease_due(&e->lease);

	if (e->s->cluster.grants != GRANTS_ASKED)
		due_us = INT64_MAX;
	if (due_us != INT64_MAX)
		heap_move(calls, &e->node, due_us);
	else if (heap_has(&e->node))
		heap_remove(calls, &e->node);
}

void
lease_entry_want(struct lease_entry *e)
{
	lease_wanted(&e->lease, e->s->now_us);
	arm(e);
}

int64_t
sched_lease_due(const struct sched *s)
{
	return heap_top_key(&s->cluster.calls);
}

/* ---- life ---- */

static bool
is_shared(const struct sched *s)
{
	return s->cluster.grants != GRANTS_ALONE;
}

static struct lease_entry *
entry_get(struct sched *s, const char *key)
{
	struct lease_entry *e;

	HASH_FIND_STR(s->cluster.entries, key, e);
	if (e != NULL)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->key = xstrdup(key);
	e->s = s;
	lease_init(&e->lease, s->cluster.period_us);
	if (s->cluster.grants == GRANTS_PARTS)
		lease_loosen(&e->lease, s->cluster.n_nodes, s->now_us);
	HASH_ADD_KEYPTR(hh, s->cluster.entries, e->key, strlen(e->key), e);
	return e;
}

static void
entry_free(struct lease_entry *e)
{
	struct sched *s = e->s;

	if (heap_has(&e->node))
		heap_remove(&s->cluster.calls, &e->node);
	HASH_DEL(s->cluster.entries, e);
	lease_fini(&e->lease);
	free(e->key);
	free(e);
}

void
lease_unbind_lane(struct sched *s, struct lane *l)
{
	(void)s;
	if (l->lease != NULL)
		entry_free(l->lease);
	l->lease = NULL;
}

void
lease_unbind_quota(struct sched *s, struct quota_entry *e)
{
	(void)s;
	if (e->lease != NULL)
		entry_free(e->lease);
	e->lease = NULL;
}

static bool
has_day(const struct quota_entry *e)
{
	return e != NULL && (e->quota.has_plan || e->quota.guard != NULL);
}

static bool
has_windows(const struct lane *l)
{
	for (size_t i = 0; i < l->limits.rates.n; i++)
		if (!rate_is_unlimited(&l->limits.rates.v[i]))
			return true;
	return false;
}

void
lease_bind_lane(struct sched *s, struct lane *l)
{
	if (!is_shared(s) || (!has_windows(l) && !has_day(l->quota))) {
		lease_unbind_lane(s, l);
		return;
	}
	if (l->lease == NULL) {
		char *key = xasprintf("lane %s", l->name);

		l->lease = entry_get(s, key);
		l->lease->lane = l;
		l->lease->quota = l->quota;
		free(key);
	}
	lease_limit(&l->lease->lease, &l->limits.rates, l->limits.burst,
	    s->cluster.period_us, s->now_us);
	if (s->cluster.grants == GRANTS_PARTS)
		lease_loosen(&l->lease->lease, s->cluster.n_nodes, s->now_us);
	arm(l->lease);
}

struct lease_entry *
lease_of_quota(struct sched *s, struct quota_entry *e)
{
	if (e == NULL)
		return NULL;
	if (!is_shared(s) || !e->quota.has_plan) {
		lease_unbind_quota(s, e);
		return NULL;
	}
	if (e->lease == NULL) {
		e->lease = entry_get(s, e->key);
		e->lease->quota = e;
	}
	return e->lease;
}

void
leases_free(struct sched *s)
{
	struct lease_entry *e, *next;

	HASH_ITER(hh, s->cluster.entries, e, next)
	{
		if (e->lane != NULL)
			e->lane->lease = NULL;
		else
			e->quota->lease = NULL;
		entry_free(e);
	}
	heap_fini(&s->cluster.calls);
}

/* ---- the day ---- */

void
lease_entry_day(struct lease_entry *e)
{
	struct quota *q = e->quota != NULL ? &e->quota->quota : NULL;
	int64_t day;

	if (q == NULL)
		return;
	if (!has_day(e->quota)) { /* any more */
		lease_day(&e->lease, 0, INT64_MAX, 0);
		return;
	}
	day = quota_tick(q, sched_utc_now(e->s));
	lease_day(&e->lease, day, quota_limit(q),
	    ledger_get(&q->ledger, day, LEDGER_CHARGED));
}

/* What the others have sent today counts for the plan, too. */
static void
hear_day(struct lease_entry *e)
{
	const struct lease_item *it = lease_day_get(&e->lease);

	if (it == NULL || e->quota == NULL)
		return;
	quota_hear(&e->quota->quota, it->id, it->others);
	quotas_arm(e->s, e->quota);
}

/* ---- calls ---- */

static int64_t
n_queued(const struct lease_entry *e)
{
	const struct flow *f;
	uint64_t n = 0;

	if (e->lane == NULL)
		return quotas_waiting(e->s, e->quota);
	DL_FOREACH2(e->lane->dest->flows, f, dest_next)
	if (f->lane == e->lane && f->is_active)
		n += f->n_queued_recipients;
	return n < INT64_C(1000000000) ? (int64_t)n : INT64_C(1000000000);
}

static void
note_lapsed(struct lease_entry *e)
{
	e->s->cluster.totals.n_expired += (uint64_t)e->lease.n_lapsed;
	e->lease.n_lapsed = 0;
}

static void
note_asked(struct lease_entry *e, const struct lease_ask *ask)
{
	note_lapsed(e);
	for (unsigned i = 0; i < ask->n; i++)
		e->s->cluster.totals.n_returned += (uint64_t)ask->items[i].back;
	e->wanted = ask->n > 0 ? ask->items[0].want : 0;
}

bool
sched_lease_next(struct sched *s, int64_t until_us, int64_t now_us,
    const char **subject_out, struct lease_ask *ask_out)
{
	struct lease_entry *e;

	sched_clock(s, now_us);
	if (heap_top_key(&s->cluster.calls) > until_us)
		return false;
	e = HEAP_OWNER(heap_top(&s->cluster.calls), struct lease_entry, node);
	lease_entry_day(e);
	if (s->cluster.is_leaving)
		lease_ask_release(&e->lease, s->now_us, ask_out);
	else
		lease_ask(&e->lease, n_queued(e), s->now_us, ask_out);
	note_asked(e, ask_out);
	arm(e);
	*subject_out = e->key;
	return true;
}

static struct lease_entry *
entry_find(struct sched *s, const char *key)
{
	struct lease_entry *e;

	HASH_FIND_STR(s->cluster.entries, key, e);
	return e;
}

/* Who waited for it asks again. */
static void
wake(struct lease_entry *e)
{
	if (e->lane != NULL && e->lane->gate == GATE_LEASE)
		lane_wake(e->s, e->lane);
	else if (e->lane == NULL)
		quotas_wake(e->s, e->quota);
}

static void
note_answered(struct lease_entry *e, const struct lease_answer *a)
{
	struct lease_totals *t = &e->s->cluster.totals;

	for (unsigned i = 0; i < a->n; i++) {
		const struct lease_item *it = &e->lease.items[i];
		int64_t n = a->items[i].held - it->asked;

		if (it->kind != LEASE_SHORT && n > 0)
			t->n_taken += (uint64_t)n;
	}
	e->granted = a->n > 0 ? a->items[0].held : 0;
	if (e->granted < e->wanted)
		t->n_short++;
}

bool
sched_lease_answer(struct sched *s, const char *subject,
    const struct lease_answer *a, int64_t now_us)
{
	struct lease_entry *e = entry_find(s, subject);

	sched_clock(s, now_us);
	if (e == NULL || s->cluster.grants != GRANTS_ASKED ||
	    !e->lease.is_asking || a->seq != e->lease.seq)
		return false;
	note_answered(e, a);
	lease_answer(&e->lease, a, s->now_us);
	hear_day(e);
	arm(e);
	wake(e);
	return true;
}

void
sched_lease_failed(struct sched *s, const char *subject, uint64_t seq,
    int64_t now_us)
{
	struct lease_entry *e = entry_find(s, subject);

	sched_clock(s, now_us);
	if (e == NULL || seq != e->lease.seq)
		return;
	lease_failed(&e->lease, s->now_us);
	arm(e);
}

void
sched_lease_release(struct sched *s, int64_t now_us)
{
	sched_clock(s, now_us);
	s->cluster.is_leaving = true;
	for (struct lease_entry *e = s->cluster.entries; e; e = e->hh.next)
		arm(e);
}

void
sched_lease_tell(struct sched *s, int64_t now_us)
{
	sched_clock(s, now_us);
	for (struct lease_entry *e = s->cluster.entries; e; e = e->hh.next) {
		const struct lease_item *it;

		lease_entry_day(e);
		it = lease_day_get(&e->lease);
		if (it == NULL || it->charged + it->held == 0)
			continue;
		e->lease.must_tell = true;
		arm(e);
	}
}

int64_t
sched_lease_keep_ms(struct sched *s, const char *subject)
{
	const struct lease_entry *e = entry_find(s, subject);
	int64_t most_us = 10 * s->cluster.period_us;

	for (unsigned i = 0; e != NULL && i < e->lease.n; i++) {
		const struct lease_item *it = &e->lease.items[i];
		int64_t us = 2 * it->window_us + 2 * s->cluster.period_us;

		if (it->kind == LEASE_DAY)
			us = DAYS_KEPT *
			    (e->quota->quota.has_plan
				    ? e->quota->quota.warmup.plan->day_us
				    : CALENDAR_DAY_US);
		if (us > most_us)
			most_us = us;
	}
	return most_us / 1000;
}

/* ---- who grants ---- */

static void
rebind(struct sched *s, struct lane *l, void *arg)
{
	(void)arg;
	lease_bind_lane(s, l);
	if (l->gate == GATE_LEASE)
		lane_wake(s, l);
}

void
sched_cluster(struct sched *s, enum cluster_grants grants, int64_t period_us,
    unsigned n_nodes, int64_t now_us)
{
	bool was_parts = s->cluster.grants == GRANTS_PARTS;

	sched_clock(s, now_us);
	s->cluster.grants = grants;
	s->cluster.period_us = period_us;
	s->cluster.n_nodes = n_nodes > 0 ? n_nodes : 1;
	lanes_each_of(s, rebind, NULL);
	for (struct lease_entry *e = s->cluster.entries; e; e = e->hh.next) {
		if (grants == GRANTS_PARTS)
			lease_loosen(&e->lease, s->cluster.n_nodes, s->now_us);
		else if (was_parts)
			lease_loosen(&e->lease, 0, s->now_us);
		if (grants != GRANTS_ASKED)
			e->lease.is_asking = false;
		note_lapsed(e);
		arm(e);
		wake(e);
	}
}

void
sched_cluster_nodes(struct sched *s, unsigned n_nodes)
{
	s->cluster.n_nodes = n_nodes > 0 ? n_nodes : 1;
}

/* ---- sight ---- */

static void
view(struct lease_entry *e, struct lease_view *out)
{
	const struct lane *l = e->lane;
	struct lease *lease = &e->lease;
	const struct lease_item *it = lease->n > 0 ? &lease->items[0] : NULL;

	*out = (struct lease_view){
		.subject = e->key,
		.route = l != NULL ? l->route->name : "",
		.provider = l != NULL ? l->dest->name : "",
		.n_held = lease_held(lease, e->s->now_us),
		.share_permille = -1,
		.wanted = e->wanted,
		.granted = e->granted,
		.ends_us = lease->ends_us,
		.is_waiting = lease->is_wanted || lease->is_asking,
	};
	if (it != NULL && it->kind == LEASE_SHORT && it->limit > 0)
		out->share_permille = lease_is_valid(lease, e->s->now_us)
		    ? it->held * 1000 / it->limit
		    : 0;
}

void
sched_leases_each(struct sched *s, int64_t now_us,
    void (*each)(const struct lease_view *lease, void *arg), void *arg)
{
	sched_clock(s, now_us);
	for (struct lease_entry *e = s->cluster.entries; e; e = e->hh.next) {
		struct lease_view v;

		view(e, &v);
		if (v.n_held > 0 || v.is_waiting ||
		    lease_is_valid(&e->lease, s->now_us))
			each(&v, arg);
	}
}

void
sched_lease_totals(const struct sched *s, struct lease_totals *out)
{
	*out = s->cluster.totals;
}
