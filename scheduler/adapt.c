/* SPDX-License-Identifier: ISC */
/*
 * The speed of one lane. gate_adapt.c calls it; it calls the meter.
 */
#include "scheduler/adapt.h"

#include <stddef.h>

/* A late timer may be made good up to this, or a busy machine would halve the
 * speed of fast lanes. */
#define SLACK_US 20000

#define FLAT_PERMILLE	   985
#define SAMPLE		   8 /* answers before a measured rate is believed */
#define PRIOR		   4 /* answers that stand behind the rate so far */
#define TOLERATED_PERMILLE 200
#define WAIT_FIRST	   4  /* x recover.every */
#define WAIT_MOST	   12 /* x recover.every */
#define STEP_ANSWERS	   3
#define GENTLE_PERMILLE	   1300
#define ROUGH_PERMILLE	   1300
#define FIRST_PERMILLE	   600
#define SLOPE_LEAST	   10
#define SLOPE_MOST	   100
#define CREEP_PERMILLE	   1000
#define FAR_PERMILLE	   1500
#define VERY_FAR_PERMILLE  2500
#define REST		   1000 /* x react.hold: then the old rate is old */
#define FRESH_WINDOW	   4
#define KNOWN		   100	   /* then a lane is fresh no more */
#define FRESH_US	   2000000 /* nor after so long */
#define UNUSED_MOST	   8

static const char *const names[ADAPT_STATE_COUNT] = {
	[ADAPT_OPEN] = "open",
	[ADAPT_HOLDING] = "holding",
	[ADAPT_CLIMBING] = "climbing",
	[ADAPT_FLAT] = "flat",
	[ADAPT_PROBING] = "probing",
};

const char *
adapt_state_name(enum adapt_state state)
{
	return (unsigned)state < ADAPT_STATE_COUNT ? names[state] : "unknown";
}

/* ---- numbers ---- */

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
part(int64_t x, int64_t permille)
{
	return (int64_t)((__int128)x * permille / 1000);
}

/* Nano-recipients that a rate brings in a span. */
static int64_t
brings(int64_t rate, int64_t us)
{
	__int128 n = (__int128)rate * us / 1000000;

	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

/* The span in which a rate brings n nano-recipients, rounded up. */
static int64_t
takes_us(int64_t rate, int64_t n)
{
	__int128 us = ((__int128)n * 1000000 + rate - 1) / rate;

	return us > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)us;
}

/* ---- pacing ---- */

static void
settle_debt(struct adapt *a, int64_t now_us)
{
	int64_t paid;

	if (a->state != ADAPT_OPEN && now_us > a->debt_us) {
		paid = brings(a->rate, now_us - a->debt_us);
		a->debt = paid > a->debt
		    ? most(a->debt - paid, -brings(a->rate, SLACK_US))
		    : a->debt - paid;
	}
	a->debt_us = now_us;
}

static void
set_rate(struct adapt *a, int64_t rate, int64_t now_us)
{
	settle_debt(a, now_us);
	a->rate = rate;
	/* What was sent at a higher speed isn't paid for at the lower one. */
	a->debt = least(a->debt, RATE_ONE);
	a->epoch++;
	a->n_sent = 0;
	a->step_from_us = now_us;
}

int64_t
adapt_rate(const struct adapt *a)
{
	return a->state == ADAPT_OPEN ? 0 : a->rate;
}

int64_t
adapt_when(struct adapt *a, int64_t now_us)
{
	if (a->state == ADAPT_OPEN)
		return INT64_MIN;
	settle_debt(a, now_us);
	return a->debt <= 0 ? now_us : now_us + takes_us(a->rate, a->debt);
}

int64_t
adapt_window_when(const struct adapt *a, unsigned n_in_flight, int64_t now_us)
{
	if (!a->conf.enabled || a->n_known >= KNOWN ||
	    n_in_flight < FRESH_WINDOW + a->n_known)
		return now_us;
	/* Those that hang don't hold the others for long. */
	return a->busy_us + FRESH_US;
}

