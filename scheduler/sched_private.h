/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SCHED_PRIVATE_H
#define FLYBALL_SCHED_PRIVATE_H

/*
 * What the files of the scheduler share; included inside scheduler/ only.
 *
 *	stream ── flow ── dest ── provider	flow = stream x destination
 *		   │       │
 *		 (home)    │
 *		   └──── lane ── route		lane = route x destination
 *
 * A flow holds deliveries and is at home in one lane: that of the first route
 * in its stream's list that isn't closed. A lane with something to send is in
 * a ring of its route; a route with such lanes is in the scheduler's ring.
 * State is list membership, and each kind has one door that changes it:
 * delivery_enter, flow_refresh, lane_enter, route_serve.
 */
#include <uthash.h>
#include <utlist.h>

#include "conf/base/heap.h"
#include "conf/base/rng.h"
#include "scheduler/bucket.h"
#include "scheduler/delivery.h"
#include "scheduler/list_health.h"
#include "scheduler/sched.h"
#include "scheduler/sched_cluster.h"
#include "scheduler/share.h"

struct pause;
struct override;
struct lane_adapt;
struct route_adapt;
struct change;
struct quota_entry;
struct lease_entry;
struct sender;
struct sender_gate;
struct forgotten;

/* Something that ends or begins at a time: a pause, a back-off, an override. */
struct timer {
	struct heap_node node;
	enum gate gate; /* that it opens */
	void (*fire)(struct sched *s, struct timer *t);
};

struct stream {
	UT_hash_handle hh;
	char *name;
	enum conf_priority priority;
	unsigned weight;
	struct route **routes; /* preference order */
	size_t n_routes;
	struct pause *pause;
	struct list_health health;
	bool is_health_changed; /* since it was stored */
	bool is_gone;		/* not in the newest snapshot */
};

struct provider {
	UT_hash_handle hh;
	char *name;
	const struct conf_provider *conf; /* NULL when gone */
	struct pause *pause;
	unsigned n_dests;
	bool is_other;
	bool is_gone;
};

struct route {
	UT_hash_handle hh;
	struct sched *s;
	char *name;
	const struct conf_route *conf; /* NULL when gone */
	/* Of its next hop; NULL: the next hop's word is final. */
	const struct conf_mta_log *log;
	unsigned index;
	struct route *prev, *next;	    /* in s->serving */
	struct lane *rings[PRIORITY_COUNT]; /* READY lanes */
	struct share share;
	unsigned n_lanes;
	unsigned in_flight;
	unsigned connections; /* configured, 0 = none */
	struct route_adapt *adapt;
	unsigned n_refused; /* connections in a row, while others worked */
	struct quota_entry *total; /* NULL until it has a lane */
	int64_t full_since_us;
	bool is_serving;
	bool is_closed; /* its flows go elsewhere */
	bool is_gone;
	struct pause *pause;
	struct {
		unsigned n_failed; /* in a row; 0 = it works */
		bool is_down;
		int64_t since_us;
		int64_t until_us;
		char *why;
		struct timer timer;
	} down;
};

struct dest { /* a destination: a provider, or a site of `other` */
	UT_hash_handle hh;
	char *name;	  /* "gmail", "other:example.net" */
	const char *site; /* within name; "" for a provider */
	struct provider *provider;
	struct lane *lanes;
	struct flow *flows;
	/* "PROVIDER SITE" for what was in flight when its MX hosts became
	 * known; NULL: it is where it belongs. */
	char *sorted_to;
};

struct flow {
	struct dest *dest;
	struct stream *stream;
	struct sender_gate *gate; /* of its sender domain; NULL: any domain */
	struct lane *lane;	  /* home, never NULL once queued */
	struct flow *prev, *next; /* in the lane's class, while active */
	struct flow *dest_prev, *dest_next; /* in dest->flows */
	struct delivery *queue;		    /* first in line */
	uint64_t n_queued;
	uint64_t n_queued_recipients;
	uint64_t n_in_flight;
	struct heap retries;	/* deferred deliveries */
	struct heap_node retry; /* in s->retries by the first of them */
	struct heap_node shut;	/* in s->shut by when its gates open */
	enum gate shut_by;
	int64_t deficit; /* recipients it may send before the next flow */
	bool is_active;
};

