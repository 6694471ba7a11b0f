/* SPDX-License-Identifier: ISC */
/*
 * The part of a notice that programs read: message/delivery-status (RFC 3464)
 * and its UTF-8 twin (RFC 6533). Called by dsn.c only.
 *
 * Addresses outside ASCII are of type utf-8, written as they are where the
 * part may hold UTF-8, else with \x{HEX} for what isn't ASCII. ORCPT and ENVID
 * come from the sender in xtext, which may hide anything: what decodes to a
 * control character stays encoded.
 */
#include <ctype.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "sink/dsn_private.h"
#include "sink/mime_text.h"

static const char *const action_name[] = {
	[DSN_FAILED] = "failed",
	[DSN_DELAYED] = "delayed",
	[DSN_DELIVERED] = "delivered",
	[DSN_RELAYED] = "relayed",
};

/* ---- xtext and addresses ---- */

static int
hex_value(char c)
{
	/* RFC 3461 4: upper case only, but read what is clear. */
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool
dsn_xtext_decode(const char *xtext, struct strbuf *out)
{
	strbuf_reset(out);
	strbuf_adds(out, "");
	for (const char *p = xtext; *p != '\0'; p++) {
		int c = (unsigned char)*p;

		if (c == '+') {
			int high = hex_value(p[1]);
			int low = high < 0 ? -1 : hex_value(p[2]);

			if (low < 0)
				return false;
			c = high << 4 | low;
			p += 2;
		}
		if (c < 32 || c == 127)
			return false;
		strbuf_addc(out, (char)c);
	}
	return utf8_is_valid(out->data, out->len);
}

/* The code point of \x{HEX} at s (RFC 6533 3), and its length; 0 = none. */
static size_t
embedded_char(const char *s, unsigned *point_out)
{
	size_t i = 3;
	unsigned point = 0;

	if (strncmp(s, "\\x{", 3) != 0)
		return 0;
	for (; i < 9 && hex_value(s[i]) >= 0; i++)
		point = point << 4 | (unsigned)hex_value(s[i]);
	*point_out = point;
	return i > 3 && s[i] == '}' ? i + 1 : 0;
}

static void
add_utf8(struct strbuf *out, unsigned point)
{
	if (point < 0x80) {
		strbuf_addc(out, (char)point);
		return;
	}
	if (point < 0x800) {
		strbuf_addc(out, (char)(0xc0 | point >> 6));
	} else if (point < 0x10000) {
		strbuf_addc(out, (char)(0xe0 | point >> 12));
		strbuf_addc(out, (char)(0x80 | (point >> 6 & 0x3f)));
	} else {
		strbuf_addc(out, (char)(0xf0 | point >> 18));
		strbuf_addc(out, (char)(0x80 | (point >> 12 & 0x3f)));
		strbuf_addc(out, (char)(0x80 | (point >> 6 & 0x3f)));
	}
	strbuf_addc(out, (char)(0x80 | (point & 0x3f)));
}

/* utf-8-addr-xtext to the address itself. */
static bool
unembed(const char *s, struct strbuf *out)
{
	strbuf_reset(out);
	strbuf_adds(out, "");
	while (*s != '\0') {
		unsigned point = 0;
		size_t n = embedded_char(s, &point);

		if (n > 0 && (point < 32 || point == 127 || point > 0x10ffff))
			return false;
		if (n > 0)
			add_utf8(out, point);
		else
			strbuf_addc(out, *s);
		s += n > 0 ? n : 1;
	}
	return utf8_is_valid(out->data, out->len);
}

static void
add_typed(struct strbuf *out, const char *field, const char *type,
    const char *value, bool utf8)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%s; %s", type, value);
	mime_add_field_verbatim(out, field, text.data, utf8);
	strbuf_fini(&text);
}

static void
add_original_recipient(struct strbuf *out, const char *orcpt, bool utf8)
{
	const char *value = strchr(orcpt, ';');
	struct strbuf type = { 0 }, decoded = { 0 }, plain = { 0 };

	if (value == NULL)
		return;
	strbuf_add(&type, orcpt, (size_t)(value - orcpt));
	value++;
	if (dsn_xtext_decode(value, &decoded))
		value = decoded.data;
	if (utf8 && strcasecmp(type.data, "utf-8") == 0 &&
	    unembed(value, &plain))
		value = plain.data;
	add_typed(out, "Original-Recipient", type.data, value, utf8);
	strbuf_fini(&type);
	strbuf_fini(&decoded);
	strbuf_fini(&plain);
}