int64_t
adapt_depth(const struct adapt *a)
{
	int64_t n;

	if (a->state == ADAPT_OPEN)
		return INT64_MAX;
	n = brings(a->rate, a->conf.react.hold_us / 8) / RATE_ONE;
	return most(n, 1);
}

/* ---- states ---- */

/* Time for a few answers, where recover.every is too short for that. */
static int64_t
step_us(const struct adapt *a)
{
	return most(a->conf.recover.every_us,
	    takes_us(a->rate, STEP_ANSWERS * RATE_ONE));
}

static void
enter(struct adapt *a, enum adapt_state state, int64_t due_us)
{
	a->state = state;
	a->due_us = due_us;
	a->n_unused = 0;
}

static void
open_up(struct adapt *a)
{
	enter(a, ADAPT_OPEN, INT64_MAX);
	a->debt = 0;
	a->epoch++;
}

static void
enter_flat(struct adapt *a, int64_t now_us)
{
	int64_t wait_us = most(a->wait_us, step_us(a));

	if (a->is_rough)
		wait_us = step_us(a);
	a->probe_us = now_us + wait_us;
	enter(a, ADAPT_FLAT,
	    a->slope > 0 ? least(a->probe_us, now_us + step_us(a))
			 : a->probe_us);
}

/* The lane's rate goes up. True. */
static bool
grow_to(struct adapt *a, int64_t rate, int64_t now_us)
{
	if (a->ceiling > 0 && rate >= a->ceiling)
		open_up(a);
	else
		set_rate(a, rate, now_us);
	return true;
}

void
adapt_init(struct adapt *a, const struct conf_adapt *conf, int64_t ceiling,
    int64_t now_us)
{
	*a = (struct adapt){
		.due_us = INT64_MAX, .used_us = now_us, .busy_us = now_us
	};
	adapt_configure(a, conf, ceiling, now_us);
	meter_init(&a->meter, conf->react.hold_us, now_us);
	a->debt_us = now_us;
}

void
adapt_configure(struct adapt *a, const struct conf_adapt *conf, int64_t ceiling,
    int64_t now_us)
{
	int64_t hold_us = a->conf.react.hold_us;

	a->conf = *conf;
	a->ceiling = ceiling;
	a->floor = rate_is_unlimited(&conf->floor)
	    ? 1
	    : rate_of(conf->floor.count, conf->floor.window_us);
	if (conf->react.hold_us != hold_us)
		meter_init(&a->meter, conf->react.hold_us, now_us);
	a->wait_us = WAIT_FIRST * conf->recover.every_us;
	if (!conf->enabled)
		adapt_reset(a, now_us);
	else if (a->state != ADAPT_OPEN && ceiling > 0 && a->rate >= ceiling)
		open_up(a);
}

void
adapt_reset(struct adapt *a, int64_t now_us)
{
	open_up(a);
	a->failed = a->flat = a->burst = 0;
	a->is_free = false;
	a->window.is_open = false;
	a->debt_us = now_us;
	a->wait_us = WAIT_FIRST * a->conf.recover.every_us;
}

void
adapt_remember(struct adapt *a, const struct adapt_memory *m, int64_t now_us)
{
	if (!a->conf.enabled)
		return;
	a->failed = m->failed;
	a->flat = m->flat;
	a->burst = m->burst;
	a->used_us = m->used_us;
	if (m->wait_us > 0)
		a->wait_us = m->wait_us;
	a->n_known = KNOWN;
	if (m->is_open || (a->ceiling > 0 && m->rate >= a->ceiling))
		return;
	/* As after a decrease: nothing grows at once. */
	enter(a, ADAPT_HOLDING, now_us + a->conf.react.hold_us);
	set_rate(a, most(m->rate, a->floor), now_us);
	a->cut_epoch = a->epoch;
	a->cut_us = now_us;
}

/* ---- decrease ---- */

struct evidence {
	int64_t accepted; /* at this rate lately */
	int64_t sent;
	int64_t sent_busy; /* the same, without the time before it was busy */
	bool is_enough;	   /* for a rate to be read from it */
	bool is_rough;	   /* it wasn't busy for long */
};

