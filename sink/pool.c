/* SPDX-License-Identifier: ISC */
/*
 * One worker's connections to next hops. The worker hands over jobs that the
 * governor has already permitted; the pool finds an idle connection or opens
 * one, runs the client's machine over it, and gives the job back with results.
 *
 * It must not decide about rates or retries: a job that never reached MAIL
 * comes back unused, with what refused it. The one exception is a connection
 * that the peer closed while it lay idle: nothing was said on it about the
 * message, so the job quietly moves to a fresh one.
 *
 * Life of a connection, also its list: OPENING -> BUSY <-> IDLE -> gone.
 */
#include "sink/pool.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/dns.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "scheduler/reply_text.h"
#include "sink/stream.h"
#include "sink/tls.h"

#define SUBMISSIONS_PORT 465 /* RFC 8314: TLS from the first byte */

struct conn;

/* What a route needs to connect; old ones live until their last connection. */
struct way {
	struct pool *pool;
	const struct conf *conf; /* holds route */
	const struct conf_route *route;
	SSL_CTX *context;  /* NULL when tls is none */
	struct conn *idle; /* most recently used first */
	unsigned n_conns;
	bool is_retired;
};

enum conn_state { CONN_RESOLVING, CONN_CONNECTING, CONN_BUSY, CONN_IDLE };

struct conn {
	struct conn *prev, *next; /* in way->idle while IDLE */
	struct conn *all_prev, *all_next;
	struct way *way;
	const struct conf *conf;	/* as it was when this one was opened */
	const struct conf_route *route; /* within conf, or clear_route */
	struct conf_route clear_route;	/* as route, but without TLS */
	enum conn_state state;
	struct evdns_getaddrinfo_request *lookup;
	struct evutil_addrinfo *addresses, *address;
	struct stream *stream;
	struct smtp_client *client;
	struct pool_job *job;
	bool is_reused;	    /* job came when a transaction was done before */
	bool has_timed_out; /* by our deadline */
	bool without_tls;   /* opportunistic TLS failed: once more in clear */
	enum client_state timed_state; /* the deadline stands for this */
	unsigned timed_replies;
	char peer[64];
};

struct pool {
	struct event_base *base;
	struct evdns_base *dns; /* made when a next hop has a name */
	pool_done_fn *done;
	void *done_arg;
	struct way **ways; /* by route index of conf */
	size_t n_ways;
	const struct conf *conf;
	struct conn *all;
	unsigned n_open, n_busy;
	bool is_draining;
	bool is_aborting;
	struct event finished_event; /* jobs end from the loop, not from send */
	struct finished {
		struct finished *next;
		struct pool_job *job;
	} * finished, **finished_tail;
};

static const struct stream_ops conn_stream_ops;
static void open_conn(struct conn *c);
static void connect_next(struct conn *c, const char *why);
static void start_job(struct way *w, struct pool_job *job);
static void conn_after(struct conn *c);

/* ---- jobs end ---- */

static void
finish_job(struct pool *p, struct pool_job *job)
{
	struct finished *f = xmalloc(sizeof(*f));

	f->next = NULL;
	f->job = job;
	if (p->finished == NULL)
		event_active(&p->finished_event, EV_READ, 0);
	*(p->finished ? p->finished_tail : &p->finished) = f;
	p->finished_tail = &f->next;
	p->n_busy--;
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	struct finished *f;

	(void)fd;
	(void)what;
	while ((f = p->finished) != NULL) {
		p->finished = f->next;
		p->done(f->job, p->done_arg);
		free(f);
	}
}

/* The permit wasn't used: MAIL was never written. */
static struct reply_answer
answer_of_refusal(const struct pool_job *job)
{
	char enhanced[16];
	struct reply_fact fact = { .phase = job->refusal_phase,
		.code = job->refusal_code,
		.text = job->refusal,
		.provider = job->transaction.provider };

	reply_text_code(job->refusal, enhanced);
	fact.enhanced = enhanced;
	return reply_rules_ask(job->transaction.rules, &fact);
}

static void
finish_unused(struct conn *c, bool is_unreachable, enum phase phase, int code,
    const char *why)
{
	struct pool_job *job = c->job;

	c->job = NULL;
	job->is_unused = true;
	job->is_unreachable = is_unreachable;
	job->refusal_phase = phase;
	job->refusal_code = code;
	free(job->refusal);
	job->refusal = xstrdup(why);
	job->refusal_answer = answer_of_refusal(job);
	finish_job(c->way->pool, job);
}

/* ---- connections ---- */

