/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ZONE_H
#define FLYBALL_ZONE_H

#include <stdint.h>

#include "conf/base/err.h"

/*
 * A time zone: from instants to dates and back, daylight saving included.
 * Opening one reads the system's zone files; everything after is arithmetic,
 * reads no clock and is safe in any thread. A NULL zone is UTC.
 */
struct zone;

/* "" = the system's; else an IANA name, "Europe/Berlin". NULL: there is no
 * such zone. */
struct zone *zone_open(const char *name, struct err *err_out);
void zone_close(struct zone *z); /* NULL is fine */

/* The local date at an instant, as days since 1970-01-01. */
int64_t zone_day(const struct zone *z, int64_t utc_us);
/*
 * The instant at which clocks there show this date and time of day (0 .. 24 h).
 * A time that a change of clocks skips is the change itself; of a time that
 * comes twice it is the first.
 */
int64_t zone_instant(const struct zone *z, int64_t day, int64_t time_us);

/* 2026-11-24 of days since 1970-01-01 (proleptic Gregorian). */
#define ZONE_DATE_SIZE 32
char *zone_date(int64_t day, char out[ZONE_DATE_SIZE]);
/* The day number of a valid date; -1 isn't one. Years 1970 .. 9999. */
int64_t zone_date_parse(const char *date);

#endif
