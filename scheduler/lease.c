/* SPDX-License-Identifier: ISC */
/*
 * The node's half of a shared limit. leases.c has one for each lane, route
 * total or sender domain with such limits; daemon/cluster.c carries what is
 * asked and answered. It knows neither lanes nor Redis.
 *
 * Why no window ever holds more than its limit, over all nodes:
 *
 * SHORT (windows of up to LEASE_SHORT_PERIODS lease periods). Each node has a
 * share, the shares add up to at most the limit, and each node sees to it that
 * no window of its own holds more than its share. A share that is taken away
 * counts as used until the last window is over in which it may have been. A
 * bucket would have to keep back what a whole period may spend late, which for
 * 300/s is half of it; this costs one part in 512, the slice in which use is
 * counted.
 *
 * LONG. One bucket for all, in Redis. Tokens in nodes' hands count against its
 * depth. So at any instant all tokens that exist are at most the depth, and
 * what leaves in a window is at most those and one window's refill: it makes
 * no difference when, within its lease, a node spends them.
 *
 * DAY. Each node's count is its own charge and what it holds; they add up to
 * at most the day's limit. Those tokens don't run out: a node that fell silent
 * may still have sent them, so they stay counted until it says otherwise.
 *
 * The subtle rule: a grant runs out a period after the call was *sent*, and
 * while a renewal is out the old grant holds for a quarter of a period only.
 * Redis counts both from when it ran the call, which was later.
 */
#include "scheduler/lease_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

/* Longer windows are buckets: a share of theirs would change hands only after
 * a whole window. */
#define LEASE_SHORT_PERIODS 20

/* ---- life ---- */

void
lease_init(struct lease *l, int64_t period_us)
{
	*l = (struct lease){ .period_us = period_us,
		.ends_us = LEASE_NEVER,
		.asked_us = LEASE_NEVER };
}

void
lease_fini(struct lease *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->items[i].used);
	l->n = 0;
}

int64_t
lease_depth(int64_t limit, int64_t period_us, int64_t window_us)
{
	__int128 out = (__int128)limit * period_us * 5 / 4;
	int64_t depth = limit / 100 > 1 ? limit / 100 : 1;
	int64_t most = (int64_t)((out + window_us - 1) / window_us);

	if (most > depth)
		depth = most;
	return depth < limit ? depth : limit;
}

/* ---- what is shared ---- */

static struct lease_item *
find(struct lease_item *items, unsigned n, int64_t window_us)
{
	for (unsigned i = 0; i < n; i++)
		if (items[i].window_us == window_us)
			return &items[i];
	return NULL;
}

static int64_t
part(int64_t amount, unsigned n_nodes)
{
	return amount / n_nodes > 1 ? amount / n_nodes : 1;
}

/* Without Redis a window begins with nothing, and a short one with nothing for
 * its whole length: what there was may have been granted to others. */
static void
item_loosen(const struct lease *l, struct lease_item *it, int64_t now_us)
{
	it->held = it->kind == LEASE_SHORT ? part(it->limit, l->n_nodes) : 0;
	it->loose = 0;
	it->loose_us = now_us;
}

static struct lease_item
item_make(struct lease *l, const struct rate *r, int64_t now_us)
{
	struct lease_item *old = find(l->items, l->n, r->window_us);
	struct lease_item item = { .window_us = r->window_us };
	enum lease_kind kind =
	    r->window_us <= LEASE_SHORT_PERIODS * l->period_us ? LEASE_SHORT
							       : LEASE_LONG;
	bool is_new = old == NULL || old->kind != kind;

	if (old != NULL) {
		item = *old;
		old->used = NULL; /* it moves */
	}
	item.limit = r->count;
	item.id = (r->window_us + 999) / 1000;
	item.kind = kind;
	if (kind == LEASE_SHORT && item.used == NULL)
		item.used = xcalloc(1, sizeof(*item.used));
	if (is_new)
		item.held = 0;
	if (l->mode == LEASE_LOOSE && is_new)
		item_loosen(l, &item, now_us);
	else if (l->mode == LEASE_LOOSE && kind == LEASE_SHORT)
		item.held = part(item.limit, l->n_nodes);
	if (item.held > item.limit)
		item.held = item.limit;
	return item;
}

