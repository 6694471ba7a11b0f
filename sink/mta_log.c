/* SPDX-License-Identifier: ISC */
/*
 * What all MTAs' logs have in common: the logger's time and program in front,
 * SMTP replies squeezed into a line, hosts with their addresses. The formats
 * are in log_*.c; daemon/log_follow.c calls with each line.
 *
 * Must not do I/O, read a clock or allocate: a million lines are read in
 * seconds beside the mail.
 *
 * The one subtle rule: syslog's time has no year. The line was written lately,
 * so it is the year that puts it nearest to now, never far in the future.
 */
#include <ctype.h>
#include <stdio.h>

#include "sink/mta_log_private.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US	  (86400 * SECOND_US)

static const char *const kinds[MTA_LOG_KIND_COUNT] = {
	[MTA_LOG_NONE] = "none",
	[MTA_LOG_RECEIVED] = "received",
	[MTA_LOG_DELIVERED] = "delivered",
	[MTA_LOG_DEFERRED] = "deferred",
	[MTA_LOG_BOUNCED] = "bounced",
	[MTA_LOG_SOFT] = "soft",
	[MTA_LOG_ECHO] = "echo",
	[MTA_LOG_EXPIRED] = "expired",
	[MTA_LOG_REMOVED] = "removed",
	[MTA_LOG_GAP] = "gap",
};

const char *
mta_log_kind_name(enum mta_log_kind kind)
{
	return (unsigned)kind < MTA_LOG_KIND_COUNT ? kinds[kind] : "unknown";
}

/* ---- spans ---- */

size_t
span_find(struct span s, const char *text)
{
	const char *at = memmem(s.p, s.len, text, strlen(text));

	return at != NULL ? (size_t)(at - s.p) : s.len;
}

size_t
span_find_last(struct span s, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = s.len >= len ? s.len - len + 1 : 0; at-- > 0;)
		if (memcmp(s.p + at, text, len) == 0)
			return at;
	return s.len;
}

struct span
span_cut(struct span *rest, char c)
{
	const char *at = rest->len > 0 ? memchr(rest->p, c, rest->len) : NULL;
	struct span part = *rest;

	if (at == NULL) {
		*rest = span_from(*rest, rest->len);
		return part;
	}
	part.len = (size_t)(at - rest->p);
	*rest = span_from(*rest, part.len + 1);
	return part;
}

bool
span_skip(struct span *s, const char *text)
{
	if (!span_begins(*s, text))
		return false;
	*s = span_from(*s, strlen(text));
	return true;
}

bool
span_number(struct span s, uint64_t *out)
{
	*out = 0;
	if (s.len == 0 || s.len > 18)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.p[i]))
			return false;
		*out = *out * 10 + (uint64_t)(s.p[i] - '0');
	}
	return true;
}

char *
span_copy(struct span s, char *out, size_t size)
{
	if (s.len >= size)
		s.len = size - 1;
	if (s.len > 0)
		memcpy(out, s.p, s.len);
	out[s.len] = '\0';
	return out;
}

/* ---- times ---- */

static bool
digits(struct span s, size_t at, size_t n, int64_t *out)
{
	uint64_t value;

	if (at + n > s.len ||
	    !span_number((struct span){ s.p + at, n }, &value))
		return false;
	*out = (int64_t)value;
	return true;
}

/* "20:16:54" at `at`, in microseconds of the day. -1: it isn't. */
static int64_t
time_of_day(struct span s, size_t at)
{
	int64_t h, m, sec;

	if (at + 8 > s.len || s.p[at + 2] != ':' || s.p[at + 5] != ':' ||
	    !digits(s, at, 2, &h) || !digits(s, at + 3, 2, &m) ||
	    !digits(s, at + 6, 2, &sec) || h > 23 || m > 59 || sec > 60)
		return -1;
	return ((h * 60 + m) * 60 + sec) * SECOND_US;
}

static int64_t
day_number(int64_t year, int64_t month, int64_t day)
{
	char text[ZONE_DATE_SIZE];

	snprintf(text, sizeof(text), "%04d-%02d-%02d", (int)year, (int)month,
	    (int)day);
	return zone_date_parse(text);
}

