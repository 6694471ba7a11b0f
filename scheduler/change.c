/* SPDX-License-Identifier: ISC */
/*
 * Changes of speed, told to whoever asks: the daemon makes events and log
 * lines of them, the simulator a picture. They wait in a list of bounded
 * length; when nobody asks, the oldest are lost, and their number is told.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_store.h"
#include "scheduler/sender.h"

#define CHANGES_MAX 1024
#define REPLY_KEEP  512

struct change {
	struct sched_change told;
	char *lane, *route, *provider, *site, *reply, *name, *text;
	struct change *prev, *next;
};

static const char *const kinds[CHANGE_KIND_COUNT] = {
	[CHANGE_RATE] = "rate",
	[CHANGE_CONNECTIONS] = "connections",
	[CHANGE_SUSPENDED] = "suspended",
	[CHANGE_RESUMED] = "resumed",
	[CHANGE_PLAN] = "plan",
	[CHANGE_SENDER] = "sender",
	[CHANGE_LIST] = "list",
};

const char *
change_kind_name(enum change_kind kind)
{
	return (unsigned)kind < CHANGE_KIND_COUNT ? kinds[kind] : "unknown";
}

static void
change_free(struct change *c)
{
	free(c->lane);
	free(c->route);
	free(c->provider);
	free(c->site);
	free(c->reply);
	free(c->name);
	free(c->text);
	free(c);
}

static void
drop_first(struct sched *s)
{
	struct change *c = s->changes;

	DL_DELETE(s->changes, c);
	s->n_changes--;
	change_free(c);
}

void
changes_free(struct sched *s)
{
	while (s->changes != NULL)
		drop_first(s);
	if (s->change_told != NULL)
		change_free(s->change_told);
}

bool
sched_change_next(struct sched *s, struct sched_change *out)
{
	if (s->change_told != NULL)
		change_free(s->change_told);
	s->change_told = s->changes;
	if (s->change_told == NULL)
		return false;
	DL_DELETE(s->changes, s->change_told);
	s->n_changes--;
	*out = s->change_told->told;
	out->n_lost = s->n_changes_lost;
	s->n_changes_lost = 0;
	return true;
}

/* ---- making one ---- */

struct rate
rate_in_words(int64_t rate)
{
	static const int64_t windows_s[] = { 1, 60, 3600, 86400 };
	struct rate r = { 0, 0 };

	if (rate == 0)
		return r;
	for (size_t i = 0; i < 4; i++) {
		int64_t s = windows_s[i];
		__int128 n = (__int128)rate * s;

		r.count = (int64_t)((n + RATE_ONE / 2) / RATE_ONE);
		r.window_us = s * 1000000;
		if (r.count >= 10)
			break;
	}
	if (r.count == 0)
		r.count = 1;
	return r;
}

/* With no word said yet. */
static struct change *
change_add(struct sched *s, enum change_kind kind)
{
	struct change *c = xcalloc(1, sizeof(*c));
	struct sched_change *t = &c->told;

	t->kind = kind;
	t->at_us = s->now_us;
	t->route = t->lane = t->provider = t->site = "";
	t->reply = t->state = t->because = t->name = t->text = "";
	DL_APPEND(s->changes, c);
	if (++s->n_changes > CHANGES_MAX) {
		drop_first(s);
		s->n_changes_lost++;
	}
	return c;
}

static struct change *
change_new(struct sched *s, enum change_kind kind, const struct route *r,
    const struct lane *l, const struct verdict *v)
{
	struct change *c = change_add(s, kind);
	struct sched_change *t = &c->told;

	t->route = c->route = xstrdup(r->name);
	if (l != NULL) {
		t->lane = c->lane = xstrdup(l->name);
		t->provider = c->provider = xstrdup(l->dest->provider->name);
		t->site = c->site = xstrdup(l->dest->site);
		t->is_shadow = lane_is_shadow(l);
	}
	if (v != NULL) {
		const char *reply = v->reply != NULL ? v->reply : "";

		t->class = v->class;
		t->phase = v->phase;
		t->code = v->code;
		t->reply = c->reply =
		    xstrndup(reply, strnlen(reply, REPLY_KEEP));
	}
	return c;
}

