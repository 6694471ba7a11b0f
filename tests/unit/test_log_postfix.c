/* SPDX-License-Identifier: ISC */
/* Postfix's log, 3.4 to 3.11: each kind of line, and what isn't ours. */
#include "tests/unit/log_world.h"

#define SEED 20261125

#define T "Nov 23 20:16:54 mx1 postfix/"
#define Q "4dF5hC2QpTz9sQx"

static const struct log_row rows[] = {
	/* received: with and without our ident */
	{ T "smtpd[811]: " Q ": client=gov[127.0.0.1], orig_queue_id=01JDGOV7, "
	    "orig_client=app[10.0.0.7]",
	    "received id=" Q " ident=01JDGOV7" },
	{ T "smtpd[811]: " Q ": client=gov[127.0.0.1]", "received id=" Q },
	{ T "smtpd[811]: " Q ": client=gov[127.0.0.1], sasl_method=PLAIN, "
	    "sasl_username=a, b, orig_queue_id=x.1",
	    "received id=" Q " ident=x.1" },
	{ T "pickup[3]: 7F3A61C0012: uid=0 from=<root>",
	    "received id=7F3A61C0012" },
	/* delivered */
	{ T "smtp[820]: " Q ": to=<a@gmail.com>, "
	    "relay=gmail-smtp-in.l.google.com[142.250.1.27]:25, delay=1.2, "
	    "delays=0.02/0.01/0.55/0.62, dsn=2.0.0, status=sent (250 2.0.0 OK "
	    " 1732393014 x.12 - gsmtp)",
	    "delivered id=" Q " to=a@gmail.com "
	    "relay=gmail-smtp-in.l.google.com ip=142.250.1.27 dsn=2.0.0 "
	    "code=250 phase=eod delay=1200ms reply=250 2.0.0 OK  1732393014 "
	    "x.12 - gsmtp" },
	/* 3.11 says the TLS level; a key nobody knows yet */
	{ T "smtp[820]: " Q ": to=<a@x.example>, relay=mx[2001:db8::1]:25, "
	    "conn_use=3, delay=123, delays=0/0/0/123, tls=verified, "
	    "novelty=1, dsn=2.0.0, status=sent (250 ok)",
	    "delivered id=" Q " to=a@x.example relay=mx ip=2001:db8::1 "
	    "dsn=2.0.0 code=250 phase=eod delay=123000ms reply=250 ok" },
	{ T "smtp[820]: " Q ": to=<a@x.example>, orig_to=<list@ours.example>, "
	    "relay=127.0.0.1[127.0.0.1]:10024, delay=0.1, delays=0/0/0/0.1, "
	    "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4dF5hC2QpTz9sQy)",
	    "delivered id=" Q " to=a@x.example orig=list@ours.example "
	    "relay=127.0.0.1 ip=127.0.0.1 dsn=2.0.0 code=250 phase=eod "
	    "child=4dF5hC2QpTz9sQy delay=100ms reply=250 2.0.0 Ok: queued as "
	    "4dF5hC2QpTz9sQy" },
	{ T "lmtp[1]: " Q ": to=<u@l.example>, relay=l[private/dovecot-lmtp], "
	    "delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 "
	    "<u@l.example> x Saved)",
	    "delivered id=" Q " to=u@l.example relay=l ip=private/dovecot-lmtp "
	    "dsn=2.0.0 code=250 phase=eod delay=100ms reply=250 2.0.0 "
	    "<u@l.example> x Saved" },
	{ T "local[1]: " Q ": to=<u@ours.example>, relay=local, delay=0.1, "
	    "delays=0/0/0/0.1, dsn=2.0.0, status=sent (delivered to mailbox)",
	    "delivered id=" Q " to=u@ours.example relay=local dsn=2.0.0 "
	    "phase=eod delay=100ms reply=delivered to mailbox" },
	/* deferred by a reply */
	{ T "smtp[820]: " Q ": to=<a@gmail.com>, "
	    "relay=g.google.com[142.250.1.27]:25, delay=1, delays=0/0/0/1, "
	    "dsn=4.7.28, status=deferred (host g.google.com[142.250.1.27] "
	    "said: 421-4.7.28 Gmail has detected an unusual rate (of mail) "
	    "421 4.7.28 x - gsmtp (in reply to end of DATA command))",
	    "deferred id=" Q " to=a@gmail.com relay=g.google.com "
	    "ip=142.250.1.27 dsn=4.7.28 code=421 phase=eod delay=1000ms "
	    "reply=421-4.7.28 Gmail has detected an unusual rate (of mail) "
	    "421 4.7.28 x - gsmtp" },
	{ T "smtp[8]: " Q ": to=<b@yahoo.com>, relay=mta5.am0.yahoodns.net"
	    "[67.195.1.1]:25, delay=1, delays=0/0/1/0, dsn=4.7.0, "
	    "status=deferred (host mta5.am0.yahoodns.net[67.195.1.1] refused "
	    "to talk to me: 421 4.7.0 [TSS04] Messages from 192.0.2.1 "
	    "temporarily deferred)",
	    "deferred id=" Q " to=b@yahoo.com relay=mta5.am0.yahoodns.net "
	    "ip=67.195.1.1 dsn=4.7.0 code=421 phase=connect delay=1000ms "
	    "reply=421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily "
	    "deferred" },
	{ "Nov  3 01:02:03 mx1 postfix/ip1/smtp[8]: 7F3A61C0012: "
	  "to=<b@x.example>, relay=mx[192.0.2.1]:25, delay=1, "
	  "delays=0/0/1/0, dsn=4.2.0, status=deferred (host mx[192.0.2.1] "
	  "said: 450 4.2.0 <b@x.example>: Greylisted (in reply to RCPT TO "
	  "command))",
	    "deferred id=7F3A61C0012 to=b@x.example relay=mx ip=192.0.2.1 "
	    "dsn=4.2.0 code=450 phase=rcpt delay=1000ms reply=450 4.2.0 "
	    "<b@x.example>: Greylisted" },
	/* no reply */
	{ T "smtp[8]: " Q ": to=<b@x.example>, relay=mx[192.0.2.1]:25, "
	    "delay=1, delays=0/0/1/0, dsn=4.4.2, status=deferred (lost "
	    "connection with mx[192.0.2.1] while receiving the initial server "
	    "greeting)",
	    "deferred id=" Q " to=b@x.example relay=mx ip=192.0.2.1 dsn=4.4.2 "
	    "phase=connect delay=1000ms reply=lost connection with "
	    "mx[192.0.2.1] while receiving the initial server greeting" },
	{ T "smtp[8]: " Q ": to=<b@x.example>, relay=mx[192.0.2.1]:25, "
	    "delay=1, delays=0/0/1/0, dsn=4.4.2, status=deferred "
	    "(conversation with mx[192.0.2.1] timed out while sending end of "
	    "data -- message may be sent more than once)",
	    "deferred id=" Q " to=b@x.example relay=mx ip=192.0.2.1 dsn=4.4.2 "
	    "phase=eod delay=1000ms reply=conversation with mx[192.0.2.1] "
	    "timed out while sending end of data -- message may be sent more "
	    "than once" },
	{ T "smtp[8]: " Q ": to=<b@x.example>, relay=none, delay=30, "
	    "delays=0/0/30/0, dsn=4.4.1, status=deferred (connect to "
	    "mx[192.0.2.1]:25: Connection timed out)",
	    "deferred id=" Q " to=b@x.example dsn=4.4.1 phase=connect "
	    "delay=30000ms reply=connect to mx[192.0.2.1]:25: Connection "
	    "timed out" },
	/* echoes */
	{ T "error[8]: " Q ": to=<c@yahoo.com>, relay=none, delay=1, "
	    "delays=0/0/0/1, dsn=4.7.0, status=deferred (delivery temporarily "
	    "suspended: host x[192.0.2.1] refused to talk to me: 421 busy)",
	    "echo id=" Q " to=c@yahoo.com dsn=4.7.0 delay=1000ms "
	    "reply=delivery temporarily suspended: host x[192.0.2.1] refused "
	    "to talk to me: 421 busy" },
	{ T "retry[8]: " Q ": to=<c@yahoo.com>, relay=none, delay=1, "
	    "delays=0/0/0/1, dsn=4.3.0, status=deferred (mail transport "
	    "unavailable)",
	    "echo id=" Q " to=c@yahoo.com dsn=4.3.0 delay=1000ms reply=mail "
	    "transport unavailable" },
	/* another host goes on */
	{ T "smtp[8]: " Q ": host mx1.x.example[192.0.2.1] said: 421 4.7.0 "
	    "slow down (in reply to RCPT TO command)",
	    "soft id=" Q " relay=mx1.x.example ip=192.0.2.1 code=421 "
	    "phase=rcpt reply=421 4.7.0 slow down" },
	{ T "smtp[8]: " Q ": host mx1[192.0.2.1] refused to talk to me: 554 no",
	    "soft id=" Q " relay=mx1 ip=192.0.2.1 code=554 phase=connect "
	    "reply=554 no" },
	/* bounced */
	{ T "smtp[8]: " Q ": to=<b@x.example>, relay=mx[192.0.2.1]:25, "
	    "delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host "
	    "mx[192.0.2.1] said: 550-5.1.1 no such user 550 5.1.1 sorry (in "
	    "reply to RCPT TO command))",
	    "bounced id=" Q " to=b@x.example relay=mx ip=192.0.2.1 dsn=5.1.1 "
	    "code=550 phase=rcpt delay=1000ms reply=550-5.1.1 no such user "
	    "550 5.1.1 sorry" },
	{ T "smtp[8]: " Q ": to=<b@no.example>, relay=none, delay=1, "
	    "delays=0/0/1/0, dsn=5.4.4, status=bounced (Host or domain name "
	    "not found. Name service error for name=no.example type=A: Host "
	    "not found)",
	    "bounced id=" Q " to=b@no.example dsn=5.4.4 delay=1000ms "
	    "reply=Host or domain name not found. Name service error for "
	    "name=no.example type=A: Host not found" },
	/* the queue's end of it */
	{ T "qmgr[7]: " Q ": from=<s@x.example>, status=expired, returned to "
	    "sender",
	    "expired id=" Q " reply=expired, returned to sender" },
	{ T "qmgr[7]: " Q ": from=<\"a, status=expired\"@x.example>, "
	    "status=force-expired, returned to sender",
	    "expired id=" Q " reply=force-expired, returned to sender" },
	{ T "qmgr[7]: " Q ": removed", "removed id=" Q },
	/* an address that would say more than it may */
	{ T "smtp[8]: " Q ": to=<\"x>, status=sent (250 ok)\"@x.example>, "
	    "relay=none, delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred "
	    "(connect to x[192.0.2.1]:25: Connection refused)",
	    "deferred id=" Q " to=\"x>, status=sent (250 ok)\"@x.example "
	    "dsn=4.4.1 phase=connect delay=0ms reply=connect to "
	    "x[192.0.2.1]:25: Connection refused" },
	/* RFC 3339, and several instances */
	{ "2026-11-23T20:16:54.123456+01:00 mx1 postfix-out/smtp[8]: " Q
	  ": to=<b@x.example>, relay=mx[192.0.2.1]:25, delay=0.01, "
	  "delays=0/0/0/0.01, dsn=2.0.0, status=sent (250 ok)",
	    "delivered id=" Q " to=b@x.example relay=mx ip=192.0.2.1 "
	    "dsn=2.0.0 code=250 phase=eod delay=10ms reply=250 ok" },
	/* the logger */
	{ "Nov 23 20:16:54 mx1 systemd-journald[1]: Suppressed 12345 messages "
	  "from postfix.service",
	    "gap" },
	{ "Nov 23 20:16:54 mx1 rsyslogd: imuxsock lost 77 messages from pid "
	  "811 due to rate-limiting",
	    "gap" },
};

