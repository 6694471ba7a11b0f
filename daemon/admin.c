/* SPDX-License-Identifier: ISC */
/*
 * The admin socket: takes connections and shares out turns among them on the
 * governor's thread. It knows no commands (command.c) and no bytes
 * (admin_client.c).
 *
 * The rule that protects the mail: one client works at a time, for about
 * COMMAND_STEP_US, then the loop runs; and when all of them together have used
 * up a budget of time, the breaks between turns grow until the admin socket
 * takes a fifth of the thread, however many clients flood it.
 */
#include "daemon/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/admin_private.h"

#define ACCEPTS_A_TURN 16

/* ---- turns ---- */

static void
set_turn(struct admin *a, int64_t wait_us)
{
	struct timeval tv = { .tv_sec = wait_us / 1000000,
		.tv_usec = wait_us % 1000000 };

	if (a->is_turn_set)
		return;
	a->is_turn_set = true;
	event_add(a->turn, &tv);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct admin *a = arg;
	struct admin_client *c = a->line;
	int64_t began_us = clock_mono_us(), wait_us;

	(void)fd;
	(void)what;
	a->is_turn_set = false;
	if (c == NULL)
		return;
	admin_line_leave(a, c);
	c->active_us = began_us;
	admin_client_turn(c);
	wait_us = turn_budget_book(&a->budget, began_us, clock_mono_us());
	if (a->line == NULL)
		return;
	/* It may have been set for at once while the client worked. */
	a->is_turn_set = false;
	set_turn(a, wait_us);
}

void
admin_line_up(struct admin *a, struct admin_client *c)
{
	if (c->is_in_line)
		return;
	c->is_in_line = true;
	DL_APPEND2(a->line, c, line_prev, line_next);
	set_turn(a, 0);
}

void
admin_line_leave(struct admin *a, struct admin_client *c)
{
	if (!c->is_in_line)
		return;
	c->is_in_line = false;
	DL_DELETE2(a->line, c, line_prev, line_next);
}

/* ---- connections ---- */

/* Whoever only sits there makes room for who has something to say. */
static bool
make_room(struct admin *a)
{
	struct admin_client *c, *longest = NULL;

	if (a->n_clients < ADMIN_CLIENTS_MAX)
		return true;
	DL_FOREACH(a->clients, c)
		if (admin_client_is_idle(c) &&
		    (longest == NULL || c->active_us < longest->active_us))
			longest = c;
	if (longest == NULL)
		return false;
	admin_client_free(longest);
	return true;
}

static void
welcome(struct admin *a, int fd)
{
	static const char full[] =
	    "{\"ok\":false,\"error\":\"too many clients at the admin socket\","
	    "\"hint\":\"try again later\"}\n";
	struct command_peer peer;
	struct err err;

	if (admin_peer_of(fd, &a->rule, &peer, &err) < 0) {
		log_warn("admin", LOG_STR("error", err.text));
		close(fd);
		return;
	}
	if (!make_room(a)) {
		if (send(fd, full, sizeof(full) - 1,
			MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_debug("admin", LOG_STR("error", strerror(errno)));
		close(fd);
		return;
	}
	log_debug("admin_connect", LOG_INT("uid", peer.uid),
	    LOG_INT("pid", peer.pid), LOG_INT("may_change", peer.may_change));
	admin_client_new(a, fd, &peer);
}

static int
take_peer(struct admin *a)
{
	return accept4(a->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void
admin_keep_spare(struct admin *a)
{
	if (a->spare_fd < 0)
		a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Whoever comes to see why has the spare one. */
static int
take_peer_with_spare(struct admin *a)
{
	int peer, error;

	if (a->spare_fd < 0) {
		errno = EMFILE;
		return -1;
	}
	close(a->spare_fd);
	a->spare_fd = -1;
	peer = take_peer(a);
	error = errno;
	if (peer < 0)
		admin_keep_spare(a);
	errno = error;
	return peer;
}

static bool
is_exhausted(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ||
	    error == ENOBUFS;
}

/* The socket stays readable: without a rest the thread would spin. */
static void
rest(struct admin *a)
{
	static const struct timeval pause = { .tv_usec = 500000 };

	event_del(a->listen);
	event_add(a->rest, &pause);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct admin *a = arg;

	(void)fd;
	(void)what;
	admin_keep_spare(a);
	event_add(a->listen, NULL);
}

static void
on_listen(evutil_socket_t fd, short what, void *arg)
{
	struct admin *a = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int peer = take_peer(a);

		if (peer < 0 && is_exhausted(errno))
			peer = take_peer_with_spare(a);
		if (peer < 0) {
			if (is_exhausted(errno))
				rest(a);
			return;
		}
		welcome(a, peer);
	}
}

/* ---- life ---- */

struct admin *
admin_new(struct governor *g, struct err *err_out)
{
	const struct conf_daemon *conf = &governor_conf(g)->daemon;
	struct admin *a = xcalloc(1, sizeof(*a));

	a->g = g;
	turn_budget_init(&a->budget, clock_mono_us());
	a->socket.fd = -1;
	a->spare_fd = -1;
	if (*conf->admin_socket.path == '\0')
		return a;
	if (admin_socket_open(&a->socket, conf->admin_socket.path,
		conf->admin_socket.mode, conf->admin_socket.group,
		err_out) < 0) {
		free(a);
		return NULL;
	}
	a->rule = (struct admin_rule){
		.own_uid = geteuid(),
		.socket_gid = a->socket.gid,
	};
	admin_keep_spare(a);
	a->turn = evtimer_new(governor_base(g), on_turn, a);
	a->rest = evtimer_new(governor_base(g), on_rested, a);
	a->listen = event_new(governor_base(g), a->socket.fd,
	    EV_READ | EV_PERSIST, on_listen, a);
	event_add(a->listen, NULL);
	return a;
}

void
admin_free(struct admin *a)
{
	if (a == NULL)
		return;
	while (a->clients != NULL)
		admin_client_free(a->clients);
	if (a->listen != NULL)
		event_free(a->listen);
	if (a->turn != NULL)
		event_free(a->turn);
	if (a->rest != NULL)
		event_free(a->rest);
	if (a->spare_fd >= 0)
		close(a->spare_fd);
	admin_socket_close(&a->socket);
	free(a);
}
