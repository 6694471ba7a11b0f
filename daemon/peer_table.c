/* SPDX-License-Identifier: ISC */
/*
 * Sessions and penalties by address. Acceptors ask before a session begins,
 * sessions tell when they end. An entry lives as long as it has sessions, a
 * penalty or wrong passwords that are to be remembered.
 *
 * The subtle rule: entries without sessions stand in a list in the order in
 * which they came there, and each call looks at its first few only. So no call
 * is ever long, and memory is bounded by limits.sessions and
 * PEER_TABLE_IDLE_MAX, whatever number of addresses knocks.
 */
#include "daemon/peer_table.h"

#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "conf/base/xalloc.h"

#define SWEEP_A_CALL 4

struct peer {
	unsigned char key[16]; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
	unsigned n_sessions;
	int64_t until_us;    /* of the penalty; 0 = none */
	int64_t length_us;   /* of the last one */
	int64_t forget_us;   /* from then on the next one is the first again */
	unsigned n_failures; /* wrong passwords, since: */
	int64_t failing_us;
	struct peer *prev, *next; /* in idle, while n_sessions is 0 */
	UT_hash_handle hh;
};

struct peer_table {
	pthread_mutex_t lock;
	struct peer *peers; /* by key */
	struct peer *idle;
	size_t n_idle;
	size_t n_sessions;
};

struct peer_table *
peer_table_new(void)
{
	struct peer_table *table = xcalloc(1, sizeof(*table));

	pthread_mutex_init(&table->lock, NULL);
	return table;
}

void
peer_table_free(struct peer_table *table)
{
	struct peer *p, *next;

	if (table == NULL)
		return;
	HASH_ITER(hh, table->peers, p, next)
	{
		HASH_DEL(table->peers, p);
		free(p);
	}
	pthread_mutex_destroy(&table->lock);
	free(table);
}

/* ---- entries (with the lock held) ---- */

static void
make_key(const struct sockaddr *peer, unsigned char key[16])
{
	memset(key, 0, 16);
	if (peer->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)peer;

		key[10] = key[11] = 0xff;
		memcpy(key + 12, &v4->sin_addr, 4);
	} else if (peer->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)peer;
		bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);

		memcpy(key, &v6->sin6_addr, is_v4 ? 16 : 8);
	}
}

static struct peer *
find(struct peer_table *table, const struct sockaddr *address)
{
	unsigned char key[16];
	struct peer *p;

	make_key(address, key);
	HASH_FIND(hh, table->peers, key, sizeof(key), p);
	return p;
}

static void
idle_add(struct peer_table *table, struct peer *p)
{
	DL_APPEND(table->idle, p);
	table->n_idle++;
}

static void
idle_remove(struct peer_table *table, struct peer *p)
{
	DL_DELETE(table->idle, p);
	table->n_idle--;
}

/* A new entry is idle. */
static struct peer *
find_or_add(struct peer_table *table, const struct sockaddr *address)
{
	struct peer *p = find(table, address);

	if (p != NULL)
		return p;
	p = xcalloc(1, sizeof(*p));
	make_key(address, p->key);
	HASH_ADD(hh, table->peers, key, sizeof(p->key), p);
	idle_add(table, p);
	return p;
}

static void
forget(struct peer_table *table, struct peer *p)
{
	idle_remove(table, p);
	HASH_DEL(table->peers, p);
	free(p);
}

static void
sweep(struct peer_table *table, int64_t now_us)
{
	for (int i = 0; i < SWEEP_A_CALL && table->idle != NULL; i++) {
		struct peer *p = table->idle;

		if (p->forget_us <= now_us ||
		    table->n_idle > PEER_TABLE_IDLE_MAX) {
			forget(table, p);
			continue;
		}
		/* Behind a long penalty others may be over. */
		DL_DELETE(table->idle, p);
		DL_APPEND(table->idle, p);
	}
}

/* ---- verbs ---- */

static enum peer_answer
judge(const struct peer_table *table, const struct peer *p,
    const struct conf_limits *limits, int64_t now_us)
{
	if (p != NULL && p->until_us > now_us)
		return PEER_PENALISED;
	if (limits->sessions > 0 && table->n_sessions >= limits->sessions)
		return PEER_TOO_MANY_SESSIONS;
	if (p != NULL && limits->sessions_per_address > 0 &&
	    p->n_sessions >= limits->sessions_per_address)
		return PEER_TOO_MANY_FROM_ADDRESS;
	return PEER_ADMITTED;
}

