/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_METER_H
#define FLYBALL_METER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How many answers a lane had lately: what was accepted, what was refused for
 * its speed. Two rings of bins, a fine one over the last two spans and a
 * coarse one over the last 64, so that a lane of one message a minute is
 * measured as well as one of a thousand a second.
 *
 * Time in which nothing was answered counts as zero: a burst of twenty in a
 * fresh lane is twenty a span, not twenty in a tenth of it.
 *
 * Rates are nano-recipients a second: integers that hold one a day and a
 * million a second alike.
 */
#define RATE_ONE	 INT64_C(1000000000) /* one recipient a second */
#define RATE_MOST	 (INT64_C(1000000000) * RATE_ONE)
#define METER_BINS	 16
#define METER_FINE_BINS	 8  /* in a span */
#define METER_LONG_SPANS 64 /* in the coarse ring */

struct meter_bin {
	uint32_t n_accepted, n_refused; /* recipients */
	uint32_t n_good, n_bad;		/* answers */
};

struct meter_ring {
	int64_t bin_us;
	int64_t last; /* number of the newest bin: now_us / bin_us */
	struct meter_bin v[METER_BINS];
};

struct meter {
	struct meter_ring fine, coarse;
};

/* What was answered in the last `span_us` (a part of a bin more). */
struct meter_sum {
	int64_t n_accepted, n_refused; /* recipients */
	int64_t n_good, n_bad;	       /* answers */
	int64_t span_us;
};

void meter_ring_init(struct meter_ring *r, int64_t bin_us, int64_t now_us);
/* The bin of now, to count into. */
struct meter_bin *meter_ring_bin(struct meter_ring *r, int64_t now_us);
/* The newest bin, which has just begun, and n_bins whole ones before it. */
struct meter_sum meter_ring_sum(const struct meter_ring *r, int64_t n_bins,
    int64_t now_us);

/* Also forgets what was counted. span_us > 0. */
void meter_init(struct meter *m, int64_t span_us, int64_t now_us);
void meter_accepted(struct meter *m, uint32_t n, int64_t now_us);
void meter_refused(struct meter *m, uint32_t n, int64_t now_us);
/* Over one span, and over all that is remembered. */
struct meter_sum meter_span(const struct meter *m, int64_t now_us);
struct meter_sum meter_long(const struct meter *m, int64_t now_us);

/* n in span_us as a rate. */
int64_t rate_of(int64_t n, int64_t span_us);

#endif
