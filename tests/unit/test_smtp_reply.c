/* SPDX-License-Identifier: ISC */
/* Replies out of bytes, cut in any way; what isn't SMTP is refused. */
#include "sink/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"

#define SEED 20261125

struct row {
	const char *bytes;
	int code;
	const char *enhanced;
	const char *text;
};

static const struct row rows[] = {
	{ "250 ok\r\n", 250, "", "250 ok" },
	{ "250\r\n", 250, "", "250" },
	{ "250 \r\n", 250, "", "250 " },
	{ "250 ok\n", 250, "", "250 ok" },
	{ "250-a\r\n250-b\r\n250 c\r\n", 250, "", "250-a\n250-b\n250 c" },
	{ "250-a\n250 b\n", 250, "", "250-a\n250 b" },
	{ "250-\r\n250\r\n", 250, "", "250-\n250" },
	{ "550 5.1.1 no such user\r\n", 550, "5.1.1",
	    "550 5.1.1 no such user" },
	{ "421-4.7.28 Our system\r\n421-4.7.28 has detected\r\n"
	  "421 4.7.28 x - gsmtp\r\n",
	    421, "4.7.28",
	    "421-4.7.28 Our system\n421-4.7.28 has detected\n"
	    "421 4.7.28 x - gsmtp" },
	/* the last line that has one */
	{ "550-5.7.1 a\r\n550-see\r\n550 http://x.example\r\n", 550, "5.7.1",
	    "550-5.7.1 a\n550-see\n550 http://x.example" },
	{ "550-5.7.1 a\r\n550 5.7.26 b\r\n", 550, "5.7.26",
	    "550-5.7.1 a\n550 5.7.26 b" },
	/* a code that changes: the last line's, and its enhanced code only */
	{ "220-x\r\n421 too many\r\n", 421, "", "220-x\n421 too many" },
	{ "550-5.7.1 x\r\n421 y\r\n", 421, "", "550-5.7.1 x\n421 y" },
	/* what would cut or fake a line */
	{ "550 a\rb\x01\x7f\tc\r\n", 550, "", "550 a?b??\tc" },
	{ "550 caf\xc3\xa9\r\n", 550, "", "550 caf\xc3\xa9" },
	{ "550 x\r\r\n", 550, "", "550 x" },
	{ "200 a\r\n", 200, "", "200 a" },
	{ "599 a\r\n", 599, "", "599 a" },
};

static const char *const broken[] = {
	"\r\n",
	"x\r\n",
	"25\r\n",
	"25x ok\r\n",
	"250ok\r\n",
	"250\tok\r\n",
	"2500 ok\r\n",
	"150 ok\r\n",
	"600 ok\r\n",
	"099 ok\r\n",
	" 250 ok\r\n",
	"250-a\r\nno code\r\n",
	"HTTP/1.0 400 Bad Request\r\n",
	"SSH-2.0-OpenSSH_9.2p1\r\n",
	"-ERR\r\n",
};

static void
check_row(struct smtp_reply *r, const struct row *row)
{
	assert_int_equal(r->code, row->code);
	assert_string_equal(r->enhanced, row->enhanced);
	assert_string_equal(r->text.data, row->text);
}

static void
replies_are_read_in_one_piece(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtp_reply r = { 0 };
		size_t len = strlen(rows[i].bytes), used;

		assert_int_equal(smtp_reply_read(&r, rows[i].bytes, len, &used),
		    REPLY_DONE);
		assert_int_equal(used, len);
		check_row(&r, &rows[i]);
		smtp_reply_fini(&r);
	}
}

/* One reader for all of them in a row, as on a connection. */
static void
replies_are_read_however_they_are_cut(void **state)
{
	struct smtp_reply r = { 0 };
	struct rng rng;

	(void)state;
	print_message("seed %d\n", SEED);
	rng.state = SEED;
	for (size_t turn = 0; turn < 300; turn++) {
		const struct row *row =
		    &rows[turn % (sizeof(rows) / sizeof(rows[0]))];
		size_t len = strlen(row->bytes), at = 0, used;
		enum reply_read rc = REPLY_MORE;

		while (at < len) {
			size_t n =
			    turn < 30 ? 1 : 1 + rng_next(&rng) % (len - at);

			assert_int_equal(rc, REPLY_MORE);
			rc = smtp_reply_read(&r, row->bytes + at, n, &used);
			assert_int_equal(used, n);
			at += n;
		}
		assert_int_equal(rc, REPLY_DONE);
		check_row(&r, row);
	}
	smtp_reply_fini(&r);
}

static void
one_reply_is_taken_at_a_time(void **state)
{
	static const char bytes[] = "250 a\r\n250-b\r\n250 c\r\n354 d\r\n25";
	static const char *const texts[] = { "250 a", "250-b\n250 c", "354 d" };
	struct smtp_reply r = { 0 };
	size_t at = 0, used;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(smtp_reply_read(&r, bytes + at,
				     sizeof(bytes) - 1 - at, &used),
		    REPLY_DONE);
		assert_string_equal(r.text.data, texts[i]);
		at += used;
	}
	assert_int_equal(smtp_reply_read(&r, bytes + at, sizeof(bytes) - 1 - at,
			     &used),
	    REPLY_MORE);
	assert_int_equal(smtp_reply_read(&r, "0 e\r\n", 5, &used), REPLY_DONE);
	assert_string_equal(r.text.data, "250 e");
	smtp_reply_fini(&r);
}

