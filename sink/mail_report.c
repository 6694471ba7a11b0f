/* SPDX-License-Identifier: ISC */
/*
 * Reads reports about our mail. GMime takes the message apart; what is in the
 * parts are groups of fields, read here. The reports listener calls it, on
 * whatever the world sends there.
 *
 * Nothing is believed but what has the form of a report: a part of type
 * message/delivery-status or message/feedback-report with the fields that make
 * it one. The subtle rule: GMime goes down into parts within parts, so mail
 * with more boundaries than any report has isn't given to it.
 */
#include "sink/mail_report.h"

#include <ctype.h>
#include <gmime/gmime.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define PARTS_MAX      16
#define BOUNDARIES_MAX 64
#define VALUE_MAX      2000

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- values ---- */

static void
set(char **field, const char *value, size_t len)
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
	set(field, start, len);
	unembed(*field);
}

static void
set_id(char **field, const char *value)
{
	while (isspace((unsigned char)*value) || *value == '<')
		value++;
	set(field, value, strcspn(value, "> \t"));
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

static struct report_recipient *
add_recipient(struct mail_report *r)
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

static void
drop_recipient(struct mail_report *r)
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
		set(&r->envid, value, strlen(value));
	else if (strcasecmp(name, "Reporting-MTA") == 0)
		set(&r->reporter, behind_type(value),
		    strlen(behind_type(value)));
	else if (is_queue_id(name))
		set(&r->queue_id, value, strlen(value));
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
		set(field, value, len);
}

/* A name, without what may stand behind it: "mx.example.net (192.0.2.1)". */
static void
set_host(char **field, const char *value)
{
	value += strspn(value, " \t");
	set(field, value, strcspn(value, " \t("));
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
		set(&to->diagnostic, behind_type(value),
		    strlen(behind_type(value)));
	else if (strcasecmp(name, "Final-Log-ID") == 0 && *r->queue_id == '\0')
		set(&r->queue_id, value, strlen(value)); /* RFC 3464 2.3.8 */
	else if (strcasecmp(name, "Remote-MTA") == 0)
		set_host(&to->remote, behind_type(value));
	else if (strcasecmp(name, "Last-Attempt-Date") == 0)
		to->utc_us = parse_date(value);
}

static void
read_delivery_status(struct mail_report *r, const char *text)
{
	while (*text == '\n')
		text++;
	text = read_group(r, text, on_message_field);
	while (*text != '\0') {
		struct report_recipient *to = add_recipient(r);

		if (to == NULL)
			break;
		text = read_group(r, text, on_recipient_field);
		if (to->action == ACTION_NONE ||
		    (*to->original == '\0' && *to->final == '\0'))
			drop_recipient(r);
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
		set(&r->feedback_type, value, strlen(value));
		for (char *p = r->feedback_type; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
	} else if (strcasecmp(name, "User-Agent") == 0) {
		set(&r->reporter, value, strlen(value));
	} else if (strcasecmp(name, "Original-Envelope-Id") == 0) {
		set(&r->envid, value, strlen(value));
	} else if (strcasecmp(name, "Original-Mail-From") == 0) {
		set_address(&r->mail_from, value);
	} else if (strcasecmp(name, "Source-IP") == 0) {
		set(&r->source_ip, value, strlen(value));
	} else if (strcasecmp(name, "Original-Rcpt-To") == 0 ||
	    strcasecmp(name, "Removal-Recipient") == 0) {
		to = add_recipient(r);
		if (to != NULL)
			set_address(&to->original, value);
	}
}

static void
read_feedback(struct mail_report *r, const char *text)
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
		set_id(&r->message_id, value);
	else if (strcasecmp(name, REPORT_TRACE_FIELD) == 0 && *r->trace == '\0')
		set(&r->trace, value, strlen(value));
	else if (strcasecmp(name, "Return-Path") == 0 && *r->mail_from == '\0')
		set_address(&r->mail_from, value);
	else if (strcasecmp(name, "X-HmXmrOriginalRecipient") == 0 ||
	    (strcasecmp(name, "To") == 0 && *r->to == '\0'))
		set_only_address(&r->to, value); /* the first: Outlook's */
}

/* ---- parts ---- */

/* Decoded, with line ends "\n" and without NUL; malloc'd. */
static char *
text_of(GMimeDataWrapper *content)
{
	GMimeStream *stream = g_mime_stream_mem_new();
	GByteArray *bytes;
	struct strbuf text = { 0 };

	if (content != NULL)
		g_mime_data_wrapper_write_to_stream(content, stream);
	bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
	strbuf_reserve(&text, bytes->len + 1);
	strbuf_adds(&text, ""); /* nothing is a string too */
	for (guint i = 0; i < bytes->len; i++)
		if (bytes->data[i] != '\r' && bytes->data[i] != '\0')
			strbuf_addc(&text, (char)bytes->data[i]);
	g_object_unref(stream);
	return strbuf_take(&text);
}

/* A returned message, or its header alone. */
static void
read_message(struct mail_report *r, GMimeMessagePart *part)
{
	GMimeMessage *m = g_mime_message_part_get_message(part);
	char *fields, *out;

	if (m == NULL)
		return;
	fields = g_mime_object_get_headers(GMIME_OBJECT(m), NULL);
	if (fields == NULL)
		return;
	out = fields;
	for (const char *p = fields; *p != '\0'; p++)
		if (*p != '\r')
			*out++ = *p;
	*out = '\0';
	read_group(r, fields, on_original_field);
	g_free(fields);
}

