/* SPDX-License-Identifier: ISC */
/*
 * The pool asks here for each new connection; one question is under way for a
 * name however many wait for it.
 *
 * The subtle rule: a name server that fails says nothing about the name. Then
 * the addresses that were known are used on and the question is put again soon;
 * that a name doesn't exist is an answer, and ends it.
 */
#include "sink/host_cache.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "sink/resolver.h"

struct host {
	UT_hash_handle hh;
	struct host_cache *cache;
	struct host_addresses *known; /* NULL: none */
	char why[100];		      /* there is none */
	int64_t until_us;	      /* it needn't be asked before */
	int64_t stale_us; /* until then `known` is better than none */
	int64_t used_us;
	struct resolver_query *query; /* under way */
	struct host_lookup *waiting;
	char name[];
};

struct host_lookup {
	struct host *host;
	host_cache_fn *fn;
	void *arg;
	struct host_lookup *prev, *next;
};

struct host_cache {
	struct event_base *base;
	struct resolver *resolver;
	struct host *hosts;
};

/* ---- addresses ---- */

static struct host_addresses *
addresses_new(const struct sockaddr_storage *v, size_t n)
{
	struct host_addresses *a = xcalloc(1, sizeof(*a) + n * sizeof(a->v[0]));

	a->n_users = 1;
	a->n = n;
	for (size_t i = 0; i < n; i++)
		a->v[i].at = v[i];
	return a;
}

struct host_addresses *
host_addresses_of(const char *text)
{
	struct sockaddr_storage at = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		at.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		at.ss_family = AF_INET6;
	else
		return NULL;
	return addresses_new(&at, 1);
}

void
host_addresses_unref(struct host_addresses *a)
{
	if (a != NULL && --a->n_users == 0)
		free(a);
}

/* ---- hosts ---- */

static void
host_free(struct host *h)
{
	HASH_DEL(h->cache->hosts, h);
	host_addresses_unref(h->known);
	free(h);
}

/* Names come from the configuration, and go with it. */
static void
make_room(struct host_cache *c)
{
	struct host *h, *next, *oldest = NULL;

	if (HASH_COUNT(c->hosts) < HOST_CACHE_MOST)
		return;
	HASH_ITER(hh, c->hosts, h, next)
	if (h->query == NULL && h->waiting == NULL &&
	    (oldest == NULL || h->used_us < oldest->used_us))
		oldest = h;
	if (oldest != NULL)
		host_free(oldest);
}

static struct host *
host_of(struct host_cache *c, const char *name)
{
	size_t len = strlen(name) + 1;
	struct host *h;

	HASH_FIND_STR(c->hosts, name, h);
	if (h != NULL)
		return h;
	make_room(c);
	h = xcalloc(1, sizeof(*h) + len);
	h->cache = c;
	memcpy(h->name, name, len);
	HASH_ADD_KEYPTR(hh, c->hosts, h->name, len - 1, h);
	return h;
}

/* ---- answers ---- */

static int64_t
ttl_us(const struct resolver_host *host)
{
	int64_t us = host->ttl_s * INT64_C(1000000);

	if (us == 0)
		return HOST_TTL_UNSAID_US;
	if (us < HOST_TTL_LEAST_US)
		return HOST_TTL_LEAST_US;
	return us < HOST_TTL_MOST_US ? us : HOST_TTL_MOST_US;
}

/* What is known of an address to be bad is known of it still. */
static void
keep_marks(const struct host_addresses *from, struct host_addresses *to)
{
	for (size_t i = 0; from != NULL && i < from->n; i++)
		for (size_t j = 0; j < to->n; j++)
			if (memcmp(&from->v[i].at, &to->v[j].at,
				sizeof(to->v[j].at)) == 0)
				to->v[j].bad_until_us = from->v[i].bad_until_us;
}

static void
learn(struct host *h, const struct resolver_host *host, int64_t now_us)
{
	struct host_addresses *old = h->known;

	if (host->status == DNS_FAILED) {
		h->until_us = now_us + HOST_FAILED_US;
		if (old != NULL && now_us < h->stale_us)
			return;
		h->known = NULL;
	} else if (host->n == 0) {
		h->until_us = now_us + HOST_NONE_US;
		h->known = NULL;
	} else {
		h->known = addresses_new(host->v, host->n);
		keep_marks(old, h->known);
		h->until_us = now_us + ttl_us(host);
		h->stale_us = h->until_us + HOST_STALE_US;
	}
	host_addresses_unref(old);
	snprintf(h->why, sizeof(h->why), "no address found: %.70s", host->why);
}

static void
tell(const struct host *h, host_cache_fn *fn, void *arg)
{
	if (h->known != NULL)
		h->known->n_users++;
	fn(h->known, h->known != NULL ? "" : h->why, arg);
}

static void
on_host(const struct resolver_host *host, void *arg)
{
	struct host *h = arg;
	int64_t now_us = clock_mono_us();
	struct host_lookup *l;

	h->query = NULL;
	learn(h, host, now_us > h->used_us ? now_us : h->used_us);
	/* Whoever is told may cancel others, or ask anew. */
	while ((l = h->waiting) != NULL && h->query == NULL) {
		host_cache_fn *fn = l->fn;
		void *its = l->arg;

		DL_DELETE(h->waiting, l);
		free(l);
		tell(h, fn, its);
	}
}

/* ---- questions ---- */

struct host_lookup *
host_cache_ask(struct host_cache *c, const char *name, int64_t now_us,
    host_cache_fn *fn, void *arg)
{
	struct host *h = host_of(c, name);
	struct host_lookup *l;

	h->used_us = now_us;
	if (now_us < h->until_us) {
		tell(h, fn, arg);
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->host = h;
	l->fn = fn;
	l->arg = arg;
	DL_APPEND(h->waiting, l);
	if (h->query == NULL)
		h->query = resolver_ask_host(c->resolver, name, on_host, h);
	return l;
}

void
host_lookup_cancel(struct host_lookup *l)
{
	if (l == NULL)
		return;
	DL_DELETE(l->host->waiting, l);
	free(l);
}

/* ---- life ---- */

struct host_cache *
host_cache_new(struct event_base *base, const struct conf_dns *dns,
    struct err *err_out)
{
	struct host_cache *c = xcalloc(1, sizeof(*c));

	c->base = base;
	if (host_cache_configure(c, dns, err_out) == 0)
		return c;
	free(c);
	return NULL;
}

int
host_cache_configure(struct host_cache *c, const struct conf_dns *dns,
    struct err *err_out)
{
	struct resolver *old = c->resolver, *made;
	struct host *h, *next;

	made = resolver_new(c->base, dns, err_out);
	if (made == NULL)
		return -1;
	c->resolver = made;
	resolver_free(old);
	HASH_ITER(hh, c->hosts, h, next)
	if (h->query != NULL)
		h->query = resolver_ask_host(made, h->name, on_host, h);
	return 0;
}

void
host_cache_free(struct host_cache *c)
{
	struct host *h, *next;

	if (c == NULL)
		return;
	resolver_free(c->resolver);
	HASH_ITER(hh, c->hosts, h, next)
	{
		while (h->waiting != NULL)
			host_lookup_cancel(h->waiting);
		host_free(h);
	}
	free(c);
}