/* The geometric mean of two rates, in integers. */
static int64_t
between(int64_t a, int64_t b)
{
	__int128 x = (__int128)a * b, low = 0, high = a > b ? a : b;

	while (low < high) {
		__int128 mid = (low + high + 1) / 2;

		if (mid * mid <= x)
			low = mid;
		else
			high = mid - 1;
	}
	return (int64_t)low;
}

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
		seen.accepted = between(rate_of(sum.n_accepted,
					    most(busy_us,
						a->conf.react.hold_us / 4)),
		    least(seen.sent_busy, rate_of(sum.n_accepted, heard_us)));
	}
	return seen;
}

/* Nano-recipients accepted above the limit since it was passed. */
static int64_t
excess(const struct adapt *a, int64_t now_us)
{
	return a->n_above * RATE_ONE - brings(a->from, now_us - a->above_us);
}

/* How fast the limit rises, from two probes that both met it. */
static int64_t
slope_of(const struct adapt *a, int64_t limit, int64_t now_us)
{
	int64_t span_us = now_us - a->learned_us;
	int64_t gain = (int64_t)((__int128)(limit - a->from) * 1000 / a->from);

	if (a->learned_us == 0 || span_us <= 0 || gain < SLOPE_LEAST)
		return 0;
	return least((int64_t)((__int128)gain * a->conf.react.hold_us /
			 span_us),
	    SLOPE_MOST);
}

/*
 * What a probe that failed teaches. Above the limit a bucket of unknown depth
 * is emptied first: accepted = limit x time + depth. The depth is the same
 * from probe to probe, so the smallest that was seen is believed, and what a
 * probe got beyond it means that the limit is higher now.
 */
static int64_t
probe_failed(struct adapt *a, int64_t measured, int64_t now_us)
{
	int64_t over = most(excess(a, now_us), 0);
	int64_t every_us = a->conf.recover.every_us;
	int64_t span_us = most(now_us - a->above_us, 1);
	int64_t limit = a->from;

	if (a->is_rough ||
	    (a->is_free && a->rate > part(a->from, FAR_PERMILLE))) {
		/* It went far: between what went well and what didn't. */
		a->wait_us = WAIT_FIRST * every_us;
		limit =
		    a->rate > part(a->from, VERY_FAR_PERMILLE) || a->is_rough
		    ? most(measured, a->failed)
		    : most(a->from, least(measured, a->failed));
		a->is_rough = a->rate > part(limit, ROUGH_PERMILLE);
		a->slope = 0;
		a->learned_us = a->is_rough ? 0 : now_us;
		return limit;
	}
	if (a->burst == 0 || over < a->burst)
		a->burst = over;
	else
		a->burst = least(part(a->burst, 1100) + RATE_ONE / 4, over);
	limit += (int64_t)((__int128)(over - a->burst) * 1000000 / span_us);
	limit = most(limit, rate_of(a->n_since, now_us - a->cut_us));
	if (limit > part(a->from, 1200))
		a->wait_us = WAIT_FIRST * every_us;
	else if (limit < part(a->from, 1080))
		a->wait_us = least(2 * a->wait_us, WAIT_MOST * every_us);
	limit = least(measured, limit);
	a->slope = slope_of(a, limit, now_us);
	a->met_us = a->learned_us = now_us;
	return limit;
}

/*
 * Accepted since the last decrease: the bucket was empty then and is empty
 * now, so that was the limit. A few answers at the rate in force stand by, so
 * that two or three real ones aren't taken for a measurement.
 */
static int64_t
since_cut(const struct adapt *a, int64_t now_us)
{
	int64_t span_us =
	    now_us - a->cut_us + takes_us(a->rate, PRIOR * RATE_ONE);

	return rate_of(a->n_since + PRIOR, span_us);
}

