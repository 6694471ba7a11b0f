/* SPDX-License-Identifier: ISC */
/*
 * The admin socket with real clients: in order, bounded, for the right users,
 * and none of them able to keep the loop from its other work.
 */
#include "daemon/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "daemon/admin_private.h"
#include "daemon/command_words.h"
#include "tests/unit/fake_governor.h"

static char dir[] = "/tmp/test_admin.XXXXXX";
static char path[64];
static struct governor g;
static struct admin *admin;

static int
make_dir(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/admin.sock", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int
setup(void **state)
{
	struct err err;

	(void)state;
	fake_start(&g);
	g.f.conf.daemon.admin_socket.path = path;
	g.f.conf.daemon.admin_socket.mode = 0660;
	admin = admin_new(&g, &err);
	if (admin == NULL)
		print_error("%s\n", err.text);
	return admin == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	admin_free(admin);
	fake_stop(&g);
	return access(path, F_OK) == 0; /* it must be gone */
}

/* ---- a client that shares our thread: it must never wait ---- */

struct client {
	int fd;
	struct strbuf in;
	bool is_closed;
};

static void
client_open(struct client *c)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	*c = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
				  0) };
	strcpy(to.sun_path, path);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

static void
client_close(struct client *c)
{
	close(c->fd);
	strbuf_fini(&c->in);
}

static size_t
client_send(struct client *c, const char *data, size_t len)
{
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

	assert_true(n >= 0 || errno == EAGAIN || errno == EPIPE);
	return n > 0 ? (size_t)n : 0;
}

static void
client_say(struct client *c, const char *text)
{
	assert_int_equal(client_send(c, text, strlen(text)), strlen(text));
}

static void
client_read(struct client *c)
{
	char buf[65536];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		strbuf_add(&c->in, buf, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->is_closed = true;
}

static size_t
n_lines(const struct client *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->in.len; i++)
		n += c->in.data[i] == '\n';
	return n;
}

static void
turn_loop(void)
{
	struct timeval tick = { .tv_usec = 1000 };

	event_base_loopexit(g.base, &tick);
	event_base_loop(g.base, 0);
}

/* Until n lines have come, or it is closed; gives up after 20 s. */
static void
client_wait(struct client *c, size_t n)
{
	int64_t end_us = clock_mono_us() + 20 * SEC;

	while (n_lines(c) < n && !c->is_closed && clock_mono_us() < end_us) {
		turn_loop();
		client_read(c);
	}
	assert_true(n_lines(c) >= n);
}

static void
wait_closed(struct client *c)
{
	int64_t end_us = clock_mono_us() + 20 * SEC;

	while (!c->is_closed && clock_mono_us() < end_us) {
		turn_loop();
		client_read(c);
	}
	assert_true(c->is_closed);
}

/* The first line; it is taken away. */
static json_t *
client_line(struct client *c)
{
	char *end;
	json_t *line;

	client_wait(c, 1);
	end = strchr(c->in.data, '\n');
	line = json_loadb(c->in.data, (size_t)(end - c->in.data), 0, NULL);
	assert_non_null(line);
	strbuf_consume(&c->in, (size_t)(end - c->in.data) + 1);
	return line;
}

static bool
client_is_ok(struct client *c)
{
	json_t *line = client_line(c);
	bool is_ok = json_is_true(json_object_get(line, "ok"));

	json_decref(line);
	return is_ok;
}

/* ---- talking ---- */

static void
lines_are_answered_in_order(void **state)
{
	struct client c;
	json_t *line;

	(void)state;
	client_open(&c);
	client_say(&c, "version\r\nnonsense\nlog le");
	assert_true(client_is_ok(&c));
	assert_false(client_is_ok(&c));
	client_say(&c, "vel info\nhelp version\n");
	line = client_line(&c);
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(line, "result"), "level")),
	    "info");
	json_decref(line);
	assert_true(client_is_ok(&c));
	client_close(&c);
}

/* As `echo status | socat - UNIX:...` does. */
static void
who_closes_its_side_still_gets_answers(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	client_say(&c, "status\nversion\nhelp"); /* no newline */
	shutdown(c.fd, SHUT_WR);
	wait_closed(&c);
	assert_int_equal(n_lines(&c), 3);
	client_close(&c);
	client_open(&c);
	shutdown(c.fd, SHUT_WR);
	wait_closed(&c);
	assert_int_equal(c.in.len, 0);
	client_close(&c);
}