enum lane_state {
	LANE_NEW,
	LANE_IDLE,    /* nothing to send: in s->idle by when it may go */
	LANE_READY,   /* in a ring of its route */
	LANE_TIMED,   /* a gate opens at a known time: in s->timed */
	LANE_BLOCKED, /* a gate opens when someone says so: in s->blocked */
};

struct lane_stats {
	uint64_t n_attempted, n_delivered, n_deferred, n_failed;
	int64_t last_refusal_us;
	int last_refusal_code;
	enum reply_class last_refusal_class;
	char *last_refusal;
	int64_t slot; /* of ten seconds */
	uint64_t n_slot, n_slot_before;
};

struct lane {
	char *name; /* "ip-a/gmail" */
	struct route *route;
	struct dest *dest;
	struct lane *dest_prev, *dest_next; /* in dest->lanes */
	enum lane_state state;
	enum gate gate;		  /* TIMED, BLOCKED: what holds it */
	enum conf_priority ring;  /* READY: which of the route's */
	struct lane *prev, *next; /* READY, BLOCKED */
	struct heap_node node;	  /* TIMED, IDLE */
	int64_t held_since_us;
	struct flow
	    *classes[PRIORITY_COUNT]; /* active flows; the first serves */
	struct share share;
	struct conf_limit_set limits; /* rates: in force */
	struct bucket_set buckets;
	int64_t most;		       /* recipients in one transaction */
	struct override *overrides[2]; /* by kind; NULL: none */
	struct pause *pause;
	unsigned in_flight;
	unsigned n_flows; /* at home here */
	int64_t full_since_us;
	int64_t used_us;	   /* last sent or answered */
	struct lane_adapt *adapt;  /* never NULL */
	struct quota_entry *quota; /* never NULL */
	struct lease_entry *lease; /* NULL: its limits aren't shared */
	struct lane_stats stats;
	struct {
		int64_t n_out;	    /* recipients: in flight, or handed over */
		unsigned n_flights; /* handed over, nothing heard of yet */
		unsigned n_early;   /* heard of before their verdict came */
	} credit;
};

/* Transactions that the provider hasn't answered. */
static inline unsigned
lane_unanswered(const struct lane *l)
{
	return l->in_flight + l->credit.n_flights;
}

struct pause {
	UT_hash_handle hh;
	char *key; /* "route ip-a" */
	enum pause_kind kind;
	const char *name; /* within key */
	int64_t since_us, until_us;
	char *because;
	struct timer timer;
};

enum override_kind { OVERRIDE_RATES, OVERRIDE_CONNECTIONS };
#define OVERRIDE_KINDS 2

struct override {
	UT_hash_handle hh;
	char *lane;
	enum override_kind kind;
	struct conf_rates rates;
	unsigned connections;
	int64_t since_us, until_us;
	struct timer timer;
};

struct sched {
	const struct conf *conf; /* the caller keeps it alive */
	struct rng rng;
	int64_t now_us; /* as last told */
	struct stream *streams;
	struct provider *providers;
	struct route *routes; /* by name */
	struct dest *dests;
	struct delivery_map *map;
	struct delivery *oldest; /* all deliveries, in order of arrival */
	struct route *serving;	 /* have READY lanes and may send */
	struct heap timed;	 /* lanes */
	struct heap idle;	 /* lanes */
	struct lane *blocked;
	struct heap retries; /* flows */
	struct heap shut;    /* flows */
	struct heap timers;
	const struct zone *zone; /* the caller's */
	int64_t utc_offset_us;	 /* UTC is now_us and that */
	bool has_utc;		 /* it was told */
	struct quota_entry *quotas;
	struct quota_entry *dirty_quotas, *saving_quotas;
	struct sender *senders;
	bool must_persist;
	bool wants_save;  /* a permit waits for the disk */
	uint64_t ticket;  /* of the last save */
	int64_t swept_us; /* quotas */
	struct pause *pauses;
	struct override *overrides[OVERRIDE_KINDS]; /* by lane */
	struct sched_cursor *cursors;
	struct change *changes;	    /* not told yet */
	struct change *change_told; /* last */
	unsigned n_changes, n_changes_lost;
	struct lane_adapt *dirty_lanes; /* to be saved: lane_store.c */
	struct forgotten *forgotten;
	bool is_operator_dirty;
	struct {
		enum cluster_grants grants;
		int64_t period_us;
		unsigned n_nodes;
		bool is_leaving;
		struct heap calls; /* leases, by when they are asked for */
		struct lease_entry *entries;
		struct lease_totals totals;
	} cluster;
	uint64_t n_queued, n_deferred, n_in_flight, n_recipients, n_lanes;
};