static bool
are_same(const struct lease_item *a, unsigned n_a, const struct lease_item *b,
    unsigned n_b)
{
	for (unsigned i = 0; i < n_a && i < n_b; i++)
		if (a[i].kind != b[i].kind || a[i].id != b[i].id)
			return false;
	return n_a == n_b;
}

void
lease_limit(struct lease *l, const struct conf_rates *rates, int64_t burst,
    int64_t period_us, int64_t now_us)
{
	struct lease_item items[LEASE_ITEMS_MAX];
	struct lease_item *day = find(l->items, l->n, 0);
	unsigned n = 0;

	l->period_us = period_us;
	l->burst = burst;
	for (size_t i = 0; i < rates->n && i < CONF_RATES_MAX; i++)
		if (!rate_is_unlimited(&rates->v[i]) &&
		    find(items, n, rates->v[i].window_us) == NULL)
			items[n++] = item_make(l, &rates->v[i], now_us);
	if (day != NULL)
		items[n++] = *day;
	/* An answer that is under way is about other items. */
	if (!are_same(items, n, l->items, l->n))
		l->is_asking = false;
	lease_fini(l);
	memcpy(l->items, items, n * sizeof(items[0]));
	l->n = n;
}

const struct lease_item *
lease_day_get(const struct lease *l)
{
	return l->n > 0 && l->items[l->n - 1].kind == LEASE_DAY
	    ? &l->items[l->n - 1]
	    : NULL;
}

void
lease_day(struct lease *l, int64_t day, int64_t limit, int64_t charged)
{
	struct lease_item *it = l->n > 0 && l->items[l->n - 1].kind == LEASE_DAY
	    ? &l->items[l->n - 1]
	    : NULL;

	if (limit == INT64_MAX) {
		if (it != NULL) {
			l->n--;
			l->is_asking = false;
		}
		return;
	}
	if (it == NULL || it->id != day) {
		if (it == NULL)
			it = &l->items[l->n++];
		*it = (struct lease_item){ .kind = LEASE_DAY, .id = day };
		l->is_asking = false;
	}
	it->limit = limit;
	it->charged = charged;
}

/* ---- slices ---- */

static int64_t
slice_us(const struct lease_item *it)
{
	return (it->window_us + LEASE_SLICES - 1) / LEASE_SLICES;
}

static uint32_t *
slice_at(struct lease_slices *u, int64_t slice)
{
	return &u->n[slice % (LEASE_SLICES + 1)];
}

void
lease_slices_turn(struct lease_item *it, int64_t now_us)
{
	struct lease_slices *u = it->used;
	int64_t slice = now_us / slice_us(it);

	if (slice - u->newest > LEASE_SLICES) {
		*u = (struct lease_slices){ .newest = slice };
		return;
	}
	while (u->newest < slice) {
		uint32_t *n = slice_at(u, ++u->newest);

		u->sum -= *n;
		*n = 0;
	}
}

/* The first instant at which n more fit into what is held. */
static int64_t
slices_when(struct lease_item *it, int64_t n, int64_t now_us)
{
	struct lease_slices *u = it->used;
	int64_t sum, slice;

	lease_slices_turn(it, now_us);
	sum = u->sum;
	slice = u->newest - LEASE_SLICES;
	if (n > it->held)
		return INT64_MAX;
	while (sum + n > it->held) {
		if (slice >= 0)
			sum -= *slice_at(u, slice);
		slice++;
	}
	if (slice == u->newest - LEASE_SLICES)
		return now_us;
	return (slice + LEASE_SLICES) * slice_us(it);
}

