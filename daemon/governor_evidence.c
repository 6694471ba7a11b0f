/* SPDX-License-Identifier: ISC */
/*
 * What a line of an MTA's log means for us: the provider's reply gets the same
 * two answers as one to ourselves, and then goes the same ways: to the lane
 * that handed the mail over, to the event log, to the suppression list.
 *
 * The one subtle rule: the MTA has the message, and its failure is the MTA's
 * to tell its sender. Nothing here writes a notice.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_logs.h"
#include "scheduler/blame.h"
#include "scheduler/destination.h"
#include "scheduler/reply_text.h"

#define SEC	    INT64_C(1000000)
#define REPLY_MAX   4096
#define STALE_US    (120 * SEC) /* it says how the lane was, not how it is */
#define SAME_US	    (5 * SEC)	/* one reply's lines are written together */
#define SOFT_US	    (60 * SEC)	/* an attempt by several hosts */
/* A deferral that is the lane's doing holds its credit for so long: a breath
 * for the provider, but not the MTA's whole wait. */
#define DEFERRED_US (10 * SEC)

struct meaning {
	char reply[REPLY_MAX];
	char enhanced[16];
	int code;
	const char *provider; /* by the host that the MTA used */
	struct reply_answer answer;
	unsigned effects;
	bool is_final;
};

/* ---- what was said ---- */

