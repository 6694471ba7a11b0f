/* SPDX-License-Identifier: ISC */
/*
 * Deliveries whose domain's MX hosts weren't known when they came. They are in
 * the queue of a site of their own, held there for a moment, and move to where
 * they belong when the governor says where that is. Nothing else waits for
 * them, and if nobody ever says it they leave from where they are.
 *
 * Those in flight can't move; they do when they come back.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/plan_learn.h"
#include "scheduler/sender.h"

struct gathered {
	struct delivery **v;
	size_t n, room;
};

static void
gather(struct gathered *g, struct delivery *d)
{
	if (!d->is_unsorted)
		return;
	if (g->n == g->room) {
		g->room = g->room ? g->room * 2 : 16;
		g->v = xrealloc(g->v, g->room * sizeof(struct delivery *));
	}
	g->v[g->n++] = d;
}

static int
compare_ages(const void *a_v, const void *b_v)
{
	const struct delivery *a = *(struct delivery *const *)a_v;
	const struct delivery *b = *(struct delivery *const *)b_v;

	if (a->message != b->message)
		return a->message < b->message ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

/* All that wait at this destination, in order of arrival. */
static void
gather_waiting(struct gathered *g, const struct dest *dest)
{
	struct flow *f;

	DL_FOREACH2(dest->flows, f, dest_next)
	{
		struct delivery *d;

		DL_FOREACH(f->queue, d)
			gather(g, d);
		for (uint32_t i = 0; i < f->retries.n; i++)
			gather(g,
			    HEAP_OWNER(f->retries.v[i], struct delivery,
				retry));
	}
	if (g->n > 1)
		qsort(g->v, g->n, sizeof(struct delivery *), compare_ages);
}

static struct dest *
unsorted_dest(struct sched *s, const char *site)
{
	char *name = xasprintf("other:%s", site);
	struct dest *dest = dest_find(s, name);

	free(name);
	return dest;
}

static bool
has_in_flight(const struct dest *dest)
{
	const struct flow *f;

	DL_FOREACH2(dest->flows, f, dest_next)
	if (f->n_in_flight > 0)
		return true;
	return false;
}

static void
move(struct sched *s, struct delivery *d, struct dest *to)
{
	struct flow *from = d->flow;

	if (from->dest == to)
		return;
	delivery_move(s, d, flow_get(s, to, from->stream, d->sender));
	flow_release(s, from);
}

/* Lanes that were made for its queue and never sent anything would only puzzle
 * the operator. */
static void
drop_lanes(struct sched *s, const char *site)
{
	struct dest *dest = unsorted_dest(s, site);
	struct lane *next;

	for (struct lane *l = dest != NULL ? dest->lanes : NULL; l != NULL;
	     l = next) {
		next = l->dest_next;
		if (l->stats.n_attempted == 0 && lane_is_droppable(l))
			lane_free(s, l);
	}
}

void
sched_sort(struct sched *s, const char *site, const char *provider,
    const char *site_to, int64_t now_us)
{
	struct gathered g = { 0 };
	struct dest *from, *to;

	sched_clock(s, now_us);
	from = unsorted_dest(s, site);
	if (from == NULL)
		return;
	gather_waiting(&g, from);
	to = dest_get(s, provider, site_to);
	free(from->sorted_to);
	from->sorted_to = to != from && has_in_flight(from)
	    ? xasprintf("%s %s", provider, site_to)
	    : NULL;
	/* `from` may go with its last delivery. */
	for (size_t i = 0; i < g.n; i++) {
		struct delivery *d = g.v[i];
		bool is_held = d->is_held;

		d->is_unsorted = false;
		move(s, d, to);
		if (is_held)
			delivery_wait(s, d, PLACE_TAIL);
	}
	free(g.v);
	dest_release(s, to);
	if (strcmp(provider, "other") != 0 || strcmp(site, site_to) != 0)
		drop_lanes(s, site);
}

void
delivery_sort(struct sched *s, struct delivery *d, enum place place)
{
	char *provider, *site;

	if (!d->is_unsorted || d->flow->dest->sorted_to == NULL)
		return;
	provider = xstrdup(d->flow->dest->sorted_to);
	site = strchr(provider, ' ');
	*site++ = '\0';
	d->is_unsorted = false;
	move(s, d, dest_get(s, provider, site));
	if (d->state == DELIVERY_WAITING)
		delivery_wait(s, d, place);
	free(provider);
}

void
sched_unsorted_take(struct sched *s, const char *site, int64_t now_us,
    void (*each)(uint64_t message, uint32_t number, uint32_t n_pending,
	void *arg),
    void *arg)
{
	struct gathered g = { 0 };
	struct dest *dest;

	sched_clock(s, now_us);
	dest = unsorted_dest(s, site);
	if (dest == NULL)
		return;
	gather_waiting(&g, dest);
	for (size_t i = 0; i < g.n; i++) {
		const struct delivery d = *g.v[i];

		if (d.sender != NULL)
			plan_learn_unroutable(s, d.flow->stream, d.n_pending);
		sched_remove(s, d.message, d.number);
		each(d.message, d.number, d.n_pending, arg);
	}
	free(g.v);
	drop_lanes(s, site);
}
