/* SPDX-License-Identifier: ISC */
/*
 * What reports do: a DSN's recipients become verdicts for the lane by which
 * they left, as a line of that next hop's log would; a complaint counts against
 * the lane's plan and suppresses who complained. The workers read them
 * (sink/mail_report.c) and send them here; governor_known.c says which mail
 * they are about. What isn't known again is told and nothing else.
 *
 * The subtle rule: anybody can write a report. What isn't proven counts as one
 * fact a message: it suppresses nobody and slows nothing. And each outcome
 * counts once, whether a log or a report tells it first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_known.h"
#include "scheduler/blame.h"
#include "scheduler/destination.h"

#define SEC	  INT64_C(1000000)
#define KEY_FACT  "k trace"
#define STALE_US  (120 * SEC) /* it says how the lane was, not how it is */
/* Outcomes that count once; some 13 MB in memory, 8 MB in the store. */
#define TOLD_MOST (1u << 17)

/* ---- life ---- */

void
governor_reports_open(struct governor *g)
{
	g->reports = xcalloc(1, sizeof(*g->reports));
	told_init(&g->reports->told, g->shared.trace_key, TOLD_MOST);
}

void
governor_reports_close(struct governor *g)
{
	if (g->reports == NULL)
		return;
	relayed_free(g->reports->relayed);
	told_fini(&g->reports->told);
	free(g->reports);
}

bool
governor_reports_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len)
{
	if (key_len != strlen(KEY_FACT) || memcmp(key, KEY_FACT, key_len) != 0)
		return told_restore(&g->reports->told, key, key_len, value,
		    value_len);
	if (value_len == SIPHASH_KEY_SIZE) {
		memcpy(g->shared.trace_key, value, value_len);
		g->reports->has_key = true;
	}
	return true;
}

/* Marks must be known again after a restart, so their key is kept. With one
 * that anybody can guess anybody could sign. */
int
governor_reports_restored(struct governor *g, struct err *err_out)
{
	struct spool_fact *fact;
	uint8_t *key = g->shared.trace_key;

	told_restored(&g->reports->told, &g->stale);
	if (g->reports->has_key)
		return 0;
	if (getrandom(key, SIPHASH_KEY_SIZE, 0) != SIPHASH_KEY_SIZE)
		return err_sys(err_out,
		    "no key for the marks of reports: getrandom");
	fact =
	    spool_fact_new(KEY_FACT, strlen(KEY_FACT), key, SIPHASH_KEY_SIZE);
	fact->next = g->stale;
	g->stale = fact;
	return 0;
}

/* ---- events ---- */

static void
event_report(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, const struct found *f, const char *name,
    bool is_news, const struct reply_answer *answer)
{
	char id[MESSAGE_ID_SIZE];

	event_begin(g->events, name, clock_utc_us());
	event_str(g->events, "source",
	    r->kind == REPORT_DSN ? "dsn" : "complaint");
	if (*f->by != '\0') {
		event_str(g->events, "message",
		    message_id_format(f->message, id));
		event_str(g->events, "known_by", f->by);
		event_str(g->events, "proof", f->proof);
		event_str(g->events, "stream", *f->stream ? f->stream : NULL);
		event_str(g->events, "route", *f->route ? f->route : NULL);
	}
	if (!is_news)
		event_bool(g->events, "repeat", true);
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

	if (f->proof != NULL && conf->action != SUPPRESSION_OFF &&
	    suppression_list_add(g->shared.suppressions, &entry, &g->stale))
		governor_event_suppressed(g, &entry);
	free(why);
}

static char *
lane_name(const struct found *f)
{
	return f->site[0] != '\0'
	    ? xasprintf("%s/%s:%s", f->route, f->provider, f->site)
	    : xasprintf("%s/%s", f->route, f->provider);
}

/* For the first time? Whose name nobody vouches for speaks once a message:
 * there is no end of names. */
static bool
is_news(struct governor *g, const struct found *f, const char *outcome)
{
	if (f->proof != NULL)
		return governor_is_news(g, f->message, outcome, f->address);
	return !governor_was_told(g, f->message, outcome, f->address) &&
	    governor_is_news(g, f->message, outcome, "?");
}