/* The instant of a local minute: mostly the one that the last line had. */
static int64_t
minute_at(struct mta_log *log, struct span prefix, int64_t day, int64_t time_us)
{
	log->minute_utc_us = zone_instant(log->zone, day, time_us);
	log->minute_len = prefix.len;
	memcpy(log->minute, prefix.p, prefix.len);
	return log->minute_utc_us;
}

static bool
is_same_minute(const struct mta_log *log, struct span line, size_t len)
{
	return log->minute_len == len && line.len >= len &&
	    memcmp(log->minute, line.p, len) == 0;
}

static int64_t
month_of(struct span s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int64_t i = 0; i < 12; i++)
		if (memcmp(months + 3 * i, s.p, 3) == 0)
			return i + 1;
	return 0;
}

static int64_t
nearest_day(const struct mta_log *log, int64_t month, int64_t day)
{
	int64_t today = log->now_utc_us / DAY_US;
	char date[ZONE_DATE_SIZE];
	int64_t year = 0, best = -1;

	digits((struct span){ zone_date(today, date), 4 }, 0, 4, &year);
	for (int64_t y = year - 1; y <= year + 1; y++) {
		int64_t n = day_number(y, month, day);

		/* A clock may be a little ahead, or its zone be. */
		if (n >= 0 && n <= today + 2)
			best = n;
	}
	return best;
}

#define BSD_MINUTE 12 /* "Nov 23 20:16" */
#define BSD_LEN	   15

/* "Nov  3 20:16:54", RFC 3164. */
static int64_t
bsd_time(struct mta_log *log, struct span line)
{
	int64_t month, day, number, time_us;
	size_t at = line.len > 4 && line.p[4] == ' ' ? 5 : 4;

	if (line.len < BSD_LEN || line.p[3] != ' ' || line.p[6] != ' ')
		return 0;
	time_us = time_of_day(line, 7);
	if (time_us < 0)
		return 0;
	if (is_same_minute(log, line, BSD_MINUTE))
		return log->minute_utc_us + time_us % (60 * SECOND_US);
	month = month_of(line);
	if (month == 0 || !digits(line, at, 6 - at, &day))
		return 0;
	number = nearest_day(log, month, day);
	if (number < 0)
		return 0;
	return minute_at(log, span_to(line, BSD_MINUTE), number,
		   time_us - time_us % (60 * SECOND_US)) +
	    time_us % (60 * SECOND_US);
}

/* ".123456" from *at on, in microseconds. */
static int64_t
fraction_us(struct span s, size_t *at)
{
	int64_t us = 0, unit = SECOND_US;

	if (*at >= s.len || s.p[*at] != '.')
		return 0;
	for (++*at; *at < s.len && isdigit((unsigned char)s.p[*at]); ++*at) {
		unit /= 10;
		us += unit * (s.p[*at] - '0');
	}
	return us;
}

/* "Z", "+01:00", " +0100" from *at on. False: there is none. */
static bool
offset_us(struct span s, size_t *at, int64_t *out)
{
	size_t from = *at;
	int64_t hours, minutes;
	int sign;

	if (from < s.len && s.p[from] == 'Z') {
		*at = from + 1;
		*out = 0;
		return true;
	}
	if (from + 1 < s.len && s.p[from] == ' ')
		from++;
	if (from >= s.len || (s.p[from] != '+' && s.p[from] != '-'))
		return false;
	sign = s.p[from] == '-' ? -1 : 1;
	if (!digits(s, from + 1, 2, &hours))
		return false;
	from += 3;
	if (from < s.len && s.p[from] == ':')
		from++;
	if (!digits(s, from, 2, &minutes))
		return false;
	*at = from + 2;
	*out = sign * (hours * 60 + minutes) * 60 * SECOND_US;
	return true;
}

#define ISO_MINUTE 16 /* "2026-11-23 20:16" */
#define ISO_LEN	   19

