/* SPDX-License-Identifier: ISC */
/*
 * Token buckets: how many recipients may leave now, and from when more may.
 * The rate gate (gate.c) is built on them; nothing here knows of lanes.
 *
 * A count may be 10^12 and a window 31 days (2.7 x 10^12 us), so products are
 * kept in 128 bits. The subtle rule: refill is count - depth + 1, not count. A
 * full bucket plus one window's refill then stays within `count`, because a
 * half-open window refills strictly less than `refill` tokens.
 */
#include "scheduler/bucket.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

static __int128
full_level(const struct bucket *b)
{
	return (__int128)b->depth * b->window_us;
}

static int64_t
tokens(const struct bucket *b)
{
	return (int64_t)(b->level / b->window_us);
}

static void
bucket_refill(struct bucket *b, int64_t elapsed_us)
{
	__int128 full = full_level(b);

	b->level += (__int128)elapsed_us * b->refill;
	if (b->level > full)
		b->level = full;
}

/* ---- what it lacked ---- */

static int64_t
room_of(const struct bucket *b)
{
	return (int64_t)((full_level(b) - b->level) / b->window_us);
}

/* Of two marks next to each other that tell nearly the same, the earlier one
 * goes; less is given back then, not more. */
static void
marks_merge(struct bucket *b)
{
	unsigned at = 0;

	for (unsigned i = 1; i + 1 < b->n_marks; i++)
		if (b->marks[i + 1].room - b->marks[i].room <
		    b->marks[at + 1].room - b->marks[at].room)
			at = i;
	b->marks[at + 1].room = b->marks[at].room;
	b->n_marks--;
	memmove(&b->marks[at], &b->marks[at + 1],
	    (b->n_marks - at) * sizeof(b->marks[0]));
}

/* It lacks so much now, before something leaves. */
static void
mark(struct bucket *b, int64_t room, int64_t now_us)
{
	while (b->n_marks > 0 && b->marks[b->n_marks - 1].room >= room)
		b->n_marks--;
	if (b->n_marks == BUCKET_MARKS)
		marks_merge(b);
	b->marks[b->n_marks++] =
	    (struct bucket_mark){ .at_us = now_us, .room = room };
}

/* The least that it lacked after left_us; what is as old as the permit was
 * there before it, or left together with it. */
static int64_t
room_since(const struct bucket *b, int64_t left_us)
{
	for (unsigned i = 0; i < b->n_marks; i++)
		if (b->marks[i].at_us > left_us)
			return b->marks[i].room;
	return INT64_MAX;
}

/* n came back that left then: so much less was lacking since. */
static void
marks_lower(struct bucket *b, int64_t n, int64_t left_us)
{
	unsigned keep = 0;

	for (unsigned i = 0; i < b->n_marks; i++) {
		struct bucket_mark m = b->marks[i];

		if (m.at_us > left_us)
			m.room -= n;
		while (keep > 0 && b->marks[keep - 1].room >= m.room)
			keep--;
		b->marks[keep++] = m;
	}
	b->n_marks = keep;
}

/* ---- sets ---- */

static void
refill(struct bucket_set *set, int64_t now_us)
{
	if (now_us <= set->at_us)
		return;
	for (unsigned i = 0; i < set->n_all; i++)
		bucket_refill(&set->v[i], now_us - set->at_us);
	set->at_us = now_us;
}

/* Microseconds until the level is there; INT64_MAX: never. */
static int64_t
wait_for(const struct bucket *b, __int128 level)
{
	__int128 wait_us;

	if (level > full_level(b))
		return INT64_MAX;
	if (level <= b->level)
		return 0;
	wait_us = (level - b->level + b->refill - 1) / b->refill;
	return wait_us > INT64_MAX ? INT64_MAX : (int64_t)wait_us;
}

static int64_t
later(int64_t at_us, int64_t wait_us)
{
	return wait_us > INT64_MAX - at_us ? INT64_MAX : at_us + wait_us;
}

