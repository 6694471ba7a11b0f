/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADMIN_WORLD_H
#define FLYBALL_ADMIN_WORLD_H

/*
 * The admin socket with a governor that is played, and a client that shares our
 * thread. Included once by its tests.
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

static inline int
make_dir(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/admin.sock", dir);
	return 0;
}

static inline int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static inline int
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

static inline int
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

static inline void
client_open(struct client *c)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	*c = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
				  0) };
	strcpy(to.sun_path, path);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

static inline void
client_close(struct client *c)
{
	close(c->fd);
	strbuf_fini(&c->in);
}

static inline size_t
client_send(struct client *c, const char *data, size_t len)
{
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

	assert_true(n >= 0 || errno == EAGAIN || errno == EPIPE);
	return n > 0 ? (size_t)n : 0;
}

static inline void
client_say(struct client *c, const char *text)
{
	assert_int_equal(client_send(c, text, strlen(text)), strlen(text));
}

static inline void
client_read(struct client *c)
{
	char buf[65536];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		strbuf_add(&c->in, buf, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->is_closed = true;
}

static inline size_t
n_lines(const struct client *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->in.len; i++)
		n += c->in.data[i] == '\n';
	return n;
}

static inline void
turn_loop(void)
{
	struct timeval tick = { .tv_usec = 1000 };

	event_base_loopexit(g.base, &tick);
	event_base_loop(g.base, 0);
}

/* Until n lines have come, or it is closed; gives up after 20 s. */
static inline void
client_wait(struct client *c, size_t n)
{
	int64_t end_us = clock_mono_us() + 20 * SEC;

	while (n_lines(c) < n && !c->is_closed && clock_mono_us() < end_us) {
		turn_loop();
		client_read(c);
	}
	assert_true(n_lines(c) >= n);
}

static inline void
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
static inline json_t *
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

static inline bool
client_is_ok(struct client *c)
{
	json_t *line = client_line(c);
	bool is_ok = json_is_true(json_object_get(line, "ok"));

	json_decref(line);
	return is_ok;
}

#endif
