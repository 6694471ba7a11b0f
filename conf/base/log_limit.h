/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_LIMIT_H
#define FLYBALL_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * For lines that peers cause as often as they like: the first of a minute is
 * written, the others are counted, and the minute's end tells how many there
 * were. Static, one for each event; zeroed but for its name. Any thread.
 */
#define LOG_LIMIT_US (60 * INT64_C(1000000))

struct log_limit {
	const char *event;
	_Atomic int64_t since_us; /* 0: nothing was written lately */
	_Atomic uint32_t n_more;  /* since then, and not written */
	atomic_bool is_known;
	struct log_limit *next; /* of those that were ever used */
};

/* May this one be written? */
bool log_limit_take(struct log_limit *l, int64_t now_us);
/* Tells what was counted in minutes that are over; by one thread, often. */
void log_limits_tick(int64_t now_us);

#endif
