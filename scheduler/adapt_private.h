/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADAPT_PRIVATE_H
#define FLYBALL_ADAPT_PRIVATE_H

#include "scheduler/adapt.h"

/* What the files of the controller share. Shares are in permille, spans
 * in multiples of the configured times, so that rehearsals of seconds and
 * providers of hours run the same law. */
#define FLAT_PERMILLE	   985 /* of the limit: where the rate rests */
#define SAMPLE		   8   /* answers before a measured rate is believed */
#define PRIOR		   4   /* answers that stand behind the rate so far */
#define TOLERATED_PERMILLE 200 /* refused, in a slow lane, is still chance */
#define FIRST_PERMILLE	   450 /* of what a first burst shows */
#define ROUGH_STEPS	   4   /* that a rough limit is kept to at first */
#define WAIT_FIRST	   4   /* x recover.every: the first wait for a probe */
#define WAIT_MOST	   8   /* x recover.every: and the longest */
#define STEP_ANSWERS	   3   /* that a step must bring */
#define REST_ANSWERS	   20  /* between two probes */
#define GENTLE_PERMILLE	   1300 /* of the limit, while it may be a burst */
#define FAR_PERMILLE	   1500 /* of the limit: it has moved for certain */
#define VERY_FAR_PERMILLE  2500
#define ROUGH_PERMILLE	   1300 /* between good and bad: still to be found */
#define SLOPE_LEAST	   10	/* permille a hold */
#define SLOPE_MOST	   100
#define REST		   1000 /* x react.hold: then the old rate is old */
#define FRESH_WINDOW	   4	/* transactions in a lane nothing is known of */
#define KNOWN		   100	/* accepted: then it is fresh no more */
#define FRESH_US	   2000000 /* nor after so long */
#define UNUSED_MOST	   8 /* steps above the limit that prove nothing */

static inline int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static inline int64_t
part(int64_t x, int64_t permille)
{
	return (int64_t)((__int128)x * permille / 1000);
}

/* The geometric mean, in integers. */
int64_t adapt_between(int64_t a, int64_t b);

/* Nano-recipients that a rate brings in a span. */
static inline int64_t
brings(int64_t rate, int64_t us)
{
	__int128 n = (__int128)rate * us / 1000000;

	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

/* The span in which a rate brings n nano-recipients, rounded up. */
static inline int64_t
takes_us(int64_t rate, int64_t n)
{
	__int128 us = ((__int128)n * 1000000 + rate - 1) / rate;

	return us > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)us;
}

/* ---- adapt.c ---- */
/* What left at the old rate is paid for at the old rate. */
void adapt_settle(struct adapt *a, int64_t now_us);
void adapt_set_rate(struct adapt *a, int64_t rate, int64_t now_us);
void adapt_set_limit(struct adapt *a, int64_t limit);
void adapt_enter(struct adapt *a, enum adapt_state state, int64_t due_us);
void adapt_enter_flat(struct adapt *a, int64_t now_us);
/* The configured rates alone hold again. */
void adapt_open(struct adapt *a);
/* Time for a few answers, where recover.every is too short for that. */
int64_t adapt_step_us(const struct adapt *a);
/* Did the lane need the rate that it had, in this step? */
bool adapt_is_used(const struct adapt *a, int64_t now_us);
void adapt_wait_anew(struct adapt *a); /* the next probe comes soon */

/* ---- adapt_search.c ---- */
/* Refused while nothing else was under way, in a lane too slow to measure:
 * does the search begin or go on? Then it has set the rate. */
static inline bool
adapt_is_searching(const struct adapt *a)
{
	return a->is_guess && a->bad_gap_us > 0;
}
bool adapt_search_refused(struct adapt *a, int64_t base, int64_t now_us);
/* Accepted so long after the one before; true: the rate changed. */
bool adapt_search_accepted(struct adapt *a, int64_t gap_us, int64_t now_us);
/* In a probe's place: a search that ended early goes on, if there was one. */
bool adapt_search_again(struct adapt *a, int64_t now_us);

/* ---- adapt_believe.c ---- */
/* The limit, after a refusal, from what was measured and what was known. */
int64_t adapt_believe(struct adapt *a, int64_t measured, int64_t now_us);
/* Nano-recipients accepted above the limit since a probe began. */
int64_t adapt_excess(const struct adapt *a, int64_t now_us);

#endif