static bool
is_type(GMimeObject *part, const char *type, const char *subtype)
{
	return g_mime_content_type_is_type(g_mime_object_get_content_type(part),
	    type, subtype);
}

static void
read_part(struct mail_report *r, GMimeObject *part)
{
	char *text;

	if (GMIME_IS_MESSAGE_PART(part)) {
		read_message(r, GMIME_MESSAGE_PART(part));
		return;
	}
	if (!GMIME_IS_PART(part))
		return;
	text = text_of(g_mime_part_get_content(GMIME_PART(part)));
	if (r->kind == REPORT_NONE &&
	    (is_type(part, "message", "delivery-status") ||
		is_type(part, "message", "global-delivery-status")))
		read_delivery_status(r, text);
	else if (r->kind == REPORT_NONE &&
	    is_type(part, "message", "feedback-report"))
		read_feedback(r, text);
	else if (is_type(part, "text", "rfc822-headers") ||
	    is_type(part, "message", "global-headers") ||
	    is_type(part, "message", "global"))
		read_group(r, text, on_original_field);
	free(text);
}

/* ---- the whole ---- */

static bool
has_few_boundaries(const char *data, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i + 8 < len; i++)
		if ((data[i] == 'b' || data[i] == 'B' || data[i] == 'm' ||
			data[i] == 'M') &&
		    (strncasecmp(data + i, "boundary", 8) == 0 ||
			strncasecmp(data + i, "message/", 8) == 0) &&
		    ++n > BOUNDARIES_MAX)
			return false;
	return true;
}

static void
read_all(struct mail_report *r, GMimeMessage *m)
{
	GMimeObject *top = g_mime_message_get_mime_part(m);
	int n;

	if (top == NULL || !GMIME_IS_MULTIPART(top))
		return;
	n = g_mime_multipart_get_count(GMIME_MULTIPART(top));
	for (int i = 0; i < n && i < PARTS_MAX; i++)
		read_part(r,
		    g_mime_multipart_get_part(GMIME_MULTIPART(top), i));
}

/* Many complaints name nobody: whose they are stands in the mail itself. */
static void
complete(struct mail_report *r)
{
	struct report_recipient *to;

	if (r->kind == REPORT_COMPLAINT && r->n_recipients == 0 &&
	    *r->to != '\0' && (to = add_recipient(r)) != NULL)
		set(&to->original, r->to, strlen(r->to));
}

void
mail_report_read(struct mail_report *out, const char *data, size_t len)
{
	GMimeStream *stream;
	GMimeParser *parser;
	GMimeMessage *m;

	*out = (struct mail_report){ .envid = xstrdup(""),
		.trace = xstrdup(""),
		.message_id = xstrdup(""),
		.queue_id = xstrdup(""),
		.mail_from = xstrdup(""),
		.to = xstrdup(""),
		.feedback_type = xstrdup(""),
		.source_ip = xstrdup(""),
		.reporter = xstrdup("") };
	if (len > REPORT_BYTES_MAX || !has_few_boundaries(data, len))
		return;
	pthread_once(&once, g_mime_init);
	stream = g_mime_stream_mem_new_with_buffer(data, len);
	parser = g_mime_parser_new_with_stream(stream);
	g_object_unref(stream);
	m = g_mime_parser_construct_message(parser, NULL);
	if (m != NULL) {
		read_all(out, m);
		complete(out);
		g_object_unref(m);
	}
	g_object_unref(parser);
}

void
mail_report_fini(struct mail_report *r)
{
	while (r->n_recipients > 0)
		drop_recipient(r);
	free(r->recipients);
	free(r->envid);
	free(r->trace);
	free(r->message_id);
	free(r->queue_id);
	free(r->mail_from);
	free(r->to);
	free(r->feedback_type);
	free(r->source_ip);
	free(r->reporter);
	*r = (struct mail_report){ 0 };
}

bool
mail_report_is_against_us(const struct mail_report *r)
{
	return r->kind == REPORT_COMPLAINT &&
	    strcmp(r->feedback_type, "not-spam") != 0 &&
	    strcmp(r->feedback_type, "auth-failure") != 0 &&
	    strcmp(r->feedback_type, "dmarc") != 0;
}

char *
mail_report_message_id(const char *data, size_t len)
{
	static const char name[] = "Message-ID:";
	const char *end = data + len, *line = data;
	char *id = NULL;

	while (line < end && *line != '\r' && *line != '\n') {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		size_t line_len = (size_t)((lf != NULL ? lf : end) - line);

		if (line_len >= sizeof(name) &&
		    strncasecmp(line, name, sizeof(name) - 1) == 0) {
			/* It may stand in the next line, folded. */
			const char *p = line + sizeof(name) - 1;
			char text[1000];
			size_t n = 0;

			while (p < end && isspace((unsigned char)*p))
				p++;
			while (p < end && !isspace((unsigned char)*p) &&
			    n < sizeof(text) - 1)
				text[n++] = *p++;
			text[n] = '\0';
			set_id(&id, text);
			return id;
		}
		if (lf == NULL)
			break;
		line = lf + 1;
	}
	return NULL;
}