void sched_clock(struct sched *s, int64_t now_us);
void sched_timer_set(struct sched *s, struct timer *t,
    int64_t until_us); /* INT64_MAX: none */

/* ---- names: what the snapshot configures (names.c) ---- */
void names_load(struct sched *s, const struct conf *conf);
void names_drop_gone(struct sched *s); /* those that nothing refers to */
void names_free(struct sched *s);
struct stream *stream_find(struct sched *s, const char *name);
struct provider *provider_find(struct sched *s, const char *name);
struct route *route_find(struct sched *s, const char *name);
struct stream *stream_or_default(struct sched *s, const char *name);

void stream_refresh(struct sched *s, struct stream *st); /* pause.c */

/* ---- dest.c ---- */
/* The destination of a provider; an unknown one becomes a site of `other`. */
struct dest *dest_get(struct sched *s, const char *provider, const char *site);
struct dest *dest_find(struct sched *s, const char *name);
void dest_release(struct sched *s, struct dest *dest); /* frees an unused one */

/* ---- flow.c ---- */
struct flow *flow_get(struct sched *s, struct dest *dest, struct stream *stream,
    struct sender *sd);
void flow_release(struct sched *s, struct flow *f); /* frees an empty one */
void flow_home(struct sched *s, struct flow *f);    /* finds its lane */
void flow_leave_home(struct sched *s, struct flow *f);
void flow_refresh(struct sched *s,
    struct flow *f); /* the door: active or not */
/* From when its own gates (pauses, sender domain) are open; now: they are. */
int64_t flow_opens(struct sched *s, struct flow *f, enum gate *gate_out);
void dest_rehome(struct sched *s, struct dest *dest); /* its flows */
void flows_rehome(struct sched *s);
int64_t flow_retry_us(const struct flow *f); /* INT64_MAX: none deferred */
enum place { PLACE_HEAD, PLACE_TAIL };
void delivery_leave(struct sched *s, struct delivery *d);
void delivery_wait(struct sched *s, struct delivery *d, enum place place);
void delivery_defer(struct sched *s, struct delivery *d, int64_t due_us);
void delivery_fly(struct sched *s, struct delivery *d, struct lane *l,
    uint32_t n_granted);
void delivery_move(struct sched *s, struct delivery *d, struct flow *to);

/* ---- unsorted.c ---- */
/* It came back, and where it belongs may be known by now. */
void delivery_sort(struct sched *s, struct delivery *d, enum place place);

/* ---- lane.c ---- */
struct lane *lane_get(struct sched *s, struct route *route, struct dest *dest);
struct lane *lane_by_name(struct sched *s, const char *name, bool create);
void lane_free(struct sched *s, struct lane *l);
void lane_enter(struct sched *s, struct lane *l, enum lane_state state,
    enum gate gate, int64_t due_us);
void lane_wake(struct sched *s, struct lane *l);    /* ask its gates again */
void lane_refresh(struct sched *s, struct lane *l); /* its flows changed */
void lane_limit(struct sched *s, struct lane *l); /* rates or limits changed */
void lane_limit_depth(struct sched *s, struct lane *l); /* a gate's depth did */
void lane_collect(struct sched *s);
void lanes_each_of(struct sched *s,
    void (*each)(struct sched *s, struct lane *l, void *arg), void *arg);
