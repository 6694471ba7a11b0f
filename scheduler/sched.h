/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SCHED_H
#define FLYBALL_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/zone.h"
#include "conf/conf.h"
#include "scheduler/ledger.h"
#include "scheduler/reply_class.h"
#include "scheduler/warmup.h"

/*
 * The scheduler: what leaves next, by which route, and if nothing, when to ask
 * again and why. Pure: no clock, no I/O. All instants are monotonic
 * microseconds given by the caller and never decrease. One thread owns it.
 *
 * Words: a *destination* is a provider, or within `other` one site (a
 * recipient domain until its MX set is known); a *lane* is route x
 * destination; a *flow* is the queue of one stream towards one destination.
 * A delivery is one message x one destination.
 *
 * Life of a delivery: sched_add -> (plan says DISPATCH, up to n_recipients of
 * its pending recipients, in stored order) -> sched_verdict, sched_unuse or
 * sched_refused.
 */
struct sched;

/* The snapshot is borrowed: the caller keeps its reference until it has given
 * another one to sched_reload(), or until sched_free(). */
struct sched *sched_new(const struct conf *conf, uint64_t seed);
void sched_free(struct sched *s);
/*
 * What time it is: at now_us the wall shows utc_us. Said once at the start,
 * then often (a minute is plenty); a clock that stepped is told apart from one
 * that runs. The zone, in which plan days begin, is borrowed; NULL = UTC.
 */
void sched_utc(struct sched *s, int64_t now_us, int64_t utc_us);
void sched_zone(struct sched *s, const struct zone *zone);
/* The machine was suspended for so long, while the wall's clock went on: that
 * is no step, days that were slept through are over. Before sched_utc(). */
void sched_slept(struct sched *s, int64_t slept_us, int64_t now_us);
/* Takes a new snapshot: rates keep what was spent, queued deliveries move to
 * the flows that the new streams say; a stream that is gone becomes
 * `default`. */
void sched_reload(struct sched *s, const struct conf *conf, int64_t now_us);

/* ---- in ---- */
struct sched_delivery {
	uint64_t message;   /* id; grows with arrival */
	uint32_t number;    /* of the delivery within its message */
	uint32_t n_pending; /* recipients that still have no final answer */
	const char *stream;
	const char *provider; /* conf name */
	const char *site;     /* domain where provider is `other`, else "" */
	int64_t expires_us;
	int64_t due_us;		   /* not before; <= now: at once */
	uint32_t attempts;	   /* made so far */
	const char *sender_domain; /* A-label, lower case; "" or NULL: none */
	/* Not 0: its site's MX hosts aren't known, and until then it waits for
	 * sched_sort() before it leaves from where it is. */
	int64_t sort_by_us;
};
/* A stream or provider that isn't configured (any more) falls to `default` /
 * `other`. */
void sched_add(struct sched *s, const struct sched_delivery *d, int64_t now_us);

/*
 * The MX hosts of a site of `other` are known: what came with sort_by_us
 * belongs to provider and site_to, and moves there in order of arrival. With
 * the site itself it stays, and waits no longer.
 */
void sched_sort(struct sched *s, const char *site, const char *provider,
    const char *site_to, int64_t now_us);
/* The site can't take mail: takes all of these out, but those in flight. They
 * count against their streams' list health, as sched_unroutable() does. */
void sched_unsorted_take(struct sched *s, const char *site, int64_t now_us,
    void (*each)(uint64_t message, uint32_t number, uint32_t n_pending,
	void *arg),
    void *arg);
/* n recipients of that stream's were never handed in: nobody can be there. Its
 * list is as dirty as if a next hop had said so. */
void sched_unroutable(struct sched *s, const char *stream, uint32_t n,
    int64_t now_us);

/* ---- out ---- */
enum plan_kind {
	PLAN_DISPATCH, /* gates are charged; a verdict ends it, or unuse */
	PLAN_EXPIRED,  /* older than spool.expire; the delivery is out of the
			  scheduler, the caller writes the DSN */
	PLAN_WAIT,     /* nothing until due_us (INT64_MAX: until told) */
};

