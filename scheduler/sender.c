/* SPDX-License-Identifier: ISC */
/*
 * Sender domains. A domain is here while mail of it is, and longer when it has
 * a plan, a pause, or failures to remember. Verdicts that blame it pause it at
 * one destination: at once where the provider says for how long, or after
 * `suspend.sample` authentication failures in a row, for `suspend.for`, which
 * doubles while it goes on failing. A delivery there ends the series.
 *
 * The lane is never touched from here.
 */
#include "scheduler/sender.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "scheduler/blame.h"
#include "scheduler/lane_adapt.h"

#define FOR_DEFAULT_US (3600 * INT64_C(1000000))
#define BECAUSE_KEEP   200

/* ---- domains ---- */

struct sender *
sender_find(struct sched *s, const char *domain)
{
	struct sender *sd;

	HASH_FIND_STR(s->senders, domain, sd);
	return sd;
}

static void
configure(struct sched *s, struct sender *sd)
{
	sd->conf = NULL;
	for (size_t i = 0; i < s->conf->n_senders; i++)
		if (s->conf->senders[i].plan[0] != '\0' &&
		    strcmp(s->conf->senders[i].domain, sd->name) == 0)
			sd->conf = &s->conf->senders[i];
}

struct sender *
sender_get(struct sched *s, const char *domain)
{
	struct sender *sd;

	if (domain == NULL || domain[0] == '\0')
		return NULL;
	sd = sender_find(s, domain);
	if (sd != NULL)
		return sd;
	sd = xcalloc(1, sizeof(*sd));
	sd->name = xstrdup(domain);
	HASH_ADD_KEYPTR(hh, s->senders, sd->name, strlen(sd->name), sd);
	configure(s, sd);
	pause_bind_sender(s, sd);
	sd->is_split = sd->conf != NULL || sd->pause != NULL;
	return sd;
}

static void
gate_free(struct sched *s, struct sender_gate *g)
{
	sched_timer_set(s, &g->timer, INT64_MAX);
	DL_DELETE(g->sender->gates, g);
	quotas_release(s, g->quota);
	free(g->because);
	free(g->name);
	free(g);
}

static void
sender_free(struct sched *s, struct sender *sd)
{
	while (sd->gates != NULL)
		gate_free(s, sd->gates);
	HASH_DEL(s->senders, sd);
	free(sd->name);
	free(sd);
}

void
sender_unref(struct sched *s, struct sender *sd)
{
	if (sd != NULL && --sd->n_users == 0)
		sender_tidy(s, sd);
}

void
sender_tidy(struct sched *s, struct sender *sd)
{
	const struct sender_gate *g;

	if (sd == NULL || sd->n_users > 0 || sd->pause != NULL)
		return;
	DL_FOREACH(sd->gates, g)
		if (g->is_shut || g->n_failed > 0 || g->level > 0)
			return;
	sender_free(s, sd);
}

void
senders_free(struct sched *s)
{
	while (s->senders != NULL)
		sender_free(s, s->senders);
}

static void
gate_configure(struct sched *s, struct sender_gate *g)
{
	if (g->sender->conf != NULL && g->quota == NULL) {
		g->quota = quotas_get(s, QUOTA_SENDER, g->name);
		g->quota->n_users++;
	} else if (g->sender->conf == NULL && g->quota != NULL) {
		quotas_release(s, g->quota);
		g->quota = NULL;
	}
}

void
senders_configure(struct sched *s)
{
	for (struct sender *sd = s->senders; sd; sd = sd->hh.next) {
		struct sender_gate *g;

		configure(s, sd);
		DL_FOREACH(sd->gates, g)
			gate_configure(s, g);
		if (sd->conf != NULL)
			sender_split(s, sd);
		sender_refresh(s, sd);
	}
}

/* ---- gates ---- */

struct sender_gate *
sender_gate_find(const struct sender *sd, const char *dest)
{
	struct sender_gate *g;

	DL_FOREACH(sd->gates, g)
		if (strcmp(g->dest, dest) == 0)
			return g;
	return NULL;
}

static void
on_pause_over(struct sched *s, struct timer *t)
{
	struct sender_gate *g = HEAP_OWNER(t, struct sender_gate, timer);

	/* Tried again: the next failure shuts it at once, for longer. */
	g->is_shut = false;
	g->is_changed = true;
	change_sender(s, g, "resumed", "the pause is over");
	sender_refresh(s, g->sender);
}

struct sender_gate *
sender_gate_get(struct sched *s, struct sender *sd, const char *dest)
{
	struct sender_gate *g = sender_gate_find(sd, dest);

	if (g != NULL)
		return g;
	g = xcalloc(1, sizeof(*g));
	g->s = s;
	g->sender = sd;
	g->name = xasprintf("%s/%s", sd->name, dest);
	g->dest = g->name + strlen(sd->name) + 1;
	g->because = xstrdup("");
	g->timer.gate = GATE_SENDER;
	g->timer.fire = on_pause_over;
	DL_APPEND(sd->gates, g);
	gate_configure(s, g);
	return g;
}

static bool
gate_open(struct sched *s, struct sender_gate *g)
{
	if (!g->is_shut)
		return false;
	g->is_shut = false;
	g->n_failed = g->level = 0;
	g->is_changed = true;
	sched_timer_set(s, &g->timer, INT64_MAX);
	change_sender(s, g, "resumed", "by the operator");
	return true;
}

bool
sender_resume(struct sched *s, struct sender *sd)
{
	struct sender_gate *g;
	bool was_shut = false;

	if (sd == NULL)
		return false;
	DL_FOREACH(sd->gates, g)
		was_shut |= gate_open(s, g);
	if (was_shut)
		sender_refresh(s, sd);
	return was_shut;
}

