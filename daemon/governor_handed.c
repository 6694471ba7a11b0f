/* SPDX-License-Identifier: ISC */
/*
 * What MTAs behind us took: remembered with the commit that settles it, asked
 * for by each line of their logs, forgotten when its time or the room is over.
 * Called by governor_deliver.c as mail is handed over and by governor_logs.c.
 *
 * The one subtle rule: a line may be quicker than the answer that names its
 * queue id. It waits in the log store, and is heard right after the handing
 * over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_logs.h"
#include "daemon/outcome.h"

#define SEC	       INT64_C(1000000)
#define KEPT_BEYOND_US (3600 * SEC) /* the MTA's own expiry may be later */

/* ---- kept ---- */

void
governor_handed_keep(struct governor *g, const struct handed *h)
{
	struct strbuf text = { 0 };

	handed_format(h, &text);
	governor_logs_put(g, HANDED_PREFIX, handed_key(h), text.data);
	strbuf_fini(&text);
}

void
governor_handed_drop(struct governor *g, struct handed *h)
{
	if (h->n_held > 0)
		governor_release(g, h, h->n_held);
	governor_logs_put(g, HANDED_PREFIX, handed_key(h), NULL);
	handed_remove(&g->logs->handed, h);
}

struct handed *
governor_handed_rename(struct governor *g, struct handed *h, const char *key)
{
	struct handed *there = handed_find(&g->logs->handed, key);

	if (h == NULL || there == h)
		return h;
	if (there != NULL) /* a queue id that is used again */
		governor_handed_drop(g, there);
	governor_logs_put(g, HANDED_PREFIX, handed_key(h), NULL);
	h = handed_rekey(&g->logs->handed, h, key);
	governor_handed_keep(g, h);
	return h;
}

static void
set_due(struct governor *g, struct handed *h)
{
	const struct conf_mta_log *log = governor_log_of(g, h->of->route);
	int64_t after_us = g->rt->conf->spool.expire_us + KEPT_BEYOND_US;

	if (h->n_held > 0)
		after_us = log != NULL ? log->credit_timeout_us : 0;
	heap_move(&g->logs->handed.due, &h->due, h->utc_us + after_us);
}

/* ---- handing over ---- */

static const struct rcpt_result *
first_delivered(const struct transaction *t)
{
	for (size_t i = 0; i < t->n_recipients; i++)
		if (t->results[i].fate == FATE_DELIVERED)
			return &t->results[i];
	return NULL;
}

/* How the log will name it; false: nothing leads from the log to it. */
static bool
key_of_job(const struct job *job, const struct log_slot *slot,
    char out[HANDED_KEY_MAX])
{
	const struct transaction *t = &job->pool.transaction;
	const struct rcpt_result *r = first_delivered(t);
	char id[MTA_QUEUE_ID_SIZE];

	if (r == NULL)
		return false;
	if (mta_queue_id(r->reply != NULL ? r->reply : "", id)) {
		governor_logs_key(slot->id, id, strlen(id), out);
		return true;
	}
	if (!t->ident_passed)
		return false;
	snprintf(out, HANDED_KEY_MAX, "%08x #%s", slot->id, job->ident);
	return true;
}

bool
governor_is_relayed(struct governor *g, const struct job *job)
{
	const struct log_slot *slot = governor_slot_of(g, job->route_name);
	char key[HANDED_KEY_MAX];

	return slot != NULL && key_of_job(job, slot, key);
}

/* "ip-a/other:example.net" -> "example.net" */
static const char *
site_of(const char *lane)
{
	const char *dest = strchr(lane, '/');
	const char *site = dest != NULL ? strchr(dest, ':') : NULL;

	return site != NULL ? site + 1 : "";
}

void
governor_replay(struct governor *g, struct log_slot *slot, const char *key,
    const char *ident)
{
	struct log_store *store = &g->logs->store;
	struct stored_id *id = log_store_find(store, key);

	if (id == NULL && ident != NULL)
		id = log_store_find_ident(store, ident);
	if (id == NULL)
		return;
	log_store_take(store, id);
	if (strcmp(id->key, key) != 0) /* known by its ident alone so far */
		governor_handed_rename(g, handed_find(&g->logs->handed, key),
		    id->key);
	for (struct stored_record *r = id->first; r != NULL; r = r->next) {
		struct handed *h = handed_find(&g->logs->handed, id->key);

		if (h != NULL)
			governor_evidence(g, slot, h, &r->record);
	}
	stored_id_free(id);
}

/* The domain of a sender, as lanes' sender domains are named. */
static void
sender_domain_of(const char *sender, char out[ADDRESS_DOMAIN_MAX + 1])
{
	if (*sender == '\0' ||
	    domain_normalise(address_domain(sender), out) < 0)
		*out = '\0';
}