static int64_t
believe(struct adapt *a, int64_t measured, int64_t now_us)
{
	int64_t before = a->failed;
	int64_t limit;

	if (before == 0 || a->state == ADAPT_OPEN)
		return measured;
	if (a->state == ADAPT_PROBING)
		return probe_failed(a, measured, now_us);
	/* It failed where it was thought to be good: since the last decrease
	 * the bucket was never full, so what was accepted is the limit. */
	limit = least(measured, part(a->flat, 985));
	if (a->slope == 0)
		limit = least(limit, since_cut(a, now_us));
	/* Soon after a probe: the bucket is deeper than that made believe. */
	if (a->met_us != 0 && now_us - a->met_us < 4 * a->conf.react.hold_us)
		a->burst = part(a->burst, 1300) + RATE_ONE / 4;
	a->met_us = 0;
	a->slope = 0;
	a->learned_us = now_us;
	if (limit < part(before, 800))
		a->wait_us = WAIT_FIRST * a->conf.recover.every_us;
	return limit;
}

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
	a->failed = limit;
	a->flat = most(part(limit, FLAT_PERMILLE), a->floor);
	if (a->state == ADAPT_HOLDING && rate == a->rate)
		return false;
	settle_debt(a, now_us);
	enter(a, ADAPT_HOLDING, 0);
	a->rate = rate;
	a->due_us =
	    now_us + most(a->conf.react.hold_us, takes_us(rate, 2 * RATE_ONE));
	return true;
}

/* Did the lane need the rate that it had? */
static bool
is_used(const struct adapt *a, int64_t now_us)
{
	int64_t brought = brings(a->rate, now_us - a->step_from_us);

	return a->n_sent * RATE_ONE >= part(brought, 750);
}

/* Refused as far apart as was well before. */
static bool
is_chance(const struct adapt *a, int64_t now_us)
{
	return a->gap_us > 0 && now_us - a->accepted_us >= a->gap_us / 10 * 9;
}

static bool
decide(struct adapt *a, unsigned n_in_flight, int64_t now_us)
{
	struct evidence seen = look_back(a, now_us);
	int64_t base = a->state != ADAPT_OPEN ? a->rate : a->ceiling;
	bool was_probing = a->state == ADAPT_PROBING;
	bool is_guess = false;

	/* A lane that is known and has just come back: what it knew is better
	 * than what a moment shows. */
	if (a->state != ADAPT_OPEN && !a->is_rough && seen.is_rough)
		seen.is_enough = seen.is_rough = false;
	if (seen.is_enough) {
		if (base == 0 || seen.sent_busy < base)
			base = seen.sent_busy;
	} else if (a->state != ADAPT_OPEN && a->failed > 0 && a->n_since > 0 &&
	    is_used(a, now_us)) {
		/* Slow, but known: believe() has more to judge by. */
		seen.accepted = base;
	} else if (is_chance(a, now_us)) {
		if (base == 0)
			base = seen.sent;
		seen.accepted = base;
	} else {
		/* Too little to measure by: a third of what was allowed. */
		if (base == 0)
			base = seen.sent;
		is_guess = true;
		seen.accepted = (int64_t)((__int128)base * 333 /
		    (1000 - a->conf.react.decrease_permille));
	}
	a->bad = base;
	/* The quick refusals are in, the slow acceptances aren't: it can't be
	 * measured yet. And no single decision is trusted with everything. */
	if (a->window.is_open)
		seen.accepted = base;
	seen.accepted = most(seen.accepted, base / 8);
	a->n_known = KNOWN;
	a->window.is_open = n_in_flight > 0;
	a->window.base = base;
	/* A first burst tells more of the bucket than of the limit. */
	if (a->state == ADAPT_OPEN && seen.is_rough &&
	    now_us - a->busy_us < a->conf.react.hold_us / 2)
		seen.accepted = part(seen.accepted, FIRST_PERMILLE);
	a->window.limit = believe(a, least(seen.accepted, base), now_us);
	a->window.n_good = 0;
	a->window.n_bad = 1;
	a->window.n_left = n_in_flight;
	if (!was_probing)
		a->is_rough = seen.is_rough;
	a->is_free = false;
	a->is_guess = is_guess;
	refine(a, now_us);
	/* A moment for the other side to have room again. */
	a->debt = RATE_ONE +
	    least(RATE_ONE, brings(a->rate, a->conf.react.hold_us / 8));
	a->cut_us = now_us;
	a->n_since = 0;
	a->window.epoch = ++a->epoch;
	a->cut_epoch = a->window.is_open ? a->epoch + 1 : a->epoch;
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
	a->failed = most(limit, a->floor);
	a->flat = most(part(limit, FLAT_PERMILLE), a->floor);
	set_rate(a, a->flat, now_us);
	enter_flat(a, now_us);
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
	if (a->n_known < KNOWN)
		a->n_known++;
	gap_us = now_us - a->accepted_us;
	if (a->accepted_us > 0 && (a->gap_us == 0 || gap_us < a->gap_us))
		a->gap_us = gap_us;
	a->accepted_us = now_us;
	if (a->state == ADAPT_HOLDING && a->is_guess && !a->window.is_open)
		return learn_gap(a, gap_us, now_us);
	if (!a->window.is_open || !is_before_cut(a, epoch))
		return false;
	a->window.n_good++;
	return refine(a, now_us);
}

