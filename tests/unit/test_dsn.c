/* SPDX-License-Identifier: ISC */
/*
 * Notices, read back by a parser that isn't ours (Python's, by way of
 * dsn_outline.py): one table of reports and what a mail reader finds in them,
 * and many reports of hostile bytes, whose structure must hold all the same.
 */
#include "sink/dsn.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"

#define ARRIVED_UTC_US INT64_C(1795572000000000) /* 2026-11-24T22:40:00Z */
#define NOW_UTC_US     (ARRIVED_UTC_US + INT64_C(3600000000))

static char dir[] = "/tmp/test_dsn.XXXXXX";

/* ---- files ---- */

static void
save(const char *name, int n, const char *suffix, const struct strbuf *content)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%d.%s", dir, name, n, suffix);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(content->data, 1, content->len, f),
	    content->len);
	assert_int_equal(fclose(f), 0);
}

static struct strbuf
load(const char *name, int n, const char *suffix)
{
	struct strbuf b = { 0 };
	char path[PATH_MAX], buf[4096];
	size_t got;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%d.%s", dir, name, n, suffix);
	f = fopen(path, "rb");
	assert_non_null(f);
	while ((got = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_add(&b, buf, got);
	fclose(f);
	strbuf_adds(&b, "");
	return b;
}

static void
run_parser(void)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command),
	    "env -u LD_PRELOAD python3 tests/unit/dsn_outline.py %s", dir);
	assert_int_equal(system(command), 0);
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* ---- who wants one ---- */

