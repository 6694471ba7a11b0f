/* SPDX-License-Identifier: ISC */
/*
 * What an application knows of a message's fate (an ESP's webhook, say), told
 * on the admin socket: it goes the ways of a reply that a log tells. Nothing
 * is looked up: the teller names the route, the recipient's domain says the
 * provider.
 */
#include "daemon/governor_feedback.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "daemon/submission.h"
#include "scheduler/reply_text.h"

static const char *const kinds[FEEDBACK_KINDS] = {
	[FEEDBACK_DELIVERED] = "delivered",
	[FEEDBACK_DEFERRED] = "deferred",
	[FEEDBACK_BOUNCED] = "bounced",
	[FEEDBACK_COMPLAINED] = "complained",
};

int
feedback_kind_parse(const char *name)
{
	for (int i = 0; i < FEEDBACK_KINDS; i++)
		if (strcmp(kinds[i], name) == 0)
			return i;
	return -1;
}

struct told {
	const struct feedback *f;
	char *provider, *site, *lane;
	char sender_domain[ADDRESS_DOMAIN_MAX + 1];
	char enhanced[16];
	int code;
	struct reply_answer answer;
};

static void
classify(struct governor *g, struct told *t)
{
	const struct feedback *f = t->f;
	struct reply_fact fact = { .phase = f->phase,
		.enhanced = t->enhanced,
		.text = f->reply,
		.provider = t->provider };

	t->answer =
	    (struct reply_answer){ CLASS_OK, BLAME_NOBODY, false, "", 0 };
	t->code = reply_text_code(f->reply, t->enhanced);
	if (f->kind != FEEDBACK_DEFERRED && f->kind != FEEDBACK_BOUNCED)
		return;
	if (t->code == 0)
		t->code = f->kind == FEEDBACK_BOUNCED ? 550 : 450;
	fact.code = t->code;
	t->answer = reply_rules_ask(g->rt->rules, &fact);
}

static void
teach(struct governor *g, const struct told *t)
{
	int64_t now_us = clock_mono_us();
	struct verdict v = { .n_delivered = t->f->kind == FEEDBACK_DELIVERED,
		.n_deferred = t->f->kind == FEEDBACK_DEFERRED,
		.n_failed = t->f->kind == FEEDBACK_BOUNCED,
		.phase = t->f->phase,
		.class = t->answer.class,
		.blame = t->answer.blame,
		.code = t->code,
		.reply = t->f->reply,
		.pause_us = t->answer.pause_us };
	struct evidence e = { .route = t->f->route,
		.provider = t->provider,
		.site = t->site,
		.stream = t->f->stream,
		.sender_domain = t->sender_domain,
		.left_us = now_us,
		.is_first = true,
		.verdict = &v };

	if (t->f->kind == FEEDBACK_COMPLAINED)
		sched_complaint(g->sched, t->lane, 1, now_us);
	else
		sched_evidence(g->sched, &e, now_us);
}

static void
judge(struct governor *g, const struct told *t)
{
	const struct conf_suppression *conf = &g->rt->conf->suppression;
	struct spool_fact *facts = NULL;
	int64_t now_utc_us = clock_utc_us();
	struct suppression_entry entry = { .address = t->f->recipient,
		.reason = SUPPRESSION_COMPLAINT,
		.reply = t->f->reply,
		.added_utc_us = now_utc_us,
		.expires_utc_us = now_utc_us + conf->ttl_us };

	if (conf->action == SUPPRESSION_OFF)
		return;
	if (t->f->kind == FEEDBACK_COMPLAINED) {
		if (suppression_list_add(g->shared.suppressions, &entry,
			&facts))
			governor_event_suppressed(g, &entry);
	} else if (t->f->kind != FEEDBACK_DELIVERED) {
		governor_judge_answer(g, t->f->recipient, &t->answer,
		    t->f->kind == FEEDBACK_BOUNCED, t->f->reply, &facts);
	}
	governor_store(g, facts);
}

static void
tell(struct governor *g, const struct told *t)
{
	struct event_log *log = g->events;

	if (!event_log_is_wanted(log))
		return;
	event_begin(log, kinds[t->f->kind], clock_utc_us());
	event_str(log, "source", "feedback");
	event_str(log, "stream", *t->f->stream ? t->f->stream : NULL);
	event_str(log, "route", t->f->route);
	event_str(log, "provider", t->provider);
	event_str(log, "sender", *t->f->sender ? t->f->sender : NULL);
	event_str(log, "recipient", t->f->recipient);
	if (t->code > 0)
		event_int(log, "code", t->code);
	event_str(log, "enhanced", *t->enhanced ? t->enhanced : NULL);
	event_str(log, "reply", *t->f->reply ? t->f->reply : NULL);
	if (t->f->kind != FEEDBACK_COMPLAINED) {
		event_str(log, "class", reply_class_name(t->answer.class));
		event_str(log, "blame", blame_name(t->answer.blame));
	}
	event_end(log);
}

int
governor_feedback(struct governor *g, const struct feedback *f,
    struct reply_answer *answer_out, struct err *err_out)
{
	struct told t = { .f = f };

	if (conf_route(g->rt->conf, f->route) == NULL)
		return err_set(err_out, "there is no route \"%.100s\"",
		    f->route);
	submission_classify(g->rt->index, f->recipient, &t.provider, &t.site);
	t.lane = *t.site != '\0'
	    ? xasprintf("%s/%s:%s", f->route, t.provider, t.site)
	    : xasprintf("%s/%s", f->route, t.provider);
	if (domain_normalise(address_domain(f->sender), t.sender_domain) < 0)
		*t.sender_domain = '\0';
	classify(g, &t);
	teach(g, &t);
	judge(g, &t);
	tell(g, &t);
	*answer_out = t.answer;
	free(t.provider);
	free(t.site);
	free(t.lane);
	return 0;
}
