/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LEASES_H
#define FLYBALL_LEASES_H

#include "scheduler/quotas.h"
#include "scheduler/sched_cluster.h"

/*
 * The scheduler's leases by subject. Included inside scheduler/ only. Where
 * limits aren't shared nobody has one, and the gate is open.
 */
struct lease_entry {
	UT_hash_handle hh;
	char *key; /* "lane ip-a/gmail", as the quota's */
	struct sched *s;
	struct lease lease;
	struct heap_node node;	   /* in s->cluster.calls, by when it is due */
	struct lane *lane;	   /* NULL: of the quota alone */
	struct quota_entry *quota; /* its day is counted; may have no limit */
	int64_t wanted, granted;
};

/* The lane's limits are these now; its lease is made, changed or dropped. */
void lease_bind_lane(struct sched *s, struct lane *l);
void lease_unbind_lane(struct sched *s, struct lane *l);
/* Of a route's total or a sender domain; NULL: it isn't shared. */
struct lease_entry *lease_of_quota(struct sched *s, struct quota_entry *e);
void lease_unbind_quota(struct sched *s, struct quota_entry *e);
void leases_free(struct sched *s);

/* Mail waits for it: it is asked for soon. */
void lease_entry_want(struct lease_entry *e);
/* The day's count and limit are as of now. */
void lease_entry_day(struct lease_entry *e);

#endif