static void
wanted_by_notify(void **state)
{
	static const struct {
		const char *sender;
		uint8_t notify;
		bool failed, delayed, delivered;
	} cases[] = {
		{ "a@b.example", 0, true, true, false },
		{ "a@b.example", NOTIFY_NEVER, false, false, false },
		{ "a@b.example", NOTIFY_FAILURE, true, false, false },
		{ "a@b.example", NOTIFY_DELAY, false, true, false },
		{ "a@b.example", NOTIFY_SUCCESS, false, false, true },
		{ "a@b.example", NOTIFY_SUCCESS | NOTIFY_FAILURE, true, false,
		    true },
		{ "a@b.example", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY,
		    true, true, true },
		{ "", 0, false, false, false },
		{ "", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, false,
		    false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct envelope e = { .sender = (char *)cases[i].sender };
		struct recipient r = { .notify = cases[i].notify };

		print_message("case %zu\n", i);
		assert_int_equal(dsn_is_wanted(&e, &r, DSN_FAILED),
		    cases[i].failed);
		assert_int_equal(dsn_is_wanted(&e, &r, DSN_DELAYED),
		    cases[i].delayed);
		assert_int_equal(dsn_is_wanted(&e, &r, DSN_DELIVERED),
		    cases[i].delivered);
		assert_int_equal(dsn_is_wanted(&e, &r, DSN_RELAYED),
		    cases[i].delivered);
	}
}

/* ---- the form of the bytes themselves ---- */

static void
assert_fits_smtp(const struct strbuf *m, bool eight_bit_ok)
{
	size_t line = 0;

	assert_null(memchr(m->data, '\0', m->len));
	for (size_t i = 0; i < m->len; i++) {
		unsigned char c = (unsigned char)m->data[i];

		if (c == '\r') {
			assert_true(i + 1 < m->len && m->data[i + 1] == '\n');
			i++;
			line = 0;
			continue;
		}
		assert_int_not_equal(c, '\n');
		assert_true(++line <= 998);
		assert_true(c < 128 || eight_bit_ok);
	}
	assert_int_equal(line, 0);
}

/* ---- a table of reports ---- */

#define HEADERS "From: a@b.example\r\nSubject: Hello\r\nX-A: 1\r\n"
#define BODY	HEADERS "\r\nA text.\r\n--F\r\n.\r\nEnd.\r\n"
#define UTF8_HEADERS                                       \
	"From: a@b.example\r\nSubject: Gr\xc3\xbc\xc3\x9f" \
	"e\r\n"
#define REPLY_511                                                 \
	"550-5.1.1 The email account that you tried to reach\r\n" \
	"550-5.1.1 does not exist. Please try\r\n"                \
	"550 5.1.1 https://support.example/?p=NoSuchUser x - gsmtp"
#define LINES_MAX 14

struct report_case {
	const char *name;
	enum dsn_action action;
	const char *sender, *recipient, *orcpt, *envid;
	enum dsn_ret ret;
	bool smtputf8;
	const char *status, *reply, *remote_mta;
	const char *headers, *body;
	bool is_utf8, is_8bit;	      /* expected */
	const char *lines[LINES_MAX]; /* of the outline */
	const char *absent[4];	      /* from the outline */
	const char *texts[6];	      /* in what people read */
	const char *returned;	      /* text/rfc822-headers, decoded */
};

static const struct report_case cases[] = {
	{ "failed, header only", .sender = "a@b.example",
	    .recipient = "nobody@gmail.com", .status = "5.1.1",
	    .reply = REPLY_511, .remote_mta = "mx.example.net:25",
	    .headers = HEADERS,
	    .lines = { "top multipart/report delivery-status", "defects 0",
		"parts 3", "part text/plain 7bit",
		"part message/delivery-status 7bit",
		"part text/rfc822-headers 7bit",
		"header From: Mail Delivery System "
		"<MAILER-DAEMON@relay.example.com>",
		"header To: <a@b.example>",
		"header Auto-Submitted: auto-replied",
		"field 0 Reporting-MTA: dns; relay.example.com",
		"field 1 Final-Recipient: rfc822; nobody@gmail.com",
		"field 1 Action: failed", "field 1 Status: 5.1.1",
		"field 1 Remote-MTA: dns; mx.example.net" },
	    .absent = { "Original-", "Will-Retry", "header Bcc" },
	    .texts = { "could not be delivered", "There is no such mailbox.",
		"mx.example.net:25 said:",
		"550-5.1.1 does not exist. Please try\r\n",
		"https://support.example/?p=NoSuchUser x - gsmtp\r\n" },
	    .returned = HEADERS },
	{ "the reply is folded whole", .sender = "a@b.example",
	    .recipient = "nobody@gmail.com", .status = "5.1.1",
	    .reply = REPLY_511,
	    .lines = { "parts 2", "defects 0",
		"field 1 Diagnostic-Code: smtp; 550-5.1.1 The email account "
		"that you tried to reach 550-5.1.1 does not exist. Please try "
		"550 5.1.1 https://support.example/?p=NoSuchUser x - gsmtp" } },
	{ "whole message, ENVID, ORCPT", .sender = "a@b.example",
	    .recipient = "nobody@gmail.com",
	    .orcpt = "rfc822;Bob+2BSmith+40gmail.com",
	    .envid = "QQ+2B314+3D159", .ret = RET_FULL, .status = "5.4.7",
	    .reply = "connection timed out", .remote_mta = "192.0.2.1:25",
	    .headers = HEADERS, .body = BODY,
	    .lines = { "parts 3", "defects 0", "part message/rfc822 7bit",
		"inner Subject: Hello", "inner X-A: 1",
		"field 0 Original-Envelope-Id: QQ+314=159",
		"field 1 Original-Recipient: rfc822; Bob+Smith@gmail.com",
		"field 1 Remote-MTA: dns; [192.0.2.1]",
		"field 1 Diagnostic-Code: x-flyball; connection timed out" },
	    .texts = { "in the time set for it" } },
	{ "RET=HDRS keeps the body back", .sender = "a@b.example",
	    .recipient = "nobody@gmail.com", .ret = RET_HDRS, .status = "5.0.0",
	    .headers = HEADERS, .body = BODY,
	    .lines = { "part text/rfc822-headers 7bit" }, .absent = { "inner" },
	    .returned = HEADERS },
	{ "a delay quotes the header only", .action = DSN_DELAYED,
	    .sender = "a@b.example", .recipient = "nobody@gmail.com",
	    .ret = RET_FULL, .status = "4.2.2", .reply = "452 4.2.2 over quota",
	    .remote_mta = "[2001:db8::1]:25", .headers = HEADERS, .body = BODY,
	    .lines = { "part text/rfc822-headers 7bit",
		"field 1 Action: delayed", "field 1 Status: 4.2.2",
		"field 1 Remote-MTA: dns; [2001:db8::1]",
		"field 1 Will-Retry-Until: " },
	    .texts = { "don't need to send it again", "The mailbox is full.",
		"It is tried until " },
	    .returned = HEADERS },
	{ "relayed", .action = DSN_RELAYED, .sender = "a@b.example",
	    .recipient = "b@c.example", .status = "2.0.0",
	    .reply = "250 2.0.0 ok queued as 4711", .headers = HEADERS,
	    .lines = { "field 1 Action: relayed", "field 1 Status: 2.0.0",
		"field 1 Diagnostic-Code: smtp; 250 2.0.0 ok queued as 4711" },
	    .texts = { "passed on to the next mail system" },
	    .returned = HEADERS },
	{ "delivered", .action = DSN_DELIVERED, .sender = "a@b.example",
	    .recipient = "b@c.example", .status = "2.1.5", .headers = HEADERS,
	    .lines = { "field 1 Action: delivered", "field 1 Status: 2.1.5" },
	    .absent = { "Diagnostic-Code", "Remote-MTA" },
	    .texts = { "was delivered" }, .returned = HEADERS },
	{ "UTF-8 recipient of a UTF-8 message", .sender = "a@b.example",
	    .recipient = "gr\xc3\xbc\xc3\x9f@b\xc3\xbc"
			 "cher.example",
	    .orcpt = "utf-8;gr\\x{FC}\\x{DF}@b\\x{FC}cher.example",
	    .smtputf8 = true, .status = "5.1.1",
	    .reply = "550 5.1.1 gr\xc3\xbc\xc3\x9f? unknown",
	    .headers = UTF8_HEADERS, .is_utf8 = true, .is_8bit = true,
	    .lines = { "top multipart/report global-delivery-status", "parts 3",
		"defects 0", "part message/global-delivery-status 8bit",
		"part message/global-headers 8bit",
		"field 1 Final-Recipient: utf-8; gr\xc3\xbc\xc3\x9f@b\xc3\xbc"
		"cher.example",
		"field 1 Original-Recipient: utf-8; "
		"gr\xc3\xbc\xc3\x9f@b\xc3\xbc"
		"cher.example",
		"field 1 Diagnostic-Code: smtp; 550 5.1.1 "
		"gr\xc3\xbc\xc3\x9f? unknown",
		"inner Subject: Gr\xc3\xbc\xc3\x9f"
		"e" },
	    .texts = { "<gr\xc3\xbc\xc3\x9f@b\xc3\xbc"
		       "cher.example>" } },
	{ "UTF-8 recipient where UTF-8 was refused: 7-bit",
	    .sender = "a@b.example",
	    .recipient = "gr\xc3\xbc\xc3\x9f@b.example",
	    .orcpt = "utf-8;gr\\x{FC}\\x{DF}@b.example", .smtputf8 = true,
	    .ret = RET_FULL, .status = "5.6.7",
	    .reply = "553 5.6.7 \xe2\x82\xac and \xff", .headers = UTF8_HEADERS,
	    .body = UTF8_HEADERS "\r\nText\r\n",
	    .lines = { "top multipart/report delivery-status", "parts 3",
		"defects 0", "part message/delivery-status 7bit",
		"part text/rfc822-headers quoted-printable",
		"field 1 Final-Recipient: utf-8; gr\\x{FC}\\x{DF}@b.example",
		"field 1 Original-Recipient: utf-8; "
		"gr\\x{FC}\\x{DF}@b.example",
		"field 1 Diagnostic-Code: smtp; 553 5.6.7 \\x{20AC} and ?" },
	    .texts = { "553 5.6.7 \\xE2\\x82\\xAC and \\xFF\r\n",
		"addresses outside ASCII" },
	    .returned = UTF8_HEADERS },
	{ "UTF-8 sender", .sender = "m\xc3\xbcller@b.example",
	    .recipient = "b@c.example", .smtputf8 = true, .status = "5.6.7",
	    .headers = HEADERS, .is_utf8 = true, .is_8bit = true,
	    .lines = { "header To: <m\xc3\xbcller@b.example>",
		"field 1 Final-Recipient: rfc822; b@c.example",
		"part message/global-delivery-status 7bit" },
	    .returned = HEADERS },
	{ "8-bit content goes back whole", .sender = "a@b.example",
	    .recipient = "b@c.example", .ret = RET_FULL, .status = "5.1.1",
	    .headers = HEADERS, .body = HEADERS "\r\nna\xefve\r\n",
	    .is_8bit = true,
	    .lines = { "part message/rfc822 8bit", "inner Subject: Hello",
		"header Content-Transfer-Encoding: 8bit" } },
	{ "8-bit content that was refused for it stays here",
	    .sender = "a@b.example", .recipient = "b@c.example",
	    .ret = RET_FULL, .status = "5.6.3", .headers = HEADERS,
	    .body = HEADERS "\r\nna\xefve\r\n",
	    .lines = { "part text/rfc822-headers 7bit" },
	    .texts = { "can't take content of this kind" },
	    .returned = HEADERS },
	{ "xtext that hides a line end stays xtext", .sender = "a@b.example",
	    .recipient = "b@c.example",
	    .orcpt = "rfc822;a+0D+0AAction:+20delivered", .envid = "x+00y+0Az",
	    .status = "5.1.1", .headers = HEADERS,
	    .lines = { "defects 0", "field 0 Original-Envelope-Id: x+00y+0Az",
		"field 1 Original-Recipient: rfc822; "
		"a+0D+0AAction:+20delivered" },
	    .absent = { "Action: delivered" }, .returned = HEADERS },
	{ "an embedded line end stays embedded",
	    .sender = "m\xc3\xbcller@b.example", .recipient = "b@c.example",
	    .orcpt = "utf-8;a\\x{D}\\x{A}Action:x\\x{110000}",
	    .status = "5.1.1", .is_utf8 = true, .is_8bit = true,
	    .lines = { "defects 0",
		"field 1 Original-Recipient: utf-8; "
		"a\\x{D}\\x{A}Action:x\\x{110000}" },
	    .absent = { "field 1 Action:x" } },
	{ "a quoted local part keeps its spaces",
	    .sender = "\"two  spaces\"@b.example",
	    .recipient = "\"a  b\"@c.example", .status = "5.1.1",
	    .headers = HEADERS,
	    .lines = { "header To: <\"two  spaces\"@b.example>",
		"field 1 Final-Recipient: rfc822; \"a  b\"@c.example" },
	    .returned = HEADERS },
	{ "a reply can't add fields", .sender = "a@b.example",
	    .recipient = "b@c.example", .status = "5.1.1",
	    .reply = "550 x\r\nAction: delivered\r\n\r\nFinal-Recipient: y\x01",
	    .headers = HEADERS,
	    .lines = { "defects 0",
		"field 1 Diagnostic-Code: smtp; 550 x Action: delivered "
		"Final-Recipient: y?" },
	    .texts = { "        Final-Recipient: y\\x01\r\n" },
	    .absent = { "field 1 Action: delivered", "field 2" },
	    .returned = HEADERS },
	{ "content that can't stand as it is leaves its header",
	    .sender = "a@b.example", .recipient = "b@c.example",
	    .ret = RET_FULL, .status = "5.1.1", .headers = "X-A: a\rb\nc\r\n",
	    .body = "X-A: a\rb\nc\r\n\r\nText\r\n",
	    .lines = { "part text/rfc822-headers quoted-printable" },
	    .returned = "X-A: a\rb\nc\r\n" },
};
#define N_CASES (sizeof(cases) / sizeof(*cases))

static void
write_case(const struct report_case *c, struct strbuf *out, bool *utf8_out)
{
	struct envelope e = { .id = 0x123456789abc,
		.arrived_utc_us = ARRIVED_UTC_US,
		.sender = (char *)c->sender,
		.envid = (char *)c->envid,
		.ret = c->ret,
		.smtputf8 = c->smtputf8 };
	struct recipient r = { .address = (char *)c->recipient,
		.orcpt = (char *)c->orcpt };
	struct dsn_recipient row = { .recipient = &r,
		.action = c->action,
		.reply = c->reply,
		.remote_mta = c->remote_mta,
		.will_retry_until_utc_us = c->action == DSN_DELAYED
		    ? NOW_UTC_US + INT64_C(86400000000)
		    : 0 };
	struct dsn_report report = { .reporting_mta = "relay.example.com",
		.envelope = &e,
		.recipients = &row,
		.n_recipients = 1,
		.headers = c->headers,
		.headers_len = c->headers ? strlen(c->headers) : 0,
		.body = c->body,
		.body_len = c->body ? strlen(c->body) : 0,
		.now_utc_us = NOW_UTC_US };

	strcpy(row.status, c->status);
	dsn_write(&report, out, utf8_out);
}

/* A line of the outline begins with it. */
static bool
has_line(const struct strbuf *outline, const char *line)
{
	const char *p = outline->data;

	while ((p = strstr(p, line)) != NULL) {
		if (p == outline->data || p[-1] == '\n')
			return true;
		p++;
	}
	return false;
}

static void
check_case(const struct report_case *c, int n)
{
	struct strbuf outline = load("case", n, "out");
	struct strbuf text = load("case", n, "txt");
	struct strbuf returned = load("case", n, "ret");

	for (int i = 0; i < LINES_MAX && c->lines[i] != NULL; i++)
		if (!has_line(&outline, c->lines[i]))
			fail_msg("%s: no \"%s\" in\n%s", c->name, c->lines[i],
			    outline.data);
	for (int i = 0; i < 4 && c->absent[i] != NULL; i++)
		if (strstr(outline.data, c->absent[i]) != NULL)
			fail_msg("%s: \"%s\" in\n%s", c->name, c->absent[i],
			    outline.data);
	for (int i = 0; i < 6 && c->texts[i] != NULL; i++)
		if (strstr(text.data, c->texts[i]) == NULL)
			fail_msg("%s: no \"%s\" in\n%s", c->name, c->texts[i],
			    text.data);
	assert_string_equal(returned.data, c->returned ? c->returned : "");
	strbuf_fini(&outline);
	strbuf_fini(&text);
	strbuf_fini(&returned);
}

static void
read_back_by_another_parser(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CASES; i++) {
		struct strbuf m = { 0 };
		bool utf8 = !cases[i].is_utf8;

		write_case(&cases[i], &m, &utf8);
		print_message("%s\n", cases[i].name);
		assert_int_equal(utf8, cases[i].is_utf8);
		assert_fits_smtp(&m, cases[i].is_8bit);
		if (cases[i].body != NULL && cases[i].returned == NULL)
			assert_non_null(memmem(m.data, m.len, cases[i].body,
			    strlen(cases[i].body)));
		save("case", (int)i, "eml", &m);
		strbuf_fini(&m);
	}
	run_parser();
	for (size_t i = 0; i < N_CASES; i++)
		check_case(&cases[i], (int)i);
}

