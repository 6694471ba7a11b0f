/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications: who wants one (RFC 3461), and the message
 * itself, a multipart/report (RFC 6522) of text for people (dsn_human.c),
 * fields for programs (dsn_status.c) and the old message or its header. Called
 * by the spool, which addresses and keeps what is written here. Pure: no clock,
 * no I/O.
 *
 * The subtle rule: everything in it may be hostile (replies, header, body), and
 * still the structure holds. So the parts are made first, the boundary is one
 * that none of them has, and what can't travel as it is gets encoded or is left
 * out. And a notice must arrive where the message didn't: it is 7-bit unless
 * the sender's address isn't, or a part needs more and nobody has complained
 * about that.
 */
#include "sink/dsn.h"

#include <stdio.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "sink/dsn_private.h"
#include "sink/mime_text.h"

#define BOUNDARY_SIZE 64
/* Bytes of replies in one notice, and what each gets in any case. */
#define REPLIES_MAX   ((size_t)256 << 10)
#define REPLY_LEAST   ((size_t)256)

struct part {
	const char *type;
	const char *charset;  /* NULL = none */
	const char *encoding; /* NULL = 7bit, unsaid */
	struct strbuf content;
};
enum { PART_HUMAN, PART_STATUS, PART_MESSAGE, N_PARTS };

static const char *const subject[] = {
	[DSN_FAILED] = "Undelivered mail: returned to sender",
	[DSN_DELAYED] = "Delayed mail: still being tried",
	[DSN_DELIVERED] = "Delivered mail: as you asked",
	[DSN_RELAYED] = "Relayed mail: no report will follow",
};

bool
dsn_is_wanted(const struct envelope *e, const struct recipient *r,
    enum dsn_action action)
{
	if (e->sender == NULL || *e->sender == '\0' ||
	    (r->notify & NOTIFY_NEVER))
		return false;
	switch (action) {
	case DSN_FAILED:
		return r->notify == 0 || (r->notify & NOTIFY_FAILURE);
	case DSN_DELAYED:
		return r->notify == 0 || (r->notify & NOTIFY_DELAY);
	case DSN_DELIVERED:
	case DSN_RELAYED:
		return r->notify & NOTIFY_SUCCESS;
	}
	return false;
}

/* ---- what form it takes ---- */

static bool
has_action(const struct dsn_report *report, enum dsn_action action)
{
	for (size_t i = 0; i < report->n_recipients; i++)
		if (report->recipients[i].action == action)
			return true;
	return false;
}

/* X.6.X: the next hop couldn't take this kind of content or address (RFC 3463
 * 3.7, RFC 6531 3.7). Our answer goes the same way: it must not need more. */
static bool
has_media_trouble(const struct dsn_report *report)
{
	for (size_t i = 0; i < report->n_recipients; i++)
		if (strncmp(report->recipients[i].status + 1, ".6.", 3) == 0)
			return true;
	return false;
}

static bool
is_report_utf8(const struct dsn_report *report)
{
	if (!address_is_ascii(report->envelope->sender))
		return true;
	if (!report->envelope->smtputf8 || has_media_trouble(report))
		return false;
	for (size_t i = 0; i < report->n_recipients; i++)
		if (!address_is_ascii(report->recipients[i].recipient->address))
			return true;
	return false;
}

static bool
is_utf8_text(const char *data, size_t len)
{
	return mime_has_8bit(data, len) && utf8_is_valid(data, len);
}

size_t
dsn_reply_max(const struct dsn_report *report)
{
	size_t sum = 0, each = REPLIES_MAX / report->n_recipients;

	for (size_t i = 0; i < report->n_recipients; i++)
		if (report->recipients[i].reply != NULL)
			sum += strlen(report->recipients[i].reply);
	if (sum <= REPLIES_MAX)
		return SIZE_MAX;
	return each > REPLY_LEAST ? each : REPLY_LEAST;
}

/* ---- parts ---- */

static void
make_human(const struct dsn_report *report, struct part *part)
{
	struct strbuf text = { 0 };

	dsn_add_human(report, &text);
	part->type = "text/plain";
	if (mime_is_plain(text.data, text.len, false)) {
		part->charset = "us-ascii";
		part->content = text;
		return;
	}
	part->charset = "utf-8";
	part->encoding = "quoted-printable";
	mime_add_qp(&part->content, text.data, text.len);
	strbuf_fini(&text);
}

static void
make_status(const struct dsn_report *report, bool utf8, struct part *part)
{
	part->type =
	    utf8 ? "message/global-delivery-status" : "message/delivery-status";
	dsn_add_status(report, utf8, &part->content);
	if (mime_has_8bit(part->content.data, part->content.len))
		part->encoding = "8bit";
}

/* A message within a message must not be encoded (RFC 2046 5.2.1): it goes as
 * it is, or not at all. */
static bool
may_return_whole(const struct dsn_report *report, bool utf8)
{
	bool eight_bit_ok = utf8 || !has_media_trouble(report);

	return report->body != NULL && report->body_len > 0 &&
	    report->envelope->ret != RET_HDRS &&
	    has_action(report, DSN_FAILED) &&
	    mime_is_plain(report->body, report->body_len, eight_bit_ok);
}

