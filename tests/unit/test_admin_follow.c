/* SPDX-License-Identifier: ISC */
/* The admin socket: events that are followed, who may, and the socket's file. */
#include "tests/unit/admin_world.h"

/* ---- following ---- */

static void
make_event(const char *text)
{
	event_begin(g.events, "test", clock_utc_us());
	event_str(g.events, "text", text);
	event_end(g.events);
}

static void
events_follow_the_answer(void **state)
{
	struct client c;
	json_t *line;

	(void)state;
	client_open(&c);
	make_event("before");
	client_say(&c, "events follow\n");
	assert_true(client_is_ok(&c));
	make_event("after");
	line = client_line(&c);
	assert_string_equal(json_string_value(json_object_get(line, "text")),
	    "after");
	json_decref(line);
	client_say(&c, "status\n"); /* not heard any more */
	make_event("last");
	line = client_line(&c);
	assert_string_equal(json_string_value(json_object_get(line, "text")),
	    "last");
	json_decref(line);
	client_close(&c);
	turn_loop();
	turn_loop();
	assert_int_equal(admin->n_clients, 0);
	assert_int_equal(admin->n_followers, 0);
}

static void
a_slow_follower_loses_whole_lines_and_is_told(void **state)
{
	char text[4001];
	struct client c;
	json_t *line;
	size_t n = 0;

	(void)state;
	memset(text, 'x', 4000);
	text[4000] = '\0';
	client_open(&c);
	client_say(&c, "events follow\n");
	assert_true(client_is_ok(&c));
	for (int i = 0; i < 1000; i++) {
		make_event(text);
		strbuf_reset(&g.seen);
		if (i % 100 == 0)
			turn_loop();
	}
	assert_true(evbuffer_get_length(bufferevent_get_output(admin->clients
								   ->bev)) <=
	    ADMIN_FOLLOW_BYTES_MAX);
	client_wait(&c, 100);
	for (int i = 0; i < 60; i++) {
		turn_loop();
		client_read(&c);
	}
	make_event("late");
	for (;;) {
		line = client_line(&c);
		if (json_object_get(line, "n") != NULL)
			break;
		n++;
		json_decref(line);
	}
	assert_string_equal(json_string_value(json_object_get(line, "event")),
	    "dropped");
	assert_int_equal(json_integer_value(json_object_get(line, "n")) +
		(int64_t)n,
	    1000);
	json_decref(line);
	line = client_line(&c);
	assert_string_equal(json_string_value(json_object_get(line, "text")),
	    "late");
	json_decref(line);
	client_close(&c);
}

static void
only_so_many_follow(void **state)
{
	struct client c[ADMIN_FOLLOWERS_MAX + 1];

	(void)state;
	for (size_t i = 0; i <= ADMIN_FOLLOWERS_MAX; i++) {
		client_open(&c[i]);
		client_say(&c[i], "events follow\n");
		assert_int_equal(client_is_ok(&c[i]), i < ADMIN_FOLLOWERS_MAX);
	}
	for (size_t i = 0; i <= ADMIN_FOLLOWERS_MAX; i++)
		client_close(&c[i]);
}

/* ---- whom ---- */

/* Says one line as another user and exits with 0 if it was done. */
static pid_t
child_says(uid_t uid, const char *text)
{
	pid_t pid = fork();
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char answer[512] = "";
	int fd;

	if (pid != 0)
		return pid;
	if (setgid(uid) < 0 || setuid(uid) < 0)
		_exit(9);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(to.sun_path, path);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		_exit(8);
	if (write(fd, text, strlen(text)) < 0 ||
	    read(fd, answer, sizeof(answer) - 1) <= 0)
		_exit(7);
	_exit(strncmp(answer, "{\"ok\":true", 10) == 0 ? 0 : 1);
}

static int
status_of(pid_t pid)
{
	int64_t end_us = clock_mono_us() + 20 * SEC;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0 && clock_mono_us() < end_us)
		turn_loop();
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
another_user_may_look_where_the_mode_lets_it_in(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(status_of(child_says(65534, "status\n")), 8);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(status_of(child_says(65534, "status\n")), 0);
	assert_int_equal(status_of(child_says(65534, "pause route ip-a\n")), 1);
	assert_int_equal(status_of(child_says(65534, "drop 0000000000001\n")),
	    1);
	assert_int_equal(status_of(child_says(0, "pause route ip-a\n")), 0);
}

/* ---- the file ---- */

static void
the_file_has_the_mode_that_was_asked_for(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void
a_live_socket_is_refused_and_stays(void **state)
{
	struct err err;

	(void)state;
	assert_null(admin_new(&g, &err));
	assert_non_null(strstr(err.text, "another daemon answers"));
	assert_int_equal(access(path, F_OK), 0);
}

static void
a_dead_socket_is_replaced_and_a_file_is_not(void **state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct admin *again;
	struct err err;
	int fd;

	(void)state;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s/dead.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
	g.f.conf.daemon.admin_socket.path = to.sun_path;
	again = admin_new(&g, &err);
	assert_non_null(again);
	admin_free(again);
	assert_int_equal(access(to.sun_path, F_OK), -1);
	fd = open(to.sun_path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_null(admin_new(&g, &err));
	assert_non_null(strstr(err.text, "no socket"));
	assert_int_equal(unlink(to.sun_path), 0);
	g.f.conf.daemon.admin_socket.path = path;
}

static void
wrong_places_are_refused(void **state)
{
	static const struct {
		const char *path, *group, *why;
	} wrong[] = {
		{ "/nonexistent/x/admin.sock", "", "folder" },
		{ "/tmp/"
		  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		    "", "may have 107 bytes" },
		{ NULL, "no-such-group-here", "no group" },
	};
	char fresh[80];

	(void)state;
	snprintf(fresh, sizeof(fresh), "%s/fresh.sock", dir);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct err err;

		g.f.conf.daemon.admin_socket.path =
		    wrong[i].path ? (char *)wrong[i].path : fresh;
		g.f.conf.daemon.admin_socket.group = (char *)wrong[i].group;
		assert_null(admin_new(&g, &err));
		if (strstr(err.text, wrong[i].why) == NULL)
			fail_msg("%s lacks %s", err.text, wrong[i].why);
	}
	assert_int_equal(access(fresh, F_OK), -1); /* nothing left behind */
	g.f.conf.daemon.admin_socket.path = path;
	g.f.conf.daemon.admin_socket.group = (char *)"";
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(events_follow_the_answer),
		CASE(a_slow_follower_loses_whole_lines_and_is_told),
		CASE(only_so_many_follow),
		CASE(another_user_may_look_where_the_mode_lets_it_in),
		CASE(the_file_has_the_mode_that_was_asked_for),
		CASE(a_live_socket_is_refused_and_stays),
		CASE(a_dead_socket_is_replaced_and_a_file_is_not),
		CASE(wrong_places_are_refused),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
