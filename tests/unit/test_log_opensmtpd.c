/* SPDX-License-Identifier: ISC */
/* OpenSMTPD's deliveries. */
#include "tests/unit/log_world.h"

#define SEED 20261127

#define T "Nov 23 20:16:54 mx1 smtpd[811]: "
#define E "0123456789abcdef mta delivery evpid=8f0b7a3c11223344 "

static const struct log_row rows[] = {
	{ T E "from=<s@x.example> to=<a@gmail.com> rcpt=<-> "
	      "source=\"192.0.2.10\" relay=\"142.250.1.27 (g.google.com)\" "
	      "delay=2s result=\"Ok\" stat=\"250 2.0.0 OK gsmtp\"",
	    "delivered id=8f0b7a3c to=a@gmail.com relay=g.google.com "
	    "ip=142.250.1.27 src=192.0.2.10 code=250 delay=2000ms "
	    "reply=250 2.0.0 OK gsmtp" },
	{ T E "from=<> to=<a@gmail.com> rcpt=<l@ours.example> source=\"-\" "
	      "relay=\"142.250.1.27 (g.google.com)\" delay=2s "
	      "result=\"TempFail\" stat=\"421 4.7.0 \"slow\" down\"",
	    "deferred id=8f0b7a3c to=a@gmail.com orig=l@ours.example "
	    "relay=g.google.com ip=142.250.1.27 code=421 delay=2000ms "
	    "reply=421 4.7.0 \"slow\" down" },
	{ T E "from=<> to=<a@gmail.com> rcpt=<-> source=\"-\" relay=\"-\" "
	      "delay=2s result=\"TempFail\" stat=\"No valid route to remote "
	      "MX\"",
	    "echo id=8f0b7a3c to=a@gmail.com ip=- delay=2000ms reply=No "
	    "valid route to remote MX" },
	{ T E "from=<> to=<a@gmail.com> rcpt=<-> source=\"-\" "
	      "relay=\"192.0.2.1 (mx)\" delay=2s result=\"PermFail\" "
	      "stat=\"550 5.1.1 no\"",
	    "bounced id=8f0b7a3c to=a@gmail.com relay=mx ip=192.0.2.1 "
	    "code=550 delay=2000ms reply=550 5.1.1 no" },
	{ T E "from=<> to=<a@gmail.com> rcpt=<-> source=\"-\" relay=\"-\" "
	      "delay=5s result=\"Expire\" stat=\"Envelope expired\"",
	    "bounced id=8f0b7a3c to=a@gmail.com ip=- delay=5000ms "
	    "reply=Envelope expired" },
};

static const char *const refused[] = {
	"",
	T,
	T "0123456789abcdef smtp connected address=127.0.0.1 host=localhost",
	T "0123456789abcdef smtp message msgid=8f0b7a3c size=1 nrcpt=1",
	T "0123456789abcdef mta disconnected reason=quit messages=1",
	T E,
	T E "to=<a@x>",
	T E "to=<a@x> result=\"Novel\" stat=\"x\"",
	T "0123456789abcdef mta delivery evpid=xyz to=<a@x> result=\"Ok\"",
	T "smtp-out: Disabling route [] <-> 192.0.2.1 (mx) for 15s",
};

static void
test_lines(void **state)
{
	struct mta_log log = { .format = MTA_LOG_OPENSMTPD,
		.now_utc_us = LOG_NOW_US };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		log_check_row(&log, &rows[i]);
}

static void
test_what_is_not_ours(void **state)
{
	struct mta_log log = { .format = MTA_LOG_OPENSMTPD,
		.now_utc_us = LOG_NOW_US };
	struct mta_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (mta_log_read(&log, refused[i], strlen(refused[i]), &r))
			print_message("line: %s\n", refused[i]);
		assert_int_equal(r.kind, MTA_LOG_NONE);
	}
}

static void
test_any_bytes(void **state)
{
	struct mta_log log = { .format = MTA_LOG_OPENSMTPD,
		.now_utc_us = LOG_NOW_US };

	(void)state;
	log_fuzz_rows(&log, rows, sizeof(rows) / sizeof(rows[0]), SEED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_is_not_ours),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
