/* SPDX-License-Identifier: ISC */
/*
 * Makes a configuration ready to run, so that a reload can fail as a whole
 * before anything has changed: server certificates, the trust of each route,
 * the index of domains, and a listening socket for each listener and worker.
 */
#include "daemon/runtime.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/activation.h"
#include "daemon/log_reader.h"
#include "sink/tls.h"

#define BACKLOG 1024

/* ---- listening ---- */

static void
socket_unref(struct listen_socket *l)
{
	if (l == NULL || atomic_fetch_sub(&l->refs, 1) > 1)
		return;
	for (unsigned i = 0; i < l->n_fds && !l->is_given; i++)
		if (l->fds[i] >= 0)
			close(l->fds[i]);
	free(l->fds);
	free(l->text);
	free(l->address);
	free(l);
}

static int
parse_endpoint(const struct conf_endpoint *e, struct sockaddr_storage *out,
    socklen_t *len_out, struct err *err_out)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char port[8];
	int result;

	snprintf(port, sizeof(port), "%u", e->port);
	result = getaddrinfo(e->host, port, &hints, &found);
	if (result != 0)
		return err_set(err_out, "listen %s: %s", e->text,
		    gai_strerror(result));
	memcpy(out, found->ai_addr, found->ai_addrlen);
	*len_out = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

/* Without SO_REUSEPORT it fails when anybody else has the address, even one
 * that would share it: two daemons must not split one port. */
static int
bind_one(const struct sockaddr *to, socklen_t len, bool is_shared)
{
	int fd = socket(to->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	int saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, to, len) == 0 && (!is_shared || listen(fd, BACKLOG) == 0))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static void
describe_socket(struct listen_socket *l, const struct conf_endpoint *e)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t len = sizeof(bound);
	unsigned port = e->port;

	if (getsockname(l->fds[0], (struct sockaddr *)&bound, &len) == 0)
		port = ntohs(bound.ss_family == AF_INET6
			? ((struct sockaddr_in6 *)&bound)->sin6_port
			: ((struct sockaddr_in *)&bound)->sin_port);
	l->address = xasprintf(strchr(e->host, ':') ? "[%s]:%u" : "%s:%u",
	    e->host, port);
}

/* All workers wait on one that is open already. It is no duplicate: epoll goes
 * on telling of a descriptor that was closed while its socket is open under
 * another number, and a worker would spin. */
static bool
take_given(struct listen_socket *l, const struct sockaddr *to, socklen_t len)
{
	int fd = activation_take(to, len);

	for (unsigned i = 0; i < l->n_fds; i++)
		l->fds[i] = fd;
	l->is_given = fd >= 0;
	return l->is_given;
}

/* Each worker gets one of its own. `is_vacant`: what has the address now is a
 * socket of ours that goes. */
static int
bind_all(struct listen_socket *l, struct sockaddr_storage *to, socklen_t len,
    bool is_vacant, struct err *err_out)
{
	int probe =
	    is_vacant ? -1 : bind_one((struct sockaddr *)to, len, false);

	if (probe < 0 && !is_vacant)
		return err_sys(err_out, "listen %s", l->text);
	if (probe >= 0)
		close(probe);
	for (unsigned i = 0; i < l->n_fds; i++) {
		l->fds[i] = bind_one((struct sockaddr *)to, len, true);
		if (l->fds[i] < 0)
			return err_sys(err_out, "listen %s", l->text);
		/* Port 0: the others share what the first one got. */
		len = sizeof(*to);
		getsockname(l->fds[i], (struct sockaddr *)to, &len);
	}
	return 0;
}

static struct listen_socket *
socket_new(const struct conf_endpoint *e, unsigned n_workers, bool is_vacant,
    struct err *err_out)
{
	struct listen_socket *l = xcalloc(1, sizeof(*l));
	struct sockaddr_storage to;
	socklen_t len = 0;

	l->refs = 1;
	l->text = xstrdup(e->text);
	l->fds = xcalloc(n_workers, sizeof(int));
	memset(l->fds, 0xff, n_workers * sizeof(int));
	if (parse_endpoint(e, &to, &len, err_out) < 0)
		goto fail;
	l->n_fds = n_workers;
	if (!take_given(l, (struct sockaddr *)&to, len) &&
	    bind_all(l, &to, len, is_vacant, err_out) < 0)
		goto fail;
	describe_socket(l, e);
	return l;
fail:
	socket_unref(l);
	return NULL;
}

static struct listen_socket *
socket_carry_over(const struct runtime *old, const char *text)
{
	for (size_t i = 0; old != NULL && i < conf_n_listeners(old->conf); i++)
		if (strcmp(old->sockets[i]->text, text) == 0) {
			atomic_fetch_add(&old->sockets[i]->refs, 1);
			return old->sockets[i];
		}
	return NULL;
}

