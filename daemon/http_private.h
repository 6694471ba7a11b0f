/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HTTP_PRIVATE_H
#define FLYBALL_HTTP_PRIVATE_H

/* What the HTTP port's files share; included by http*.c only. */
#include <event2/event.h>
#include <event2/http.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/command.h"
#include "daemon/governor.h"
#include "daemon/http.h"
#include "daemon/metrics_page.h"
#include "daemon/turn_budget.h"

/* Beyond, new connections wait in the kernel's queue. */
#define HTTP_PEERS_MAX	100
#define HTTP_TIMEOUT_S	10
/* Who has said nothing sensible for so long is cut off, though he drips. */
#define HTTP_SILENT_US	15000000
#define HTTP_HEAD_MAX	8192
#define HTTP_BODY_MAX	65536
/* Answers that nobody takes: beyond, long ones are refused. */
#define HTTP_UNREAD_MAX (64 << 20)

/* A connection. We hold a reference on its bufferevent, so that it can be
 * counted: libevent's server doesn't say how many there are. */
struct http_peer {
	struct http_peer *prev, *next;
	struct bufferevent *bev;
	int64_t came_us;
	bool has_asked; /* we are told of its end */
};

/* A long answer under way, made in steps. */
struct http_job {
	struct http_job *prev, *next;
	struct http *http;
	struct evhttp_request *request;
	struct metrics_page *metrics;
	struct command *command;
	struct evbuffer *body;
};

struct http {
	struct governor *g;
	struct evhttp *server;
	struct evhttp_bound_socket *bound;
	char address[64];
	char *listen; /* as the configuration says, NULL = nowhere */
	bool is_loopback;
	struct http_peer *peers;
	unsigned n_peers;
	bool is_full;
	struct event *sweep;
	struct http_job *jobs; /* the first one has the turn */
	struct event *turn;
	struct turn_budget budget;
};

/* http.c */
/* Sends a whole answer; `type` is its media type. */
void http_reply(struct evhttp_request *request, int code, const char *type,
    struct evbuffer *body);
void http_reply_text(struct evhttp_request *request, int code,
    const char *text);

/* http_peer.c */
struct bufferevent *http_peer_new(struct event_base *base, void *http);
/* A request came by it: from now on its end is told. */
void http_peer_asked(struct http *h, struct evhttp_connection *connection);
void http_peers_sweep(struct http *h);
void http_peers_free(struct http *h);
size_t http_n_unread(const struct http *h);

/* http_www.c */
/* A page that is part of the program. False: there is none of that path. */
bool http_serve_page(struct evhttp_request *request, const char *path);

/* http_api.c */
#define HTTP_COMMAND_MAX 1200
/* The admin socket's command that answers this path below /api/. False: there
 * is no such path. */
bool http_api_command(struct governor *g, const struct evhttp_uri *uri,
    char line[HTTP_COMMAND_MAX]);

/* http_job.c */
/* One of them. `line` is a command of the admin socket that only reads. */
void http_job_metrics(struct http *h, struct evhttp_request *request);
void http_job_command(struct http *h, struct evhttp_request *request,
    const char *line);
/* The client is gone. */
void http_jobs_lose(struct http *h, struct evhttp_connection *connection);
void http_jobs_free(struct http *h);
void http_on_turn(evutil_socket_t fd, short what, void *http);

#endif
