/* SPDX-License-Identifier: ISC */
/*
 * Which mail a report is about: our mark in the message's header or our ENVID
 * in its envelope say so for good; a Message-ID, a sender's own ENVID, the next
 * hop's queue id or a recipient only while the table of what left lately has it.
 *
 * The subtle rule: anybody can write a report. A mark names the recipients that
 * it speaks for, as hashes: with it a report is proven for those and for
 * nobody else. All else says what a report is about and proves nothing.
 */
#include "daemon/governor_known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/intern.h"
#include "conf/base/xalloc.h"
#include "daemon/trace.h"
#include "sink/mta_log.h"

#define RELAYED_SLOTS (1u << 17) /* some 7 MB, where reports are read */

/* ---- what left ---- */

void
governor_note_relayed(struct governor *g, const struct job *job)
{
	const struct transaction *t = &job->pool.transaction;
	struct governor_reports *r = g->reports;
	struct relayed_entry e = { .message = job->message,
		.left_utc_us = clock_utc_us(),
		.epoch = sched_epoch(g->sched, job->message, job->number) };
	const char *envid =
	    t->envelope->envid != NULL ? t->envelope->envid : t->envid;
	char queue_id[MTA_QUEUE_ID_SIZE];
	bool has_left = false;

	if (!g->rt->conf->feedback.reports.is_given)
		return;
	if (r->relayed == NULL)
		r->relayed = relayed_new(RELAYED_SLOTS, g->shared.trace_key);
	e.route = intern(job->route_name);
	e.stream = intern(t->envelope->stream);
	for (size_t i = 0; i < t->n_recipients; i++) {
		if (t->results[i].fate != FATE_DELIVERED)
			continue;
		if (!has_left &&
		    mta_queue_id(t->results[i].reply ? t->results[i].reply : "",
			queue_id))
			relayed_add(r->relayed, RELAYED_QUEUE_ID, queue_id, &e);
		has_left = true;
		relayed_add(r->relayed, RELAYED_RECIPIENT,
		    t->recipients[i].address, &e);
	}
	if (has_left && job->message_id != NULL)
		relayed_add(r->relayed, RELAYED_MESSAGE_ID, job->message_id,
		    &e);
	if (has_left && envid != NULL)
		relayed_add(r->relayed, RELAYED_ENVID, envid, &e);
}

/* ---- what was told ---- */

/* A message goes to each of its recipients once, whatever the number of the
 * delivery that they are in: so no number stands here. */
static char *
told_name(uint64_t message, const char *outcome, const char *recipient)
{
	char id[MESSAGE_ID_SIZE];

	return xasprintf("%s %s %s", message_id_format(message, id), outcome,
	    recipient);
}

bool
governor_was_told(const struct governor *g, uint64_t message,
    const char *outcome, const char *recipient)
{
	char *name = told_name(message, outcome, recipient);
	bool was_told = told_has(&g->reports->told, name);

	free(name);
	return was_told;
}

bool
governor_is_news(struct governor *g, uint64_t message, const char *outcome,
    const char *recipient)
{
	char *name;

	if (!g->rt->conf->feedback.reports.is_given)
		return true;
	if (governor_was_told(g, message, outcome, recipient))
		return false;
	name = told_name(message, outcome, recipient);
	told_add(&g->reports->told, name, clock_utc_us(), &g->stale);
	free(name);
	return true;
}

/*
 * The MTA gave up on what it has under that queue id, and names no recipients.
 * Its notices tell of each: those that bring the id back are about just these,
 * of others the destination is all that is left to go by.
 */
bool
governor_is_expiry_news(struct governor *g, uint64_t message,
    const char *queue_id, const char *provider, const char *site)
{
	char *place = xasprintf("%s:%s", provider, site);
	bool is_news = governor_is_news(g, message, "expired", queue_id);

	if (is_news)
		governor_is_news(g, message, "expired-to", place);
	free(place);
	return is_news;
}

bool
governor_has_expired(const struct governor *g, uint64_t message,
    const char *queue_id, const char *provider, const char *site)
{
	char *place;
	bool has_expired;

	if (*queue_id != '\0')
		return governor_was_told(g, message, "expired", queue_id);
	place = xasprintf("%s:%s", provider, site);
	has_expired = governor_was_told(g, message, "expired-to", place);
	free(place);
	return has_expired;
}

