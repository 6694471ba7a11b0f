/* SPDX-License-Identifier: ISC */
/*
 * Counts answers in bins of time. The controller of a lane's speed (adapt.c)
 * and its breaker (breaker.c) read it; nobody else writes it.
 *
 * A bin is found by its number, now / bin; those in between that nobody wrote
 * are emptied when the ring moves on. So reading costs 16 additions and there
 * is nothing to do while a lane is idle.
 */
#include "scheduler/meter.h"

#include <string.h>

void
meter_ring_init(struct meter_ring *r, int64_t bin_us, int64_t now_us)
{
	memset(r, 0, sizeof(*r));
	r->bin_us = bin_us > 0 ? bin_us : 1;
	r->last = now_us / r->bin_us;
}

struct meter_bin *
meter_ring_bin(struct meter_ring *r, int64_t now_us)
{
	int64_t number = now_us / r->bin_us;

	if (number > r->last + METER_BINS) {
		memset(r->v, 0, sizeof(r->v));
		r->last = number;
	}
	while (r->last < number)
		r->v[++r->last % METER_BINS] = (struct meter_bin){ 0 };
	return &r->v[r->last % METER_BINS];
}

struct meter_sum
meter_ring_sum(const struct meter_ring *r, int64_t n_bins, int64_t now_us)
{
	int64_t number = now_us / r->bin_us;
	struct meter_sum sum = { 0 };

	for (int64_t i = r->last; i > r->last - METER_BINS && i >= 0; i--) {
		const struct meter_bin *b = &r->v[i % METER_BINS];

		if (i < number - n_bins)
			break;
		sum.n_accepted += b->n_accepted;
		sum.n_refused += b->n_refused;
		sum.n_good += b->n_good;
		sum.n_bad += b->n_bad;
	}
	sum.span_us = n_bins * r->bin_us + now_us % r->bin_us;
	return sum;
}

void
meter_init(struct meter *m, int64_t span_us, int64_t now_us)
{
	meter_ring_init(&m->fine, span_us / METER_FINE_BINS, now_us);
	meter_ring_init(&m->coarse, span_us * METER_LONG_SPANS / METER_BINS,
	    now_us);
}

void
meter_accepted(struct meter *m, uint32_t n, int64_t now_us)
{
	struct meter_bin *b = meter_ring_bin(&m->fine, now_us);

	b->n_accepted += n;
	b->n_good++;
	b = meter_ring_bin(&m->coarse, now_us);
	b->n_accepted += n;
	b->n_good++;
}

void
meter_refused(struct meter *m, uint32_t n, int64_t now_us)
{
	struct meter_bin *b = meter_ring_bin(&m->fine, now_us);

	b->n_refused += n;
	b->n_bad++;
	b = meter_ring_bin(&m->coarse, now_us);
	b->n_refused += n;
	b->n_bad++;
}

struct meter_sum
meter_span(const struct meter *m, int64_t now_us)
{
	return meter_ring_sum(&m->fine, METER_FINE_BINS, now_us);
}

struct meter_sum
meter_long(const struct meter *m, int64_t now_us)
{
	return meter_ring_sum(&m->coarse, METER_BINS - 1, now_us);
}

int64_t
rate_of(int64_t n, int64_t span_us)
{
	__int128 rate;

	if (span_us <= 0)
		return 0;
	rate = (__int128)n * RATE_ONE * 1000000 / span_us;
	return rate < RATE_MOST ? (int64_t)rate : RATE_MOST;
}
