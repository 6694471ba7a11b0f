/* SPDX-License-Identifier: ISC */
/*
 * MTAs behind us, heard by their logs: which logs are read, which of our
 * messages a line speaks of, and what of it is kept. What a line means is
 * governor_evidence.c's.
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

#define SEC	       INT64_C(1000000)
#define HANDED_PREFIX  "q "
#define PLACE_PREFIX   "l "
#define KEPT_BEYOND_US (3600 * SEC) /* the MTA's own expiry may be later */

/* ---- facts ---- */

static void
put(struct governor *g, const char *prefix, const char *name, const char *value)
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

void
governor_handed_keep(struct governor *g, const struct handed *h)
{
	struct strbuf text = { 0 };

	handed_format(h, &text);
	put(g, HANDED_PREFIX, h->key, text.data);
	strbuf_fini(&text);
}

void
governor_handed_drop(struct governor *g, struct handed *h)
{
	if (h->n_held > 0)
		governor_release(g, h, h->n_held);
	put(g, HANDED_PREFIX, h->key, NULL);
	handed_remove(&g->logs->handed, h);
}

struct spool_fact *
governor_logs_take_facts(struct governor *g)
{
	struct governor_logs *logs = g->logs;
	struct spool_fact *facts;

	for (struct log_slot *s = logs->slots; s != NULL; s = s->next) {
		if (s->is_unsaved)
			put(g, PLACE_PREFIX, s->name, s->place);
		s->is_unsaved = false;
	}
	facts = logs->facts;
	logs->facts = NULL;
	logs->last = &logs->facts;
	return facts;
}

static void
set_due(struct governor *g, struct handed *h)
{
	const struct conf_mta_log *log = governor_log_of(g, h->route);
	int64_t after_us = g->rt->conf->spool.expire_us + KEPT_BEYOND_US;

	if (h->n_held > 0)
		after_us = log != NULL ? log->credit_timeout_us : 0;
	heap_move(&g->logs->handed.due, &h->due, h->utc_us + after_us);
}

/* ---- which log is whose ---- */

const struct conf_mta_log *
governor_log_of(struct governor *g, const char *route)
{
	return conf_route_log(g->rt->conf, route);
}

static uint32_t
id_of(const char *name)
{
	uint32_t hash = 0x811c9dc5u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 0x01000193u;
	return hash;
}

static void
key_of(uint32_t id, const char *queue_id, size_t len, char out[HANDED_KEY_MAX])
{
	snprintf(out, HANDED_KEY_MAX, "%08x %.*s", id, (int)len, queue_id);
}

/* A log's name, as its reader gives it: that of the slot. */
static struct log_slot *
slot_of(struct governor *g, const char *route)
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
		key_of(slot->id, id, strlen(id), out);
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
	const struct log_slot *slot = slot_of(g, job->route_name);
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

static void
replay(struct governor *g, struct log_slot *slot, const char *key,
    const char *ident)
{
	struct log_store *store = &g->logs->store;
	struct stored_id *id = log_store_find(store, key);

	if (id == NULL && ident != NULL)
		id = log_store_find_ident(store, ident);
	if (id == NULL)
		return;
	log_store_take(store, id);
	if (strcmp(id->key, key) != 0) {
		/* Known by its ident alone so far. */
		put(g, HANDED_PREFIX, key, NULL);
		handed_rekey(&g->logs->handed,
		    handed_find(&g->logs->handed, key), id->key);
		governor_handed_keep(g, handed_find(&g->logs->handed, id->key));
	}
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

struct spool_fact *
governor_hand_over(struct governor *g, const struct job *job,
    uint32_t n_relayed)
{
	struct governor_logs *logs = g->logs;
	const struct envelope *e = &job->content.envelope;
	struct log_slot *slot = slot_of(g, job->route_name);
	char key[HANDED_KEY_MAX], domain[ADDRESS_DOMAIN_MAX + 1];
	struct strbuf text = { 0 }, fact_key = { 0 };
	struct spool_fact *fact;
	struct handed *h, *old;

	key_of_job(job, slot, key);
	sender_domain_of(e->sender, domain);
	old = handed_find(&logs->handed, key);
	if (old != NULL) /* a queue id that is used again */
		governor_handed_drop(g, old);
	h = handed_add(&logs->handed, key,
	    &(struct handed){ .message = job->message,
		.number = job->number,
		.utc_us = clock_utc_us(),
		.epoch = sched_epoch(g->sched, job->message, job->number),
		.n_total = n_relayed,
		.n_left = n_relayed,
		.n_held = n_relayed,
		.route = intern(job->route_name),
		.provider = intern(job->provider),
		.site = intern(site_of(job->lane)),
		.stream = intern(e->stream),
		.sender_domain = intern(domain) },
	    e->sender);
	set_due(g, h);
	handed_format(h, &text);
	strbuf_addf(&fact_key, HANDED_PREFIX "%s", key);
	fact = spool_fact_new(fact_key.data, fact_key.len, text.data, text.len);
	strbuf_fini(&text);
	strbuf_fini(&fact_key);
	while ((old = handed_surplus(&logs->handed)) != NULL)
		governor_handed_drop(g, old);
	return fact;
}

void
governor_handed_over(struct governor *g, const struct job *job)
{
	struct log_slot *slot = slot_of(g, job->route_name);
	char key[HANDED_KEY_MAX];

	if (slot != NULL && key_of_job(job, slot, key))
		replay(g, slot, key, job->ident);
}

/* ---- what a log says ---- */

static void
tell_alert(struct governor *g, const struct log_slot *s, const char *state,
    const char *why)
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
	tell_alert(g, s, "lines-lost", why);
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
	put(g, HANDED_PREFIX, placeholder, NULL);
	handed_rekey(&g->logs->handed, h, key);
	governor_handed_keep(g, h);
	return h;
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
	key_of(s->id, r->child.p, r->child.len, key);
	if (strcmp(key, h->key) == 0 ||
	    log_store_find(&g->logs->store, key) == NULL)
		return false;
	put(g, HANDED_PREFIX, h->key, NULL);
	handed_rekey(&g->logs->handed, h, key);
	governor_handed_keep(g, h);
	replay(g, (struct log_slot *)(uintptr_t)s, key, NULL);
	return true;
}

