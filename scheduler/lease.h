/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LEASE_H
#define FLYBALL_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * What this node may send of limits that it shares with others: of a lane, of
 * a route's whole day, of a sender domain. Pure: told what was granted, it
 * says when the next recipient may leave, and what is to be asked for next.
 * daemon/cluster/lease.lua is the other half; lease.c says how they fit.
 *
 * One call is out at a time. Instants are the caller's monotonic clock, and a
 * grant runs out by the time at which it was *asked for*: whatever happened on
 * the way, and however long this node stood still, it is over here before it
 * is over there.
 */
enum lease_kind {
	LEASE_SHORT, /* a share of a short window, used anew in each */
	LEASE_LONG,  /* tokens of a long window's bucket */
	LEASE_DAY,   /* tokens of a day's count; they don't run out */
};

#define LEASE_ITEMS_MAX (CONF_RATES_MAX + 1)
#define LEASE_SLICES	512 /* in which a short window is counted */

struct lease_slices {
	int64_t newest; /* slice */
	int64_t sum;	/* of all below */
	uint32_t n[LEASE_SLICES + 1];
};

struct lease_item {
	enum lease_kind kind;
	int64_t id;	   /* the window in ms; or the day */
	int64_t window_us; /* 0: a day */
	int64_t limit;
	int64_t held;	/* share, or tokens in hand */
	int64_t target; /* what the others leave for us to hold */
	int64_t want;	/* as last asked */
	int64_t asked;	/* held as last asked */
	int64_t n_used; /* since then */
	/* SHORT: */
	struct lease_slices *used;
	int64_t pace_us; /* what has left is paid until then */
	/* LONG, while nobody grants: nano-tokens as of loose_us. */
	int64_t loose_us;
	__int128 loose;
	/* DAY: */
	int64_t charged; /* by this node, as last told */
	int64_t told;	 /* likewise, when last asked */
	int64_t others;	 /* by the other nodes, as last heard */
	int64_t total;	 /* granted to anybody, as far as known */
	int64_t sent;	 /* likewise, of that */
};

enum lease_mode {
	LEASE_GRANTED, /* what was granted holds */
	LEASE_LOOSE,   /* nobody grants: each node its part of the limit */
};

struct lease {
	int64_t period_us;
	int64_t burst;
	int64_t ends_us;  /* of SHORT and LONG; INT64_MIN: nothing is held */
	uint64_t seq;	  /* of the last call */
	bool is_asking;	  /* its answer is to come */
	bool is_wanted;	  /* mail waits for it */
	bool is_starved;  /* did, since the last call */
	bool must_tell;	  /* once, though nothing is wanted */
	int64_t asked_us; /* INT64_MIN: never */
	int64_t more_us;  /* there may be more then; 0: unknown */
	unsigned n_idle;  /* calls in a row without use */
	int64_t n_lapsed; /* tokens in hand that ran out */
	enum lease_mode mode;
	unsigned n_nodes; /* LOOSE: parts */
	unsigned n;
	struct lease_item items[LEASE_ITEMS_MAX];
};

void lease_init(struct lease *l, int64_t period_us);
void lease_fini(struct lease *l);
/* Windows that stay keep what was used; new ones begin with nothing. burst: of
 * the shortest one. */
void lease_limit(struct lease *l, const struct conf_rates *rates, int64_t burst,
    int64_t period_us, int64_t now_us);
/* The day's count, INT64_MAX = there is no limit today; charged: what this
 * node has charged to that day. */
void lease_day(struct lease *l, int64_t day, int64_t limit, int64_t charged);
const struct lease_item *lease_day_get(const struct lease *l); /* or NULL */

/* ---- may n leave? ---- */
/* <= now_us: yes. INT64_MAX: not before an answer comes. */
int64_t lease_when(struct lease *l, int64_t n, int64_t now_us);
int64_t lease_room(struct lease *l, int64_t now_us); /* at once; >= 0 */
void lease_charge(struct lease *l, int64_t n, int64_t now_us);
/* n that were charged at left_us weren't used; is_today: they are off the
 * day's count again. */
void lease_give_back(struct lease *l, int64_t n, int64_t left_us, bool is_today,
    int64_t now_us);
/* What is in hand, of the item that has least. */
int64_t lease_held(struct lease *l, int64_t now_us);
bool lease_is_valid(const struct lease *l, int64_t now_us);

/* ---- calls ---- */
/* Mail waits for it. True: a call is due sooner than it was. */
bool lease_wanted(struct lease *l, int64_t now_us);
/* When the next call is to be made; INT64_MAX: none is. */
int64_t lease_due(const struct lease *l);

struct lease_ask {
	uint64_t seq;
	unsigned n;
	bool is_release; /* wants nothing any more */
	struct lease_ask_item {
		enum lease_kind kind;
		int64_t id, limit, have, want;
		int64_t back;	    /* LONG */
		int64_t hold, seen; /* DAY */
	} items[LEASE_ITEMS_MAX];
};
/* Begins a call. n_queued: recipients that wait. */
void lease_ask(struct lease *l, int64_t n_queued, int64_t now_us,
    struct lease_ask *out);
/* Gives back all that is in hand: the node ends. */
void lease_ask_release(struct lease *l, int64_t now_us, struct lease_ask *out);

struct lease_answer {
	uint64_t seq;
	int64_t sent_us; /* when the call left */
	unsigned n;	 /* items, as asked */
	struct {
		int64_t held, more_ms, target, total, sent;
	} items[LEASE_ITEMS_MAX];
};
/* False: it belongs to no call that is waited for. */
bool lease_answer(struct lease *l, const struct lease_answer *a,
    int64_t now_us);
/* The call came to nothing, or nobody knows. */
void lease_failed(struct lease *l, int64_t now_us);

/* ---- without Redis ---- */
/* From now on a part of each limit is ours, of n_nodes; days go on with what
 * is in hand. 0: what is granted holds again. */
void lease_loosen(struct lease *l, unsigned n_nodes, int64_t now_us);

/* The most tokens of a long window that may be out at once. */
int64_t lease_depth(int64_t limit, int64_t period_us, int64_t window_us);

#endif
