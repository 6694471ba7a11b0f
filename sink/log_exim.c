/* SPDX-License-Identifier: ISC */
/*
 * Exim's main log (its specification, chapter 52): an id, a flag of two
 * characters, an address, then fields "X=value" and at the end what was said.
 *
 * The one subtle rule: `retry time not reached` is an echo, and a line without
 * a flag that tells of a host's refusal is one of an attempt that goes on.
 */
#include <ctype.h>

#include "sink/mta_log_private.h"

#define ID_SHORT 16 /* 16ZCW1-0005MB-00 */
#define ID_LONG	 23 /* 1tEabc-000000001Zq-2Xyz, since 4.97 */

static bool
is_id(struct span s, size_t first, size_t second, size_t third)
{
	size_t len = first + second + third + 2;

	if (s.len != len || s.p[first] != '-' || s.p[first + second + 1] != '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (i != first && i != first + second + 1 &&
		    !isalnum((unsigned char)s.p[i]))
			return false;
	return true;
}

/* "[4711] 1tEabc-000000001Zq-2Xyz " passed over. */
static bool
take_id(struct span *s, struct span *out)
{
	if (span_begins(*s, "["))
		span_cut(s, ' '); /* +pid */
	*out = span_cut(s, ' ');
	return is_id(*out, 6, 6, 2) || is_id(*out, 6, 11, 4);
}

/* An address, quoted or not, up to a blank or the ":" of what went wrong. */
static struct span
take_address(struct span *s)
{
	bool is_quoted = false;
	struct span address;
	size_t i = 0;

	for (; i < s->len; i++) {
		if (s->p[i] == '\\' && is_quoted)
			i++;
		else if (s->p[i] == '"')
			is_quoted = !is_quoted;
		else if (s->p[i] == ' ' && !is_quoted)
			break;
	}
	address = span_to(*s, i);
	*s = span_from(*s, i);
	if (address.len > 0 && address.p[address.len - 1] == ':') {
		address.len--;
		*s = (struct span){ s->p - 1, s->len + 1 };
	}
	return address;
}

/* ---- fields ---- */

/* Begins s with "X=", "DS=" or the like? The letters' number. */
static size_t
field_name(struct span s)
{
	size_t n = 0;

	while (n < s.len && n < 4 && isupper((unsigned char)s.p[n]))
		n++;
	return n > 0 && n < s.len && s.p[n] == '=' ? n : 0;
}

/* "..." with its escapes, without the marks. */
static struct span
take_quoted(struct span *s)
{
	struct span value;
	size_t i = 1;

	for (; i < s->len && s->p[i] != '"'; i++)
		if (s->p[i] == '\\')
			i++;
	value = span_from(span_to(*s, i), 1);
	*s = span_from(*s, i + 1);
	return value;
}

/* H=host [1.2.3.4], H=host [1.2.3.4]:25 */
static void
take_host(struct span *s, struct mta_record *out)
{
	size_t close = span_find(*s, "]");

	log_take_host(span_to(*s, close + 1), out);
	*s = span_from(*s, close + 1);
	while (s->len > 0 && s->p[0] != ' ' && !span_begins(*s, ": "))
		*s = span_from(*s, 1); /* :25 */
	if (span_begins(*s, ":25: ") || span_begins(*s, ":25 "))
		*s = span_from(*s, 3);
}

static void
take_field(struct span *s, size_t name_len, struct mta_record *out)
{
	struct span name = span_to(*s, name_len);
	struct span value;

	*s = span_from(*s, name_len + 1);
	if (span_is(name, "H")) {
		take_host(s, out);
		return;
	}
	if (span_begins(*s, "\""))
		value = take_quoted(s);
	else
		value = span_to(*s, span_find(*s, " "));
	if (value.p >= s->p)
		*s = span_from(*s, value.len);
	if (span_is(name, "C")) {
		if (!log_take_reply(value, out))
			out->reply = value;
		out->child = log_queued_as(value);
	} else if (span_is(name, "I")) {
		struct mta_record here = { 0 };

		log_take_host(value, &here);
		out->source_ip = here.relay_ip;
	} else if (span_is(name, "DT") || span_is(name, "QT")) {
		out->delay_us = log_seconds_us(value);
	}
}

