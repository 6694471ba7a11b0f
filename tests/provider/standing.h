/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_STANDING_H
#define FLYBALL_PROVIDER_STANDING_H

#include "tests/provider/model.h"

/*
 * How a provider sees one sender: tokens left, the day's count, what it
 * tolerates a day, reputation. Instants count from the model's origin.
 */
struct standing {
	double level; /* tokens; below 0: taken on credit */
	double day_used;
	double day_refused; /* violations */
	double tolerance;
	double reputation;
	int64_t violated_us; /* last; far in the past at first */
	int64_t accepted_us;
};

enum standing_answer {
	STANDING_OK,
	STANDING_NO_TOKEN,
	STANDING_DAY_IS_FULL,
	STANDING_NO_PATIENCE,
};

void standing_init(struct standing *st, const struct provider_spec *spec);
/* Refills and heals; nothing of the spec steps between from and to. What is
 * over the bucket's depth then stays until standing_cap(). */
void standing_refill(struct standing *st, const struct provider_spec *spec,
    int64_t from_us, int64_t to_us);
void standing_cap(struct standing *st, const struct provider_spec *spec,
    int64_t at_us);
void standing_new_day(struct standing *st, const struct provider_spec *spec);

/* Recipients a second at this instant. */
double standing_limit(const struct standing *st,
    const struct provider_spec *spec, int64_t at_us);
double standing_day_limit(const struct standing *st,
    const struct provider_spec *spec);
/* How much of the mail is rejected for reputation now, 0..1. */
double standing_reject_share(const struct standing *st,
    const struct provider_spec *spec);
/* What could be taken now. */
double standing_room(const struct standing *st,
    const struct provider_spec *spec);

enum standing_answer standing_take(struct standing *st,
    const struct provider_spec *spec, unsigned n);
void standing_force(struct standing *st, unsigned n);
void standing_give_back(struct standing *st, unsigned n);
/* What was taken has arrived. */
void standing_accept_taken(struct standing *st, unsigned n, int64_t at_us);
/* Takes and arrives at once. */
void standing_accept(struct standing *st, double n, int64_t at_us);
void standing_violate(struct standing *st, const struct provider_spec *spec,
    unsigned n, int64_t at_us);

#endif