static void
slices_add(struct lease_item *it, int64_t n, int64_t at_us)
{
	int64_t slice = at_us / slice_us(it);
	uint32_t *at;

	if (slice > it->used->newest || slice < 0 ||
	    slice + LEASE_SLICES < it->used->newest)
		return; /* long forgotten */
	at = slice_at(it->used, slice);
	if (n < 0 && *at < -n)
		n = -(int64_t)*at;
	*at = (uint32_t)((int64_t)*at + n);
	it->used->sum += n;
}

/* ---- pace ---- */

/* A share is spent evenly: what a hundredth of it is worth may be made up
 * for, or the burst that the operator allows. */
static int64_t
pace_slack(const struct lease *l, const struct lease_item *it)
{
	int64_t most = it->held / 50 > 2 ? it->held / 50 : 2;

	if (l->burst > most)
		most = l->burst;
	if (most > it->held)
		most = it->held;
	return it->held > 0 ? it->window_us / it->held * (most - 1) : 0;
}

static int64_t
pace_of(const struct lease_item *it, int64_t n)
{
	/* A little faster than even, or each delay would be lost for good. */
	return it->held > 0
	    ? (int64_t)((__int128)it->window_us * n * 127 / it->held / 128)
	    : 0;
}

static void
pace_charge(struct lease_item *it, int64_t n, int64_t now_us)
{
	if (it->pace_us < now_us)
		it->pace_us = now_us;
	it->pace_us += pace_of(it, n);
}

/* ---- without Redis ---- */

static int64_t
loose_refill(const struct lease *l, const struct lease_item *it)
{
	int64_t depth = lease_depth(it->limit, l->period_us, it->window_us);

	return part(it->limit - depth + 1, l->n_nodes);
}

static void
loose_turn(const struct lease *l, struct lease_item *it, int64_t now_us)
{
	int64_t depth =
	    part(lease_depth(it->limit, l->period_us, it->window_us),
		l->n_nodes);
	__int128 full = (__int128)depth * it->window_us;

	if (now_us <= it->loose_us)
		return;
	it->loose += (__int128)(now_us - it->loose_us) * loose_refill(l, it);
	if (it->loose > full)
		it->loose = full;
	it->loose_us = now_us;
	it->held = (int64_t)(it->loose / it->window_us);
}

static int64_t
loose_when(const struct lease *l, struct lease_item *it, int64_t n,
    int64_t now_us)
{
	int64_t refill = loose_refill(l, it);
	__int128 lacks;

	loose_turn(l, it, now_us);
	lacks = (__int128)n * it->window_us - it->loose;
	if (lacks <= 0)
		return now_us;
	lacks = (lacks + refill - 1) / refill;
	return lacks > INT64_MAX / 2 ? INT64_MAX : now_us + (int64_t)lacks;
}

void
lease_loosen(struct lease *l, unsigned n_nodes, int64_t now_us)
{
	enum lease_mode was = l->mode;

	if (n_nodes == 0 && l->mode == LEASE_GRANTED)
		return;
	if (n_nodes > 0 && l->mode == LEASE_LOOSE && l->n_nodes == n_nodes)
		return;
	l->mode = n_nodes > 0 ? LEASE_LOOSE : LEASE_GRANTED;
	l->n_nodes = n_nodes > 0 ? n_nodes : 1;
	l->is_asking = false;
	/* Our part goes on until it is answered what we are granted. */
	l->ends_us = n_nodes > 0 ? LEASE_NEVER : now_us + l->period_us / 4;
	if (n_nodes == 0)
		return;
	for (unsigned i = 0; i < l->n; i++) {
		struct lease_item *it = &l->items[i];

		if (it->kind == LEASE_DAY)
			continue;
		if (it->kind == LEASE_LONG && was == LEASE_GRANTED)
			l->n_lapsed += it->held > 0 ? it->held : 0;
		item_loosen(l, it, now_us);
	}
}

/* ---- may n leave? ---- */