enum gate {
	GATE_NONE,	  /* nothing is queued */
	GATE_RATE,	  /* provider rates */
	GATE_CONNECTIONS, /* of the lane */
	GATE_ROUTE_CONNECTIONS,
	GATE_PAUSE,	  /* by the operator */
	GATE_NEXT_HOP,	  /* the route backs off */
	GATE_RETRY,	  /* its own retry time */
	GATE_ADAPTED,	  /* the speed that the provider was found to bear */
	GATE_SUSPENDED,	  /* rejects us, asked for a pause, or is down */
	GATE_PLAN,	  /* a warmup plan's day, of lane or route */
	GATE_SENDER_PLAN, /* likewise, of the sender domain */
	GATE_SPIKE_GUARD,
	GATE_SENDER,	  /* the sender domain is paused */
	GATE_LIST_HEALTH, /* the stream's list is too dirty */
	GATE_CREDIT,	  /* enough lies in the MTA's queue */
	GATE_LEASE,	  /* shared limits: others have it, or Redis is gone */
};
#define GATE_COUNT 16
const char *gate_name(enum gate g);

struct plan {
	enum plan_kind kind;
	uint64_t message;
	uint32_t number;
	uint32_t n_recipients; /* of the pending ones, to offer now */
	uint32_t n_pending;
	uint32_t attempts;		  /* before this one */
	unsigned route;			  /* index into the snapshot's routes */
	unsigned messages_per_connection; /* 0 = no limit */
	const char *lane; /* "ip-a/gmail"; valid until the next call */
	const char *stream;
	const char *provider;
	enum gate gate; /* PLAN_WAIT: what holds the first one due */
	int64_t due_us;
};
/* The cost of one call doesn't grow with the backlog. */
void sched_plan(struct sched *s, int64_t now_us, struct plan *plan_out);

/* ---- back: the verdict ---- */
enum settle_next {
	SETTLE_DONE,	/* no recipient is left: the delivery is gone */
	SETTLE_REQUEUE, /* goes back first in line, unpunished */
	SETTLE_RETRY,	/* attempts + 1, due by the retry schedule */
};
struct verdict {
	uint64_t message;
	uint32_t number;
	uint32_t n_delivered; /* recipients with each fate */
	uint32_t n_failed;
	uint32_t n_deferred;
	uint32_t n_pending; /* that stay in this delivery afterwards */
	enum settle_next next;
	/* The reply that speaks for the transaction, for the lane: */
	enum phase phase;
	enum reply_class class;
	enum blame blame;
	int code;
	const char *reply; /* raw text, kept as the lane's last refusal */
	int64_t pause_us;  /* as the provider advises; 0: it doesn't */
	/* Recipients that this class fell on, where others fared otherwise;
	 * 0: all that were deferred or failed. */
	uint32_t n_rate;     /* rate, reputation-defer */
	uint32_t n_rejected; /* reputation-reject */
	uint32_t n_dirty;    /* no such mailbox or domain */
	/* Of n_delivered, those that the next hop only took: their fate comes
	 * with sched_evidence(). */
	uint32_t n_relayed;
};
/*
 * Ends a dispatch. Frees its connection; the tokens of recipients that were
 * attempted stay spent. Returns when the delivery is due again (RETRY), or
 * now_us.
 */
int64_t sched_verdict(struct sched *s, const struct verdict *v, int64_t now_us);
/* When `attempts` have been made, the next one is due at: with jitter drawn
 * from the scheduler's seed. */
int64_t sched_retry_at(struct sched *s, uint32_t attempts, int64_t now_us);

/*
 * What became, later, of recipients that a next hop took (evidence.c): the
 * reply as its log tells it, or only that nothing is known of them any more.
 */