bool lane_is_droppable(const struct lane *l);
/* Whose turn it is; NULL when no flow is active. Asking twice is the same. */
struct flow *lane_pick(struct lane *l);
uint32_t lane_target(const struct lane *l, const struct delivery *d);
/* Books n recipients of f as sent. */
void lane_serve(struct lane *l, struct flow *f, uint32_t n);

/* ---- route.c ---- */
void route_serve(struct sched *s, struct route *r); /* the door */
/* Whether it is closed may have changed: its flows move. */
void route_recheck(struct sched *s, struct route *r);
void route_works(struct sched *s, struct route *r);
enum conf_priority route_class(const struct route *r);

/* ---- gate.c ---- */
enum gate_scope {
	SCOPE_ROUTE = 1,    /* holds every lane of a route */
	SCOPE_LANE = 2,	    /* holds a lane */
	SCOPE_FLOW = 4,	    /* holds one flow */
	SCOPE_DELIVERY = 8, /* holds one delivery */
	SCOPE_LEASE = 16,   /* holds a lane; asked when all else is open */
};

/* May n recipients of this flow leave by this lane? */
struct gate_ask {
	struct sched *s;
	struct route *route;
	struct lane *lane; /* NULL: only route gates are asked */
	struct flow *flow; /* NULL: any */
	int64_t n;
	int64_t now_us;
	int64_t left_us; /* give_back: when they were charged */
};
/* From when all gates of these scopes are open; now_us: they are;
 * INT64_MAX: until told. The last one to open goes to gate_out. */
int64_t gates_when(const struct gate_ask *ask, unsigned scopes,
    enum gate *gate_out);
/* Of ask->n, how many may leave in one go now: at least 1. */
int64_t gates_room(const struct gate_ask *ask);
/* Is one shut that sends flows to the next route? */
bool gates_overflow(const struct gate_ask *ask, unsigned scopes);
/* All gates together: n recipients leave in one transaction. */
void gates_charge(const struct gate_ask *ask);
/* n recipients that were charged weren't attempted. */
void gates_give_back(const struct gate_ask *ask);
/* The transaction is over. */
void gates_release(const struct gate_ask *ask);
/* The most recipients that could ever leave at once. */
int64_t gates_depth(const struct gate_ask *ask);
/* The gate that opens last, GATE_NONE when all are open. */
struct gate_hold {
	enum gate gate;
	int64_t since_us, until_us;
	const char *because; /* "" where nobody gave a reason */
};
struct gate_hold gates_hold(const struct gate_ask *ask);
/* One row for each kind of gate, the holding one first; returns how many. */
size_t gates_look(const struct gate_ask *ask, struct gate_view out[GATE_COUNT]);

/* ---- pause.c ---- */
void pause_bind_lane(struct sched *s, struct lane *l);
void pause_bind_sender(struct sched *s, struct sender *sd);
void pauses_bind(struct sched *s); /* after a reload: to whom they apply */
void pauses_free(struct sched *s);
/* This pause is older than it looks. */
void pause_began(struct sched *s, const char *key, int64_t since_us);

/* ---- override.c ---- */
void override_bind_lane(struct sched *s, struct lane *l);
bool override_is_set(const struct lane *l); /* of any kind */
void overrides_free(struct sched *s);
/* What of `what` its kind says is copied; no rates or 0 connections: back to
 * automatic. */
int override_put(struct sched *s, const char *lane, const struct override *what,
    struct err *err_out);

/* ---- verdict.c ---- */
void lane_count(struct lane *l, const struct verdict *v, int64_t now_us);

/* ---- gate_credit.c ---- */
/* How many may be out; INT64_MAX: any number. */
int64_t lane_credit(const struct lane *l, int64_t now_us);
/* Of n that were charged, n_relayed lie with the next hop now. */
void credit_settle(struct lane *l, int64_t n, int64_t n_relayed);

/* ---- view.c ---- */
/* d leaves the age list: cursors that would meet it next go on. */
void cursors_pass(struct sched *s, const struct delivery *d);

/* ---- check.c ---- */
/* Asserts that everything is where it says it is. For tests: O(everything). */
void sched_check(struct sched *s);

#endif