static void
way_release(struct way *w)
{
	if (!w->is_retired || w->n_conns > 0)
		return;
	tls_client_context_free(w->context);
	conf_unref(w->conf);
	free(w);
}

static void
conn_free(struct conn *c)
{
	struct way *w = c->way;

	assert(c->job == NULL);
	if (c->state == CONN_IDLE)
		DL_DELETE(w->idle, c);
	DL_DELETE2(w->pool->all, c, all_prev, all_next);
	if (c->lookup != NULL)
		evdns_getaddrinfo_cancel(c->lookup);
	if (c->addresses != NULL)
		evutil_freeaddrinfo(c->addresses);
	smtp_client_free(c->client);
	stream_free(c->stream);
	w->pool->n_open--;
	w->n_conns--;
	conf_unref(c->conf);
	free(c);
	way_release(w);
}

static void
conn_set_idle(struct conn *c, bool idle)
{
	if (idle == (c->state == CONN_IDLE))
		return;
	c->state = idle ? CONN_IDLE : CONN_BUSY;
	if (idle)
		DL_PREPEND(c->way->idle, c);
	else
		DL_DELETE(c->way->idle, c);
}

/* QUIT politely; the stream flushes it by itself. */
static void
conn_quit(struct conn *c)
{
	struct strbuf *out;

	if (c->client != NULL && smtp_client_state(c->client) == CLIENT_READY) {
		smtp_client_quit(c->client);
		out = smtp_client_out(c->client);
		stream_write_all(c->stream, out);
		stream_free_flush(c->stream);
		c->stream = NULL;
	}
	conn_free(c);
}

/* Moves what the client wants to say to the stream, and the deadline along
 * when the dialogue went a step: never when a peer merely trickles. */
static void
conn_push(struct conn *c)
{
	struct strbuf *out = smtp_client_out(c->client);
	enum client_state state = smtp_client_state(c->client);
	unsigned n_replies = smtp_client_n_replies(c->client);
	bool has_moved = out->len > 0 || state != c->timed_state ||
	    n_replies != c->timed_replies;

	if (out->len > 0) {
		stream_write_all(c->stream, out);
		if (out->cap > STREAM_READ_MAX)
			strbuf_fini(out);
	}
	if (!has_moved)
		return;
	c->timed_state = state;
	c->timed_replies = n_replies;
	if (state != CLIENT_READY)
		stream_set_timeout(c->stream,
		    smtp_client_timeout_us(c->client));
	else if (c->way->is_retired || c->way->pool->is_draining)
		stream_set_timeout(c->stream, 1); /* QUIT from the loop */
	else
		stream_set_timeout(c->stream, c->route->idle_timeout_us);
}

/* The peer had closed while the connection lay idle (RFC 5321 3.8 lets it),
 * or says so only now: not one word was said about this message. Should the
 * peer have taken it nevertheless and died before its first reply, then it
 * arrives twice; the later retry that is the other way would do the same. */
static bool
was_stale(const struct conn *c)
{
	const struct transaction *t = &c->job->transaction;

	if (!c->is_reused || !t->is_sent || c->has_timed_out ||
	    c->way->pool->is_aborting)
		return false;
	return t->n_replies == 0 ||
	    (t->n_replies == 1 && t->results[0].code == 421 &&
		strcmp(t->results[0].enhanced, "4.4.2") == 0);
}

static void
conn_end_job(struct conn *c)
{
	struct pool_job *job = c->job;

	if (was_stale(c)) {
		struct way *w = c->way;

		c->job = NULL;
		transaction_fini_results(&job->transaction);
		job->transaction.is_sent = false;
		w->pool->n_busy--;
		start_job(w, job);
		return;
	}
	c->job = NULL;
	finish_job(c->way->pool, job);
}

/* Everything that ends a connection comes through here. */
static void
conn_lost(struct conn *c, const char *why)
{
	int code = 0;
	const char *refusal;

	if (c->job != NULL && c->client != NULL &&
	    c->job->transaction.is_sent) {
		smtp_client_lost(c->client, why); /* -> on_done */
	} else if (c->job != NULL) {
		enum phase phase =
		    c->client ? smtp_client_phase(c->client) : PHASE_CONNECT;

		if (c->client != NULL)
			smtp_client_lost(c->client, why);
		refusal =
		    c->client ? smtp_client_refusal(c->client, &code) : "";
		finish_unused(c, code == 0, phase, code,
		    *refusal ? refusal : why);
	}
	conn_free(c);
}

/* ---- the client's wishes ---- */

static void
on_start_tls(void *arg)
{
	struct conn *c = arg;
	SSL *ssl = tls_client_new(c->way->context, c->route);

	/* The STARTTLS command itself is already on its way. */
	stream_start_tls(c->stream, ssl, false);
}

