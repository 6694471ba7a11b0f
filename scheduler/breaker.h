/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_BREAKER_H
#define FLYBALL_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/base/rng.h"
#include "conf/conf.h"
#include "scheduler/meter.h"

/*
 * Whether a lane may send at all. It opens the circuit when the provider
 * rejects too great a share, when it asks for a pause, and when its system is
 * down; after a while one delivery at a time tries (half open), and what comes
 * back decides. Pure; the lane's own time and answers are its only inputs.
 */
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

enum breaker_why {
	BREAKER_NONE,
	BREAKER_REJECTED, /* share over suspend.rejected, or blocklisted */
	BREAKER_ADVISED,  /* the provider says how long */
	BREAKER_OUTAGE,	  /* its system fails, one reply like the other */
};
#define BREAKER_WHY_COUNT 4
const char *breaker_why_name(enum breaker_why why);

struct breaker {
	struct conf_adapt conf;
	enum breaker_state state;
	enum breaker_why why;
	int64_t since_us, until_us;
	int64_t healthy_us;	/* closed since */
	unsigned n_doubled;	/* suspensions in a row */
	unsigned n_good;	/* while half open */
	unsigned n_failed;	/* system failures in a row */
	int64_t failing_us;	/* since then */
	struct meter_ring ring; /* of rejected shares, over suspend.for */
};

void breaker_init(struct breaker *b, const struct conf_adapt *conf,
    int64_t now_us);
void breaker_configure(struct breaker *b, const struct conf_adapt *conf,
    int64_t now_us);
/* What is worth knowing after a restart: goes on where it was. */
struct breaker_memory {
	bool is_shut;
	enum breaker_why why;
	int64_t since_us, until_us;
	unsigned n_doubled;
};
void breaker_remember(struct breaker *b, const struct breaker_memory *m,
    int64_t now_us);
void breaker_reset(struct breaker *b, int64_t now_us);

/* May a delivery leave while n_in_flight others do? From when; INT64_MAX:
 * when one of them is back. */
int64_t breaker_when(const struct breaker *b, unsigned n_in_flight,
    int64_t now_us);

/* What came back. True: the state changed. */
bool breaker_accepted(struct breaker *b, uint32_t n, int64_t now_us);
/* n recipients were rejected for the lane's standing; is_listed: at once. */
bool breaker_rejected(struct breaker *b, uint32_t n, bool is_listed,
    struct rng *rng, int64_t now_us);
/* Refused for now; pause_us as the provider advises, 0: it doesn't. No longer
 * than suspend.max. */
bool breaker_deferred(struct breaker *b, int64_t pause_us, struct rng *rng,
    int64_t now_us);
bool breaker_failed(struct breaker *b, struct rng *rng, int64_t now_us);
/* Any other answer: its system works, and that is all it says. */
bool breaker_answered(struct breaker *b, int64_t now_us);

/* Time went by. True: an open one is half open now. */
bool breaker_step(struct breaker *b, int64_t now_us);
/* Recipients accepted and rejected lately, over suspend.for. */
struct meter_sum breaker_lately(const struct breaker *b, int64_t now_us);
/* Share of rejected recipients lately, and of how many. */
int64_t breaker_rejected_permille(const struct breaker *b, int64_t *n_out,
    int64_t now_us);

#endif
