/* SPDX-License-Identifier: ISC */
/* The list as CSV: ours comes back the same, others' come in, nonsense is told. */
#include "scheduler/suppression_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY	INT64_C(86400000000)
#define NOW	(20781 * DAY + 5)
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Entries as one line each, so that they compare. */
static void
to_text(const struct suppression_entry *e, void *arg)
{
	strbuf_addf(arg, "%s|%s|%s|%lld|%lld\n", e->address,
	    suppression_reason_name(e->reason), e->reply,
	    (long long)(e->added_utc_us / DAY),
	    e->expires_utc_us == INT64_MAX
		? -1LL
		: (long long)(e->expires_utc_us / DAY));
}

static void
files_are_read(void **state)
{
	static const struct {
		const char *what, *csv, *entries;
		size_t n_bad, line;
		const char *why;
	} rows[] = {
		{ "nothing", "", "", 0, 0, "" },
		{ "addresses alone", "a@b.example\nc@d.example\n",
		    "a@b.example|manual||20781|20871\n"
		    "c@d.example|manual||20781|20871\n",
		    0, 0, "" },
		{ "no newline at the end, CRLF, empty lines, a comment",
		    "\r\n# old list\na@b.example\r\n\r\n#\nc@d.example",
		    "a@b.example|manual||20781|20871\n"
		    "c@d.example|manual||20781|20871\n",
		    0, 0, "" },
		{ "columns in another order, with a mark",
		    "\xef\xbb\xbf"
		    "created,Email,type\n2026-01-02 10:00,a@b.example,x\n",
		    "a@b.example|manual||20455|20871\n", 0, 0, "" },
		{ "all columns, quoted",
		    "address,reason,reply,added,expires\n"
		    "a@b.example,hard,\"550 5.1.1 \"\"a\"\", no\nmore\","
		    "2026-11-24,2027-02-22\n"
		    "c@d.example,soft,,2026-11-24,\n",
		    "a@b.example|hard|550 5.1.1 \"a\", no\nmore|20781|20871\n"
		    "c@d.example|soft||20781|20871\n",
		    0, 0, "" },
		{ "lines that make no sense",
		    "address,reason,reply,added,expires\n"
		    "nobody,hard,,,\n"
		    "a@b.example,bored,,,\n"
		    "a@b.example,hard,,yesterday,\n"
		    "a@b.example,hard,,,2026-02-30\n"
		    ",,,,\n"
		    "ok@b.example,complaint,,,\n",
		    "ok@b.example|complaint||20781|20871\n", 5, 2,
		    "\"nobody\": that is no address" },
		{ "a quote that never ends", "\"a@b.example\nx,y\nz", "", 1, 3,
		    "\"a@b.example\nx,y\nz\": that is no address" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct suppression_import done;
		struct strbuf text = { 0 };

		strbuf_adds(&text, "");
		suppression_csv_read(rows[i].csv, strlen(rows[i].csv), NOW,
		    90 * DAY, to_text, &text, &done);
		if (strcmp(text.data ? text.data : "", rows[i].entries) != 0)
			print_error("%s:\n%s", rows[i].what, text.data);
		assert_string_equal(text.data ? text.data : "",
		    rows[i].entries);
		assert_int_equal(done.n_bad, rows[i].n_bad);
		assert_int_equal(done.line, rows[i].line);
		assert_string_equal(done.why, rows[i].why);
		strbuf_fini(&text);
	}
}

static void
a_line_too_long_is_left_out(void **state)
{
	static char csv[20000];
	struct suppression_import done;
	struct strbuf text = { 0 };

	(void)state;
	memset(csv, 'x', sizeof(csv) - 1);
	memcpy(csv + sizeof(csv) - 20, "\na@b.example\n", 13);
	csv[sizeof(csv) - 7] = '\0';
	suppression_csv_read(csv, strlen(csv), NOW, 0, to_text, &text, &done);
	assert_int_equal(done.n_bad, 1);
	assert_string_equal(text.data, "a@b.example|manual||20781|-1\n");
	strbuf_fini(&text);
}

/* Any bytes at all: no more entries than lines, and it ends. */
static void
garbage_is_survived(void **state)
{
	static const char alphabet[] = "a@b.c,\"\n\r# \t\0x";
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char data[200];
		struct suppression_import done;
		struct strbuf text = { 0 };
		size_t n = (size_t)i % sizeof(data);

		for (size_t k = 0; k < n; k++) {
			seed = seed * 1103515245 + 12345;
			data[k] = alphabet[(seed >> 16) % (N_OF(alphabet) - 1)];
		}
		suppression_csv_read(data, n, NOW, 0, to_text, &text, &done);
		assert_true(done.n_added + done.n_bad <= n);
		strbuf_fini(&text);
	}
}

static void
what_is_written_reads_back(void **state)
{
	static const struct suppression_entry rows[] = {
		{ "a@b.example", SUPPRESSION_HARD, "550 5.1.1 no, \"really\"",
		    20000 * DAY, 20090 * DAY },
		{ "\"a,b\"@b.example", SUPPRESSION_SOFT,
		    "452-4.2.2 full\n452 x", 20000 * DAY, INT64_MAX },
		{ "#3@b.example", SUPPRESSION_MANUAL, "", 20000 * DAY,
		    INT64_MAX },
	};
	struct strbuf csv = { 0 }, text = { 0 }, line = { 0 };
	struct suppression_import done;

	(void)state;
	suppression_csv_header(&csv);
	for (size_t i = 0; i < N_OF(rows); i++)
		suppression_csv_add(&csv, &rows[i]);
	suppression_csv_read(csv.data, csv.len, NOW, 0, to_text, &text, &done);
	assert_int_equal(done.n_added, 3);
	assert_string_equal(text.data,
	    "a@b.example|hard|550 5.1.1 no, \"really\"|20000|20090\n"
	    "\"a,b\"@b.example|soft|452-4.2.2 full\n452 x|20000|-1\n"
	    "#3@b.example|manual||20000|-1\n");
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct suppression_entry e = { 0 };

		strbuf_reset(&line);
		suppression_entry_format(&rows[i], &line);
		assert_int_equal(suppression_entry_parse(line.data, &e), 0);
		assert_int_equal(e.reason, rows[i].reason);
		assert_string_equal(e.reply, rows[i].reply);
		assert_true(e.added_utc_us == rows[i].added_utc_us);
		assert_true(e.expires_utc_us == rows[i].expires_utc_us);
	}
	strbuf_fini(&csv);
	strbuf_fini(&text);
	strbuf_fini(&line);
}

static void
what_isnt_an_entry_is_refused(void **state)
{
	static const char *const rows[] = { "", "1", "1 hard", "1 hard 1 2",
		"2 hard 1 2 x", "1 bored 1 2 x", "1 hard x 2 y" };
	struct suppression_entry e;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(suppression_entry_parse(rows[i], &e), -1);
	assert_int_equal(suppression_entry_parse("1 hard 1 2 ", &e), 0);
	assert_string_equal(e.reply, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read),
		cmocka_unit_test(a_line_too_long_is_left_out),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(what_isnt_an_entry_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
