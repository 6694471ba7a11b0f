/* SPDX-License-Identifier: ISC */
/*
 * Postfix's log, 3.4 to 3.11 (log_adhoc.c, smtp_trouble.c, smtp_proto.c,
 * smtpd.c, qmgr_active.c there). A delivery's line is read by its keys, as
 * each release may add some: tls= came with 3.11.
 *
 * The one subtle rule: `delivery temporarily suspended` and everything else
 * that the error and retry daemons defer repeats one earlier reply for every
 * message in the queue. That is an echo, never evidence.
 */
#include <ctype.h>

#include "sink/mta_log_private.h"

#define QUEUE_ID_MIN 6
#define QUEUE_ID_MAX 32

/* "postfix/ip1/smtp" -> "smtp"; without a "/" it isn't Postfix. */
static bool
component_of(struct span program, struct span *out)
{
	size_t at = span_find_last(program, "/");

	if (at == program.len)
		return false;
	*out = span_from(program, at + 1);
	return true;
}

/* "4dF5hC2QpTz9sQx: " passed over. */
static bool
take_queue_id(struct span *s, struct span *out)
{
	size_t n = 0;

	while (n < s->len && n < QUEUE_ID_MAX &&
	    isalnum((unsigned char)s->p[n]))
		n++;
	if (n < QUEUE_ID_MIN || n + 2 > s->len || s->p[n] != ':' ||
	    s->p[n + 1] != ' ')
		return false;
	/* "warning: ", "statistics: ", "NOQUEUE: ": no digit begins or ends
	 * such words, and an id has at least one. */
	*out = span_to(*s, n);
	*s = span_from(*s, n + 2);
	for (size_t i = 0; i < n; i++)
		if (isdigit((unsigned char)out->p[i]))
			return true;
	return false;
}

/* ---- a delivery's keys ---- */

/* "<address>" whose local part may be quoted and hold anything. */
static struct span
take_address(struct span *s)
{
	bool is_quoted = false;
	size_t i = 1;
	struct span address;

	for (; i < s->len; i++) {
		if (s->p[i] == '\\' && is_quoted)
			i++;
		else if (s->p[i] == '"')
			is_quoted = !is_quoted;
		else if (s->p[i] == '>' && !is_quoted)
			break;
	}
	address = span_from(span_to(*s, i), 1);
	*s = span_from(*s, i + 1);
	span_skip(s, ", ");
	return address;
}

static struct span
take_value(struct span *s)
{
	size_t at;
	struct span value;

	if (s->len > 0 && s->p[0] == '<')
		return take_address(s);
	at = span_find(*s, ", ");
	value = span_to(*s, at);
	*s = span_from(*s, at + 2);
	return value;
}

static void
take_relay(struct span value, struct mta_record *out)
{
	if (!span_is(value, "none"))
		log_take_host(value, out);
}

/* One key but status, which has the rest of the line. */
static void
take_key(struct span key, struct span value, struct mta_record *out)
{
	if (span_is(key, "to"))
		out->recipient = value;
	else if (span_is(key, "orig_to"))
		out->orig_to = value;
	else if (span_is(key, "relay"))
		take_relay(value, out);
	else if (span_is(key, "dsn"))
		out->dsn = value;
	else if (span_is(key, "delay"))
		out->delay_us = log_seconds_us(value);
}

/* ---- the text of a status ---- */

/* "host X[ip] said: 421 ... (in reply to MAIL FROM command)". */
static bool
take_said(struct span text, struct mta_record *out)
{
	static const char said[] = " said: ",
			  refused[] = " refused to talk to me: ",
			  in_reply[] = " (in reply to ";
	struct mta_record host = { 0 };
	struct span rest = text;
	size_t at, end;

	if (!span_skip(&rest, "host "))
		return false;
	at = span_find(rest, said);
	if (at == rest.len) {
		at = span_find(rest, refused);
		if (at == rest.len)
			return false;
		out->phase = PHASE_CONNECT;
	}
	log_take_host(span_to(rest, at), &host);
	out->relay = host.relay;
	out->relay_ip = host.relay_ip;
	rest = span_from(rest,
	    at +
		(out->phase == PHASE_CONNECT ? strlen(refused) : strlen(said)));
	end = span_find_last(rest, in_reply);
	if (end < rest.len) {
		out->phase = log_phase(span_from(rest, end));
		rest = span_to(rest, end);
	}
	return log_take_reply(rest, out);
}

