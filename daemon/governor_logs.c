/* SPDX-License-Identifier: ISC */
/*
 * MTAs behind us, heard by their logs: which of our messages a line speaks of,
 * and what of it is kept. Which logs are read is governor_logs_life.c's, what a
 * line means governor_evidence.c's.
 *
 * A queue id comes by the reply to our transaction, or by the XFORWARD IDENT
 * that the MTA logs. It is written in the commit that settles the message, so
 * there is no moment at which neither the spool nor the table knows it.
 *
 * The one subtle rule: the place up to which a log was read is written with
 * the counts that its lines changed, in one commit.
 */
#include "daemon/governor_logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/intern.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/outcome.h"

#define SEC INT64_C(1000000)

/* ---- facts ---- */

void
governor_logs_put(struct governor *g, const char *prefix, const char *name,
    const char *value)
{
	struct governor_logs *logs = g->logs;
	char key[SPOOL_FACT_KEY_MAX];
	int len = snprintf(key, sizeof(key), "%s%s", prefix, name);

	if (len >= (int)sizeof(key))
		return;
	*logs->last = spool_fact_new(key, (size_t)len, value,
	    value != NULL ? strlen(value) : 0);
	logs->last = &(*logs->last)->next;
}

/* Another reader has the log now, from where this one stopped. */
static bool
has_successor(const struct log_slot *s)
{
	for (const struct log_slot *t = s->next; t != NULL; t = t->next)
		if (strcmp(t->name, s->name) == 0)
			return true;
	return false;
}

/* And what this one's predecessor read isn't through yet: its place is the one
 * to be kept. */
static bool
has_predecessor(const struct governor *g, const struct log_slot *s)
{
	for (const struct log_slot *t = g->logs->slots; t != s; t = t->next)
		if (strcmp(t->name, s->name) == 0 && t->reader != NULL &&
		    !log_reader_is_idle(t->reader))
			return true;
	return false;
}

struct spool_fact *
governor_logs_take_facts(struct governor *g)
{
	struct governor_logs *logs = g->logs;
	struct spool_fact *facts;

	for (struct log_slot *s = logs->slots; s != NULL; s = s->next) {
		if (!s->is_unsaved || has_predecessor(g, s))
			continue;
		if (!s->is_stopped || has_successor(s))
			governor_logs_put(g, PLACE_PREFIX, s->name, s->place);
		s->is_unsaved = false;
	}
	facts = logs->facts;
	logs->facts = NULL;
	logs->last = &logs->facts;
	return facts;
}

/* ---- which log is whose ---- */

const struct conf_mta_log *
governor_log_of(struct governor *g, const char *route)
{
	return conf_route_log(g->rt->conf, route);
}

void
governor_logs_key(uint32_t id, const char *queue_id, size_t len,
    char out[HANDED_KEY_MAX])
{
	snprintf(out, HANDED_KEY_MAX, "%08x %.*s", id, (int)len, queue_id);
}

/* A log's name, as its reader gives it: that of the slot. */
struct log_slot *
governor_slot_of(struct governor *g, const char *route)
{
	const struct conf_mta_log *log = governor_log_of(g, route);

	for (struct log_slot *s = g->logs->slots; log != NULL && s != NULL;
	     s = s->next) {
		const char *what = strchr(s->name, ' ') + 1;

		if (!s->is_gone &&
		    strcmp(what, log->journal ? "journal" : log->path) == 0)
			return s;
	}
	return NULL;
}

/* ---- what a log says ---- */

void
governor_log_alert(struct governor *g, const struct log_slot *s,
    const char *state, const char *why)
{
	log_warn("log", LOG_STR("log", s->name), LOG_STR("state", state),
	    LOG_STR("why", why));
	event_begin(g->events, "alert", clock_utc_us());
	event_str(g->events, "alert", "log");
	event_str(g->events, "log", s->name);
	event_str(g->events, "state", state);
	event_str(g->events, "why", why);
	event_end(g->events);
}

