/* SPDX-License-Identifier: ISC */
/*
 * What time does to a lane's speed: back up after a hold, probes above the
 * limit, and what becomes of a rate that isn't used. lane_adapt.c's timer calls
 * adapt_step(); the law is told in adapt.c.
 *
 * The subtle rule: only what is used and was answered may grow. A rate that
 * nobody needs proves nothing.
 */
#include "scheduler/adapt_private.h"

/* What a probe's growth itself grows by, from step to step: */
#define CAREFUL_PERMILLE 1500 /* while it may be a burst */
#define FREE_PERMILLE	 1600 /* and then */

/* The lane's rate goes up. True. */
static bool
grow_to(struct adapt *a, int64_t rate, int64_t now_us)
{
	if (a->ceiling > 0 && rate >= a->ceiling)
		adapt_open(a);
	else
		adapt_set_rate(a, rate, now_us);
	return true;
}

static bool
climb(struct adapt *a, int64_t now_us)
{
	int64_t rate = a->flat;

	if (part(a->rate, ROUGH_PERMILLE) < a->flat)
		rate = a->rate + (a->flat - a->rate) / 2;
	adapt_enter(a, ADAPT_CLIMBING, 0);
	grow_to(a, most(rate, a->rate), now_us);
	if (a->state == ADAPT_OPEN)
		return true;
	if (a->rate >= a->flat)
		adapt_enter_flat(a, now_us);
	else
		a->due_us = now_us + adapt_step_us(a);
	return true;
}

static bool
probe(struct adapt *a, int64_t now_us)
{
	if (adapt_search_again(a, now_us))
		return true;
	a->growth_permille = a->conf.recover.probe_permille;
	a->above_us = now_us;
	a->n_above = 0;
	a->from = a->failed;
	a->is_free = false;
	if (a->is_rough) {
		a->growth_permille *= 2;
		a->is_free = true;
		a->from = a->failed = a->rate;
	}
	adapt_enter(a, ADAPT_PROBING, 0);
	grow_to(a, part(a->rate, 1000 + a->growth_permille), now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = now_us + adapt_step_us(a);
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
	int64_t over =
	    (int64_t)((__int128)(burst + RATE_ONE) * 1250000 / span_us);

	over = most(over, part(a->from, a->conf.recover.probe_permille));
	return least(a->from + over, part(a->from, GENTLE_PERMILLE));
}

static bool
grow(struct adapt *a, int64_t now_us)
{
	int64_t burst = most(a->burst, RATE_ONE);
	int64_t gentle = gentle_rate(a, burst);
	int64_t rate;

	if (!a->is_free && adapt_excess(a, now_us) > burst + RATE_ONE) {
		a->is_free = true;
		adapt_wait_anew(a);
	}
	rate = part(a->rate, 1000 + a->growth_permille);
	if (a->is_free || rate < gentle)
		a->growth_permille = least(1000,
		    part(a->growth_permille,
			a->is_free ? FREE_PERMILLE : CAREFUL_PERMILLE));
	else
		rate = most(a->rate, gentle);
	if (a->is_free)
		a->failed = a->rate;
	grow_to(a, rate, now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = now_us + adapt_step_us(a);
	return true;
}

/* The limit rose from probe to probe: go with it, somewhat slower, and it need
 * not be met so often. */
static bool
creep(struct adapt *a, int64_t now_us)
{
	int64_t span_us = now_us - a->step_from_us;
	int64_t rise = (int64_t)((__int128)a->slope * 1000 * span_us /
	    a->conf.react.hold_us);

	/* `rise` is in millionths. */
	a->failed += (int64_t)((__int128)a->failed * rise / 1000000);
	a->flat = most(part(a->failed, FLAT_PERMILLE), a->floor);
	grow_to(a, a->flat, now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = least(a->probe_us, now_us + adapt_step_us(a));
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
	adapt_set_rate(a, rate, now_us);
	adapt_enter_flat(a, now_us);
	return true;
}

/* It sends less than it may, and none of it was refused for a long time. */
static bool
forgive(struct adapt *a, int64_t now_us)
{
	grow_to(a, part(a->rate, 1000 + a->conf.recover.probe_permille),
	    now_us);
	if (a->state != ADAPT_OPEN)
		a->due_us = now_us + adapt_step_us(a);
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
	if (!adapt_is_used(a, now_us)) {
		if (a->state == ADAPT_PROBING && ++a->n_unused > UNUSED_MOST)
			return settle_unused(a, now_us);
		if (a->n_sent > 0 && meter_long(&a->meter, now_us).n_bad == 0)
			return forgive(a, now_us);
		/* An idle lane sleeps until it is used again. */
		a->due_us =
		    a->n_sent > 0 ? now_us + adapt_step_us(a) : INT64_MAX;
		a->n_sent = 0;
		a->step_from_us = now_us;
		return false;
	}
	if (a->seen_epoch != a->epoch) {
		a->due_us = now_us + most(adapt_step_us(a) / 4, 1);
		return false;
	}
	if (a->state == ADAPT_PROBING)
		return grow(a, now_us);
	return now_us < a->probe_us ? creep(a, now_us) : probe(a, now_us);
}
