/* SPDX-License-Identifier: ISC */
/*
 * Counts of durations in buckets, for metrics. Called by workers, the spool's
 * writer and the governor, each with its own; read by the metrics.
 */
#include "daemon/histogram.h"

#define MS  INT64_C(1000)
#define SEC (1000 * MS)

/* From what a commit takes to what a warmup plan makes mail wait. */
const int64_t histogram_bounds_us[HISTOGRAM_BUCKETS] = { MS, 5 * MS / 2, 5 * MS,
	10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, SEC,
	5 * SEC / 2, 5 * SEC, 10 * SEC, 30 * SEC, 60 * SEC, 300 * SEC,
	1800 * SEC, 7200 * SEC, 28800 * SEC, 86400 * SEC };

/* One writer: no read-modify-write is needed. */
static void
add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_store_explicit(to,
	    atomic_load_explicit(to, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

void
histogram_note(struct histogram *h, int64_t us)
{
	unsigned i = 0;

	if (us < 0)
		us = 0;
	while (i < HISTOGRAM_BUCKETS && us > histogram_bounds_us[i])
		i++;
	add(&h->n[i], 1);
	add(&h->sum_us, (uint64_t)us);
}

void
histogram_add(struct histogram_sum *to, const struct histogram *h)
{
	for (unsigned i = 0; i <= HISTOGRAM_BUCKETS; i++)
		to->n[i] +=
		    atomic_load_explicit(&h->n[i], memory_order_relaxed);
	to->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}
