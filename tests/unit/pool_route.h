/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_POOL_ROUTE_H
#define FLYBALL_POOL_ROUTE_H

/*
 * One server, one pool with the route r to it, jobs one after the other.
 * Included by the tests of the pool.
 */
#include "pool_world.h"
static struct event_base *base;
static struct pki pki;

struct world {
	struct server server;
	struct pool *pool;
	struct conf *conf;
	struct test_job job;
};

static inline struct conf_route *
route(struct world *w)
{
	return &w->conf->routes[0];
}

static inline void
configure(struct world *w, const char *more)
{
	char *text = xasprintf("  r: {next_hop: \"%s\", tls: none%s}\n",
	    w->server.where, more);
	struct conf *conf = make_conf(text);
	struct err err;

	free(text);
	assert_int_equal(pool_configure(w->pool, conf, &err), 0);
	conf_unref(w->conf);
	w->conf = conf;
}

static inline void
world_open(struct world *w, const char *more)
{
	memset(w, 0, sizeof(*w));
	server_open(&w->server, base);
	w->pool = pool_new(base, on_job_done, w);
	configure(w, more);
	job_init(&w->job);
}

static inline void
world_close(struct world *w)
{
	pool_free(w->pool);
	job_fini(&w->job);
	for (int i = 0; i < 10; i++)
		turn(base); /* QUITs on their way */
	server_close(&w->server);
	turn(base);
	conf_unref(w->conf);
}

static inline void
start(struct world *w, struct test_job *j)
{
	job_init(j);
	pool_send(w->pool, 0, &j->job);
	assert_int_equal(j->n_done, 0); /* never from inside */
}

static inline enum rcpt_fate
send_one(struct world *w)
{
	job_fini(&w->job);
	start(w, &w->job);
	run_until(base, w->job.n_done > 0);
	turn(base);
	assert_int_equal(w->job.n_done, 1);
	return w->job.result.fate;
}

static inline int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	base = event_base_new();
	tls_init(&pki);
	tls_make(&pki, "good", "DNS:mx.example,IP:127.0.0.1", 10);
	tls_make(&pki, "expired", "IP:127.0.0.1", -1);
	tls_make(&pki, "other", "DNS:mx.example", 10);
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	tls_fini(&pki);
	event_base_free(base);
	return 0;
}

#endif
