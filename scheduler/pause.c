/* SPDX-License-Identifier: ISC */
/*
 * Pauses by the operator: a route, a provider, a lane or a stream sends
 * nothing until a time, or until resumed. They are kept by name, so they
 * survive reloads and the lane's absence; whom they apply to points at them.
 *
 * A paused route or lane is closed: its mail takes the stream's next route. A
 * paused provider or stream holds its mail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "scheduler/lane_store.h"
#include "scheduler/sender.h"

static const char *const kinds[] = {
	[PAUSE_ROUTE] = "route",
	[PAUSE_PROVIDER] = "provider",
	[PAUSE_LANE] = "lane",
	[PAUSE_STREAM] = "stream",
	[PAUSE_SENDER] = "sender",
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

int
pause_kind_parse(const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(kinds[i], name) == 0)
			return (int)i;
	return -1;
}

const char *
pause_kind_name(enum pause_kind kind)
{
	return (size_t)kind < N_KINDS ? kinds[kind] : "unknown";
}

static char *
key_of(enum pause_kind kind, const char *name)
{
	return xasprintf("%s %s", pause_kind_name(kind), name);
}

static struct pause *
pause_find(struct sched *s, enum pause_kind kind, const char *name)
{
	char *key = key_of(kind, name);
	struct pause *p;

	HASH_FIND_STR(s->pauses, key, p);
	free(key);
	return p;
}

/* ---- to whom it applies ---- */

/* Where its subject points at its pause; NULL when it doesn't exist now. */
static struct pause **
subject_of(struct sched *s, enum pause_kind kind, const char *name)
{
	struct stream *st;
	struct provider *p;
	struct sender *sd;
	struct route *r;
	struct lane *l;

	switch (kind) {
	case PAUSE_ROUTE:
		r = route_find(s, name);
		return r != NULL && !r->is_gone ? &r->pause : NULL;
	case PAUSE_PROVIDER:
		p = provider_find(s, name);
		return p != NULL && !p->is_gone ? &p->pause : NULL;
	case PAUSE_LANE:
		l = lane_by_name(s, name, false);
		if (l == NULL)
			l = lane_by_name(s, name, true);
		return l != NULL ? &l->pause : NULL;
	case PAUSE_STREAM:
		st = stream_find(s, name);
		return st != NULL && !st->is_gone ? &st->pause : NULL;
	case PAUSE_SENDER:
		sd = sender_find(s, name);
		return sd != NULL ? &sd->pause : NULL;
	}
	return NULL;
}

static void
wake_of_provider(struct sched *s, struct lane *l, void *arg)
{
	if (l->dest->provider == arg)
		lane_wake(s, l);
}

void
stream_refresh(struct sched *s, struct stream *st)
{
	struct flow *f;

	for (struct dest *dest = s->dests; dest; dest = dest->hh.next)
		DL_FOREACH2(dest->flows, f, dest_next)
	if (f->stream == st)
		flow_refresh(s, f);
}

static void
lane_rehome(struct sched *s, struct lane *l)
{
	lane_wake(s, l);
	dest_rehome(s, l->dest);
}

/* The pause began or ended: what follows for the queues. */
static void
took_effect(struct sched *s, enum pause_kind kind, const char *name)
{
	struct lane *l;

	switch (kind) {
	case PAUSE_ROUTE:
		route_recheck(s, route_find(s, name));
		break;
	case PAUSE_PROVIDER:
		lanes_each_of(s, wake_of_provider, provider_find(s, name));
		break;
	case PAUSE_LANE:
		l = lane_by_name(s, name, false);
		if (l != NULL)
			lane_rehome(s, l);
		break;
	case PAUSE_STREAM:
		stream_refresh(s, stream_find(s, name));
		break;
	case PAUSE_SENDER:
		sender_refresh(s, sender_find(s, name));
		break;
	}
}

static void
pause_end(struct sched *s, struct pause *p)
{
	struct pause **subject = subject_of(s, p->kind, p->name);

	HASH_DEL(s->pauses, p);
	lane_store_operator(s, "pause", p->key);
	sched_timer_set(s, &p->timer, INT64_MAX);
	if (subject != NULL) {
		*subject = NULL;
		took_effect(s, p->kind, p->name);
	}
	if (p->kind == PAUSE_SENDER)
		sender_tidy(s, sender_find(s, p->name));
	free(p->because);
	free(p->key);
	free(p);
}

static void
on_pause_over(struct sched *s, struct timer *t)
{
	pause_end(s, HEAP_OWNER(t, struct pause, timer));
}

void
pause_bind_lane(struct sched *s, struct lane *l)
{
	if (s->pauses != NULL)
		l->pause = pause_find(s, PAUSE_LANE, l->name);
}

void
pause_bind_sender(struct sched *s, struct sender *sd)
{
	if (s->pauses != NULL)
		sd->pause = pause_find(s, PAUSE_SENDER, sd->name);
}

