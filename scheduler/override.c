/* SPDX-License-Identifier: ISC */
/*
 * Rates that the operator set by hand for a lane, until a time. Kept by the
 * lane's name, so that a reload, or a route that is gone for a while, doesn't
 * lose them. What was spent stays spent in both directions.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/lane_store.h"

static struct override *
override_find(struct sched *s, const char *lane)
{
	struct override *o;

	HASH_FIND_STR(s->overrides, lane, o);
	return o;
}

void
override_bind_lane(struct sched *s, struct lane *l)
{
	if (s->overrides != NULL)
		l->override = override_find(s, l->name);
}

static void
override_free(struct sched *s, struct override *o)
{
	HASH_DEL(s->overrides, o);
	free(o->lane);
	free(o);
}

static void
override_end(struct sched *s, struct override *o)
{
	struct lane *l = lane_by_name(s, o->lane, false);

	sched_timer_set(s, &o->timer, INT64_MAX);
	lane_store_operator(s, "rate", o->lane);
	override_free(s, o);
	if (l == NULL)
		return;
	l->override = NULL;
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

	HASH_ITER(hh, s->overrides, o, next)
	override_free(s, o);
}

static struct override *
override_get(struct sched *s, const char *lane)
{
	struct override *o = override_find(s, lane);

	if (o != NULL)
		return o;
	o = xcalloc(1, sizeof(*o));
	o->lane = xstrdup(lane);
	o->timer.fire = on_override_over;
	HASH_ADD_KEYPTR(hh, s->overrides, o->lane, strlen(o->lane), o);
	return o;
}

int
override_put(struct sched *s, const char *lane, const struct rate *rates,
    size_t n_rates, int64_t since_us, int64_t until_us, struct err *err_out)
{
	struct lane *l = lane_by_name(s, lane, true);
	struct override *o;

	if (n_rates > CONF_RATES_MAX)
		return err_set(err_out, "at most %d rates can hold at once",
		    CONF_RATES_MAX);
	if (l == NULL)
		return err_set(err_out,
		    "no lane can be called \"%s\": it is ROUTE/PROVIDER, or "
		    "ROUTE/other:SITE",
		    lane);
	if (n_rates == 0) {
		if (l->override != NULL)
			override_end(s, l->override);
		return 0;
	}
	o = override_get(s, l->name);
	memcpy(o->rates.v, rates, n_rates * sizeof(*rates));
	o->rates.n = n_rates;
	o->since_us = since_us;
	o->until_us = until_us;
	sched_timer_set(s, &o->timer, until_us);
	l->override = o;
	lane_store_operator(s, "rate", NULL);
	lane_limit(s, l);
	return 0;
}

int
sched_rate_override(struct sched *s, const char *lane, const struct rate *rates,
    size_t n_rates, int64_t until_us, int64_t now_us, struct err *err_out)
{
	sched_clock(s, now_us);
	if (override_put(s, lane, rates, n_rates, s->now_us, until_us,
		err_out) < 0)
		return -1;
	/* The operator's word is newer than what was learned. */
	if (n_rates > 0)
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
	for (const struct override *o = s->overrides; o; o = o->hh.next) {
		struct override_view view = {
			.lane = o->lane,
			.rates = o->rates.v,
			.n_rates = o->rates.n,
			.since_us = o->since_us,
			.until_us = o->until_us,
		};

		each(&view, arg);
	}
}
