/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_POOL_PRIVATE_H
#define FLYBALL_POOL_PRIVATE_H

/*
 * Shared by pool*.c only: the pool itself keeps ways and jobs, pool_conn.c runs
 * one connection, pool_connect.c gets it connected.
 */
#include <event2/event_struct.h>

#include "sink/host_cache.h"
#include "sink/pool.h"
#include "sink/stream.h"
#include "sink/tls.h"

struct conn;

/* What a route needs to connect; old ones live until their last connection. */
struct way {
	struct pool *pool;
	const struct conf *conf; /* holds route */
	const struct conf_route *route;
	SSL_CTX *context;	/* NULL when tls is none */
	struct tls_trust trust; /* that the context was made with, or before */
	struct conn *idle;	/* most recently used first */
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
	struct host_lookup *lookup;	  /* while RESOLVING */
	struct host_addresses *addresses; /* NULL: not yet, or none */
	struct host_address *address;	  /* of them, in use */
	unsigned first;			  /* of them, where the turn began */
	uint32_t is_tried;		  /* a bit for each */
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
	struct host_cache *hosts;   /* made when a next hop has a name */
	const struct conf_dns *dns; /* in place of the system's */
	pool_done_fn *done;
	void *done_arg;
	struct way **ways; /* by route index of conf */
	size_t n_ways;
	const struct conf *conf;
	struct conn *all;
	unsigned n_open, n_busy;
	_Atomic unsigned *n_open_shared; /* or NULL */
	bool is_draining;
	bool is_aborting;
	struct event finished_event; /* jobs end from the loop, not from send */
	struct finished {
		struct finished *next;
		struct pool_job *job;
	} * finished, **finished_tail;
};

/* The job goes back to its owner, from the loop. */
void pool_finish_job(struct pool *p, struct pool_job *job);
/* On an idle connection, or on a new one. */
void pool_start_job(struct way *w, struct pool_job *job);
/* One connection more, or one less. */
void pool_count(struct pool *p, int difference);
/* Frees a retired way without connections. */
void pool_way_release(struct way *w);

/* ---- one connection; each of these may free it ---- */
extern const struct stream_ops pool_conn_stream_ops;
/* Its client is READY and it has a job. */
void pool_conn_begin(struct conn *c);
/* After any step of the client: what it wrote, or that it is over. */
void pool_conn_after(struct conn *c);
/* QUIT politely, and gone; it has no job. */
void pool_conn_quit(struct conn *c);
/* Everything that ends a connection against our will comes through here. */
void pool_conn_lost(struct conn *c, const char *why);

/* ---- connecting ---- */
void pool_conn_open(struct conn *c);
/* The name servers, anew: the system's may be others after a reload. */
void pool_read_dns(struct pool *p);
/* To the next address; `why` the last one failed, for the operator. */
void pool_conn_connect_next(struct conn *c, const char *why);

#endif
