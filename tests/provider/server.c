/* SPDX-License-Identifier: ISC */
/*
 * Listeners, models and their common clock. Called by provider.c; hands each
 * client to session.c.
 */
#include "tests/provider/server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include <event2/listener.h>
#include <event2/util.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"

int64_t
server_now_us(void)
{
	return clock_mono_us();
}

static void
on_accept(struct evconnlistener *el, evutil_socket_t fd, struct sockaddr *sa,
    int len, void *arg)
{
	int on = 1;

	(void)el;
	(void)sa;
	(void)len;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	session_start(arg, fd);
}

static int
announce(const struct port *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	evutil_socket_t fd = evconnlistener_get_fd(port->accept);
	int number;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -1;
	number = ntohs(ss.ss_family == AF_INET6
		? ((struct sockaddr_in6 *)&ss)->sin6_port
		: ((struct sockaddr_in *)&ss)->sin_port);
	printf("listening name=%s port=%d\n", port->listener->name, number);
	fflush(stdout);
	return 0;
}

/* "127.0.0.1:0" or "[::1]:2525", with port 0 for any. */
static struct addrinfo *
resolve(const char *address)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *out = NULL;
	const char *colon = strrchr(address, ':');
	bool has_brackets = address[0] == '[';
	char *host;

	if (colon == NULL || colon - address < 2 * has_brackets)
		return NULL;
	host = xstrndup(address + has_brackets,
	    (size_t)(colon - address) - 2u * has_brackets);
	if (getaddrinfo(host, colon + 1, &hints, &out) != 0)
		out = NULL;
	free(host);
	return out;
}

static int
port_open(struct port *port, struct server *sv,
    const struct world_listener *listener, struct err *err_out)
{
	struct addrinfo *ai = resolve(listener->address);

	port->server = sv;
	port->listener = listener;
	port->models = xcalloc(sv->world->n_providers, sizeof(*port->models));
	if (ai == NULL)
		return err_set(err_out, "%s is no address:port",
		    listener->address);
	port->accept = evconnlistener_new_bind(sv->base, on_accept, port,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 1024, ai->ai_addr,
	    (int)ai->ai_addrlen);
	freeaddrinfo(ai);
	if (port->accept == NULL || announce(port) != 0)
		return err_sys(err_out, "%s", listener->address);
	return 0;
}

static int
tls_open(struct server *sv, struct err *err_out)
{
	if (sv->world->certificate == NULL)
		return 0;
	sv->tls = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(sv->tls,
		sv->world->certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(sv->tls, sv->world->key,
		SSL_FILETYPE_PEM) != 1)
		return err_set(err_out, "%s: certificate or key unusable",
		    sv->world->certificate);
	return 0;
}

int
server_open(struct server *sv, const struct world *world,
    struct event_base *base, struct err *err_out)
{
	sv->world = world;
	sv->base = base;
	if (tls_open(sv, err_out) != 0)
		return -1;
	sv->ports = xcalloc(world->n_listeners, sizeof(*sv->ports));
	for (size_t i = 0; i < world->n_listeners; i++)
		if (port_open(&sv->ports[i], sv, &world->listeners[i],
			err_out) != 0)
			return -1;
	if (world->starts_at_once)
		server_start_clock(sv);
	return 0;
}

void
server_start_clock(struct server *sv)
{
	const struct world *w = sv->world;
	struct timeval end = { .tv_sec = w->duration_us / 1000000,
		.tv_usec = w->duration_us % 1000000 };

	if (sv->origin_us != 0)
		return;
	sv->origin_us = server_now_us();
	if (w->duration_us > 0)
		evtimer_add(sv->deadline, &end);
	for (size_t i = 0; i < w->n_listeners; i++) {
		struct port *port = &sv->ports[i];

		port->door = provider_model_new(&w->listeners[i].door,
		    w->seed * 1000 + i, sv->origin_us);
		/* One address's luck is another one's too: traits of a
		 * mailbox don't depend on the way to it. */
		for (size_t k = 0; k < w->n_providers; k++)
			port->models[k] =
			    provider_model_new(&w->providers[k].spec,
				w->seed * 1000 + 500 + k, sv->origin_us);
	}
}

void
server_close(struct server *sv)
{
	for (size_t i = 0; i < sv->world->n_listeners; i++) {
		struct port *port = &sv->ports[i];

		if (port->accept != NULL)
			evconnlistener_free(port->accept);
		provider_model_free(port->door);
		for (size_t k = 0; k < sv->world->n_providers; k++)
			provider_model_free(port->models[k]);
		free(port->models);
	}
	free(sv->ports);
	SSL_CTX_free(sv->tls);
}
