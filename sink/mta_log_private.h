/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MTA_LOG_PRIVATE_H
#define FLYBALL_MTA_LOG_PRIVATE_H

#include <string.h>

#include "sink/mta_log.h"

/*
 * What the log formats share: spans, times, replies within a line, and how an
 * MTA names the phases of a conversation. Included by mta_log.c and
 * log_*.c only.
 */
static inline bool
span_is(struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.p, text, s.len) == 0;
}

static inline bool
span_begins(struct span s, const char *text)
{
	size_t len = strlen(text);

	return s.len >= len && memcmp(s.p, text, len) == 0;
}

static inline struct span
span_from(struct span s, size_t n)
{
	return n >= s.len ? (struct span){ s.p + s.len, 0 }
			  : (struct span){ s.p + n, s.len - n };
}

static inline struct span
span_to(struct span s, size_t n)
{
	return (struct span){ s.p, n < s.len ? n : s.len };
}

/* Where `text` begins within s; s.len: nowhere. */
size_t span_find(struct span s, const char *text);
/* The same, from the end. */
size_t span_find_last(struct span s, const char *text);
/* Up to the first c, which is passed over; all of it where there is none. */
struct span span_cut(struct span *rest, char c);
/* Takes `text` off the beginning; false: it doesn't begin so. */
bool span_skip(struct span *s, const char *text);
bool span_number(struct span s, uint64_t *out);

/* "host [1.2.3.4]" or "host[1.2.3.4]:25": name and address. */
void log_take_host(struct span s, struct mta_record *out);
/* out->reply and code, when s begins with a reply's code. */
bool log_take_reply(struct span s, struct mta_record *out);
/* "2.5" seconds; -1: it isn't a number. */
int64_t log_seconds_us(struct span s);
/* Which phase these words of an MTA are about; UNKNOWN when none. */
enum phase log_phase(struct span words);
/* A queue id within "250 2.0.0 Ok: queued as 4dF5hC2QpTz9sQx" and the like. */
struct span log_queued_as(struct span reply);
uint64_t log_event(const struct mta_record *r);

/* A time at the beginning, which is passed over with the blank behind it:
 * "Nov 23 20:16:54 ", RFC 3339, "2026-11-23 20:16:54.123 +0100 ". 0: none. */
int64_t log_take_time(struct mta_log *log, struct span *line);

bool log_postfix(struct span program, struct span message,
    struct mta_record *out);
bool log_exim(struct span message, struct mta_record *out);
bool log_opensmtpd(struct span program, struct span message,
    struct mta_record *out);
bool log_pattern(struct mta_log *log, struct span message,
    struct mta_record *out);

#endif
