/* SPDX-License-Identifier: ISC */
/* Verbs, parameters and base64: what is taken beside what is refused. */
#include "daemon/smtp_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static void
verbs_are_read_in_any_case(void **state)
{
	static const struct {
		const char *line;
		enum smtp_verb verb;
		const char *args;
	} rows[] = {
		{ "NOOP", VERB_NOOP, "" },
		{ "noop", VERB_NOOP, "" },
		{ "nOoP  x y", VERB_NOOP, "x y" },
		{ "MAIL FROM:<a@b>", VERB_MAIL, "FROM:<a@b>" },
		{ "EHLO\tx", VERB_EHLO, "x" },
		{ "STARTTLS", VERB_STARTTLS, "" },
		{ "BDAT 1 LAST", VERB_BDAT, "1 LAST" },
		{ "", VERB_UNKNOWN, "" },
		{ " NOOP", VERB_UNKNOWN, "NOOP" },
		{ "?", VERB_UNKNOWN, "" },
		{ "NOO", VERB_UNKNOWN, "" },
		{ "NOOPS", VERB_UNKNOWN, "" },
		{ "MAIL:", VERB_UNKNOWN, "" },
	};
	const char *args;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(smtp_verb_parse(rows[i].line, &args),
		    rows[i].verb);
		assert_string_equal(args, rows[i].args);
	}
}

static void
mail_is_read_whole(void **state)
{
	struct smtp_mail m;

	(void)state;
	assert_null(smtp_mail_parse("FROM:<a@b.example> SIZE=123 body=8BitMime "
				    "SMTPUTF8 RET=hdrs ENVID=QQ+2B1 AUTH=<>",
	    &m));
	assert_string_equal(m.path, "a@b.example");
	assert_int_equal(m.size_bytes, 123);
	assert_int_equal(m.body, BODY_8BITMIME);
	assert_true(m.smtputf8);
	assert_int_equal(m.ret, RET_HDRS);
	assert_string_equal(m.envid, "QQ+2B1");
	assert_null(smtp_mail_parse("from: <>  BODY=7BIT", &m));
	assert_string_equal(m.path, "");
	assert_int_equal(m.body, BODY_7BIT);
	assert_false(m.smtputf8);
}

static void
mail_parameters_are_judged(void **state)
{
	static const struct {
		const char *params;
		const char *code; /* NULL: taken */
	} rows[] = {
		{ "", NULL },
		{ " ", NULL },
		{ " SIZE=0", NULL },
		{ " SIZE=18446744073709551615", NULL },
		{ " SIZE=18446744073709551616", NULL },
		{ " SIZE=99999999999999999999", NULL },
		{ " SIZE=100000000000000000000", "501 5.5.4" },
		{ " SIZE=", "501 5.5.4" },
		{ " SIZE", "501 5.5.4" },
		{ " SIZE=-1", "501 5.5.4" },
		{ " SIZE=1k", "501 5.5.4" },
		{ " SIZE=1 SIZE=1", "501 5.5.4" },
		{ "SIZE=1", "501 5.1.7" },
		{ " BODY=8BITMIME", NULL },
		{ " BODY=BINARYMIME", "555 5.5.4" },
		{ " BODY=8BIT", "501 5.5.4" },
		{ " BODY=", "501 5.5.4" },
		{ " BODY", "501 5.5.4" },
		{ " BODY=7BIT body=7BIT", "501 5.5.4" },
		{ " SMTPUTF8", NULL },
		{ " SMTPUTF8=", "501 5.5.4" },
		{ " SMTPUTF8=1", "501 5.5.4" },
		{ " RET=FULL", NULL },
		{ " RET=HDRS", NULL },
		{ " RET=SOME", "501 5.5.4" },
		{ " RET=", "501 5.5.4" },
		{ " ENVID=" X100, NULL },
		{ " ENVID=" X100 "x", "501 5.5.4" },
		{ " ENVID=+41+20+7E", NULL },
		{ " ENVID=", "501 5.5.4" },
		{ " ENVID=a+4", "501 5.5.4" },
		{ " ENVID=a+", "501 5.5.4" },
		{ " ENVID=+4g", "501 5.5.4" },
		{ " ENVID=+2b", "501 5.5.4" }, /* upper case only */
		{ " ENVID=a=b", "501 5.5.4" },
		{ " ENVID=a+0D+0Ab", "501 5.5.4" }, /* lines for a DSN */
		{ " ENVID=\xc3\xa9", "501 5.5.4" },
		{ " AUTH=<>", NULL },
		{ " AUTH=e+3Dmc2@example.com", NULL },
		{ " AUTH=", "501 5.5.4" },
		{ " AUTH=a+zz", "501 5.5.4" },
		{ " HOLDFOR=10", "555 5.5.4" },
		{ " X", "555 5.5.4" },
		{ " =", "501 5.5.4" },
		{ " =1", "501 5.5.4" },
		{ " -A=1", "501 5.5.4" },
		{ " A_B=1", "501 5.5.4" },
		{ " NOTIFY=NEVER", "555 5.5.4" },
	};
	char line[512];
	struct smtp_mail m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *reply;

		print_message("%s\n", rows[i].params);
		snprintf(line, sizeof(line), "FROM:<a@b>%s", rows[i].params);
		reply = smtp_mail_parse(line, &m);
		if (rows[i].code == NULL)
			assert_null(reply);
		else
			assert_memory_equal(reply, rows[i].code, 9);
	}
}