void
change_rate(struct sched *s, struct lane *l, const struct verdict *v)
{
	const struct adapt *a = &l->adapt->speed;
	struct change *c = change_new(s, CHANGE_RATE, l->route, l, v);
	struct meter_sum sum = meter_span(&a->meter, s->now_us);

	lane_store_touch(s, l);
	c->told.from = rate_in_words(l->adapt->told);
	c->told.to = rate_in_words(adapt_rate(a));
	l->adapt->told = adapt_rate(a);
	c->told.state = adapt_state_name(a->state);
	c->told.n_accepted = sum.n_accepted;
	c->told.n_refused = sum.n_refused;
	c->told.over_us = sum.span_us;
}

void
change_breaker(struct sched *s, struct lane *l, enum breaker_why was,
    const struct verdict *v)
{
	const struct breaker *b = &l->adapt->breaker;
	bool is_shut = b->state != BREAKER_CLOSED;
	struct change *c = change_new(s,
	    is_shut ? CHANGE_SUSPENDED : CHANGE_RESUMED, l->route, l, v);
	struct meter_sum sum = breaker_lately(b, s->now_us);

	lane_store_touch(s, l);
	c->told.because = breaker_why_name(is_shut ? b->why : was);
	c->told.until_us = b->until_us;
	c->told.n_refused = sum.n_refused;
	c->told.n_accepted = sum.n_accepted;
	c->told.over_us = b->conf.suspend.for_us;
}

void
change_connections(struct sched *s, struct route *r, struct lane *l,
    unsigned from, const struct verdict *v)
{
	struct change *c = change_new(s, CHANGE_CONNECTIONS, r, l, v);

	c->told.connections_from = from;
	/* In shadow mode too: what it would be. */
	if (l != NULL) {
		lane_store_touch(s, l);
		c->told.connections_to =
		    conn_cap_of(&l->adapt->cap, l->limits.connections);
	} else {
		r->adapt->is_dirty = true;
		c->told.is_shadow = r->adapt->is_shadow;
		c->told.connections_to =
		    conn_cap_of(&r->adapt->cap, r->connections);
	}
}

/* ---- of plans, sender domains and lists ---- */

void
change_plan(struct sched *s, const struct quota_entry *e,
    const struct warmup_change *step)
{
	struct change *c = change_add(s, CHANGE_PLAN);
	struct sched_change *t = &c->told;
	const char *slash = strchr(e->quota.name, '/');

	t->name = c->name = xstrdup(e->quota.name);
	t->text = c->text = xstrdup(step->why);
	t->state = warmup_step_name(step->step);
	t->volume_from = step->from_volume;
	t->volume_to = step->to_volume;
	t->stage = step->to_stage + 1;
	t->is_shadow = quota_is_shadow(&e->quota);
	if (e->quota.kind == QUOTA_SENDER)
		return;
	t->route = c->route = slash != NULL
	    ? xstrndup(e->quota.name, (size_t)(slash - e->quota.name))
	    : xstrdup(e->quota.name);
	if (slash != NULL)
		t->lane = c->lane = xstrdup(e->quota.name);
}

void
change_sender(struct sched *s, const struct sender_gate *g, const char *state,
    const char *why)
{
	struct change *c = change_add(s, CHANGE_SENDER);

	c->told.name = c->name = xstrdup(g->name);
	c->told.text = c->text = xstrdup(why);
	c->told.state = state;
	c->told.until_us = g->is_shut ? g->until_us : 0;
}

void
change_list(struct sched *s, const struct stream *st, const char *state,
    const char *why)
{
	struct change *c = change_add(s, CHANGE_LIST);

	c->told.name = c->name = xstrdup(st->name);
	c->told.text = c->text = xstrdup(why);
	c->told.state = state;
	c->told.until_us = st->health.is_held ? INT64_MAX : 0;
}
