/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_WORLD_H
#define FLYBALL_LOG_WORLD_H

/*
 * Tables of log lines for the tests of the formats: a line, and what is to be
 * read from it, in words. And the entry that fuzzing shares with them: any
 * bytes may be read, and every span must lie within the line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"
#include "sink/mta_log.h"

#define LOG_NOW_US INT64_C(1795466400000000) /* 2026-11-23 20:40:00 UTC */

struct log_row {
	const char *line;
	/* "kind id=.. to=.. orig=.. relay=.. ip=.. src=.. dsn=.. code=..
	 * phase=.. ident=.. child=.. delay=..ms reply=.."; what is empty is
	 * left out. */
	const char *told;
};

static inline void
log_tell_span(char *out, size_t size, const char *name, struct span s)
{
	size_t len = strlen(out);

	if (s.len > 0)
		snprintf(out + len, size - len, " %s=%.*s", name, (int)s.len,
		    s.p);
}

static inline void
log_tell(const struct mta_record *r, char *out, size_t size)
{
	size_t len;

	snprintf(out, size, "%s", mta_log_kind_name(r->kind));
	log_tell_span(out, size, "id", r->queue_id);
	log_tell_span(out, size, "to", r->recipient);
	log_tell_span(out, size, "orig", r->orig_to);
	log_tell_span(out, size, "relay", r->relay);
	log_tell_span(out, size, "ip", r->relay_ip);
	log_tell_span(out, size, "src", r->source_ip);
	log_tell_span(out, size, "dsn", r->dsn);
	len = strlen(out);
	if (r->code > 0)
		snprintf(out + len, size - len, " code=%d", r->code);
	len = strlen(out);
	if (r->phase != PHASE_UNKNOWN)
		snprintf(out + len, size - len, " phase=%s",
		    phase_name(r->phase));
	log_tell_span(out, size, "ident", r->ident);
	log_tell_span(out, size, "child", r->child);
	len = strlen(out);
	if (r->delay_us >= 0)
		snprintf(out + len, size - len, " delay=%lldms",
		    (long long)r->delay_us / 1000);
	log_tell_span(out, size, "reply", r->reply);
}

static inline void
log_check_row(struct mta_log *log, const struct log_row *row)
{
	struct mta_record r;
	char told[2000];

	mta_log_read(log, row->line, strlen(row->line), &r);
	log_tell(&r, told, sizeof(told));
	if (strcmp(told, row->told) != 0)
		print_message("line: %s\n", row->line);
	assert_string_equal(told, row->told);
}

static inline void
log_check_within(struct span s, const char *line, size_t len)
{
	if (s.len == 0)
		return;
	assert_true(s.p >= line && s.p + s.len <= line + len);
}

/* The fuzzers' entry. The line is copied, so that ASan sees its ends. */
static inline void
log_fuzz_one(struct mta_log *log, const void *bytes, size_t len)
{
	char *line = xmemdup(bytes, len > 0 ? len : 1);
	char reply[512];
	struct mta_record r;

	if (mta_log_read(log, line, len, &r)) {
		assert_int_not_equal(r.kind, MTA_LOG_NONE);
		log_check_within(r.queue_id, line, len);
		log_check_within(r.recipient, line, len);
		log_check_within(r.orig_to, line, len);
		log_check_within(r.relay, line, len);
		log_check_within(r.relay_ip, line, len);
		log_check_within(r.source_ip, line, len);
		log_check_within(r.dsn, line, len);
		log_check_within(r.reply, line, len);
		log_check_within(r.ident, line, len);
		log_check_within(r.child, line, len);
		assert_true(mta_log_reply(&r, reply, sizeof(reply)) <
		    sizeof(reply));
	} else {
		assert_int_equal(r.kind, MTA_LOG_NONE);
	}
	free(line);
}

/* The rows' lines, cut and with bytes changed. */
static inline void
log_fuzz_rows(struct mta_log *log, const struct log_row *rows, size_t n,
    uint64_t seed)
{
	struct rng rng = { seed };
	char line[4096];

	print_message("seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < 20000; i++) {
		const char *from = rows[rng_next(&rng) % n].line;
		size_t len = strlen(from);

		memcpy(line, from, len);
		if (len > 0 && rng_next(&rng) % 2)
			len = rng_next(&rng) % len;
		for (uint64_t k = rng_next(&rng) % 4; k > 0 && len > 0; k--)
			line[rng_next(&rng) % len] =
			    "<>\"\\,= ():[]\n\0a1"[rng_next(&rng) % 16];
		log_fuzz_one(log, line, len);
	}
}

#endif
