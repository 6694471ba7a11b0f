/* SPDX-License-Identifier: ISC */
/*
 * What is wrong between us and the providers, for whoever looks: lanes that
 * are suspended, sender domains that may not send somewhere, lists that are
 * too dirty. Read by the daemon's `status`; decides nothing.
 */
#include <stdio.h>

#include "scheduler/gate_adapt.h"
#include "scheduler/lane_adapt.h"
#include "scheduler/sender.h"

struct walk {
	int64_t now_us;
	void (*each)(const struct trouble_view *t, void *arg);
	void *arg;
};

const char *
trouble_kind_name(enum trouble_kind kind)
{
	static const char *const names[] = { "lane", "sender", "list" };

	return names[kind];
}

static void
look_at_lane(struct sched *s, struct lane *l, void *arg)
{
	struct walk *w = arg;
	struct gate_ask ask = { .s = s,
		.route = l->route,
		.lane = l,
		.n = 1,
		.now_us = w->now_us };
	const struct breaker *b = &l->adapt->breaker;
	struct trouble_view t = { .kind = TROUBLE_LANE,
		.name = l->name,
		.since_us = b->since_us,
		.until_us = b->until_us };
	struct gate_view view = { 0 };

	if (b->state == BREAKER_CLOSED || lane_is_shadow(l))
		return;
	suspended_say(&ask, &view);
	snprintf(t.text, sizeof(t.text), "lane %s is suspended: %s", l->name,
	    view.text);
	w->each(&t, w->arg);
}

static void
look_at_sender(const struct sender *sd, const struct walk *w)
{
	for (const struct sender_gate *g = sd->gates; g != NULL; g = g->next) {
		struct trouble_view t = { .kind = TROUBLE_SENDER,
			.name = g->name,
			.since_us = g->since_us,
			.until_us = g->until_us };

		if (!g->is_shut)
			continue;
		snprintf(t.text, sizeof(t.text),
		    "sender domain %s is paused at %s: %s", sd->name, g->dest,
		    g->because != NULL ? g->because : "");
		w->each(&t, w->arg);
	}
}

static void
look_at_stream(const struct sched *s, const struct stream *st,
    const struct walk *w)
{
	struct trouble_view t = { .kind = TROUBLE_LIST,
		.name = st->name,
		.since_us = sched_mono(s, st->health.since_us),
		.until_us = INT64_MAX };
	char why[sizeof(t.text) / 2];

	if (!st->health.is_held)
		return;
	list_health_say(&st->health, &s->conf->list_health, why, sizeof(why));
	snprintf(t.text, sizeof(t.text),
	    "stream %s is held, its list is dirty: %s", st->name, why);
	w->each(&t, w->arg);
}

void
sched_troubles_each(struct sched *s, int64_t now_us,
    void (*each)(const struct trouble_view *t, void *arg), void *arg)
{
	struct walk w = { .now_us = now_us, .each = each, .arg = arg };

	sched_clock(s, now_us);
	lanes_each_of(s, look_at_lane, &w);
	for (struct sender *sd = s->senders; sd != NULL; sd = sd->hh.next)
		look_at_sender(sd, &w);
	for (struct stream *st = s->streams; st != NULL; st = st->hh.next)
		look_at_stream(s, st, &w);
}
