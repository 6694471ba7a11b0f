/* SPDX-License-Identifier: ISC */
/* Logs of any other MTA, by a pattern of the operator's. */
#include "tests/unit/log_world.h"

#define SEED 20261128

/* As Sendmail writes. */
#define SENDMAIL                                               \
	"^(?<time>.{15}) .*sm-mta\\[\\d+\\]: (?<id>\\w+): "    \
	"to=<(?<recipient>[^>]+)>.*relay=(?<relay>\\S+?)\\.? " \
	"\\[(?<ip>[^\\]]+)\\], dsn=(?<dsn>[\\d.]+), "          \
	"stat=(?<status>\\w+)(?:: | \\()?(?<reply>.*?)\\)?$"

#define T "Nov 23 20:16:54 mx1 sm-mta[12]: 4ANKGsAB001234: "

static const struct log_row rows[] = {
	{ T "to=<a@gmail.com>, ctladdr=<s> (1/1), delay=00:00:02, "
	    "mailer=esmtp, pri=1, relay=g.google.com. [142.250.1.27], "
	    "dsn=2.0.0, stat=Sent (OK 1732393014 gsmtp)",
	    "delivered id=4ANKGsAB001234 to=a@gmail.com relay=g.google.com "
	    "ip=142.250.1.27 dsn=2.0.0 reply=OK 1732393014 gsmtp" },
	{ T "to=<a@gmail.com>, pri=1, relay=g.google.com. [142.250.1.27], "
	    "dsn=4.7.0, stat=Deferred: 421 4.7.0 slow down",
	    "deferred id=4ANKGsAB001234 to=a@gmail.com relay=g.google.com "
	    "ip=142.250.1.27 dsn=4.7.0 code=421 reply=421 4.7.0 slow down" },
};

static void
test_lines(void **state)
{
	struct mta_log log = { .format = MTA_LOG_PATTERN,
		.now_utc_us = LOG_NOW_US };
	struct mta_record r;
	struct err err = { .text = "" };
	size_t at;
	struct log_pattern *p = log_pattern_new(SENDMAIL, &at, &err);

	(void)state;
	assert_string_equal(err.text, "");
	log.pattern = p;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_check_row(&log, &rows[i]);
		mta_log_read(&log, rows[i].line, strlen(rows[i].line), &r);
		assert_int_equal(r.utc_us, INT64_C(1795465014000000));
	}
	assert_false(mta_log_read(&log, T "from=<s>", sizeof(T "from=<s>") - 1,
	    &r));
	log_fuzz_rows(&log, rows, sizeof(rows) / sizeof(rows[0]), SEED);
	log_pattern_free(p);
}

/* Status in any words, or none: then the reply's digit says it. */
static void
test_words(void **state)
{
	static const struct log_row words[] = {
		{ "q1 a@x SUCCESS 250 ok",
		    "delivered id=q1 to=a@x code=250 reply=250 ok" },
		{ "q1 a@x tempfail 450 no",
		    "deferred id=q1 to=a@x code=450 reply=450 no" },
		{ "q1 a@x Expired too old",
		    "bounced id=q1 to=a@x reply=too old" },
		{ "q1 a@x - 550 no",
		    "bounced id=q1 to=a@x code=550 reply=550 no" },
		{ "q1 a@x done x", "removed id=q1 reply=x" },
		{ "q1 a@x queued x", "received id=q1 reply=x" },
		{ "q1 a@x what x", "none id=q1 to=a@x reply=x" },
	};
	struct mta_log log = { .format = MTA_LOG_PATTERN };
	struct err err = { .text = "" };
	size_t at;
	struct log_pattern *p = log_pattern_new(
	    "^(?<id>\\S+) (?<recipient>\\S+) (?<status>\\S+) (?<reply>.*)$",
	    &at, &err);

	(void)state;
	log.pattern = p;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		log_check_row(&log, &words[i]);
	log_pattern_free(p);
}

static void
test_bad_patterns(void **state)
{
	static const char *const bad[] = { "(", "(?<recipient>x)", "",
		"(*UTF)x" };
	struct err err = { .text = "" };
	size_t at;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(log_pattern_new(bad[i], &at, &err));
		assert_string_not_equal(err.text, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_bad_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
