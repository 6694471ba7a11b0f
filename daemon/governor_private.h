/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GOVERNOR_PRIVATE_H
#define FLYBALL_GOVERNOR_PRIVATE_H

#include <uthash.h>

#include "conf/base/address.h"
#include "conf/base/zone.h"
#include "daemon/admin.h"
#include "daemon/cluster.h"
#include "daemon/governor.h"
#include "daemon/history.h"
#include "daemon/http.h"
#include "daemon/job.h"
#include "daemon/worker.h"

/* Connections in use towards one route, by worker: each worker may use its
 * share of the route's limit, so that idle ones elsewhere never exceed it. */
struct route_use {
	char *name;
	unsigned *n_busy; /* one a worker */
	UT_hash_handle hh;
};

struct governor {
	struct event_base *base;
	/* rt->conf is the snapshot in force. Only this thread swaps it; the
	 * spool's thread takes a reference under the lock. */
	struct runtime *rt;
	pthread_mutex_t rt_lock;
	struct sched *sched;
	struct spool *spool;
	struct spool_reader *reader;
	struct event_log *events;
	struct admin *admin;
	struct http *http;
	struct history *history;
	struct histogram queue_times, delivery_times;
	struct auth *auth;
	struct mailbox *mailbox;
	struct worker_shared shared;
	struct worker **workers;
	unsigned n_workers;
	struct route_use *uses;
	struct resolver *resolver; /* NULL: there is none */
	struct governor_mx *mx;
	struct governor_lists *lists;
	struct governor_reports *reports;
	struct governor_logs *logs;
	struct cluster *cluster; /* NULL: limits aren't shared */
	struct event *plan_timer;
	struct event *drain_timer;
	struct event *signals[4];
	int64_t timer_due_us; /* 0 = not armed */
	int64_t started_utc_us;
	struct zone *zone;  /* NULL: UTC */
	struct event *tick; /* so that state is kept when nothing happens */
	int64_t saved_us, utc_told_us, full_told_us;
	int64_t slept_us;  /* of the machine, as the scheduler was told */
	bool has_tempfail; /* a plan that may be full */
	struct event *full_timer;
	int64_t watchdog_us, watched_us; /* systemd's; 0 = none */
	struct spool_fact *stale; /* facts to be written with the next save */
	uint64_t n_delivered, n_deferred, n_failed;
	bool is_spool_failing;
	bool is_content_failing; /* large contents alone; was told */
	bool is_scanning;	 /* at start: the spool tells what it has */
	bool is_running;	 /* everything accepts */
	bool is_draining;
	bool is_stopped; /* nothing but the last save is written any more */
	unsigned n_drained;
	unsigned n_halts; /* times that the drain timer fired */
	bool wants_plan;  /* something changed in this turn */
};

/* A delivery came into being; from the spool's thread, or at start-up. */
struct added_letter {
	struct letter letter;
	uint64_t message;
	uint32_t number;
	uint32_t n_pending;
	uint32_t attempts;
	bool is_new;	     /* not a leftover of an earlier run, not a MOVE */
	char *sender_domain; /* normalised; "" = none */
	int64_t arrived_utc_us;
	int64_t due_utc_us;
	char *stream, *provider, *site, *sender, *user;
	char **recipients; /* only when events are wanted */
};

/* governor_letters.c: what comes from other threads. */
void governor_spool_ops(struct governor *g, struct spool_ops *ops_out);
void governor_receive(struct letter *letter_take, void *arg);
/* About once a second: contents that can't be written, while all else can. */
void governor_watch_contents(struct governor *g);

/* governor.c */
void governor_drained(struct governor *g); /* one more worker is */

/* governor_state.c: what the scheduler must not forget. */
int governor_restore(struct governor *g, struct err *err_out);
/* At the end of each turn, and every second. */
void governor_keep_state(struct governor *g);
/* Nothing stays reserved. Once more when everything has stopped. */
void governor_last_save(struct governor *g);
/* On the spool's thread. */
void governor_facts_kept(struct governor *g, struct spool_request *request);
void governor_saved(struct governor *g, const struct letter *letter);

/* governor_suppress.c: recipients that aren't written to any more. */
/* What the results mean for the list; facts to be stored with them.
 * is_relayed: those that the next hop took aren't delivered yet. */
struct spool_fact *governor_judge_recipients(struct governor *g,
    const struct job *job, bool is_relayed);
/* The same for one reply that came by another way. */
void governor_judge_answer(struct governor *g, const char *address,
    const struct reply_answer *answer, bool is_final, const char *reply,
    struct spool_fact **facts);
/* A delivery clears what was counted, too. */
void governor_judge_recipient(struct governor *g, const char *address,
    const struct rcpt_result *r, struct spool_fact **facts);
void governor_event_suppressed(struct governor *g,
    const struct suppression_entry *entry);
void governor_tell_suppressed(struct governor *g,
    struct suppressed_letter *letter_take);

/* governor_withheld.c: JOB_SUPPRESSED; those recipients bounce, or go without a
 * word, as the operator wants it. */
void governor_withhold(struct governor *g, const struct job *job);

