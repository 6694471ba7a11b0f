/* SPDX-License-Identifier: ISC */
/*
 * The content of a message as it comes in: finds the end of DATA, takes the
 * dots out that the client stuffed, and looks for what no message may hold.
 * The session feeds it and gets large spans back, cut only where a dot was
 * removed; it keeps no data.
 *
 * The one subtle rule: a line ends with CRLF and with nothing else (RFC 5321
 * 2.3.8). A bare CR or LF never begins a line, so no dot behind it can end the
 * message, and a content that holds one is refused when its true end has
 * come. Were it passed on, a laxer server behind us might see two messages
 * where we saw one (smuggling).
 */
#include "daemon/content_reader.h"

#include <stdint.h>
#include <string.h>

enum {
	AT_LINE_START,
	IN_LINE,
	AFTER_CR,
	AFTER_DOT,    /* "." at the start of a line: held back */
	AFTER_DOT_CR, /* ".CR": held back too */
	AT_END,
};

void
content_reader_init(struct content_reader *r, content_span_fn *span, void *arg)
{
	*r = (struct content_reader){ .span = span, .arg = arg };
}

static bool
has_high_bit(const char *data, size_t len)
{
	uint64_t seen = 0, word;
	size_t i;

	for (i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, data + i, sizeof(word));
		seen |= word;
	}
	for (; i < len; i++)
		seen |= (unsigned char)data[i] & 0x80u;
	return (seen & 0x8080808080808080u) != 0;
}

static void
pass(struct content_reader *r, const char *data, size_t len)
{
	if (len == 0)
		return;
	r->n_bytes += len;
	if (memchr(data, '\0', len) != NULL)
		r->faults |= CONTENT_NUL;
	if (r->faults != 0)
		return;
	if (!r->has_8bit)
		r->has_8bit = has_high_bit(data, len);
	r->span(data, len, r->arg);
}

static void
count_line(struct content_reader *r, size_t len)
{
	r->line_len += len;
	if (r->line_len > CONTENT_LINE_MAX)
		r->faults |= CONTENT_LINE_LONG;
}

/* Goes on to just behind the next CR, or to the end; no line end between. */
static size_t
skip_line(struct content_reader *r, const char *data, size_t len)
{
	const char *cr = memchr(data, '\r', len);
	size_t n = cr != NULL ? (size_t)(cr - data) : len;

	if (memchr(data, '\n', n) != NULL)
		r->faults |= CONTENT_BARE_NEWLINE;
	count_line(r, n);
	r->state = IN_LINE;
	if (cr == NULL)
		return n;
	r->state = AFTER_CR;
	return n + 1;
}

/* The byte behind a CR: LF, or the CR was a bare one. */
static size_t
step_after_cr(struct content_reader *r, char c)
{
	if (c == '\n') {
		r->state = AT_LINE_START;
		r->line_len = 0;
		return 1;
	}
	r->faults |= CONTENT_BARE_NEWLINE;
	if (c == '\r')
		return 1; /* perhaps this one has its LF */
	r->state = IN_LINE;
	return 0;
}

size_t
content_reader_data(struct content_reader *r, const char *data, size_t len,
    bool *done_out)
{
	size_t i = 0, from = 0;

	while (i < len && r->state != AT_END) {
		switch (r->state) {
		case AT_LINE_START:
			if (data[i] != '.') {
				i += skip_line(r, data + i, len - i);
				break;
			}
			pass(r, data + from, i - from);
			from = ++i;
			r->state = AFTER_DOT;
			break;
		case IN_LINE:
			i += skip_line(r, data + i, len - i);
			break;
		case AFTER_CR:
			i += step_after_cr(r, data[i]);
			break;
		case AFTER_DOT:
			if (data[i] == '\r') {
				from = ++i;
				r->state = AFTER_DOT_CR;
			} else {
				r->state = IN_LINE;
			}
			break;
		case AFTER_DOT_CR:
			if (data[i] == '\n') {
				from = ++i;
				r->state = AT_END;
			} else {
				/* The fault drops the CR with the rest. */
				r->state = AFTER_CR;
			}
			break;
		}
	}
	pass(r, data + from, i - from);
	*done_out = r->state == AT_END;
	return i;
}

void
content_reader_chunk(struct content_reader *r, const char *data, size_t len)
{
	size_t i = 0;

	while (i < len) {
		if (r->state == AFTER_CR)
			i += step_after_cr(r, data[i]);
		else
			i += skip_line(r, data + i, len - i);
	}
	pass(r, data, len);
}

void
content_reader_chunk_end(struct content_reader *r)
{
	if (r->state == AFTER_CR)
		r->faults |= CONTENT_BARE_NEWLINE;
	else if (r->state == IN_LINE)
		pass(r, "\r\n", 2);
	r->state = AT_END;
}
