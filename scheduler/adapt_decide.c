/* SPDX-License-Identifier: ISC */
/*
 * What a refusal leads to: what was measured, how it is judged, the decision,
 * and how that is made more exact while its window is open. And what the
 * answers that are no refusals add to it. The law is told in adapt.c.
 */
#include "scheduler/adapt_private.h"

#include <stddef.h>

/* ---- what was measured ---- */

struct evidence {
	int64_t accepted; /* at this rate lately */
	int64_t sent;
	int64_t sent_busy; /* the same, without the time before it was busy */
	bool is_enough;	   /* for a rate to be read from it */
	bool is_rough;	   /* it wasn't busy for long */
	bool is_slow;	   /* too few answers in a hold */
};

/* Fast lanes by the last span; slow ones by many spans, and then only when the
 * share that was refused is more than chance. */
static struct evidence
look_back(const struct adapt *a, int64_t now_us)
{
	struct meter_sum sum = meter_span(&a->meter, now_us);
	int64_t busy_us = now_us - a->busy_us;
	struct evidence seen = { 0 };
	bool is_enough = true;

	if (sum.n_good + sum.n_bad < SAMPLE) {
		struct meter_sum all = meter_long(&a->meter, now_us);
		int64_t n = all.n_good + all.n_bad;

		seen.is_slow = true;
		is_enough =
		    n >= SAMPLE && all.n_bad * 1000 > n * TOLERATED_PERMILLE;
		if (is_enough)
			sum = all;
	}
	seen.accepted = rate_of(sum.n_accepted, sum.span_us);
	seen.sent = rate_of(sum.n_accepted + sum.n_refused, sum.span_us);
	seen.sent_busy = seen.sent;
	seen.is_enough = is_enough;
	if (busy_us < sum.span_us) {
		int64_t heard_us = most(now_us - a->heard_us, 1);

		/* A fresh lane: a burst was in it, and idle time before. The
		 * truth lies between the two readings. */
		seen.is_rough = true;
		seen.sent_busy = rate_of(a->n_busy, most(busy_us, 1));
		seen.accepted =
		    adapt_between(rate_of(sum.n_accepted,
				      most(busy_us, a->conf.react.hold_us / 4)),
			least(seen.sent_busy,
			    rate_of(sum.n_accepted, heard_us)));
	}
	return seen;
}

/* ---- the decision ---- */

/*
 * Down to below what was accepted, by all that this window has told so far.
 * Refusals often come sooner than acceptances (at MAIL, not at the final dot),
 * so it may take back a part of its own decrease, but never more than that.
 */
static bool
refine(struct adapt *a, int64_t now_us)
{
	int64_t n_good = a->window.n_good + PRIOR;
	int64_t n_all = n_good + a->window.n_bad - 1;
	int64_t limit = (int64_t)((__int128)a->window.base * n_good / n_all);
	int64_t rate;

	limit = most(least(a->window.limit, limit), a->floor);
	rate = part(limit, 1000 - a->conf.react.decrease_permille);
	rate = most(rate, a->floor);
	adapt_set_limit(a, limit);
	if (a->state == ADAPT_HOLDING && rate == a->rate)
		return false;
	adapt_settle(a, now_us);
	adapt_enter(a, ADAPT_HOLDING, 0);
	a->rate = rate;
	a->due_us =
	    now_us + most(a->conf.react.hold_us, takes_us(rate, 2 * RATE_ONE));
	return true;
}

/* Refused as far apart as was well before, many times. */
static bool
is_chance(const struct adapt *a, int64_t now_us)
{
	return a->n_in_row >= SAMPLE && a->gap_us > 0 &&
	    now_us - a->accepted_us >= a->gap_us / 10 * 9;
}

/* What it comes to: at which rate that was sent, and what was accepted of it. */
struct judgement {
	int64_t base, accepted;
	bool is_rough; /* read from a first burst */
	bool is_guess; /* not measured at all */
	bool is_slow;  /* can't be, by counting */
};

static struct judgement
judge_slow(const struct adapt *a, const struct evidence *seen, int64_t now_us)
{
	int64_t base = a->state != ADAPT_OPEN ? a->rate : a->ceiling;
	struct judgement j = { .base = base != 0 ? base : seen->sent };

	j.accepted = j.base;
	/* It is known, and used what it had: adapt_believe() has more to judge
	 * by. Or it is chance. */
	if ((a->state != ADAPT_OPEN && a->failed > 0 && a->n_since > 0 &&
		adapt_is_used(a, now_us)) ||
	    is_chance(a, now_us))
		return j;
	/* Too little to measure by: a third of what was allowed. */
	j.is_guess = true;
	j.accepted = (int64_t)((__int128)j.base * 333 /
	    (1000 - a->conf.react.decrease_permille));
	return j;
}