/* ---- several recipients ---- */

static void
each_recipient_is_a_group(void **state)
{
	struct envelope e = { .id = 7,
		.arrived_utc_us = ARRIVED_UTC_US,
		.sender = (char *)"a@b.example" };
	struct recipient r[20];
	struct dsn_recipient rows[20];
	struct dsn_report report = { .reporting_mta = "relay.example.com",
		.envelope = &e,
		.recipients = rows,
		.n_recipients = 20,
		.now_utc_us = NOW_UTC_US };
	struct strbuf m = { 0 }, outline;
	char line[64];
	bool utf8;

	(void)state;
	memset(r, 0, sizeof(r));
	memset(rows, 0, sizeof(rows));
	for (int i = 0; i < 20; i++) {
		r[i].address = xasprintf("r%d@c.example", i);
		rows[i].recipient = &r[i];
		strcpy(rows[i].status, "5.1.1");
	}
	dsn_write(&report, &m, &utf8);
	save("many", 0, "eml", &m);
	run_parser();
	outline = load("many", 0, "out");
	for (int i = 0; i < 20; i++) {
		snprintf(line, sizeof(line),
		    "field %d Final-Recipient: rfc822; r%d@c.example", i + 1,
		    i);
		assert_true(has_line(&outline, line));
		free(r[i].address);
	}
	assert_false(has_line(&outline, "field 21"));
	strbuf_fini(&m);
	strbuf_fini(&outline);
}