enum peer_answer
peer_admit(struct peer_table *table, const struct sockaddr *peer,
    const struct conf_limits *limits, int64_t now_us)
{
	enum peer_answer answer;
	struct peer *p;

	pthread_mutex_lock(&table->lock);
	sweep(table, now_us);
	answer = judge(table, find(table, peer), limits, now_us);
	if (answer == PEER_ADMITTED) {
		p = find_or_add(table, peer);
		if (p->n_sessions++ == 0)
			idle_remove(table, p);
		table->n_sessions++;
	}
	pthread_mutex_unlock(&table->lock);
	return answer;
}

void
peer_release(struct peer_table *table, const struct sockaddr *peer)
{
	struct peer *p;

	pthread_mutex_lock(&table->lock);
	p = find(table, peer);
	assert(p != NULL && p->n_sessions > 0);
	table->n_sessions--;
	if (--p->n_sessions == 0) {
		idle_add(table, p);
		if (p->forget_us == 0)
			forget(table, p);
	}
	pthread_mutex_unlock(&table->lock);
}

/* Sessions that end during a penalty began before it: many of them at once
 * are one offence. */
static int64_t
next_length_us(const struct peer *p, int64_t now_us, int64_t penalty_us)
{
	int64_t longest_us = penalty_us * PEER_PENALTY_FACTOR_MAX;
	int64_t length_us = now_us < p->until_us ? p->length_us
	    : now_us < p->forget_us		 ? 2 * p->length_us
						 : penalty_us;

	if (length_us < penalty_us)
		length_us = penalty_us; /* it was raised since */
	return length_us < longest_us ? length_us : longest_us;
}

static void
penalise(struct peer *p, int64_t now_us, int64_t penalty_us)
{
	p->length_us = next_length_us(p, now_us, penalty_us);
	p->until_us = now_us + p->length_us;
	p->forget_us = p->until_us + penalty_us * PEER_PENALTY_FACTOR_MAX;
}

void
peer_penalise(struct peer_table *table, const struct sockaddr *peer,
    int64_t now_us, int64_t penalty_us)
{
	if (penalty_us <= 0)
		return;
	pthread_mutex_lock(&table->lock);
	sweep(table, now_us);
	penalise(find_or_add(table, peer), now_us, penalty_us);
	pthread_mutex_unlock(&table->lock);
}

void
peer_failed_auth(struct peer_table *table, const struct sockaddr *peer,
    const struct conf_limits *limits, int64_t now_us)
{
	struct peer *p;

	if (limits->penalty_us <= 0 || limits->auth_failures == 0)
		return;
	pthread_mutex_lock(&table->lock);
	sweep(table, now_us);
	p = find_or_add(table, peer);
	if (now_us - p->failing_us >= PEER_FAILURES_US)
		p->n_failures = 0;
	if (p->n_failures++ == 0)
		p->failing_us = now_us;
	if (p->forget_us < p->failing_us + PEER_FAILURES_US)
		p->forget_us = p->failing_us + PEER_FAILURES_US;
	if (p->n_failures / PEER_FAILURES_FACTOR >= limits->auth_failures) {
		p->n_failures = 0;
		penalise(p, now_us, limits->penalty_us);
	}
	pthread_mutex_unlock(&table->lock);
}

int64_t
peer_penalised_until_us(struct peer_table *table, const struct sockaddr *peer,
    int64_t now_us)
{
	int64_t until_us = 0;
	struct peer *p;

	pthread_mutex_lock(&table->lock);
	p = find(table, peer);
	if (p != NULL && p->until_us > now_us)
		until_us = p->until_us;
	pthread_mutex_unlock(&table->lock);
	return until_us;
}

size_t
peer_table_n_sessions(struct peer_table *table)
{
	size_t n;

	pthread_mutex_lock(&table->lock);
	n = table->n_sessions;
	pthread_mutex_unlock(&table->lock);
	return n;
}

size_t
peer_table_n_addresses(struct peer_table *table)
{
	size_t n;

	pthread_mutex_lock(&table->lock);
	n = HASH_COUNT(table->peers);
	pthread_mutex_unlock(&table->lock);
	return n;
}
