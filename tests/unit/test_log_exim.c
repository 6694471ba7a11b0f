/* SPDX-License-Identifier: ISC */
/* Exim's main log, with short and long ids and with the selectors that add
 * something to a line. */
#include "tests/unit/log_world.h"

#define SEED 20261126

#define T "2026-11-23 20:16:55 "
#define Q "1tEabc-000000001Zq-2Xyz"

static const struct log_row rows[] = {
	{ T Q " <= s@shop.example H=gov [127.0.0.1] P=esmtpa A=plain:gov "
	      "S=4210 id=abc@shop.example",
	    "received id=" Q },
	{ T Q " => a@gmail.com R=dnslookup T=remote_smtp "
	      "H=gmail-smtp-in.l.google.com [142.250.1.27] "
	      "X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 "
	      "CV=yes C=\"250 2.0.0 OK  1732393014 x.12 - gsmtp\"",
	    "delivered id=" Q " to=a@gmail.com "
	    "relay=gmail-smtp-in.l.google.com ip=142.250.1.27 code=250 "
	    "phase=eod reply=250 2.0.0 OK  1732393014 x.12 - gsmtp" },
	/* further recipient, parent address, port, source, times */
	{ "2026-11-23 20:16:55.123 +0100 [4711] 16ZCW1-0005MB-00 -> "
	  "b@x.example <list@ours.example> R=r T=t I=[192.0.2.10]:4711 "
	  "H=mx.x.example [2001:db8::1]:25 C=\"250 OK id=16ZCW1-0005MB-01\" "
	  "QT=2.5s DT=1s",
	    "delivered id=16ZCW1-0005MB-00 to=b@x.example "
	    "orig=list@ours.example relay=mx.x.example ip=2001:db8::1 "
	    "src=192.0.2.10 code=250 phase=eod child=16ZCW1-0005MB-01 "
	    "delay=1000ms reply=250 OK id=16ZCW1-0005MB-01" },
	{ T Q " => user <user@ours.example> R=local T=local_delivery",
	    "delivered id=" Q " to=user orig=user@ours.example phase=eod" },
	{ T Q " == a@gmail.com R=dnslookup T=remote_smtp defer (-46) "
	      "H=g.google.com [142.250.1.27]: SMTP error from remote mail "
	      "server after end of data: 421-4.7.28 unusual rate\\n421 4.7.28 "
	      "gsmtp",
	    "deferred id=" Q " to=a@gmail.com relay=g.google.com "
	    "ip=142.250.1.27 code=421 phase=eod reply=421-4.7.28 unusual "
	    "rate\\n421 4.7.28 gsmtp" },
	/* as older ones have it: the host behind the phase */
	{ T Q " == a@x.example R=d T=r defer (-44): SMTP error from remote "
	      "mail server after RCPT TO:<a@x.example>: host mx [192.0.2.1]: "
	      "450 4.2.0 greylisted",
	    "deferred id=" Q " to=a@x.example relay=mx ip=192.0.2.1 code=450 "
	    "phase=rcpt reply=450 4.2.0 greylisted" },
	{ T Q " == a@x.example R=d T=r defer (110) H=mx [192.0.2.1]: "
	      "Connection timed out",
	    "deferred id=" Q " to=a@x.example relay=mx ip=192.0.2.1 "
	    "reply=Connection timed out" },
	{ T Q " == a@x.example R=d T=r defer (-1): retry time not reached for "
	      "any host for 'x.example'",
	    "echo id=" Q " to=a@x.example reply=retry time not reached for "
	    "any host for 'x.example'" },
	{ T Q " ** x@y.example R=dnslookup T=remote_smtp H=mx [192.0.2.1]: "
	      "SMTP error from remote mail server after RCPT "
	      "TO:<x@y.example>: 550 5.1.1 no such user",
	    "bounced id=" Q " to=x@y.example relay=mx ip=192.0.2.1 code=550 "
	    "phase=rcpt reply=550 5.1.1 no such user" },
	{ T Q " ** x@y.example: Unrouteable address",
	    "bounced id=" Q " to=x@y.example reply=Unrouteable address" },
	{ T Q " ** x@y.example: retry timeout exceeded",
	    "bounced id=" Q " to=x@y.example reply=retry timeout exceeded" },
	/* a host refused, the attempt goes on with the next one */
	{ T Q " H=mx1 [192.0.2.1]: SMTP error from remote mail server after "
	      "initial connection: 421 too many",
	    "soft id=" Q " relay=mx1 ip=192.0.2.1 code=421 phase=connect "
	    "reply=421 too many" },
	{ T Q " Completed", "removed id=" Q },
	{ T Q " Completed QT=2s", "removed id=" Q },
	/* by syslog, with and without its own time */
	{ "Nov 23 20:16:55 mx1 exim[88]: " T Q " Completed", "removed id=" Q },
	{ "Nov 23 20:16:55 mx1 exim[88]: " Q " Completed", "removed id=" Q },
	{ "2026-11-23T20:16:55+01:00 mx1 exim[88]: " Q " Completed",
	    "removed id=" Q },
	{ T Q " == \"a b: c\"@x.example R=d T=r defer (110): Connection "
	      "refused",
	    "deferred id=" Q " to=\"a b: c\"@x.example reply=Connection "
	    "refused" },
};

static const struct log_row refused[] = {
	{ "", "none" },
	{ T, "none" },
	{ T "Start queue run: pid=1", "none" },
	{ T Q, "none" },
	{ T Q " ", "none" },
	{ T Q " =>", "none" },
	{ T Q " => ", "none" },
	{ T Q " == ", "none" },
	{ T Q " Frozen", "none" },
	{ T Q " H=mx1 [192.0.2.1] Connection timed out", "none" },
	{ T "1tEabc-00000000-2Xyz Completed", "none" },
	{ T "1tEabc-000000001Zq-2X:z Completed", "none" },
	{ "2026-13-23 20:16:55 " Q " Completed", "none" },
	{ T "no host name found for IP address 192.0.2.1", "none" },
};

static void
test_lines(void **state)
{
	struct mta_log log = { .format = MTA_LOG_EXIM,
		.now_utc_us = LOG_NOW_US };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		log_check_row(&log, &rows[i]);
}

static void
test_what_is_not_ours(void **state)
{
	struct mta_log log = { .format = MTA_LOG_EXIM,
		.now_utc_us = LOG_NOW_US };
	struct mta_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *line = refused[i].line;

		if (mta_log_read(&log, line, strlen(line), &r))
			print_message("line: %s\n", line);
		assert_int_equal(r.kind, MTA_LOG_NONE);
	}
}

static void
test_any_bytes(void **state)
{
	struct mta_log log = { .format = MTA_LOG_EXIM,
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