struct evidence {
	/* The lane by which they were handed over, and whose mail it was. */
	const char *route, *provider, *site;
	const char *stream, *sender_domain;
	int64_t left_us;     /* then; may lie before the clock began */
	uint32_t epoch;	     /* sched_epoch() at that time */
	uint32_t n_released; /* recipients that hold no credit any more */
	bool is_first;	     /* of its transaction */
	bool is_retry;	     /* the MTA's own, of which no gate knew */
	bool is_repeat; /* the same reply spoke already: facts, no evidence */
	bool is_stale;	/* too old to say how the lane is now */
	bool is_notice; /* from nobody, as DSNs are: no list's mail */
	const struct verdict *verdict; /* NULL: no reply, credit alone */
};
void sched_evidence(struct sched *s, const struct evidence *e, int64_t now_us);
/* n recipients lie with the lane's next hop since before the start. */
void sched_handed(struct sched *s, const struct evidence *e, uint32_t n,
    int64_t now_us);
/* The epoch of a delivery in flight; 0: it isn't. */
uint32_t sched_epoch(struct sched *s, uint64_t message, uint32_t number);

/* The permit wasn't used (connection lost before MAIL): tokens are given
 * back, the delivery goes back first in line, attempts unchanged. */
void sched_unuse(struct sched *s, uint64_t message, uint32_t number,
    int64_t now_us);

/*
 * The connection was refused with a reply before MAIL (banner, EHLO): as
 * sched_unuse, and the reply speaks. For `rate` the route opens fewer
 * connections; for anything else it backs off. Returns when the route tries
 * again. Only phase, class, blame, code, reply and pause_us are read.
 */
int64_t sched_refused(struct sched *s, const struct verdict *v, int64_t now_us);

/* The route's next hop can't be reached: backs off with jitter, for a tenth of
 * the outage so far, from backoff.first to backoff.max; any success ends it.
 * Returns until when. */
int64_t sched_route_down(struct sched *s, unsigned route, const char *why,
    int64_t now_us);
void sched_route_up(struct sched *s, unsigned route, int64_t now_us);

/* ---- the operator ---- */
enum pause_kind {
	PAUSE_ROUTE,
	PAUSE_PROVIDER,
	PAUSE_LANE,
	PAUSE_STREAM, /* resuming also ends what list health holds */
	PAUSE_SENDER, /* a sender domain, everywhere */
};
int pause_kind_parse(const char *name); /* -1: none */
const char *pause_kind_name(enum pause_kind kind);
/* until_us INT64_MAX: until resumed. -1 with a hint when NAME isn't known. */
int sched_pause(struct sched *s, enum pause_kind kind, const char *name,
    int64_t until_us, const char *because, int64_t now_us, struct err *err_out);
int sched_resume(struct sched *s, enum pause_kind kind, const char *name,
    int64_t now_us, struct err *err_out);
/* Overrides the lane's configured rates; n_rates 0 = back to automatic. What
 * was spent stays spent. A lane that doesn't exist yet but could is created. */
int sched_rate_override(struct sched *s, const char *lane,
    const struct rate *rates, size_t n_rates, int64_t until_us, int64_t now_us,
    struct err *err_out);
/* Likewise its connections; 0 = back to automatic. */
int sched_connections_override(struct sched *s, const char *lane,
    unsigned connections, int64_t until_us, int64_t now_us,
    struct err *err_out);
/* Due now, whatever its retry time. False: unknown or in flight. */
bool sched_retry_now(struct sched *s, uint64_t message, uint32_t number,
    int64_t now_us);
/* Takes a queued delivery out (bounce, drop). False: unknown or in flight. */
bool sched_remove(struct sched *s, uint64_t message, uint32_t number);

/*
 * Puts a queued delivery into another stream, at the end of its queue, with
 * its retry time as it was. Beside the configured streams there is one for
 * each route: SCHED_ROUTE_STREAM and the route's name. False: no such stream
 * or delivery, or it is in flight.
 */
#define SCHED_ROUTE_STREAM "route:"
bool sched_has_stream(struct sched *s, const char *stream);
bool sched_reroute(struct sched *s, uint64_t message, uint32_t number,
    const char *stream, int64_t now_us);

/* Adaptation forgets what it learned of this lane: its speed, suspension and
 * connections are as configured. */