static const struct log_row refused[] = {
	{ "", "none" },
	{ "Nov 23", "none" },
	{ "Nov 23 20:16:54", "none" },
	{ "Nov 23 20:16:54 mx1", "none" },
	{ "nonsense", "none" },
	{ "Nov 23 20:16:54 mx1 sshd[8]: " Q ": to=<a@x>, status=sent (250 ok)",
	    "none" },
	{ T "smtpd[811]: connect from gov[127.0.0.1]", "none id=" },
	{ T "smtpd[811]: NOQUEUE: reject: RCPT from x[1.2.3.4]: 554", "none" },
	{ T "smtpd[811]: warning: 1.2.3.4: hostname x verification failed",
	    "none" },
	{ T "cleanup[815]: " Q ": message-id=<abc@shop.example>", "none" },
	{ T "qmgr[700]: " Q ": from=<news@shop.example>, size=4210, nrcpt=1 "
	    "(queue active)",
	    "none" },
	{ T "bounce[9]: " Q ": sender non-delivery notification: 4dF5hC2QpT",
	    "none" },
	{ T "smtp[9]: " Q ": to=<a@x.example>, relay=none, delay=0", "none" },
	{ T "smtp[9]: " Q ": to=<a@x.example", "none" },
	{ T "smtp[9]: " Q ": to=<a@x.example>, status=novel (text)", "none" },
	{ T "smtp[9]: " Q ": host mx said nothing", "none" },
	{ T "smtp[9]: Trusted TLS connection established to mx[1.2.3.4]:25",
	    "none" },
	{ T "anvil[9]: statistics: max connection rate 1/60s", "none" },
};

