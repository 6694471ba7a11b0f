/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_BUCKET_H
#define FLYBALL_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * A token bucket for each window of a lane's rates, taken all or nothing. One
 * token is one recipient. Integers throughout: a level is kept in tokens x
 * window_us, so a microsecond adds exactly `refill` and nothing is rounded.
 *
 * Without a burst, a bucket's depth D is a hundredth of the count (at least
 * 1), and it refills count - D + 1 tokens a window: then no half-open interval
 * of one window's length ever sees more than `count` leave, and what leaves is
 * spread to about one part in a hundred.
 *
 * With a burst B the shortest window has depth B and refills its whole count
 * (up to count + B - 1 may leave in one such window: the operator asked for
 * it); longer windows let the burst through and stay exact.
 */
#define BUCKET_MARKS 8

struct bucket {
	__int128 level; /* tokens x window_us */
	int64_t window_us;
	int64_t depth;	  /* tokens */
	int64_t refill;	  /* tokens a window */
	struct rate rate; /* as it was asked for */
	/* How much it lacked to be full, least first: room is the least since
	 * the mark before. Only what it lacked ever since a permit left can
	 * be given back of that permit; the rest came in by refill. */
	unsigned n_marks;
	struct bucket_mark {
		int64_t at_us, room; /* tokens */
	} marks[BUCKET_MARKS];
};

/* Windows that were replaced are remembered while they aren't full: coming
 * back, they have no fresh bucket. They hold nobody in the meantime. */
#define BUCKETS_MAX (2 * CONF_RATES_MAX)

struct bucket_set {
	struct bucket *v; /* first those in force, then the remembered ones */
	unsigned n;	  /* in force */
	unsigned n_all;
	int64_t at_us; /* levels are as of then */
};

/* New buckets start full. No rates, or only unlimited ones: no limit. */
void bucket_set_init(struct bucket_set *set, const struct conf_rates *rates,
    int64_t burst, int64_t now_us);
void bucket_set_fini(struct bucket_set *set);

/*
 * Changes the rates and keeps what was spent: a window that was there before
 * keeps its tokens (up to the new depth), a window that is new gets no more
 * than could have left in this instant.
 */
void bucket_set_change(struct bucket_set *set, const struct conf_rates *rates,
    int64_t burst, int64_t now_us);

/* Tokens that every window has now; INT64_MAX: no limit. */
int64_t bucket_set_available(struct bucket_set *set, int64_t now_us);
/* The most that can ever be taken at once; INT64_MAX: no limit. */
int64_t bucket_set_depth(const struct bucket_set *set);
/* Takes n from each window, or nothing and says false. */
bool bucket_set_take(struct bucket_set *set, int64_t n, int64_t now_us);
/* n that were taken at left_us weren't used: windows that hold left_us get
 * them back, but never more than if they had not been taken at all. */
void bucket_set_give_back(struct bucket_set *set, int64_t n, int64_t left_us,
    int64_t now_us);
/* n left without having been asked for: what isn't there is owed, up to a
 * depth. */
void bucket_set_owe(struct bucket_set *set, int64_t n, int64_t now_us);
/*
 * The exact microsecond from which n can be taken; INT64_MAX: never. The
 * window that is last to have them goes to holding_out (may be NULL; NULL is
 * put there when none holds).
 */
int64_t bucket_set_when(struct bucket_set *set, int64_t n, int64_t now_us,
    const struct bucket **holding_out);
/* From when all buckets, the remembered ones too, are full if nobody takes. */
int64_t bucket_set_full_at(struct bucket_set *set, int64_t now_us);

#endif
