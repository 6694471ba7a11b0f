/* SPDX-License-Identifier: ISC */
/*
 * How far apart messages may be, in a lane that is too slow to be measured by
 * counting: one in five seconds, one in ten minutes. adapt_decide.c calls it;
 * the law is told in adapt.c.
 *
 * Each answer is a large part of the evidence there will be, and a refusal
 * costs as much as a message that isn't sent. So few tries: a refusal says that
 * the last accepted one isn't long enough ago; an acceptance, that it is. Until
 * one is accepted the gap grows quickly; then it is looked for between the two,
 * in small steps from above; and when they are near enough to each other the
 * longer one is kept. The numbers are about those of the best policy (found by
 * going back from the last message to the first) for a gap of which nothing is
 * known but its order of magnitude.
 *
 * A gap that was good and is refused later was good because of a bucket that
 * wasn't empty yet. So what is looked for lies little above it.
 *
 * The subtle rule: a gap is counted from the last one accepted, not from the
 * refusal. A refusal costs no token, so the provider's clock goes on.
 */
#include "scheduler/adapt_private.h"

#define WIDER_FIRST_PERMILLE 4000 /* of the first gap that was too short */
#define WIDER_KNOWN_PERMILLE 1150 /* of one that went well before */
#define WIDER_PERMILLE	     1500 /* of each further one */
#define NARROWER_PERMILLE    900  /* of a good one, at the least */
#define NEAR_PERMILLE	     1150 /* good to bad: near enough */

int64_t
adapt_between(int64_t a, int64_t b)
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

/* The gap to be tried next. */
static int64_t
next_gap(const struct adapt *a)
{
	int64_t quarter_us; /* of the way down, on a logarithmic scale */

	if (a->good_gap_us == 0)
		return part(a->bad_gap_us, a->widen_permille);
	if (a->good_gap_us <= part(a->bad_gap_us, NEAR_PERMILLE))
		return a->good_gap_us;
	quarter_us = adapt_between(adapt_between(a->bad_gap_us, a->good_gap_us),
	    a->good_gap_us);
	return most(quarter_us, part(a->good_gap_us, NARROWER_PERMILLE));
}

/* Never longer than the floor lets it wait. */
static void
try_gap(struct adapt *a, int64_t gap_us, int64_t now_us)
{
	int64_t wait_us;

	adapt_set_limit(a, rate_of(1, gap_us));
	adapt_enter(a, ADAPT_HOLDING, 0);
	adapt_set_rate(a, a->failed, now_us);
	wait_us = most(a->accepted_us + gap_us - now_us, 0);
	a->debt = least(brings(a->rate, wait_us), RATE_ONE);
	a->due_us = now_us +
	    most(a->conf.react.hold_us, takes_us(a->rate, 2 * RATE_ONE));
}

/* is_rough: it may well be better than that. */
static bool
settle(struct adapt *a, int64_t gap_us, bool is_rough, int64_t now_us)
{
	a->is_guess = false;
	a->is_rough = is_rough;
	adapt_set_limit(a, rate_of(1, gap_us));
	adapt_set_rate(a, a->flat, now_us);
	adapt_enter_flat(a, now_us);
	return true;
}

bool
adapt_search_refused(struct adapt *a, int64_t base, int64_t now_us)
{
	int64_t gap_us = now_us - a->accepted_us;

	if (a->accepted_us == 0 ||
	    takes_us(base, RATE_ONE) < a->conf.react.hold_us / 8)
		return false;
	if (!adapt_is_searching(a)) {
		a->bad_gap_us = a->good_gap_us = 0;
		a->widen_permille = a->state == ADAPT_OPEN
		    ? WIDER_FIRST_PERMILLE
		    : WIDER_KNOWN_PERMILLE;
	} else if (a->good_gap_us > 0) {
		a->widen_permille = WIDER_KNOWN_PERMILLE;
	} else {
		a->widen_permille = WIDER_PERMILLE;
	}
	a->bad_gap_us = most(a->bad_gap_us, gap_us);
	if (a->good_gap_us <= a->bad_gap_us)
		a->good_gap_us = 0;
	a->is_guess = true;
	try_gap(a, next_gap(a), now_us);
	return true;
}

bool
adapt_search_accepted(struct adapt *a, int64_t gap_us, int64_t now_us)
{
	/* What was refused then is taken now: it was no gap that was wrong. */
	if (gap_us < a->bad_gap_us)
		return settle(a, gap_us, true, now_us);
	if (a->good_gap_us == 0 || gap_us < a->good_gap_us)
		a->good_gap_us = gap_us;
	if (next_gap(a) == a->good_gap_us)
		return settle(a, a->good_gap_us, false, now_us);
	try_gap(a, next_gap(a), now_us);
	return true;
}