static void
tell_full(struct governor *g, const char *route)
{
	struct log_slot *s = governor_slot_of(g, route);
	char why[160];

	g->logs->is_full = true;
	snprintf(why, sizeof(why),
	    "more messages lie with MTAs than feedback.handed (%zu) lets be "
	    "remembered: the oldest are forgotten",
	    g->logs->handed.most);
	if (s != NULL)
		governor_log_alert(g, s, "full", why);
}

/* What is forgotten holds no credit back, and what the log says of it is
 * nobody's. */
static void
make_room(struct governor *g)
{
	struct governor_logs *logs = g->logs;
	struct handed_table *t = &logs->handed;
	struct handed *old;

	while ((old = handed_surplus(t)) != NULL) {
		if (!logs->is_full)
			tell_full(g, old->of->route);
		logs->n_forgotten++;
		governor_handed_drop(g, old);
	}
	if (t->n < t->most - t->most / 10) {
		logs->is_full = false;
		logs->n_forgotten = 0;
	}
}

static struct handed *
remember(struct governor *g, const struct job *job, const char *key,
    uint32_t n_relayed)
{
	const struct envelope *e = &job->content.envelope;
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct handed_names of = { .route = job->route_name,
		.provider = job->provider,
		.site = site_of(job->lane),
		.stream = e->stream,
		.sender_domain = domain };
	struct handed like = { .message = job->message,
		.number = job->number,
		.utc_us = clock_utc_us(),
		.epoch = sched_epoch(g->sched, job->message, job->number),
		.n_total = n_relayed,
		.n_left = n_relayed,
		.n_held = n_relayed,
		.of = &of };
	struct handed *h = handed_find(&g->logs->handed, key);

	if (h != NULL) /* a queue id that is used again */
		governor_handed_drop(g, h);
	sender_domain_of(e->sender, domain);
	h = handed_add(&g->logs->handed, key, &like, e->sender);
	set_due(g, h);
	return h;
}

struct spool_fact *
governor_hand_over(struct governor *g, const struct job *job,
    uint32_t n_relayed)
{
	struct log_slot *slot = governor_slot_of(g, job->route_name);
	struct strbuf text = { 0 }, fact_key = { 0 };
	char key[HANDED_KEY_MAX];
	struct spool_fact *fact;

	key_of_job(job, slot, key);
	if (slot->unheard_us == 0)
		slot->unheard_us = clock_mono_us();
	handed_format(remember(g, job, key, n_relayed), &text);
	strbuf_addf(&fact_key, HANDED_PREFIX "%s", key);
	fact = spool_fact_new(fact_key.data, fact_key.len, text.data, text.len);
	strbuf_fini(&text);
	strbuf_fini(&fact_key);
	make_room(g);
	return fact;
}

void
governor_handed_over(struct governor *g, const struct job *job)
{
	struct log_slot *slot = governor_slot_of(g, job->route_name);
	char key[HANDED_KEY_MAX];

	if (slot != NULL && key_of_job(job, slot, key))
		governor_replay(g, slot, key, job->ident);
}

/* ---- time ---- */

/* Of these the log didn't say a word. */
static void
on_timed_out(struct governor *g, const struct handed *h)
{
	struct log_slot *s = governor_slot_of(g, h->of->route);
	char why[160];

	if (s == NULL || h->is_heard)
		return;
	s->n_timed_out += h->n_held;
	if (s->is_silent)
		return;
	s->is_silent = true;
	snprintf(why, sizeof(why),
	    "it says nothing of mail that was handed over by %s; its credit "
	    "is released",
	    h->of->route);
	governor_log_alert(g, s, "silent", why);
}

void
governor_handed_tick(struct governor *g)
{
	struct handed_table *t = &g->logs->handed;
	int64_t utc_us = clock_utc_us();
	struct handed *h;

	while ((h = handed_due(t, utc_us)) != NULL) {
		if (h->n_held == 0) {
			governor_handed_drop(g, h);
			continue;
		}
		on_timed_out(g, h);
		governor_release(g, h, h->n_held);
		set_due(g, h);
		governor_handed_keep(g, h);
		g->wants_plan = true;
	}
	make_room(g);
}

/* ---- life ---- */

void
governor_handed_restored(struct governor *g)
{
	int64_t now_us = clock_mono_us();

	handed_sort(&g->logs->handed);
	for (struct handed *h = handed_oldest(&g->logs->handed); h != NULL;
	     h = handed_next(h)) {
		struct evidence e = { .route = h->of->route,
			.provider = h->of->provider,
			.site = h->of->site };

		set_due(g, h);
		if (h->n_held > 0)
			sched_handed(g->sched, &e, h->n_held, now_us);
	}
	make_room(g);
}