static void
very_many_long_replies_are_cut(void **state)
{
	struct envelope e = { .id = 7, .sender = (char *)"a@b.example" };
	struct recipient r = { .address = (char *)"b@c.example" };
	struct dsn_recipient rows[1000];
	struct dsn_report report = { .reporting_mta = "relay.example.com",
		.envelope = &e,
		.recipients = rows,
		.now_utc_us = NOW_UTC_US };
	static const size_t counts[] = { 1, 4, 1000 };
	char *reply = xmalloc(60001);

	(void)state;
	memset(rows, 0, sizeof(rows));
	memcpy(reply, "550 ", 4);
	memset(reply + 4, 'x', 59996);
	memcpy(reply + 59990, " the-end", 9);
	for (size_t i = 0; i < 1000; i++) {
		rows[i].recipient = &r;
		rows[i].reply = reply;
		strcpy(rows[i].status, "5.0.0");
	}
	for (size_t i = 0; i < 3; i++) {
		struct strbuf m = { 0 };
		bool utf8;

		report.n_recipients = counts[i];
		dsn_write(&report, &m, &utf8);
		assert_fits_smtp(&m, false);
		assert_true((strstr(m.data, " the-end") != NULL) ==
		    (counts[i] < 1000));
		assert_true(m.len < 2000000);
		strbuf_fini(&m);
	}
	free(reply);
}