int sched_lane_forget(struct sched *s, const char *lane, int64_t now_us,
    struct err *err_out);

/* ---- what must survive a restart: records of text by key ---- */
/*
 * At the start, after sched_utc() and before the first sched_add(): each stored
 * record, then sched_restored(). -1: it can't be read; it is left out. From
 * then on permits of plans and guards wait until the count that they need is
 * on disk, so not even a crash lets one recipient too many out.
 */
int sched_restore(struct sched *s, const char *key, const char *value);
void sched_restored(struct sched *s, int64_t now_us);
/* A permit waits for a save: do it soon. */
bool sched_wants_save(const struct sched *s);
/*
 * All that changed since the last save, to be written in one commit; value
 * NULL: delete the key. Returns a ticket for sched_saved(). Several may be
 * under way; they are to be stored in order.
 */
uint64_t sched_save(struct sched *s,
    void (*put)(const char *key, const char *value, void *arg), void *arg);
void sched_saved(struct sched *s, uint64_t ticket, int64_t now_us);
/* Before the last save of a clean end: nothing is in flight any more, so
 * nothing need stay reserved. */
void sched_settle(struct sched *s);

/* ---- changes of speed, each with its evidence ---- */
enum change_kind {
	CHANGE_RATE,
	CHANGE_CONNECTIONS,
	CHANGE_SUSPENDED,
	CHANGE_RESUMED,
	CHANGE_PLAN,   /* a plan's step; `state` names it */
	CHANGE_SENDER, /* a sender domain at a destination: paused, resumed */
	CHANGE_LIST,   /* a stream's list health: held, bad, resumed */
};
#define CHANGE_KIND_COUNT 7
const char *change_kind_name(enum change_kind kind);

struct sched_change {
	enum change_kind kind;
	int64_t at_us;
	const char *route;
	const char *lane; /* "" where it is the whole route's */
	const char *provider, *site;
	struct rate from, to; /* unlimited: the configured rates alone */
	unsigned connections_from, connections_to; /* 0: no limit */
	const char *state;   /* of speed: "holding", "probing", ... */
	const char *because; /* of a suspension: "rejected", "advised", ... */
	int64_t until_us;    /* of a suspension */
	/* What was answered in the last over_us, in recipients: */
	int64_t n_accepted, n_refused, over_us;
	/* The reply that caused it; "" where time did. */
	enum reply_class class;
	enum phase phase;
	int code;
	const char *reply;
	/* Of plans, senders and lists: whose, and the evidence in words. */
	const char *name; /* "ip-a/gmail", "a.example/gmail", "news" */
	const char *text;
	int64_t volume_from, volume_to; /* a day; INT64_MAX: no limit */
	int64_t stage;			/* from 1 */
	bool is_shadow;			/* nothing was done */
	unsigned n_lost;		/* that nobody asked for in time */
};
/* The oldest change that wasn't told yet; its strings are good until the next
 * call. False: there is none. */
bool sched_change_next(struct sched *s, struct sched_change *out);

