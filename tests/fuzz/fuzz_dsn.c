/* SPDX-License-Identifier: ISC */
/*
 * Notices about anything: what next hops replied and clients wrote goes into a
 * message that is one, and our own reader finds each recipient in it again.
 */
#include "sink/dsn.h"

#include "sink/mail_report.h"
#include "tests/fuzz/fuzz.h"

#define NOW_UTC_US INT64_C(1795572000000000)
#define LINE_MAX   998 /* RFC 5321 4.5.3.1.6, without CRLF */

static const enum report_action told_as[] = {
	[DSN_FAILED] = ACTION_FAILED,
	[DSN_DELAYED] = ACTION_DELAYED,
	[DSN_DELIVERED] = ACTION_DELIVERED,
	[DSN_RELAYED] = ACTION_RELAYED,
};

/* The header section and body of the message come as they were taken: whole
 * lines, as the content reader lets them pass. */
static struct strbuf
lines_of(const char *text)
{
	struct strbuf out = { 0 };
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\n' || n == LINE_MAX) {
			strbuf_adds(&out, "\r\n");
			n = 0;
		} else if (*text != '\r') {
			strbuf_addc(&out, *text);
			n++;
		}
	}
	if (n > 0)
		strbuf_adds(&out, "\r\n");
	return out;
}

static void
check_lines(const struct strbuf *out)
{
	size_t n = 0;

	fuzz_check(out->len > 2 &&
	    memcmp(out->data + out->len - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < out->len; i++) {
		if (out->data[i] == '\r') {
			fuzz_check(out->data[i + 1] == '\n');
			fuzz_check(n <= LINE_MAX);
			n = 0;
			i++;
			continue;
		}
		fuzz_check(out->data[i] != '\n' && out->data[i] != '\0');
		n++;
	}
}

static void
check_read(const struct dsn_report *report, const struct strbuf *out)
{
	struct mail_report r;

	mail_report_read(&r, out->data, out->len);
	fuzz_check(r.kind == REPORT_DSN);
	fuzz_check(r.n_recipients == report->n_recipients);
	for (size_t i = 0; i < r.n_recipients; i++) {
		const struct dsn_recipient *said = &report->recipients[i];

		fuzz_check(r.recipients[i].action == told_as[said->action]);
		fuzz_check(strcmp(r.recipients[i].final,
			       said->recipient->address) == 0);
		fuzz_check(strcmp(r.recipients[i].status, said->status) == 0);
	}
	mail_report_fini(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	unsigned flags = fuzz_byte(&in);
	char *reply = fuzz_text(&in, '\0'), *peer = fuzz_text(&in, '\0');
	char *header_text = fuzz_text(&in, '\0'), *rest = fuzz_text(&in, '\0');
	struct strbuf headers = lines_of(header_text);
	struct strbuf text = lines_of(rest), body = { 0 };
	struct recipient rcpts[2] = {
		{ .address = (char *)"a@example.net" },
		{ .address = (char *)"\"b c\"@example.org" },
	};
	struct dsn_recipient said[2] = {
		{ .recipient = &rcpts[0], .reply = reply, .remote_mta = peer },
		{ .recipient = &rcpts[1] },
	};
	struct envelope e = { .sender = (char *)"s@app.test",
		.arrived_utc_us = NOW_UTC_US };
	struct dsn_report report = { .reporting_mta = "relay.test",
		.envelope = &e,
		.recipients = said,
		.n_recipients = 1 + (flags & 1),
		.now_utc_us = NOW_UTC_US };
	struct strbuf out = { 0 };
	bool is_utf8;

	for (size_t i = 0; i < 2; i++) {
		said[i].action = (enum dsn_action)(flags >> 1 & 3);
		strcpy(said[i].status, flags & 1 << 3 ? "5.6.1" : "4.2.0");
	}
	report.headers = headers.data != NULL ? headers.data : "";
	report.headers_len = headers.len;
	if (flags & 1 << 4) {
		strbuf_add(&body, report.headers, headers.len);
		strbuf_adds(&body, "\r\n");
		strbuf_add(&body, text.data != NULL ? text.data : "", text.len);
		report.body = body.data;
		report.body_len = body.len;
	}
	dsn_write(&report, &out, &is_utf8);
	check_lines(&out);
	check_read(&report, &out);
	strbuf_fini(&out);
	strbuf_fini(&body);
	strbuf_fini(&headers);
	strbuf_fini(&text);
	free(reply);
	free(peer);
	free(header_text);
	free(rest);
	return 0;
}