void
pauses_bind(struct sched *s)
{
	for (struct pause *p = s->pauses; p; p = p->hh.next) {
		struct pause **subject = subject_of(s, p->kind, p->name);

		if (subject != NULL)
			*subject = p;
	}
}

void
pause_began(struct sched *s, const char *key, int64_t since_us)
{
	struct pause *p;

	HASH_FIND_STR(s->pauses, key, p);
	if (p != NULL)
		p->since_us = since_us;
}

void
pauses_free(struct sched *s)
{
	struct pause *p, *next;

	HASH_ITER(hh, s->pauses, p, next)
	{
		HASH_DEL(s->pauses, p);
		free(p->because);
		free(p->key);
		free(p);
	}
}

/* ---- the operator ---- */

static void
list_name(struct strbuf *names, const char *name, bool is_gone)
{
	if (!is_gone)
		strbuf_addf(names, "%s%s", names->len ? ", " : "", name);
}

static int
refuse(struct sched *s, enum pause_kind kind, const char *name,
    struct err *err_out)
{
	struct strbuf names = { 0 };

	if (kind == PAUSE_SENDER)
		return err_set(err_out,
		    "no mail of \"%s\" is here and nothing pauses it", name);
	if (kind == PAUSE_LANE)
		return err_set(err_out,
		    "no lane can be called \"%s\": it is ROUTE/PROVIDER, or "
		    "ROUTE/other:SITE",
		    name);
	if (kind == PAUSE_ROUTE)
		for (struct route *r = s->routes; r; r = r->hh.next)
			list_name(&names, r->name, r->is_gone);
	else if (kind == PAUSE_PROVIDER)
		for (struct provider *p = s->providers; p; p = p->hh.next)
			list_name(&names, p->name, p->is_gone);
	else
		for (struct stream *st = s->streams; st; st = st->hh.next)
			list_name(&names, st->name, st->is_gone);
	err_set(err_out, "there is no %s \"%s\"; there are: %s",
	    pause_kind_name(kind), name, names.data ? names.data : "none");
	strbuf_fini(&names);
	return -1;
}

static struct pause *
pause_new(struct sched *s, enum pause_kind kind, const char *name)
{
	struct pause *p = xcalloc(1, sizeof(*p));

	p->key = key_of(kind, name);
	p->name = p->key + strlen(pause_kind_name(kind)) + 1;
	p->kind = kind;
	p->since_us = s->now_us;
	p->timer.gate = GATE_PAUSE;
	p->timer.fire = on_pause_over;
	HASH_ADD_KEYPTR(hh, s->pauses, p->key, strlen(p->key), p);
	return p;
}

int
sched_pause(struct sched *s, enum pause_kind kind, const char *name,
    int64_t until_us, const char *because, int64_t now_us, struct err *err_out)
{
	struct pause **subject;
	struct pause *p;

	sched_clock(s, now_us);
	if (kind == PAUSE_SENDER && name[0] != '\0')
		sender_split(s, sender_get(s, name));
	subject = subject_of(s, kind, name);
	if (subject == NULL)
		return refuse(s, kind, name, err_out);
	p = pause_find(s, kind, name);
	if (p == NULL)
		p = pause_new(s, kind, name);
	free(p->because);
	p->because = xstrdup(because != NULL ? because : "");
	p->until_us = until_us;
	sched_timer_set(s, &p->timer, until_us);
	*subject = p;
	lane_store_operator(s, "pause", NULL);
	took_effect(s, kind, name);
	return 0;
}

/* What the scheduler itself holds of a stream or a sender domain. */
static bool
end_others(struct sched *s, enum pause_kind kind, const char *name)
{
	struct stream *st;

	if (kind == PAUSE_SENDER)
		return sender_resume(s, sender_find(s, name));
	if (kind != PAUSE_STREAM)
		return false;
	st = stream_find(s, name);
	if (st == NULL || !st->health.is_held)
		return false;
	list_health_resume(&st->health);
	st->is_health_changed = true;
	change_list(s, st, "resumed", "by the operator");
	stream_refresh(s, st);
	return true;
}

int
sched_resume(struct sched *s, enum pause_kind kind, const char *name,
    int64_t now_us, struct err *err_out)
{
	struct pause *p;
	bool is_over;

	sched_clock(s, now_us);
	p = pause_find(s, kind, name);
	if (p == NULL && subject_of(s, kind, name) == NULL)
		return refuse(s, kind, name, err_out);
	is_over = end_others(s, kind, name);
	if (p == NULL && is_over)
		return 0;
	if (p == NULL)
		return err_set(err_out, "%s \"%s\" isn't paused",
		    pause_kind_name(kind), name);
	pause_end(s, p);
	return 0;
}

void
sched_pauses_each(struct sched *s,
    void (*each)(const struct pause_view *p, void *arg), void *arg)
{
	for (const struct pause *p = s->pauses; p; p = p->hh.next) {
		struct pause_view view = {
			.kind = p->kind,
			.name = p->name,
			.since_us = p->since_us,
			.until_us = p->until_us,
			.because = p->because,
		};

		each(&view, arg);
	}
}
