/* SPDX-License-Identifier: ISC */
/*
 * The event log: lines that any JSON reader takes, whatever peers send;
 * followers that come and go while they are told; disks and readers that
 * fail.
 */
#include "daemon/event_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/rng.h"

#define UTC_US 1795497360123999 /* 2026-11-24T05:16:00.123999Z */

static char dir[] = "/tmp/test_event_log.XXXXXX";
static char path[64], other[64];

static int
make_dir(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/events", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return rmdir(dir);
}

static int
clean(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return 0;
}

/* The whole file as a string that the caller frees. */
static char *
slurp(const char *file)
{
	struct strbuf b = { 0 };
	char chunk[4096];
	size_t n;
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		strbuf_add(&b, chunk, n);
	fclose(f);
	return strbuf_take(&b);
}

static void
assert_file(const char *file, const char *wanted)
{
	char *text = slurp(file);

	assert_string_equal(text, wanted);
	free(text);
}

/* Every line must be JSON by itself; returns how many there are. */
static size_t
count_json_lines(const char *file)
{
	char *text = slurp(file), *line = text, *end;
	size_t n = 0;

	while ((end = strchr(line, '\n')) != NULL) {
		json_t *value = json_loadb(line, (size_t)(end - line),
		    JSON_REJECT_DUPLICATES, NULL);

		if (value == NULL)
			fail_msg("no JSON: %.*s", (int)(end - line), line);
		json_decref(value);
		line = end + 1;
		n++;
	}
	assert_string_equal(line, "");
	free(text);
	return n;
}

static struct event_log *
open_log(const char *file)
{
	struct err err = { .text = "" };
	struct event_log *log = event_log_open(file, &err);

	if (log == NULL)
		fail_msg("%s", err.text);
	return log;
}

static void
make_event(struct event_log *log, int number)
{
	event_begin(log, "delivered", UTC_US + number * INT64_C(1000));
	event_int(log, "number", number);
	event_end(log);
}

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

/* ---- followers ---- */

struct ear {
	struct event_log *log;
	struct event_follower *self;
	struct ear *victim; /* taken away while we are told */
	struct ear *recruit;
	int n_heard;
	char last[256];
};

static void
listen_to(const char *line, size_t len, void *arg)
{
	struct ear *ear = arg;

	ear->n_heard++;
	assert_true(len < sizeof(ear->last));
	memcpy(ear->last, line, len);
	ear->last[len] = '\0';
	if (ear->victim != NULL) {
		event_log_unfollow(ear->log, ear->victim->self);
		ear->victim = NULL;
	}
	if (ear->recruit != NULL) {
		ear->recruit->self =
		    event_log_follow(ear->log, listen_to, ear->recruit);
		ear->recruit = NULL;
	}
}

static void
ear_open(struct ear *ear, struct event_log *log)
{
	*ear = (struct ear){ .log = log };
	ear->self = event_log_follow(log, listen_to, ear);
}

static void
followers_hear_each_line(void **state)
{
	struct event_log *log = open_log("");
	struct ear a, b;

	(void)state;
	assert_false(event_log_is_wanted(log));
	ear_open(&a, log);
	assert_true(event_log_is_wanted(log));
	make_event(log, 1);
	ear_open(&b, log);
	make_event(log, 2);
	assert_string_equal(a.last,
	    "{\"ts\":\"2026-11-24T05:16:00.125Z\",\"event\":\"delivered\","
	    "\"number\":2}\n");
	assert_string_equal(b.last, a.last);
	event_log_unfollow(log, a.self);
	make_event(log, 3);
	assert_int_equal(a.n_heard, 2);
	assert_int_equal(b.n_heard, 2);
	event_log_unfollow(log, b.self);
	assert_false(event_log_is_wanted(log));
	event_log_close(log);
}

static void
followers_go_while_told(void **state)
{
	struct event_log *log = open_log("");
	struct ear a, b, c;

	(void)state;
	ear_open(&a, log);
	ear_open(&b, log);
	ear_open(&c, log);
	a.victim = &a; /* itself */
	b.victim = &c; /* one that is still to be told */
	make_event(log, 1);
	assert_int_equal(a.n_heard, 1);
	assert_int_equal(b.n_heard, 1);
	assert_int_equal(c.n_heard, 0);
	make_event(log, 2);
	assert_int_equal(a.n_heard, 1);
	assert_int_equal(b.n_heard, 2);
	event_log_close(log); /* frees b */
}