/* ---- sight ---- */
struct lane_view {
	const char *name; /* "ip-a/gmail" or "ip-a/other:example.net" */
	const char *route;
	const char *provider;
	const char *site;
	struct rate rates[CONF_RATES_MAX]; /* in force */
	size_t n_rates;
	bool is_overridden;
	int64_t override_until_us;
	bool connections_are_overridden;
	int64_t tokens; /* that could leave now, all windows; INT64_MAX: any */
	unsigned in_flight;
	bool has_log;	      /* the next hop's log is read */
	int64_t n_handed;     /* without a final answer, in flight too */
	int64_t credit;	      /* how many there may be */
	unsigned connections; /* limit in force, 0 = none */
	unsigned connections_configured;
	/* Adaptation: */
	struct rate adapted;	 /* unlimited: the configured rates alone */
	struct rate failed;	 /* the provider's limit as far as known */
	const char *adapt_state; /* "open", "holding", "probing", ... */
	bool is_shadow;
	bool is_suspended;
	const char *suspended_because; /* "rejected", "advised", "outage" */
	int64_t suspended_until_us;
	uint64_t n_shadowed; /* recipients that shadow mode would have held */
	/* Today, by its warmup plan: */
	const char *plan; /* "" = none */
	const char
	    *plan_state;     /* "waiting" "running" "held" "stopped" "done" */
	int64_t plan_stage;  /* from 1 */
	int64_t plan_day;    /* from 1; 0 = no plan, or not begun */
	int64_t day_allowed; /* by plan and spike guard; INT64_MAX */
	int64_t day_sent;    /* attempted, or in flight */
	uint64_t n_queued;   /* deliveries that would leave by this lane */
	uint64_t n_retrying;
	uint64_t n_queued_recipients;
	enum gate gate; /* what holds the first one in line */
	int64_t held_since_us;
	int64_t due_us;
	const char *because; /* of a pause or back-off, else "" */
	/* since start: */
	uint64_t n_attempted, n_delivered, n_deferred, n_failed;
	int64_t last_refusal_us; /* 0 = none */
	int last_refusal_code;
	enum reply_class last_refusal_class;
	const char *last_refusal;
	/* recipients delivered in the last whole ten seconds, per 10 s */
	uint64_t recent_per_10s;
};
/* There may be thousands: whoever wants to see them looks at them by name, in
 * portions. */
void sched_lane_names_each(struct sched *s,
    void (*each)(const char *name, void *arg), void *arg);
bool sched_lane_get(struct sched *s, const char *name, int64_t now_us,
    struct lane_view *out);

struct queue_view {
	uint64_t message;
	uint32_t number;
	uint32_t n_pending;
	uint32_t attempts;
	const char *stream;
	const char *provider;
	const char *site;
	const char *lane; /* that it would leave, or is leaving, by */
	enum { QUEUE_WAITING, QUEUE_DEFERRED, QUEUE_IN_FLIGHT } state;
	bool is_held; /* DEFERRED only until its MX hosts are known */
	int64_t due_us;
	int64_t expires_us;
};
bool sched_delivery_get(struct sched *s, uint64_t message, uint32_t number,
    struct queue_view *out);
/* How many of its stream leave before it; walks its queue. */
uint64_t sched_n_ahead(struct sched *s, uint64_t message, uint32_t number);
/* Walks all of them in order of arrival, and may do so in portions: what left
 * in between is passed over, messages that came aren't met. False: the end.
 * Freed before the scheduler. */
struct sched_cursor *sched_cursor_new(struct sched *s);
bool sched_cursor_next(struct sched_cursor *c, struct queue_view *out);
void sched_cursor_free(struct sched_cursor *c);

/* Why a delivery or a lane waits: every gate with its state, the holding one
 * first. Returns how many. */
struct gate_view {
	enum gate gate;
	bool is_open;
	int64_t since_us; /* when it closed; 0 = open */
	int64_t until_us; /* INT64_MAX = nobody knows */
	char text[200];	  /* in a postmaster's words */
};
size_t sched_why(struct sched *s, const char *lane, int64_t now_us,
    struct gate_view out[GATE_COUNT]);

struct sched_totals {
	uint64_t n_deliveries; /* queued and in flight */
	uint64_t n_recipients;
	uint64_t n_in_flight;
	uint64_t n_deferred;
	uint64_t n_lanes;
	int64_t oldest_message; /* id; 0 = none */
};
void sched_totals(const struct sched *s, struct sched_totals *out);

struct pause_view {
	enum pause_kind kind;
	const char *name;
	int64_t since_us, until_us;
	const char *because;
};
void sched_pauses_each(struct sched *s,
    void (*each)(const struct pause_view *p, void *arg), void *arg);

struct override_view {
	const char *lane;
	const struct rate *rates; /* n_rates 0: of its connections */
	size_t n_rates;
	unsigned connections;
	int64_t since_us, until_us; /* until: INT64_MAX = until taken back */
};
/* Those too whose lane isn't there at the moment. */
void sched_overrides_each(struct sched *s,
    void (*each)(const struct override_view *o, void *arg), void *arg);

