/* SPDX-License-Identifier: ISC */
/*
 * Numbers with units: rates, durations, sizes, shares, counts. Conf calls it
 * for the file, the daemon for what comes over the admin socket, the tools for
 * their command lines, so that one spelling is right everywhere.
 *
 * It must never round: what can't be held exactly is an error, and what is
 * written out reads back to the same value. Arithmetic is in 128 bits, with as
 * many digits let in as can't overflow there.
 */
#include "conf/base/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS	  INT64_C(1000)
#define SEC	  (1000 * MS)
#define MINUTE	  (60 * SEC)
#define HOUR	  (60 * MINUTE)
#define DAY	  (24 * HOUR)
#define COUNT_MAX INT64_C(1000000000000)
#define WHOLE_MAX 19 /* digits before the point */
#define FINE_MAX  6  /* and behind it */

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit spans[] = { { "d", DAY }, { "h", HOUR },
	{ "m", MINUTE }, { "s", SEC }, { "ms", MS }, { NULL, 0 } };
static const struct unit windows[] = { { "s", SEC }, { "min", MINUTE },
	{ "h", HOUR }, { "day", DAY }, { NULL, 0 } };
static const struct unit sizes[] = { { "TiB", INT64_C(1) << 40 },
	{ "GiB", INT64_C(1) << 30 }, { "MiB", INT64_C(1) << 20 },
	{ "KiB", INT64_C(1) << 10 }, { "TB", COUNT_MAX }, { "GB", 1000000000 },
	{ "MB", 1000000 }, { "kB", 1000 }, { "", 1 }, { "B", 1 }, { NULL, 0 } };
static const struct unit counts[] = { { "", 1 }, { "k", 1000 },
	{ "M", 1000000 }, { NULL, 0 } };
static const struct unit shares[] = { { "%", 10 }, { NULL, 0 } };

/* ---- reading ---- */

/* What one number with its unit came to. */
enum reading { READ_OK, READ_SYNTAX, READ_TOO_FINE, READ_TOO_LARGE };

static int
refuse(struct err *err_out, const char *s, const char *why)
{
	char shown[48];
	size_t n = 0;

	for (; s[n] != '\0' && n < sizeof(shown) - 1; n++)
		shown[n] = s[n] < 32 || s[n] == 127 || s[n] == '"' ? '?' : s[n];
	shown[n] = '\0';
	return err_set(err_out, "\"%s%s\" %s", shown, s[n] != '\0' ? "..." : "",
	    why);
}

static int
refuse_reading(struct err *err_out, const char *s, enum reading reading,
    const char *syntax, const char *too_fine, const char *too_large)
{
	return refuse(err_out, s,
	    reading == READ_SYNTAX	   ? syntax
		: reading == READ_TOO_FINE ? too_fine
					   : too_large);
}

static const struct unit *
find_unit(const struct unit *units, const char *name, size_t len)
{
	for (; units->name != NULL; units++)
		if (strlen(units->name) == len &&
		    memcmp(units->name, name, len) == 0)
			return units;
	return NULL;
}

/* Reads "DIGITS[.DIGITS]" and moves *s behind it; the value is *digits_out
 * over *scale_out. */
static enum reading
read_number(const char **s, __int128 *digits_out, int64_t *scale_out)
{
	const char *p = *s;
	int n_whole = 0, n_fine = 0;

	*digits_out = 0;
	*scale_out = 1;
	if (!isdigit((unsigned char)*p))
		return READ_SYNTAX;
	for (; isdigit((unsigned char)*p); p++) {
		n_whole += *digits_out > 0 || *p != '0';
		if (n_whole > WHOLE_MAX)
			return READ_TOO_LARGE;
		*digits_out = *digits_out * 10 + (*p - '0');
	}
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return READ_SYNTAX;
		for (; isdigit((unsigned char)*p); p++) {
			if (++n_fine > FINE_MAX)
				return READ_TOO_FINE;
			*digits_out = *digits_out * 10 + (*p - '0');
			*scale_out *= 10;
		}
	}
	*s = p;
	return READ_OK;
}

