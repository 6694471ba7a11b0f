/* SPDX-License-Identifier: ISC */
/*
 * The message on its way out: as it is behind BDAT (RFC 3030), or with dots
 * doubled behind DATA (RFC 5321 4.5.2). In pieces, so that a large message
 * never lies in memory.
 *
 * The one subtle rule: a bare CR or LF never leaves this house. A peer that
 * takes one for a line's end would see another message than we did (SMTP
 * smuggling). The spool holds none; should one be there, a space goes instead,
 * as long as what it replaces, since BDAT has told the size.
 */
#include <string.h>

#include "sink/smtp_client_private.h"

#define READ_SIZE 16384

/* A part of one line, without its end. */
static void
put_part(struct smtp_client *c, const char *p, size_t len)
{
	struct course *k = &c->course;
	struct strbuf *out = &c->out;
	char *cr;

	if (len == 0)
		return;
	if (k->is_stuffed && !k->is_mid_line && *p == '.')
		strbuf_addc(out, '.');
	strbuf_add(out, p, len);
	k->is_mid_line = true;
	if (memchr(p, '\r', len) == NULL)
		return;
	p = out->data + out->len - len;
	while ((cr = memchr(p, '\r', len)) != NULL) {
		*cr++ = ' ';
		len -= (size_t)(cr - p);
		p = cr;
	}
}

static void
put_line_end(struct smtp_client *c)
{
	strbuf_add(&c->out, "\r\n", 2);
	c->course.is_mid_line = false;
}

static void
put_content(struct smtp_client *c, const char *p, size_t len)
{
	struct course *k = &c->course;
	const char *end = p + len, *lf;

	strbuf_reserve(&c->out, len + len / 32);
	if (k->holds_cr) { /* the last piece ended between CR and LF */
		k->holds_cr = false;
		if (*p == '\n') {
			put_line_end(c);
			p++;
		} else {
			put_part(c, " ", 1);
		}
	}
	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (lf > p && lf[-1] == '\r') {
			put_part(c, p, (size_t)(lf - 1 - p));
			put_line_end(c);
		} else {
			put_part(c, p, (size_t)(lf - p));
			put_part(c, " ", 1);
		}
		p = lf + 1;
	}
	if (p < end && end[-1] == '\r') {
		k->holds_cr = true;
		end--;
	}
	put_part(c, p, (size_t)(end - p));
}

static void
put_end(struct smtp_client *c)
{
	struct course *k = &c->course;

	if (k->holds_cr)
		put_part(c, " ", 1);
	k->holds_cr = false;
	if (k->is_stuffed) {
		if (k->is_mid_line)
			put_line_end(c);
		strbuf_add(&c->out, ".\r\n", 3);
	}
	k->is_end_sent = true;
}

static ssize_t
put_piece(struct smtp_client *c)
{
	struct course *k = &c->course;
	const struct transaction *t = k->t;
	uint64_t left = t->body_len - k->body_done;
	char buf[READ_SIZE];
	ssize_t n;

	if (t->body != NULL) {
		n = left < CLIENT_PIECE ? (ssize_t)left : CLIENT_PIECE;
		put_content(c, t->body + k->body_done, (size_t)n);
	} else {
		n = t->body_read(t->body_arg, k->body_done, buf,
		    left < sizeof(buf) ? (size_t)left : sizeof(buf));
		if (n <= 0) /* an early end is as bad as an error */
			return -1;
		put_content(c, buf, (size_t)n);
	}
	k->body_done += (uint64_t)n;
	return n;
}

static void
enter_by_progress(struct smtp_client *c)
{
	const struct course *k = &c->course;

	if (!k->is_end_sent)
		client_enter(c, CLIENT_BODY);
	else if (k->awaits_mail || k->awaits_rcpts > 0)
		client_enter(c, CLIENT_ENVELOPE);
	else
		client_enter(c, CLIENT_EOD);
}

int
client_content_fill(struct smtp_client *c)
{
	struct course *k = &c->course;

	while (!k->is_end_sent) {
		if (k->body_done == k->t->body_len)
			put_end(c);
		else if (c->out.len >= CLIENT_PIECE)
			break;
		else if (put_piece(c) < 0)
			return -1;
	}
	enter_by_progress(c);
	return 0;
}

void
client_content_begin(struct smtp_client *c, bool is_stuffed)
{
	struct course *k = &c->course;

	k->is_begun = true;
	k->is_stuffed = is_stuffed;
	k->awaits_end = true;
	client_enter(c, CLIENT_BODY);
	if (!is_stuffed)
		strbuf_addf(&c->out, "BDAT %llu LAST\r\n",
		    (unsigned long long)client_content_len(k->t));
	if (k->t->prefix_len > 0)
		put_content(c, k->t->prefix, k->t->prefix_len);
	smtp_client_writable(c);
}

uint64_t
client_content_len(const struct transaction *t)
{
	return t->body_len + t->prefix_len;
}

/* ---- looking at the header section ---- */

/* Looks for octets over 127 up to the empty line. *line_octets: of the line
 * so far, which may go on in the next piece. 1 found, 2 ended, 0 go on. */
static int
scan_header(const char *p, size_t len, unsigned *line_octets)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)p[i] > 127)
			return 1;
		if (p[i] == '\n') {
			if (*line_octets == 0)
				return 2;
			*line_octets = 0;
		} else if (p[i] != '\r') {
			++*line_octets;
		}
	}
	return 0;
}

int
client_content_has_utf8_header(const struct transaction *t)
{
	unsigned line_octets = 0;
	uint64_t done = 0;
	char buf[READ_SIZE];
	int rc = 0;

	if (t->body != NULL)
		return scan_header(t->body, (size_t)t->body_len,
			   &line_octets) == 1;
	while (rc == 0 && done < t->body_len) {
		ssize_t n = t->body_read(t->body_arg, done, buf, sizeof(buf));

		if (n <= 0)
			return -1;
		rc = scan_header(buf, (size_t)n, &line_octets);
		done += (uint64_t)n;
	}
	return rc == 1;
}