static struct judgement
judge(const struct adapt *a, int64_t now_us)
{
	struct evidence seen = look_back(a, now_us);
	struct judgement j;

	/* A lane that is known and has just come back: what it knew is better
	 * than what a moment shows. */
	if (a->state != ADAPT_OPEN && !a->is_rough && seen.is_rough)
		seen.is_enough = seen.is_rough = false;
	if (!seen.is_enough) {
		j = judge_slow(a, &seen, now_us);
	} else {
		j = (struct judgement){ .accepted = seen.accepted };
		j.base = a->state != ADAPT_OPEN ? a->rate : a->ceiling;
		if (j.base == 0 || seen.sent_busy < j.base)
			j.base = seen.sent_busy;
	}
	j.is_rough = seen.is_rough;
	j.is_slow = seen.is_slow;
	/* The quick refusals are in, the slow acceptances aren't: it can't be
	 * measured yet. And no single decision is trusted with everything. */
	if (a->window.is_open)
		j.accepted = j.base;
	j.accepted = most(j.accepted, j.base / 8);
	/* A first burst tells more of the bucket than of the limit. */
	if (a->state == ADAPT_OPEN && j.is_rough &&
	    now_us - a->busy_us < a->conf.react.hold_us / 2)
		j.accepted = part(j.accepted, FIRST_PERMILLE);
	j.accepted = least(j.accepted, j.base);
	return j;
}

static void
begin_anew(struct adapt *a, int64_t now_us)
{
	a->cut_us = now_us;
	a->n_since = 0;
	a->n_in_row = 0;
	a->window.epoch = ++a->epoch;
	a->cut_epoch = a->window.is_open ? a->epoch + 1 : a->epoch;
}

static bool
decide(struct adapt *a, unsigned n_in_flight, int64_t now_us)
{
	struct judgement j = judge(a, now_us);
	bool was_probing = a->state == ADAPT_PROBING;

	a->n_known = KNOWN;
	a->bad = j.base;
	if (n_in_flight == 0 && j.is_slow && !was_probing &&
	    !is_chance(a, now_us) && adapt_search_refused(a, j.base, now_us)) {
		a->window.is_open = false;
		begin_anew(a, now_us);
		return true;
	}
	a->bad_gap_us = a->good_gap_us = 0;
	a->window.is_open = n_in_flight > 0;
	a->window.base = j.base;
	a->window.limit = adapt_believe(a, j.accepted, now_us);
	a->window.n_good = 0;
	a->window.n_bad = 1;
	a->window.n_left = n_in_flight + 1; /* this one is told, too */
	if (!was_probing) /* else adapt_believe() has said it */
		a->is_rough = j.is_rough;
	a->is_free = false;
	a->is_guess = j.is_guess;
	refine(a, now_us);
	/* A moment for the other side to have room again. */
	a->debt = RATE_ONE +
	    least(RATE_ONE, brings(a->rate, a->conf.react.hold_us / 8));
	begin_anew(a, now_us);
	return true;
}

static bool
is_before_cut(const struct adapt *a, uint32_t epoch)
{
	return (int32_t)(epoch - a->cut_epoch) < 0;
}

static void
hear(struct adapt *a, int64_t now_us)
{
	if (a->heard_us == 0)
		a->heard_us = now_us;
}

bool
adapt_refused(struct adapt *a, uint32_t epoch, uint32_t n, unsigned n_in_flight,
    int64_t now_us)
{
	hear(a, now_us);
	meter_refused(&a->meter, n, now_us);
	if (!a->conf.enabled)
		return false;
	if (a->state == ADAPT_OPEN || !is_before_cut(a, epoch))
		return decide(a, n_in_flight, now_us);
	if (!a->window.is_open)
		return false; /* a straggler */
	a->window.n_bad++;
	return refine(a, now_us);
}

/* ---- good news ---- */

void
adapt_answered(struct adapt *a, uint32_t epoch)
{
	if ((int32_t)(epoch - a->seen_epoch) > 0)
		a->seen_epoch = epoch;
	if (!a->window.is_open || (int32_t)(epoch - a->window.epoch) >= 0 ||
	    --a->window.n_left > 0)
		return;
	/* What left meanwhile met the same overload: it doesn't count as
	 * sent after the decrease. */
	a->window.is_open = false;
	a->cut_epoch = ++a->epoch;
}

/*
 * In a slow lane that was refused when nothing was known: the first one that
 * is accepted again shows how far apart they may be.
 */
static bool
learn_gap(struct adapt *a, int64_t gap_us, int64_t now_us)
{
	int64_t limit = least(rate_of(1, gap_us), a->bad);

	a->is_guess = false;
	if (gap_us < a->conf.react.hold_us || limit < a->rate / 4)
		return false;
	adapt_set_limit(a, limit);
	adapt_set_rate(a, a->flat, now_us);
	adapt_enter_flat(a, now_us);
	return true;
}

bool
adapt_accepted(struct adapt *a, uint32_t epoch, uint32_t n, int64_t now_us)
{
	int64_t gap_us;

	hear(a, now_us);
	meter_accepted(&a->meter, n, now_us);
	if (a->state == ADAPT_PROBING)
		a->n_above += n;
	a->n_since += n;
	a->n_in_row++;
	if (a->n_known < KNOWN)
		a->n_known++;
	gap_us = now_us - a->accepted_us;
	if (a->accepted_us > 0 && (a->gap_us == 0 || gap_us < a->gap_us))
		a->gap_us = gap_us;
	a->accepted_us = now_us;
	if (a->state == ADAPT_HOLDING && adapt_is_searching(a))
		return adapt_search_accepted(a, gap_us, now_us);
	if (a->state == ADAPT_HOLDING && a->is_guess && !a->window.is_open)
		return learn_gap(a, gap_us, now_us);
	if (!a->window.is_open || !is_before_cut(a, epoch))
		return false;
	a->window.n_good++;
	return refine(a, now_us);
}
