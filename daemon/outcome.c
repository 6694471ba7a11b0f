/* SPDX-License-Identifier: ISC */
/*
 * From the results of one transaction to the fates of its recipients, by the
 * blame table (scheduler/blame.h). The governor calls it with every answer
 * from a worker and carries out what it says.
 *
 * The subtle rule: a refusal that speaks of the lane's speed is no attempt of
 * the message. Its recipients stay where they are, first in line.
 */
#include "daemon/outcome.h"

#include "scheduler/blame.h"

static unsigned
effects_of(const struct rcpt_result *r)
{
	return blame_effects(r->answer.class, r->answer.blame,
	    r->fate == FATE_FAILED);
}

static bool
is_unpunished(const struct outcome *o, const struct rcpt_result *r)
{
	return o->adapts && r->fate == FATE_DEFERRED &&
	    (effects_of(r) & EFFECT_UNPUNISHED) != 0;
}

/* The graver the news for the lane, the higher. */
static int
weight_of(const struct rcpt_result *r)
{
	unsigned effects = effects_of(r);

	if (r->fate == FATE_DELIVERED)
		return 1;
	if (r->fate == FATE_UNTRIED || r->fate == FATE_UNKNOWN)
		return 0;
	if (effects & EFFECT_SUSPEND)
		return 6;
	if (effects & EFFECT_SHARE)
		return 5;
	if (effects & EFFECT_SLOW)
		return 4;
	if (effects & EFFECT_CONNECTIONS)
		return 3;
	if (effects & (EFFECT_SENDER | EFFECT_SENDER_NOW))
		return 2;
	return 0;
}

static void
count(struct outcome *o, const struct rcpt_result *r)
{
	unsigned effects = effects_of(r);

	switch (r->fate) {
	case FATE_DELIVERED:
		o->n_delivered++;
		return;
	case FATE_UNTRIED:
	case FATE_UNKNOWN:
		o->n_untried++;
		return;
	case FATE_FAILED:
		o->n_failed++;
		break;
	case FATE_DEFERRED:
		if (is_unpunished(o, r))
			o->n_unpunished++;
		else
			o->n_deferred++;
		break;
	}
	if (effects & EFFECT_SLOW)
		o->n_rate++;
	if (effects & (EFFECT_SHARE | EFFECT_SUSPEND))
		o->n_rejected++;
	if (effects & EFFECT_DIRTY)
		o->n_dirty++;
}

void
outcome_read(struct outcome *o, const struct transaction *t, uint32_t n_pending,
    bool adapts)
{
	*o = (struct outcome){ .speaker = &t->results[0],
		.n_pending = n_pending,
		.adapts = adapts };
	for (size_t i = 0; i < t->n_recipients; i++) {
		const struct rcpt_result *r = &t->results[i];

		count(o, r);
		if (weight_of(r) > weight_of(o->speaker))
			o->speaker = r;
	}
	o->has_rest = o->n_untried > 0 || o->n_unpunished > 0 ||
	    n_pending > t->n_recipients;
}

/* Where some go on at once, the deferred ones leave for a delivery of their
 * own. */
void
outcome_verdict(const struct outcome *o, struct verdict *out)
{
	const struct rcpt_result *r = o->speaker;
	uint32_t n_left = o->n_pending - o->n_delivered - o->n_failed;

	if (o->has_rest)
		n_left -= o->n_deferred;
	out->n_delivered = o->n_delivered;
	out->n_failed = o->n_failed;
	out->n_deferred = o->n_deferred + o->n_unpunished;
	out->n_pending = n_left;
	if (n_left == 0)
		out->next = SETTLE_DONE;
	else
		out->next = o->has_rest ? SETTLE_REQUEUE : SETTLE_RETRY;
	out->phase = r->phase;
	out->class = r->answer.class;
	out->blame = r->answer.blame;
	out->code = r->code;
	out->pause_us = r->answer.pause_us;
	out->n_rate = o->n_rate;
	out->n_rejected = o->n_rejected;
	out->n_dirty = o->n_dirty;
}

enum spool_fate
outcome_spool_fate(const struct outcome *o, const struct rcpt_result *r)
{
	switch (r->fate) {
	case FATE_DELIVERED:
		return SPOOL_DELIVERED;
	case FATE_FAILED:
		return SPOOL_FAILED_FOR_GOOD;
	case FATE_DEFERRED:
		return o->has_rest && !is_unpunished(o, r) ? SPOOL_MOVE
							   : SPOOL_KEEP;
	case FATE_UNTRIED:
	case FATE_UNKNOWN:
		break;
	}
	return SPOOL_KEEP;
}
