/* SPDX-License-Identifier: ISC */
/*
 * SMTP replies out of bytes, as the client and the log readers need them. No
 * I/O, no allocation beyond what the limits below allow; the bytes are the
 * peer's and may be anything.
 *
 * The usual reply is one line that is whole in what was read: it goes straight
 * into `text`. Only a line that is cut over two reads is gathered in `line`.
 *
 * The one subtle rule: control characters become "?", so that neither a NUL
 * cuts a text short nor a bare CR begins a line in a DSN or a log.
 */
#include "sink/smtp_reply.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#define LINE_MAX_OCTETS 2000
#define LINES_MAX	512

void
smtp_reply_fini(struct smtp_reply *r)
{
	strbuf_fini(&r->text);
	strbuf_fini(&r->line);
	*r = (struct smtp_reply){ 0 };
}

/* ---- enhanced codes ---- */

/* Up to three digits, no leading zero but zero itself (RFC 3463 2). */
static const char *
skip_number(const char *s)
{
	const char *from = s;

	while (s - from < 3 && isdigit((unsigned char)*s))
		s++;
	return s == from || (*from == '0' && s > from + 1) ? NULL : s;
}

void
smtp_enhanced_of(const char *line, char out[16])
{
	const char *from, *to;

	out[0] = '\0';
	if (strnlen(line, 4) < 4)
		return;
	from = line + 4;
	/* Only 2, 4 and 5 are classes, and it must be the code's own. */
	if (from[0] != line[0] || strchr("245", from[0]) == NULL ||
	    from[1] != '.')
		return;
	to = skip_number(from + 2);
	if (to == NULL || *to != '.')
		return;
	to = skip_number(to + 1);
	if (to == NULL || isalnum((unsigned char)*to) || *to == '.')
		return;
	memcpy(out, from, (size_t)(to - from));
	out[to - from] = '\0';
}

/* ---- lines ---- */

/* 200..599 out of three digits; 0 when it isn't one. */
static int
code_of(const char *line, size_t len)
{
	if (len < 3 || line[0] < '2' || line[0] > '5' ||
	    !isdigit((unsigned char)line[1]) ||
	    !isdigit((unsigned char)line[2]))
		return 0;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
}

static void
add_clean(struct strbuf *to, const char *line, size_t len)
{
	size_t from = to->len;

	strbuf_add(to, line, len);
	for (size_t i = from; i < to->len; i++) {
		unsigned char c = (unsigned char)to->data[i];

		if ((c < ' ' && c != '\t') || c == 127)
			to->data[i] = '?';
	}
}

/* One whole line without its LF. */
static enum reply_read
take_line(struct smtp_reply *r, const char *line, size_t len)
{
	char enhanced[16];
	size_t at;
	int code;

	while (len > 0 && line[len - 1] == '\r')
		len--;
	code = code_of(line, len);
	if (code == 0 || (len > 3 && line[3] != ' ' && line[3] != '-') ||
	    r->text.len + len + 1 > REPLY_TEXT_MAX || r->n_lines == LINES_MAX)
		return REPLY_BROKEN;
	if (r->n_lines++ > 0)
		strbuf_addc(&r->text, '\n');
	at = r->text.len;
	add_clean(&r->text, line, len);
	smtp_enhanced_of(r->text.data + at, enhanced);
	if (*enhanced != '\0')
		memcpy(r->enhanced, enhanced, sizeof(enhanced));
	r->code = code;
	r->is_complete = len <= 3 || line[3] == ' ';
	return r->is_complete ? REPLY_DONE : REPLY_MORE;
}

static void
begin(struct smtp_reply *r)
{
	r->code = 0;
	r->enhanced[0] = '\0';
	r->n_lines = 0;
	r->is_complete = false;
	strbuf_reset(&r->text);
	strbuf_reset(&r->line);
}

/* A code that changed between lines takes its enhanced code along. */
static void
agree(struct smtp_reply *r)
{
	if (*r->enhanced != '\0' && r->enhanced[0] - '0' != r->code / 100)
		r->enhanced[0] = '\0';
}

enum reply_read
smtp_reply_read(struct smtp_reply *r, const char *data, size_t len,
    size_t *used_out)
{
	enum reply_read rc = REPLY_MORE;
	const char *p = data, *end = data + len;

	if (r->is_complete)
		begin(r);
	while (rc == REPLY_MORE && p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((lf ? lf : end) - p);

		if (r->line.len + n > LINE_MAX_OCTETS) {
			rc = REPLY_BROKEN;
			break;
		}
		if (lf == NULL || r->line.len > 0)
			strbuf_add(&r->line, p, n);
		if (lf == NULL) {
			p = end;
			break;
		}
		rc = r->line.len > 0 ? take_line(r, r->line.data, r->line.len)
				     : take_line(r, p, n);
		strbuf_reset(&r->line);
		p = lf + 1;
	}
	if (rc == REPLY_DONE)
		agree(r);
	*used_out = (size_t)(p - data);
	return rc;
}
