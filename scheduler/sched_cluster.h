/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SCHED_CLUSTER_H
#define FLYBALL_SCHED_CLUSTER_H

#include "scheduler/lease.h"
#include "scheduler/sched.h"

/*
 * The scheduler of a node that shares its limits with others. A *subject* is
 * what has limits of its own: "lane ip-a/gmail" (its windows, and the count of
 * its day), "route ip-a" (the whole day of a plan with a total), "sender
 * a.example/gmail". Its lease says what this node may send (lease.h); the
 * daemon carries what is asked and answered (daemon/cluster.c).
 *
 * Without sched_cluster() nothing of this is there.
 */
enum cluster_grants {
	GRANTS_ALONE,	/* no cluster */
	GRANTS_ASKED,	/* leases, as granted */
	GRANTS_PARTS,	/* nobody grants: a part of each limit */
	GRANTS_NOTHING, /* nobody grants: what is in hand, then nothing */
};

/*
 * From now on. n_nodes: among whom PARTS are made. A change of grants from ASKED leaves what
 * is in hand until it runs out.
 */
void sched_cluster(struct sched *s, enum cluster_grants grants,
    int64_t period_us, unsigned n_nodes, int64_t now_us);

/* So many share the limits now. */
void sched_cluster_nodes(struct sched *s, unsigned n_nodes);

/* When the next call is to be made; INT64_MAX: none is wanted. */
int64_t sched_lease_due(const struct sched *s);
/*
 * Begins the call that is due first, if that is before until_us. The subject's
 * name is lent until the next call of the scheduler. False: none is due.
 */
bool sched_lease_next(struct sched *s, int64_t until_us, int64_t now_us,
    const char **subject_out, struct lease_ask *ask_out);
/* False: nobody waits for it. */
bool sched_lease_answer(struct sched *s, const char *subject,
    const struct lease_answer *answer, int64_t now_us);
void sched_lease_failed(struct sched *s, const char *subject, uint64_t seq,
    int64_t now_us);
/* All that hold something are due, to give it back: the node ends. */
void sched_lease_release(struct sched *s, int64_t now_us);
/* All that have counted something today are due, to tell it again. */
void sched_lease_tell(struct sched *s, int64_t now_us);
/* How long the subject's records are to be kept after the last call, in ms. */
int64_t sched_lease_keep_ms(struct sched *s, const char *subject);

struct lease_view {
	const char *subject;
	const char *route, *provider; /* "" where it isn't a lane's */
	int64_t n_held;		      /* tokens, of the scarcest limit */
	int64_t share_permille;	      /* of it, granted; -1 = not known */
	int64_t wanted, granted;      /* of the last call */
	int64_t ends_us;	      /* INT64_MIN: nothing is held */
	bool is_waiting;
};
void sched_leases_each(struct sched *s, int64_t now_us,
    void (*each)(const struct lease_view *lease, void *arg), void *arg);

struct lease_totals {
	uint64_t n_taken, n_returned, n_expired; /* tokens */
	uint64_t n_short; /* calls that got less than they asked for */
};
void sched_lease_totals(const struct sched *s, struct lease_totals *out);

#endif
