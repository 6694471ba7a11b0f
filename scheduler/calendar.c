/* SPDX-License-Identifier: ISC */
/*
 * When plan days begin and end. Plans, guards and the simulator ask; the zone
 * was opened by whoever read the configuration. The subtle rule: a day's
 * number never depends on how long it is, so a stored count is found again
 * after clocks changed.
 */
#include "scheduler/calendar.h"

#include <stdbool.h>

static bool
has_dates(const struct calendar *c)
{
	return c->day_us == CALENDAR_DAY_US;
}

int64_t
calendar_day(const struct calendar *c, int64_t utc_us)
{
	int64_t since_us;

	if (has_dates(c))
		return zone_day(c->zone_ref, utc_us);
	since_us = utc_us - c->epoch_utc_us;
	return since_us / c->day_us - (since_us % c->day_us < 0);
}

int64_t
calendar_at(const struct calendar *c, int64_t day, int64_t time_us)
{
	if (has_dates(c))
		return zone_instant(c->zone_ref, day, time_us);
	return c->epoch_utc_us + day * c->day_us + time_us;
}

int64_t
calendar_begin(const struct calendar *c, int64_t day)
{
	return calendar_at(c, day, 0);
}

int64_t
calendar_date(const struct calendar *c, int64_t day)
{
	if (has_dates(c))
		return day;
	return zone_day(c->zone_ref, calendar_begin(c, day));
}
