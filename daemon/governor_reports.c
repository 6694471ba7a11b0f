/* SPDX-License-Identifier: ISC */
/*
 * What reports do: a DSN's recipients become verdicts for the lane by which
 * they left, a complaint counts against that lane's plan and suppresses who
 * complained. The workers read them (sink/mail_report.c) and send them here.
 *
 * Anybody can write a report, so one counts only when it is about mail that
 * left here: it brings back our signed mark, or names a Message-ID, an ENVID
 * or a recipient that left lately. What isn't known again is told and nothing
 * else.
 *
 * The subtle rule: mark and Message-ID are known to whoever got the mail. They
 * say which lane it is about; an address is suppressed only if mail went to it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/base/clock.h"
#include "conf/base/intern.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "daemon/relayed.h"
#include "daemon/trace.h"
#include "scheduler/blame.h"

#define KEY_FACT      "k trace"
#define RELAYED_SLOTS (1u << 17) /* some 5 MB, where reports are read */

struct governor_reports {
	bool has_key;
	struct relayed *relayed; /* NULL until reports are read */
};

/* ---- life ---- */

void
governor_reports_open(struct governor *g)
{
	g->reports = xcalloc(1, sizeof(*g->reports));
}

void
governor_reports_close(struct governor *g)
{
	if (g->reports != NULL)
		relayed_free(g->reports->relayed);
	free(g->reports);
}

bool
governor_reports_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len)
{
	if (key_len != strlen(KEY_FACT) || memcmp(key, KEY_FACT, key_len) != 0)
		return false;
	if (value_len == SIPHASH_KEY_SIZE) {
		memcpy(g->shared.trace_key, value, value_len);
		g->reports->has_key = true;
	}
	return true;
}

/* Marks must be known again after a restart, so their key is kept. */
void
governor_reports_restored(struct governor *g)
{
	struct spool_fact *fact;
	uint8_t *key = g->shared.trace_key;

	if (g->reports->has_key)
		return;
	if (getrandom(key, SIPHASH_KEY_SIZE, 0) != SIPHASH_KEY_SIZE)
		return;
	fact =
	    spool_fact_new(KEY_FACT, strlen(KEY_FACT), key, SIPHASH_KEY_SIZE);
	fact->next = g->stale;
	g->stale = fact;
}

/* ---- what left ---- */

void
governor_note_relayed(struct governor *g, const struct job *job)
{
	const struct transaction *t = &job->pool.transaction;
	struct governor_reports *r = g->reports;
	struct relayed_entry e = { .message = job->message };
	bool has_left = false;

	if (!g->rt->conf->feedback.reports.is_given)
		return;
	if (r->relayed == NULL)
		r->relayed = relayed_new(RELAYED_SLOTS);
	e.route = intern(job->route_name);
	e.stream = intern(t->envelope->stream);
	for (size_t i = 0; i < t->n_recipients; i++) {
		if (t->results[i].fate != FATE_DELIVERED)
			continue;
		has_left = true;
		relayed_add(r->relayed, RELAYED_RECIPIENT,
		    t->recipients[i].address, &e);
	}
	if (has_left && job->message_id != NULL)
		relayed_add(r->relayed, RELAYED_MESSAGE_ID, job->message_id,
		    &e);
	if (has_left && t->envelope->envid != NULL)
		relayed_add(r->relayed, RELAYED_ENVID, t->envelope->envid, &e);
}

/* ---- known again ---- */

struct found { /* what one recipient's report is about */
	uint64_t message;
	const char *route, *stream, *by;
	const char *address;
	bool is_addressee; /* the mail went to that address */
	char provider[ADDRESS_DOMAIN_MAX + 1];
	char site[ADDRESS_DOMAIN_MAX + 1];
	char sender_domain[ADDRESS_DOMAIN_MAX + 1];
};

static bool
take_entry(struct found *f, const struct relayed_entry *e, const char *by)
{
	if (e == NULL)
		return false;
	f->message = e->message;
	f->route = e->route;
	f->stream = e->stream;
	f->by = by;
	return true;
}

