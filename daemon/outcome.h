/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_OUTCOME_H
#define FLYBALL_OUTCOME_H

#include "daemon/spool.h"
#include "scheduler/sched.h"
#include "sink/smtp_client.h"

/*
 * What a transaction's results come to: how many recipients fared how, which
 * reply speaks for all of them, what the scheduler and the spool are told.
 * Pure.
 */
struct outcome {
	const struct rcpt_result *speaker; /* of the transaction's results */
	uint32_t n_delivered;
	uint32_t n_failed;
	uint32_t n_deferred;   /* wait for their retry */
	uint32_t n_unpunished; /* refused for the lane's speed: at once again */
	uint32_t n_untried;
	uint32_t n_pending;  /* of the delivery, before */
	uint32_t n_rate;     /* the lane was too fast for them */
	uint32_t n_rejected; /* for reputation */
	uint32_t n_dirty;    /* no such mailbox or domain */
	bool adapts;
	bool has_rest; /* some recipients go on at once */
};

/* `t` has at least one recipient. `adapts`: refusals slow its lane down, so
 * that the message needn't wait. */
void outcome_read(struct outcome *o, const struct transaction *t,
    uint32_t n_pending, bool adapts);
/* All but message, number and reply. */
void outcome_verdict(const struct outcome *o, struct verdict *out);
enum spool_fate outcome_spool_fate(const struct outcome *o,
    const struct rcpt_result *r);

#endif