static void
on_gap(struct governor *g, struct log_slot *s, const struct mta_record *r)
{
	char why[100];

	s->n_lost += r->n_lost > 0 ? r->n_lost : 1;
	snprintf(why, sizeof(why), "the system's logger dropped %llu lines",
	    (unsigned long long)r->n_lost);
	governor_log_alert(g, s, "lines-lost", why);
}

/* By its ident alone until now: the log says which queue id that is. */
static struct handed *
find_by_ident(struct governor *g, const struct log_slot *s,
    const struct mta_record *r, const char *key)
{
	char placeholder[HANDED_KEY_MAX];
	struct handed *h;

	if (r->kind != MTA_LOG_RECEIVED || r->ident.len == 0 ||
	    r->ident.len > 50)
		return NULL;
	snprintf(placeholder, sizeof(placeholder), "%08x #%.*s", s->id,
	    (int)r->ident.len, r->ident.p);
	h = handed_find(&g->logs->handed, placeholder);
	if (h == NULL)
		return NULL;
	return governor_handed_rename(g, h, key);
}

/* A filter behind the MTA gave it back under another id: that one has it now,
 * and this was no delivery. */
static bool
follow_child(struct governor *g, const struct log_slot *s, struct handed *h,
    const struct mta_record *r)
{
	char key[HANDED_KEY_MAX];

	if (r->kind != MTA_LOG_DELIVERED || r->child.len == 0 || h->n_total > 1)
		return false;
	governor_logs_key(s->id, r->child.p, r->child.len, key);
	if (strcmp(key, handed_key(h)) == 0 ||
	    log_store_find(&g->logs->store, key) == NULL)
		return false;
	governor_handed_rename(g, h, key);
	governor_replay(g, (struct log_slot *)(uintptr_t)s, key, NULL);
	return true;
}

static void
on_record(struct governor *g, struct log_slot *s, const struct mta_record *r)
{
	struct log_store *store = &g->logs->store;
	char key[HANDED_KEY_MAX];
	struct handed *h;

	if (r->kind == MTA_LOG_GAP) {
		on_gap(g, s, r);
		return;
	}
	if (r->queue_id.len == 0 || r->queue_id.len >= MTA_QUEUE_ID_SIZE)
		return;
	governor_logs_key(s->id, r->queue_id.p, r->queue_id.len, key);
	h = handed_find(&g->logs->handed, key);
	if (h == NULL)
		h = find_by_ident(g, s, r, key);
	if (h != NULL && !follow_child(g, s, h, r))
		governor_evidence(g, s, h, r);
	else if (h == NULL &&
	    (r->kind != MTA_LOG_REMOVED || log_store_find(store, key) != NULL))
		log_store_add(store, key, r, clock_mono_us());
}

static void
on_broken(struct governor *g, struct log_slot *s, const struct log_batch *b)
{
	if (b->is_broken == s->is_broken)
		return;
	s->is_broken = b->is_broken;
	snprintf(s->why, sizeof(s->why), "%.190s",
	    b->is_broken ? b->why.text : "");
	governor_log_alert(g, s, s->is_broken ? "unreadable" : "readable",
	    s->why);
}

void
governor_log_keep_place(struct log_slot *s, const char *place)
{
	if (*place == '\0' || strcmp(s->place, place) == 0)
		return;
	free(s->place);
	s->place = xstrdup(place);
	s->is_unsaved = true;
}

void
governor_log_batch(struct governor *g, struct letter *letter_take)
{
	struct log_batch *b = (struct log_batch *)letter_take;
	struct log_slot *s;

	DL_FOREACH(g->logs->slots, s)
		if (s->reader == b->reader)
			break;
	if (s != NULL) {
		s->n_lines += b->n_lines;
		s->n_foreign += b->n_foreign;
		if (b->n_lines > 0)
			s->line_us = clock_mono_us();
		if (b->n_gaps > s->n_gaps)
			governor_log_alert(g, s, "lines-lost",
			    "the file that was being read is gone");
		s->n_gaps = b->n_gaps;
		on_broken(g, s, b);
		for (size_t i = 0; i < b->n_records; i++)
			on_record(g, s, &b->records[i]);
		governor_log_keep_place(s, b->place);
		g->wants_plan = true;
	}
	log_batch_free(b);
}

