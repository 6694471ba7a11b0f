/* SPDX-License-Identifier: ISC */
/*
 * What an MTA's log tells of mail that it took from us: the provider's own
 * reply, later, about a message that is out of the queue. The lane that handed
 * it over learns from it what it would from a reply of its own: its speed, its
 * suspension, the ledgers, the list's health, the sender's standing.
 *
 * The one subtle rule: facts are counted for each recipient and each attempt,
 * but a reply is evidence once. And the MTA's own retries, which no gate could
 * hold, are charged to the lane when they are seen.
 */
#include "scheduler/gate_adapt.h"
#include "scheduler/gate_plan.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/plan_learn.h"
#include "scheduler/sender.h"

static struct lane *
lane_of(struct sched *s, const struct evidence *e)
{
	struct route *r = route_find(s, e->route);

	if (r == NULL || r->is_gone)
		return NULL;
	return lane_get(s, r, dest_get(s, e->provider, e->site));
}

/* It left without being asked for. */
static void
charge(struct sched *s, struct lane *l, const struct sender_gate *g, int64_t n)
{
	struct gate_ask ask = { .s = s,
		.route = l->route,
		.lane = l,
		.n = n,
		.now_us = s->now_us };

	bucket_set_owe(&l->buckets, n, s->now_us);
	adapted_charge(&ask);
	total_charge(&ask);
	plan_charge(&ask);
	if (g != NULL && g->quota != NULL)
		quota_charge(&g->quota->quota, n, sched_utc_now(s));
	l->stats.n_attempted += (uint64_t)n;
}

static void
learn(struct sched *s, struct lane *l, const struct evidence *e)
{
	const struct verdict *v = e->verdict;
	int64_t n = (int64_t)v->n_delivered + v->n_deferred + v->n_failed;
	struct sender *sd = sender_get(s, e->sender_domain);
	struct learned of = { .stream = stream_or_default(s, e->stream),
		.sender = sd,
		.left_us = e->left_us,
		.n_attempted = e->is_retry ? n : 0,
		.is_notice = e->is_notice };
	uint32_t epoch = e->is_retry ? adapt_epoch(&l->adapt->speed) : e->epoch;

	if (sd != NULL) {
		sd->n_users++;
		if (sd->is_split)
			of.gate = sender_gate_find(sd, l->dest->name);
	}
	if (e->is_retry) {
		of.left_us = s->now_us;
		charge(s, l, of.gate, n);
	}
	lane_count(l, v, s->now_us);
	if (!e->is_repeat && !e->is_stale)
		lane_adapt_learn(s, l, epoch, v);
	plan_learn_of(s, &of, l, v);
	sender_unref(s, sd);
}

/* Gates that an answer may open. */
static bool
may_profit(const struct lane *l)
{
	return l->gate == GATE_CREDIT || l->gate == GATE_ADAPTED ||
	    l->gate == GATE_SUSPENDED;
}

void
sched_evidence(struct sched *s, const struct evidence *e, int64_t now_us)
{
	struct lane *l;

	sched_clock(s, now_us);
	l = lane_of(s, e);
	if (l == NULL)
		return;
	credit_settle(l, e->n_released, 0);
	if (e->is_first && l->credit.n_flights > 0)
		l->credit.n_flights--;
	else if (e->is_first)
		l->credit.n_early++;
	if (e->verdict != NULL)
		learn(s, l, e);
	else if (e->is_first)
		lane_adapt_unused(l, e->epoch);
	if (may_profit(l))
		lane_wake(s, l);
}

void
sched_handed(struct sched *s, const struct evidence *e, uint32_t n,
    int64_t now_us)
{
	struct lane *l;

	sched_clock(s, now_us);
	l = lane_of(s, e);
	if (l != NULL)
		l->credit.n_out += n;
}

uint32_t
sched_epoch(struct sched *s, uint64_t message, uint32_t number)
{
	const struct delivery *d = delivery_map_find(s->map, message, number);

	return d != NULL && d->state == DELIVERY_IN_FLIGHT ? d->flight.epoch
							   : 0;
}
