/* SPDX-License-Identifier: ISC */
/*
 * How many lines of an MTA's log are read in a second, in CPU time of one
 * core: five lines a message, as Postfix writes them, those that nobody needs
 * among them.
 *
 *	bench_mta_log [LINES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/mta_log.h"

#define Q "4dF5hC2QpTz9sQx"
#define T "mx1 postfix/"

static const char *const lines[] = {
	T "smtpd[811]: " Q ": client=gov[127.0.0.1], orig_queue_id=01JDGOV7.0, "
	  "orig_client=app[10.0.0.7]",
	T "cleanup[815]: " Q ": message-id=<abc@shop.example>",
	T "qmgr[700]: " Q ": from=<news@shop.example>, size=4210, nrcpt=1 "
	  "(queue active)",
	T "smtp[820]: " Q ": to=<a@gmail.com>, "
	  "relay=gmail-smtp-in.l.google.com[142.250.1.27]:25, delay=1.2, "
	  "delays=0.02/0.01/0.55/0.62, dsn=4.7.28, status=deferred (host "
	  "gmail-smtp-in.l.google.com[142.250.1.27] said: 421-4.7.28 Gmail has "
	  "detected an unusual rate of unsolicited mail 421 4.7.28 - gsmtp (in "
	  "reply to end of DATA command))",
	T "qmgr[700]: " Q ": removed",
};

int
main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000, found = 0;
	struct mta_log log = { .now_utc_us = INT64_C(1795466400000000) };
	struct timespec ts;
	char line[1000];
	double took;

	for (size_t i = 0; i < n; i++) {
		struct mta_record r;
		/* The clock goes on as under load: 5,000 lines a second. */
		int len = snprintf(line, sizeof(line),
		    "Nov 23 %02zu:%02zu:%02zu %s", i / 18000000 % 24,
		    i / 300000 % 60, i / 5000 % 60, lines[i % 5]);

		found += mta_log_read(&log, line, (size_t)len, &r);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	took = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	printf("log lines read: %.0f a second (%zu lines, %zu records)\n",
	    (double)n / took, n, found);
	return found == n / 5 * 3 ? 0 : 1;
}
