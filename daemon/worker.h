/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_WORKER_H
#define FLYBALL_WORKER_H

#include <stdatomic.h>

#include "conf/base/siphash.h"
#include "daemon/auth.h"
#include "daemon/full_plans.h"
#include "daemon/histogram.h"
#include "daemon/job.h"
#include "daemon/mailbox.h"
#include "daemon/peer_table.h"
#include "daemon/rate_limiter.h"
#include "daemon/runtime.h"
#include "daemon/spool.h"
#include "daemon/suppression_list.h"
#include "sink/mail_report.h"

/*
 * I/O workers: one event loop each, with the server sessions it accepted and
 * its own pool of connections to next hops. Workers share nothing that
 * changes but what stands in worker_shared, each of which guards itself.
 */
struct worker_shared {
	struct spool *spool;
	struct auth *auth;
	struct peer_table *peers;
	struct rate_limiter *submissions;
	struct suppression_list *suppressions;
	struct full_plans *full_plans;
	struct mailbox *governor;
	uint8_t trace_key[SIPHASH_KEY_SIZE]; /* set before they start */
	_Atomic bool wants_events;	     /* somebody reads the event log */
	_Atomic unsigned n_sessions;
	_Atomic unsigned n_connections;
	_Atomic uint64_t n_accepted; /* messages answered with 250 */
};

/* Letters to the governor. */
enum governor_letter {
	GOVERNOR_ADDED,	     /* struct added_letter, from the spool */
	GOVERNOR_RESULT,     /* struct job */
	GOVERNOR_SETTLED,    /* struct settled_letter, from the spool */
	GOVERNOR_TROUBLE,    /* struct trouble_letter */
	GOVERNOR_SUPPRESSED, /* struct suppressed_letter: at RCPT */
	GOVERNOR_SAVED,	     /* struct saved_letter, from the spool */
	GOVERNOR_REPORT,     /* struct report_letter */
	GOVERNOR_LOG,	     /* struct log_batch, from a log's reader */
	GOVERNOR_DRAINED,    /* struct letter: a worker has nothing left */
};

/* A recipient was refused or left out, for the event log. */
struct suppressed_letter {
	struct letter letter;
	enum suppression_reason reason;
	char *recipient;
	char *client;
};

/* A DSN or a complaint came in. */
struct report_letter {
	struct letter letter;
	struct mail_report report;
	char *client;
};

struct worker;

struct worker *worker_new(unsigned index, struct worker_shared *shared,
    struct runtime *rt, struct err *err_out);
int worker_start(struct worker *w, struct err *err_out);
void worker_send(struct worker *w, struct job *job_take);
void worker_configure(struct worker *w, struct runtime *rt);
/* No new sessions; those that are idle end with 421, the rest when they are;
 * then GOVERNOR_DRAINED. */
void worker_drain(struct worker *w);
/* The drain took too long: jobs come back as lost, sessions end. */
void worker_halt(struct worker *w);
/* Joins. After GOVERNOR_DRAINED, and when no answers are under way. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w);
/* From the end of the content to its 250. */
const struct histogram *worker_accept_times(const struct worker *w);
/* The spool's answer to a submission: from the spool's thread. */
void worker_committed(struct spool_request *request_take);

#endif