static const char *
provider_of(struct governor *g, const struct handed *h,
    const struct mta_record *r)
{
	const struct conf_provider *p;
	char host[256];
	size_t len;

	span_copy(r->relay, host, sizeof(host));
	for (char *c = host; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	len = strlen(host);
	if (len > 0 && host[len - 1] == '.')
		host[len - 1] = '\0';
	p = *host != '\0' ? destination_by_mx(g->rt->index, host) : NULL;
	return p != NULL ? p->name : h->of->provider;
}

/* There was no reply: of a bounce the MTA's own status code speaks, a deferral
 * is what happened on the way. */
static void
take_own_words(const struct mta_record *r, struct meaning *m)
{
	char text[REPLY_MAX];

	span_copy(r->dsn, m->enhanced, sizeof(m->enhanced));
	if (r->kind != MTA_LOG_BOUNCED)
		return;
	m->code = 550;
	snprintf(text, sizeof(text), "%s", m->reply);
	snprintf(m->reply, sizeof(m->reply), "550 %s %.*s", m->enhanced,
	    (int)sizeof(text) - 40, text);
}

static void
classify(struct governor *g, const struct handed *h, const struct mta_record *r,
    struct meaning *m)
{
	struct reply_fact fact = { .phase = r->phase };

	*m = (struct meaning){ .provider = provider_of(g, h, r) };
	mta_log_reply(r, m->reply, sizeof(m->reply));
	m->is_final = r->kind == MTA_LOG_BOUNCED || r->kind == MTA_LOG_EXPIRED;
	if (r->code > 0)
		m->code = reply_text_code(m->reply, m->enhanced);
	else
		take_own_words(r, m);
	if (r->kind == MTA_LOG_DELIVERED) {
		m->answer.class = CLASS_OK;
		m->answer.blame = BLAME_NOBODY;
		return;
	}
	if (r->kind == MTA_LOG_EXPIRED) {
		m->answer.class = CLASS_OTHER;
		m->answer.blame = BLAME_MESSAGE;
		return;
	}
	fact.code = m->code;
	fact.enhanced = m->enhanced;
	fact.text = m->reply;
	fact.provider = m->provider;
	m->answer = reply_rules_ask(g->rt->rules, &fact);
	m->effects =
	    blame_effects(m->answer.class, m->answer.blame, m->is_final);
}

/* ---- the event log ---- */

static const char *
event_of(enum mta_log_kind kind)
{
	switch (kind) {
	case MTA_LOG_DELIVERED:
		return "delivered";
	case MTA_LOG_BOUNCED:
		return "bounced";
	case MTA_LOG_EXPIRED:
		return "expired";
	default:
		return "deferred";
	}
}

static void
event_span(struct event_log *log, const char *name, struct span s)
{
	char text[512];

	if (s.len > 0)
		event_str(log, name, span_copy(s, text, sizeof(text)));
}

static void
tell(struct governor *g, const struct handed *h, const struct mta_record *r,
    const struct meaning *m, bool is_news)
{
	struct event_log *log = g->events;
	char id[MESSAGE_ID_SIZE];

	if (!event_log_is_wanted(log))
		return;
	event_begin(log, event_of(r->kind),
	    r->utc_us > 0 ? r->utc_us : clock_utc_us());
	event_str(log, "message", message_id_format(h->message, id));
	event_str(log, "stream", h->of->stream);
	event_str(log, "route", h->of->route);
	event_str(log, "provider", m->provider);
	event_str(log, "sender", handed_sender(h));
	event_span(log, "recipient",
	    r->orig_to.len > 0 ? r->orig_to : r->recipient);
	event_str(log, "phase", phase_name(r->phase));
	event_int(log, "code", m->code);
	event_str(log, "enhanced", *m->enhanced ? m->enhanced : NULL);
	event_str(log, "reply", m->reply);
	event_str(log, "class", reply_class_name(m->answer.class));
	event_str(log, "blame", blame_name(m->answer.blame));
	if (r->delay_us >= 0)
		event_int(log, "took_ms", r->delay_us / 1000);
	event_span(log, "queue_id", r->queue_id);
	event_span(log, "relay", r->relay);
	if (r->kind == MTA_LOG_EXPIRED)
		event_int(log, "recipients", h->n_left);
	if (!is_news)
		event_bool(log, "repeat", true);
	event_end(log);
}

/* ---- the lane ---- */

static struct evidence
evidence_of(const struct handed *h)
{
	return (struct evidence){ .route = h->of->route,
		.provider = h->of->provider,
		.site = h->of->site,
		.stream = h->of->stream,
		.sender_domain = h->of->sender_domain,
		.epoch = h->epoch,
		.left_us = clock_mono_us() - clock_utc_us() + h->utc_us,
		.is_first = !h->is_heard,
		.is_notice = *handed_sender(h) == '\0' };
}

void
governor_release(struct governor *g, struct handed *h, uint32_t n)
{
	struct evidence e = evidence_of(h);

	e.n_released = n;
	h->n_held -= n;
	h->is_heard = true;
	sched_evidence(g->sched, &e, clock_mono_us());
}

/* A line of a reply that spoke already, or of the same attempt's first host. */
static bool
is_repeat(struct handed *h, const struct mta_record *r, const struct meaning *m)
{
	int64_t since_us = r->utc_us - h->event_utc_us;
	bool is_same =
	    h->event == r->event && r->event != 0 && since_us <= SAME_US;

	if (h->has_soft && since_us <= SOFT_US &&
	    h->soft_class == m->answer.class)
		is_same = true;
	h->has_soft = r->kind == MTA_LOG_SOFT;
	h->soft_class = m->answer.class;
	h->event = r->event;
	h->event_utc_us = r->utc_us;
	return is_same && r->kind != MTA_LOG_DELIVERED;
}

/* Recipients of which this is the last word, or whose wait isn't the lane's
 * doing. */
static uint32_t
n_released(struct governor *g, struct handed *h, const struct mta_record *r,
    const struct meaning *m)
{
	const unsigned lane = EFFECT_SLOW | EFFECT_CONNECTIONS | EFFECT_SHARE |
	    EFFECT_SUSPEND | EFFECT_NEXT_HOP;

	if (r->kind == MTA_LOG_EXPIRED)
		return h->n_held;
	if (h->n_held == 0 || r->kind == MTA_LOG_SOFT)
		return 0;
	if (r->kind == MTA_LOG_DEFERRED && (m->effects & lane) != 0) {
		heap_move(&g->logs->handed.due, &h->due,
		    clock_utc_us() + DEFERRED_US);
		return 0;
	}
	return 1;
}

/* A report may have told it before; an expired one's recipients aren't named. */
static bool
note_told(struct governor *g, const struct handed *h,
    const struct mta_record *r)
{
	struct span to = r->orig_to.len > 0 ? r->orig_to : r->recipient;
	char address[400];

	if (r->kind == MTA_LOG_EXPIRED)
		return governor_is_expiry_news(g, h->message,
		    span_copy(r->queue_id, address, sizeof(address)),
		    h->of->provider, h->of->site);
	if (r->kind != MTA_LOG_BOUNCED)
		return true;
	return governor_is_news(g, h->message, "bounced",
	    span_copy(to, address, sizeof(address)));
}

static void
teach(struct governor *g, struct handed *h, const struct mta_record *r,
    const struct meaning *m, bool is_news)
{
	struct evidence e = evidence_of(h);
	struct verdict v = { .phase = r->phase,
		.class = m->answer.class,
		.blame = m->answer.blame,
		.code = m->code,
		.reply = m->reply,
		.pause_us = m->answer.pause_us };

	v.n_delivered = r->kind == MTA_LOG_DELIVERED;
	v.n_deferred = r->kind == MTA_LOG_DEFERRED;
	v.n_failed = r->kind == MTA_LOG_BOUNCED;
	if (r->kind == MTA_LOG_EXPIRED)
		v.n_failed = h->n_left;
	if (is_news)
		e.verdict = &v;
	e.is_retry = h->n_seen >= h->n_total && r->kind != MTA_LOG_EXPIRED &&
	    r->kind != MTA_LOG_SOFT;
	e.is_repeat = is_repeat(h, r, m) || r->kind == MTA_LOG_EXPIRED;
	e.is_stale = r->utc_us > 0 && clock_utc_us() - r->utc_us > STALE_US;
	e.n_released = n_released(g, h, r, m);
	h->n_held -= e.n_released;
	h->is_heard = true;
	if (r->kind != MTA_LOG_SOFT)
		h->n_seen++;
	sched_evidence(g->sched, &e, clock_mono_us());
	if (e.verdict != NULL && r->kind != MTA_LOG_SOFT)
		governor_note_verdict(g, &e);
}

/* ---- the rest ---- */

void
governor_note_verdict(struct governor *g, const struct evidence *e)
{
	const struct verdict *v = e->verdict;
	struct history_answers a = { .reply = v->reply,
		.n_delivered = v->n_delivered,
		.n_deferred = v->n_deferred,
		.n_bounced = v->n_failed };
	bool is_site = *e->site != '\0';
	char lane[512];

	if (a.n_delivered > 0)
		a.reply = NULL;
	else
		a.n_refused[v->class] += v->n_deferred + v->n_failed;
	snprintf(lane, sizeof(lane), "%s/%s%s%s", e->route, e->provider,
	    is_site ? ":" : "", e->site);
	history_answered(g->history, lane, &a, clock_utc_us());
	g->n_delivered += a.n_delivered;
	g->n_deferred += a.n_deferred;
	g->n_failed += a.n_bounced;
}

static void
judge(struct governor *g, const struct mta_record *r, const struct meaning *m)
{
	struct rcpt_result result = { .fate = r->kind == MTA_LOG_DELIVERED
		    ? FATE_DELIVERED
		    : r->kind == MTA_LOG_BOUNCED ? FATE_FAILED
						 : FATE_DEFERRED,
		.answer = m->answer,
		.reply = (char *)(uintptr_t)m->reply };
	struct span to = r->orig_to.len > 0 ? r->orig_to : r->recipient;
	struct spool_fact *facts = NULL;
	char address[400];

	if (to.len >= sizeof(address))
		return;
	governor_judge_recipient(g, span_copy(to, address, sizeof(address)),
	    &result, &facts);
	*g->logs->last = facts;
	while (*g->logs->last != NULL)
		g->logs->last = &(*g->logs->last)->next;
}

static void
on_answer(struct governor *g, struct handed *h, const struct mta_record *r)
{
	bool is_news = note_told(g, h, r);
	struct meaning m;

	classify(g, h, r, &m);
	teach(g, h, r, &m, is_news);
	if (r->kind == MTA_LOG_SOFT) {
		governor_handed_keep(g, h);
		return;
	}
	tell(g, h, r, &m, is_news);
	if (r->kind != MTA_LOG_EXPIRED)
		judge(g, r, &m);
	if (r->kind == MTA_LOG_EXPIRED)
		h->n_left = 0;
	else if (r->kind != MTA_LOG_DEFERRED && h->n_left > 0)
		h->n_left--;
	if (h->n_left == 0)
		governor_handed_drop(g, h);
	else
		governor_handed_keep(g, h);
}

void
governor_evidence(struct governor *g, struct log_slot *slot, struct handed *h,
    const struct mta_record *r)
{
	slot->heard_us = clock_mono_us();
	slot->unheard_us = 0;
	switch (r->kind) {
	case MTA_LOG_DELIVERED:
	case MTA_LOG_DEFERRED:
	case MTA_LOG_BOUNCED:
	case MTA_LOG_SOFT:
	case MTA_LOG_EXPIRED:
		on_answer(g, h, r);
		break;
	case MTA_LOG_REMOVED:
		governor_handed_drop(g, h);
		break;
	case MTA_LOG_NONE:
	case MTA_LOG_RECEIVED:
	case MTA_LOG_ECHO:
	case MTA_LOG_GAP:
		break;
	}
}
