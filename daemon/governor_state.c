/* SPDX-License-Identifier: ISC */
/*
 * What the scheduler must not forget (counts of the day, plan stages, learned
 * speeds, pauses), carried between it and the spool: read at start, written
 * with what gathers in a fraction of a second, and at once where a permit
 * waits for its reservation to be on disk. Also tells the scheduler what the
 * wall clock shows. Knows nothing of what the records mean.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"

/* Facts of the scheduler begin so; others have letters of their own. */
#define PREFIX	     "s "
#define PREFIX_BYTES 2

#define SAVE_EVERY_US 200000
#define UTC_EVERY_US  1000000
#define FULL_EVERY_US 50000

/* One save on its way to the disk. */
struct saved_letter {
	struct letter letter;
	uint64_t ticket;
};

/* ---- at start ---- */

struct restore {
	struct governor *g;
	size_t n_unread;
};

static void
restore_one(const void *key, size_t key_len, const void *value,
    size_t value_len, void *arg)
{
	struct restore *r = arg;
	char *k, *v;

	if (governor_logs_restore(r->g, key, key_len, value, value_len) ||
	    governor_mx_restore(r->g, key, key_len, value, value_len) ||
	    governor_lists_restore(r->g, key, key_len, value, value_len) ||
	    governor_reports_restore(r->g, key, key_len, value, value_len))
		return;
	if (key_len < PREFIX_BYTES || memcmp(key, PREFIX, PREFIX_BYTES) != 0) {
		suppression_list_restore(r->g->shared.suppressions, key,
		    key_len, value, value_len, clock_utc_us(), &r->g->stale);
		return;
	}
	k = xstrndup((const char *)key + PREFIX_BYTES, key_len - PREFIX_BYTES);
	v = xstrndup(value, value_len);
	if (sched_restore(r->g->sched, k, v) < 0) {
		log_warn("state_unread", LOG_STR("key", k),
		    LOG_STR("value", v));
		r->n_unread++;
	}
	free(k);
	free(v);
}

int
governor_restore(struct governor *g, struct err *err_out)
{
	struct restore r = { .g = g };
	int64_t now_us = clock_mono_us();

	g->slept_us = clock_slept_us();
	sched_utc(g->sched, now_us, clock_utc_us());
	if (spool_facts_each(g->spool, restore_one, &r, err_out) < 0)
		return -1;
	sched_restored(g->sched, now_us);
	governor_handed_restored(g);
	return governor_reports_restored(g, err_out);
}

/* ---- saving ---- */

struct gather {
	struct governor *g;
	struct spool_fact *first, **last;
};

static void
put_fact(const char *key, const char *value, void *arg)
{
	struct gather *to = arg;
	char text[SPOOL_FACT_KEY_MAX];
	size_t len = strlen(key);

	cluster_tell(to->g->cluster, key, value);
	/* Names are bounded by the configuration and by DNS, far below. */
	if (len + PREFIX_BYTES > sizeof(text)) {
		log_error("state_key", LOG_STR("key", key),
		    LOG_STR("effect", "not kept over a restart: too long"));
		return;
	}
	memcpy(text, PREFIX, PREFIX_BYTES);
	memcpy(text + PREFIX_BYTES, key, len);
	*to->last = spool_fact_new(text, len + PREFIX_BYTES, value,
	    value != NULL ? strlen(value) : 0);
	to->last = &(*to->last)->next;
}

