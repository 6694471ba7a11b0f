/* SPDX-License-Identifier: ISC */
/* Reports about mail: what is read out of those in tests/data/reports, and
 * that nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "sink/mail_report.h"

static char *
load(const char *name, size_t *len_out)
{
	char path[200];
	char *data = xcalloc(1, 100000);
	FILE *f;

	snprintf(path, sizeof(path), "tests/data/reports/%s.eml", name);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s can't be opened", path);
	*len_out = fread(data, 1, 99999, f);
	fclose(f);
	return data;
}

/* Everything that was read, in one line. */
static char *
text_of(const struct mail_report *r)
{
	static const char *const kinds[] = { "none", "dsn", "complaint" };
	static const char *const actions[] = { "?", "failed", "delayed",
		"delivered", "relayed", "expanded" };
	struct strbuf out = { 0 };

	strbuf_addf(&out, "%s envid=%s trace=%s id=%s from=%s", kinds[r->kind],
	    r->envid, r->trace, r->message_id, r->mail_from);
	if (r->kind == REPORT_COMPLAINT)
		strbuf_addf(&out, " type=%s ip=%s", r->feedback_type,
		    r->source_ip);
	strbuf_addf(&out, " by=%s", r->reporter);
	if (*r->queue_id != '\0')
		strbuf_addf(&out, " q=%s", r->queue_id);
	for (size_t i = 0; i < r->n_recipients; i++) {
		const struct report_recipient *to = &r->recipients[i];

		strbuf_addf(&out, " [%s|%s|%s|%s|%s]", to->original, to->final,
		    actions[to->action], to->status, to->diagnostic);
	}
	return strbuf_take(&out);
}