/* ---- what leaves ---- */

bool
adapt_sent(struct adapt *a, uint32_t n, int64_t now_us)
{
	int64_t rest_us = now_us - a->used_us;
	bool changed = false;

	a->used_us = now_us;
	if (a->n_busy == 0 || rest_us > a->conf.react.hold_us) {
		a->cut_us = a->busy_us = now_us;
		a->n_since = 0;
		a->heard_us = a->n_busy = 0;
	}
	a->n_busy += n;
	if (a->failed > 0 && rest_us > REST * a->conf.react.hold_us)
		changed = adapt_slow_start(a, 500, now_us);
	a->n_sent += n;
	if (a->state != ADAPT_OPEN) {
		settle_debt(a, now_us);
		a->debt += n * RATE_ONE;
	}
	return changed;
}

void
adapt_unsent(struct adapt *a, uint32_t n, int64_t now_us)
{
	a->n_sent = most(a->n_sent - n, 0);
	if (a->state == ADAPT_OPEN)
		return;
	settle_debt(a, now_us);
	a->debt = most(a->debt - n * RATE_ONE, 0);
}

bool
adapt_slow_start(struct adapt *a, int64_t permille, int64_t now_us)
{
	int64_t rate = a->state == ADAPT_OPEN ? a->failed : a->rate;

	if (!a->conf.enabled)
		return false;
	if (a->failed > 0)
		rate = least(rate, a->failed);
	if (rate == 0)
		return false; /* nothing is known of it */
	if (a->failed == 0)
		a->failed = rate;
	a->flat = most(part(a->failed, FLAT_PERMILLE), a->floor);
	rate = most(part(rate, permille), a->floor);
	a->wait_us = WAIT_FIRST * a->conf.recover.every_us;
	enter(a, ADAPT_CLIMBING, 0);
	set_rate(a, rate, now_us);
	a->cut_epoch = a->epoch;
	a->window.is_open = false;
	a->due_us = now_us + step_us(a);
	return true;
}

/* ---- growth ---- */

static bool
climb(struct adapt *a, int64_t now_us)
{
	int64_t rate = a->flat;

	if (part(a->rate, ROUGH_PERMILLE) < a->flat)
		rate = a->rate + (a->flat - a->rate) / 2;
	enter(a, ADAPT_CLIMBING, 0);
	grow_to(a, most(rate, a->rate), now_us);
	if (a->state == ADAPT_OPEN)
		return true;
	if (a->rate >= a->flat)
		enter_flat(a, now_us);
	else
		a->due_us = now_us + step_us(a);
	return true;
}