static void
complaint(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to)
{
	struct found f;
	bool news;
	char *lane;

	if (!governor_known(g, r, to, &f)) {
		event_report(g, r, to, &f, "unknown_report", true, NULL);
		return;
	}
	news = is_news(g, &f, "complained");
	event_report(g, r, to, &f, "complained", news, NULL);
	lane = lane_name(&f);
	if (news && *f.route != '\0')
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

/* By the host that said it, else by the address. */
static const char *
provider_of(struct governor *g, const struct report_recipient *to,
    const struct found *f)
{
	char host[ADDRESS_DOMAIN_MAX + 1];
	const struct conf_provider *p = NULL;

	if (domain_normalise(to->remote, host) == 0)
		p = destination_by_mx(g->rt->index, host);
	return p != NULL ? p->name : f->provider;
}

static struct reply_answer
classify(struct governor *g, const struct report_recipient *to,
    const struct found *f, char *text, size_t size)
{
	struct reply_fact fact = { .phase = PHASE_UNKNOWN,
		.code = code_of(to),
		.enhanced = to->status,
		.text = text,
		.provider = provider_of(g, to, f) };

	snprintf(text, size, "%s",
	    *to->diagnostic != '\0' ? to->diagnostic : to->status);
	return reply_rules_ask(g->rt->rules, &fact);
}

/*
 * When the reply was given. A report that doesn't say so speaks of an attempt
 * between the handing over and now: late, when that is long ago.
 */
static int64_t
said_utc_us(const struct report_recipient *to, const struct found *f)
{
	int64_t now_us = clock_utc_us();

	if (f->left_utc_us == 0)
		return 0;
	if (to->utc_us >= f->left_utc_us - SEC && to->utc_us <= now_us + SEC)
		return to->utc_us;
	return f->left_utc_us;
}

static void
learn(struct governor *g, const struct report_recipient *to,
    const struct found *f, const struct reply_answer *answer, const char *text)
{
	int64_t now_us = clock_mono_us(), utc_us = clock_utc_us();
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
	struct evidence e = { .route = f->route,
		.provider = f->provider,
		.site = f->site,
		.stream = f->stream,
		.sender_domain = f->sender_domain,
		.left_us = now_us,
		.epoch = f->epoch,
		.verdict = &v };

	/* Only what is new and proven says how fast the lane may be now. */
	e.is_stale = f->proof == NULL || utc_us - said_utc_us(to, f) > STALE_US;
	if (f->left_utc_us > 0)
		e.left_us = now_us - utc_us + f->left_utc_us;
	e.is_retry = !e.is_stale && utc_us - f->left_utc_us > STALE_US;
	sched_evidence(g->sched, &e, now_us);
	governor_note_verdict(g, &e);
}

/* Whoever reads the route's log hears of each deferral there. */
static bool
is_worth(struct governor *g, const struct report_recipient *to,
    const struct found *f)
{
	return *f->route != '\0' &&
	    (to->action == ACTION_FAILED ||
		conf_route_log(g->rt->conf, f->route) == NULL);
}

/* A recipient knows the mark of its own mail and may have itself suppressed
 * with it, but not its domain, where others are. */
static bool
may_suppress(const struct found *f, const struct reply_answer *answer,
    bool is_failed)
{
	unsigned effects =
	    blame_effects(answer->class, answer->blame, is_failed);

	if (f->proof == NULL)
		return false;
	return (effects & EFFECT_DOMAIN) == 0 || strcmp(f->proof, "envid") == 0;
}

static void
status(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to)
{
	bool is_failed = to->action == ACTION_FAILED, news;
	const char *outcome = is_failed ? "bounced" : "deferred";
	char text[2100];
	struct reply_answer answer;
	struct found f;
	bool is_known = governor_known(g, r, to, &f);

	if (!is_failed && to->action != ACTION_DELAYED) {
		event_report(g, r, to, &f,
		    to->action == ACTION_DELIVERED ? "delivered" : "relayed",
		    true, NULL);
		return;
	}
	answer = classify(g, to, &f, text, sizeof(text));
	if (!is_known) {
		event_report(g, r, to, &f, "unknown_report", true, &answer);
		return;
	}
	news = !governor_has_expired(g, f.message, r->queue_id, f.provider,
		   f.site) &&
	    is_news(g, &f, outcome);
	event_report(g, r, to, &f, outcome, news, &answer);
	if (news && is_worth(g, to, &f))
		learn(g, to, &f, &answer, text);
	if (news && may_suppress(&f, &answer, is_failed))
		governor_judge_answer(g, f.address, &answer, is_failed, text,
		    &g->stale);
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