static void
begin(struct conn *c)
{
	struct pool_job *job = c->job;

	conn_set_idle(c, false);
	snprintf(job->peer, sizeof(job->peer), "%s", c->peer);
	job->is_tls = smtp_client_is_tls(c->client);
	smtp_client_send(c->client, &job->transaction);
}

static void
on_ready(void *arg)
{
	struct conn *c = arg;

	if (c->job != NULL)
		begin(c);
	else if (!c->way->is_retired && !c->way->pool->is_draining)
		conn_set_idle(c, true);
}

static void
on_done(void *arg)
{
	struct conn *c = arg;

	conn_end_job(c);
}

static void
on_close(void *arg, const char *why)
{
	/* conn_after() sees the state: now the client is on the stack. */
	(void)arg;
	(void)why;
}

/* ---- the stream's news ---- */

static bool
is_closed(const struct conn *c)
{
	return smtp_client_state(c->client) == CLIENT_CLOSED;
}

static bool
may_fall_back(const struct conn *c)
{
	return c->route->tls == ROUTE_TLS_OPPORTUNISTIC && !c->without_tls &&
	    c->job != NULL && !c->job->transaction.is_sent;
}

/* After any step of the client: what it wrote, or that it is over. */
static void
conn_after(struct conn *c)
{
	if (is_closed(c)) {
		struct strbuf *out = smtp_client_out(c->client);

		stream_write_all(c->stream, out);
		stream_free_flush(c->stream);
		c->stream = NULL;
		conn_lost(c, "the connection was closed");
		return;
	}
	conn_push(c);
}

static size_t
on_input(void *arg, const char *data, size_t len)
{
	struct conn *c = arg;

	smtp_client_input(c->client, data, len);
	conn_after(c);
	return len;
}

static void
on_connected(void *arg)
{
	struct conn *c = arg;
	const struct client_ops ops = { .start_tls = on_start_tls,
		.ready = on_ready,
		.done = on_done,
		.close = on_close,
		.arg = c };
	const struct conf_route *route = c->route;
	const char *ehlo =
	    *route->ehlo ? route->ehlo : c->conf->daemon.hostname;

	c->state = CONN_BUSY;
	c->client = smtp_client_new(route, ehlo, &ops);
	c->timed_state = CLIENT_CLOSED; /* none yet */
	if (route->next_hop.port == SUBMISSIONS_PORT &&
	    route->tls != ROUTE_TLS_NONE) {
		stream_set_timeout(c->stream, route->timeouts.greeting_us);
		on_start_tls(c);
		return;
	}
	conn_push(c);
}

/* The handshake failed: where TLS is only a wish, once more without. */
static void
reconnect_clear(struct conn *c)
{
	c->without_tls = true;
	c->clear_route = *c->route;
	c->clear_route.tls = ROUTE_TLS_NONE;
	c->route = &c->clear_route;
	smtp_client_free(c->client);
	c->client = NULL;
	stream_free(c->stream);
	c->stream = NULL;
	c->address = NULL;
	connect_next(c, "TLS failed");
}

static void
on_tls_done(void *arg, bool ok)
{
	struct conn *c = arg;

	if (!ok && may_fall_back(c)) {
		reconnect_clear(c);
		return;
	}
	smtp_client_tls_done(c->client, ok, stream_error(c->stream));
	conn_after(c);
}

static void
on_writable(void *arg)
{
	struct conn *c = arg;

	smtp_client_writable(c->client);
	conn_after(c);
}

static void
on_ended(void *arg, enum stream_end how)
{
	struct conn *c = arg;
	char why[200];

	if (c->state == CONN_IDLE || c->job == NULL) {
		if (how == STREAM_TIMEOUT)
			conn_quit(c);
		else
			conn_free(c);
		return;
	}
	c->has_timed_out = how == STREAM_TIMEOUT;
	if (how == STREAM_TIMEOUT)
		snprintf(why, sizeof(why), "timed out while waiting for %s",
		    c->client ? client_state_name(smtp_client_state(c->client))
			      : "the connection");
	else if (how == STREAM_EOF)
		snprintf(why, sizeof(why), "the peer closed the connection");
	else
		snprintf(why, sizeof(why), "%s", stream_error(c->stream));
	if (c->state == CONN_CONNECTING)
		connect_next(c, why);
	else
		conn_lost(c, why);
}

static const struct stream_ops conn_stream_ops = {
	.input = on_input,
	.connected = on_connected,
	.tls_done = on_tls_done,
	.writable = on_writable,
	.ended = on_ended,
};

