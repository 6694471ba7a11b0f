/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HISTOGRAM_H
#define FLYBALL_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * How long things took, counted by buckets. Each thread has one of its own
 * and is the only one that writes to it, so that a note costs no lock and no
 * shared cache line; readers on other threads add them up. A reader may see a
 * note's count before its sum: metrics bear that.
 */
#define HISTOGRAM_BUCKETS 20
/* The upper ends, in microseconds; what is longer is counted behind them. */
extern const int64_t histogram_bounds_us[HISTOGRAM_BUCKETS];

struct histogram {
	_Alignas(64) _Atomic uint64_t n[HISTOGRAM_BUCKETS + 1];
	_Atomic uint64_t sum_us;
};
/* A zeroed one is empty. */
void histogram_note(struct histogram *h, int64_t us);

struct histogram_sum {
	uint64_t n[HISTOGRAM_BUCKETS + 1];
	uint64_t sum_us;
};
void histogram_add(struct histogram_sum *to, const struct histogram *h);

#endif
