/* SPDX-License-Identifier: ISC */
/*
 * A new snapshot while mail is queued and in flight. Everything is found again
 * by name; deliveries whose stream or provider is gone move to `default` or to
 * a site of `other`; lanes take their new limits and keep what was spent.
 * Deliveries in flight end on the lane they left by, even when it is gone.
 */
#include "scheduler/lane_adapt.h"
#include "scheduler/sender.h"

static void
leave_homes(struct sched *s)
{
	struct flow *f;

	for (struct dest *dest = s->dests; dest; dest = dest->hh.next)
		DL_FOREACH2(dest->flows, f, dest_next)
	flow_leave_home(s, f);
}

static bool
is_gone(const struct flow *f)
{
	return f->stream->is_gone || f->dest->provider->is_gone;
}

/* In order of arrival, so that merged queues stay in it. */
static void
move_orphans(struct sched *s)
{
	struct delivery *d;

	DL_FOREACH2(s->oldest, d, age_next)
	{
		struct flow *from = d->flow;
		struct dest *dest;

		if (!is_gone(from))
			continue;
		dest =
		    dest_get(s, from->dest->provider->name, from->dest->site);
		delivery_move(s, d,
		    flow_get(s, dest, stream_or_default(s, from->stream->name),
			d->sender));
		flow_release(s, from);
	}
}

static bool
has_orphans(const struct sched *s)
{
	for (const struct dest *dest = s->dests; dest; dest = dest->hh.next) {
		const struct flow *f;

		DL_FOREACH2(dest->flows, f, dest_next)
		if (is_gone(f))
			return true;
	}
	return false;
}

static void
relimit(struct sched *s, struct lane *l, void *arg)
{
	(void)arg;
	lane_limit(s, l);
}

static void
drop_gone_lane(struct sched *s, struct lane *l, void *arg)
{
	(void)arg;
	if ((l->route->is_gone || l->dest->provider->is_gone) &&
	    lane_is_droppable(l))
		lane_free(s, l);
}

void
sched_reload(struct sched *s, const struct conf *conf, int64_t now_us)
{
	sched_clock(s, now_us);
	leave_homes(s);
	names_load(s, conf);
	pauses_bind(s);
	if (has_orphans(s))
		move_orphans(s);
	quotas_configure_all(s);
	senders_configure(s);
	lanes_each_of(s, relimit, NULL);
	flows_rehome(s);
	for (struct route *r = s->routes; r; r = r->hh.next) {
		route_adapt_configure(s, r);
		route_recheck(s, r);
	}
	lanes_each_of(s, drop_gone_lane, NULL);
	names_drop_gone(s);
}