static bool
is_wildcard(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Can't both be listened on, unless they share. [::] may take IPv4 too. */
static bool
is_overlapping(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
	bool is_v6 = strchr(a->host, ':') != NULL;

	if (a->port == 0 || a->port != b->port)
		return false;
	if (strcmp(a->host, b->host) == 0 || strcmp(a->host, "::") == 0 ||
	    strcmp(b->host, "::") == 0)
		return true;
	return is_v6 == (strchr(b->host, ':') != NULL) &&
	    (is_wildcard(a->host) || is_wildcard(b->host));
}

static bool
is_listened_on(const struct conf *conf, const char *text)
{
	for (size_t i = 0; i < conf_n_listeners(conf); i++)
		if (strcmp(conf_listener_at(conf, i)->listen.text, text) == 0)
			return true;
	return false;
}

/*
 * 127.0.0.1:25 becomes 0.0.0.0:25: what stands in the way is our own socket,
 * which goes once the workers have the new one. Then both share the port for a
 * moment. Only what a start would be able to do: nothing else of the new
 * configuration may be in the way.
 */
static bool
is_vacated(const struct runtime *old, const struct conf *conf, size_t at)
{
	const struct conf_endpoint *e = &conf_listener_at(conf, at)->listen;
	bool is_ours = false;

	for (size_t i = 0; i < conf_n_listeners(conf); i++)
		if (i != at &&
		    is_overlapping(e, &conf_listener_at(conf, i)->listen))
			return false;
	for (size_t i = 0; old != NULL && i < conf_n_listeners(old->conf);
	     i++) {
		const struct listen_socket *l = old->sockets[i];

		if (is_overlapping(e,
			&conf_listener_at(old->conf, i)->listen) &&
		    !is_listened_on(conf, l->text))
			is_ours |= !l->is_given;
	}
	return is_ours;
}

/* ---- the whole ---- */

/* For what a file that the configuration names turns out to be. */
static const char *
place_of(const struct conf *conf, const char *where)
{
	return where != NULL ? where : conf->file;
}

static int
check_routes(const struct conf *conf, struct err *err_out)
{
	for (size_t i = 0; i < conf->n_routes; i++) {
		struct err why;
		SSL_CTX *context = tls_client_context(&conf->routes[i], &why);

		if (context == NULL)
			return err_set(err_out, "%s: routes.%s: %s",
			    place_of(conf, conf->routes[i].where),
			    conf->routes[i].name, why.text);
		tls_client_context_free(context);
	}
	return 0;
}

static int
make_parts(struct runtime *rt, struct err *err_out)
{
	const struct conf *conf = rt->conf;
	struct err why;

	rt->index = destination_index_new(conf);
	if (*conf->tls.certificate != '\0') {
		rt->server_tls = tls_server_context(&conf->tls, &why);
		if (rt->server_tls == NULL)
			return err_set(err_out, "%s: %s",
			    place_of(conf, conf->tls.where), why.text);
	}
	rt->rules = reply_rules_new(conf, err_out);
	if (rt->rules == NULL)
		return -1;
	if (log_reader_check(&conf->feedback, &why) < 0)
		return err_set(err_out, "%s: %s", conf->file, why.text);
	return check_routes(conf, err_out);
}

static int
make_sockets(struct runtime *rt, const struct runtime *old, unsigned n_workers,
    struct err *err_out)
{
	const struct conf *conf = rt->conf;

	rt->sockets = xcalloc(conf_n_listeners(conf), sizeof(*rt->sockets));
	for (size_t i = 0; i < conf_n_listeners(conf); i++) {
		const struct conf_endpoint *e =
		    &conf_listener_at(conf, i)->listen;

		rt->sockets[i] = socket_carry_over(old, e->text);
		if (rt->sockets[i] == NULL)
			rt->sockets[i] = socket_new(e, n_workers,
			    is_vacated(old, conf, i), err_out);
		if (rt->sockets[i] == NULL)
			return -1;
	}
	return 0;
}

struct runtime *
runtime_new(const struct conf *conf, const struct runtime *old,
    unsigned n_workers, struct err *err_out)
{
	struct runtime *rt = xcalloc(1, sizeof(*rt));

	rt->refs = 1;
	rt->conf = conf_ref(conf);
	if (make_parts(rt, err_out) < 0 ||
	    make_sockets(rt, old, n_workers, err_out) < 0)
		goto fail;
	return rt;
fail:
	runtime_unref(rt);
	return NULL;
}

int
runtime_check(const struct conf *conf, struct err *err_out)
{
	struct runtime *rt = xcalloc(1, sizeof(*rt));
	int result;

	rt->refs = 1;
	rt->conf = conf_ref(conf);
	result = make_parts(rt, err_out);
	runtime_unref(rt);
	return result;
}

struct runtime *
runtime_ref(struct runtime *rt)
{
	atomic_fetch_add(&rt->refs, 1);
	return rt;
}

void
runtime_unref(struct runtime *rt)
{
	if (rt == NULL || atomic_fetch_sub(&rt->refs, 1) > 1)
		return;
	for (size_t i = 0; rt->sockets && i < conf_n_listeners(rt->conf); i++)
		socket_unref(rt->sockets[i]);
	free(rt->sockets);
	SSL_CTX_free(rt->server_tls);
	destination_index_free(rt->index);
	reply_rules_unref(rt->rules);
	conf_unref(rt->conf);
	free(rt);
}
