/* SPDX-License-Identifier: ISC */
/*
 * c-ares on a libevent loop: it says which sockets it wants to hear of and
 * when it wants to be called, and this file passes that on. The governor asks
 * for MX hosts and blocklists here, the pools for their next hops, the doctor
 * for everything.
 *
 * Every answer goes out through the query's own timer, also one that c-ares
 * has at once: so a caller is never called from inside its question, and a
 * query that c-ares doesn't end in time is ended by the same door.
 */
#include "sink/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

/* A second try waits twice as long as the first: three parts in all. */
#define TRIES 2
#define PARTS 3

struct watch { /* a socket of c-ares */
	evutil_socket_t fd;
	struct event *event;
	struct resolver *resolver;
	struct watch *prev, *next;
};

struct resolver_query {
	struct resolver *resolver;
	char *name;
	enum dns_type type;
	resolver_fn *fn; /* one of these; both NULL: cancelled */
	resolver_host_fn *host_fn;
	void *arg;
	struct event *timer;
	struct dns_answer answer;
	struct resolver_host host;
	bool is_asked; /* c-ares has had it */
	bool is_ended; /* c-ares is done with it */
	bool is_told;  /* its owner is done with it */
	struct resolver_query *prev, *next;
};

struct resolver {
	struct event_base *base;
	ares_channel channel;
	struct event *timer; /* when c-ares wants to be called */
	struct event *pump;  /* a place came free */
	struct watch *watches;
	struct resolver_query *queries; /* in order of asking */
	unsigned n_active;
	int64_t timeout_us;
	bool is_silent;
	bool is_closing;
};

/* ---- c-ares' sockets and time ---- */

static void
arm(struct resolver *r)
{
	struct timeval room, *wait = ares_timeout(r->channel, NULL, &room);

	if (wait != NULL)
		event_add(r->timer, wait);
	else
		event_del(r->timer);
}

static void
on_ares_timer(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;

	(void)fd;
	(void)what;
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = ((struct watch *)arg)->resolver;

	/* The watch may go in here. */
	ares_process_fd(r->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
	    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	arm(r);
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) |
	    (writable ? EV_WRITE : 0));
	struct watch *w;

	DL_SEARCH_SCALAR(r->watches, w, fd, fd);
	if (w != NULL)
		event_free(w->event);
	if (!readable && !writable) {
		if (w != NULL) {
			DL_DELETE(r->watches, w);
			free(w);
		}
		return;
	}
	if (w == NULL) {
		w = xcalloc(1, sizeof(*w));
		w->fd = fd;
		w->resolver = r;
		DL_APPEND(r->watches, w);
	}
	w->event = event_new(r->base, fd, what, on_socket, w);
	event_add(w->event, NULL);
}

/* ---- queries ---- */

static void
query_free(struct resolver_query *q)
{
	DL_DELETE(q->resolver->queries, q);
	event_free(q->timer);
	dns_answer_fini(&q->answer);
	free(q->host.v);
	free(q->name);
	free(q);
}

/* c-ares is done with it; false: so is everybody. */
static bool
end_query(struct resolver_query *q, int status)
{
	struct resolver *r = q->resolver;

	if (r->is_closing)
		return false;
	q->is_ended = true;
	r->n_active--;
	event_active(r->pump, EV_TIMEOUT, 0);
	r->is_silent = status == ARES_ETIMEOUT;
	if (q->is_told) {
		query_free(q);
		return false;
	}
	event_active(q->timer, EV_TIMEOUT, 0);
	return true;
}

static void
on_answer(void *arg, int status, int n_timeouts, unsigned char *message,
    int len)
{
	struct resolver_query *q = arg;

	(void)n_timeouts;
	if (!end_query(q, status))
		return;
	if (message != NULL)
		dns_answer_read(message, (size_t)len, q->type, &q->answer);
	else
		dns_answer_fail(&q->answer, ares_strerror(status));
}

static void
read_host(const struct ares_addrinfo *info, struct resolver_host *out)
{
	out->v = xcalloc(RESOLVER_HOST_MAX, sizeof(*out->v));
	for (const struct ares_addrinfo_node *a = info->nodes;
	     a != NULL && out->n < RESOLVER_HOST_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(*out->v))
			continue;
		memcpy(&out->v[out->n++], a->ai_addr, a->ai_addrlen);
		if (a->ai_ttl > 0 &&
		    (out->ttl_s == 0 || (uint32_t)a->ai_ttl < out->ttl_s))
			out->ttl_s = (uint32_t)a->ai_ttl;
	}
	out->status = out->n > 0 ? DNS_OK : DNS_NODATA;
}