/* ---- the boundary ---- */

static void
content_with_our_boundary_gets_another(void **state)
{
	struct report_case c = cases[2];
	struct strbuf first = { 0 }, second = { 0 };
	char *start, *boundary, *body;
	bool utf8;

	(void)state;
	write_case(&c, &first, &utf8);
	start = strstr(first.data, "boundary=\"");
	assert_non_null(start);
	start += strlen("boundary=\"");
	boundary = xstrndup(start, strcspn(start, "\""));
	body = xasprintf(HEADERS
	    "\r\n\r\n--%s\r\nContent-Type: text/html\r\n\r\nx\r\n"
	    "--%s--\r\n",
	    boundary, boundary);
	c.body = body;
	write_case(&c, &second, &utf8);
	assert_non_null(strstr(second.data, body));
	start = strstr(second.data, "boundary=\"") + strlen("boundary=\"");
	assert_true(strncmp(start, boundary, strlen(boundary)) != 0 ||
	    start[strlen(boundary)] != '"');
	save("boundary", 0, "eml", &second);
	run_parser();
	strbuf_fini(&first);
	first = load("boundary", 0, "out");
	assert_true(has_line(&first, "parts 3"));
	assert_true(has_line(&first, "defects 0"));
	free(body);
	free(boundary);
	strbuf_fini(&first);
	strbuf_fini(&second);
}

