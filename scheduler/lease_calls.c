/* SPDX-License-Identifier: ISC */
/*
 * When a lease calls Redis, what it asks for, and what it makes of the answer.
 * leases.c sends what is made here; lease.c has the law and spends what was
 * granted.
 *
 * The subtle rule: what a call gives back is given back when it is made, not
 * when it is answered, since Redis may run it and the answer be lost.
 */
#include "scheduler/lease_private.h"

/* Calls without use after which all is given back. */
#define IDLE_CALLS  2
/* The part of a day's limit that a node may hold in reserve; and at most, where
 * it is soon used up. */
#define DAY_RESERVE 50
#define DAY_MOST    10

/* Half a period apart: two calls a second where a lease is for one. */
static int64_t
gap_us(const struct lease *l)
{
	return l->period_us / 2;
}

bool
lease_wanted(struct lease *l, int64_t now_us)
{
	bool was_due = lease_due(l) <= now_us;

	l->is_starved = true;
	if (l->is_wanted)
		return false;
	l->is_wanted = true;
	return !was_due;
}

static bool
holds_any(const struct lease *l)
{
	if (l->mode == LEASE_LOOSE)
		return false;
	for (unsigned i = 0; i < l->n; i++)
		if (l->items[i].held > 0)
			return true;
	return false;
}

int64_t
lease_due(const struct lease *l)
{
	if (l->is_asking || l->n == 0)
		return INT64_MAX;
	if (!l->is_wanted && !l->must_tell && !holds_any(l))
		return INT64_MAX;
	return l->asked_us == LEASE_NEVER ? 0 : l->asked_us + gap_us(l);
}

static int64_t
at_least(int64_t x, int64_t least)
{
	return x > least ? x : least;
}

static int64_t
at_most(int64_t x, int64_t most)
{
	return x < most ? x : most;
}

/* n in passed_us makes how many in span_us, and a quarter more? */
static int64_t
scaled(int64_t n, int64_t span_us, int64_t passed_us)
{
	__int128 x;

	if (n <= 0 || passed_us <= 0)
		return 0;
	x = (__int128)n * span_us * 5 / 4 / passed_us;
	return x > INT64_C(1000000000000) ? INT64_C(1000000000000) : (int64_t)x;
}

/*
 * What to ask for. Mail that waited for the lease says that more is wanted;
 * where something else held it, the queue says nothing, and the use does.
 */
static int64_t
item_want(struct lease *l, struct lease_item *it, int64_t n_queued,
    int64_t now_us)
{
	int64_t passed_us =
	    l->asked_us == LEASE_NEVER ? 0 : now_us - l->asked_us;
	int64_t span_us =
	    it->kind == LEASE_SHORT ? it->window_us : l->period_us;
	int64_t used = scaled(it->n_used, span_us, passed_us);
	int64_t want = used;

	if (it->kind == LEASE_SHORT) {
		lease_slices_turn(it, now_us);
		want = at_least(want, it->used->sum * 5 / 4);
	}
	/* Not all at once: what comes and goes shouldn't change hands. */
	want = at_least(want, it->want - it->want / 4 - 1);
	if (n_queued > 0)
		want = l->is_starved ? want + n_queued
				     : at_least(want * 3 / 2 + 2, 1);
	switch (it->kind) {
	case LEASE_SHORT:
		return at_most(want, it->limit);
	case LEASE_LONG:
		return at_most(want,
		    lease_depth(it->limit, l->period_us, it->window_us));
	case LEASE_DAY:
		return at_most(want,
		    at_least(it->limit / DAY_RESERVE + 1,
			at_most(used, it->limit / DAY_MOST)));
	}
	return 0;
}

static void
item_ask(struct lease *l, struct lease_item *it, int64_t want, int64_t now_us,
    struct lease_ask_item *out)
{
	int64_t keep = at_most(it->held, want), back;

	if (it->target < keep && it->asked > it->target)
		keep = it->target;
	/* A share is obeyed as soon as it is known; tokens are handed back. */
	if (it->kind == LEASE_SHORT || keep < 0)
		keep = at_least(it->held, 0);
	if (it->kind != LEASE_DAY && !lease_is_valid(l, now_us))
		keep = 0;
	back = it->kind == LEASE_LONG && l->mode == LEASE_GRANTED
	    ? at_least(it->held - keep, 0)
	    : 0;
	if (!lease_is_valid(l, now_us)) {
		l->n_lapsed += back;
		back = 0;
	}
	*out = (struct lease_ask_item){
		.kind = it->kind,
		.id = it->id,
		.limit = it->limit,
		.have = keep,
		.want = want,
		.back = back,
	};
	it->want = want;
	if (it->kind == LEASE_DAY) {
		out->have = at_least(it->charged, 0);
		out->hold = keep;
		out->seen = it->total;
		it->told = out->have;
	}
	if (it->kind != LEASE_SHORT && l->mode == LEASE_GRANTED)
		it->held = keep;
	it->asked = keep;
	it->n_used = 0;
}

static void
ask(struct lease *l, int64_t n_queued, bool is_release, int64_t now_us,
    struct lease_ask *out)
{
	*out = (struct lease_ask){ .n = l->n, .is_release = is_release };
	for (unsigned i = 0; i < l->n; i++) {
		struct lease_item *it = &l->items[i];
		int64_t want =
		    is_release ? 0 : item_want(l, it, n_queued, now_us);

		item_ask(l, it, want, now_us, &out->items[i]);
	}
	out->seq = ++l->seq;
	l->is_asking = true;
	l->is_wanted = l->is_starved = l->must_tell = false;
	l->asked_us = now_us;
	if (is_release)
		l->ends_us = LEASE_NEVER;
	else if (l->ends_us > now_us + l->period_us / 4)
		l->ends_us = now_us + l->period_us / 4;
}

void
lease_ask(struct lease *l, int64_t n_queued, int64_t now_us,
    struct lease_ask *out)
{
	bool is_used = l->is_starved;

	for (unsigned i = 0; i < l->n; i++)
		is_used |= l->items[i].n_used > 0;
	l->n_idle = is_used ? 0 : l->n_idle + 1;
	ask(l, n_queued, l->n_idle >= IDLE_CALLS, now_us, out);
}

void
lease_ask_release(struct lease *l, int64_t now_us, struct lease_ask *out)
{
	ask(l, 0, true, now_us, out);
}

bool
lease_answer(struct lease *l, const struct lease_answer *a, int64_t now_us)
{
	(void)now_us;
	if (!l->is_asking || a->seq != l->seq || a->n != l->n)
		return false;
	l->is_asking = false;
	l->mode = LEASE_GRANTED;
	l->ends_us = a->sent_us + l->period_us;
	l->more_us = 0;
	for (unsigned i = 0; i < l->n; i++) {
		struct lease_item *it = &l->items[i];

		if (it->kind == LEASE_SHORT)
			it->held = a->items[i].held;
		else
			it->held += a->items[i].held - it->asked;
		it->asked = a->items[i].held;
		it->target = a->items[i].target;
		if (it->kind == LEASE_DAY) {
			it->total = a->items[i].total;
			it->sent = a->items[i].sent;
			it->others = at_least(it->sent - it->told, 0);
		}
		if (a->items[i].more_ms > 0 &&
		    a->sent_us + a->items[i].more_ms * 1000 > l->more_us)
			l->more_us = a->sent_us + a->items[i].more_ms * 1000;
	}
	return true;
}

void
lease_failed(struct lease *l, int64_t now_us)
{
	(void)now_us;
	l->is_asking = false;
	l->is_wanted = true; /* as it may have been asked for */
}