/* governor_mx.c: where domains that no provider names belong. */
struct mx_place {
	const char *provider; /* the snapshot's, or as given */
	char site[ADDRESS_DOMAIN_MAX + 1];
	int64_t sort_by_us; /* not 0: it is being asked for */
	const char *status; /* no mail can go there; else NULL */
	const char *reply;
};
void governor_mx_open(struct governor *g);
void governor_mx_close(struct governor *g);
/* At start: true, the fact is one of its. */
bool governor_mx_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len);
void governor_mx_reload(struct governor *g); /* the snapshot was swapped */
/* asks: where it isn't known (any more), name servers are asked for it. */
void governor_mx_place(struct governor *g, const char *provider,
    const char *site, bool asks, struct mx_place *out);
/* Of a delivery that isn't with the scheduler. */
void governor_bounce_unroutable(struct governor *g, uint64_t message,
    uint32_t number, uint32_t n_pending, const struct mx_place *place);

/* governor_logs.c: what became of mail with MTAs whose logs are read. */
void governor_logs_open(struct governor *g);
bool governor_logs_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len);
void governor_handed_restored(struct governor *g); /* governor_handed.c */
int governor_logs_start(struct governor *g, struct err *err_out);
/* -1: one at least can't be read, and was told; the others are. */
int governor_logs_reload(struct governor *g, struct err *err_out);
void governor_logs_stop(struct governor *g);
void governor_logs_close(struct governor *g);
void governor_logs_tick(struct governor *g); /* about once a second */
/* To be written with the next save. */
struct spool_fact *governor_logs_take_facts(struct governor *g);
void governor_log_batch(struct governor *g, struct letter *letter_take);
/* Does the log tell the fate of what the next hop took of this one? */
bool governor_is_relayed(struct governor *g, const struct job *job);
/* Remembers it; the fact goes into the commit that settles the message. */
struct spool_fact *governor_hand_over(struct governor *g, const struct job *job,
    uint32_t n_relayed);
/* The scheduler knows of it: what the log said already is heard now. */
void governor_handed_over(struct governor *g, const struct job *job);

/* governor_lists.c: blocklists on which our addresses and domains may be. */
void governor_lists_open(struct governor *g);
void governor_lists_close(struct governor *g);
bool governor_lists_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len);
/* The snapshot was swapped, and the resolver. */
void governor_lists_reload(struct governor *g);

/* governor_reports.c: DSNs and complaints. */
void governor_reports_open(struct governor *g);
void governor_reports_close(struct governor *g);
bool governor_reports_restore(struct governor *g, const void *key,
    size_t key_len, const void *value, size_t value_len);
/* -1: there is no key to sign with, and none can be made. */
int governor_reports_restored(struct governor *g, struct err *err_out);
/* governor_known.c: the mail that reports are about. */
void governor_note_relayed(struct governor *g, const struct job *job);
/* Is this outcome ("bounced", ...) of that recipient told for the first time?
 * A log and a report may both tell it. Always true where no reports are read. */
bool governor_is_news(struct governor *g, uint64_t message, const char *outcome,
    const char *recipient);
bool governor_was_told(const struct governor *g, uint64_t message,
    const char *outcome, const char *recipient);
/* The same of what an MTA gave up: all that it has under a queue id. */
bool governor_is_expiry_news(struct governor *g, uint64_t message,
    const char *queue_id, const char *provider, const char *site);
/* Of a report; queue_id "": it brings none. */
bool governor_has_expired(const struct governor *g, uint64_t message,
    const char *queue_id, const char *provider, const char *site);
/* governor_evidence.c: what came later, in the counts and the history. */
void governor_note_verdict(struct governor *g, const struct evidence *e);
void governor_report(struct governor *g, struct report_letter *letter_take);

/* governor_changes.c */
void governor_tell_changes(struct governor *g);

/* governor_events.c: the event log's lines about mail; nothing where nobody
 * reads them. */
void governor_event_accepted(struct governor *g, const struct added_letter *a,
    const char *provider);
/* One `attempt` for the transaction, and the outcome of each recipient. */
void governor_event_results(struct governor *g, const struct job *job,
    bool is_relayed);
void governor_event_route_down(struct governor *g, const struct job *job,
    const char *why, int64_t wait_us);
void governor_event_expired(struct governor *g, const struct plan *plan);

/* governor_deliver.c: plan -> job -> result -> verdict -> settlement. */
void governor_plan(struct governor *g);
void governor_result(struct governor *g, struct job *job_take);
void governor_settled(struct governor *g, struct letter *letter_take);
void governor_add(struct governor *g, const struct added_letter *a);
/* Settles all n_pending recipients of a delivery that left the scheduler. */
/* An empty one: each of the first n_rcpts recipients is kept. */
struct spool_request *governor_settlement(uint64_t message, uint32_t number,
    size_t n_rcpts);
void governor_settle_all(struct governor *g, uint64_t message, uint32_t number,
    uint32_t n_pending, enum spool_fate fate, const char *status,
    const char *reply);
void governor_uses_free(struct governor *g);

/* A settlement that the scheduler must not forget until it is on disk. */
struct pending_verdict {
	struct letter letter;
	struct verdict verdict;
	char *reply;
};

#endif