/* ---- hostile bytes ---- */

#define N_HOSTILE 400

static char *
hostile_string(struct rng *rng, size_t max, size_t *len_out)
{
	static const char *const bits[] = { "\r\n", "\r\n\r\n", "\r", "\n",
		"--", "\r\n--", "=_flyball_",
		("Content-Type: multipart/mixed; "
		 "boundary=\"=_flyball_1\"\r\n"),
		"\t", "  ", "=", "\xff", "\xc3\xbc", "\xf0\x9f\x98\x80", "\x80",
		"\x7f", "\x01", "+0A", "+", "\\x{", "\\x{A}", "\\x{1F600}",
		"\"", "<", ">", ";", ":", "550 5.1.1 ", ".\r\n", "From " };
	struct strbuf b = { 0 };
	size_t want = rng_below(rng, max + 1);

	strbuf_adds(&b, "");
	while (b.len < want) {
		uint64_t kind = rng_below(rng, 12);

		if (kind == 0)
			for (int n = (int)rng_below(rng, 1200); n > 0; n--)
				strbuf_addc(&b, 'x');
		else if (kind < 4)
			strbuf_addc(&b, (char)(1 + rng_below(rng, 255)));
		else if (kind < 8)
			strbuf_addc(&b, (char)('a' + rng_below(rng, 26)));
		else
			strbuf_adds(&b,
			    bits[rng_below(rng, sizeof(bits) / sizeof(*bits))]);
	}
	if (len_out != NULL)
		*len_out = b.len;
	return strbuf_take(&b);
}