/* RFC 3339, and as Exim writes it; *len_out: how long it is. */
static int64_t
iso_time(struct mta_log *log, struct span line, size_t *len_out)
{
	int64_t year, month, day, number, time_us, part_us, east_us;
	size_t at = ISO_LEN;

	if (line.len < ISO_LEN || line.p[4] != '-' || line.p[7] != '-' ||
	    (line.p[10] != 'T' && line.p[10] != ' '))
		return 0;
	time_us = time_of_day(line, 11);
	if (time_us < 0 || !digits(line, 0, 4, &year) ||
	    !digits(line, 5, 2, &month) || !digits(line, 8, 2, &day))
		return 0;
	part_us = time_us % (60 * SECOND_US) + fraction_us(line, &at);
	number = day_number(year, month, day);
	if (number < 0)
		return 0;
	if (offset_us(line, &at, &east_us)) {
		*len_out = at;
		return number * DAY_US + time_us - time_us % (60 * SECOND_US) +
		    part_us - east_us;
	}
	*len_out = at;
	if (is_same_minute(log, line, ISO_MINUTE))
		return log->minute_utc_us + part_us;
	return minute_at(log, span_to(line, ISO_MINUTE), number,
		   time_us - time_us % (60 * SECOND_US)) +
	    part_us;
}

int64_t
log_take_time(struct mta_log *log, struct span *line)
{
	size_t len = BSD_LEN;
	int64_t utc_us;

	if (line->len > 0 && isdigit((unsigned char)line->p[0]))
		utc_us = iso_time(log, *line, &len);
	else
		utc_us = bsd_time(log, *line);
	if (utc_us == 0 || (len < line->len && line->p[len] != ' '))
		return 0;
	*line = span_from(*line, len + 1);
	return utc_us;
}

/* ---- the logger's own words ---- */

static bool
is_gap(struct span program, struct span message, struct mta_record *out)
{
	struct span rest = message;

	if (span_begins(program, "systemd-journald")) {
		if (!span_skip(&rest, "Suppressed "))
			return false;
		span_number(span_cut(&rest, ' '), &out->n_lost);
	} else if (span_begins(program, "rsyslogd")) {
		size_t at = span_find(rest, " lost ");

		if (span_find(rest, "rate-limiting") == rest.len)
			return false;
		rest = span_from(rest, at + strlen(" lost "));
		span_number(span_cut(&rest, ' '), &out->n_lost);
	} else {
		return false;
	}
	out->kind = MTA_LOG_GAP;
	return true;
}

/* ---- lines ---- */

static void
clear(struct mta_record *out, int64_t utc_us)
{
	*out = (struct mta_record){
		.utc_us = utc_us, .phase = PHASE_UNKNOWN, .delay_us = -1
	};
}

bool
mta_log_read_parts(struct mta_log *log, int64_t utc_us, struct span program,
    struct span message, struct mta_record *out)
{
	bool found = false;

	clear(out, utc_us);
	switch (log->format) {
	case MTA_LOG_POSTFIX:
		found = log_postfix(program, message, out);
		break;
	case MTA_LOG_EXIM:
		/* With syslog_timestamp it says the time once more. */
		log_take_time(log, &message);
		found = log_exim(message, out);
		break;
	case MTA_LOG_OPENSMTPD:
		found = log_opensmtpd(program, message, out);
		break;
	case MTA_LOG_PATTERN:
		found = log_pattern(log, message, out);
		break;
	}
	if (!found)
		found = is_gap(program, message, out);
	if (found && out->recipient.len > 0)
		out->event = log_event(out);
	if (!found)
		out->kind = MTA_LOG_NONE;
	return found;
}

/* "postfix/smtp[820]:" without what follows the name. */
static struct span
take_program(struct span *line)
{
	struct span word = span_cut(line, ' ');
	size_t at;

	if (word.len > 0 && word.p[word.len - 1] == ':')
		word.len--;
	at = span_find(word, "[");
	return span_to(word, at);
}

bool
mta_log_read(struct mta_log *log, const char *line, size_t len,
    struct mta_record *out)
{
	struct span rest = { line, len }, program = { line, 0 };
	int64_t utc_us;

	clear(out, 0);
	if (len > 0 && line[len - 1] == '\r')
		rest.len--;
	if (log->format == MTA_LOG_PATTERN)
		return mta_log_read_parts(log, 0, program, rest, out);
	utc_us = log_take_time(log, &rest);
	if (utc_us == 0)
		return false;
	/* Exim's own file has no host and no program. */
	if (log->format != MTA_LOG_EXIM || line[0] > '9' || line[10] == 'T') {
		span_cut(&rest, ' '); /* host */
		program = take_program(&rest);
	}
	return mta_log_read_parts(log, utc_us, program, rest, out);
}