static bool
find_message(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, struct found *f)
{
	const struct relayed *relayed = g->reports->relayed;
	struct trace trace;

	if (trace_read(g->shared.trace_key, r->trace, &trace) == 0) {
		f->message = trace.message;
		f->route = intern(trace.route);
		f->stream = intern(trace.stream);
		f->by = "trace";
		f->is_addressee |=
		    trace_is_to(g->shared.trace_key, &trace, f->address);
		return true;
	}
	if (relayed == NULL)
		return false;
	return take_entry(f, relayed_find(relayed, RELAYED_ENVID, r->envid),
		   "envid") ||
	    take_entry(f,
		relayed_find(relayed, RELAYED_MESSAGE_ID, r->message_id),
		"message-id") ||
	    take_entry(f,
		relayed_find(relayed, RELAYED_RECIPIENT, to->original),
		"recipient") ||
	    take_entry(f, relayed_find(relayed, RELAYED_RECIPIENT, to->final),
		"recipient");
}

/* As its mail is sorted now: where it was then isn't kept. */
static void
place(struct governor *g, const char *address, struct found *f)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	const struct conf_provider *p;
	struct mx_place at;

	if (domain_normalise(address_domain(address), domain) < 0)
		snprintf(domain, sizeof(domain), "invalid");
	p = destination_by_domain(g->rt->index, domain);
	governor_mx_place(g, p->name, p->is_other ? domain : "", &at);
	snprintf(f->provider, sizeof(f->provider), "%s", at.provider);
	snprintf(f->site, sizeof(f->site), "%s", at.site);
}

static bool
find(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, struct found *f)
{
	*f = (struct found){ .route = "", .stream = "", .by = "" };
	f->address = *to->original != '\0' ? to->original : to->final;
	if (domain_normalise(address_domain(r->mail_from), f->sender_domain) <
	    0)
		f->sender_domain[0] = '\0';
	place(g, f->address, f);
	f->is_addressee = g->reports->relayed != NULL &&
	    relayed_find(g->reports->relayed, RELAYED_RECIPIENT, f->address) !=
		NULL;
	return find_message(g, r, to, f);
}

/* ---- events ---- */

static void
event_report(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, const struct found *f, const char *name,
    const struct reply_answer *answer)
{
	char id[MESSAGE_ID_SIZE];

	event_begin(g->events, name, clock_utc_us());
	event_str(g->events, "source",
	    r->kind == REPORT_DSN ? "dsn" : "complaint");
	if (*f->by != '\0') {
		event_str(g->events, "message",
		    message_id_format(f->message, id));
		event_str(g->events, "known_by", f->by);
		event_str(g->events, "stream", f->stream);
		event_str(g->events, "route", f->route);
	}
	event_str(g->events, "provider", f->provider);
	event_str(g->events, "recipient", f->address);
	event_str(g->events, "reporter", *r->reporter ? r->reporter : NULL);
	event_str(g->events, "type",
	    *r->feedback_type ? r->feedback_type : NULL);
	event_str(g->events, "enhanced", *to->status ? to->status : NULL);
	event_str(g->events, "reply", *to->diagnostic ? to->diagnostic : NULL);
	if (answer != NULL) {
		event_str(g->events, "class", reply_class_name(answer->class));
		event_str(g->events, "blame", blame_name(answer->blame));
	}
	event_end(g->events);
}

/* ---- complaints ---- */

static void
suppress(struct governor *g, const struct mail_report *r, const struct found *f)
{
	const struct conf_suppression *conf = &g->rt->conf->suppression;
	int64_t now_utc_us = clock_utc_us();
	char *why = xasprintf("%s from %s", r->feedback_type,
	    *r->reporter ? r->reporter : "a feedback loop");
	struct suppression_entry entry = { .address = f->address,
		.reason = SUPPRESSION_COMPLAINT,
		.reply = why,
		.added_utc_us = now_utc_us,
		.expires_utc_us = now_utc_us + conf->ttl_us };

	if (f->is_addressee && conf->action != SUPPRESSION_OFF &&
	    suppression_list_add(g->shared.suppressions, &entry, &g->stale))
		governor_event_suppressed(g, &entry);
	free(why);
}