static void
write_hostile(struct rng *rng, struct strbuf *out, bool *eight_bit_ok)
{
	struct envelope e = { .id = rng_next(rng),
		.arrived_utc_us = ARRIVED_UTC_US,
		.sender = hostile_string(rng, 40, NULL),
		.envid = hostile_string(rng, 40, NULL),
		.ret = (enum dsn_ret)rng_below(rng, 3),
		.smtputf8 = rng_below(rng, 2) };
	struct recipient r = { .address = hostile_string(rng, 40, NULL),
		.orcpt = hostile_string(rng, 60, NULL) };
	struct dsn_recipient row = { .recipient = &r,
		.action = (enum dsn_action)rng_below(rng, 4),
		.reply = hostile_string(rng, 3000, NULL),
		.remote_mta = hostile_string(rng, 30, NULL) };
	struct dsn_report report = { .reporting_mta = "relay.example.com",
		.envelope = &e,
		.recipients = &row,
		.n_recipients = 1,
		.now_utc_us = NOW_UTC_US };
	char *headers = hostile_string(rng, 2000, &report.headers_len);
	char *body = hostile_string(rng, 4000, &report.body_len);
	bool utf8;

	strcpy(row.status, rng_below(rng, 4) == 0 ? "5.6.1" : "5.1.1");
	if (rng_below(rng, 4) == 0 && report.headers_len > 0)
		headers[rng_below(rng, report.headers_len)] = '\0';
	report.headers = headers;
	report.body = rng_below(rng, 2) ? body : NULL;
	dsn_write(&report, out, &utf8);
	*eight_bit_ok = utf8 || strcmp(row.status, "5.6.1") != 0;
	free(headers);
	free(body);
	free(e.sender);
	free(e.envid);
	free(r.address);
	free(r.orcpt);
	free((char *)row.reply);
	free((char *)row.remote_mta);
}

static void
structure_holds_whatever_comes(void **state)
{
	struct rng rng = { .state = 20261124 };

	(void)state;
	print_message("seed 20261124\n");
	for (int i = 0; i < N_HOSTILE; i++) {
		struct strbuf m = { 0 };
		bool eight_bit_ok;

		write_hostile(&rng, &m, &eight_bit_ok);
		print_message("report %d\n", i);
		assert_fits_smtp(&m, eight_bit_ok);
		save("hostile", i, "eml", &m);
		strbuf_fini(&m);
	}
	run_parser();
	for (int i = 0; i < N_HOSTILE; i++) {
		struct strbuf outline = load("hostile", i, "out");

		if (!has_line(&outline, "defects 0") ||
		    (!has_line(&outline, "parts 3") &&
			!has_line(&outline, "parts 2")) ||
		    !has_line(&outline, "field 1 Status: 5.") ||
		    !has_line(&outline, "field 1 Last-Attempt-Date: ") ||
		    has_line(&outline, "field 2"))
			fail_msg("report %d:\n%s", i, outline.data);
		strbuf_fini(&outline);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wanted_by_notify),
		cmocka_unit_test(read_back_by_another_parser),
		cmocka_unit_test(each_recipient_is_a_group),
		cmocka_unit_test(very_many_long_replies_are_cut),
		cmocka_unit_test(content_with_our_boundary_gets_another),
		cmocka_unit_test(structure_holds_whatever_comes),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
