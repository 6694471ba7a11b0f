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
 * But limits are set by people, who write twelve a minute and not eleven and a
 * half. So where such a round gap is near the one to be tried, it is taken
 * instead, a little longer than it says; and one that is good is kept for a
 * while, unless another is near below. What is shorter still is looked for when
 * it is time for a probe: then a refusal is a small part of the answers. (What
 * that brings and costs stands in adapt.c.)
 *
 * A gap that was good and is refused later was good because of a bucket that
 * wasn't empty yet. So what is looked for lies little above it.
 *
 * The subtle rule: a gap is counted from the last one accepted, not from the
 * refusal. A refusal costs no token, so the provider's clock goes on.
 */
#include "scheduler/adapt_private.h"

#include <stddef.h>

#define WIDER_FIRST_PERMILLE 4000 /* of the first gap that was too short */
#define WIDER_KNOWN_PERMILLE 1150 /* of one that went well before */
#define WIDER_PERMILLE	     1500 /* of each further one */
#define NARROWER_PERMILLE    900  /* of a good one, at the least; */
#define NARROWER_ROUND	     650  /* where that makes it a round one */
#define NEAR_PERMILLE	     1150 /* good to bad: near enough */
#define LONGER_PERMILLE	     1012 /* than round: clocks and networks differ */
#define SHORTER_PERMILLE     960  /* no longer the same round gap */
#define ROUND_FIRST_PERMILLE 1400 /* the first try may be so much longer, */
#define ROUND_PERMILLE	     1200 /* and a further one, to be round */
#define TRIED_PERMILLE	     1060 /* it left about when it was due */

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

/* ---- round gaps ---- */

/* So many a second, a minute or an hour. */
static const int counts[] = { 30, 20, 12, 10, 6, 5, 4, 3, 2, 1 };
static const int64_t periods_us[] = { 1000000, 60000000, 3600000000 };

#define N_COUNTS (sizeof(counts) / sizeof(counts[0]))
#define N_ROUND	 (N_COUNTS * sizeof(periods_us) / sizeof(periods_us[0]))

/* A little longer than the i-th says, from the shortest on. */
static int64_t
round_gap(size_t i)
{
	return part(periods_us[i / N_COUNTS] / counts[i % N_COUNTS],
	    LONGER_PERMILLE);
}

/* The next round gap, if it is at most that much longer. */
static int64_t
round_up(int64_t gap_us, int64_t permille)
{
	for (size_t i = 0; i < N_ROUND; i++)
		if (round_gap(i) >= gap_us)
			return round_gap(i) <= part(gap_us, permille)
			    ? round_gap(i)
			    : gap_us;
	return gap_us;
}

/* The longest between those two; 0: there is none. */
static int64_t
round_between(int64_t from_us, int64_t to_us)
{
	int64_t longest_us = 0;

	for (size_t i = 0; i < N_ROUND; i++)
		if (round_gap(i) > from_us && round_gap(i) < to_us)
			longest_us = round_gap(i);
	return longest_us;
}

static bool
is_round(int64_t gap_us)
{
	return round_between(part(gap_us, SHORTER_PERMILLE), gap_us + 1) > 0;
}

/* ---- what to try ---- */

/* Between the two, nearer to the good one: that itself if they are near. */
static int64_t
narrower(int64_t bad_us, int64_t good_us)
{
	int64_t quarter_us; /* of the way down, on a logarithmic scale */

	if (good_us <= part(bad_us, NEAR_PERMILLE))
		return good_us;
	quarter_us = adapt_between(adapt_between(bad_us, good_us), good_us);
	return most(quarter_us, part(good_us, NARROWER_PERMILLE));
}

/* A round one near below the good one; 0: there is none. */
static int64_t
narrower_round(int64_t bad_us, int64_t good_us)
{
	return round_between(most(part(bad_us, LONGER_PERMILLE),
				 part(good_us, NARROWER_ROUND)),
	    part(good_us, SHORTER_PERMILLE));
}

/* The gap to be tried next. */
static int64_t
next_gap(const struct adapt *a)
{
	int64_t gap_us;

	if (a->good_gap_us == 0)
		return round_up(part(a->bad_gap_us, a->widen_permille),
		    a->widen_permille == WIDER_FIRST_PERMILLE
			? ROUND_FIRST_PERMILLE
			: ROUND_PERMILLE);
	gap_us = narrower_round(a->bad_gap_us, a->good_gap_us);
	return gap_us > 0 ? gap_us : narrower(a->bad_gap_us, a->good_gap_us);
}

/* Nothing shorter needs to be tried now. */
static bool
is_found(const struct adapt *a, int64_t gap_us)
{
	if (next_gap(a) == a->good_gap_us)
		return true;
	/* Where little mail comes, gaps are what they happen to be. */
	return is_round(gap_us) &&
	    gap_us <= part(takes_us(a->failed, RATE_ONE), TRIED_PERMILLE) &&
	    narrower_round(a->bad_gap_us, a->good_gap_us) == 0;
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

/* How much wider the first gap is that is tried. */
static int64_t
first_step(const struct adapt *a, int64_t base, int64_t bad_us)
{
	if (a->state != ADAPT_OPEN)
		return WIDER_KNOWN_PERMILLE;
	/* Little mail: it was no short gap. */
	if (bad_us > 2 * takes_us(base, RATE_ONE))
		return WIDER_PERMILLE;
	return WIDER_FIRST_PERMILLE;
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
		a->widen_permille = first_step(a, base, gap_us);
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
	if (gap_us < a->bad_gap_us) {
		a->bad_gap_us = a->good_gap_us = 0;
		return settle(a, gap_us, true, now_us);
	}
	if (a->good_gap_us == 0 || gap_us < a->good_gap_us)
		a->good_gap_us = gap_us;
	if (is_found(a, gap_us))
		return settle(a, a->good_gap_us, false, now_us);
	try_gap(a, next_gap(a), now_us);
	return true;
}

bool
adapt_search_again(struct adapt *a, int64_t now_us)
{
	int64_t gap_us = narrower(a->bad_gap_us, a->good_gap_us);

	if (gap_us == a->good_gap_us ||
	    a->failed > rate_of(1, a->good_gap_us)) /* it grew meanwhile */
		return false;
	a->is_guess = true;
	try_gap(a, gap_us, now_us);
	return true;
}
