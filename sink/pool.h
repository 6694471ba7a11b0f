/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_POOL_H
#define FLYBALL_POOL_H

#include <event2/event.h>

#include "conf/conf.h"
#include "sink/smtp_client.h"

/*
 * One I/O worker's connections to next hops: opens, reuses, idles and closes
 * them. It decides nothing about rates: the governor sends a job only when a
 * connection's place is free for it.
 */
struct pool;

/* One dispatch on its way; the owner embeds or derives it by `arg`. */
struct pool_job {
	struct transaction transaction;
	unsigned messages_per_connection; /* 0 = no limit */
	int64_t started_us;
	char peer[64]; /* next hop's address, filled in */
	bool is_tls;
	/* The connection never came to MAIL: permit unused, and
	 * connect_reply/why tell what refused us. */
	bool is_unused;
	bool is_unreachable; /* no TCP, no banner, TLS policy not met */
	int refusal_code;
	char *refusal; /* malloc'd or NULL */
	enum phase refusal_phase;
	struct reply_answer refusal_answer; /* what it means */
	void *arg;
};

typedef void pool_done_fn(struct pool_job *job, void *arg);

/* `done` is called once for each job, never from inside pool_send(). */
struct pool *pool_new(struct event_base *base, pool_done_fn *done, void *arg);
/* From now on, open connections are counted here too, with other pools'. */
void pool_count_into(struct pool *p, _Atomic unsigned *n_open);
/* Routes by name keep their connections where next hop, TLS, what the file of
 * tls_ca holds, source, ehlo and auth are unchanged; others finish what they do
 * and close. -1: a file can't be used, and nothing has changed. */
int pool_configure(struct pool *p, const struct conf *conf,
    struct err *err_out);
/* Name servers for next hops in place of the system's; lent. For tests. */
void pool_use_dns(struct pool *p, const struct conf_dns *dns);
/* Where the route of this name stands in the configuration that the pool has,
 * which isn't the newest one when pool_configure() failed. -1: nowhere. */
int pool_find_route(const struct pool *p, const char *name);
void pool_send(struct pool *p, unsigned route, struct pool_job *job);
unsigned pool_n_busy(const struct pool *p);
unsigned pool_n_open(const struct pool *p);
/* No more idle connections kept: QUIT as soon as they are free. */
void pool_drain(struct pool *p);
void pool_abort(struct pool *p); /* busy jobs end as lost */
void pool_free(struct pool *p);	 /* as abort, then gone */

#endif
