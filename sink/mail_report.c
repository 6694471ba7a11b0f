/* SPDX-License-Identifier: ISC */
/*
 * Reads reports about our mail. GMime takes the message apart; what is in the
 * parts are groups of fields, which mail_report_fields.c reads. The reports
 * listener calls it, on whatever the world sends there.
 *
 * Nothing is believed but what has the form of a report: a part of type
 * message/delivery-status or message/feedback-report with the fields that make
 * it one. The subtle rule: GMime goes down into parts within parts, so mail
 * with more boundaries than any report has isn't given to it.
 */
#include "sink/mail_report_private.h"

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

static pthread_once_t once = PTHREAD_ONCE_INIT;

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
	report_read_header(r, fields);
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
		report_read_delivery_status(r, text);
	else if (r->kind == REPORT_NONE &&
	    is_type(part, "message", "feedback-report"))
		report_read_feedback(r, text);
	else if (is_type(part, "text", "rfc822-headers") ||
	    is_type(part, "message", "global-headers") ||
	    is_type(part, "message", "global"))
		report_read_header(r, text);
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
	    *r->to != '\0' && (to = report_add_recipient(r)) != NULL)
		report_set(&to->original, r->to, strlen(r->to));
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
		report_drop_recipient(r);
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
			report_set_id(&id, text);
			return id;
		}
		if (lf == NULL)
			break;
		line = lf + 1;
	}
	return NULL;
}
