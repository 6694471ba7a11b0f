/* SPDX-License-Identifier: ISC */
/*
 * Full plans, as a small table that the governor swaps. It is nearly always
 * empty, and then asking costs one atomic read. A submission between two swaps
 * may find room that is gone: its mail waits for the next day, and the plan's
 * count isn't touched by it.
 */
#include "daemon/full_plans.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"

#define KEY_MAX 1024

struct full_plan {
	UT_hash_handle hh;
	char *key; /* "lane ip-a/gmail", "route ip-a", "sender a.example/x" */
	char *text;
};

struct full_plans {
	pthread_mutex_t lock;
	struct full_plan *now;	/* under the lock */
	struct full_plan *next; /* the governor's, until it is in force */
	_Atomic bool has_any;
};

static void
table_free(struct full_plan *table)
{
	struct full_plan *p, *next;

	HASH_ITER(hh, table, p, next)
	{
		HASH_DEL(table, p);
		free(p->key);
		free(p->text);
		free(p);
	}
}

struct full_plans *
full_plans_new(void)
{
	struct full_plans *f = xcalloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void
full_plans_free(struct full_plans *f)
{
	if (f == NULL)
		return;
	table_free(f->now);
	table_free(f->next);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- by the governor ---- */

void
full_plans_begin(struct full_plans *f)
{
	table_free(f->next);
	f->next = NULL;
}

void
full_plans_add(struct full_plans *f, const char *key, const char *text)
{
	struct full_plan *p;

	HASH_FIND_STR(f->next, key, p);
	if (p != NULL)
		return;
	p = xcalloc(1, sizeof(*p));
	p->key = xstrdup(key);
	p->text = xstrdup(text);
	HASH_ADD_KEYPTR(hh, f->next, p->key, strlen(p->key), p);
}

void
full_plans_end(struct full_plans *f)
{
	struct full_plan *old;

	if (f->next == NULL && !atomic_load(&f->has_any))
		return;
	pthread_mutex_lock(&f->lock);
	old = f->now;
	f->now = f->next;
	f->next = NULL;
	atomic_store(&f->has_any, f->now != NULL);
	pthread_mutex_unlock(&f->lock);
	table_free(old);
}

/* ---- by anybody ---- */

static bool
has(const struct full_plans *f, char *text_out, size_t size, const char *kind,
    const char *first, const char *second)
{
	const struct full_plan *p;
	char key[KEY_MAX];

	snprintf(key, sizeof(key), "%s %s%s%s", kind, first, *second ? "/" : "",
	    second);
	HASH_FIND_STR(f->now, key, p);
	if (p == NULL)
		return false;
	snprintf(text_out, size, "%s", p->text);
	return true;
}

static bool
meets(const struct full_plans *f, const struct conf *conf,
    const struct envelope *e, char *text_out, size_t size)
{
	const struct conf_stream *stream = conf_stream(conf, e->stream);
	char domain[ADDRESS_DOMAIN_MAX + 1] = "";
	const char *route;

	if (stream == NULL || stream->routes.n == 0)
		return false;
	route = stream->routes.v[0];
	if (*e->sender != '\0' &&
	    domain_normalise(address_domain(e->sender), domain) < 0)
		*domain = '\0';
	if (has(f, text_out, size, "route", route, ""))
		return true;
	for (size_t i = 0; i < e->n_deliveries; i++) {
		const struct delivery *d = &e->deliveries[i];
		char dest[KEY_MAX / 2];

		/* As the scheduler calls a destination. */
		snprintf(dest, sizeof(dest), "%s%s%s", d->provider,
		    *d->site ? ":" : "", d->site);
		if (has(f, text_out, size, "lane", route, dest) ||
		    (*domain != '\0' &&
			has(f, text_out, size, "sender", domain, dest)))
			return true;
	}
	return false;
}

bool
full_plans_meets(struct full_plans *f, const struct conf *conf,
    const struct envelope *e, char *text_out, size_t size)
{
	bool result;

	if (!atomic_load(&f->has_any))
		return false;
	pthread_mutex_lock(&f->lock);
	result = meets(f, conf, e, text_out, size);
	pthread_mutex_unlock(&f->lock);
	return result;
}
