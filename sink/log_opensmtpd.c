/* SPDX-License-Identifier: ISC */
/*
 * OpenSMTPD's log: "SESSION mta delivery evpid=... to=<...> relay="..."
 * result="Ok|TempFail|PermFail" stat="..."". The high half of an envelope's id
 * is the message's, which the reply to our client gave.
 */
#include <ctype.h>

#include "sink/mta_log_private.h"

#define MESSAGE_ID_LEN 8

static bool
is_hex(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isxdigit((unsigned char)s.p[i]))
			return false;
	return s.len > 0;
}

/* One value: <...>, "..." or up to a blank. */
static struct span
take_value(struct span *s)
{
	char end = ' ';
	struct span value;

	if (span_begins(*s, "<"))
		end = '>';
	else if (span_begins(*s, "\""))
		end = '"';
	else
		return span_cut(s, ' ');
	*s = span_from(*s, 1);
	value = span_cut(s, end);
	span_skip(s, " ");
	return value;
}

/* "142.250.1.27 (gmail-smtp-in.l.google.com)" */
static void
take_relay(struct span value, struct mta_record *out)
{
	size_t at = span_find(value, " (");
	struct span name = span_from(value, at + 2);

	out->relay_ip = span_to(value, at);
	out->relay = span_to(name, span_find_last(name, ")"));
}

static bool
take_result(struct span value, struct mta_record *out)
{
	if (span_is(value, "Ok"))
		out->kind = MTA_LOG_DELIVERED;
	else if (span_is(value, "TempFail"))
		out->kind = MTA_LOG_DEFERRED;
	else if (span_is(value, "PermFail") || span_is(value, "Expire") ||
	    span_is(value, "Remove"))
		out->kind = MTA_LOG_BOUNCED;
	else
		return false;
	return true;
}

static void
take_stat(struct span value, struct mta_record *out)
{
	if (log_take_reply(value, out)) {
		out->child = log_queued_as(value);
		return;
	}
	out->reply = value;
	out->phase = log_phase(value);
	/* It holds back a destination that it found to be in trouble. */
	if (out->kind == MTA_LOG_DEFERRED &&
	    span_find(value, "route") < value.len)
		out->kind = MTA_LOG_ECHO;
}

static bool
read_delivery(struct span s, struct mta_record *out)
{
	struct span stat = { s.p, 0 };
	bool found = false;

	while (s.len > 0) {
		struct span key = span_cut(&s, '=');
		struct span value;

		if (span_is(key, "stat")) {
			/* The last one, and it may hold quotes. */
			span_skip(&s, "\"");
			stat = span_to(s, span_find_last(s, "\""));
			break;
		}
		value = take_value(&s);
		if (span_is(key, "evpid") && is_hex(value))
			out->queue_id = span_to(value, MESSAGE_ID_LEN);
		else if (span_is(key, "to"))
			out->recipient = value;
		else if (span_is(key, "rcpt") && !span_is(value, "-"))
			out->orig_to = value;
		else if (span_is(key, "source") && !span_is(value, "-"))
			out->source_ip = value;
		else if (span_is(key, "relay"))
			take_relay(value, out);
		else if (span_is(key, "delay"))
			out->delay_us = log_seconds_us(value);
		else if (span_is(key, "result"))
			found = take_result(value, out);
	}
	take_stat(stat, out);
	return found && out->queue_id.len == MESSAGE_ID_LEN &&
	    out->recipient.len > 0;
}

bool
log_opensmtpd(struct span program, struct span message, struct mta_record *out)
{
	struct span s = message;
	struct span session = span_cut(&s, ' ');

	(void)program;
	if (!is_hex(session))
		return false;
	if (!span_skip(&s, "mta delivery ") && !span_skip(&s, "mda delivery "))
		return false;
	return read_delivery(s, out);
}
