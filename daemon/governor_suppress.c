/* SPDX-License-Identifier: ISC */
/*
 * What a transaction's results mean for its recipients beyond the message:
 * hard bounces suppress, soft ones are counted over days, a delivery clears
 * them. By the blame table; written in the commit of the settlement.
 */
#include <stdlib.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "scheduler/blame.h"

static void
event_suppressed(struct governor *g, const struct suppression_entry *entry)
{
	char until[CLOCK_RFC3339_SIZE];

	log_info("suppressed", LOG_STR("recipient", entry->address),
	    LOG_STR("reason", suppression_reason_name(entry->reason)),
	    LOG_STR("reply", entry->reply));
	if (!event_log_is_wanted(g->events))
		return;
	event_begin(g->events, "suppressed", clock_utc_us());
	event_str(g->events, "state", "added");
	event_str(g->events, "recipient", entry->address);
	event_str(g->events, "reason", suppression_reason_name(entry->reason));
	event_str(g->events, "reply", entry->reply);
	if (entry->expires_utc_us != INT64_MAX) {
		clock_rfc3339(entry->expires_utc_us, until);
		event_str(g->events, "until", until);
	}
	event_end(g->events);
}

static void
judge(struct governor *g, const char *address, const struct rcpt_result *r,
    struct spool_fact **facts)
{
	struct suppression_list *list = g->shared.suppressions;
	unsigned effects = blame_effects(r->answer.class, r->answer.blame,
	    r->fate == FATE_FAILED);
	struct suppression_entry entry;

	if (r->fate == FATE_DELIVERED)
		suppression_list_delivered(list, address, facts);
	else if ((effects & (EFFECT_SUPPRESS | EFFECT_SOFT)) != 0 &&
	    suppression_list_bounce(list, &g->rt->conf->suppression, address,
		(effects & EFFECT_SUPPRESS) != 0, r->reply ? r->reply : "",
		clock_utc_us(), &entry, facts))
		event_suppressed(g, &entry);
}

struct spool_fact *
governor_judge_recipients(struct governor *g, const struct job *job)
{
	const struct transaction *t = &job->pool.transaction;
	struct spool_fact *facts = NULL;

	if (g->rt->conf->suppression.action == SUPPRESSION_OFF)
		return NULL;
	for (size_t i = 0; i < t->n_recipients; i++)
		judge(g, t->recipients[i].address, &t->results[i], &facts);
	return facts;
}

void
governor_tell_suppressed(struct governor *g,
    struct suppressed_letter *letter_take)
{
	event_begin(g->events, "suppressed", clock_utc_us());
	event_str(g->events, "state", "refused");
	event_str(g->events, "recipient", letter_take->recipient);
	event_str(g->events, "client", letter_take->client);
	event_str(g->events, "reason",
	    suppression_reason_name(letter_take->reason));
	event_end(g->events);
	free(letter_take->recipient);
	free(letter_take->client);
	free(letter_take);
}