bool
lease_is_valid(const struct lease *l, int64_t now_us)
{
	return l->mode == LEASE_LOOSE || now_us < l->ends_us;
}

static int64_t
item_when(struct lease *l, struct lease_item *it, int64_t n, int64_t now_us)
{
	int64_t when_us, pace_us;

	if (it->kind != LEASE_DAY && !lease_is_valid(l, now_us))
		return INT64_MAX;
	if (it->kind == LEASE_LONG && l->mode == LEASE_LOOSE)
		return loose_when(l, it, n, now_us);
	if (it->kind != LEASE_SHORT)
		return it->held >= n ? now_us : INT64_MAX;
	when_us = slices_when(it, n, now_us);
	/* The last window may hold a whole limit, sent by others. */
	if (l->mode == LEASE_LOOSE && when_us < it->loose_us + it->window_us)
		when_us = it->loose_us + it->window_us;
	pace_us = it->pace_us - pace_slack(l, it);
	return when_us > pace_us ? when_us : pace_us;
}

int64_t
lease_when(struct lease *l, int64_t n, int64_t now_us)
{
	int64_t last_us = now_us;

	for (unsigned i = 0; i < l->n; i++) {
		int64_t when_us = item_when(l, &l->items[i], n, now_us);

		if (when_us > last_us)
			last_us = when_us;
	}
	return last_us;
}

static int64_t
item_room(struct lease *l, struct lease_item *it, int64_t now_us)
{
	if (it->kind != LEASE_DAY && !lease_is_valid(l, now_us))
		return 0;
	if (it->kind == LEASE_LONG && l->mode == LEASE_LOOSE)
		loose_turn(l, it, now_us);
	if (it->kind != LEASE_SHORT)
		return it->held;
	if (l->mode == LEASE_LOOSE && now_us < it->loose_us + it->window_us)
		return 0;
	lease_slices_turn(it, now_us);
	return it->held > it->used->sum ? it->held - it->used->sum : 0;
}

int64_t
lease_room(struct lease *l, int64_t now_us)
{
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < l->n; i++) {
		int64_t room = item_room(l, &l->items[i], now_us);

		if (room < least)
			least = room;
	}
	return least;
}

int64_t
lease_held(struct lease *l, int64_t now_us)
{
	int64_t least = lease_room(l, now_us);

	return least == INT64_MAX ? 0 : least;
}

static void
item_use(struct lease *l, struct lease_item *it, int64_t n, int64_t at_us)
{
	it->n_used += n;
	switch (it->kind) {
	case LEASE_SHORT:
		slices_add(it, n, at_us);
		break;
	case LEASE_LONG:
		it->held -= n;
		if (l->mode == LEASE_LOOSE)
			it->loose -= (__int128)n * it->window_us;
		break;
	case LEASE_DAY:
		it->held -= n;
		it->charged += n;
		break;
	}
}

void
lease_charge(struct lease *l, int64_t n, int64_t now_us)
{
	for (unsigned i = 0; i < l->n; i++) {
		struct lease_item *it = &l->items[i];

		if (it->kind == LEASE_SHORT) {
			lease_slices_turn(it, now_us);
			pace_charge(it, n, now_us);
		}
		item_use(l, it, n, now_us);
	}
}

void
lease_give_back(struct lease *l, int64_t n, int64_t left_us, bool is_today,
    int64_t now_us)
{
	for (unsigned i = 0; i < l->n; i++) {
		struct lease_item *it = &l->items[i];

		if (it->kind == LEASE_SHORT) {
			lease_slices_turn(it, now_us);
			it->pace_us -= pace_of(it, n);
		}
		/* Tokens of a lease that is over were taken back already, and
		 * a part of our own may have filled up again since. */
		if (it->kind == LEASE_LONG &&
		    (left_us < l->asked_us || l->mode == LEASE_LOOSE))
			continue;
		if (it->kind == LEASE_DAY && !is_today)
			continue;
		item_use(l, it, -n, left_us);
	}
}
