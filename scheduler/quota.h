/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_QUOTA_H
#define FLYBALL_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/spike_guard.h"
#include "scheduler/warmup.h"

/*
 * What one gate may send in a day: its ledger, its plan if it has one, and the
 * spike guard. Of a lane, of a route's whole day (a plan's `total`), or of a
 * sender domain at a destination. Instants are UTC.
 *
 * Where the count must survive a crash (quota_persist), permits are granted
 * from a reservation that is on disk: after a crash all that was reserved
 * counts as sent, so no recipient is ever one too many. A reservation is a
 * half per cent of the day's allowance; in short days more.
 */
enum quota_kind { QUOTA_LANE, QUOTA_ROUTE, QUOTA_SENDER };

struct quota {
	enum quota_kind kind;
	char *name; /* "ip-a/gmail", "ip-a", "news.example.com/gmail" */
	struct ledger ledger;
	struct ledger others; /* what other nodes tell of the same days */
	bool has_plan;
	char *plan_name; /* that the state is of; NULL = none yet */
	struct warmup warmup;
	struct calendar calendar;	      /* without a plan: local dates */
	const struct conf_spike_guard *guard; /* NULL = none */
	int64_t begin_us, end_us, day;	      /* without a plan */
	int64_t cap_day, cap, peak;	      /* the guard's, of that day */
	bool must_persist;
	int64_t granted_day, granted; /* charge that is on disk already */
	int64_t asked_day, asked;     /* on its way there */
	bool is_changed;	      /* its plan's state */
	uint64_t n_would_hold;	      /* recipients, in shadow mode */
};

void quota_init(struct quota *q, enum quota_kind kind, const char *name);
void quota_fini(struct quota *q);
/* The snapshot's word; plan NULL: none. guard NULL: none. The pointers are
 * lent until the next call. */
void quota_configure(struct quota *q, const struct conf_plan *plan,
    const struct conf_schedule *schedule, const struct conf_spike_guard *guard,
    const struct zone *zone);
/* Brings it to the day at utc_us and says which that is. */
int64_t quota_tick(struct quota *q, int64_t utc_us);
/* When that day ends. */
int64_t quota_end(const struct quota *q);

enum quota_hold {
	QUOTA_OPEN,
	QUOTA_PLAN,  /* the plan holds: permit.hold says how */
	QUOTA_GUARD, /* the spike guard: until the next day */
	QUOTA_DISK,  /* until its count is stored */
};
struct quota_permit {
	enum quota_hold hold;
	enum warmup_hold plan_hold;
	int64_t room;	/* recipients at once; 0 = held */
	int64_t utc_us; /* held until; INT64_MAX: until told */
};
/* Looks at modes: what is in shadow doesn't hold. Each asks only one of them,
 * as they are gates of their own. */
/* Without mail at hand (a look) nothing is reserved. */
struct quota_permit quota_ask_plan(struct quota *q, bool has_mail,
    int64_t utc_us);
struct quota_permit quota_ask_guard(struct quota *q, bool has_mail,
    int64_t utc_us);
/* n leave now. */
void quota_charge(struct quota *q, int64_t n, int64_t utc_us);
/* n that left at left_utc_us weren't attempted. */
void quota_give_back(struct quota *q, int64_t n, int64_t left_utc_us);

struct quota_facts {
	int64_t attempted, accepted, deferred, slowed, rejected, bounced, dirty;
};
/* How those fared that left at left_utc_us. */
void quota_facts(struct quota *q, const struct quota_facts *facts,
    int64_t left_utc_us, int64_t utc_us);
/* Facts without an attempt: complaints, overflow, what is held. */
void quota_note(struct quota *q, enum ledger_fact fact, int64_t n,
    int64_t utc_us);

int64_t quota_left(const struct quota *q); /* today, by plan and guard */
/* What the day's charge may reach, as of the last tick; INT64_MAX. */
int64_t quota_limit(const struct quota *q);
/* Other nodes have charged so much to that day. */
void quota_hear(struct quota *q, int64_t day, int64_t charged);
/* Does what left then count to the day that it is now? */
bool quota_is_today(struct quota *q, int64_t left_utc_us);
bool quota_is_shadow(const struct quota *q); /* its plan */

/* ---- stored ---- */
void quota_persist(struct quota *q, bool on);
bool quota_is_waiting(const struct quota *q); /* for its reservation */
/* What was asked for is on disk. */
void quota_stored(struct quota *q, int64_t day, int64_t reserved);
/* A clean end: nothing is out, so nothing stays reserved. */
void quota_settle(struct quota *q);
/* After a restart: all rows and the state are read. */
void quota_restored(struct quota *q);

#endif