/* ---- the other fields ---- */

static void
add_date(struct strbuf *out, const char *field, int64_t utc_us)
{
	char date[CLOCK_RFC5322_SIZE];

	clock_rfc5322(utc_us, date);
	strbuf_addf(out, "%s: %s\r\n", field, date);
}

/* A next hop "host:port": the host, as a literal where it is an address. */
static void
add_remote_mta(struct strbuf *out, const char *mta, bool utf8)
{
	const char *colon = strrchr(mta, ':');
	struct strbuf host = { 0 };
	bool is_ip;

	if (colon != NULL && colon != strchr(mta, ':') && *mta != '[')
		colon = NULL; /* an IPv6 address without a port */
	if (colon != NULL && colon[1 + strspn(colon + 1, "0123456789")] != '\0')
		colon = NULL;
	strbuf_add(&host, mta, colon ? (size_t)(colon - mta) : strlen(mta));
	if (host.len == 0) {
		strbuf_fini(&host);
		return;
	}
	is_ip = host.data[strspn(host.data, "0123456789.")] == '\0';
	if (is_ip) {
		struct strbuf literal = { 0 };

		strbuf_addf(&literal, "[%s]", host.data);
		strbuf_fini(&host);
		host = literal;
	}
	add_typed(out, "Remote-MTA", "dns", host.data, utf8);
	strbuf_fini(&host);
}

/* RFC 3464 2.3.6: the type smtp is for what an SMTP server said. */
static void
add_diagnostic(struct strbuf *out, const char *reply, size_t max, bool utf8)
{
	bool is_smtp = isdigit((unsigned char)reply[0]) &&
	    isdigit((unsigned char)reply[1]) &&
	    isdigit((unsigned char)reply[2]);
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%s; ", is_smtp ? "smtp" : "x-flyball");
	strbuf_add(&text, reply, strnlen(reply, max));
	mime_add_field(out, "Diagnostic-Code", text.data, utf8);
	strbuf_fini(&text);
}

static void
add_recipient(const struct dsn_report *report, const struct dsn_recipient *row,
    size_t max, bool utf8, struct strbuf *out)
{
	const struct recipient *r = row->recipient;

	strbuf_adds(out, "\r\n");
	if (r->orcpt != NULL)
		add_original_recipient(out, r->orcpt, utf8);
	add_typed(out, "Final-Recipient",
	    address_is_ascii(r->address) ? "rfc822" : "utf-8", r->address,
	    utf8);
	strbuf_addf(out, "Action: %s\r\n", action_name[row->action]);
	mime_add_field(out, "Status", row->status, false);
	if (row->remote_mta != NULL && *row->remote_mta != '\0')
		add_remote_mta(out, row->remote_mta, utf8);
	if (row->reply != NULL && *row->reply != '\0')
		add_diagnostic(out, row->reply, max, utf8);
	add_date(out, "Last-Attempt-Date", report->now_utc_us);
	if (row->action == DSN_DELAYED && row->will_retry_until_utc_us != 0)
		add_date(out, "Will-Retry-Until", row->will_retry_until_utc_us);
}

void
dsn_add_status(const struct dsn_report *report, bool utf8, struct strbuf *out)
{
	const struct envelope *e = report->envelope;
	size_t max = dsn_reply_max(report);

	if (e->envid != NULL && *e->envid != '\0') {
		struct strbuf envid = { 0 };

		mime_add_field_verbatim(out, "Original-Envelope-Id",
		    dsn_xtext_decode(e->envid, &envid) ? envid.data : e->envid,
		    utf8);
		strbuf_fini(&envid);
	}
	add_typed(out, "Reporting-MTA", "dns", report->reporting_mta, utf8);
	add_date(out, "Arrival-Date", e->arrived_utc_us);
	for (size_t i = 0; i < report->n_recipients; i++)
		add_recipient(report, &report->recipients[i], max, utf8, out);
}
