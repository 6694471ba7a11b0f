/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CLOCK_H
#define FLYBALL_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/*
 * The only place where time is read. conf/ and scheduler/ must not include
 * this header (a test looks): they are given `now_us`.
 */
int64_t clock_mono_us(void); /* CLOCK_MONOTONIC, microseconds */
/* How long the machine has been suspended since its start: time that passed
 * for the wall and not for clock_mono_us(). */
int64_t clock_slept_us(void);
int64_t clock_utc_us(void); /* microseconds since 1970 */

/* RFC 3339 in UTC with milliseconds: 2026-11-24T05:16:00.123Z. */
#define CLOCK_RFC3339_SIZE 32
void clock_rfc3339(int64_t utc_us, char out[CLOCK_RFC3339_SIZE]);

/* RFC 5322 3.3 date-time in the local zone: Tue, 24 Nov 2026 05:16:00 +0000. */
#define CLOCK_RFC5322_SIZE 48
void clock_rfc5322(int64_t utc_us, char out[CLOCK_RFC5322_SIZE]);

#endif
