/* SPDX-License-Identifier: ISC */
/*
 * The HTTP port on the governor's loop: where it listens, what it answers to
 * which path, and the headers that keep a browser from being turned against
 * it. Only looks: there is no path that changes anything.
 *
 * The subtle rule: a page from anywhere can make a browser on this machine ask
 * us under a name of its own (DNS rebinding) and read the answer. So on a
 * loopback address only loopback's own names are answered.
 */
#include "daemon/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/http_private.h"

#define METHODS_ALL                                                            \
	(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | \
	    EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |        \
	    EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

/* ---- answers ---- */

static const struct {
	const char *name, *value;
} headers[] = {
	{ "Content-Security-Policy",
	    "default-src 'none'; script-src 'self'; style-src 'self'; "
	    "img-src 'self'; connect-src 'self'; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cache-Control", "no-store" },
};

static const char *
reason_of(int code)
{
	switch (code) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 421:
		return "Misdirected Request";
	default:
		return "Service Unavailable";
	}
}

void
http_reply(struct evhttp_request *request, int code, const char *type,
    struct evbuffer *body)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(request);

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		evhttp_add_header(out, headers[i].name, headers[i].value);
	evhttp_add_header(out, "Content-Type", type);
	if (code == 405)
		evhttp_add_header(out, "Allow", "GET, HEAD");
	evhttp_send_reply(request, code, reason_of(code), body);
}

void
http_reply_text(struct evhttp_request *request, int code, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add(body, text, strlen(text));
	http_reply(request, code, "text/plain; charset=utf-8", body);
	evbuffer_free(body);
}

/* ---- paths ---- */

static void
serve_healthz(struct http *h, struct evhttp_request *request)
{
	(void)h;
	http_reply_text(request, 200, "ok\n");
}

static void
serve_readyz(struct http *h, struct evhttp_request *request)
{
	const char *why = governor_unready(h->g);
	char text[200];

	snprintf(text, sizeof(text), "%s\n", why != NULL ? why : "ok");
	http_reply_text(request, why != NULL ? 503 : 200, text);
}

static void
serve_metrics(struct http *h, struct evhttp_request *request)
{
	http_job_metrics(h, request);
}

static void
serve_api(struct http *h, struct evhttp_request *request)
{
	char line[HTTP_COMMAND_MAX];

	if (http_api_command(h->g, evhttp_request_get_evhttp_uri(request),
		line))
		http_job_command(h, request, line);
	else
		http_reply_text(request, 404, "there is no such page\n");
}

static const struct path_row {
	const char *path;
	void (*serve)(struct http *h, struct evhttp_request *request);
} paths[] = {
	{ "/healthz", serve_healthz },
	{ "/readyz", serve_readyz },
	{ "/metrics", serve_metrics },
};

/* ---- who asks, and how ---- */

/* "localhost:8025", "127.0.0.1", "[::1]:8025". */
static bool
is_loopback_name(const char *name)
{
	char host[64];
	size_t len = strcspn(name, *name == '[' ? "]" : ":");
	struct in_addr v4;

	len += name[len] == ']';
	if (len >= sizeof(host) || (name[len] != '\0' && name[len] != ':'))
		return false;
	memcpy(host, name, len);
	host[len] = '\0';
	if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 &&
	    (ntohl(v4.s_addr) >> 24) == 127;
}

static bool
is_asked_for_us(const struct http *h, struct evhttp_request *request)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(request);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *host = evhttp_uri_get_host(uri);
	const struct evkeyval *header;

	if (!h->is_loopback)
		return true;
	if (host != NULL && !is_loopback_name(host))
		return false;
	for (header = in->tqh_first; header; header = header->next.tqe_next)
		if (strcasecmp(header->key, "Host") == 0 &&
		    !is_loopback_name(header->value))
			return false;
	return true;
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	struct http *h = arg;
	enum evhttp_cmd_type method = evhttp_request_get_command(request);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;

	http_peer_asked(h, evhttp_request_get_connection(request));
	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		http_reply_text(request, 405, "there is only GET and HEAD\n");
		return;
	}
	if (path == NULL || !is_asked_for_us(h, request)) {
		http_reply_text(request, 421,
		    "that host's name isn't ours: this is a loopback address; "
		    "ask for localhost\n");
		return;
	}
	if (strncmp(path, "/api/", 5) == 0) {
		serve_api(h, request);
		return;
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strcmp(paths[i].path, path) == 0) {
			paths[i].serve(h, request);
			return;
		}
	if (!http_serve_page(request, path))
		http_reply_text(request, 404, "there is no such page\n");
}

