/* SPDX-License-Identifier: ISC */
/*
 * The fields of a report's parts: those of a delivery status and of a
 * complaint, and the header of the mail that it is about. mail_report.c finds
 * the parts and calls here with their text.
 *
 * The rule: a value comes from anybody, and ends in logs and lines of
 * protocols. So its length is bounded and it holds no control characters.
 */
#include <ctype.h>
#include <gmime/gmime.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "sink/mail_report_private.h"

#define VALUE_MAX 2000

/* ---- values ---- */

void
report_set(char **field, const char *value, size_t len)
{
	while (len > 0 && isspace((unsigned char)*value)) {
		value++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)value[len - 1]))
		len--;
	free(*field);
	*field = xstrndup(value, len < VALUE_MAX ? len : VALUE_MAX);
	/* Controls would end up in logs and lines of protocols. */
	for (char *p = *field; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
}

/* "type; value" without its type; the whole where there is none. */
static const char *
behind_type(const char *value)
{
	const char *semicolon = strchr(value, ';');

	return semicolon != NULL ? semicolon + 1 : value;
}

/* \x{HEX} of utf-8 addresses (RFC 6533 3), in place. */
static void
unembed(char *text)
{
	char *out = text, *p = text;

	while (*p != '\0') {
		char *end;
		unsigned long point;
		int n;

		if (strncmp(p, "\\x{", 3) != 0 ||
		    !isxdigit((unsigned char)p[3])) {
			*out++ = *p++;
			continue;
		}
		point = strtoul(p + 3, &end, 16);
		if (*end != '}' || point < 0x20 || point > 0x10ffff ||
		    (point >= 0xd800 && point < 0xe000) || point == 127) {
			*out++ = *p++;
			continue;
		}
		n = g_unichar_to_utf8((gunichar)point, out);
		out += n;
		p = end + 1;
	}
	*out = '\0';
}

static void
set_address(char **field, const char *value)
{
	const char *start = behind_type(value);
	size_t len;

	while (isspace((unsigned char)*start) || *start == '<')
		start++;
	len = strcspn(start, "> \t");
	/* A quoted local part may have blanks. */
	if (*start == '"')
		len = strcspn(start, ">");
	report_set(field, start, len);
	unembed(*field);
}

void
report_set_id(char **field, const char *value)
{
	while (isspace((unsigned char)*value) || *value == '<')
		value++;
	report_set(field, value, strcspn(value, "> \t"));
}

/* ---- groups of fields ---- */

typedef void field_fn(struct mail_report *r, const char *name,
    const char *value);

/* Fields from `p` up to an empty line or the end; returns what is behind. */
static const char *
read_group(struct mail_report *r, const char *p, field_fn *on_field)
{
	struct strbuf line = { 0 };

	while (*p != '\0' && *p != '\n') {
		size_t len = strcspn(p, "\n");
		char *colon;

		strbuf_reset(&line);
		strbuf_add(&line, p, len);
		p += len + (p[len] == '\n');
		while (*p == ' ' || *p == '\t') { /* folded */
			len = strcspn(p, "\n");
			if (line.len < VALUE_MAX)
				strbuf_add(&line, p, len);
			p += len + (p[len] == '\n');
		}
		colon = line.len > 0 ? strchr(line.data, ':') : NULL;
		if (colon == NULL)
			continue;
		*colon = '\0';
		g_strchomp(line.data);
		on_field(r, line.data, colon + 1);
	}
	strbuf_fini(&line);
	while (*p == '\n')
		p++;
	return p;
}

struct report_recipient *
report_add_recipient(struct mail_report *r)
{
	struct report_recipient *to;

	if (r->n_recipients == REPORT_RECIPIENTS_MAX)
		return NULL;
	if (r->recipients == NULL)
		r->recipients = xcalloc(REPORT_RECIPIENTS_MAX, sizeof(*to));
	to = &r->recipients[r->n_recipients++];
	to->original = xstrdup("");
	to->final = xstrdup("");
	to->status = xstrdup("");
	to->diagnostic = xstrdup("");
	to->remote = xstrdup("");
	return to;
}

void
report_drop_recipient(struct mail_report *r)
{
	struct report_recipient *to = &r->recipients[--r->n_recipients];

	free(to->original);
	free(to->final);
	free(to->status);
	free(to->diagnostic);
	free(to->remote);
}

/* ---- delivery status (RFC 3464) ---- */

/* X-Postfix-Queue-ID, and what others call alike. */
static bool
is_queue_id(const char *name)
{
	static const char end[] = "-Queue-ID";
	size_t len = strlen(name);

	return strncasecmp(name, "X-", 2) == 0 && len > sizeof(end) &&
	    strcasecmp(name + len - (sizeof(end) - 1), end) == 0;
}

static void
on_message_field(struct mail_report *r, const char *name, const char *value)
{
	if (strcasecmp(name, "Original-Envelope-Id") == 0)
		report_set(&r->envid, value, strlen(value));
	else if (strcasecmp(name, "Reporting-MTA") == 0)
		report_set(&r->reporter, behind_type(value),
		    strlen(behind_type(value)));
	else if (is_queue_id(name))
		report_set(&r->queue_id, value, strlen(value));
}

static enum report_action
parse_action(const char *value)
{
	static const struct {
		const char *word;
		enum report_action action;
	} words[] = { { "failed", ACTION_FAILED },
		{ "delayed", ACTION_DELAYED },
		{ "delivered", ACTION_DELIVERED },
		{ "relayed", ACTION_RELAYED },
		{ "expanded", ACTION_EXPANDED } };

	while (isspace((unsigned char)*value))
		value++;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i].word);

		/* A comment may follow. */
		if (strncasecmp(value, words[i].word, len) == 0 &&
		    !isalpha((unsigned char)value[len]))
			return words[i].action;
	}
	return ACTION_NONE;
}

