/* SPDX-License-Identifier: ISC */
/*
 * The scheduler's own objects for what a snapshot names: streams, providers,
 * routes. They outlive snapshots, found again by name, because counters and
 * pauses hang on them; sched.c and reload.c load them.
 *
 * A name that a new snapshot lacks is only marked gone here: deliveries in
 * flight may still refer to it. names_drop_gone() frees it when none does.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_adapt.h"

struct stream *
stream_find(struct sched *s, const char *name)
{
	struct stream *st;

	HASH_FIND_STR(s->streams, name, st);
	return st;
}

struct stream *
stream_or_default(struct sched *s, const char *name)
{
	struct stream *st = stream_find(s, name);

	if (st == NULL || st->is_gone)
		st = stream_find(s, "default");
	assert(st != NULL); /* conf_load() always makes one */
	return st;
}

struct provider *
provider_find(struct sched *s, const char *name)
{
	struct provider *p;

	HASH_FIND_STR(s->providers, name, p);
	return p;
}

struct route *
route_find(struct sched *s, const char *name)
{
	struct route *r;

	HASH_FIND_STR(s->routes, name, r);
	return r;
}

static void
route_load(struct sched *s, const struct conf_route *conf, unsigned index)
{
	struct route *r = route_find(s, conf->name);

	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		r->s = s;
		r->name = xstrdup(conf->name);
		route_adapt_new(r);
		HASH_ADD_KEYPTR(hh, s->routes, r->name, strlen(r->name), r);
	}
	r->conf = conf;
	r->log = conf_route_log(s->conf, conf->name);
	r->index = index;
	r->connections = conf->connections;
	r->adapt->is_shadow = s->conf->adapt.mode == MODE_SHADOW;
	r->is_gone = false;
}

static void
provider_load(struct sched *s, const struct conf_provider *conf)
{
	struct provider *p = provider_find(s, conf->name);

	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->name = xstrdup(conf->name);
		HASH_ADD_KEYPTR(hh, s->providers, p->name, strlen(p->name), p);
	}
	p->conf = conf;
	p->is_other = conf->is_other;
	p->is_gone = false;
}

static void
stream_load(struct sched *s, const struct conf_stream *conf)
{
	struct stream *st = stream_find(s, conf->name);

	if (st == NULL) {
		st = xcalloc(1, sizeof(*st));
		st->name = xstrdup(conf->name);
		HASH_ADD_KEYPTR(hh, s->streams, st->name, strlen(st->name), st);
	}
	st->priority = conf->priority;
	st->weight = conf->weight > 0 ? conf->weight : 1;
	st->is_gone = false;
	free(st->routes);
	st->routes = xcalloc(conf->routes.n, sizeof(*st->routes));
	st->n_routes = 0;
	for (size_t i = 0; i < conf->routes.n; i++) {
		struct route *r = route_find(s, conf->routes.v[i]);

		if (r != NULL && !r->is_gone)
			st->routes[st->n_routes++] = r;
	}
	assert(st->n_routes > 0);
}

/* Each route has a stream of its own, for what the operator sends that way. */
static void
route_stream_load(struct sched *s, const struct conf_route *conf)
{
	char *name = xasprintf(SCHED_ROUTE_STREAM "%s", conf->name);
	char *routes[] = { conf->name };
	struct conf_stream stream = { .name = name,
		.priority = PRIORITY_NORMAL,
		.weight = 1,
		.routes = { routes, 1 } };

	if (stream_find(s, name) == NULL || stream_find(s, name)->is_gone)
		stream_load(s, &stream);
	free(name);
}

/* pauses_bind() tells those that come back of their pauses. */
static void
mark_all_gone(struct sched *s)
{
	for (struct stream *st = s->streams; st; st = st->hh.next) {
		st->is_gone = true;
		st->pause = NULL;
	}
	for (struct provider *p = s->providers; p; p = p->hh.next) {
		p->is_gone = true;
		p->conf = NULL;
		p->pause = NULL;
	}
	for (struct route *r = s->routes; r; r = r->hh.next) {
		r->is_gone = true;
		r->conf = NULL;
		r->log = NULL;
		r->pause = NULL;
	}
}

void
names_load(struct sched *s, const struct conf *conf)
{
	s->conf = conf;
	mark_all_gone(s);
	for (size_t i = 0; i < conf->n_routes; i++)
		route_load(s, &conf->routes[i], (unsigned)i);
	for (size_t i = 0; i < conf->n_providers; i++)
		provider_load(s, &conf->providers[i]);
	for (size_t i = 0; i < conf->n_streams; i++)
		stream_load(s, &conf->streams[i]);
	for (size_t i = 0; i < conf->n_routes; i++)
		route_stream_load(s, &conf->routes[i]);
}

static void
stream_free(struct sched *s, struct stream *st)
{
	HASH_DEL(s->streams, st);
	free(st->routes);
	free(st->name);
	free(st);
}

static void
provider_free(struct sched *s, struct provider *p)
{
	HASH_DEL(s->providers, p);
	free(p->name);
	free(p);
}

static void
route_free(struct sched *s, struct route *r)
{
	HASH_DEL(s->routes, r);
	sched_timer_set(s, &r->down.timer, INT64_MAX);
	route_adapt_free(s, r);
	free(r->down.why);
	free(r->name);
	free(r);
}

void
names_drop_gone(struct sched *s)
{
	struct stream *st, *next_stream;
	struct provider *p, *next_provider;
	struct route *r, *next_route;

	/* No flow has a stream that is gone: reload.c moved them all. */
	HASH_ITER(hh, s->streams, st, next_stream)
	if (st->is_gone)
		stream_free(s, st);
	HASH_ITER(hh, s->providers, p, next_provider)
	if (p->is_gone && p->n_dests == 0)
		provider_free(s, p);
	HASH_ITER(hh, s->routes, r, next_route)
	if (r->is_gone && r->n_lanes == 0)
		route_free(s, r);
}

void
names_free(struct sched *s)
{
	while (s->streams != NULL)
		stream_free(s, s->streams);
	while (s->providers != NULL)
		provider_free(s, s->providers);
	while (s->routes != NULL)
		route_free(s, s->routes);
}
