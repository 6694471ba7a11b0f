/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CLUSTER_PRIVATE_H
#define FLYBALL_CLUSTER_PRIVATE_H

#include "daemon/cluster.h"
#include "scheduler/sched_cluster.h"

/* What the files of the cluster share; included by them only. */

/* Of keys and scripts. Nodes of another one don't touch what ours wrote. */
#define CLUSTER_SCHEME	  1
#define CLUSTER_NODES_MAX 1024
#define CLUSTER_WHY_SIZE  256

struct cluster_node {
	char *name, *version;
	int64_t scheme, seen_ms, started_ms, n_leases;
};

struct cluster {
	struct governor *g;
	struct sched *sched;
	const struct conf_cluster *conf; /* of ref */
	const struct conf *ref;
	enum conf_on_loss on_loss; /* of the newest snapshot */
	struct redis_link *link;
	struct redis_script *lease, *join, *lesson;
	char *key_generation, *key_nodes, *key_lessons, *key_suppressed;
	struct event *due;  /* the next lease */
	struct event *beat; /* once a second */
	int64_t due_us;	    /* when `due` fires; INT64_MAX: it doesn't */
	int64_t incarnation;
	int64_t newer; /* incarnation of ours that Redis knows; 0: none */

	enum cluster_mode mode;
	int64_t mode_since_utc_us;
	char why[CLUSTER_WHY_SIZE];
	bool is_joined; /* since the link came up */
	bool is_lost;	/* others may have granted what we took by ourselves */
	bool is_leaving;
	int64_t heard_us; /* the last call that was answered left then */
	int64_t beat_us;  /* of the last beat */
	char *generation;
	int64_t clock_offset_us;

	struct cluster_node *nodes;
	size_t n_nodes;
	unsigned n_alive;
	unsigned n_parts; /* in which a limit is shared when Redis is gone */
	unsigned n_fewer; /* beats in a row in which fewer were alive */
	uint64_t n_lease_calls, n_losses, n_lessons_sent, n_lessons_heard;
	unsigned n_leases;	    /* as last counted */
	struct cluster_call *calls; /* leases under way */
	unsigned n_calls;
	bool
	    is_throttled; /* Redis has enough to do: no more until it answers */
	/* cluster_lessons.c: */
	struct lesson *lessons; /* by key */
	struct offer *offers;	/* under way */
	int64_t revision;	/* of what was heard, without a gap */
	uint64_t n_saves;	/* of the scheduler's records */
	bool has_read, is_reading, has_pending;
	bool is_reading_anew;
	bool is_anew; /* the epochs that are known may be of another count */
	/* cluster_suppress.c: */
	char suppressed_id[48]; /* of the last that was read */
	bool is_reading_suppressed;
};

/* ---- cluster.c ---- */
/* Redis answered a call that left then. */
void cluster_heard(struct cluster *c, int64_t sent_us);
/* It answers, but not with what we can use. */
void cluster_refuse(struct cluster *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Redis knows a later incarnation of this node than it is. */
void cluster_heard_newer(struct cluster *c, int64_t incarnation);
/* A call failed; says why if we should come to be without Redis. */
void cluster_failed(struct cluster *c, const struct redis_answer *a);
char *cluster_key(const struct cluster *c, const char *name);

/* ---- cluster_lease.c ---- */
/* Makes the calls that are due. */
void cluster_ask(struct cluster *c, int64_t now_us);
void cluster_forget_calls(struct cluster *c);

/* ---- cluster_lessons.c ---- */
void cluster_hear(struct cluster *c, struct redis_bytes payload);
/* Redis has that many; what isn't known is read, what is ours is offered. */
void cluster_read_lessons(struct cluster *c, int64_t revision);
/* Redis may have forgotten what it was told: all is read, and told, again. */
void cluster_lessons_anew(struct cluster *c);
void cluster_tell_pending(struct cluster *c);
void cluster_lessons_free(struct cluster *c);

/* ---- cluster_suppress.c ---- */
void cluster_read_suppressed(struct cluster *c);

/* ---- arguments of a call ---- */
#define CLUSTER_ARGS_MAX (16 + 6 * LEASE_ITEMS_MAX)
struct cluster_args {
	struct redis_bytes v[CLUSTER_ARGS_MAX];
	size_t n;
	char numbers[CLUSTER_ARGS_MAX][24];
};
void cluster_arg_str(struct cluster_args *a, const char *text);
void cluster_arg_int(struct cluster_args *a, int64_t n);

/* Of an array in an answer; 0 where there is no such number. */
int64_t cluster_reply_int(const struct redisReply *r, size_t i);
const char *cluster_reply_str(const struct redisReply *r, size_t i);

/* cluster.c: a node that was seen so long ago is gone. */
int64_t cluster_alive_us(const struct cluster *c);

#endif