static void
big_sizes_stay_big(void **state)
{
	struct smtp_mail m;

	(void)state;
	assert_null(smtp_mail_parse("FROM:<> SIZE=99999999999999999999", &m));
	assert_true(m.size_bytes == UINT64_MAX);
	assert_null(smtp_mail_parse("FROM:<> SIZE=18446744073709551616", &m));
	assert_true(m.size_bytes == UINT64_MAX);
}

static void
mail_paths_are_judged(void **state)
{
	static const struct {
		const char *args;
		const char *code;
	} rows[] = {
		{ "FROM:<>", NULL },
		{ "FROM: <a@b>", NULL },
		{ "FROM:<@x,@y:a@b>", NULL },
		{ "FROM:<\xc3\xa9@b> SMTPUTF8", NULL },
		{ "FROM:<\xc3\xa9@b>", "553 5.6.7" },
		{ "FROM:<postmaster>", "501 5.1.7" },
		{ "FROM:a@b", "501 5.1.7" },
		{ "FROM:", "501 5.1.7" },
		{ "FROM", "501 5.5.4" },
		{ "FROM <a@b>", "501 5.5.4" },
		{ "TO:<a@b>", "501 5.5.4" },
		{ "<a@b>", "501 5.5.4" },
	};
	struct smtp_mail m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *reply = smtp_mail_parse(rows[i].args, &m);

		print_message("%s\n", rows[i].args);
		if (rows[i].code == NULL)
			assert_null(reply);
		else
			assert_memory_equal(reply, rows[i].code, 9);
	}
}

static void
rcpt_is_judged(void **state)
{
	static const struct {
		const char *args;
		const char *code;
		unsigned notify;
		const char *orcpt;
	} rows[] = {
		{ "TO:<a@b>", NULL, 0, "" },
		{ "to:<a@b> notify=never", NULL, NOTIFY_NEVER, "" },
		{ "TO:<a@b> NOTIFY=SUCCESS,FAILURE,DELAY", NULL,
		    NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, "" },
		{ "TO:<a@b> NOTIFY=DELAY ORCPT=rfc822;a+2Bc@d", NULL,
		    NOTIFY_DELAY, "rfc822;a+2Bc@d" },
		{ "TO:<a@b> ORCPT=utf-8;\\x{E9}@d", NULL, 0,
		    "utf-8;\\x{E9}@d" },
		{ "TO:<postmaster>", "550 5.1.3", 0, "" },
		{ "TO:<>", "501 5.1.3", 0, "" },
		{ "TO:a@b", "501 5.1.3", 0, "" },
		{ "TO:<a@b>NOTIFY=NEVER", "501 5.1.3", 0, "" },
		{ "TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY=SUCCESS,NEVER", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY=", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY=SUCCESS,", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY=,SUCCESS", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY=ALWAYS", "501 5.5.4", 0, "" },
		{ "TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4", 0, "" },
		{ "TO:<a@b> ORCPT=rfc822", "501 5.5.4", 0, "" },
		{ "TO:<a@b> ORCPT=rfc822;", "501 5.5.4", 0, "" },
		{ "TO:<a@b> ORCPT=;a@b", "501 5.5.4", 0, "" },
		{ "TO:<a@b> ORCPT=rf_c;a@b", "501 5.5.4", 0, "" },
		{ "TO:<a@b> ORCPT=rfc822;a+0A", "501 5.5.4", 0, "" },
		{ "TO:<a@b> ORCPT=utf-8;\xc3\xa9@b", "501 5.5.4", 0, "" },
		{ "TO:<\xc3\xa9@b>", "553 5.6.7", 0, "" },
		{ "TO:<a@b> SIZE=1", "555 5.5.4", 0, "" },
		{ "FROM:<a@b>", "501 5.5.4", 0, "" },
	};
	struct smtp_rcpt r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *reply = smtp_rcpt_parse(rows[i].args, false, &r);

		print_message("%s\n", rows[i].args);
		if (rows[i].code != NULL) {
			assert_memory_equal(reply, rows[i].code, 9);
			continue;
		}
		assert_null(reply);
		assert_int_equal(r.notify, rows[i].notify);
		assert_string_equal(r.orcpt, rows[i].orcpt);
	}
	assert_null(smtp_rcpt_parse("TO:<\xc3\xa9@b> ORCPT=utf-8;\xc3\xa9@b",
	    true, &r));
	assert_string_equal(r.orcpt, "utf-8;\xc3\xa9@b");
	assert_non_null(smtp_rcpt_parse("TO:<a@b> ORCPT=utf-8;\xc3@b", true,
	    &r));
}

