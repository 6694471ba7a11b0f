/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GOVERNOR_H
#define FLYBALL_GOVERNOR_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "daemon/event_log.h"
#include "daemon/histogram.h"
#include "daemon/spool.h"
#include "scheduler/sched.h"

/*
 * The governor's thread: owns the scheduler, the event log and the admin
 * socket. It turns plans into jobs for the workers, and their results into
 * verdicts, settlements and events. All functions here are for that thread.
 */
struct governor;
struct history;

struct sched *governor_sched(struct governor *g);
const struct conf *governor_conf(const struct governor *g);
struct spool *governor_spool(struct governor *g);
struct spool_reader *governor_reader(struct governor *g);
struct event_log *governor_events(struct governor *g);
struct event_base *governor_base(struct governor *g);
int64_t governor_started_utc_us(const struct governor *g);
struct history *governor_history(struct governor *g);
/* Where HTTP is, its port resolved; "" = nowhere. */
const char *governor_http(const struct governor *g);
/* NULL: mail is accepted and can be written. Else why it isn't, in words. */
const char *governor_unready(struct governor *g);
struct governor_times {
	struct histogram_sum accept;   /* end of content -> 250 */
	struct histogram_sum queue;    /* accepted -> first attempt */
	struct histogram_sum delivery; /* attempt -> answer */
	struct histogram_sum commit;
};
void governor_times(struct governor *g, struct governor_times *out);
/* Sessions and connections of all workers, at their last word. */
struct governor_load {
	unsigned n_sessions;
	unsigned n_connections;			    /* to next hops */
	uint64_t n_accepted;			    /* messages since start */
	uint64_t n_delivered, n_deferred, n_failed; /* recipients since start */
};
void governor_load(const struct governor *g, struct governor_load *out);

/* MTAs' logs that are read; ages are monotonic spans, -1: never. */
struct governor_log_view {
	const char *name; /* "postfix /var/log/mail.log" */
	const char *why;  /* it can't be read; NULL: it can */
	int64_t line_age_us;
	int64_t heard_age_us;	/* a line about our mail */
	int64_t unheard_age_us; /* mail was handed over, and no such line yet */
	uint64_t n_lines, n_foreign;
};
void governor_logs_each(const struct governor *g,
    void (*each)(const struct governor_log_view *v, void *arg), void *arg);
/* What is wrong with them, in words. */
void governor_log_alerts_each(const struct governor *g,
    void (*each)(const char *text, void *arg), void *arg);

/* The scheduler was changed: plan again in this turn. */
void governor_wake(struct governor *g);
/* Likewise, with nothing that has to be kept at once. */
void governor_plan_soon(struct governor *g);

/* NULL: this node is alone. */
struct cluster;
struct cluster *governor_cluster(struct governor *g);

/* Takes all recipients of a queued delivery out: bounced (with a DSN that
 * gives `reply`) or dropped without a word. False: unknown or in flight. */
bool governor_bounce(struct governor *g, uint64_t message, uint32_t number,
    const char *reply);
/* To another stream, now and after a restart: see sched_reroute(). */
bool governor_reroute(struct governor *g, uint64_t message, uint32_t number,
    const char *stream);
bool governor_drop(struct governor *g, uint64_t message, uint32_t number);

struct suppression_list *governor_suppressions(struct governor *g);
/* Has these facts written; takes the list. */
void governor_store(struct governor *g, struct spool_fact *facts_take);

/* Reads the configuration file again. -1: it has mistakes (all in errors_out),
 * and the old one goes on. notes_out: keys that need a restart; then errors_out
 * has what of the new one couldn't be done all the same. */
int governor_reload(struct governor *g, struct strbuf *errors_out,
    struct strbuf *notes_out);
/* As SIGTERM: no new mail, what is in flight ends, then the process does. */
void governor_drain(struct governor *g);

#endif
