/* SPDX-License-Identifier: ISC */
/*
 * A worker's listening sockets: accepts, asks the peer table whether this
 * address may have a session now, and hands the socket to session_io.
 *
 * Clients may not have all descriptors: connections to next hops, body files,
 * logs and the operator need some too. A new socket has the lowest free number,
 * so its number tells how many there are in use. Out of descriptors all the
 * same, it rests for a moment instead of spinning.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/worker_private.h"

#define ACCEPTS_A_TURN 64

struct acceptor {
	struct acceptor *next;
	struct worker *worker;
	char *text;
	struct event *event;
	struct event *rest; /* wakes it after EMFILE */
	int fd_limit;	    /* a session's is below */
	int64_t told_us;    /* that clients were turned away for this */
};

/* Besides next hops: database, listeners, logs, admin and HTTP clients. */
#define FDS_OF_OURS   48
#define ROUTE_FDS_MAX 128
#define TELL_EVERY_US 60000000

/* A connection has a body file beside it. At most half of all is kept back. */
static int
session_fd_limit(const struct conf *conf)
{
	struct rlimit limit;
	rlim_t kept = FDS_OF_OURS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	for (size_t i = 0; i < conf->n_routes; i++) {
		unsigned n = conf->routes[i].connections;

		kept += 2 * (n > 0 && n < ROUTE_FDS_MAX ? n : ROUTE_FDS_MAX);
	}
	if (kept > limit.rlim_cur / 2)
		kept = limit.rlim_cur / 2;
	return (int)(limit.rlim_cur - kept);
}

static const struct conf_listener *
find_listener(const struct worker *w, const char *text)
{
	const struct conf *conf = w->rt->conf;

	for (size_t i = 0; i < conf_n_listeners(conf); i++)
		if (strcmp(conf_listener_at(conf, i)->listen.text, text) == 0)
			return conf_listener_at(conf, i);
	return NULL;
}

/* Said without a session: the address has had its share. */
static void
refuse(int fd, const char *hostname, enum peer_answer answer)
{
	char line[400];
	int len;
	ssize_t sent;

	len = snprintf(line, sizeof(line), "421 4.7.0 %s %s\r\n", hostname,
	    answer == PEER_PENALISED
		? "Come back later: too many errors from your address"
		: answer == PEER_TOO_MANY_FROM_ADDRESS
		? "Too many sessions from your address"
		: "Too many sessions, try again later");
	sent = send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent; /* it is only a courtesy */
	close(fd);
}

/* True: it was told to come back. */
static bool
is_over_limit(struct acceptor *a, int fd)
{
	int64_t now_us = clock_mono_us();

	if (fd < a->fd_limit)
		return false;
	if (a->told_us == 0 || now_us - a->told_us > TELL_EVERY_US) {
		a->told_us = now_us;
		log_warn("descriptors", LOG_STR("listener", a->text),
		    LOG_INT("for_sessions", a->fd_limit),
		    LOG_STR("effect", "new clients are told to come back"),
		    LOG_STR("hint", "raise LimitNOFILE"));
	}
	refuse(fd, a->worker->rt->conf->daemon.hostname,
	    PEER_TOO_MANY_SESSIONS);
	return true;
}

static void
admit(struct acceptor *a, int fd, const struct sockaddr *peer)
{
	struct worker *w = a->worker;
	const struct conf_listener *listener = find_listener(w, a->text);
	const struct conf_limits *limits = &w->rt->conf->limits;
	enum peer_answer answer;

	if (is_over_limit(a, fd))
		return;
	answer = peer_admit(w->shared->peers, peer, limits, clock_mono_us());
	if (answer != PEER_ADMITTED) {
		refuse(fd, w->rt->conf->daemon.hostname, answer);
		return;
	}
	session_io_start(w, fd, peer, listener);
}

static void
rest(struct acceptor *a)
{
	static const struct timeval pause = { .tv_sec = 0, .tv_usec = 500000 };

	log_warn("accept", LOG_STR("listener", a->text),
	    LOG_STR("error", strerror(errno)),
	    LOG_STR("hint", "raise LimitNOFILE or limits.sessions' ceiling"));
	event_del(a->event);
	event_add(a->rest, &pause);
}

static void
on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;
	struct sockaddr_storage peer;
	socklen_t len;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int client;

		len = sizeof(peer);
		client = accept4(fd, (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			admit(a, client, (struct sockaddr *)&peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			rest(a);
		return;
	}
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd;
	(void)what;
	event_add(a->event, NULL);
}

static void
acceptor_free(struct acceptor *a)
{
	event_free(a->event);
	event_free(a->rest);
	free(a->text);
	free(a);
}

void
acceptors_stop(struct worker *w)
{
	while (w->acceptors != NULL) {
		struct acceptor *a = w->acceptors;

		LL_DELETE(w->acceptors, a);
		acceptor_free(a);
	}
}

void
acceptors_configure(struct worker *w)
{
	acceptors_stop(w);
	if (w->is_draining)
		return;
	for (size_t i = 0; i < conf_n_listeners(w->rt->conf); i++) {
		struct listen_socket *l = w->rt->sockets[i];
		struct acceptor *a = xcalloc(1, sizeof(*a));

		a->worker = w;
		a->text = xstrdup(l->text);
		a->fd_limit = session_fd_limit(w->rt->conf);
		a->event = event_new(w->base, l->fds[w->index],
		    EV_READ | EV_PERSIST, on_acceptable, a);
		a->rest = evtimer_new(w->base, on_rested, a);
		event_add(a->event, NULL);
		LL_PREPEND(w->acceptors, a);
	}
}
