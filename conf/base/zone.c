/* SPDX-License-Identifier: ISC */
/*
 * Time zones, over GLib's GTimeZone: the C library knows only one zone for the
 * whole process, and that by way of the environment. Who reads the
 * configuration opens one; the scheduler computes plan days with it.
 *
 * Nothing here looks at what time it is.
 */
#include "conf/base/zone.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

#define SEC_US INT64_C(1000000)
#define DAY_S  INT64_C(86400)

struct zone {
	GTimeZone *tz;
};

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

struct zone *
zone_open(const char *name, struct err *err_out)
{
	GTimeZone *tz;
	struct zone *z;

	tz = name[0] ? g_time_zone_new_identifier(name)
		     : g_time_zone_new_local();
	if (tz == NULL) {
		err_set(err_out, "there is no time zone \"%s\"", name);
		return NULL;
	}
	z = xmalloc(sizeof(*z));
	z->tz = tz;
	return z;
}

void
zone_close(struct zone *z)
{
	if (z == NULL)
		return;
	g_time_zone_unref(z->tz);
	free(z);
}

int64_t
zone_day(const struct zone *z, int64_t utc_us)
{
	int64_t s = floor_div(utc_us, SEC_US);

	if (z != NULL) {
		int i =
		    g_time_zone_find_interval(z->tz, G_TIME_TYPE_UNIVERSAL, s);

		s += g_time_zone_get_offset(z->tz, i);
	}
	return floor_div(s, DAY_S);
}

/* As clocks of this type would have it; whole seconds. */
static int64_t
instant_s(const struct zone *z, GTimeType type, int64_t local_s)
{
	gint64 s = local_s;
	int i = g_time_zone_adjust_time(z->tz, type, &s);

	return s - g_time_zone_get_offset(z->tz, i);
}

int64_t
zone_instant(const struct zone *z, int64_t day, int64_t time_us)
{
	int64_t local_s = day * DAY_S + time_us / SEC_US;
	int64_t standard_s, daylight_s;

	if (z == NULL)
		return local_s * SEC_US + time_us % SEC_US;
	standard_s = instant_s(z, G_TIME_TYPE_STANDARD, local_s);
	daylight_s = instant_s(z, G_TIME_TYPE_DAYLIGHT, local_s);
	if (daylight_s < standard_s)
		standard_s = daylight_s;
	return standard_s * SEC_US + time_us % SEC_US;
}

/* ---- dates: Hinnant, "chrono-compatible low-level date algorithms" ---- */

static int64_t
day_of(int64_t y, unsigned m, unsigned d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = floor_div(y, 400);
	yoe = y - era * 400;
	doy = (153 * (int64_t)(m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
date_of(int64_t day, int64_t *y_out, int64_t *m_out, int64_t *d_out)
{
	int64_t z = day + 719468, era = floor_div(z, 146097);
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d_out = doy - (153 * mp + 2) / 5 + 1;
	*m_out = mp < 10 ? mp + 3 : mp - 9;
	*y_out = yoe + era * 400 + (*m_out <= 2);
}

char *
zone_date(int64_t day, char out[ZONE_DATE_SIZE])
{
	int64_t y, m, d;

	date_of(day, &y, &m, &d);
	snprintf(out, ZONE_DATE_SIZE, "%04lld-%02d-%02d", (long long)y, (int)m,
	    (int)d);
	return out;
}

int64_t
zone_date_parse(const char *date)
{
	static const char form[] = "dddd-dd-dd";
	char again[ZONE_DATE_SIZE];
	int64_t day;

	if (strlen(date) != sizeof(form) - 1)
		return -1;
	for (size_t i = 0; form[i]; i++) {
		bool is_digit = date[i] >= '0' && date[i] <= '9';

		if (form[i] == 'd' ? !is_digit : date[i] != form[i])
			return -1;
	}
	day = day_of(atoi(date), (unsigned)atoi(date + 5),
	    (unsigned)atoi(date + 8));
	/* 2026-02-30 is a day, but not that one. */
	if (day < 0 || strcmp(zone_date(day, again), date) != 0)
		return -1;
	return day;
}