static void
on_record(struct governor *g, struct log_slot *s, const struct mta_record *r)
{
	struct log_store *store = &g->logs->store;
	char key[HANDED_KEY_MAX];
	struct handed *h;

	s->n_records++;
	s->n_echoes += r->kind == MTA_LOG_ECHO;
	if (r->kind == MTA_LOG_GAP) {
		on_gap(g, s, r);
		return;
	}
	if (r->queue_id.len == 0 || r->queue_id.len >= MTA_QUEUE_ID_SIZE)
		return;
	key_of(s->id, r->queue_id.p, r->queue_id.len, key);
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
	s->broken_us = clock_mono_us();
	snprintf(s->why, sizeof(s->why), "%.190s",
	    b->is_broken ? b->why.text : "");
	tell_alert(g, s, s->is_broken ? "unreadable" : "readable", s->why);
}

static void
keep_place(struct log_slot *s, const char *place)
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
		if (b->n_lines > 0)
			s->line_us = clock_mono_us();
		if (b->n_gaps > s->n_gaps)
			tell_alert(g, s, "lines-lost",
			    "the file that was being read is gone");
		s->n_gaps = b->n_gaps;
		on_broken(g, s, b);
		for (size_t i = 0; i < b->n_records; i++)
			on_record(g, s, &b->records[i]);
		keep_place(s, b->place);
		g->wants_plan = true;
	}
	log_batch_free(b);
}

/* ---- time ---- */

/* Of these the log didn't say a word. */
static void
on_timed_out(struct governor *g, const struct handed *h)
{
	struct log_slot *s = slot_of(g, h->route);
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
	    h->route);
	tell_alert(g, s, "silent", why);
}

static void
pass_time(struct governor *g)
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
}