/* ---- opening ---- */

static void
describe_peer(struct conn *c, const struct sockaddr *to)
{
	char host[INET6_ADDRSTRLEN] = "";
	uint16_t port = c->route->next_hop.port;

	if (to->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)to)->sin_addr,
		    host, sizeof(host));
	else
		inet_ntop(AF_INET6,
		    &((const struct sockaddr_in6 *)to)->sin6_addr, host,
		    sizeof(host));
	snprintf(c->peer, sizeof(c->peer),
	    to->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

static const struct sockaddr *
source_address(const struct conf_route *route, int family,
    struct sockaddr_storage *out, socklen_t *len_out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (*route->source == '\0')
		return NULL;
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET &&
	    inet_pton(AF_INET, route->source, &v4->sin_addr) == 1) {
		*len_out = sizeof(*v4);
		return (struct sockaddr *)out;
	}
	if (family == AF_INET6 &&
	    inet_pton(AF_INET6, route->source, &v6->sin6_addr) == 1) {
		*len_out = sizeof(*v6);
		return (struct sockaddr *)out;
	}
	return NULL;
}

/* The next address of the next hop; when there is none, it is unreachable. */
static void
connect_next(struct conn *c, const char *why)
{
	const struct conf_route *route = c->route;
	struct sockaddr_storage source;
	socklen_t source_len = 0;
	const struct sockaddr *from;
	char text[300];

	c->address = c->address ? c->address->ai_next : c->addresses;
	if (c->stream != NULL)
		stream_free(c->stream);
	c->stream = NULL;
	if (c->address == NULL) {
		snprintf(text, sizeof(text), "connect to %s%s%s: %s",
		    route->next_hop.text, *c->peer ? " at " : "", c->peer, why);
		c->state = CONN_CONNECTING;
		conn_lost(c, text);
		return;
	}
	describe_peer(c, c->address->ai_addr);
	from =
	    source_address(route, c->address->ai_family, &source, &source_len);
	c->state = CONN_CONNECTING;
	c->stream = stream_connect(c->way->pool->base, c->address->ai_addr,
	    (socklen_t)c->address->ai_addrlen, from, source_len,
	    &conn_stream_ops, c);
	stream_set_timeout(c->stream, route->timeouts.connect_us);
}

static void
on_resolved(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct conn *c = arg;
	char why[160];

	c->lookup = NULL;
	if (result == EVUTIL_EAI_CANCEL)
		return;
	c->addresses = addresses;
	snprintf(why, sizeof(why), "no address found: %s",
	    evutil_gai_strerror(result));
	connect_next(c, why);
}

static struct evdns_base *
resolver(struct pool *p)
{
	if (p->dns != NULL)
		return p->dns;
	/* Inactive resolvers must not keep the loop alive. */
	p->dns = evdns_base_new(p->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	evdns_base_resolv_conf_parse(p->dns, DNS_OPTIONS_ALL,
	    "/etc/resolv.conf");
	return p->dns;
}

static bool
is_numeric(const char *host)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, host, buf) == 1 ||
	    inet_pton(AF_INET6, host, buf) == 1;
}

static void
open_conn(struct conn *c)
{
	const struct conf_endpoint *hop = &c->route->next_hop;
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP };
	char port[8];
	int result;

	snprintf(port, sizeof(port), "%u", hop->port);
	c->state = CONN_RESOLVING;
	if (is_numeric(hop->host)) {
		hints.ai_flags = EVUTIL_AI_NUMERICHOST;
		result =
		    evutil_getaddrinfo(hop->host, port, &hints, &c->addresses);
		connect_next(c, result ? evutil_gai_strerror(result) : "");
		return;
	}
	/* NULL also when it called back at once, from /etc/hosts: then c may
	 * be gone, so the handle is kept only when there is one. */
	struct evdns_getaddrinfo_request *lookup =
	    evdns_getaddrinfo(resolver(c->way->pool), hop->host, port, &hints,
		on_resolved, c);
	if (lookup != NULL)
		c->lookup = lookup;
}

static struct conn *
take_idle(struct way *w, unsigned messages_per_connection)
{
	struct conn *c = w->idle;

	while (c != NULL && messages_per_connection > 0 &&
	    smtp_client_n_sent(c->client) >= messages_per_connection) {
		conn_quit(c);
		c = w->idle;
	}
	return c;
}