static void
corpus(void **state)
{
	static const struct {
		const char *name, *text;
		bool is_against_us;
	} cases[] = {
		{ "dsn_postfix",
		    "dsn envid=fb1/2F0A1B2C "
		    "trace=fb1/0000000000042/ip-a/news/0123456789abcdef "
		    "id=one.two@news.example.com from=bounces@news.example.com "
		    "by=out.example.net q=4Xyz12345 "
		    "[user@example.org|forward@mail.example.org|failed|5.1.1|"
		    "550 5.1.1 <forward@mail.example.org>: Recipient address"
		    "    rejected: User unknown]",
		    false },
		{ "dsn_exim_two",
		    "dsn envid= trace= id=three@news.example.com "
		    "from=bounces@news.example.com by=mx.example.net "
		    "[|gone@example.org|failed|5.0.0|552 5.2.2 Mailbox full] "
		    "[|slow@example.org|delayed|4.0.0|]",
		    false },
		{ "dsn_utf8",
		    "dsn envid= trace= id=u@news.example.com from= "
		    "by=mx.example.net "
		    "[j\xc3\xb6rg@example.org|j\xc3\xb6rg@xn--exmple-cua.org|"
		    "failed|5.6.7|550 5.6.7 no SMTPUTF8 here]",
		    false },
		{ "dsn_base64",
		    "dsn envid= trace= id=b64@news.example.com from= "
		    "by=exchange.example.net [|x@example.org|failed|5.7.1|"
		    "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was "
		    "rejected]",
		    false },
		{ "dsn_delivered",
		    "dsn envid=QQ314159 trace= id= from= by=mx.example.net "
		    "[|x@example.org|delivered|2.0.0|]",
		    false },
		{ "arf_abuse",
		    "complaint envid= "
		    "trace=fb1/0000000000043/ip-a/news/fedcba9876543210 "
		    "id=8787KJKJ3K4J3K4J3K4J3.mail@news.example.com "
		    "from=bounces@news.example.com type=abuse ip=192.0.2.10 "
		    "by=SomeGenerator/1.0 [user@example.com||?||]",
		    true },
		{ "arf_redacted",
		    "complaint envid= trace= id=j@news.example.com from= "
		    "type=abuse ip=192.0.2.10 by=JMRP "
		    "[user@outlook.example||?||]",
		    true },
		{ "arf_to",
		    "complaint envid= trace= id=t@news.example.com from= "
		    "type=abuse ip= by=F/1 [user@example.org||?||]",
		    true },
		{ "arf_not_spam",
		    "complaint envid= trace= id= from= type=not-spam ip= "
		    "by=F/1 [user@example.org||?||]",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_report r;
		size_t len;
		char *data = load(cases[i].name, &len);
		char *text;

		mail_report_read(&r, data, len);
		text = text_of(&r);
		if (strcmp(text, cases[i].text) != 0)
			fail_msg("%s:\n%s\n%s", cases[i].name, text,
			    cases[i].text);
		assert_int_equal(mail_report_is_against_us(&r),
		    cases[i].is_against_us);
		free(text);
		free(data);
		mail_report_fini(&r);
	}
}

static void
who_said_it_and_when(void **state)
{
	static const struct {
		const char *fields, *remote;
		int64_t utc_s;
	} rows[] = {
		{ "Remote-MTA: dns; mx.example.org\nLast-Attempt-Date: Tue, 24 "
		  "Nov 2026 10:00:00 +0100 (CET)\n",
		    "mx.example.org", 1795510800 },
		{ "Remote-MTA: dns;mx.example.org (192.0.2.1)\n",
		    "mx.example.org", 0 },
		{ "Remote-MTA: mx\nLast-Attempt-Date: 24 Nov 26 09:00 GMT\n",
		    "mx", 1795510800 },
		{ "Remote-MTA: dns;\nLast-Attempt-Date: yesterday\n", "", 0 },
		{ "Last-Attempt-Date: Thu, 1 Jan 1901 00:00:00 +0000\n", "",
		    0 },
		{ "Last-Attempt-Date: \n", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct strbuf text = { 0 };
		struct mail_report r;

		strbuf_addf(&text,
		    "Content-Type: multipart/report; boundary=b\n\n--b\n"
		    "Content-Type: message/delivery-status\n\n"
		    "Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822; "
		    "u@a.test\nAction: failed\nStatus: 5.0.0\n%s--b--\n",
		    rows[i].fields);
		mail_report_read(&r, text.data, text.len);
		assert_int_equal(r.n_recipients, 1);
		assert_string_equal(r.recipients[0].remote, rows[i].remote);
		assert_true(r.recipients[0].utc_us == rows[i].utc_s * 1000000);
		mail_report_fini(&r);
		strbuf_fini(&text);
	}
}

static void
no_reports(void **state)
{
	static const char *const names[] = { "bad_no_recipient",
		"bad_plain_bounce", "bad_words_only", "bad_cut",
		"bad_not_multipart", "bad_empty", "bad_empty_part" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct mail_report r;
		size_t len;
		char *data = load(names[i], &len);

		mail_report_read(&r, data, len);
		if (r.kind != REPORT_NONE)
			fail_msg("%s was taken for one", names[i]);
		free(data);
		mail_report_fini(&r);
	}
}

/* Parts in parts, without end: nobody goes down there. */
static void
boxes_in_boxes(void **state)
{
	struct strbuf text = { 0 };
	struct mail_report r;

	(void)state;
	for (int i = 0; i < 15000; i++)
		strbuf_addf(&text,
		    "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i,
		    i);
	mail_report_read(&r, text.data, text.len);
	assert_int_equal(r.kind, REPORT_NONE);
	mail_report_fini(&r);
	strbuf_reset(&text);
	for (int i = 0; i < 15000; i++)
		strbuf_adds(&text, "Content-Type: message/rfc822\n\n");
	mail_report_read(&r, text.data, text.len);
	assert_int_equal(r.kind, REPORT_NONE);
	mail_report_fini(&r);
	strbuf_fini(&text);
}

static void
many_recipients(void **state)
{
	struct strbuf text = { 0 };
	struct mail_report r;

	(void)state;
	strbuf_adds(&text,
	    "Content-Type: multipart/report; boundary=b\n\n--b\n"
	    "Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n");
	for (int i = 0; i < REPORT_RECIPIENTS_MAX + 50; i++)
		strbuf_addf(&text,
		    "\nFinal-Recipient: rfc822; u%d@a.test\nAction: failed\n"
		    "Status: 5.1.1\n",
		    i);
	strbuf_adds(&text, "--b--\n");
	mail_report_read(&r, text.data, text.len);
	assert_int_equal(r.kind, REPORT_DSN);
	assert_int_equal(r.n_recipients, REPORT_RECIPIENTS_MAX);
	assert_string_equal(r.recipients[999].final, "u999@a.test");
	mail_report_fini(&r);
	strbuf_fini(&text);
}

/* Whatever the bytes are. */
static void
damaged(void **state)
{
	static const char *const names[] = { "dsn_postfix", "dsn_exim_two",
		"dsn_utf8", "dsn_base64", "arf_abuse", "arf_redacted",
		"arf_to" };
	static const char *const pieces[] = { "\r\n", "\n\n", "--b", "\0", ":",
		"<", ">", "\"", ";", "\\x{", "}", "\xff",
		"Content-Type: ", "message/delivery-status",
		"boundary=", "rfc822;", " " };
	uint64_t seed = 20261125;
	struct rng rng = { seed };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 3000; i++) {
		size_t len;
		char *data = load(names[rng_below(&rng, 7)], &len);
		size_t n = 1 + rng_below(&rng, 4);
		struct mail_report r;
		char *copy;

		while (n-- > 0) {
			const char *piece = pieces[rng_below(&rng, 17)];
			size_t at = rng_below(&rng, len);
			size_t room = len - at;
			size_t piece_len = *piece ? strlen(piece) : 1;

			memcpy(data + at, piece,
			    piece_len < room ? piece_len : room);
		}
		if (i % 3 == 0)
			len = rng_below(&rng, len);
		copy = xmemdup(data, len ? len : 1);
		mail_report_read(&r, copy, len);
		for (size_t k = 0; k < r.n_recipients; k++)
			assert_true(strlen(r.recipients[k].diagnostic) <= 2000);
		mail_report_fini(&r);
		free(copy);
		free(data);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus),
		cmocka_unit_test(who_said_it_and_when),
		cmocka_unit_test(no_reports),
		cmocka_unit_test(boxes_in_boxes),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