static void
what_is_no_smtp_is_broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct smtp_reply r = { 0 };
		size_t used;

		assert_int_equal(smtp_reply_read(&r, broken[i],
				     strlen(broken[i]), &used),
		    REPLY_BROKEN);
		smtp_reply_fini(&r);
	}
}

static void
a_nul_cuts_nothing_short(void **state)
{
	static const char bytes[] = "550 a\0b\r\n";
	struct smtp_reply r = { 0 };
	size_t used;

	(void)state;
	assert_int_equal(smtp_reply_read(&r, bytes, sizeof(bytes) - 1, &used),
	    REPLY_DONE);
	assert_string_equal(r.text.data, "550 a?b");
	smtp_reply_fini(&r);
}

/* Feeds `piece` up to n times; how many were taken before it broke. */
static int
n_until_broken(const char *piece, size_t len, int n)
{
	struct smtp_reply r = { 0 };
	size_t used;
	int i = 0;

	while (i < n && smtp_reply_read(&r, piece, len, &used) != REPLY_BROKEN)
		i++;
	assert_true(r.text.len <= REPLY_TEXT_MAX);
	assert_true(r.line.len <= 2000);
	smtp_reply_fini(&r);
	return i;
}

static void
a_peer_cannot_fill_the_memory(void **state)
{
	char line[1500];

	(void)state;
	assert_int_equal(n_until_broken("x", 1, 100000), 2000);
	assert_int_equal(n_until_broken("250-x\r\n", 7, 100000), 512);
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	assert_int_equal(n_until_broken(line, sizeof(line), 100000),
	    REPLY_TEXT_MAX / 1499);
}

/* Bytes that look like replies often enough to get somewhere. */
static void
any_bytes_are_survived(void **state)
{
	static const char likely[] = "2245500 -\r\n\n.x\0\xff";
	struct rng rng = { .state = SEED };
	int n_done = 0, n_broken = 0;

	(void)state;
	print_message("seed %d\n", SEED);
	for (int turn = 0; turn < 20000; turn++) {
		struct smtp_reply r = { 0 };
		char bytes[64];
		size_t used, len = 4 + rng_below(&rng, sizeof(bytes) - 3);
		enum reply_read rc;

		for (size_t i = 0; i < len; i++)
			bytes[i] = likely[rng_below(&rng, sizeof(likely))];
		memcpy(bytes, turn % 2 ? "250 " : "4", turn % 2 ? 4 : 1);
		rc = smtp_reply_read(&r, bytes, len, &used);
		assert_true(used <= sizeof(bytes));
		n_done += rc == REPLY_DONE;
		n_broken += rc == REPLY_BROKEN;
		if (rc == REPLY_DONE) {
			assert_in_range(r.code, 200, 599);
			assert_int_equal(strlen(r.text.data), r.text.len);
			assert_null(strchr(r.text.data, '\r'));
		}
		smtp_reply_fini(&r);
	}
	assert_true(n_done > 1000 && n_broken > 1000);
}

static void
enhanced_codes_are_found_where_they_are(void **state)
{
	static const struct {
		const char *line, *enhanced;
	} lines[] = {
		{ "550 5.1.1 x", "5.1.1" },
		{ "550-5.1.1 x", "5.1.1" },
		{ "550 5.1.1", "5.1.1" },
		{ "550 5.1.1: x", "5.1.1" },
		{ "550 5.1.1\tx", "5.1.1" },
		{ "421 4.7.28 x", "4.7.28" },
		{ "550 5.123.456 x", "5.123.456" },
		{ "250 2.0.0 ok", "2.0.0" },
		{ "550 4.1.1 x", "" }, /* contradicts its code */
		{ "450 5.1.1 x", "" },
		{ "354 3.0.0 x", "" }, /* no such class */
		{ "550 5.1 x", "" },
		{ "550 5.1.1.1 x", "" },
		{ "550 5.1.1x", "" },
		{ "550 5.1234.1 x", "" },
		{ "550 5.1.1234 x", "" },
		{ "550 5.01.1 x", "" },
		{ "550 5..1 x", "" },
		{ "550 5.1. x", "" },
		{ "550 55.1.1 x", "" },
		{ "550  5.1.1 x", "" },
		{ "550 x 5.1.1", "" },
		{ "550", "" },
		{ "55", "" },
		{ "", "" },
	};
	char enhanced[16];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		smtp_enhanced_of(lines[i].line, enhanced);
		assert_string_equal(enhanced, lines[i].enhanced);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_read_in_one_piece),
		cmocka_unit_test(replies_are_read_however_they_are_cut),
		cmocka_unit_test(one_reply_is_taken_at_a_time),
		cmocka_unit_test(what_is_no_smtp_is_broken),
		cmocka_unit_test(a_nul_cuts_nothing_short),
		cmocka_unit_test(a_peer_cannot_fill_the_memory),
		cmocka_unit_test(any_bytes_are_survived),
		cmocka_unit_test(enhanced_codes_are_found_where_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