/* No reply came: what Postfix says of it, and the phase in that. */
static void
take_trouble(struct span text, struct mta_record *out)
{
	size_t at = span_find(text, " while ");

	out->reply = text;
	if (at < text.len)
		out->phase = log_phase(span_from(text, at));
	else if (span_begins(text, "connect to "))
		out->phase = PHASE_CONNECT;
}

static bool
is_echo(struct span component, struct span text)
{
	return span_begins(text, "delivery temporarily suspended") ||
	    span_is(component, "error") || span_is(component, "retry");
}

/* "sent (250 2.0.0 OK)" */
static bool
take_status(struct span component, struct span s, struct mta_record *out)
{
	struct span word = span_cut(&s, ' ');
	struct span text = span_begins(s, "(") ? span_from(s, 1) : s;

	text = span_to(text, span_find_last(text, ")"));
	if (span_is(word, "sent")) {
		out->kind = MTA_LOG_DELIVERED;
		out->phase = PHASE_EOD;
		if (!log_take_reply(text, out))
			out->reply = text;
		out->child = log_queued_as(text);
		return true;
	}
	if (span_is(word, "deferred"))
		out->kind =
		    is_echo(component, text) ? MTA_LOG_ECHO : MTA_LOG_DEFERRED;
	else if (span_is(word, "bounced") || span_is(word, "undeliverable"))
		out->kind = MTA_LOG_BOUNCED;
	else
		return false; /* expanded, deliverable, whatever comes */
	if (!take_said(text, out))
		take_trouble(text, out);
	return true;
}

static bool
read_delivery(struct span component, struct span s, struct mta_record *out)
{
	while (s.len > 0) {
		size_t at = span_find(s, "=");
		struct span key = span_to(s, at);

		if (at == s.len)
			return false;
		s = span_from(s, at + 1);
		if (span_is(key, "status"))
			return out->recipient.len > 0 &&
			    take_status(component, s, out);
		take_key(key, take_value(&s), out);
	}
	return false;
}

/* ---- the other components ---- */

/* "client=x[1.2.3.4], orig_queue_id=01JDGOV7, orig_client=..." */
static bool
read_received(struct span s, struct mta_record *out)
{
	while (s.len > 0) {
		size_t at = span_find(s, "=");
		struct span key = span_to(s, at);
		struct span value;

		s = span_from(s, at + 1);
		value = take_value(&s);
		/* A value before it may have held ", ". */
		at = span_find_last(key, ", ");
		if (at < key.len)
			key = span_from(key, at + 2);
		if (span_is(key, "orig_queue_id"))
			out->ident = value;
	}
	out->kind = MTA_LOG_RECEIVED;
	return true;
}

static bool
read_qmgr(struct span s, struct mta_record *out)
{
	size_t at;

	if (span_is(s, "removed")) {
		out->kind = MTA_LOG_REMOVED;
		return true;
	}
	if (!span_skip(&s, "from=<"))
		return false;
	at = span_find_last(s, ", status=");
	s = span_from(s, at + strlen(", status="));
	if (!span_begins(s, "expired") && !span_begins(s, "force-expired"))
		return false;
	out->kind = MTA_LOG_EXPIRED;
	out->reply = s;
	return true;
}

/* "host X[ip] said: 421 ...": the attempt goes on with another host. */
static bool
read_skipped(struct span s, struct mta_record *out)
{
	if (!take_said(s, out))
		return false;
	out->kind = MTA_LOG_SOFT;
	return true;
}

bool
log_postfix(struct span program, struct span message, struct mta_record *out)
{
	struct span component, s = message;

	if (!component_of(program, &component) ||
	    !take_queue_id(&s, &out->queue_id))
		return false;
	if (span_begins(s, "to=<"))
		return read_delivery(component, s, out);
	if (span_begins(s, "client="))
		return read_received(s, out);
	if (span_is(component, "pickup") && span_begins(s, "uid=")) {
		out->kind = MTA_LOG_RECEIVED;
		return true;
	}
	if (span_is(component, "qmgr"))
		return read_qmgr(s, out);
	return span_begins(s, "host ") && read_skipped(s, out);
}
