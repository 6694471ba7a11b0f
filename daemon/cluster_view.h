/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CLUSTER_VIEW_H
#define FLYBALL_CLUSTER_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/redis_link.h"

/*
 * What people and programs are shown of the cluster: `flyballctl cluster`,
 * `status`, /metrics. They are filled from what cluster.c holds; nothing here
 * asks Redis. Strings are lent until the loop's turn ends.
 */
struct cluster;

enum cluster_mode {
	CLUSTER_JOINING, /* since start: no word from Redis yet */
	CLUSTER_SHARED,	 /* leases are taken */
	CLUSTER_SHARE,	 /* Redis is gone: limit / nodes last seen */
	CLUSTER_HOLD,	 /* Redis is gone: nothing is sent */
	CLUSTER_REFUSED, /* another scheme version, or the name is taken */
};
const char *cluster_mode_name(enum cluster_mode mode); /* "shared" */

struct cluster_view {
	struct redis_view link;
	enum cluster_mode mode;
	int64_t mode_since_utc_us;
	const char *why;  /* of JOINING, SHARE, HOLD, REFUSED; "" = none */
	unsigned scheme;  /* version of keys and scripts, ours */
	unsigned n_nodes; /* seen alive, this one included; the share is 1/n */
	unsigned n_lanes; /* that hold a lease now */
	int64_t n_held;	  /* tokens leased and not spent, all lanes */
	/* Since start. */
	uint64_t n_lease_calls;	 /* Lua calls that took, renewed, returned */
	uint64_t n_tokens_taken; /* recipients that Redis granted */
	uint64_t n_tokens_returned;
	uint64_t n_tokens_expired; /* of ours, neither spent nor returned */
	uint64_t n_refused;	   /* calls that got less than they asked */
	uint64_t n_lessons_sent, n_lessons_heard;
	uint64_t n_losses; /* times that Redis went away */
	/* Redis' clock less ours, at the last answer; for people only. */
	int64_t clock_offset_us;
};
void cluster_view(const struct cluster *c, struct cluster_view *out);

struct cluster_node_view {
	const char *name;
	const char *version; /* flyball's; "" = not told */
	unsigned scheme;     /* 0 = not told */
	bool is_self;
	bool is_alive;
	int64_t seen_utc_us;
	int64_t started_utc_us; /* 0 = not told */
	int64_t n_leases;	/* lanes with a lease; -1 = not told */
};
/* Every node that Redis told of, this one first. */
void cluster_nodes_each(const struct cluster *c,
    void (*each)(const struct cluster_node_view *node, void *arg), void *arg);

struct cluster_lease_view {
	const char *route, *provider; /* the lane, as `lanes` names it */
	int64_t n_held;		      /* tokens in hand */
	int64_t share_permille; /* of the lane's limit, granted lately; -1 */
	int64_t wanted;		/* recipients that the last call asked for */
	int64_t granted;	/* and got */
	int64_t expires_utc_us;
};
/* The lanes of which this node holds, or waits for, a lease. */
void cluster_leases_each(const struct cluster *c,
    void (*each)(const struct cluster_lease_view *lease, void *arg), void *arg);

#endif