static void
make_whole(const struct dsn_report *report, struct part *part)
{
	part->type = is_utf8_text(report->headers, report->headers_len)
	    ? "message/global"
	    : "message/rfc822";
	if (mime_has_8bit(report->body, report->body_len))
		part->encoding = "8bit";
	strbuf_add(&part->content, report->body, report->body_len);
}

static void
make_headers(const struct dsn_report *report, bool utf8, struct part *part)
{
	const char *data = report->headers;
	size_t len = report->headers_len;
	bool is_text = is_utf8_text(data, len);

	if (mime_is_plain(data, len, false)) {
		part->type = "text/rfc822-headers";
		strbuf_add(&part->content, data, len);
	} else if (utf8 && is_text && mime_is_plain(data, len, true)) {
		part->type = "message/global-headers";
		part->encoding = "8bit";
		strbuf_add(&part->content, data, len);
	} else {
		part->type = "text/rfc822-headers";
		part->charset = is_text	       ? "utf-8"
		    : mime_has_8bit(data, len) ? "unknown-8bit"
					       : NULL;
		part->encoding = "quoted-printable";
		mime_add_qp(&part->content, data, len);
	}
}

/* ---- putting it together ---- */

static bool
is_in_parts(const char *boundary, const struct part *parts, size_t n_parts)
{
	for (size_t i = 0; i < n_parts; i++)
		if (memmem(parts[i].content.data, parts[i].content.len,
			boundary, strlen(boundary)) != NULL)
			return true;
	return false;
}

/* "=_" occurs in no quoted-printable text (RFC 2045 6.7). */
static void
choose_boundary(const struct dsn_report *report, const struct part *parts,
    size_t n_parts, char out[BOUNDARY_SIZE])
{
	unsigned n = 0;

	do {
		snprintf(out, BOUNDARY_SIZE, "=_flyball_%llx_%llx_%u",
		    (unsigned long long)report->envelope->id,
		    (unsigned long long)report->now_utc_us, n++);
	} while (is_in_parts(out, parts, n_parts));
}

static void
add_header(const struct dsn_report *report, const char *boundary, bool utf8,
    struct strbuf *out)
{
	const struct dsn_recipient *first = &report->recipients[0];
	char date[CLOCK_RFC5322_SIZE], id[MESSAGE_ID_SIZE];
	struct strbuf text = { 0 };

	clock_rfc5322(report->now_utc_us, date);
	strbuf_addf(out, "Date: %s\r\n", date);
	strbuf_addf(&text, "Mail Delivery System <MAILER-DAEMON@%s>",
	    report->reporting_mta);
	mime_add_field(out, "From", text.data, utf8);
	strbuf_reset(&text);
	strbuf_addf(&text, "<%s>", report->envelope->sender);
	mime_add_field_verbatim(out, "To", text.data, utf8);
	strbuf_addf(out, "Subject: %s\r\n", subject[first->action]);
	/* A settlement may owe several notices, one of each action. */
	strbuf_reset(&text);
	strbuf_addf(&text, "<%s.%lld.%d@%s>",
	    message_id_format(report->envelope->id, id),
	    (long long)report->now_utc_us, (int)first->action,
	    report->reporting_mta);
	mime_add_field(out, "Message-ID", text.data, utf8);
	strbuf_fini(&text);
	strbuf_addf(out,
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=%s;\r\n"
	    "\tboundary=\"%s\"\r\n",
	    utf8 ? "global-delivery-status" : "delivery-status", boundary);
}

static void
add_part(struct strbuf *out, const char *boundary, const struct part *part,
    const char *description)
{
	strbuf_addf(out, "\r\n--%s\r\nContent-Type: %s", boundary, part->type);
	if (part->charset != NULL)
		strbuf_addf(out, "; charset=%s", part->charset);
	strbuf_addf(out, "\r\nContent-Description: %s\r\n", description);
	if (part->encoding != NULL)
		strbuf_addf(out, "Content-Transfer-Encoding: %s\r\n",
		    part->encoding);
	strbuf_adds(out, "\r\n");
	strbuf_add(out, part->content.data, part->content.len);
}

void
dsn_write(const struct dsn_report *report, struct strbuf *out, bool *utf8_out)
{
	static const char *const description[] = {
		[PART_HUMAN] = "What happened",
		[PART_STATUS] = "Delivery report",
		[PART_MESSAGE] = "The message",
	};
	struct part parts[N_PARTS] = { 0 };
	size_t n_parts = PART_MESSAGE;
	char boundary[BOUNDARY_SIZE];
	bool utf8 = is_report_utf8(report);
	bool has_8bit = false;

	make_human(report, &parts[PART_HUMAN]);
	make_status(report, utf8, &parts[PART_STATUS]);
	if (may_return_whole(report, utf8))
		make_whole(report, &parts[n_parts++]);
	else if (report->headers_len > 0)
		make_headers(report, utf8, &parts[n_parts++]);
	choose_boundary(report, parts, n_parts, boundary);

	add_header(report, boundary, utf8, out);
	for (size_t i = 0; i < n_parts; i++)
		has_8bit |= parts[i].encoding != NULL &&
		    strcmp(parts[i].encoding, "8bit") == 0;
	if (has_8bit)
		strbuf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	for (size_t i = 0; i < n_parts; i++) {
		add_part(out, boundary, &parts[i], description[i]);
		strbuf_fini(&parts[i].content);
	}
	strbuf_addf(out, "\r\n--%s--\r\n", boundary);
	*utf8_out = utf8;
}
