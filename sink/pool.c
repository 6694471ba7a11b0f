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

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/xalloc.h"
#include "sink/pool_private.h"
#include "sink/tls.h"

/* ---- jobs end ---- */

void
pool_finish_job(struct pool *p, struct pool_job *job)
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

static struct conn *
take_idle(struct way *w, unsigned messages_per_connection)
{
	struct conn *c = w->idle;

	while (c != NULL && messages_per_connection > 0 &&
	    smtp_client_n_sent(c->client) >= messages_per_connection) {
		pool_conn_quit(c);
		c = w->idle;
	}
	return c;
}

void
pool_start_job(struct way *w, struct pool_job *job)
{
	struct conn *c = take_idle(w, job->messages_per_connection);

	w->pool->n_busy++;
	if (c != NULL) {
		c->job = job;
		c->is_reused = true;
		pool_conn_begin(c);
		pool_conn_after(c);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->way = w;
	c->conf = conf_ref(w->conf);
	c->route = w->route;
	c->job = job;
	DL_APPEND2(w->pool->all, c, all_prev, all_next);
	w->n_conns++;
	pool_count(w->pool, 1);
	pool_conn_open(c);
}

int
pool_find_route(const struct pool *p, const char *name)
{
	for (size_t i = 0; i < p->n_ways; i++)
		if (strcmp(p->ways[i]->route->name, name) == 0)
			return (int)i;
	return -1;
}

void
pool_send(struct pool *p, unsigned route, struct pool_job *job)
{
	assert(route < p->n_ways);
	pool_start_job(p->ways[route], job);
}

/* ---- ways ---- */

void
pool_way_release(struct way *w)
{
	if (!w->is_retired || w->n_conns > 0)
		return;
	tls_client_context_free(w->context);
	conf_unref(w->conf);
	free(w);
}

/* ---- configuration ---- */

/* Whether connections of the way serve route `b` as well. */
static bool
is_same_way(const struct way *w, const struct conf_route *b,
    const struct tls_trust *trust)
{
	const struct conf_route *a = w->route;

	return strcmp(a->name, b->name) == 0 &&
	    strcmp(a->next_hop.text, b->next_hop.text) == 0 &&
	    a->tls == b->tls && strcmp(a->tls_ca, b->tls_ca) == 0 &&
	    strcmp(a->tls_name, b->tls_name) == 0 &&
	    strcmp(a->source, b->source) == 0 &&
	    strcmp(a->ehlo, b->ehlo) == 0 &&
	    strcmp(a->auth.user, b->auth.user) == 0 &&
	    strcmp(a->auth.password, b->auth.password) == 0 &&
	    memcmp(&w->trust, trust, sizeof(*trust)) == 0;
}

static void
way_retire(struct way *w)
{
	w->is_retired = true;
	w->n_conns++; /* so that it outlives the loop */
	while (w->idle != NULL)
		pool_conn_quit(w->idle);
	w->n_conns--;
	pool_way_release(w);
}

static struct way *
way_new(struct pool *p, const struct conf *conf, const struct conf_route *route,
    const struct tls_trust *trust, struct err *err_out)
{
	struct way *w = xcalloc(1, sizeof(*w));

	w->pool = p;
	w->route = route;
	w->trust = *trust;
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

/* Where among the pool's ways; n_ways: it is none of them. */
static size_t
way_index(const struct pool *p, const struct way *w)
{
	size_t i = 0;

	while (i < p->n_ways && p->ways[i] != w)
		i++;
	return i;
}

/* The old way for this route when it can go on, else a new one. */
static struct way *
way_for(struct pool *p, const struct conf *conf, const struct conf_route *route,
    struct err *err_out)
{
	/* Looked at once, before it is loaded: it may be written just now. */
	struct tls_trust trust =
	    tls_trust_of(route->tls == ROUTE_TLS_VERIFY ? route->tls_ca : "");

	for (size_t i = 0; i < p->n_ways; i++)
		if (is_same_way(p->ways[i], route, &trust))
			return p->ways[i];
	return way_new(p, conf, route, &trust, err_out);
}

/* Goes on with its new settings; open connections keep the snapshot that they
 * were made with. */
static void
way_carry_over(struct way *w, const struct conf *conf,
    const struct conf_route *route)
{
	conf_unref(w->conf);
	w->conf = conf_ref(conf);
	w->route = route;
}

/* First all that may fail, so that a failure changes nothing. */
static int
make_ways(struct pool *p, const struct conf *conf, struct way **ways,
    struct err *err_out)
{
	for (size_t i = 0; i < conf->n_routes; i++) {
		ways[i] = way_for(p, conf, &conf->routes[i], err_out);
		if (ways[i] != NULL)
			continue;
		while (i-- > 0)
			if (way_index(p, ways[i]) == p->n_ways)
				way_retire(ways[i]);
		return -1;
	}
	return 0;
}

int
pool_configure(struct pool *p, const struct conf *conf, struct err *err_out)
{
	struct way **ways = xcalloc(conf->n_routes, sizeof(struct way *));
	struct way **old = p->ways;

	if (make_ways(p, conf, ways, err_out) < 0) {
		free(ways);
		return -1;
	}
	for (size_t i = 0; i < conf->n_routes; i++) {
		size_t at = way_index(p, ways[i]);

		if (at == p->n_ways)
			continue;
		way_carry_over(ways[i], conf, &conf->routes[i]);
		old[at] = NULL;
	}
	for (size_t i = 0; i < p->n_ways; i++)
		if (old[i] != NULL)
			way_retire(old[i]);
	p->ways = ways;
	p->n_ways = conf->n_routes;
	free(old);
	conf_unref(p->conf);
	p->conf = conf_ref(conf);
	pool_read_dns(p);
	return 0;
}

void
pool_use_dns(struct pool *p, const struct conf_dns *dns)
{
	p->dns = dns;
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

void
pool_count_into(struct pool *p, _Atomic unsigned *n_open)
{
	p->n_open_shared = n_open;
}

void
pool_count(struct pool *p, int difference)
{
	p->n_open += (unsigned)difference;
	if (p->n_open_shared != NULL)
		atomic_fetch_add(p->n_open_shared, (unsigned)difference);
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
			pool_conn_quit(p->ways[i]->idle);
}

void
pool_abort(struct pool *p)
{
	pool_drain(p);
	p->is_aborting = true;
	while (p->all != NULL)
		pool_conn_lost(p->all, "flyball is stopping");
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
	host_cache_free(p->hosts);
	conf_unref(p->conf);
	free(p);
}