static void
on_host(void *arg, int status, int n_timeouts, struct ares_addrinfo *info)
{
	struct resolver_query *q = arg;

	(void)n_timeouts;
	if (end_query(q, status)) {
		q->host.why = ares_strerror(status);
		if (status == ARES_SUCCESS)
			read_host(info, &q->host);
		else
			q->host.status = status == ARES_ENOTFOUND ? DNS_NXDOMAIN
			    : status == ARES_ENODATA		  ? DNS_NODATA
								  : DNS_FAILED;
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
}

/* It has its answer, or its time is over. */
static void
on_query_timer(evutil_socket_t fd, short what, void *arg)
{
	struct resolver_query *q = arg;

	(void)fd;
	(void)what;
	if (!q->is_ended) {
		dns_answer_fail(&q->answer, "no answer in time");
		q->host.status = DNS_FAILED;
		q->host.why = "no answer in time";
		q->resolver->is_silent = true;
	}
	if (q->fn != NULL)
		q->fn(&q->answer, q->arg);
	if (q->host_fn != NULL)
		q->host_fn(&q->host, q->arg);
	q->fn = NULL;
	q->host_fn = NULL;
	q->is_told = true;
	if (q->is_ended)
		query_free(q);
}

static void
start(struct resolver *r, struct resolver_query *q)
{
	struct timeval wait = { .tv_sec = r->timeout_us / 1000000,
		.tv_usec = r->timeout_us % 1000000 };

	q->is_asked = true;
	r->n_active++;
	event_add(q->timer, &wait);
	if (q->host_fn != NULL) {
		static const struct ares_addrinfo_hints hints = {
			.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM
		};

		ares_getaddrinfo(r->channel, q->name, NULL, &hints, on_host, q);
		return;
	}
	ares_query(r->channel, q->name, ns_c_in, (int)q->type, on_answer, q);
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct resolver_query *q, *next;

	(void)fd;
	(void)what;
	DL_FOREACH_SAFE(r->queries, q, next) {
		if (r->n_active >= RESOLVER_ACTIVE_MAX)
			break;
		if (!q->is_asked)
			start(r, q);
	}
	arm(r);
}

static struct resolver_query *
make_query(struct resolver *r, const char *name, void *arg)
{
	struct resolver_query *q = xcalloc(1, sizeof(*q));

	q->resolver = r;
	q->name = xstrdup(name);
	q->arg = arg;
	q->answer.why = "";
	q->host.why = "";
	q->timer = evtimer_new(r->base, on_query_timer, q);
	DL_APPEND(r->queries, q);
	event_active(r->pump, EV_TIMEOUT, 0);
	return q;
}

struct resolver_query *
resolver_ask(struct resolver *r, const char *name, enum dns_type type,
    resolver_fn *fn, void *arg)
{
	struct resolver_query *q = make_query(r, name, arg);

	q->type = type;
	q->fn = fn;
	return q;
}

struct resolver_query *
resolver_ask_host(struct resolver *r, const char *name, resolver_host_fn *fn,
    void *arg)
{
	struct resolver_query *q = make_query(r, name, arg);

	q->host_fn = fn;
	return q;
}

void
resolver_cancel(struct resolver_query *q)
{
	q->fn = NULL;
	q->host_fn = NULL;
	if (!q->is_asked)
		query_free(q);
}

bool
resolver_is_silent(const struct resolver *r)
{
	return r->is_silent;
}

/* ---- life ---- */

static int
set_servers(struct resolver *r, const struct conf_dns *dns, struct err *err_out)
{
	struct strbuf list = { 0 };
	int status;

	if (dns->servers.n == 0)
		return 0;
	for (size_t i = 0; i < dns->servers.n; i++)
		strbuf_addf(&list, "%s%s", i > 0 ? "," : "", dns->servers.v[i]);
	status = ares_set_servers_ports_csv(r->channel, list.data);
	strbuf_fini(&list);
	return status == ARES_SUCCESS
	    ? 0
	    : err_set(err_out, "dns.servers: %s", ares_strerror(status));
}

/* It counts its users without a lock. */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void
init_library(void)
{
	library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int
open_channel(struct resolver *r, const struct conf_dns *dns,
    struct err *err_out)
{
	struct ares_options options = {
		.timeout = (int)(dns->timeout_us / 1000 / PARTS),
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int status;

	pthread_once(&library_once, init_library);
	status = library_status;
	if (status == ARES_SUCCESS)
		status = ares_init_options(&r->channel, &options,
		    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
			ARES_OPT_SOCK_STATE_CB);
	if (status == ARES_SUCCESS)
		return set_servers(r, dns, err_out);
	r->channel = NULL;
	return err_set(err_out, "dns: %s", ares_strerror(status));
}

struct resolver *
resolver_new(struct event_base *base, const struct conf_dns *dns,
    struct err *err_out)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	r->base = base;
	r->timeout_us = dns->timeout_us;
	r->timer = evtimer_new(base, on_ares_timer, r);
	r->pump = evtimer_new(base, on_pump, r);
	if (open_channel(r, dns, err_out) == 0)
		return r;
	resolver_free(r);
	return NULL;
}

void
resolver_free(struct resolver *r)
{
	struct resolver_query *q, *next;
	struct watch *w, *next_watch;

	if (r == NULL)
		return;
	r->is_closing = true;
	if (r->channel != NULL)
		ares_destroy(r->channel);
	DL_FOREACH_SAFE(r->queries, q, next)
		query_free(q);
	DL_FOREACH_SAFE(r->watches, w, next_watch) {
		event_free(w->event);
		free(w);
	}
	event_free(r->timer);
	event_free(r->pump);
	free(r);
}
