/* SPDX-License-Identifier: ISC */
/*
 * From verdicts to facts: one transaction's answer is booked in the ledgers of
 * its lane, its route's day and its sender domain, in its stream's list
 * health, and with the domain it blames. What of it counts against whom is the
 * blame table's word (blame.c).
 */
#include "scheduler/plan_learn.h"

#include "scheduler/blame.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/sender.h"

/* Recipients that an effect is about: as counted, or all that were refused. */
static int64_t
n_of(unsigned effects, unsigned effect, uint32_t counted, uint32_t refused)
{
	if (counted > 0)
		return counted;
	return effects & effect ? refused : 0;
}

static struct quota_facts
facts_of(const struct verdict *v, unsigned effects)
{
	uint32_t refused = v->n_deferred + v->n_failed;
	int64_t rejected = n_of(effects, EFFECT_REJECTED, v->n_rejected,
	    v->n_failed > 0 ? v->n_failed : v->n_deferred);
	struct quota_facts f = {
		.attempted = (int64_t)v->n_delivered + refused,
		.accepted = v->n_delivered,
		.deferred = v->n_deferred,
		.rejected = rejected,
		.bounced = v->n_failed,
		.dirty = n_of(effects, EFFECT_DIRTY, v->n_dirty, v->n_failed),
	};

	if (v->blame == BLAME_LANE || v->blame == BLAME_ROUTE)
		f.slowed = n_of(effects, EFFECT_SLOWED, v->n_rate, refused);
	/* Each failed recipient is rejected or bounced, not both. */
	f.bounced -= f.bounced < rejected ? f.bounced : rejected;
	return f;
}

static void
learn_list(struct sched *s, struct stream *st, const struct quota_facts *f)
{
	char text[160];

	if (!s->conf->list_health.is_given)
		return;
	st->is_health_changed = true;
	if (list_health_add(&st->health, &s->conf->list_health, f->attempted,
		f->dirty, sched_utc_now(s)) != LIST_TURNED_BAD)
		return;
	list_health_say(&st->health, &s->conf->list_health, text, sizeof(text));
	change_list(s, st, st->health.is_held ? "held" : "bad", text);
	if (st->health.is_held)
		stream_refresh(s, st);
}

static void
book(struct sched *s, struct quota_entry *e, const struct quota_facts *f,
    int64_t left_us)
{
	if (e == NULL || !quotas_counts(e))
		return;
	quota_facts(&e->quota, f, left_us + s->utc_offset_us, sched_utc_now(s));
	quotas_touch(s, e);
}

void
plan_learn_of(struct sched *s, const struct learned *of, struct lane *l,
    const struct verdict *v)
{
	bool is_final = v->n_failed > 0 && v->n_deferred == 0;
	unsigned effects = blame_effects(v->class, v->blame, is_final);
	struct quota_facts f = facts_of(v, effects);

	if (f.attempted == 0 && of->n_attempted == 0)
		return;
	f.attempted = of->n_attempted;
	book(s, l->quota, &f, of->left_us);
	if (l->route->total != NULL && l->route->total->quota.has_plan)
		book(s, l->route->total, &f, of->left_us);
	if (of->gate != NULL)
		book(s, of->gate->quota, &f, of->left_us);
	if (!of->is_notice)
		learn_list(s, of->stream, &f);
	sender_learn(s, of->sender, l, v, effects);
}

void
plan_learn(struct sched *s, struct delivery *d, struct lane *l,
    const struct verdict *v)
{
	struct learned of = { .stream = d->flow->stream,
		.sender = d->sender,
		.gate = d->flow->gate,
		.left_us = d->flight.left_us,
		.is_notice = d->sender == NULL,
		.n_attempted = (int64_t)v->n_delivered + v->n_deferred +
		    v->n_failed + v->n_relayed };

	plan_learn_of(s, &of, l, v);
}

void
plan_learn_unroutable(struct sched *s, struct stream *st, uint32_t n)
{
	struct quota_facts f = { .attempted = n, .dirty = n };

	learn_list(s, st, &f);
}

void
sched_unroutable(struct sched *s, const char *stream, uint32_t n,
    int64_t now_us)
{
	sched_clock(s, now_us);
	plan_learn_unroutable(s, stream_or_default(s, stream), n);
}

void
plan_note_overflow(struct sched *s, const struct flow *f, int64_t n)
{
	const struct stream *st = f->stream;

	for (size_t i = 0; i < st->n_routes; i++) {
		struct lane *l;

		if (st->routes[i] == f->lane->route)
			return;
		l = lane_get(s, st->routes[i], f->dest);
		if (l->quota->overflow_us == 0 &&
		    (l->route->total == NULL ||
			l->route->total->overflow_us == 0))
			continue;
		quota_note(&l->quota->quota, LEDGER_OVERFLOWED, n,
		    sched_utc_now(s));
		quotas_touch(s, l->quota);
		return;
	}
}