/* ---- the socket ---- */

static void
note_address(struct http *h, int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	const struct sockaddr_in6 *v6 = (const void *)&sa;
	const struct sockaddr_in *v4 = (const void *)&sa;
	char host[INET6_ADDRSTRLEN];

	getsockname(fd, (struct sockaddr *)&sa, &len);
	if (sa.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(h->address, sizeof(h->address), "[%s]:%u", host,
		    ntohs(v6->sin6_port));
		h->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
		return;
	}
	inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
	snprintf(h->address, sizeof(h->address), "%s:%u", host,
	    ntohs(v4->sin_port));
	h->is_loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
}

static int
open_socket(const struct conf_endpoint *e, struct err *err_out)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV |
		    AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	char port[8];
	int fd, one = 1, rc;

	snprintf(port, sizeof(port), "%u", e->port);
	rc = getaddrinfo(e->host, port, &hints, &ai);
	if (rc != 0)
		return err_set(err_out, "daemon.http.listen: %s: %s", e->text,
		    gai_strerror(rc));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
	    listen(fd, HTTP_PEERS_MAX) < 0) {
		err_sys(err_out, "daemon.http.listen: %s", e->text);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

static void
stop_listening(struct http *h)
{
	if (h->bound != NULL)
		evhttp_del_accept_socket(h->server, h->bound);
	h->bound = NULL;
	h->is_full = false;
	h->address[0] = '\0';
	free(h->listen);
	h->listen = NULL;
}

int
http_reload(struct http *h, const struct conf *conf, struct err *err_out)
{
	const struct conf_endpoint *e = &conf->daemon.http.listen;
	int fd;

	if (e->text == NULL) {
		stop_listening(h);
		return 0;
	}
	if (h->listen != NULL && strcmp(h->listen, e->text) == 0)
		return 0;
	fd = open_socket(e, err_out);
	if (fd < 0)
		return -1;
	stop_listening(h);
	note_address(h, fd);
	h->listen = xstrdup(e->text);
	h->bound = evhttp_accept_socket_with_handle(h->server, fd);
	if (h->bound == NULL)
		abort(); /* out of memory */
	return 0;
}

const char *
http_address(const struct http *h)
{
	return h->address;
}

/* ---- life ---- */

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	http_peers_sweep(arg);
}

struct http *
http_new(struct governor *g, struct err *err_out)
{
	static const struct timeval every_second = { .tv_sec = 1 };
	struct http *h = xcalloc(1, sizeof(*h));
	struct event_base *base = governor_base(g);

	h->g = g;
	turn_budget_init(&h->budget, clock_mono_us());
	h->turn = evtimer_new(base, http_on_turn, h);
	h->sweep = event_new(base, -1, EV_PERSIST, on_sweep, h);
	event_add(h->sweep, &every_second);
	h->server = evhttp_new(base);
	evhttp_set_bevcb(h->server, http_peer_new, h);
	evhttp_set_gencb(h->server, on_request, h);
	evhttp_set_allowed_methods(h->server, METHODS_ALL);
	evhttp_set_max_headers_size(h->server, HTTP_HEAD_MAX);
	evhttp_set_max_body_size(h->server, HTTP_BODY_MAX);
	evhttp_set_timeout(h->server, HTTP_TIMEOUT_S);
	if (http_reload(h, governor_conf(g), err_out) < 0) {
		http_free(h);
		return NULL;
	}
	return h;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	http_jobs_free(h);
	evhttp_free(h->server);
	http_peers_free(h);
	event_free(h->turn);
	event_free(h->sweep);
	free(h->listen);
	free(h);
}
