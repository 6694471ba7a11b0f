/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONF_FIXTURE_H
#define FLYBALL_CONF_FIXTURE_H

/*
 * A struct conf built by hand, for tests of the scheduler: no file, no parser,
 * nothing to free. Names are borrowed literals. Begin with fixture_init(), add
 * providers and routes, then streams; fixture_conf() closes it.
 */
#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "conf/conf.h"

#define FIXTURE_MAX 32
#define SEC	    INT64_C(1000000)

struct fixture {
	struct conf conf;
	struct conf_provider providers[FIXTURE_MAX + 1];
	struct conf_route routes[FIXTURE_MAX];
	struct conf_stream streams[FIXTURE_MAX];
	char *stream_routes[FIXTURE_MAX][FIXTURE_MAX];
	struct conf_route_limit limits[FIXTURE_MAX];
};

static inline void
fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->conf.providers = f->providers;
	f->conf.routes = f->routes;
	f->conf.streams = f->streams;
	f->conf.spool.retry.first_us = 300 * SEC;
	f->conf.spool.retry.factor_permille = 2000;
	f->conf.spool.retry.max_us = 14400 * SEC;
	f->conf.spool.retry.jitter_permille = 0;
	f->providers[0].name = (char *)"other";
	f->providers[0].is_other = true;
	f->conf.n_providers = 1;
}

/* `other` stays the last one. */
static inline struct conf_provider *
fixture_provider(struct fixture *f, const char *name)
{
	size_t i = f->conf.n_providers - 1;

	assert(i < FIXTURE_MAX);
	f->providers[i + 1] = f->providers[i];
	memset(&f->providers[i], 0, sizeof(f->providers[i]));
	f->providers[i].name = (char *)name;
	f->conf.n_providers++;
	return &f->providers[i];
}

static inline struct conf_provider *
fixture_other(struct fixture *f)
{
	return &f->providers[f->conf.n_providers - 1];
}

static inline void
fixture_rate(struct conf_limit_set *set, int64_t count, int64_t window_us)
{
	set->rates.v[set->rates.n++] = (struct rate){ count, window_us };
}

static inline struct conf_route *
fixture_route(struct fixture *f, const char *name, unsigned connections)
{
	struct conf_route *r = &f->routes[f->conf.n_routes++];

	assert(f->conf.n_routes <= FIXTURE_MAX);
	memset(r, 0, sizeof(*r));
	r->name = (char *)name;
	r->next_hop.text = (char *)"127.0.0.1:10025";
	r->connections = connections;
	r->backoff.first_us = SEC;
	r->backoff.max_us = 60 * SEC;
	return r;
}

/* Routes by name, NULL behind the last. */
static inline struct conf_stream *
fixture_stream(struct fixture *f, const char *name, enum conf_priority priority,
    unsigned weight, ...)
{
	size_t i = f->conf.n_streams++;
	struct conf_stream *st = &f->streams[i];
	va_list ap;

	assert(i < FIXTURE_MAX);
	memset(st, 0, sizeof(*st));
	st->name = (char *)name;
	st->priority = priority;
	st->weight = weight;
	st->routes.v = f->stream_routes[i];
	va_start(ap, weight);
	for (const char *r; (r = va_arg(ap, const char *)) != NULL;)
		st->routes.v[st->routes.n++] = (char *)r;
	va_end(ap);
	return st;
}

#endif
