/* SPDX-License-Identifier: ISC */
/* What all formats share: times, lines of a reply, the logger's own words. */
#include "tests/unit/log_world.h"

#define REST   " mx1 postfix/qmgr[7]: 4dF5hC2QpTz9sQx: removed"
#define MINUTE INT64_C(60000000)

static const struct {
	const char *line;
	const char *zone;
	int64_t utc_us;
} times[] = {
	{ "Nov 23 20:16:54" REST, NULL, INT64_C(1795465014000000) },
	{ "Nov 23 20:16:55" REST, NULL, INT64_C(1795465015000000) },
	{ "Nov  3 00:00:00" REST, NULL, INT64_C(1793664000000000) },
	{ "Nov 23 20:16:54" REST, "Europe/Berlin",
	    INT64_C(1795465014000000) - 60 * MINUTE },
	/* summer time there */
	{ "Jul  1 12:00:00" REST, "Europe/Berlin", INT64_C(1782900000000000) },
	/* last year's */
	{ "Dec 31 23:59:59" REST, NULL, INT64_C(1767225599000000) },
	{ "2026-11-23T20:16:54.5Z" REST, NULL, INT64_C(1795465014500000) },
	{ "2026-11-23T20:16:54+01:00" REST, NULL,
	    INT64_C(1795465014000000) - 60 * MINUTE },
	{ "2026-11-23T20:16:54.123456-05:30" REST, NULL,
	    INT64_C(1795465014123456) + 330 * MINUTE },
	{ "2026-11-23T20:16:54" REST, "Europe/Berlin",
	    INT64_C(1795465014000000) - 60 * MINUTE },
	{ "Nox 23 20:16:54" REST, NULL, 0 },
	{ "Nov 31 20:16:54" REST, NULL, 0 },
	{ "Nov 23 24:16:54" REST, NULL, 0 },
	{ "Nov 23 20:16:5x" REST, NULL, 0 },
	{ "2026-11-23T20:16" REST, NULL, 0 },
};

static void
test_times(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct zone *z = times[i].zone != NULL
		    ? zone_open(times[i].zone, &err)
		    : NULL;
		struct mta_log log = { .now_utc_us = LOG_NOW_US, .zone = z };
		struct mta_record r;
		bool found = mta_log_read(&log, times[i].line,
		    strlen(times[i].line), &r);

		if (found != (times[i].utc_us != 0) ||
		    r.utc_us != times[i].utc_us)
			print_message("line: %s\n", times[i].line);
		assert_int_equal(found, times[i].utc_us != 0);
		assert_int_equal(r.utc_us, times[i].utc_us);
		zone_close(z);
	}
}

/* New Year's night: lines of December and of January in one file. */
static void
test_the_year_turns(void **state)
{
	struct mta_log log = { .now_utc_us = INT64_C(1798761600000000) };
	struct mta_record r;

	(void)state;
	assert_true(mta_log_read(&log, "Dec 31 23:59:59" REST,
	    strlen("Dec 31 23:59:59" REST), &r));
	assert_int_equal(r.utc_us, INT64_C(1798761599000000));
	assert_true(mta_log_read(&log, "Jan  1 00:00:01" REST,
	    strlen("Jan  1 00:00:01" REST), &r));
	assert_int_equal(r.utc_us, INT64_C(1798761601000000));
}

static const struct {
	int code;
	const char *logged, *reply;
} replies[] = {
	{ 421, "421-4.7.28 a 421-4.7.28 b 421 4.7.28 c 421 d",
	    "421-4.7.28 a\n421-4.7.28 b\n421 4.7.28 c 421 d" },
	{ 550, "550 5.1.1 see 550 here", "550 5.1.1 see 550 here" },
	{ 421, "421-x\\n421 y", "421-x\n421 y" },
	{ 250, "250", "250" },
	{ 0, "lost\x01 connection", "lost? connection" },
	{ 0, "", "" },
};

static void
test_lines_of_a_reply(void **state)
{
	char out[200], small[6];
	struct mta_record r = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		r.code = replies[i].code;
		r.reply = (struct span){ replies[i].logged,
			strlen(replies[i].logged) };
		mta_log_reply(&r, out, sizeof(out));
		assert_string_equal(out, replies[i].reply);
	}
	r.reply = (struct span){ "550 5.1.1", 9 };
	assert_int_equal(mta_log_reply(&r, small, sizeof(small)), 5);
	assert_string_equal(small, "550 5");
}

/* As journald tells it: no time and no program in the text. */
static void
test_parts(void **state)
{
	struct mta_log log = { .now_utc_us = LOG_NOW_US };
	struct mta_record r;
	struct span program = { "postfix/qmgr", 12 };
	struct span message = { "4dF5hC2QpTz9sQx: removed", 24 };

	(void)state;
	assert_true(mta_log_read_parts(&log, 5, program, message, &r));
	assert_int_equal(r.kind, MTA_LOG_REMOVED);
	assert_int_equal(r.utc_us, 5);
}

static void
test_gap_says_how_many(void **state)
{
	static const char line[] = "Nov 23 20:16:54 mx1 systemd-journald[1]: "
				   "Suppressed 12345 messages from a.service";
	struct mta_log log = { .now_utc_us = LOG_NOW_US };
	struct mta_record r;

	(void)state;
	assert_true(mta_log_read(&log, line, strlen(line), &r));
	assert_int_equal(r.kind, MTA_LOG_GAP);
	assert_int_equal(r.n_lost, 12345);
}

static void
test_queue_ids(void **state)
{
	static const struct {
		const char *reply, *id;
	} ids[] = {
		{ "250 2.0.0 Ok: queued as 4dF5hC2QpTz9sQx",
		    "4dF5hC2QpTz9sQx" },
		{ "250 2.0.0 Ok: 5120 bytes queued as 7F3A61C0012",
		    "7F3A61C0012" },
		{ "250-2.0.0 fine\n250 2.0.0 Ok: queued as 7F3A61C0012",
		    "7F3A61C0012" },
		{ "250 OK id=1tEabc-000000001Zq-2Xyz",
		    "1tEabc-000000001Zq-2Xyz" },
		{ "250 2.0.0 8f0b7a3c Message accepted for delivery",
		    "8f0b7a3c" },
		{ "250 2.0.0 Ok", "" },
		{ "250 2.0.0 Ok: queued as ", "" },
		{ "250 Message accepted for delivery", "" },
		{ "", "" },
	};
	char id[MTA_QUEUE_ID_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(mta_queue_id(ids[i].reply, id),
		    ids[i].id[0] != '\0');
		assert_string_equal(id, ids[i].id);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_the_year_turns),
		cmocka_unit_test(test_lines_of_a_reply),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_gap_says_how_many),
		cmocka_unit_test(test_queue_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