static void
start_job(struct way *w, struct pool_job *job)
{
	struct conn *c = take_idle(w, job->messages_per_connection);

	w->pool->n_busy++;
	if (c != NULL) {
		c->job = job;
		c->is_reused = true;
		begin(c);
		conn_after(c);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->way = w;
	c->conf = conf_ref(w->conf);
	c->route = w->route;
	c->job = job;
	DL_APPEND2(w->pool->all, c, all_prev, all_next);
	w->n_conns++;
	w->pool->n_open++;
	open_conn(c);
}

void
pool_send(struct pool *p, unsigned route, struct pool_job *job)
{
	assert(route < p->n_ways);
	start_job(p->ways[route], job);
}

/* ---- configuration ---- */

/* Whether connections made for `a` serve `b` as well. */
static bool
is_same_way(const struct conf_route *a, const struct conf_route *b)
{
	return strcmp(a->name, b->name) == 0 &&
	    strcmp(a->next_hop.text, b->next_hop.text) == 0 &&
	    a->tls == b->tls && strcmp(a->tls_ca, b->tls_ca) == 0 &&
	    strcmp(a->tls_name, b->tls_name) == 0 &&
	    strcmp(a->source, b->source) == 0 &&
	    strcmp(a->ehlo, b->ehlo) == 0 &&
	    strcmp(a->auth.user, b->auth.user) == 0 &&
	    strcmp(a->auth.password, b->auth.password) == 0;
}

static void
way_retire(struct way *w)
{
	w->is_retired = true;
	w->n_conns++; /* so that it outlives the loop */
	while (w->idle != NULL)
		conn_quit(w->idle);
	w->n_conns--;
	way_release(w);
}

static struct way *
way_new(struct pool *p, const struct conf *conf, const struct conf_route *route,
    struct err *err_out)
{
	struct way *w = xcalloc(1, sizeof(*w));

	w->pool = p;
	w->route = route;
	if (route->tls != ROUTE_TLS_NONE) {
		w->context = tls_client_context(route, err_out);
		if (w->context == NULL) {
			free(w);
			return NULL;
		}
	}
	w->conf = conf_ref(conf);
	return w;
}

/* The old way for this route when it can go on, with its new settings. */
static struct way *
way_carry_over(struct pool *p, const struct conf *conf,
    const struct conf_route *route)
{
	for (size_t i = 0; i < p->n_ways; i++) {
		struct way *w = p->ways[i];

		if (w == NULL || !is_same_way(w->route, route))
			continue;
		p->ways[i] = NULL;
		/* Open connections keep the snapshot they were made with. */
		conf_unref(w->conf);
		w->conf = conf_ref(conf);
		w->route = route;
		return w;
	}
	return NULL;
}

int
pool_configure(struct pool *p, const struct conf *conf, struct err *err_out)
{
	struct way **ways = xcalloc(conf->n_routes, sizeof(struct way *));

	for (size_t i = 0; i < conf->n_routes; i++) {
		ways[i] = way_carry_over(p, conf, &conf->routes[i]);
		if (ways[i] == NULL)
			ways[i] = way_new(p, conf, &conf->routes[i], err_out);
		if (ways[i] == NULL)
			return -1; /* checked before: tls_ca vanished */
	}
	for (size_t i = 0; i < p->n_ways; i++)
		if (p->ways[i] != NULL)
			way_retire(p->ways[i]);
	free(p->ways);
	p->ways = ways;
	p->n_ways = conf->n_routes;
	conf_unref(p->conf);
	p->conf = conf_ref(conf);
	return 0;
}

struct pool *
pool_new(struct event_base *base, pool_done_fn *done, void *arg)
{
	struct pool *p = xcalloc(1, sizeof(*p));

	p->base = base;
	p->done = done;
	p->done_arg = arg;
	event_assign(&p->finished_event, base, -1, 0, on_finished, p);
	return p;
}

unsigned
pool_n_busy(const struct pool *p)
{
	return p->n_busy;
}

unsigned
pool_n_open(const struct pool *p)
{
	return p->n_open;
}

void
pool_drain(struct pool *p)
{
	p->is_draining = true;
	for (size_t i = 0; i < p->n_ways; i++)
		while (p->ways[i]->idle != NULL)
			conn_quit(p->ways[i]->idle);
}

void
pool_abort(struct pool *p)
{
	pool_drain(p);
	p->is_aborting = true;
	while (p->all != NULL)
		conn_lost(p->all, "flyball is stopping");
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pool_abort(p);
	on_finished(-1, 0, p);
	event_del(&p->finished_event);
	for (size_t i = 0; i < p->n_ways; i++)
		way_retire(p->ways[i]);
	free(p->ways);
	if (p->dns != NULL)
		evdns_base_free(p->dns, 0);
	conf_unref(p->conf);
	free(p);
}
