/* SPDX-License-Identifier: ISC */
/*
 * The peer's words within an MTA's line: who it was, what it replied, in which
 * phase, and under which queue id it took the message. Shared by the log_*.c.
 *
 * The one subtle rule: a reply of several lines was joined, with blanks
 * (Postfix) or a written \n (Exim). It is parted again where its own code
 * repeats, since the rules of classification look at lines.
 */
#include <ctype.h>

#include "sink/mta_log_private.h"

void
log_take_host(struct span s, struct mta_record *out)
{
	size_t open = span_find(s, "[");
	struct span inside = span_from(s, open + 1);
	size_t name_len = open;

	while (name_len > 0 && s.p[name_len - 1] == ' ')
		name_len--;
	out->relay = span_to(s, name_len);
	if (open == s.len)
		return;
	out->relay_ip = span_to(inside, span_find(inside, "]"));
	/* A socket's path is no address. */
	if (out->relay_ip.len > 0 && out->relay_ip.p[0] == '/')
		out->relay_ip.len = 0;
}

bool
log_take_reply(struct span s, struct mta_record *out)
{
	uint64_t code;

	if (s.len < 3 || !span_number(span_to(s, 3), &code) || code < 200 ||
	    code > 599)
		return false;
	if (s.len > 3 && s.p[3] != ' ' && s.p[3] != '-')
		return false;
	out->reply = s;
	out->code = (int)code;
	return true;
}

int64_t
log_seconds_us(struct span s)
{
	int64_t us = 0, unit = 1000000;
	size_t i = 0;

	if (s.len == 0 || s.len > 12 || !isdigit((unsigned char)s.p[0]))
		return -1;
	for (; i < s.len && isdigit((unsigned char)s.p[i]); i++)
		us = us * 10 + (s.p[i] - '0') * INT64_C(1000000);
	if (i < s.len && s.p[i] == '.')
		for (i++; i < s.len && isdigit((unsigned char)s.p[i]); i++) {
			unit /= 10;
			us += unit * (s.p[i] - '0');
		}
	return i == s.len || (i + 1 == s.len && s.p[i] == 's') ? us : -1;
}

/* Longer ones first, where one holds another. */
static const struct {
	const char *words;
	enum phase phase;
} phases[] = {
	{ "end of DATA", PHASE_EOD },
	{ "end of data", PHASE_EOD },
	{ "message body", PHASE_EOD },
	{ "initial connection", PHASE_CONNECT },
	{ "initial server greeting", PHASE_CONNECT },
	{ "refused to talk", PHASE_CONNECT },
	{ "MAIL FROM", PHASE_MAIL },
	{ "RCPT TO", PHASE_RCPT },
	{ "STARTTLS", PHASE_STARTTLS },
	{ "TLS", PHASE_STARTTLS },
	{ "EHLO", PHASE_HELO },
	{ "HELO", PHASE_HELO },
	{ "LHLO", PHASE_HELO },
	{ "AUTH", PHASE_AUTH },
	{ "DATA", PHASE_DATA },
	{ "BDAT", PHASE_EOD },
	{ "QUIT", PHASE_EOD },
};

enum phase
log_phase(struct span words)
{
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
		if (span_find(words, phases[i].words) < words.len)
			return phases[i].phase;
	return PHASE_UNKNOWN;
}

/* ---- queue ids in a reply ---- */

static const char *const introductions[] = {
	"queued as ", /* Postfix, BDAT too */
	" id=",	      /* Exim */
};

static struct span
id_at(struct span s)
{
	size_t n = 0;

	while (n < s.len && n < 64 &&
	    (isalnum((unsigned char)s.p[n]) || s.p[n] == '-'))
		n++;
	return span_to(s, n);
}

struct span
log_queued_as(struct span reply)
{
	static const char told[] = " Message accepted for delivery";
	size_t n = sizeof(introductions) / sizeof(introductions[0]);

	for (size_t i = 0; i < n; i++) {
		size_t at = span_find_last(reply, introductions[i]);

		if (at < reply.len)
			return id_at(span_from(reply,
			    at + strlen(introductions[i])));
	}
	/* OpenSMTPD and Sendmail: "250 2.0.0 8f0b7a3c Message accepted ..." */
	if (span_find(reply, told) < reply.len) {
		struct span head = span_to(reply, span_find(reply, told));
		size_t at = span_find_last(head, " ");

		return at < head.len ? id_at(span_from(head, at + 1))
				     : span_to(reply, 0);
	}
	return span_to(reply, 0);
}

bool
mta_queue_id(const char *reply, char out[MTA_QUEUE_ID_SIZE])
{
	struct span s = { reply, strlen(reply) };

	span_copy(log_queued_as(s), out, MTA_QUEUE_ID_SIZE);
	return out[0] != '\0';
}

/* ---- what is one event ---- */

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static uint64_t
fnv(uint64_t hash, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * FNV_PRIME;
	return (hash ^ 0xff) * FNV_PRIME;
}

/* Nothing secret hangs on it: a collision makes two replies one. */
uint64_t
log_event(const struct mta_record *r)
{
	uint64_t hash = FNV_BASIS;

	hash = fnv(hash, r->queue_id);
	hash = fnv(hash, r->relay);
	hash = fnv(hash, r->relay_ip);
	hash = fnv(hash, r->reply);
	return hash != 0 ? hash : 1;
}

/* ---- the reply as it was ---- */

/* Does a line of the reply begin here? Its first one's code does. */
static bool
is_line(struct span s, size_t at, const char *code)
{
	return at + 3 <= s.len && memcmp(s.p + at, code, 3) == 0 &&
	    (at + 3 == s.len || s.p[at + 3] == '-' || s.p[at + 3] == ' ');
}

size_t
mta_log_reply(const struct mta_record *r, char *out, size_t size)
{
	struct span s = r->reply;
	bool has_lines = r->code > 0 && s.len > 3 && s.p[3] == '-';
	size_t n = 0;

	for (size_t i = 0; i < s.len && n + 1 < size; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.len && s.p[i + 1] == 'n') {
			c = '\n';
			i++;
		} else if (has_lines && c == ' ' && is_line(s, i + 1, s.p)) {
			has_lines = i + 4 < s.len && s.p[i + 4] == '-';
			c = '\n';
		} else if ((unsigned char)c < ' ' && c != '\t') {
			c = '?';
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}
