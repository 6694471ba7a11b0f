/* SPDX-License-Identifier: ISC */
/*
 * A provider's memory of one sender. Used twice by the model: for the sender
 * as it is, and for the all-knowing one it is compared with. Nothing here
 * draws lots; chance is the model's.
 *
 * The day's room counts what was taken, not what arrived, so a burst of
 * sessions can't slip past it.
 */
#include "tests/provider/standing.h"

#include <math.h>

#include "tests/provider/spec.h"

/* A day on which less than this of the tolerance was used was an idle one. */
#define IDLE_SHARE 0.1

/* Tokens are added up in parts: a whole one may lack its last bit. */
#define ONE_TOKEN (1 - 1e-6)

/* ---- what holds now ---- */

static double
trust(const struct standing *st, const struct provider_spec *spec)
{
	return spec->reputation.is_on
	    ? fmax(spec->reputation.floor, st->reputation)
	    : 1;
}

double
standing_limit(const struct standing *st, const struct provider_spec *spec,
    int64_t at_us)
{
	return spec->rate * spec_factor(spec, at_us) * trust(st, spec);
}

static double
depth(const struct standing *st, const struct provider_spec *spec,
    int64_t at_us)
{
	double full = spec->burst > 0 ? spec->burst : fmax(1, spec->rate);

	return fmax(1, full * spec_factor(spec, at_us) * trust(st, spec));
}

double
standing_day_limit(const struct standing *st, const struct provider_spec *spec)
{
	return fmin(spec->day_limit, st->tolerance);
}

double
standing_reject_share(const struct standing *st,
    const struct provider_spec *spec)
{
	double below = spec->reputation.reject_below;

	if (!spec->reputation.is_on || st->reputation >= below)
		return 0;
	return (below - st->reputation) / below;
}

double
standing_room(const struct standing *st, const struct provider_spec *spec)
{
	return fmin(st->level, standing_day_limit(st, spec) - st->day_used);
}

/* ---- its life ---- */

void
standing_init(struct standing *st, const struct provider_spec *spec)
{
	*st = (struct standing){ .tolerance = spec->tolerance.start,
		.reputation =
		    spec->reputation.is_on ? spec->reputation.start : 1,
		.violated_us = INT64_MIN / 2,
		.accepted_us = INT64_MIN / 2 };
	st->level = isfinite(spec->rate) ? depth(st, spec, 0) : INFINITY;
}

void
standing_refill(struct standing *st, const struct provider_spec *spec,
    int64_t from_us, int64_t to_us)
{
	int64_t mid_us = from_us + (to_us - from_us) / 2;
	double s = (double)(to_us - from_us) / 1e6;

	if (isfinite(spec->rate))
		st->level += standing_limit(st, spec, mid_us) * s;
	/* Only who sends, and sends steadily, earns trust. */
	if (spec->reputation.is_on &&
	    from_us - st->violated_us >= spec->reputation.steady_us &&
	    from_us - st->accepted_us < 5000000)
		st->reputation =
		    fmin(1, st->reputation + spec->reputation.gain * s);
}

void
standing_cap(struct standing *st, const struct provider_spec *spec,
    int64_t at_us)
{
	if (isfinite(spec->rate))
		st->level = fmin(st->level, depth(st, spec, at_us));
}

void
standing_new_day(struct standing *st, const struct provider_spec *spec)
{
	double tried = st->day_used + st->day_refused;
	double tomorrow = st->tolerance;

	if (isfinite(st->tolerance)) {
		if (st->day_refused > spec->tolerance.abuse * tried)
			tomorrow *= spec->tolerance.shrink;
		else if (st->day_used >=
		    spec->tolerance.used_well * st->tolerance)
			tomorrow *= spec->tolerance.growth;
		else if (st->day_used < IDLE_SHARE * st->tolerance)
			tomorrow *= spec->tolerance.decay;
		st->tolerance = fmin(spec->tolerance.max,
		    fmax(spec->tolerance.floor, tomorrow));
	}
	st->day_used = 0;
	st->day_refused = 0;
}

enum standing_answer
standing_take(struct standing *st, const struct provider_spec *spec, unsigned n)
{
	double day = standing_day_limit(st, spec);

	if (st->day_used + n > day) {
		if (isfinite(st->tolerance) &&
		    st->day_refused > spec->tolerance.patience * st->tolerance)
			return STANDING_NO_PATIENCE;
		return STANDING_DAY_IS_FULL;
	}
	/* A transaction larger than the bucket goes on credit. */
	if (st->level < ONE_TOKEN)
		return STANDING_NO_TOKEN;
	standing_force(st, n);
	return STANDING_OK;
}

void
standing_force(struct standing *st, unsigned n)
{
	st->level -= n;
	st->day_used += n;
}

void
standing_give_back(struct standing *st, unsigned n)
{
	st->level += n;
	st->day_used = fmax(0, st->day_used - n);
}

void
standing_accept_taken(struct standing *st, unsigned n, int64_t at_us)
{
	if (n > 0)
		st->accepted_us = at_us;
}

void
standing_accept(struct standing *st, double n, int64_t at_us)
{
	if (isfinite(n))
		st->level -= n;
	st->day_used += n;
	st->accepted_us = at_us;
}

void
standing_violate(struct standing *st, const struct provider_spec *spec,
    unsigned n, int64_t at_us)
{
	st->day_refused += n;
	st->violated_us = at_us;
	if (spec->reputation.is_on)
		st->reputation =
		    fmax(0, st->reputation - spec->reputation.loss * n);
}
