/* SPDX-License-Identifier: ISC */
/*
 * The database is read through a map of the file, so a bad block, or a file
 * that somebody cut off, isn't an error that is returned: it is SIGBUS, in
 * whatever thread came by; and a damaged page may lead LMDB anywhere. Nothing
 * can go on behind it, but whoever reads the log must learn what it was.
 * flyballd's main() asks for it once.
 *
 * The subtle rule: what runs in the handler may be called from anywhere. It
 * takes no lock and no memory; the line was made beforehand but for its time.
 */
#include "daemon/fault.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/base/json.h"
#include "conf/base/strbuf.h"

#define LINE_MAX_BYTES 1200

static struct line {
	const char *before; /* the time */
	struct strbuf after;
} bus_line, segv_line;

static char *
put_number(char *to, int64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		to[i] = (char)('0' + value % 10);
	return to + digits;
}

/* RFC 3339; gmtime_r(3) may wait for a lock. Days to a date as Howard Hinnant's
 * civil_from_days has it. */
static size_t
put_time(char out[32])
{
	struct timespec now;
	int64_t days, era, of_era, year, of_year, month;
	char *p = out;

	clock_gettime(CLOCK_REALTIME, &now);
	days = now.tv_sec / 86400 + 719468;
	era = days / 146097;
	of_era = days - era * 146097;
	year =
	    (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	p = put_number(p, year + era * 400 + (month >= 10), 4);
	*p++ = '-';
	p = put_number(p, month < 10 ? month + 3 : month - 9, 2);
	*p++ = '-';
	p = put_number(p, of_year - (153 * month + 2) / 5 + 1, 2);
	*p++ = 'T';
	p = put_number(p, now.tv_sec / 3600 % 24, 2);
	*p++ = ':';
	p = put_number(p, now.tv_sec / 60 % 60, 2);
	*p++ = ':';
	p = put_number(p, now.tv_sec % 60, 2);
	*p++ = '.';
	p = put_number(p, now.tv_nsec / 1000000, 3);
	*p++ = 'Z';
	return (size_t)(p - out);
}

static void
on_fault(int number)
{
	const struct strbuf *after =
	    number == SIGBUS ? &bus_line.after : &segv_line.after;
	const char *before =
	    number == SIGBUS ? bus_line.before : segv_line.before;
	char text[LINE_MAX_BYTES + 64];
	size_t len = strlen(before);
	ssize_t written;

	memcpy(text, before, len);
	len += put_time(text + len);
	memcpy(text + len, after->data, after->len);
	written = write(STDERR_FILENO, text, len + after->len);
	(void)written;
	_exit(FAULT_STATUS);
}

static void
make_line(struct line *l, enum log_format format, const char *state_dir,
    const char *error, const char *hint)
{
	const bool is_json = format == LOG_FORMAT_JSON;
	const char *const fields[][2] = { { "level", "error" },
		{ "event", "database_unreadable" }, { "dir", state_dir },
		{ "error", error }, { "hint", hint } };

	l->before = is_json ? "{\"ts\":\"" : "";
	strbuf_reset(&l->after);
	strbuf_adds(&l->after, is_json ? "\"" : "");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		strbuf_addf(&l->after,
		    is_json ? ",\"%s\":" : " %s=", fields[i][0]);
		if (i < 2 && !is_json)
			strbuf_adds(&l->after, fields[i][1]);
		else
			strbuf_add_json_string(&l->after, fields[i][1],
			    strlen(fields[i][1]));
	}
	strbuf_adds(&l->after, is_json ? "}\n" : "\n");
	if (l->after.len > LINE_MAX_BYTES) /* a path that long */
		make_line(l, format, "", error, hint);
}

void
fault_watch(const char *state_dir, enum log_format format, const char *hint)
{
	struct sigaction action = { .sa_handler = on_fault };

	make_line(&bus_line, format, state_dir,
	    "SIGBUS: the disk couldn't give what was asked for", hint);
	make_line(&segv_line, format, state_dir,
	    "SIGSEGV while the database was read", hint);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

void
fault_started(void)
{
	signal(SIGSEGV, SIG_DFL);
}
