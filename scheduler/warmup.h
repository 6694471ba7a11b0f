/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_WARMUP_H
#define FLYBALL_WARMUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "scheduler/calendar.h"
#include "scheduler/ledger.h"

/*
 * One warmup plan at one gate: a lane, a route's whole day, or a sender domain
 * at a provider. It says how many recipients may leave now, and steps from day
 * to day by what the ledger tells.
 *
 * Instants are UTC. The caller tells of steps of the clock (warmup_stepped);
 * the count of a day is kept under that day's number, so that neither steps
 * nor restarts grant a day's allowance twice.
 */
#define WARMUP_NO_DAY INT64_MIN

/* What is stored; all integers (warmup_format). The count of the day is in the
 * ledger. */
struct warmup_state {
	int64_t day;	      /* that it is on; WARMUP_NO_DAY: not begun */
	int64_t first_day;    /* the plan's day 1 */
	int64_t epoch_utc_us; /* of days that aren't 24 h */
	int64_t day_us;
	int64_t stage; /* from 0 */
	int64_t is_done;
	int64_t is_held;	  /* by the operator */
	int64_t is_stopped;	  /* for this day */
	int64_t n_unhealthy;	  /* days in a row */
	int64_t n_at_top;	  /* good days with the highest volume */
	int64_t n_decayed;	  /* stages lost in this idle spell */
	int64_t last_sent_utc_us; /* 0 = never */
	int64_t judged_to;	  /* days before it have had their say */
	int64_t jumped_from;	  /* day that a step of the clock renamed */
};

enum warmup_step {
	WARMUP_BEGAN,
	WARMUP_ADVANCED,
	WARMUP_KEPT, /* the day wasn't good enough, or too little was sent */
	WARMUP_STEPPED_BACK,
	WARMUP_STOPPED, /* for the day */
	WARMUP_DECAYED, /* was idle */
	WARMUP_RESTARTED,
	WARMUP_DONE,
	WARMUP_TOLD, /* by the operator */
};
const char *warmup_step_name(enum warmup_step step);

struct warmup_change {
	enum warmup_step step;
	int64_t utc_us;
	int64_t day; /* whose facts led to it */
	int64_t from_stage, to_stage;
	int64_t from_volume, to_volume; /* INT64_MAX: no limit */
	char why[200];			/* the evidence, in words */
};

struct warmup {
	/* borrowed from the caller: */
	const char *name; /* "ip-a/gmail", for texts */
	const struct conf_plan *plan;
	const struct conf_schedule *schedule;
	struct ledger *ledger;
	const struct ledger *others; /* other nodes' share; NULL = none */
	void (*on_change)(const struct warmup_change *change, void *arg);
	void *arg;
	/* its own: */
	struct warmup_state st;
	struct calendar calendar;
	int64_t begin_us, end_us;  /* of the day */
	int64_t open_us, close_us; /* of its window */
	int64_t allowed;	   /* INT64_MAX: no limit */
	int64_t next_us;	   /* pacing: not before; not stored */
	bool is_changed;	   /* the state, since it was stored */
	char why_stopped[120];
};

/* `plan` and `schedule` are lent until the next warmup_configure(). */
void warmup_init(struct warmup *w, const char *name, struct ledger *ledger,
    const struct conf_plan *plan, const struct conf_schedule *schedule,
    const struct zone *zone);
/* After a reload: the stage stays. */
void warmup_configure(struct warmup *w, const struct conf_plan *plan,
    const struct conf_schedule *schedule, const struct zone *zone);
/* A route was given another plan: the stage with no more volume than now. */
void warmup_restage(struct warmup *w, int64_t volume);

/* Brings it to the day at utc_us. Asked with mail at hand it also begins. */
void warmup_tick(struct warmup *w, int64_t utc_us, bool has_mail);
/* The wall clock stepped by step_us, to utc_us. */
void warmup_stepped(struct warmup *w, int64_t step_us, int64_t utc_us);

enum warmup_hold {
	WARMUP_OPEN,
	WARMUP_BEFORE_START,
	WARMUP_WINDOW, /* outside of it */
	WARMUP_PACE,
	WARMUP_SPENT,
	WARMUP_STOP, /* for the day */
};
struct warmup_permit {
	enum warmup_hold hold;
	int64_t room;	/* recipients that may leave at once; 0 = held */
	int64_t utc_us; /* held until; INT64_MAX: until mail comes */
};
/* May one leave now? Ticks. Doesn't look at the plan's mode. */
struct warmup_permit warmup_ask(struct warmup *w, int64_t utc_us);
/* n leave now, on the day that is returned. */
int64_t warmup_charge(struct warmup *w, int64_t n, int64_t utc_us);
/* n that were charged on `day` weren't attempted. */
void warmup_give_back(struct warmup *w, int64_t day, int64_t n);
/* Facts were added to the day it is on: does it stop for today? */
void warmup_watch(struct warmup *w, int64_t utc_us);

int64_t warmup_charged(const struct warmup *w); /* today, by all nodes */
int64_t warmup_left(const struct warmup *w);	/* today; INT64_MAX */
/* What the stage of a day `n_days` from now would allow if all goes well. */
int64_t warmup_outlook(const struct warmup *w, int64_t n_days);

enum warmup_order {
	WARMUP_ORDER_ADVANCE,
	WARMUP_ORDER_HOLD, /* at this stage, until any other order */
	WARMUP_ORDER_BACK,
	WARMUP_ORDER_RESTART,
	WARMUP_ORDER_SET_DAY, /* n from 1 */
};
int warmup_order_parse(const char *word); /* -1: no such order */
/* By the operator; counts from today on, what was sent today stays counted. */
int warmup_order(struct warmup *w, enum warmup_order order, int64_t n,
    int64_t utc_us, struct err *err_out);

/* ---- words (warmup_text.c) ---- */
/* Why it holds, or what it allows, for a postmaster. */
void warmup_say(struct warmup *w, int64_t utc_us, char *out, size_t size);
/* "waiting" "running" "held" "stopped" "done" */
const char *warmup_state_name(const struct warmup *w);
/* "why not": shares of a day that are over their limit; "" = a good day. */
bool warmup_is_unhealthy(const struct warmup *w, const struct ledger_row *row,
    char *why, size_t size);

#define WARMUP_TEXT_SIZE 640
char *warmup_format(const struct warmup *w, char out[WARMUP_TEXT_SIZE]);
int warmup_parse(struct warmup *w, const char *text);

#endif
