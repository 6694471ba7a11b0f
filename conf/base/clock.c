/* SPDX-License-Identifier: ISC */
/* Reading the clocks, and the two ways in which mail and logs write time. */
#include "conf/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_slept_us(void)
{
	int64_t mono_us = read_us(CLOCK_MONOTONIC);

	return read_us(CLOCK_BOOTTIME) - mono_us;
}

int64_t
clock_utc_us(void)
{
	return read_us(CLOCK_REALTIME);
}

void
clock_rfc3339(int64_t utc_us, char out[CLOCK_RFC3339_SIZE])
{
	time_t s = (time_t)(utc_us / 1000000);
	int ms = (int)(utc_us / 1000 % 1000);
	struct tm tm;
	size_t used;

	gmtime_r(&s, &tm);
	used = strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + used, CLOCK_RFC3339_SIZE - used, ".%03dZ", ms);
}

void
clock_rfc5322(int64_t utc_us, char out[CLOCK_RFC5322_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t s = (time_t)(utc_us / 1000000);
	struct tm tm;
	char zone[8];

	localtime_r(&s, &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(out, CLOCK_RFC5322_SIZE, "%.3s, %d %.3s %d %02d:%02d:%02d %s",
	    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, zone);
}