static void
save(struct governor *g, int64_t now_us)
{
	struct gather facts = { .g = g, .last = &facts.first };
	struct spool_request *q;
	struct saved_letter *letter;
	uint64_t ticket;

	cluster_saving(g->cluster);
	ticket = sched_save(g->sched, put_fact, &facts);

	g->saved_us = now_us;
	*facts.last = history_take(g->history);
	while (*facts.last != NULL)
		facts.last = &(*facts.last)->next;
	*facts.last = governor_logs_take_facts(g);
	while (*facts.last != NULL)
		facts.last = &(*facts.last)->next;
	*facts.last = g->stale;
	g->stale = NULL;
	if (facts.first == NULL) {
		/* Earlier saves may still be under way; theirs come later. */
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->kind = SPOOL_FACTS;
	q->facts = facts.first;
	if (g->is_stopped) { /* nobody waits for it */
		spool_write_last(g->spool, q);
		return;
	}
	letter = xcalloc(1, sizeof(*letter));
	letter->ticket = ticket;
	q->owner = letter;
	spool_submit(g->spool, q);
}

void
governor_facts_kept(struct governor *g, struct spool_request *request)
{
	struct saved_letter *letter = request->owner;

	if (letter != NULL)
		mailbox_post(g->mailbox, &letter->letter, GOVERNOR_SAVED);
}

void
governor_saved(struct governor *g, const struct letter *letter)
{
	sched_saved(g->sched, ((const struct saved_letter *)letter)->ticket,
	    clock_mono_us());
	g->wants_plan = true;
}

/* ---- plans that are full, for the sessions ---- */

static void
add_full(const char *key, const char *text, void *arg)
{
	full_plans_add(arg, key, text);
}

static void
tell_full(struct governor *g, int64_t now_us)
{
	const struct conf *conf = g->rt->conf;
	bool is_asked = false;

	g->full_told_us = now_us;
	for (size_t i = 0; i < conf->n_plans; i++)
		is_asked |= conf->plans[i].overflow == OVERFLOW_TEMPFAIL;
	full_plans_begin(g->shared.full_plans);
	g->has_tempfail = is_asked;
	if (is_asked)
		sched_full_each(g->sched, now_us, add_full,
		    g->shared.full_plans);
	full_plans_end(g->shared.full_plans);
}

/* A turn that comes too soon after the last word is followed by one of its
 * own, so the last change is told too. */
static void
tell_full_in_time(struct governor *g, int64_t now_us)
{
	static const struct timeval soon = { .tv_usec = FULL_EVERY_US };

	if (now_us - g->full_told_us >= FULL_EVERY_US)
		tell_full(g, now_us);
	else if (g->has_tempfail && !evtimer_pending(g->full_timer, NULL))
		evtimer_add(g->full_timer, &soon);
}

/* A nap shorter than that is noise between two readings. */
#define NAP_US 100000

static void
tell_time(struct governor *g, int64_t now_us)
{
	int64_t slept_us = clock_slept_us();

	g->utc_told_us = now_us;
	if (slept_us - g->slept_us > NAP_US) {
		log_info("suspended",
		    LOG_INT("for_ms", (slept_us - g->slept_us) / 1000));
		sched_slept(g->sched, slept_us - g->slept_us, now_us);
		g->slept_us = slept_us;
		g->wants_plan = true;
	}
	sched_utc(g->sched, now_us, clock_utc_us());
}

void
governor_keep_state(struct governor *g)
{
	int64_t now_us = clock_mono_us();

	if (now_us - g->utc_told_us >= UTC_EVERY_US) {
		tell_time(g, now_us);
		suppression_list_sweep(g->shared.suppressions, clock_utc_us());
	}
	tell_full_in_time(g, now_us);
	if (g->is_stopped)
		return;
	if (sched_wants_save(g->sched) || now_us - g->saved_us >= SAVE_EVERY_US)
		save(g, now_us);
}

void
governor_last_save(struct governor *g)
{
	sched_settle(g->sched);
	history_flush(g->history);
	save(g, clock_mono_us());
}

void
governor_store(struct governor *g, struct spool_fact *facts_take)
{
	struct spool_request *q;

	if (facts_take == NULL)
		return;
	q = xcalloc(1, sizeof(*q));
	q->kind = SPOOL_FACTS;
	q->facts = facts_take;
	spool_submit(g->spool, q);
}