static struct bucket
bucket_make(const struct rate *rate, int64_t burst, bool is_shortest)
{
	struct bucket b = { .window_us = rate->window_us, .rate = *rate };
	int64_t hundredth = rate->count / 100 > 1 ? rate->count / 100 : 1;

	b.depth = hundredth;
	if (burst > 0 && is_shortest) {
		b.depth = burst;
		b.refill = rate->count;
		return b;
	}
	if (burst > b.depth)
		b.depth = burst < rate->count ? burst : rate->count;
	b.refill = rate->count - b.depth + 1;
	return b;
}

static int64_t
shortest_window(const struct conf_rates *rates)
{
	int64_t shortest_us = INT64_MAX;

	for (size_t i = 0; i < rates->n; i++)
		if (!rate_is_unlimited(&rates->v[i]) &&
		    rates->v[i].window_us < shortest_us)
			shortest_us = rates->v[i].window_us;
	return shortest_us;
}

/* Fills v with empty buckets for the limited rates; returns how many. */
static unsigned
buckets_make(struct bucket *v, const struct conf_rates *rates, int64_t burst)
{
	int64_t shortest_us = shortest_window(rates);
	unsigned n = 0;

	for (size_t i = 0; i < rates->n && i < CONF_RATES_MAX; i++)
		if (!rate_is_unlimited(&rates->v[i]))
			v[n++] = bucket_make(&rates->v[i], burst,
			    rates->v[i].window_us == shortest_us);
	return n;
}

static void
store(struct bucket_set *set, const struct bucket *v, unsigned n,
    unsigned n_all)
{
	free(set->v);
	set->v = n_all > 0 ? xmemdup(v, n_all * sizeof(*v)) : NULL;
	set->n = n;
	set->n_all = n_all;
}

void
bucket_set_init(struct bucket_set *set, const struct conf_rates *rates,
    int64_t burst, int64_t now_us)
{
	struct bucket v[CONF_RATES_MAX];
	unsigned n = buckets_make(v, rates, burst);

	*set = (struct bucket_set){ .at_us = now_us };
	for (unsigned i = 0; i < n; i++)
		v[i].level = full_level(&v[i]);
	store(set, v, n, n);
}

void
bucket_set_fini(struct bucket_set *set)
{
	free(set->v);
	*set = (struct bucket_set){ 0 };
}

static const struct bucket *
find_window(const struct bucket_set *set, int64_t window_us)
{
	for (unsigned i = 0; i < set->n_all; i++)
		if (set->v[i].window_us == window_us)
			return &set->v[i];
	return NULL;
}

/* What a window that is new starts with. */
static __int128
first_level(const struct bucket_set *old, const struct bucket *b)
{
	__int128 least = full_level(b);

	for (unsigned i = 0; i < old->n; i++) {
		__int128 left = (__int128)tokens(&old->v[i]) * b->window_us;

		if (left < least)
			least = left;
	}
	return least;
}

/* What a window starts with after a change. What left while it wasn't in
 * force doesn't come back to it, nor what it is too small for now. */
static void
carry(const struct bucket_set *old, struct bucket *b, int64_t now_us)
{
	const struct bucket *was = find_window(old, b->window_us);
	__int128 full = full_level(b);

	b->level = was != NULL ? was->level : first_level(old, b);
	if (was != NULL) {
		b->n_marks = was->n_marks;
		memcpy(b->marks, was->marks, sizeof(b->marks));
	}
	if (was == NULL || was >= old->v + old->n || b->level > full)
		mark(b, 0, now_us);
	if (b->level > full)
		b->level = full;
}

static bool
has_window(const struct bucket *v, unsigned n, int64_t window_us)
{
	for (unsigned i = 0; i < n; i++)
		if (v[i].window_us == window_us)
			return true;
	return false;
}

