/* SPDX-License-Identifier: ISC */
/*
 * Rates and connections that the operator set by hand for a lane, until a
 * time. Kept by the lane's name, so that a reload, or a route that is gone for
 * a while, doesn't lose them. What was spent stays spent in both directions.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_store.h"

/* How a kind is called on disk. */
static const char *const keys[OVERRIDE_KINDS] = {
	[OVERRIDE_RATES] = "rate",
	[OVERRIDE_CONNECTIONS] = "lane-connections",
};

static struct override *
override_find(struct sched *s, enum override_kind kind, const char *lane)
{
	struct override *o;

	HASH_FIND_STR(s->overrides[kind], lane, o);
	return o;
}

void
override_bind_lane(struct sched *s, struct lane *l)
{
	for (enum override_kind k = 0; k < OVERRIDE_KINDS; k++)
		if (s->overrides[k] != NULL)
			l->overrides[k] = override_find(s, k, l->name);
}

bool
override_is_set(const struct lane *l)
{
	return l->overrides[OVERRIDE_RATES] != NULL ||
	    l->overrides[OVERRIDE_CONNECTIONS] != NULL;
}

static void
override_free(struct sched *s, struct override *o)
{
	HASH_DEL(s->overrides[o->kind], o);
	free(o->lane);
	free(o);
}

static void
override_end(struct sched *s, struct override *o)
{
	struct lane *l = lane_by_name(s, o->lane, false);
	enum override_kind kind = o->kind;

	sched_timer_set(s, &o->timer, INT64_MAX);
	lane_store_operator(s, keys[kind], o->lane);
	override_free(s, o);
	if (l == NULL)
		return;
	l->overrides[kind] = NULL;
	lane_limit(s, l);
}

static void
on_override_over(struct sched *s, struct timer *t)
{
	override_end(s, HEAP_OWNER(t, struct override, timer));
}

void
overrides_free(struct sched *s)
{
	struct override *o, *next;

	for (enum override_kind k = 0; k < OVERRIDE_KINDS; k++)
		HASH_ITER(hh, s->overrides[k], o, next)
	override_free(s, o);
}

static struct override *
override_get(struct sched *s, enum override_kind kind, const char *lane)
{
	struct override *o = override_find(s, kind, lane);

	if (o != NULL)
		return o;
	o = xcalloc(1, sizeof(*o));
	o->lane = xstrdup(lane);
	o->kind = kind;
	o->timer.fire = on_override_over;
	HASH_ADD_KEYPTR(hh, s->overrides[kind], o->lane, strlen(o->lane), o);
	return o;
}

int
override_put(struct sched *s, const char *lane, const struct override *what,
    struct err *err_out)
{
	struct lane *l = lane_by_name(s, lane, true);
	struct override *o;

	if (l == NULL)
		return err_set(err_out,
		    "no lane can be called \"%s\": it is ROUTE/PROVIDER, or "
		    "ROUTE/other:SITE",
		    lane);
	if (what->rates.n == 0 && what->connections == 0) {
		if (l->overrides[what->kind] != NULL)
			override_end(s, l->overrides[what->kind]);
		return 0;
	}
	o = override_get(s, what->kind, l->name);
	o->rates = what->rates;
	o->connections = what->connections;
	o->since_us = what->since_us;
	o->until_us = what->until_us;
	sched_timer_set(s, &o->timer, o->until_us);
	l->overrides[what->kind] = o;
	lane_store_operator(s, keys[what->kind], NULL);
	lane_limit(s, l);
	return 0;
}

int
sched_rate_override(struct sched *s, const char *lane, const struct rate *rates,
    size_t n_rates, int64_t until_us, int64_t now_us, struct err *err_out)
{
	struct override what = { .kind = OVERRIDE_RATES, .until_us = until_us };

	sched_clock(s, now_us);
	if (n_rates > CONF_RATES_MAX)
		return err_set(err_out, "at most %d rates can hold at once",
		    CONF_RATES_MAX);
	what.since_us = s->now_us;
	what.rates.n = n_rates;
	if (n_rates > 0)
		memcpy(what.rates.v, rates, n_rates * sizeof(*rates));
	if (override_put(s, lane, &what, err_out) < 0)
		return -1;
	/* The operator's word is newer than what was learned. */
	if (n_rates > 0)
		lane_adapt_forget(s, lane_by_name(s, lane, false));
	return 0;
}

int
sched_connections_override(struct sched *s, const char *lane,
    unsigned connections, int64_t until_us, int64_t now_us, struct err *err_out)
{
	struct override what = { .kind = OVERRIDE_CONNECTIONS,
		.connections = connections,
		.until_us = until_us };

	sched_clock(s, now_us);
	what.since_us = s->now_us;
	if (override_put(s, lane, &what, err_out) < 0)
		return -1;
	if (connections > 0)
		lane_adapt_forget(s, lane_by_name(s, lane, false));
	return 0;
}

int
sched_lane_forget(struct sched *s, const char *lane, int64_t now_us,
    struct err *err_out)
{
	struct lane *l;

	sched_clock(s, now_us);
	l = lane_by_name(s, lane, false);
	if (l == NULL)
		return err_set(err_out, "there is no lane \"%s\"", lane);
	lane_adapt_forget(s, l);
	return 0;
}

void
sched_overrides_each(struct sched *s,
    void (*each)(const struct override_view *o, void *arg), void *arg)
{
	for (enum override_kind k = 0; k < OVERRIDE_KINDS; k++)
		for (const struct override *o = s->overrides[k]; o;
		     o = o->hh.next) {
			struct override_view view = {
				.lane = o->lane,
				.rates = o->rates.v,
				.n_rates = o->rates.n,
				.connections = o->connections,
				.since_us = o->since_us,
				.until_us = o->until_us,
			};

			each(&view, arg);
		}
}