static void
complaint(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to)
{
	struct found f;
	char *lane;

	if (!find(g, r, to, &f)) {
		event_report(g, r, to, &f, "unknown_report", NULL);
		return;
	}
	event_report(g, r, to, &f, "complained", NULL);
	lane = f.site[0] != '\0'
	    ? xasprintf("%s/%s:%s", f.route, f.provider, f.site)
	    : xasprintf("%s/%s", f.route, f.provider);
	sched_complaint(g->sched, lane, 1, clock_mono_us());
	suppress(g, r, &f);
	log_info("complaint", LOG_STR("recipient", f.address),
	    LOG_STR("lane", lane), LOG_STR("reporter", r->reporter));
	free(lane);
}

/* ---- delivery status ---- */

/* The code that stands at the head of the diagnostic, else the status'. */
static int
code_of(const struct report_recipient *to)
{
	int code = atoi(to->diagnostic);

	if (code >= 200 && code < 600)
		return code;
	return to->action == ACTION_FAILED ? 550
	    : to->action == ACTION_DELAYED ? 450
					   : 250;
}

static struct reply_answer
classify(struct governor *g, const struct report_recipient *to,
    const struct found *f, char *text, size_t size)
{
	struct reply_fact fact = { .phase = PHASE_UNKNOWN,
		.code = code_of(to),
		.enhanced = to->status,
		.text = text,
		.provider = f->provider };

	snprintf(text, size, "%s",
	    *to->diagnostic != '\0' ? to->diagnostic : to->status);
	return reply_rules_ask(g->rt->rules, &fact);
}

/* Where the route's log is read, it told all of this to the lane before. */
static void
learn(struct governor *g, const struct report_recipient *to,
    const struct found *f, const struct reply_answer *answer, const char *text)
{
	bool is_failed = to->action == ACTION_FAILED;
	unsigned effects =
	    blame_effects(answer->class, answer->blame, is_failed);
	struct verdict v = { .n_failed = is_failed,
		.n_deferred = !is_failed,
		.phase = PHASE_UNKNOWN,
		.class = answer->class,
		.blame = answer->blame,
		.code = code_of(to),
		.reply = text,
		.pause_us = answer->pause_us,
		.n_dirty = (effects & EFFECT_DIRTY) != 0 };
	/* It comes late, and once: facts for the plan, the list and the
	 * sender, but no ground to change the lane's speed of today. */
	struct evidence e = { .route = f->route,
		.provider = f->provider,
		.site = f->site,
		.stream = f->stream,
		.sender_domain = f->sender_domain,
		.left_us = clock_mono_us(),
		.is_stale = true,
		.verdict = &v };

	if (conf_route_log(g->rt->conf, f->route) == NULL)
		sched_evidence(g->sched, &e, clock_mono_us());
}

static void
status(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to)
{
	char text[2100];
	struct reply_answer answer;
	struct found f;
	bool is_known = find(g, r, to, &f);

	if (to->action != ACTION_FAILED && to->action != ACTION_DELAYED) {
		event_report(g, r, to, &f,
		    to->action == ACTION_DELIVERED ? "delivered" : "relayed",
		    NULL);
		return;
	}
	answer = classify(g, to, &f, text, sizeof(text));
	if (!is_known) {
		event_report(g, r, to, &f, "unknown_report", &answer);
		return;
	}
	event_report(g, r, to, &f,
	    to->action == ACTION_FAILED ? "bounced" : "deferred", &answer);
	learn(g, to, &f, &answer, text);
	if (f.is_addressee)
		governor_judge_answer(g, f.address, &answer,
		    to->action == ACTION_FAILED, text, &g->stale);
}

void
governor_report(struct governor *g, struct report_letter *letter_take)
{
	struct mail_report *r = &letter_take->report;

	for (size_t i = 0; i < r->n_recipients; i++) {
		if (r->kind == REPORT_DSN)
			status(g, r, &r->recipients[i]);
		else if (mail_report_is_against_us(r))
			complaint(g, r, &r->recipients[i]);
	}
	mail_report_fini(r);
	free(letter_take->client);
	free(letter_take);
	g->wants_plan = true;
}