/* Reads a number and the unit behind it, up to `end`. */
static enum reading
read_measure(const char **s, const char *end, const struct unit *units,
    int64_t max, int64_t *out, const struct unit **unit_out)
{
	__int128 value;
	int64_t scale;
	enum reading reading = read_number(s, &value, &scale);
	const char *name = *s;

	if (reading != READ_OK)
		return reading;
	while (*s < end && isalpha((unsigned char)**s))
		(*s)++;
	if (name == *s && *s < end && **s == '%')
		(*s)++;
	*unit_out = find_unit(units, name, (size_t)(*s - name));
	if (*unit_out == NULL)
		return READ_SYNTAX;
	value *= (*unit_out)->factor;
	if (value % scale != 0)
		return READ_TOO_FINE;
	value /= scale;
	if (value > max)
		return READ_TOO_LARGE;
	*out = (int64_t)value;
	return READ_OK;
}

static enum reading
read_whole(const char *s, const struct unit *units, int64_t max, int64_t *out)
{
	const char *end = s + strlen(s);
	const struct unit *unit;
	enum reading reading = read_measure(&s, end, units, max, out, &unit);

	return reading == READ_OK && s != end ? READ_SYNTAX : reading;
}

/* "1h30m": each unit once, the larger first. */
static enum reading
read_span(const char *s, int64_t max_us, int64_t *us_out)
{
	const char *end = s + strlen(s);
	const struct unit *last = NULL, *unit;
	int64_t part_us, sum_us = 0;
	enum reading reading;

	do {
		reading = read_measure(&s, end, spans, max_us, &part_us, &unit);
		if (reading != READ_OK)
			return reading;
		if (last != NULL && unit <= last)
			return READ_SYNTAX;
		if (part_us > max_us - sum_us)
			return READ_TOO_LARGE;
		sum_us += part_us;
		last = unit;
	} while (s < end);
	*us_out = sum_us;
	return READ_OK;
}

/* What stands behind the slash: "s", "min", "30s", "5min". */
static enum reading
read_window(const char *s, int64_t *us_out)
{
	const struct unit *unit = find_unit(windows, s, strlen(s));
	enum reading reading;

	if (unit != NULL) {
		*us_out = unit->factor;
		return READ_OK;
	}
	reading = read_whole(s, windows, INT64_MAX, us_out);
	if (reading == READ_SYNTAX)
		reading = read_span(s, INT64_MAX, us_out);
	if (reading == READ_OK && *us_out > 31 * DAY)
		return READ_TOO_LARGE;
	if (reading == READ_OK && *us_out < MS)
		return READ_TOO_FINE;
	return reading;
}

int
units_parse_rate(const char *s, struct rate *out, struct err *err_out)
{
	static const char *const syntax =
	    "is no rate; write 20/s, 600/min, 5000/h, 20k/day, 10/30s or "
	    "unlimited";
	const char *slash = strchr(s, '/'), *p = s;
	const struct unit *unit;
	struct rate rate;
	enum reading reading;

	if (strcmp(s, "unlimited") == 0) {
		*out = (struct rate){ 0, 0 };
		return 0;
	}
	if (slash == NULL)
		return refuse(err_out, s, syntax);
	reading =
	    read_measure(&p, slash, counts, COUNT_MAX, &rate.count, &unit);
	if (reading == READ_OK && p != slash)
		reading = READ_SYNTAX;
	if (reading != READ_OK)
		return refuse_reading(err_out, s, reading, syntax,
		    "isn't a whole number of recipients; write 3/2s for 1.5 a "
		    "second",
		    "is too many; a rate is at most 1000000M, or unlimited");
	if (rate.count == 0)
		return refuse(err_out, s,
		    "would never send; a rate is at least 1, and mail is held "
		    "by a pause");
	reading = read_window(slash + 1, &rate.window_us);
	if (reading != READ_OK)
		return refuse_reading(err_out, s, reading, syntax,
		    "counts over too short a time; 1ms is the shortest",
		    "counts over too long a time; 31d is the longest");
	*out = rate;
	return 0;
}

int
units_parse_duration(const char *s, int64_t *us_out, struct err *err_out)
{
	enum reading reading;

	if (strcmp(s, "0") == 0) {
		*us_out = 0;
		return 0;
	}
	reading = read_span(s, 3650 * DAY, us_out);
	if (reading != READ_OK)
		return refuse_reading(err_out, s, reading,
		    "is no duration; write 500ms, 30s, 5m, 4h, 7d or 1h30m",
		    "is finer than a microsecond; write 500ms, 30s or 5m",
		    "is too long; 3650d is the longest");
	return 0;
}

int
units_parse_size(const char *s, int64_t *bytes_out, struct err *err_out)
{
	enum reading reading = read_whole(s, sizes, INT64_MAX, bytes_out);

	if (reading != READ_OK)
		return refuse_reading(err_out, s, reading,
		    "is no size; write 64KiB, 50MiB, 10GiB, 20MB or 4096",
		    "isn't a whole number of bytes; write 64KiB or 50MiB",
		    "is too large; write 50MiB or 10GiB");
	return 0;
}

