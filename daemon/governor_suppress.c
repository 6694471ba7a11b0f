/* SPDX-License-Identifier: ISC */
/*
 * What a transaction's results mean for its recipients beyond the message:
 * hard bounces suppress, soft ones are counted over days, a delivery clears
 * them; a domain that takes no mail is remembered. By the blame table; written
 * in the commit of the settlement.
 */
#include <stdlib.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "scheduler/blame.h"

void
governor_event_suppressed(struct governor *g,
    const struct suppression_entry *entry)
{
	char until[CLOCK_RFC3339_SIZE];

	cluster_suppressed(g->cluster, entry);
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

/* One odd reply may not shut a whole provider: where its own domains are, it
 * takes mail. */
static void
judge_domain(struct governor *g, const char *address, const char *reply,
    struct spool_fact **facts)
{
	char domain[SUPPRESSION_DOMAIN_SIZE];
	struct suppression_entry entry;

	if (suppression_domain_of(address, domain) == 0 &&
	    destination_by_domain(g->rt->index, domain + 1)->is_other &&
	    suppression_list_domain_bounce(g->shared.suppressions,
		&g->rt->conf->suppression, domain, reply, clock_utc_us(),
		&entry, facts))
		governor_event_suppressed(g, &entry);
}

void
governor_judge_answer(struct governor *g, const char *address,
    const struct reply_answer *answer, bool is_final, const char *reply,
    struct spool_fact **facts)
{
	const struct conf_suppression *conf = &g->rt->conf->suppression;
	unsigned effects =
	    blame_effects(answer->class, answer->blame, is_final);
	struct suppression_entry entry;

	if (conf->action != SUPPRESSION_OFF &&
	    (effects & (EFFECT_SUPPRESS | EFFECT_SOFT)) != 0 &&
	    suppression_list_bounce(g->shared.suppressions, conf, address,
		(effects & EFFECT_SUPPRESS) != 0, reply, clock_utc_us(), &entry,
		facts))
		governor_event_suppressed(g, &entry);
	if (conf->action != SUPPRESSION_OFF && (effects & EFFECT_DOMAIN) != 0)
		judge_domain(g, address, reply, facts);
}

static void
judge(struct governor *g, const char *address, const struct rcpt_result *r,
    struct spool_fact **facts)
{
	if (r->fate == FATE_DELIVERED)
		suppression_list_delivered(g->shared.suppressions, address,
		    facts);
	else
		governor_judge_answer(g, address, &r->answer,
		    r->fate == FATE_FAILED, r->reply ? r->reply : "", facts);
}

void
governor_judge_recipient(struct governor *g, const char *address,
    const struct rcpt_result *r, struct spool_fact **facts)
{
	if (g->rt->conf->suppression.action != SUPPRESSION_OFF)
		judge(g, address, r, facts);
}

struct spool_fact *
governor_judge_recipients(struct governor *g, const struct job *job,
    bool is_relayed)
{
	const struct transaction *t = &job->pool.transaction;
	struct spool_fact *facts = NULL;

	if (g->rt->conf->suppression.action == SUPPRESSION_OFF)
		return NULL;
	for (size_t i = 0; i < t->n_recipients; i++)
		if (!is_relayed || t->results[i].fate != FATE_DELIVERED)
			judge(g, t->recipients[i].address, &t->results[i],
			    &facts);
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