/* ---- known again ---- */

/* A mark with too many recipients to name them leaves it to the table. */
static bool
went_to(struct governor *g, const struct trace *t, const char *address)
{
	const struct relayed *relayed = g->reports->relayed;
	const struct relayed_entry *e = NULL;

	if (trace_names_all(t))
		return trace_is_to(g->shared.trace_key, t, address);
	if (relayed != NULL)
		e = relayed_find(relayed, RELAYED_RECIPIENT, address);
	return e != NULL && e->message == t->message;
}

/* By one of our marks. What the table says of that message stays. */
static void
take_mark(struct governor *g, struct found *f, const struct trace *t,
    const char *by)
{
	if (f->left_utc_us == 0 || f->message != t->message) {
		f->message = t->message;
		f->route = intern(t->route);
		f->stream = intern(t->stream);
		f->left_utc_us = 0;
	}
	f->by = by;
	if (went_to(g, t, f->address))
		f->proof = by;
}

static bool
take_entry(struct found *f, const struct relayed_entry *e, const char *by)
{
	if (e == NULL)
		return false;
	f->message = e->message;
	f->route = e->route;
	f->stream = e->stream;
	f->left_utc_us = e->left_utc_us;
	f->epoch = e->epoch;
	f->by = by;
	return true;
}

static bool
find_left(const struct relayed *relayed, const struct mail_report *r,
    const struct report_recipient *to, struct found *f)
{
	if (relayed == NULL)
		return false;
	return take_entry(f, relayed_find(relayed, RELAYED_ENVID, r->envid),
		   "envid") ||
	    take_entry(f,
		relayed_find(relayed, RELAYED_MESSAGE_ID, r->message_id),
		"message-id") ||
	    take_entry(f, relayed_find(relayed, RELAYED_QUEUE_ID, r->queue_id),
		"queue-id") ||
	    take_entry(f,
		relayed_find(relayed, RELAYED_RECIPIENT, to->original),
		"recipient") ||
	    take_entry(f, relayed_find(relayed, RELAYED_RECIPIENT, to->final),
		"recipient");
}

/* The mark of the header knows route and stream; that of the envelope weighs
 * more, as nobody sees it who only got the mail. */
static bool
find_message(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, struct found *f)
{
	const uint8_t *key = g->shared.trace_key;
	bool is_known = find_left(g->reports->relayed, r, to, f);
	struct trace header, envelope;

	if (trace_read(key, r->trace, &header) == 0) {
		take_mark(g, f, &header, "trace");
		is_known = true;
	}
	if (trace_read_envid(key, r->envid, &envelope) == 0) {
		if (!is_known || envelope.message != f->message)
			take_mark(g, f, &envelope, "envid");
		else if (went_to(g, &envelope, f->address))
			f->proof = "envid";
		is_known = true;
	}
	return is_known;
}

/* As its mail is sorted now: where it was then isn't kept. Name servers are
 * asked for none but those to whom our mail went, or strangers would have us
 * ask for whatever they write. */
static void
place(struct governor *g, struct found *f)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	const struct conf_provider *p;
	struct mx_place at;

	if (domain_normalise(address_domain(f->address), domain) < 0)
		snprintf(domain, sizeof(domain), "invalid");
	p = destination_by_domain(g->rt->index, domain);
	governor_mx_place(g, p->name, p->is_other ? domain : "",
	    f->proof != NULL, &at);
	snprintf(f->provider, sizeof(f->provider), "%s", at.provider);
	snprintf(f->site, sizeof(f->site), "%s", at.site);
}

bool
governor_known(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, struct found *out)
{
	struct found *f = out;
	bool is_known;

	*f = (struct found){ .route = "", .stream = "", .by = "" };
	f->address = *to->original != '\0' ? to->original : to->final;
	if (domain_normalise(address_domain(r->mail_from), f->sender_domain) <
	    0)
		f->sender_domain[0] = '\0';
	is_known = find_message(g, r, to, f);
	place(g, f);
	return is_known;
}