static bool
probe(struct adapt *a, int64_t now_us)
{
	a->growth_permille = a->conf.recover.probe_permille;
	a->above_us = now_us;
	a->n_above = 0;
	a->from = a->failed;
	a->is_free = false;
	if (a->is_rough) {
		a->growth_permille *= 4;
		a->is_free = true;
		a->from = a->failed = a->rate;
	}
	enter(a, ADAPT_PROBING, 0);
	grow_to(a, part(a->rate, 1000 + a->growth_permille), now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = now_us + step_us(a);
	return true;
}

/*
 * How fast to go until a burst is ruled out: so that it takes about two
 * holds, as each recipient above the limit that is still on its way when the
 * bucket is empty will be refused.
 */
static int64_t
gentle_rate(const struct adapt *a, int64_t burst)
{
	int64_t span_us = 2 * a->conf.react.hold_us;
	int64_t over = (int64_t)((__int128)burst * 1250000 / span_us);

	over = most(over, part(a->from, a->conf.recover.probe_permille));
	return least(a->from + over, part(a->from, GENTLE_PERMILLE));
}

static bool
grow(struct adapt *a, int64_t now_us)
{
	int64_t burst = most(a->burst, RATE_ONE);
	int64_t gentle = gentle_rate(a, burst);
	int64_t rate;

	if (!a->is_free && excess(a, now_us) > burst + RATE_ONE) {
		a->is_free = true;
		a->wait_us = WAIT_FIRST * a->conf.recover.every_us;
	}
	rate = part(a->rate, 1000 + a->growth_permille);
	if (a->is_free || rate < gentle)
		a->growth_permille = least(a->growth_permille *
			(a->is_free ? 2000 : 1500) / 1000,
		    1000);
	else
		rate = most(a->rate, gentle);
	if (a->is_free)
		a->failed = a->rate;
	grow_to(a, rate, now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = now_us + step_us(a);
	return true;
}

/* The limit rose from probe to probe: go with it, somewhat slower, and it need
 * not be met so often. */
static bool
creep(struct adapt *a, int64_t now_us)
{
	int64_t span_us = now_us - a->step_from_us;
	int64_t rise = (int64_t)((__int128)a->slope * CREEP_PERMILLE * span_us /
	    a->conf.react.hold_us);

	/* `rise` is in millionths. */
	a->failed += (int64_t)((__int128)a->failed * rise / 1000000);
	a->flat = most(part(a->failed, FLAT_PERMILLE), a->floor);
	grow_to(a, a->flat, now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = least(a->probe_us, now_us + step_us(a));
	return true;
}

/* It doesn't need what it has: nothing proves more than it uses. */
static bool
settle_unused(struct adapt *a, int64_t now_us)
{
	struct meter_sum sum = meter_span(&a->meter, now_us);
	int64_t proven = rate_of(sum.n_accepted, sum.span_us);
	int64_t rate;

	a->failed = most(a->failed, proven);
	a->flat = most(part(a->failed, FLAT_PERMILLE), a->floor);
	rate = least(a->rate, most(a->flat, 2 * proven));
	set_rate(a, rate, now_us);
	enter_flat(a, now_us);
	return true;
}

/* It sends less than it may, and none of it was refused for a long time. */
static bool
forgive(struct adapt *a, int64_t now_us)
{
	grow_to(a, part(a->rate, 1000 + a->conf.recover.probe_permille),
	    now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = now_us + step_us(a);
	return true;
}

bool
adapt_step(struct adapt *a, int64_t now_us)
{
	if (now_us < a->due_us || a->state == ADAPT_OPEN)
		return false;
	if (a->state == ADAPT_HOLDING || a->state == ADAPT_CLIMBING)
		return climb(a, now_us);
	/* From here on only what is used and was answered may grow. */
	if (!is_used(a, now_us)) {
		if (a->state == ADAPT_PROBING && ++a->n_unused > UNUSED_MOST)
			return settle_unused(a, now_us);
		if (a->n_sent > 0 && meter_long(&a->meter, now_us).n_bad == 0)
			return forgive(a, now_us);
		a->due_us = now_us + step_us(a);
		a->n_sent = 0;
		a->step_from_us = now_us;
		return false;
	}
	if (a->seen_epoch != a->epoch) {
		a->due_us = now_us + most(step_us(a) / 4, 1);
		return false;
	}
	if (a->state == ADAPT_PROBING)
		return grow(a, now_us);
	return now_us < a->probe_us ? creep(a, now_us) : probe(a, now_us);
}
