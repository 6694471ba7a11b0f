/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CALENDAR_H
#define FLYBALL_CALENDAR_H

#include <stdint.h>

#include "conf/base/zone.h"

/*
 * Plan days. A day of 24 h is a local date, 23 or 25 hours long when clocks
 * change; its number counts from 1970-01-01. Days of any other length (for
 * rehearsals) are counted from `epoch_utc_us`, from 0.
 */
#define CALENDAR_DAY_US (86400 * INT64_C(1000000))

struct calendar {
	const struct zone *zone_ref; /* NULL: UTC */
	int64_t day_us;
	int64_t epoch_utc_us; /* unused with days of 24 h */
};

int64_t calendar_day(const struct calendar *c, int64_t utc_us);
/* Its first instant; the end is the next day's. */
int64_t calendar_begin(const struct calendar *c, int64_t day);
/* The instant at which the day is `time_us` old by the clocks on the wall;
 * with time_us = day_us, its end. */
int64_t calendar_at(const struct calendar *c, int64_t day, int64_t time_us);
/* The local date on which the day begins. */
int64_t calendar_date(const struct calendar *c, int64_t day);

#endif
