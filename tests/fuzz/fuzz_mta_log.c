/* SPDX-License-Identifier: ISC */
/*
 * Lines of other MTAs' logs: what is taken from one lies within it, and a
 * reply that goes on to rules and logs has no control characters.
 */
#include "sink/mta_log.h"

#include "tests/fuzz/fuzz.h"

#define NOW_UTC_US INT64_C(1795500000000000)

static void
check_within(struct span s, const char *line, size_t len)
{
	if (s.len > 0)
		fuzz_check(s.p >= line && s.p + s.len <= line + len);
}

static void
check_record(const struct mta_record *r, const char *line, size_t len)
{
	char reply[400], id[MTA_QUEUE_ID_SIZE];

	check_within(r->queue_id, line, len);
	check_within(r->ident, line, len);
	check_within(r->recipient, line, len);
	check_within(r->orig_to, line, len);
	check_within(r->relay, line, len);
	check_within(r->relay_ip, line, len);
	check_within(r->source_ip, line, len);
	check_within(r->dsn, line, len);
	check_within(r->reply, line, len);
	check_within(r->child, line, len);
	fuzz_check(r->kind != MTA_LOG_NONE);
	fuzz_check(r->code == 0 || (r->code >= 200 && r->code <= 599));
	fuzz_check(mta_log_reply(r, reply, sizeof(reply)) < sizeof(reply));
	for (const char *p = reply; *p != '\0'; p++)
		fuzz_check((unsigned char)*p >= ' ' || *p == '\t' ||
		    *p == '\n');
	if (mta_queue_id(reply, id))
		fuzz_check(strlen(id) < sizeof(id));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct log_pattern *pattern;
	struct fuzz in = { data, len };
	struct mta_log log = { .format = fuzz_byte(&in) % MTA_LOG_FORMAT_COUNT,
		.now_utc_us = NOW_UTC_US };
	size_t at;
	struct err err;

	if (pattern == NULL)
		pattern = log_pattern_new("^(?<time>\\S+ )?(?<id>\\w+) "
					  "to=(?<recipient>\\S+) "
					  "(?<status>\\w+) (?<reply>.*)$",
		    &at, &err);
	fuzz_check(pattern != NULL);
	log.pattern = pattern;
	while (in.len > 0) {
		const uint8_t *lf = memchr(in.data, '\n', in.len);
		struct fuzz piece = { in.data,
			lf != NULL ? (size_t)(lf - in.data) : in.len };
		char *line = fuzz_exact(&piece);
		struct mta_record r;

		if (mta_log_read(&log, line, piece.len, &r))
			check_record(&r, line, piece.len);
		free(line);
		in.data += piece.len;
		in.len -= piece.len;
		fuzz_byte(&in);
	}
	return 0;
}