/* ---- time ---- */

/* What was taken from the configuration, once its batches are through. */
static void
free_gone(struct governor *g)
{
	struct log_slot *s, *next;

	DL_FOREACH_SAFE(g->logs->slots, s, next) {
		if (!s->is_gone ||
		    (s->reader != NULL && !log_reader_is_idle(s->reader)))
			continue;
		DL_DELETE(g->logs->slots, s);
		log_reader_free(s->reader);
		free(s->name);
		free(s->conf);
		free(s->place);
		free(s);
	}
}

void
governor_logs_tick(struct governor *g)
{
	struct log_slot *s;

	governor_handed_tick(g);
	log_store_tick(&g->logs->store, clock_mono_us());
	DL_FOREACH(g->logs->slots, s)
		if (s->is_silent && clock_mono_us() - s->line_us < SEC)
			s->is_silent = false;
	free_gone(g);
}

static int64_t
age_of(int64_t at_us, int64_t now_us)
{
	return at_us > 0 ? now_us - at_us : -1;
}

void
governor_logs_each(const struct governor *g,
    void (*each)(const struct governor_log_view *v, void *arg), void *arg)
{
	int64_t now_us = clock_mono_us();
	const struct log_slot *s;

	DL_FOREACH(g->logs->slots, s) {
		struct governor_log_view v = { .name = s->name,
			.why = s->is_broken ? s->why : NULL,
			.line_age_us = age_of(s->line_us, now_us),
			.heard_age_us = age_of(s->heard_us, now_us),
			.unheard_age_us = age_of(s->unheard_us, now_us),
			.n_lines = s->n_lines,
			.n_foreign = s->n_foreign };

		if (!s->is_gone)
			each(&v, arg);
	}
}

static void
say_silent(const struct log_slot *s, char *text, size_t size)
{
	int len = snprintf(text, size,
	    "the log \"%s\" says nothing of %llu recipients that were handed "
	    "over",
	    s->name, (unsigned long long)s->n_timed_out);

	if (s->n_foreign > 0 && len > 0 && (size_t)len < size)
		snprintf(text + len, size - (size_t)len,
		    "; %llu of its entries are of other units than `unit` "
		    "names",
		    (unsigned long long)s->n_foreign);
}

void
governor_log_alerts_each(const struct governor *g,
    void (*each)(const char *text, void *arg), void *arg)
{
	const struct log_slot *s;
	char text[400];

	if (g->logs->is_full) {
		snprintf(text, sizeof(text),
		    "more than %zu messages (feedback.handed) lie with MTAs: "
		    "the %llu oldest were forgotten, and what the log says of "
		    "them is nobody's",
		    g->logs->handed.most,
		    (unsigned long long)g->logs->n_forgotten);
		each(text, arg);
	}
	DL_FOREACH(g->logs->slots, s) {
		if (s->is_gone)
			continue;
		if (s->is_broken) {
			snprintf(text, sizeof(text),
			    "the log \"%s\" can't be read: %s", s->name,
			    s->why);
			each(text, arg);
		}
		if (s->is_silent) {
			say_silent(s, text, sizeof(text));
			each(text, arg);
		}
		if (s->n_lost > 0 || s->n_gaps > 0) {
			snprintf(text, sizeof(text),
			    "lines of the log \"%s\" were lost (%llu dropped "
			    "by the logger, %u times a file was gone)",
			    s->name, (unsigned long long)s->n_lost, s->n_gaps);
			each(text, arg);
		}
	}
}