/* ---- plans ---- */
struct plan_view {
	const char
	    *name; /* "ip-a/gmail", "ip-a" (a total), "a.example/gmail" */
	const char *kind;  /* "lane", "route", "sender" */
	const char *plan;  /* "" = none */
	const char *state; /* "waiting" "running" "held" "stopped" "done" */
	bool is_shadow;
	int64_t stage, n_stages; /* from 1 */
	int64_t day;		 /* of the plan, from 1; 0 = not begun */
	int64_t date;		 /* days since 1970-01-01 */
	int64_t allowed;	 /* today; INT64_MAX: no limit */
	int64_t sent;		 /* today: attempted, or in flight */
	int64_t waiting;	 /* recipients queued for it */
	int64_t next_us;	 /* when the next one may leave */
	uint64_t n_would_hold;	 /* recipients, in shadow mode */
	char text[200];		 /* in a postmaster's words */
};
void sched_plans_each(struct sched *s, int64_t now_us,
    void (*each)(const struct plan_view *p, void *arg), void *arg);
/* By lane, by route (its total), or by DOMAIN/PROVIDER. A lane without a plan
 * has a history too. False: there is no such thing. */
bool sched_plan_get(struct sched *s, const char *name, int64_t now_us,
    struct plan_view *out);
struct plan_day {
	int64_t day; /* of the plan, from 1; of the ledger where there's none */
	int64_t date;	       /* on which it began */
	const uint32_t *facts; /* by enum ledger_fact; LEDGER_MAX: no limit */
};
/* Oldest first. */
void sched_plan_history(struct sched *s, const char *name,
    void (*each)(const struct plan_day *day, void *arg), void *arg);
/* n: for SET_DAY. */
int sched_plan_order(struct sched *s, const char *name, enum warmup_order order,
    int64_t n, int64_t now_us, struct err *err_out);
/* A complaint about mail of this lane came (n of them). */
void sched_complaint(struct sched *s, const char *lane, int64_t n,
    int64_t now_us);
/*
 * For submission: plans that say `overflow: tempfail` and have no more room
 * today, what waits counted in. The key is "lane ROUTE/PROVIDER", "route
 * ROUTE" or "sender DOMAIN/PROVIDER"; the text is for the client.
 */
void sched_full_each(struct sched *s, int64_t now_us,
    void (*each)(const char *key, const char *text, void *arg), void *arg);

/* ---- forecasts ---- */
struct forecast_view {
	const char *lane;
	int64_t n_waiting; /* recipients, deferred ones too */
	int64_t done_us;   /* INT64_MAX: nobody can say */
	int64_t n_days;	   /* of its plan; 0 = it has none */
	enum gate gate;	   /* what it waits for in the first place */
};
/* Lanes with mail; stream NULL: all, else those with mail of it. */
void sched_forecasts_each(struct sched *s, const char *stream, int64_t now_us,
    void (*each)(const struct forecast_view *f, void *arg), void *arg);

struct route_view {
	const char *name;
	unsigned in_flight;
	unsigned connections; /* in force */
	unsigned connections_configured;
	bool is_down;
	int64_t down_until_us;
	const char *why;
};
void sched_routes_each(struct sched *s,
    void (*each)(const struct route_view *r, void *arg), void *arg);

/* ---- what providers object to ---- */
enum trouble_kind {
	TROUBLE_LANE,	/* suspended */
	TROUBLE_SENDER, /* a sender domain, paused at a destination */
	TROUBLE_LIST,	/* a stream, held for its list's health */
};
const char *trouble_kind_name(enum trouble_kind kind);
struct trouble_view {
	enum trouble_kind kind;
	const char *name; /* "ip-a/gmail", "a.example/gmail", "news" */
	int64_t since_us;
	int64_t until_us; /* INT64_MAX: until resumed */
	char text[300];	  /* in a postmaster's words, with the reply */
};
/* Walks every lane. */
void sched_troubles_each(struct sched *s, int64_t now_us,
    void (*each)(const struct trouble_view *t, void *arg), void *arg);

#endif
