/* SPDX-License-Identifier: ISC */
/*
 * Routes: which of their lanes is served next, and what happens when a next
 * hop can't be reached.
 *
 * A route whose next hop failed is down for a while that grows with the outage:
 * a tenth of it, so that an outage of any length is made at most a tenth
 * longer, and a long one costs few attempts. Then it is *probed*: one delivery tries it, and while that is in
 * flight the others keep away, so a dead hop costs one time-out, not one for
 * each connection. Failures of connections that were begun before the route
 * went down say nothing new and don't double anything.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/retry.h"
#include "scheduler/sched_private.h"

/* As with retries: 20% to either side, so that routes don't return at once. */
#define BACKOFF_JITTER_PERMILLE 200
/* It is tried again after this part of the outage so far. */
#define BACKOFF_PART		10

static bool
has_ready(const struct route *r)
{
	for (int c = 0; c < PRIORITY_COUNT; c++)
		if (r->rings[c] != NULL)
			return true;
	return false;
}

void
route_serve(struct sched *s, struct route *r)
{
	struct gate_ask ask = {
		.s = s, .route = r, .n = 1, .now_us = s->now_us
	};
	enum gate gate;
	bool wants =
	    has_ready(r) && gates_when(&ask, SCOPE_ROUTE, &gate) <= s->now_us;

	if (wants == r->is_serving)
		return;
	r->is_serving = wants;
	if (wants)
		DL_APPEND(s->serving, r);
	else
		DL_DELETE(s->serving, r);
}

void
route_recheck(struct sched *s, struct route *r)
{
	struct gate_ask ask = {
		.s = s, .route = r, .n = 1, .now_us = s->now_us
	};
	bool is_closed = gates_overflow(&ask, SCOPE_ROUTE);

	route_serve(s, r);
	if (is_closed == r->is_closed)
		return;
	r->is_closed = is_closed;
	flows_rehome(s);
}

enum conf_priority
route_class(const struct route *r)
{
	enum conf_priority c = PRIORITY_HIGH, first;

	while (c < PRIORITY_COUNT && r->rings[c] == NULL)
		c++;
	first = c;
	while (++c < PRIORITY_COUNT)
		if (r->rings[c] != NULL && share_is_due(&r->share, c, 1))
			return c;
	return first;
}

/* ---- the next hop ---- */

static void
on_backoff_over(struct sched *s, struct timer *t)
{
	struct route *r = HEAP_OWNER(t, struct route, down.timer);

	sched_timer_set(s, t, INT64_MAX);
	r->down.is_down = false;
	route_recheck(s, r);
}

static struct route *
route_at(struct sched *s, unsigned index)
{
	for (struct route *r = s->routes; r; r = r->hh.next)
		if (!r->is_gone && r->index == index)
			return r;
	return NULL;
}

static int64_t
backoff_us(struct sched *s, const struct route *r)
{
	int64_t max_us = r->conf->backoff.max_us;
	int64_t wait_us = (s->now_us - r->down.since_us) / BACKOFF_PART;

	if (wait_us < r->conf->backoff.first_us)
		wait_us = r->conf->backoff.first_us;
	if (wait_us > max_us)
		wait_us = max_us;
	wait_us = retry_jitter(&s->rng, wait_us, BACKOFF_JITTER_PERMILLE);
	if (wait_us > max_us)
		wait_us = max_us;
	return wait_us > 1000 ? wait_us : 1000;
}

int64_t
sched_route_down(struct sched *s, unsigned route, const char *why,
    int64_t now_us)
{
	struct route *r;

	sched_clock(s, now_us);
	r = route_at(s, route);
	if (r == NULL)
		return now_us;
	if (r->down.is_down)
		return r->down.until_us;
	if (r->down.n_failed++ == 0)
		r->down.since_us = s->now_us;
	free(r->down.why);
	r->down.why = xstrdup(why != NULL ? why : "");
	r->down.is_down = true;
	r->down.until_us = s->now_us + backoff_us(s, r);
	r->down.timer.gate = GATE_NEXT_HOP;
	r->down.timer.fire = on_backoff_over;
	sched_timer_set(s, &r->down.timer, r->down.until_us);
	route_recheck(s, r);
	return r->down.until_us;
}

void
route_works(struct sched *s, struct route *r)
{
	r->n_refused = 0;
	if (r->down.n_failed == 0)
		return;
	r->down.n_failed = 0;
	r->down.is_down = false;
	free(r->down.why);
	r->down.why = NULL;
	sched_timer_set(s, &r->down.timer, INT64_MAX);
	route_recheck(s, r);
}

void
sched_route_up(struct sched *s, unsigned route, int64_t now_us)
{
	struct route *r;

	sched_clock(s, now_us);
	r = route_at(s, route);
	if (r != NULL)
		route_works(s, r);
}