int
units_parse_permille(const char *s, int64_t *out, struct err *err_out)
{
	enum reading reading = read_whole(s, shares, COUNT_MAX, out);

	if (reading != READ_OK)
		return refuse_reading(err_out, s, reading,
		    "is no percentage; write 5%, 0.1% or 150%",
		    "is finer than 0.1%; write 5% or 0.1%",
		    "is too large; write 5% or 150%");
	return 0;
}

int
units_parse_count(const char *s, int64_t *out, struct err *err_out)
{
	enum reading reading = read_whole(s, counts, COUNT_MAX, out);

	if (reading != READ_OK)
		return refuse_reading(err_out, s, reading,
		    "is no number; write 1000, 100k or 2M",
		    "isn't a whole number; write 1000, 100k or 2M",
		    "is too large; 1000000M is the most");
	return 0;
}

/* ---- writing ---- */

/* Takes the candidate when it is shorter than what is there. */
static void
prefer(char out[UNITS_TEXT_SIZE], const char *candidate)
{
	if (out[0] == '\0' || strlen(candidate) < strlen(out))
		memmove(out, candidate, strlen(candidate) + 1);
}

/* value / factor with the unit, when FINE_MAX digits hold it. */
static void
try_unit(char out[UNITS_TEXT_SIZE], int64_t value, int64_t factor,
    const char *name, bool is_fraction_ok)
{
	char text[UNITS_TEXT_SIZE];
	int64_t rest = value % factor;
	int n;

	if (rest != 0 && !is_fraction_ok)
		return;
	n = snprintf(text, sizeof(text), "%" PRId64, value / factor);
	if (rest != 0)
		text[n++] = '.';
	for (int i = 0; rest != 0; i++) {
		if (i == FINE_MAX)
			return;
		/* Twelve digits of factor times ten is far from overflow. */
		rest *= 10;
		text[n++] = (char)('0' + rest / factor);
		rest %= factor;
	}
	snprintf(text + n, sizeof(text) - (size_t)n, "%s", name);
	prefer(out, text);
}

static void
format_measure(char out[UNITS_TEXT_SIZE], int64_t value,
    const struct unit *units, bool is_fraction_ok)
{
	out[0] = '\0';
	for (; units->name != NULL; units++)
		try_unit(out, value, units->factor, units->name,
		    is_fraction_ok);
}

/* "1d2h3m4.5s" */
static void
try_composite(char out[UNITS_TEXT_SIZE], int64_t us)
{
	char text[UNITS_TEXT_SIZE], part[UNITS_TEXT_SIZE];
	size_t n = 0;

	for (const struct unit *u = spans; us > 0 && u->factor >= SEC; u++) {
		int64_t whole_us = u->factor == SEC ? us : us - us % u->factor;

		if (whole_us < u->factor)
			continue;
		part[0] = '\0';
		try_unit(part, whole_us, u->factor, u->name, true);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", part);
		us -= whole_us;
	}
	if (us == 0 && n > 0)
		prefer(out, text);
}

char *
units_format_duration(int64_t us, char out[UNITS_TEXT_SIZE])
{
	out[0] = '\0';
	if (us == 0)
		return strcpy(out, "0s");
	for (const struct unit *u = spans; u->name != NULL; u++)
		try_unit(out, us, u->factor, u->name, u->factor <= SEC);
	try_composite(out, us);
	return out;
}

char *
units_format_rate(const struct rate *r, char out[UNITS_TEXT_SIZE])
{
	char count[UNITS_TEXT_SIZE], window[UNITS_TEXT_SIZE];

	if (rate_is_unlimited(r))
		return strcpy(out, "unlimited");
	format_measure(count, r->count, counts, true);
	units_format_duration(r->window_us, window);
	for (const struct unit *u = windows; u->name != NULL; u++)
		if (u->factor == r->window_us)
			strcpy(window, u->name);
	snprintf(out, UNITS_TEXT_SIZE, "%.19s/%.19s", count, window);
	return out;
}

char *
units_format_size(int64_t bytes, char out[UNITS_TEXT_SIZE])
{
	format_measure(out, bytes, sizes, false);
	return out;
}

char *
units_format_permille(int64_t permille, char out[UNITS_TEXT_SIZE])
{
	format_measure(out, permille, shares, true);
	return out;
}