/* Fields as long as there are any; what follows them stays in s. */
static void
take_fields(struct span *s, struct mta_record *out)
{
	for (;;) {
		size_t n;

		span_skip(s, " ");
		if (span_begins(*s, "<") || span_begins(*s, "(")) {
			/* <parent address>, or an address of a filter */
			char end = s->p[0] == '<' ? '>' : ')';
			struct span inside = span_from(*s, 1);
			struct span parent = span_cut(&inside, end);

			if (end == '>')
				out->orig_to = parent;
			*s = inside;
			continue;
		}
		n = field_name(*s);
		if (n == 0)
			return;
		take_field(s, n, out);
	}
}

/* ---- what was said ---- */

/*
 * "SMTP error from remote mail server after RCPT TO:<x@y>: 550 5.1.1 ...";
 * before 4.88 "... after RCPT TO:<x@y>: host mx [1.2.3.4]: 550 ...".
 */
static bool
take_error(struct span text, struct mta_record *out)
{
	static const char after[] = "remote mail server after ";
	size_t at = span_find(text, after);
	struct span rest = span_from(text, at + strlen(after));

	if (at == text.len)
		return false;
	at = span_find(rest, ": ");
	out->phase = log_phase(span_to(rest, at));
	rest = span_from(rest, at + 2);
	if (span_skip(&rest, "host ")) {
		at = span_find(rest, ": ");
		log_take_host(span_to(rest, at), out);
		rest = span_from(rest, at + 2);
	}
	return log_take_reply(rest, out);
}

static void
take_text(struct span text, struct mta_record *out)
{
	span_skip(&text, ":");
	span_skip(&text, " ");
	if (take_error(text, out))
		return;
	out->reply = text;
	if (out->phase == PHASE_UNKNOWN)
		out->phase = log_phase(text);
}

static bool
read_delivered(struct span s, struct mta_record *out)
{
	out->recipient = take_address(&s);
	out->phase = PHASE_EOD;
	take_fields(&s, out);
	out->kind = MTA_LOG_DELIVERED;
	return out->recipient.len > 0;
}

/* "a@x R=dnslookup T=remote_smtp defer (-46) H=mx [1.2.3.4]: SMTP error ..." */
static bool
read_deferred(struct span s, struct mta_record *out)
{
	out->recipient = take_address(&s);
	take_fields(&s, out);
	if (span_skip(&s, "defer (")) {
		span_cut(&s, ')');
		span_skip(&s, ":");
		take_fields(&s, out);
	}
	take_text(s, out);
	out->kind = MTA_LOG_DEFERRED;
	if (span_find(s, "retry time not reached") < s.len)
		out->kind = MTA_LOG_ECHO;
	return out->recipient.len > 0;
}

static bool
read_failed(struct span s, struct mta_record *out)
{
	out->recipient = take_address(&s);
	take_fields(&s, out);
	take_text(s, out);
	out->kind = MTA_LOG_BOUNCED;
	return out->recipient.len > 0;
}

/* "H=mx [1.2.3.4]: SMTP error from remote mail server after ...: 421 ..." */
static bool
read_skipped(struct span s, struct mta_record *out)
{
	take_fields(&s, out);
	if (!take_error(s, out))
		return false;
	out->kind = MTA_LOG_SOFT;
	return true;
}

bool
log_exim(struct span message, struct mta_record *out)
{
	struct span s = message;

	if (!take_id(&s, &out->queue_id))
		return false;
	if (span_skip(&s, "=> ") || span_skip(&s, "-> ") ||
	    span_skip(&s, ">> "))
		return read_delivered(s, out);
	if (span_skip(&s, "== "))
		return read_deferred(s, out);
	if (span_skip(&s, "** "))
		return read_failed(s, out);
	if (span_begins(s, "<= ")) {
		out->kind = MTA_LOG_RECEIVED;
		return true;
	}
	if (span_begins(s, "Completed")) {
		out->kind = MTA_LOG_REMOVED;
		return true;
	}
	return span_begins(s, "H=") && read_skipped(s, out);
}