void
sender_gate_resume(struct sched *s, struct sender_gate *g)
{
	if (g != NULL && gate_open(s, g))
		sender_refresh(s, g->sender);
}

/* ---- flows of its own ---- */

void
sender_refresh(struct sched *s, struct sender *sd)
{
	if (!sd->is_split)
		return;
	for (struct dest *dest = s->dests; dest; dest = dest->hh.next) {
		struct flow *f;

		DL_FOREACH2(dest->flows, f, dest_next)
		if (f->gate != NULL && f->gate->sender == sd)
			flow_refresh(s, f);
	}
}

void
sender_split(struct sched *s, struct sender *sd)
{
	struct delivery *d;

	if (sd->is_split)
		return;
	sd->is_split = true;
	DL_FOREACH2(s->oldest, d, age_next)
	{
		struct flow *from = d->flow;

		if (d->sender != sd || from->gate != NULL)
			continue;
		delivery_move(s, d, flow_get(s, from->dest, from->stream, sd));
		flow_release(s, from);
	}
}

/* ---- verdicts ---- */

static void
shut(struct sched *s, struct sender_gate *g, int64_t for_us,
    const struct verdict *v)
{
	const char *reply = v->reply != NULL ? v->reply : "";

	if (!g->is_shut)
		g->since_us = s->now_us;
	g->is_shut = true;
	g->is_changed = true;
	g->until_us = s->now_us + for_us;
	free(g->because);
	g->because = xstrndup(reply, strnlen(reply, BECAUSE_KEEP));
	sched_timer_set(s, &g->timer, g->until_us);
	sender_split(s, g->sender);
	change_sender(s, g, "paused", g->because);
	sender_refresh(s, g->sender);
}

static int64_t
next_span(const struct sender_gate *g, const struct conf_adapt *adapt)
{
	int64_t for_us =
	    adapt->suspend.for_us > 0 ? adapt->suspend.for_us : FOR_DEFAULT_US;
	int64_t max_us =
	    adapt->suspend.max_us > for_us ? adapt->suspend.max_us : for_us;

	for (int64_t i = 0; i < g->level && for_us < max_us; i++)
		for_us *= 2;
	return for_us < max_us ? for_us : max_us;
}

static void
count_failed(struct sched *s, struct sender_gate *g, struct lane *l,
    const struct verdict *v)
{
	const struct conf_adapt *adapt = &l->adapt->conf;

	if (g->is_shut)
		return; /* it left before */
	g->n_failed += v->n_failed + v->n_deferred;
	g->is_changed = true;
	if (g->level == 0 && g->n_failed < adapt->suspend.sample)
		return;
	shut(s, g, next_span(g, adapt), v);
	g->level++;
}

void
sender_learn(struct sched *s, struct sender *sd, struct lane *l,
    const struct verdict *v, unsigned effects)
{
	struct sender_gate *g;

	if (sd == NULL)
		return;
	if ((effects & (EFFECT_SENDER | EFFECT_SENDER_NOW)) == 0) {
		g = sd->gates != NULL && v->n_delivered > 0
		    ? sender_gate_find(sd, l->dest->name)
		    : NULL;
		if (g != NULL && !g->is_shut && (g->n_failed || g->level)) {
			g->n_failed = g->level = 0;
			g->is_changed = true;
		}
		return;
	}
	g = sender_gate_get(s, sd, l->dest->name);
	if ((effects & EFFECT_SENDER_NOW) == 0)
		count_failed(s, g, l, v);
	else if (!g->is_shut)
		shut(s, g,
		    v->pause_us > 0 ? v->pause_us
				    : next_span(g, &l->adapt->conf),
		    v);
}

/* ---- stored ---- */

void
sender_gate_format(const struct sender_gate *g, struct strbuf *out)
{
	int64_t offset_us = g->s->utc_offset_us;

	strbuf_addf(out,
	    "1 %" PRId64 " %" PRId64 " %d %" PRId64 " %" PRId64 " %s",
	    g->n_failed, g->level, g->is_shut,
	    g->is_shut ? g->since_us + offset_us : 0,
	    g->is_shut ? g->until_us + offset_us : 0, g->because);
}

int
sender_gate_parse(struct sched *s, const char *name, const char *text)
{
	int64_t n_failed, level, since_us, until_us;
	const char *slash = strchr(name, '/');
	struct sender_gate *g;
	struct sender *sd;
	int is_shut, end = 0;
	char *domain;

	if (slash == NULL || slash == name ||
	    sscanf(text,
		"1 %" SCNd64 " %" SCNd64 " %d %" SCNd64 " %" SCNd64 "%n",
		&n_failed, &level, &is_shut, &since_us, &until_us, &end) != 5 ||
	    text[end] != ' ' || n_failed < 0 || level < 0 || level > 64)
		return -1;
	domain = xstrndup(name, (size_t)(slash - name));
	sd = sender_get(s, domain);
	free(domain);
	g = sender_gate_get(s, sd, slash + 1);
	g->n_failed = n_failed;
	g->level = level;
	free(g->because);
	g->because = xstrdup(text + end + 1);
	g->is_changed = false;
	if (is_shut && sched_mono(s, until_us) > s->now_us) {
		g->is_shut = true;
		g->since_us = sched_mono(s, since_us);
		g->until_us = sched_mono(s, until_us);
		sd->is_split = true;
		sched_timer_set(s, &g->timer, g->until_us);
	}
	return 0;
}