void
bucket_set_change(struct bucket_set *set, const struct conf_rates *rates,
    int64_t burst, int64_t now_us)
{
	struct bucket v[BUCKETS_MAX];
	unsigned n, n_all;

	refill(set, now_us);
	n = n_all = buckets_make(v, rates, burst);
	for (unsigned i = 0; i < n; i++)
		carry(set, &v[i], now_us);
	for (unsigned i = 0; i < set->n_all && n_all < BUCKETS_MAX; i++) {
		const struct bucket *old = &set->v[i];

		if (!has_window(v, n_all, old->window_us) &&
		    old->level < full_level(old))
			v[n_all++] = *old;
	}
	store(set, v, n, n_all);
}

int64_t
bucket_set_available(struct bucket_set *set, int64_t now_us)
{
	int64_t least = INT64_MAX;

	refill(set, now_us);
	for (unsigned i = 0; i < set->n; i++)
		if (tokens(&set->v[i]) < least)
			least = tokens(&set->v[i]);
	return least;
}

int64_t
bucket_set_depth(const struct bucket_set *set)
{
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < set->n; i++)
		if (set->v[i].depth < least)
			least = set->v[i].depth;
	return least;
}

bool
bucket_set_take(struct bucket_set *set, int64_t n, int64_t now_us)
{
	refill(set, now_us);
	for (unsigned i = 0; i < set->n; i++)
		if (set->v[i].level < (__int128)n * set->v[i].window_us)
			return false;
	for (unsigned i = 0; i < set->n_all; i++) {
		struct bucket *b = &set->v[i];

		mark(b, room_of(b), now_us);
		b->level -= (__int128)n * b->window_us;
		/* Only a remembered window can go below: a wider override
		 * empties it, but leaves no debt behind. */
		if (b->level < 0)
			b->level = 0;
	}
	return true;
}

/*
 * Remembered windows get nothing back: what they gave may have been less. Nor
 * do those that are over since: connects that time out come back in a heap,
 * long after the second that they were charged to. And within a window only
 * what the bucket lacked all the time: had the permit not been taken, the
 * bucket would have been full the earlier, and what came in then was lost.
 */
void
bucket_set_give_back(struct bucket_set *set, int64_t n, int64_t left_us,
    int64_t now_us)
{
	refill(set, now_us);
	for (unsigned i = 0; i < set->n; i++) {
		struct bucket *b = &set->v[i];

		int64_t back = room_since(b, left_us);

		if (now_us - left_us >= b->window_us)
			continue;
		if (back > n)
			back = n;
		b->level += (__int128)back * b->window_us;
		if (b->level > full_level(b))
			b->level = full_level(b);
		marks_lower(b, back, left_us);
	}
}

void
bucket_set_owe(struct bucket_set *set, int64_t n, int64_t now_us)
{
	refill(set, now_us);
	for (unsigned i = 0; i < set->n_all; i++) {
		struct bucket *b = &set->v[i];
		__int128 least = i < set->n ? -full_level(b) : 0;

		mark(b, room_of(b), now_us);
		b->level -= (__int128)n * b->window_us;
		if (b->level < least)
			b->level = least;
	}
}

int64_t
bucket_set_when(struct bucket_set *set, int64_t n, int64_t now_us,
    const struct bucket **holding_out)
{
	int64_t longest_us = 0;

	refill(set, now_us);
	if (holding_out != NULL)
		*holding_out = NULL;
	for (unsigned i = 0; i < set->n; i++) {
		const struct bucket *b = &set->v[i];
		int64_t wait_us = wait_for(b, (__int128)n * b->window_us);

		if (wait_us <= longest_us)
			continue;
		longest_us = wait_us;
		if (holding_out != NULL)
			*holding_out = b;
	}
	return later(set->at_us, longest_us);
}

int64_t
bucket_set_full_at(struct bucket_set *set, int64_t now_us)
{
	int64_t longest_us = 0;

	refill(set, now_us);
	for (unsigned i = 0; i < set->n_all; i++) {
		int64_t wait_us = wait_for(&set->v[i], full_level(&set->v[i]));

		if (wait_us > longest_us)
			longest_us = wait_us;
	}
	return later(set->at_us, longest_us);
}
