/* SPDX-License-Identifier: ISC */
/*
 * The rate of submission of each user, asked by server sessions for each
 * recipient. Buckets are the scheduler's; here is only the table that finds
 * them. A bucket that is full again tells nothing and is forgotten.
 *
 * Names come from the users file, but it may be reloaded without end: so the
 * table is bounded too. Each call looks at the two names idle longest.
 */
#include "daemon/rate_limiter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "conf/base/xalloc.h"
#include "scheduler/bucket.h"

#define SWEEP_A_CALL 2

struct meter {
	char *name;
	struct rate rate;
	struct bucket_set buckets;
	struct meter *prev, *next; /* least recently used first */
	UT_hash_handle hh;
};

struct rate_limiter {
	pthread_mutex_t lock;
	struct meter *meters; /* by name */
	struct meter *by_use;
};

struct rate_limiter *
rate_limiter_new(void)
{
	struct rate_limiter *l = xcalloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	return l;
}

static void
forget(struct rate_limiter *l, struct meter *m)
{
	HASH_DEL(l->meters, m);
	DL_DELETE(l->by_use, m);
	bucket_set_fini(&m->buckets);
	free(m->name);
	free(m);
}

void
rate_limiter_free(struct rate_limiter *l)
{
	if (l == NULL)
		return;
	while (l->by_use != NULL)
		forget(l, l->by_use);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- meters (with the lock held) ---- */

static void
sweep(struct rate_limiter *l, int64_t now_us)
{
	for (int i = 0; i < SWEEP_A_CALL && l->by_use != NULL; i++) {
		struct meter *m = l->by_use;

		if (bucket_set_full_at(&m->buckets, now_us) > now_us &&
		    HASH_COUNT(l->meters) < RATE_LIMITER_NAMES_MAX)
			return;
		forget(l, m);
	}
}

static struct meter *
add(struct rate_limiter *l, const char *name, const struct conf_rates *rates,
    int64_t now_us)
{
	struct meter *m = xcalloc(1, sizeof(*m));

	m->name = xstrdup(name);
	m->rate = rates->v[0];
	bucket_set_init(&m->buckets, rates, m->rate.count, now_us);
	HASH_ADD_KEYPTR(hh, l->meters, m->name, strlen(m->name), m);
	DL_APPEND(l->by_use, m);
	return m;
}

static void
refresh(struct rate_limiter *l, struct meter *m, const struct conf_rates *rates,
    int64_t now_us)
{
	const struct rate *rate = &rates->v[0];

	if (rate->count != m->rate.count ||
	    rate->window_us != m->rate.window_us) {
		bucket_set_change(&m->buckets, rates, rate->count, now_us);
		m->rate = *rate;
	}
	DL_DELETE(l->by_use, m);
	DL_APPEND(l->by_use, m);
}

bool
rate_limiter_take(struct rate_limiter *l, const char *name,
    const struct rate *rate, unsigned n, int64_t now_us)
{
	struct conf_rates rates = { .v = { *rate }, .n = 1 };
	struct meter *m;
	bool taken;

	if (rate_is_unlimited(rate))
		return true;
	pthread_mutex_lock(&l->lock);
	HASH_FIND_STR(l->meters, name, m);
	if (m == NULL) {
		sweep(l, now_us);
		m = add(l, name, &rates, now_us);
	} else {
		refresh(l, m, &rates, now_us);
	}
	taken = bucket_set_take(&m->buckets, n, now_us);
	pthread_mutex_unlock(&l->lock);
	return taken;
}

size_t
rate_limiter_n_names(struct rate_limiter *l)
{
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = HASH_COUNT(l->meters);
	pthread_mutex_unlock(&l->lock);
	return n;
}
