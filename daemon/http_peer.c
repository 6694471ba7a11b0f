/* SPDX-License-Identifier: ISC */
/*
 * The connections to the HTTP port, counted and bounded: they share
 * descriptors with the mail. libevent's server has no limit and doesn't tell
 * of connections that end without a request, so each one's bufferevent is held
 * on to until the server has let go of it.
 *
 * The subtle rule: a descriptor is closed with the last reference. Where the
 * server says that a connection ends, ours goes at once; the others are found
 * by the sweep, within a second.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/http_private.h"

static void
listen_or_not(struct http *h)
{
	bool is_full = h->n_peers >= HTTP_PEERS_MAX;
	struct evconnlistener *listener;

	if (h->bound == NULL || is_full == h->is_full)
		return;
	h->is_full = is_full;
	listener = evhttp_bound_socket_get_listener(h->bound);
	if (is_full)
		evconnlistener_disable(listener);
	else
		evconnlistener_enable(listener);
}

static void
peer_free(struct http *h, struct http_peer *p)
{
	DL_DELETE(h->peers, p);
	h->n_peers--;
	bufferevent_decref(p->bev);
	free(p);
	listen_or_not(h);
}

struct bufferevent *
http_peer_new(struct event_base *base, void *http)
{
	struct http *h = http;
	struct http_peer *p = xcalloc(1, sizeof(*p));

	p->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (p->bev == NULL)
		abort(); /* out of memory */
	p->came_us = clock_mono_us();
	bufferevent_incref(p->bev);
	DL_APPEND(h->peers, p);
	h->n_peers++;
	listen_or_not(h);
	return p->bev;
}

static void
on_close(struct evhttp_connection *connection, void *http)
{
	struct http *h = http;
	struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
	struct http_peer *p, *next;

	http_jobs_lose(h, connection);
	DL_FOREACH_SAFE(h->peers, p, next)
		if (p->bev == bev)
			peer_free(h, p);
}

void
http_peer_asked(struct http *h, struct evhttp_connection *connection)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
	struct http_peer *p;

	DL_FOREACH(h->peers, p)
		if (p->bev == bev)
			p->has_asked = true;
	evhttp_connection_set_closecb(connection, on_close, h);
}

/* The server takes its callbacks off what it frees. */
static bool
is_let_go(const struct http_peer *p)
{
	bufferevent_event_cb on_event;
	bufferevent_data_cb on_read, on_write;
	void *arg;

	bufferevent_getcb(p->bev, &on_read, &on_write, &on_event, &arg);
	return on_event == NULL;
}

void
http_peers_sweep(struct http *h)
{
	int64_t now_us = clock_mono_us();
	struct http_peer *p, *next;

	DL_FOREACH_SAFE(h->peers, p, next) {
		if (is_let_go(p))
			peer_free(h, p);
		else if (!p->has_asked && now_us - p->came_us > HTTP_SILENT_US)
			shutdown(bufferevent_getfd(p->bev), SHUT_RDWR);
	}
}

size_t
http_n_unread(const struct http *h)
{
	size_t n = 0;
	const struct http_peer *p;

	DL_FOREACH(h->peers, p)
		n += evbuffer_get_length(bufferevent_get_output(p->bev));
	return n;
}

void
http_peers_free(struct http *h)
{
	while (h->peers != NULL)
		peer_free(h, h->peers);
}