static void
followers_come_while_told(void **state)
{
	struct event_log *log = open_log("");
	struct ear a, b = { 0 };

	(void)state;
	b.log = log;
	ear_open(&a, log);
	a.recruit = &b;
	make_event(log, 1);
	assert_int_equal(b.n_heard, 0);
	make_event(log, 2);
	assert_int_equal(b.n_heard, 1);
	event_log_unfollow(log, b.self);
	a.recruit = &b; /* again */
	make_event(log, 3);
	event_log_unfollow(log, b.self);
	make_event(log, 4);
	assert_int_equal(a.n_heard, 4);
	assert_int_equal(b.n_heard, 1);
	event_log_close(log);
}

static void
followers_and_file(void **state)
{
	struct event_log *log = open_log(path);
	struct ear a;

	(void)state;
	ear_open(&a, log);
	for (int i = 0; i < 3000; i++)
		make_event(log, i);
	assert_int_equal(a.n_heard, 3000);
	event_log_close(log);
	assert_int_equal(count_json_lines(path), 3000);
}

/* ---- failures ---- */

static void
full_disk_drops_whole_lines(void **state)
{
	struct rlimit old, small;
	struct event_log *log = open_log(path);
	size_t n_lines;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 1000; /* in the midst of a line */
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 100; i++)
		make_event(log, i);
	event_log_flush(log);
	make_event(log, 100);
	event_log_flush(log);
	setrlimit(RLIMIT_FSIZE, &old);
	make_event(log, 101);
	event_log_close(log);
	n_lines = count_json_lines(path);
	assert_true(n_lines > 5 && n_lines < 50);
}

static void
dropped_lines_are_counted(void **state)
{
	struct err err;
	struct event_log *log = open_log("/dev/full");

	(void)state;
	for (int i = 0; i < 7; i++)
		make_event(log, i);
	assert_int_equal(event_log_n_dropped(log), 0);
	event_log_flush(log);
	assert_int_equal(event_log_n_dropped(log), 7);
	make_event(log, 7);
	event_log_flush(log);
	assert_int_equal(event_log_n_dropped(log), 8);
	assert_int_equal(event_log_reopen(log, path, &err), 0);
	make_event(log, 8);
	event_log_close(log);
	assert_int_equal(count_json_lines(path), 1);
}

/* Puts one end of a pipe or socket into stdout's place and returns the other,
 * `-` opened in between. */
static struct event_log *
open_stdout_on(int fd)
{
	int saved = dup(STDOUT_FILENO);
	struct event_log *log;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	log = open_log("-");
	dup2(saved, STDOUT_FILENO);
	close(saved);
	return log;
}

static void
slow_reader_never_holds_us_up(int ends[2])
{
	struct event_log *log;
	struct strbuf got = { 0 };
	char chunk[65536];
	ssize_t n;
	size_t n_whole = 0;

	log = open_stdout_on(ends[1]);
	for (int i = 0; i < 50000; i++)
		make_event(log, i);
	event_log_flush(log);
	assert_true(event_log_n_dropped(log) > 10000);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	while ((n = read(ends[0], chunk, sizeof(chunk))) > 0) {
		strbuf_add(&got, chunk, (size_t)n);
		event_log_flush(log);
	}
	event_log_close(log);
	for (char *line = got.data, *end; (end = strchr(line, '\n')) != NULL;
	     line = end + 1) {
		json_t *value = json_loadb(line, (size_t)(end - line), 0, NULL);

		assert_non_null(value);
		json_decref(value);
		n_whole++;
	}
	assert_int_equal(got.data[got.len - 1], '\n');
	assert_true(n_whole > 500);
	assert_true(n_whole < 40000);
	strbuf_fini(&got);
	close(ends[0]);
}

static void
slow_reader_of_a_pipe(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	slow_reader_never_holds_us_up(ends);
}

static void
slow_reader_of_a_socket(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	slow_reader_never_holds_us_up(ends);
}

static void
reader_that_went_away(void **state)
{
	int ends[2];
	struct event_log *log;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	log = open_stdout_on(ends[1]);
	close(ends[0]);
	make_event(log, 1);
	event_log_flush(log);
	assert_int_equal(event_log_n_dropped(log), 1);
	event_log_close(log);
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
		cmocka_unit_test(followers_hear_each_line),
		cmocka_unit_test(followers_go_while_told),
		cmocka_unit_test(followers_come_while_told),
		cmocka_unit_test_teardown(followers_and_file, clean),
		cmocka_unit_test_teardown(full_disk_drops_whole_lines, clean),
		cmocka_unit_test_teardown(dropped_lines_are_counted, clean),
		cmocka_unit_test(slow_reader_of_a_pipe),
		cmocka_unit_test(slow_reader_of_a_socket),
		cmocka_unit_test(reader_that_went_away),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
