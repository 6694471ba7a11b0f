/* SPDX-License-Identifier: ISC */
/*
 * Reads the header section of a message as it passes from the content reader
 * to the spool's body: counts Received fields, sees whether Message-ID and
 * Date are there, keeps the values that some stream's match asks for, and lets
 * the session add fields at the section's end. It changes nothing itself but
 * for one case: text without a blank line before it gets one, or our own
 * fields would be taken for part of that text.
 *
 * Bytes pass at once and in large pieces. Only a field's name is held back
 * when a piece ends within it, since until its ":" it may be text.
 */
#include "daemon/header_scan.h"

#include <string.h>
#include <strings.h>

enum { AT_LINE_START, IN_NAME, IN_VALUE, AT_END };

void
header_scan_init(struct header_scan *h, const struct header_scan_ops *ops,
    const char *const *wanted, struct header_value *values, size_t n_wanted)
{
	size_t i;

	memset(h, 0, sizeof(*h));
	h->ops = ops;
	h->wanted = wanted;
	h->values = values;
	h->n_wanted = n_wanted;
	for (i = 0; i < n_wanted; i++) {
		values[i].is_set = false;
		strbuf_reset(&values[i].text);
	}
}

static void
pass(struct header_scan *h, const char *data, size_t len)
{
	if (len > 0)
		h->ops->pass(data, len, h->ops->arg);
}

static bool
name_is(const struct header_scan *h, const char *name)
{
	return strlen(name) == h->name_len &&
	    strncasecmp(h->name, name, h->name_len) == 0;
}

static void
trim(struct strbuf *text)
{
	size_t from;

	if (text->data == NULL)
		return;
	from = strspn(text->data, " \t");
	while (text->len > from &&
	    strchr(" \t", text->data[text->len - 1]) != NULL)
		text->data[--text->len] = '\0';
	strbuf_consume(text, from);
}

static void
field_begin(struct header_scan *h)
{
	size_t i;

	h->state = IN_VALUE;
	h->n_fields++;
	if (name_is(h, "Received"))
		h->n_received++;
	else if (name_is(h, "Message-ID"))
		h->has_message_id = true;
	else if (name_is(h, "Date"))
		h->has_date = true;
	for (i = 0; i < h->n_wanted; i++)
		if (!h->values[i].is_set && name_is(h, h->wanted[i])) {
			h->values[i].is_set = true;
			h->capture = &h->values[i].text;
			return;
		}
}

static void
field_end(struct header_scan *h)
{
	if (h->capture != NULL)
		trim(h->capture);
	h->capture = NULL;
	h->name_len = 0;
	h->name_is_over = false;
}

static void
capture(struct header_scan *h, const char *data, size_t len)
{
	size_t i;

	if (h->capture == NULL)
		return;
	for (i = 0; i < len && h->capture->len < HEADER_VALUE_MAX; i++)
		if (data[i] != '\r' && data[i] != '\n')
			strbuf_addc(h->capture, data[i]);
}

/* All fields are through, and what is left is the blank line and the text. */
static void
section_end(struct header_scan *h)
{
	field_end(h);
	h->state = AT_END;
	h->ops->fields_end(h->ops->arg);
}

/* What looked like a field's name is the message's text. */
static void
text_begin(struct header_scan *h)
{
	size_t n_held = h->name_len;

	section_end(h);
	pass(h, "\r\n", 2);
	pass(h, h->name, n_held);
}

/* One byte of a name; false when this can't be one (RFC 5322 2.2, blanks
 * before the ":" by 4.5). */
static bool
name_add(struct header_scan *h, char c)
{
	bool is_blank = c == ' ' || c == '\t';

	if (is_blank ? h->name_len == 0
		     : c < 33 || c > 126 || c == ':' || h->name_is_over)
		return false;
	if (h->name_len == sizeof(h->name))
		return false;
	h->name_is_over |= is_blank;
	h->name[h->name_len++] = c;
	return true;
}

static void
name_trim(struct header_scan *h)
{
	while (h->name_len > 0 &&
	    strchr(" \t", h->name[h->name_len - 1]) != NULL)
		h->name_len--;
}

/* A line begins: blank line, continuation, or a name. */
static void
line_begin(struct header_scan *h, char c)
{
	if (c == '\r') {
		section_end(h);
	} else if ((c == ' ' || c == '\t') && h->n_fields > 0) {
		h->state = IN_VALUE;
	} else {
		field_end(h);
		h->state = IN_NAME;
	}
}

/* From i on within a value; returns where the next line begins. */
static size_t
value_add(struct header_scan *h, const char *data, size_t i, size_t len)
{
	const char *lf = memchr(data + i, '\n', len - i);
	size_t to = lf != NULL ? (size_t)(lf - data) + 1 : len;

	capture(h, data + i, to - i);
	if (lf != NULL)
		h->state = AT_LINE_START;
	return to;
}

void
header_scan_add(struct header_scan *h, const char *data, size_t len)
{
	/* data[from..i) is looked at and not passed. Of a name in progress the
	 * first n_held bytes came with earlier pieces and lie in h->name only.
	 */
	size_t i = 0, from = 0, n_new;
	size_t n_held = h->state == IN_NAME ? h->name_len : 0;

	while (i < len && h->state != AT_END) {
		if (h->state == IN_VALUE) {
			i = value_add(h, data, i, len);
		} else if (h->state == AT_LINE_START) {
			if (data[i] == '\r') {
				pass(h, data + from, i - from);
				from = i;
			}
			line_begin(h, data[i]);
		} else if (data[i] == ':' && h->name_len > 0) {
			pass(h, h->name, n_held);
			n_held = 0;
			name_trim(h);
			field_begin(h);
			i++;
		} else if (name_add(h, data[i])) {
			i++;
		} else {
			n_new = h->name_len - n_held;
			pass(h, data + from, i - n_new - from);
			from = i;
			text_begin(h);
		}
	}
	n_new = h->state == IN_NAME ? h->name_len - n_held : 0;
	pass(h, data + from, (h->state == IN_NAME ? i - n_new : len) - from);
}

void
header_scan_end(struct header_scan *h)
{
	if (h->state == AT_END)
		return;
	if (h->state == IN_NAME)
		text_begin(h);
	else
		section_end(h);
}

const char *
header_scan_value(const struct header_scan *h, const char *name)
{
	size_t i;

	for (i = 0; i < h->n_wanted; i++)
		if (strcasecmp(h->wanted[i], name) == 0) {
			if (!h->values[i].is_set)
				return NULL;
			return h->values[i].text.data != NULL
			    ? h->values[i].text.data
			    : "";
		}
	return NULL;
}