/* "5.1.1 (no such user)"; "" when it is none. */
static void
set_status(char **field, const char *value)
{
	size_t len;

	while (isspace((unsigned char)*value))
		value++;
	len = strspn(value, "0123456789.");
	if (len >= 5 && len <= 11 && strchr("245", *value) != NULL &&
	    value[1] == '.')
		report_set(field, value, len);
}

/* A name, without what may stand behind it: "mx.example.net (192.0.2.1)". */
static void
set_host(char **field, const char *value)
{
	value += strspn(value, " \t");
	report_set(field, value, strcspn(value, " \t("));
}

static int64_t
parse_date(const char *value)
{
	GDateTime *date = g_mime_utils_header_decode_date(value);
	int64_t utc_us;

	if (date == NULL)
		return 0;
	utc_us = g_date_time_to_unix(date) * INT64_C(1000000);
	g_date_time_unref(date);
	return utc_us > 0 ? utc_us : 0;
}

static void
on_recipient_field(struct mail_report *r, const char *name, const char *value)
{
	struct report_recipient *to = &r->recipients[r->n_recipients - 1];

	if (strcasecmp(name, "Original-Recipient") == 0)
		set_address(&to->original, value);
	else if (strcasecmp(name, "Final-Recipient") == 0)
		set_address(&to->final, value);
	else if (strcasecmp(name, "Action") == 0)
		to->action = parse_action(value);
	else if (strcasecmp(name, "Status") == 0)
		set_status(&to->status, value);
	else if (strcasecmp(name, "Diagnostic-Code") == 0)
		report_set(&to->diagnostic, behind_type(value),
		    strlen(behind_type(value)));
	else if (strcasecmp(name, "Final-Log-ID") == 0 && *r->queue_id == '\0')
		report_set(&r->queue_id, value,
		    strlen(value)); /* RFC 3464 2.3.8 */
	else if (strcasecmp(name, "Remote-MTA") == 0)
		set_host(&to->remote, behind_type(value));
	else if (strcasecmp(name, "Last-Attempt-Date") == 0)
		to->utc_us = parse_date(value);
}

void
report_read_delivery_status(struct mail_report *r, const char *text)
{
	while (*text == '\n')
		text++;
	text = read_group(r, text, on_message_field);
	while (*text != '\0') {
		struct report_recipient *to = report_add_recipient(r);

		if (to == NULL)
			break;
		text = read_group(r, text, on_recipient_field);
		if (to->action == ACTION_NONE ||
		    (*to->original == '\0' && *to->final == '\0'))
			report_drop_recipient(r);
	}
	if (r->n_recipients > 0)
		r->kind = REPORT_DSN;
}

/* ---- complaints (RFC 5965) ---- */

static void
on_feedback_field(struct mail_report *r, const char *name, const char *value)
{
	struct report_recipient *to;

	if (strcasecmp(name, "Feedback-Type") == 0) {
		report_set(&r->feedback_type, value, strlen(value));
		for (char *p = r->feedback_type; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
	} else if (strcasecmp(name, "User-Agent") == 0) {
		report_set(&r->reporter, value, strlen(value));
	} else if (strcasecmp(name, "Original-Envelope-Id") == 0) {
		report_set(&r->envid, value, strlen(value));
	} else if (strcasecmp(name, "Original-Mail-From") == 0) {
		set_address(&r->mail_from, value);
	} else if (strcasecmp(name, "Source-IP") == 0) {
		report_set(&r->source_ip, value, strlen(value));
	} else if (strcasecmp(name, "Original-Rcpt-To") == 0 ||
	    strcasecmp(name, "Removal-Recipient") == 0) {
		to = report_add_recipient(r);
		if (to != NULL)
			set_address(&to->original, value);
	}
}

void
report_read_feedback(struct mail_report *r, const char *text)
{
	while (*text == '\n')
		text++;
	read_group(r, text, on_feedback_field);
	if (*r->feedback_type != '\0')
		r->kind = REPORT_COMPLAINT;
}

/* ---- the mail that it is about ---- */

/* One address, whatever name stands beside it; several are none. */
static void
set_only_address(char **field, const char *value)
{
	const char *angle = strrchr(value, '<');

	if (strchr(value, '@') == NULL)
		return;
	if (angle != NULL && strchr(angle, ',') == NULL &&
	    strchr(value, '<') == angle)
		set_address(field, angle);
	else if (angle == NULL && strchr(value, ',') == NULL)
		set_address(field, value);
}

static void
on_original_field(struct mail_report *r, const char *name, const char *value)
{
	if (strcasecmp(name, "Message-ID") == 0 && *r->message_id == '\0')
		report_set_id(&r->message_id, value);
	else if (strcasecmp(name, REPORT_TRACE_FIELD) == 0 && *r->trace == '\0')
		report_set(&r->trace, value, strlen(value));
	else if (strcasecmp(name, "Return-Path") == 0 && *r->mail_from == '\0')
		set_address(&r->mail_from, value);
	else if (strcasecmp(name, "X-HmXmrOriginalRecipient") == 0 ||
	    (strcasecmp(name, "To") == 0 && *r->to == '\0'))
		set_only_address(&r->to, value); /* the first: Outlook's */
}

void
report_read_header(struct mail_report *r, const char *text)
{
	read_group(r, text, on_original_field);
}
