/* SPDX-License-Identifier: ISC */
/*
 * The event log: lines that any JSON reader takes, whatever peers send;
 * followers that come and go while they are told; disks and readers that
 * fail.
 */
#include "tests/unit/event_log_world.h"

/* ---- lines ---- */

static void
fields_in_order(void **state)
{
	struct event_log *log = open_log(path);

	(void)state;
	event_begin(log, "deferred", UTC_US);
	event_str(log, "message", "4f21");
	event_str(log, "stream", NULL);
	event_int(log, "code", 421);
	event_str(log, "reply", "421-4.7.28 \"slow\"\r\n421 \xff");
	event_bool(log, "tls", true);
	event_bool(log, "last", false);
	event_int(log, "zero", 0);
	event_int(log, "min", INT64_MIN);
	event_int(log, "max", INT64_MAX);
	event_end(log);
	event_log_flush(log);
	assert_file(path,
	    "{\"ts\":\"2026-11-24T05:16:00.123Z\",\"event\":\"deferred\","
	    "\"message\":\"4f21\",\"code\":421,"
	    "\"reply\":\"421-4.7.28 \\\"slow\\\"\\r\\n421 \xef\xbf\xbd\","
	    "\"tls\":true,\"last\":false,\"zero\":0,"
	    "\"min\":-9223372036854775808,\"max\":9223372036854775807}\n");
	event_log_close(log);
}

static void
time_goes_with_the_event(void **state)
{
	static const int64_t times[] = { 1000000, 1999999, 2000000, 1000,
		UTC_US, UTC_US + 1, UTC_US + 877000 };
	struct strbuf wanted = { 0 };
	struct event_log *log = open_log(path);

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		char text[CLOCK_RFC3339_SIZE];

		clock_rfc3339(times[i], text);
		strbuf_addf(&wanted, "{\"ts\":\"%s\",\"event\":\"x\"}\n", text);
		event_begin(log, "x", times[i]);
		event_end(log);
	}
	event_log_close(log);
	assert_file(path, wanted.data);
	strbuf_fini(&wanted);
}

/* Field lengths around the limit, in bytes and in characters of three. */
static const struct {
	const char *unit;
	size_t n;
	size_t kept; /* units */
	bool is_cut;
} lengths[] = {
	{ "x", EVENT_FIELD_MAX - 1, EVENT_FIELD_MAX - 1, false },
	{ "x", EVENT_FIELD_MAX, EVENT_FIELD_MAX, false },
	{ "x", EVENT_FIELD_MAX + 1, EVENT_FIELD_MAX - 3, true },
	{ "x", 100000, EVENT_FIELD_MAX - 3, true },
	{ "\u20ac", EVENT_FIELD_MAX / 3, EVENT_FIELD_MAX / 3, false },
	{ "\u20ac", EVENT_FIELD_MAX / 3 + 1, (EVENT_FIELD_MAX - 3) / 3, true },
	{ "\U0001f4e7", 5000, (EVENT_FIELD_MAX - 3) / 4, true },
	{ "\"", EVENT_FIELD_MAX + 1, EVENT_FIELD_MAX - 3, true },
};

static void
check_length(size_t i)
{
	struct event_log *log = open_log(path);
	struct strbuf text = { 0 }, wanted = { 0 };
	const char *value;
	json_t *root;
	char *line;

	for (size_t n = 0; n < lengths[i].n; n++)
		strbuf_adds(&text, lengths[i].unit);
	for (size_t n = 0; n < lengths[i].kept; n++)
		strbuf_adds(&wanted, lengths[i].unit);
	strbuf_adds(&wanted, lengths[i].is_cut ? "\u2026" : "");
	event_begin(log, "x", UTC_US);
	event_str(log, "reply", text.data);
	event_end(log);
	event_log_close(log);
	line = slurp(path);
	root = json_loads(line, 0, NULL);
	assert_non_null(root);
	value = json_string_value(json_object_get(root, "reply"));
	if (strcmp(value, wanted.data) != 0)
		fail_msg("case %zu: %zu bytes", i, strlen(value));
	json_decref(root);
	free(line);
	strbuf_fini(&text);
	strbuf_fini(&wanted);
	unlink(path);
}

static void
long_fields_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		check_length(i);
}

static void
any_bytes_make_valid_lines(void **state)
{
	struct rng rng = { .state = 8259 };
	struct event_log *log = open_log(path);
	char *text = malloc(20001);

	(void)state;
	print_message("seed %llu\n", (unsigned long long)rng.state);
	for (int i = 0; i < 2000; i++) {
		size_t len = (size_t)rng_below(&rng, i % 50 ? 100 : 20000);

		for (size_t k = 0; k < len; k++)
			text[k] = (char)(1 + rng_below(&rng, 255));
		text[len] = '\0';
		event_begin(log, "x", UTC_US);
		event_str(log, "reply", text);
		event_end(log);
	}
	event_log_close(log);
	assert_int_equal(count_json_lines(path), 2000);
	free(text);
}

static void
file_is_appended_and_kept_from_others(void **state)
{
	struct event_log *log;
	struct stat st;
	mode_t mask = umask(0);

	(void)state;
	log = open_log(path);
	umask(mask);
	make_event(log, 1);
	event_log_close(log);
	log = open_log(path);
	make_event(log, 2);
	event_log_close(log);
	assert_int_equal(count_json_lines(path), 2);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void
full_buffer_is_written_by_itself(void **state)
{
	struct event_log *log = open_log(path);
	struct stat st;

	(void)state;
	make_event(log, 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	for (int i = 2; i <= 2000; i++)
		make_event(log, i);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size >= 65536);
	event_log_close(log);
	assert_int_equal(count_json_lines(path), 2000);
}

static void
reopen_goes_to_the_new_file(void **state)
{
	struct event_log *log = open_log(path);
	struct err err;

	(void)state;
	make_event(log, 1);
	assert_int_equal(rename(path, other), 0); /* as logrotate does */
	assert_int_equal(event_log_reopen(log, path, &err), 0);
	make_event(log, 2);
	event_log_flush(log);
	assert_int_equal(count_json_lines(other), 1);
	assert_int_equal(count_json_lines(path), 1);

	assert_int_equal(event_log_reopen(log, "/nonexistent/dir/x", &err), -1);
	assert_string_equal(err.text,
	    "event log /nonexistent/dir/x: No such file or directory");
	make_event(log, 3);
	event_log_flush(log);
	assert_int_equal(count_json_lines(path), 2);

	assert_int_equal(event_log_reopen(log, "", &err), 0);
	assert_false(event_log_is_wanted(log));
	event_log_close(log);
	assert_null(event_log_open("/nonexistent/dir/x", &err));
}

static void
fifo_without_reader_is_an_error(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(event_log_open(path, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(fields_in_order, clean),
		cmocka_unit_test_teardown(time_goes_with_the_event, clean),
		cmocka_unit_test_teardown(long_fields_are_cut, clean),
		cmocka_unit_test_teardown(any_bytes_make_valid_lines, clean),
		cmocka_unit_test_teardown(file_is_appended_and_kept_from_others,
		    clean),
		cmocka_unit_test_teardown(full_buffer_is_written_by_itself,
		    clean),
		cmocka_unit_test_teardown(reopen_goes_to_the_new_file, clean),
		cmocka_unit_test_teardown(fifo_without_reader_is_an_error,
		    clean),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