static void
test_lines(void **state)
{
	struct mta_log log = { .now_utc_us = LOG_NOW_US };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		log_check_row(&log, &rows[i]);
}

static void
test_what_is_not_ours(void **state)
{
	struct mta_log log = { .now_utc_us = LOG_NOW_US };
	struct mta_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *line = refused[i].line;

		if (mta_log_read(&log, line, strlen(line), &r))
			print_message("line: %s\n", line);
		assert_int_equal(r.kind, MTA_LOG_NONE);
	}
}

/* Fifty lines of one reply are one event; another reply is another one. */
static void
test_one_reply_is_one_event(void **state)
{
	static const char *const to[] = { "a@x.example", "b@x.example" };
	struct mta_log log = { .now_utc_us = LOG_NOW_US };
	uint64_t event[3] = { 0 };
	struct mta_record r;
	char line[500];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(line, sizeof(line),
		    T "smtp[8]: " Q ": to=<%s>, relay=mx[192.0.2.1]:25, "
		      "delay=1, delays=0/0/1/0, dsn=4.7.0, status=deferred "
		      "(host mx[192.0.2.1] said: 421 %zu (in reply to DATA "
		      "command))",
		    to[i % 2], i / 2);
		assert_true(mta_log_read(&log, line, strlen(line), &r));
		event[i] = r.event;
	}
	assert_true(event[0] != 0 && event[0] == event[1]);
	assert_true(event[2] != event[0]);
}

static void
test_any_bytes(void **state)
{
	struct mta_log log = { .now_utc_us = LOG_NOW_US };

	(void)state;
	log_fuzz_rows(&log, rows, sizeof(rows) / sizeof(rows[0]), SEED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_is_not_ours),
		cmocka_unit_test(test_one_reply_is_one_event),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