static void
orcpt_ends_at_its_limit(void **state)
{
	char line[600];
	struct smtp_rcpt r;
	int n;

	(void)state;
	for (n = 499; n <= 501; n++) {
		snprintf(line, sizeof(line), "TO:<a@b> ORCPT=rfc822;%0*d",
		    n - 7, 0);
		if (n <= ORCPT_MAX)
			assert_null(smtp_rcpt_parse(line, false, &r));
		else
			assert_non_null(smtp_rcpt_parse(line, false, &r));
	}
}

static void
bdat_is_judged(void **state)
{
	static const struct {
		const char *args;
		uint64_t size;
		bool last;
	} good[] = {
		{ "0", 0, false },
		{ "0 LAST", 0, true },
		{ "86 last", 86, true },
		{ "18446744073709551615", UINT64_MAX, false },
		{ "007", 7, false },
	};
	static const char *const bad[] = { "", "LAST", "-1", "+1", "1x", "0x10",
		"1 LASTLY", "1 LAST 2", "1,LAST", "1LAST",
		"18446744073709551616", "1 2", " 1" };
	uint64_t size;
	bool last;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(smtp_bdat_parse(good[i].args, &size, &last),
		    0);
		assert_true(size == good[i].size && last == good[i].last);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(smtp_bdat_parse(bad[i], &size, &last), -1);
}

static void
base64_is_strict(void **state)
{
	static const struct {
		const char *text;
		const char *data;
		ssize_t len;
	} good[] = {
		{ "", "", 0 },
		{ "Zg==", "f", 1 },
		{ "Zm8=", "fo", 2 },
		{ "Zm9v", "foo", 3 },
		{ "Zm9vYg==", "foob", 4 },
		{ "Zm9vYmE=", "fooba", 5 },
		{ "Zm9vYmFy", "foobar", 6 },
		{ "AGEAYg==", "\0a\0b", 4 },
		{ "+/+/", "\xfb\xff\xbf", 3 },
	};
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zh==", "Zm9=", "=",
		"==", "====", "Z===", "Zm9v=", "Zm=v", "Zm9 ", " Zm9v",
		"Zm9v\n", "Zm9-", "Zm9_", "Zg==Zg==", "*" };
	char out[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(smtp_base64_decode(good[i].text,
				     strlen(good[i].text), out, sizeof(out)),
		    good[i].len);
		assert_memory_equal(out, good[i].data, (size_t)good[i].len);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(smtp_base64_decode(bad[i], strlen(bad[i]), out,
				     sizeof(out)),
		    -1);
	assert_int_equal(smtp_base64_decode("Zm9v", 4, out, 3), 3);
	assert_int_equal(smtp_base64_decode("Zm9v", 4, out, 2), -1);
}

static void
helo_names_are_judged(void **state)
{
	char name[300];

	(void)state;
	assert_true(smtp_helo_is_valid("mail.example.com"));
	assert_true(smtp_helo_is_valid("[192.0.2.1]"));
	assert_true(smtp_helo_is_valid("[IPv6:2001:db8::1]"));
	assert_true(smtp_helo_is_valid("my_laptop"));
	assert_false(smtp_helo_is_valid(""));
	assert_false(smtp_helo_is_valid("a b"));
	assert_false(smtp_helo_is_valid("a(b)"));
	assert_false(smtp_helo_is_valid("a\nb"));
	assert_false(smtp_helo_is_valid("b\xc3\xbc"
					"cher"));
	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	assert_true(smtp_helo_is_valid(name));
	name[255] = 'a';
	name[256] = '\0';
	assert_false(smtp_helo_is_valid(name));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_are_read_in_any_case),
		cmocka_unit_test(mail_is_read_whole),
		cmocka_unit_test(mail_parameters_are_judged),
		cmocka_unit_test(big_sizes_stay_big),
		cmocka_unit_test(mail_paths_are_judged),
		cmocka_unit_test(rcpt_is_judged),
		cmocka_unit_test(orcpt_ends_at_its_limit),
		cmocka_unit_test(bdat_is_judged),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(helo_names_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
