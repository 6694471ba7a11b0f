/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_QUOTAS_H
#define FLYBALL_QUOTAS_H

#include "scheduler/quota.h"
#include "scheduler/sched_private.h"

/*
 * The scheduler's quotas by name, with the timers that end their days, and how
 * they are stored. They outlive lanes: a site's lane that went away finds its
 * count again. Included inside scheduler/ only.
 */
struct quota_entry {
	UT_hash_handle hh;
	char *
	    key; /* "lane ip-a/gmail", "route ip-a", "sender a.example/gmail" */
	struct sched *s;
	struct quota quota;
	struct timer timer;  /* the day's end, or overflow's */
	int64_t overflow_us; /* mail went elsewhere until then; 0 = didn't */
	unsigned n_users;    /* lanes, routes, sender gates that point here */
	/* To be stored: in s->dirty_quotas; and what a commit is taking. */
	struct quota_entry *dirty_prev, *dirty_next;
	bool is_dirty;
	bool is_site; /* of a lane to a site of `other` */
	/* What a commit is taking; in s->saving_quotas while ticket != 0. */
	struct quota_entry *saving_prev, *saving_next;
	int64_t saving_day, saving; /* the reservation in it */
	struct lease_entry *lease;  /* leases.c; never of a lane's */
	uint64_t ticket;
};

static inline int64_t
sched_utc_now(const struct sched *s)
{
	return s->now_us + s->utc_offset_us;
}

/* The monotonic instant of a UTC one; INT64_MAX stays. */
static inline int64_t
sched_mono(const struct sched *s, int64_t utc_us)
{
	return utc_us == INT64_MAX ? INT64_MAX : utc_us - s->utc_offset_us;
}

struct quota_entry *quotas_get(struct sched *s, enum quota_kind kind,
    const char *name);
struct quota_entry *quotas_find(struct sched *s, enum quota_kind kind,
    const char *name);
/* As the snapshot says now. */
void quotas_configure_all(struct sched *s);
void quotas_free(struct sched *s);

/* Lanes and routes get theirs, and give it back. */
void quotas_bind_lane(struct sched *s, struct lane *l);
void quotas_release(struct sched *s, struct quota_entry *e);
/*
 * Does it count at all? Sites of `other` are as many as there are domains:
 * without a plan or a guard that needs it, nothing is kept of them.
 */
static inline bool
quotas_counts(const struct quota_entry *e)
{
	if (e->quota.has_plan || e->quota.guard != NULL)
		return true;
	return e->quota.kind == QUOTA_LANE && !e->is_site;
}
/* Unused for so long that it would begin anew, or for nothing: it may go. */
bool quotas_is_stale(const struct sched *s, const struct quota_entry *e);
void quotas_drop(struct sched *s, struct quota_entry *e);
/* Something of it changed that is to be stored. */
void quotas_touch(struct sched *s, struct quota_entry *e);
/* Arms its timer: the end of its day, or of its overflow. */
void quotas_arm(struct sched *s, struct quota_entry *e);
/* Recipients that are queued for it. */
int64_t quotas_waiting(struct sched *s, const struct quota_entry *e);
/* A wait of it is over, or its day: who may profit asks again. */
void quotas_wake(struct sched *s, struct quota_entry *e);

#endif
