/* SPDX-License-Identifier: ISC */
/*
 * What is thought of a provider's limit after a refusal. adapt_decide.c asks;
 * the law is told in adapt.c.
 *
 * The subtle rule: a refusal happens when a bucket is empty, so between two of
 * them all that was accepted is the limit times the time, provided that the
 * bucket wasn't full in between. Below the limit it fills up, so this holds
 * where the rate was too high all the time (it failed while resting), and for
 * a probe only beyond the bucket's depth.
 */
#include "scheduler/adapt_private.h"

int64_t
adapt_excess(const struct adapt *a, int64_t now_us)
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

/* It went far, so the depth of the bucket matters little: the limit lies
 * between what went well and what didn't. */
static int64_t
probe_went_far(struct adapt *a, int64_t measured, int64_t now_us)
{
	int64_t limit = most(a->from, least(measured, a->failed));

	if (a->is_rough || a->rate > part(a->from, VERY_FAR_PERMILLE))
		limit = most(measured, a->failed);
	/* But a rough limit was kept below the true one for a while, and the
	 * bucket filled up: that is in what was measured. */
	if (a->is_rough)
		limit = adapt_between(limit, a->from);
	a->wait_us = WAIT_FIRST * a->conf.recover.every_us;
	a->is_rough = a->rate > part(limit, ROUGH_PERMILLE);
	a->slope = 0;
	a->learned_us = a->is_rough ? 0 : now_us;
	return limit;
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
	int64_t over = most(adapt_excess(a, now_us), 0);
	int64_t every_us = a->conf.recover.every_us;
	int64_t span_us = most(now_us - a->above_us, 1);
	int64_t limit = a->from;

	if (a->is_rough ||
	    (a->is_free && a->rate > part(a->from, FAR_PERMILLE)))
		return probe_went_far(a, measured, now_us);
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

int64_t
adapt_believe(struct adapt *a, int64_t measured, int64_t now_us)
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
		adapt_wait_anew(a);
	return limit;
}
