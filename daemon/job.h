/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_JOB_H
#define FLYBALL_JOB_H

#include "daemon/mailbox.h"
#include "daemon/spool.h"
#include "sink/pool.h"

/*
 * One dispatch on its way: made by the governor out of a plan, filled by a
 * worker, and given back with results. Whoever has it owns all of it.
 */
enum job_fate {
	JOB_TRIED, /* pool.transaction tells, or pool.is_unused */
	JOB_GONE,  /* the spool doesn't have the delivery (any more) */
	JOB_DISK,  /* the spool couldn't be read: err */
	/* Some of its recipients aren't written to any more: those are FAILED
	 * in pool.transaction, the rest UNKNOWN. Nothing was sent. */
	JOB_SUPPRESSED,
};

struct job {
	struct letter letter;
	struct pool_job pool;
	uint64_t message;
	uint32_t number;
	uint32_t n_recipients; /* to offer */
	uint32_t n_pending;    /* of the stored delivery */
	uint32_t attempts;     /* before this one */
	unsigned route; /* index in the snapshot in force at the worker */
	char ident[40]; /* as XFORWARD says it: message and number */
	char *route_name;
	char *lane;
	char *trace; /* the header field; NULL: none */
	char *envid; /* our own, for want of another; NULL: none */
	char
	    *message_id; /* of the content, for reports; NULL: not looked for */
	char *provider;	 /* as the scheduler says, which knows MX hosts */
	unsigned worker;
	struct spool_message content;
	enum job_fate fate;
	struct err err;
};

void job_free(struct job *job);

#endif