static void
a_line_without_end_is_cut_off(void **state)
{
	char *lots = xmalloc(COMMAND_LINE_MAX);
	int64_t end_us = clock_mono_us() + 20 * SEC;
	struct client c;
	json_t *line;

	(void)state;
	memset(lots, 'x', COMMAND_LINE_MAX);
	client_open(&c);
	while (!c.is_closed && clock_mono_us() < end_us) {
		client_send(&c, lots, COMMAND_LINE_MAX);
		turn_loop();
		client_read(&c);
	}
	assert_true(c.is_closed);
	line = client_line(&c);
	assert_true(json_is_false(json_object_get(line, "ok")));
	json_decref(line);
	client_close(&c);
	free(lots);
}

/* ---- bounds ---- */

/* It asks for more and more and reads nothing: what the daemon keeps for it
 * stays small, and other clients are served. */
static void
who_does_not_read_gets_no_more(void **state)
{
	struct client deaf, other;
	size_t sent = 0;

	(void)state;
	for (int i = 0; i < 500; i++)
		fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	client_open(&deaf);
	for (int i = 0; i < 60; i++) {
		sent += client_send(&deaf, "queue limit 500\n", 16);
		turn_loop();
	}
	assert_int_equal(admin->n_clients, 1);
	assert_true(evbuffer_get_length(bufferevent_get_output(admin->clients
								   ->bev)) <
	    2 * COMMAND_OUT_HIGH);
	assert_true(evbuffer_get_length(bufferevent_get_input(admin->clients
								  ->bev)) <=
	    COMMAND_LINE_MAX + 2);
	client_open(&other);
	client_say(&other, "version\n");
	assert_true(client_is_ok(&other));
	client_close(&other);
	/* When it reads at last, nothing was lost. */
	client_wait(&deaf, sent / 16);
	assert_int_equal(n_lines(&deaf), sent / 16);
	client_close(&deaf);
}

/* A flood of commands leaves the loop most of its time. */
static void
a_flood_leaves_time_for_others(void **state)
{
	struct client c[20];
	int64_t began_us, spent_us = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		fake_add(&g, "gmail", "a@app.test", "r@gmail.com", 0);
	for (size_t i = 0; i < 20; i++)
		client_open(&c[i]);
	began_us = clock_mono_us();
	while (clock_mono_us() - began_us < SEC) {
		int64_t from_us;

		for (size_t i = 0; i < 20; i++) {
			client_send(&c[i], "queue limit 300\nstatus\n", 23);
			client_read(&c[i]);
			strbuf_reset(&c[i].in);
		}
		/* What one turn of the loop takes at the most. */
		from_us = clock_mono_us();
		event_base_loop(g.base, EVLOOP_NONBLOCK);
		if (clock_mono_us() - from_us > spent_us)
			spent_us = clock_mono_us() - from_us;
	}
	print_message("longest turn %lld us\n", (long long)spent_us);
	/* Generous: the machine may be busy, the sanitizers slow. */
	assert_true(spent_us < SEC);
	for (size_t i = 0; i < 20; i++)
		client_close(&c[i]);
}

static void
the_idle_make_room_for_the_next(void **state)
{
	static struct client c[ADMIN_CLIENTS_MAX];
	struct client next;

	(void)state;
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
		client_open(&c[i]);
		turn_loop();
	}
	assert_int_equal(admin->n_clients, ADMIN_CLIENTS_MAX);
	client_open(&next);
	client_say(&next, "version\n");
	assert_true(client_is_ok(&next));
	assert_int_equal(admin->n_clients, ADMIN_CLIENTS_MAX);
	client_close(&next);
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
		client_close(&c[i]);
}

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
		CASE(lines_are_answered_in_order),
		CASE(who_closes_its_side_still_gets_answers),
		CASE(a_line_without_end_is_cut_off),
		CASE(who_does_not_read_gets_no_more),
		CASE(a_flood_leaves_time_for_others),
		CASE(the_idle_make_room_for_the_next),
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
