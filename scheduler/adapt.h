/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADAPT_H
#define FLYBALL_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "scheduler/meter.h"

/*
 * How fast one lane may go, as its provider's answers say. Pure: told what
 * left and what was answered, it says when the next recipient may leave. Rates
 * are nano-recipients a second (meter.h). The law is told in adapt.c.
 *
 * Each recipient that leaves carries the epoch of its time (adapt_epoch()),
 * and brings it back with its answer: so what was sent before a decrease is
 * told from what was sent after it.
 */
enum adapt_state {
	ADAPT_OPEN,	/* the configured rates alone */
	ADAPT_HOLDING,	/* was refused: no growth for a while */
	ADAPT_CLIMBING, /* back to just below the rate that failed */
	ADAPT_FLAT,	/* there, waiting for the next probe */
	ADAPT_PROBING,	/* above it */
};
#define ADAPT_STATE_COUNT 5
const char *adapt_state_name(enum adapt_state state);

struct adapt {
	struct conf_adapt conf;
	enum adapt_state state;
	int64_t ceiling; /* the fastest configured rate; 0: none */
	int64_t floor;
	int64_t rate;	/* in force unless OPEN */
	int64_t failed; /* the provider's limit, as far as known; 0: not */
	int64_t flat;	/* just below it */
	int64_t due_us; /* of adapt_step(); INT64_MAX: nothing to do */
	int64_t step_from_us;
	int64_t n_sent; /* in this step */
	int64_t used_us;
	/* In use without a long gap since then, and heard of first: */
	int64_t busy_us, heard_us; /* heard_us 0: not yet */
	int64_t fresh_us;	   /* first sent; 0: never */
	int64_t n_busy;		   /* recipients sent since busy_us */
	bool is_rough;		   /* `failed` was read from a first burst */
	bool is_guess;		   /* `failed` was set without a measurement */
	unsigned n_unused;	   /* steps in a row */
	unsigned n_known; /* accepted since it was fresh, up to KNOWN */

	/* Probing. */
	int64_t wait_us;    /* until the next one */
	int64_t probe_us;   /* when it is due */
	int64_t slope;	    /* permille a hold by which the limit rises */
	int64_t learned_us; /* when the limit was last told */
	int64_t met_us;	    /* likewise, by a probe, and not denied since */
	int64_t growth_permille;
	int64_t burst; /* nano-recipients that fit above the limit */
	int64_t from;  /* `failed` when the probe began, at above_us */
	int64_t above_us;
	int64_t n_above;	/* accepted since above_us */
	int64_t cut_us;		/* of the last decrease */
	int64_t n_since;	/* accepted since */
	int64_t bad;		/* the rate that was refused then */
	int64_t accepted_us;	/* the last one */
	int64_t gap_us;		/* the shortest between two that was accepted */
	int64_t bad_gap_us;	/* a slow lane's search: it lies above that, */
	int64_t good_gap_us;	/* and not above this; 0: not known */
	int64_t widen_permille; /* of bad_gap_us: the next try */
	unsigned n_in_row;	/* accepted since the last refusal */
	bool is_free;		/* more was accepted than any burst explains */

	/* The window of one decision: answers to what had left before it. */
	uint32_t epoch;
	uint32_t cut_epoch;  /* what is older left before the decrease */
	uint32_t seen_epoch; /* newest that was answered */
	struct {
		bool is_open;
		uint32_t epoch; /* what is older left before the decision */
		int64_t base;	/* rate at which that was sent */
		int64_t limit;	/* believed at the decision */
		int64_t n_good, n_bad;
		unsigned n_left; /* transactions not answered yet */
	} window;

	/* Pacing: what was sent ahead of time, in nano-recipients. */
	int64_t debt;
	int64_t debt_us; /* as of then */
	int64_t paid_us; /* what had left by then was paid for */
	struct meter meter;
};

void adapt_init(struct adapt *a, const struct conf_adapt *conf, int64_t ceiling,
    int64_t now_us);
/* New configuration or ceiling: what was learned stays. */
void adapt_configure(struct adapt *a, const struct conf_adapt *conf,
    int64_t ceiling, int64_t now_us);
/* What is worth knowing after a restart. */
struct adapt_memory {
	bool is_open;
	int64_t rate, failed, flat, wait_us, burst;
	int64_t used_us; /* may lie before the clock began */
};
/* Goes on where it was; what it doesn't know is learned again. */
void adapt_remember(struct adapt *a, const struct adapt_memory *m,
    int64_t now_us);
/* Forgets: the configured rates alone hold again. */
void adapt_reset(struct adapt *a, int64_t now_us);

/* The rate in force; 0: only the configured ones. */
int64_t adapt_rate(const struct adapt *a);
/* From when the next may leave; <= now_us: now. */
int64_t adapt_when(struct adapt *a, int64_t now_us);
/* A lane that nothing is known of begins with a few transactions in flight,
 * and one more for each that was accepted: from when may one more leave while
 * n_in_flight do? <= now_us: now. An answer may make it earlier. */
int64_t adapt_window_when(const struct adapt *a, unsigned n_in_flight,
    int64_t now_us);
/* The most that should leave in one transaction; INT64_MAX: any. */
int64_t adapt_depth(const struct adapt *a);
/* n recipients leave. True: the rate changed, because of a long rest. */
bool adapt_sent(struct adapt *a, uint32_t n, int64_t now_us);
/* n that left at left_us weren't attempted. */
void adapt_unsent(struct adapt *a, uint32_t n, int64_t left_us, int64_t now_us);
static inline uint32_t
adapt_epoch(const struct adapt *a)
{
	return a->epoch;
}

/* n recipients of a transaction were accepted, or refused for their speed,
 * while n_in_flight other transactions aren't answered yet. True: the rate
 * changed. Then adapt_answered(), for each transaction once. */
bool adapt_accepted(struct adapt *a, uint32_t epoch, uint32_t n,
    int64_t now_us);
bool adapt_refused(struct adapt *a, uint32_t epoch, uint32_t n,
    unsigned n_in_flight, int64_t now_us);
void adapt_answered(struct adapt *a, uint32_t epoch);
/* Is what was sent before the last decrease still being answered? */
static inline bool
adapt_is_deciding(const struct adapt *a)
{
	return a->window.is_open;
}

/* When adapt_step() wants to be called; INT64_MAX: not at all. */
static inline int64_t
adapt_due(const struct adapt *a)
{
	return a->due_us;
}
/* Time went by. True: the rate changed. */
bool adapt_step(struct adapt *a, int64_t now_us);
/* After a suspension: goes on at this part of what it was. True: changed. */
bool adapt_slow_start(struct adapt *a, int64_t permille, int64_t now_us);

#endif
