/* SPDX-License-Identifier: ISC */
/* The event log and who reads it: followers that come and go while they are told,
 * disks and pipes that fail. */
#include "tests/unit/event_log_world.h"

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
