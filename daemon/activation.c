/* SPDX-License-Identifier: ISC */
/*
 * Sockets from systemd: flyball.socket holds the ports, so that they are
 * served without a moment of refusal while the daemon is started anew, and the
 * daemon needs no privilege for ports below 1024. A socket belongs to the
 * listener whose address it is bound to; its name doesn't matter. runtime.c
 * asks for each listener before it binds one by itself.
 */
#include "daemon/activation.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "conf/base/log.h"
#include "conf/base/xalloc.h"

static struct given {
	int fd;
	bool is_taken;
	struct sockaddr_storage address;
} * givens;
static size_t n_givens;

#ifdef HAVE_SYSTEMD
static void
note(int fd)
{
	struct given g = { .fd = fd };
	socklen_t len = sizeof(g.address);

	if (sd_is_socket_inet(fd, AF_UNSPEC, SOCK_STREAM, 1, 0) <= 0 ||
	    getsockname(fd, (struct sockaddr *)&g.address, &len) < 0) {
		log_warn("socket_ignored", LOG_INT("fd", fd),
		    LOG_STR("error", "not a listening TCP socket"));
		return;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	givens = xrealloc(givens, (n_givens + 1) * sizeof(*givens));
	givens[n_givens++] = g;
}

void
activation_init(void)
{
	int n = sd_listen_fds(1);

	for (int i = 0; i < n; i++)
		note(SD_LISTEN_FDS_START + i);
}
#else
void
activation_init(void)
{
}
#endif

static bool
is_same(const struct sockaddr_storage *a, const struct sockaddr *b,
    socklen_t len)
{
	const struct sockaddr_in6 *a6 = (const void *)a;
	const struct sockaddr_in6 *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a;
	const struct sockaddr_in *b4 = (const void *)b;

	if (a->ss_family != b->sa_family)
		return false;
	if (a->ss_family == AF_INET6)
		return len >= sizeof(*b6) && a6->sin6_port == b6->sin6_port &&
		    memcmp(&a6->sin6_addr, &b6->sin6_addr,
			sizeof(b6->sin6_addr)) == 0;
	return len >= sizeof(*b4) && a4->sin_port == b4->sin_port &&
	    a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

int
activation_take(const struct sockaddr *to, socklen_t len)
{
	for (size_t i = 0; i < n_givens; i++)
		if (is_same(&givens[i].address, to, len)) {
			givens[i].is_taken = true;
			return givens[i].fd;
		}
	return -1;
}

void
activation_warn_unused(void)
{
	char host[64], port[8], text[80];

	for (size_t i = 0; i < n_givens; i++) {
		const struct given *g = &givens[i];

		if (g->is_taken ||
		    getnameinfo((const struct sockaddr *)&g->address,
			sizeof(g->address), host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
			continue;
		snprintf(text, sizeof(text), "%s port %s", host, port);
		log_warn("socket_unused", LOG_STR("address", text),
		    LOG_STR("effect", "whoever connects waits for ever"),
		    LOG_STR("fix", "a listener with just this address"));
	}
}