/* What was taken from the configuration, once its batches are through. */
static void
free_gone(struct governor *g)
{
	struct log_slot *s, *next;

	DL_FOREACH_SAFE(g->logs->slots, s, next) {
		if (!s->is_gone || !log_reader_is_idle(s->reader))
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

	pass_time(g);
	log_store_tick(&g->logs->store, clock_mono_us());
	DL_FOREACH(g->logs->slots, s)
		if (s->is_silent && clock_mono_us() - s->line_us < SEC)
			s->is_silent = false;
	free_gone(g);
}

void
governor_log_alerts_each(const struct governor *g,
    void (*each)(const char *text, void *arg), void *arg)
{
	const struct log_slot *s;
	char text[400];

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
			snprintf(text, sizeof(text),
			    "the log \"%s\" says nothing of %llu recipients "
			    "that were handed over",
			    s->name, (unsigned long long)s->n_timed_out);
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

/* ---- life ---- */

bool
governor_logs_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len)
{
	char *k = xstrndup(key, key_len), *v = xstrndup(value, value_len);
	struct handed *h = NULL;
	struct log_slot *s;
	bool is_ours = true;

	if (strncmp(k, HANDED_PREFIX, strlen(HANDED_PREFIX)) == 0) {
		h = handed_parse(&g->logs->handed, k + strlen(HANDED_PREFIX),
		    v);
		if (h == NULL)
			log_warn("state_unread", LOG_STR("key", k));
	} else if (strncmp(k, PLACE_PREFIX, strlen(PLACE_PREFIX)) == 0) {
		/* Its reader comes with governor_logs_start(). */
		s = xcalloc(1, sizeof(*s));
		s->name = xstrdup(k + strlen(PLACE_PREFIX));
		s->place = xstrdup(v);
		DL_APPEND(g->logs->slots, s);
	} else {
		is_ours = false;
	}
	free(k);
	free(v);
	return is_ours;
}

void
governor_logs_restored(struct governor *g)
{
	int64_t now_us = clock_mono_us();
	struct handed *h;

	DL_FOREACH(g->logs->handed.oldest, h) {
		struct evidence e = { .route = h->route,
			.provider = h->provider,
			.site = h->site };

		set_due(g, h);
		if (h->n_held > 0)
			sched_handed(g->sched, &e, h->n_held, now_us);
	}
}

static int
open_log(struct governor *g, const struct conf_mta_log *log,
    enum mta_log_format format, struct err *err_out)
{
	char *conf = xasprintf("%d %s\n%d\n%s", (int)format, log->path,
	    log->journal, log->match != NULL ? log->match : "");
	char place[LOG_PLACE_TEXT];
	struct log_reader *r;
	struct log_slot *s;

	DL_FOREACH(g->logs->slots, s)
		if (s->conf != NULL && strcmp(s->conf, conf) == 0) {
			s->is_gone = false;
			free(conf);
			return 0;
		}
	r = log_reader_new(log, format, g->mailbox, GOVERNOR_LOG, err_out);
	if (r == NULL) {
		free(conf);
		return -1;
	}
	DL_FOREACH(g->logs->slots, s)
		if (s->reader == NULL &&
		    strcmp(s->name, log_reader_name(r)) == 0)
			break;
	if (s == NULL) {
		s = xcalloc(1, sizeof(*s));
		s->name = xstrdup(log_reader_name(r));
		s->place = xstrdup("");
		DL_APPEND(g->logs->slots, s);
	}
	s->reader = r;
	s->conf = conf;
	s->id = id_of(s->name);
	s->is_gone = false;
	if (log_reader_start(r, s->place, place, err_out) < 0)
		return -1;
	keep_place(s, place);
	return 0;
}

static int
open_all(struct governor *g, struct err *err_out)
{
	const struct conf_feedback *f = &g->rt->conf->feedback;
	const struct {
		const struct conf_mta_log *v;
		size_t n;
		enum mta_log_format format;
	} lists[] = {
		{ f->postfix_logs, f->n_postfix_logs, MTA_LOG_POSTFIX },
		{ f->exim_logs, f->n_exim_logs, MTA_LOG_EXIM },
		{ f->opensmtpd_logs, f->n_opensmtpd_logs, MTA_LOG_OPENSMTPD },
		{ f->pattern_logs, f->n_pattern_logs, MTA_LOG_PATTERN },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (size_t j = 0; j < lists[i].n; j++)
			if (open_log(g, &lists[i].v[j], lists[i].format,
				err_out) < 0)
				return -1;
	return 0;
}

int
governor_logs_start(struct governor *g, struct err *err_out)
{
	struct log_slot *s, *next;

	if (open_all(g, err_out) < 0)
		return -1;
	/* Places of logs that aren't read any more. */
	DL_FOREACH_SAFE(g->logs->slots, s, next) {
		if (s->reader != NULL)
			continue;
		put(g, PLACE_PREFIX, s->name, NULL);
		DL_DELETE(g->logs->slots, s);
		free(s->name);
		free(s->place);
		free(s);
	}
	return 0;
}

void
governor_logs_reload(struct governor *g)
{
	struct log_slot *s;
	struct err err;

	DL_FOREACH(g->logs->slots, s)
		s->is_gone = true;
	if (open_all(g, &err) < 0)
		log_error("reload", LOG_STR("error", err.text));
	DL_FOREACH(g->logs->slots, s)
		if (s->is_gone && s->reader != NULL)
			log_reader_stop(s->reader);
}

void
governor_logs_open(struct governor *g)
{
	g->logs = xcalloc(1, sizeof(*g->logs));
	g->logs->last = &g->logs->facts;
	handed_init(&g->logs->handed, HANDED_MOST);
}

void
governor_logs_stop(struct governor *g)
{
	struct log_slot *s;

	DL_FOREACH(g->logs->slots, s)
		if (s->reader != NULL)
			log_reader_stop(s->reader);
}

void
governor_logs_close(struct governor *g)
{
	struct log_slot *s, *next;

	if (g->logs == NULL)
		return;
	DL_FOREACH_SAFE(g->logs->slots, s, next) {
		log_reader_free(s->reader);
		free(s->name);
		free(s->conf);
		free(s->place);
		free(s);
	}
	handed_fini(&g->logs->handed);
	log_store_fini(&g->logs->store);
	while (g->logs->facts != NULL) {
		struct spool_fact *f = g->logs->facts->next;

		free(g->logs->facts);
		g->logs->facts = f;
	}
	free(g->logs);
}
