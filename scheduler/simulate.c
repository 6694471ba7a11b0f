/* SPDX-License-Identifier: ISC */
/*
 * The plan simulator behind `flyballctl simulate`. It only adds mail, asks
 * what leaves and answers it; everything that decides is the scheduler's own.
 *
 * Adaptation is off: what the provider bears isn't known here, only that it
 * defers a share. Days with much mail are simulated in deliveries of several
 * recipients, so that a million a day takes seconds; the count stays exact,
 * because the scheduler splits them.
 */
#include "scheduler/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/sender.h"

#define ARRIVALS       240 /* a day */
#define DELIVERIES_MAX 400000
#define RECIPIENTS_MAX 1000
#define STREAM	       "default"
#define EXPIRES_US     (INT64_C(4000) * 86400 * 1000000)

struct world {
	const struct simulate *sim;
	struct conf conf; /* a copy, of one stream and without adaptation */
	struct conf_stream stream;
	struct conf_route *routes;
	struct conf_provider *providers;
	struct sched *s;
	struct lane *lane;
	struct quota *quota;
	unsigned route;
	int64_t now_us; /* UTC too */
	uint64_t n_messages;
	int64_t per_delivery;
	int64_t deferred; /* thousandths that were not deferred yet */
	int64_t sent, overflowed;
	struct calendar calendar;
	int64_t open_us, close_us; /* within a day */
};

/* ---- the world ---- */

static const struct conf_stream *
stream_of(const struct conf *conf, const char *route, size_t *at_out)
{
	const struct conf_stream *found = NULL;

	for (size_t i = 0; i < conf->n_streams; i++)
		for (size_t k = 0; k < conf->streams[i].routes.n; k++) {
			if (strcmp(conf->streams[i].routes.v[k], route) != 0)
				continue;
			if (found != NULL && k >= *at_out)
				continue;
			found = &conf->streams[i];
			*at_out = k;
		}
	return found;
}

static void
copy_conf(struct world *w)
{
	const struct conf *from = w->sim->conf;
	const struct conf_stream *st;
	size_t at = 0;

	w->conf = *from;
	w->routes = xmemdup(from->routes, from->n_routes * sizeof(*w->routes));
	w->providers =
	    xmemdup(from->providers, from->n_providers * sizeof(*w->providers));
	for (size_t i = 0; i < from->n_routes; i++)
		w->routes[i].adapt.given = 0;
	for (size_t i = 0; i < from->n_providers; i++) {
		w->providers[i].adapt.given = 0;
		/* A day isn't counted by the second. */
		if (w->providers[i].limits.burst < w->per_delivery)
			w->providers[i].limits.burst = w->per_delivery;
	}
	w->conf.routes = w->routes;
	w->conf.providers = w->providers;
	w->conf.adapt.enabled = false;
	w->conf.list_health.is_given = false;
	st = stream_of(from, w->sim->route, &at);
	w->stream = (struct conf_stream){
		.name = (char *)STREAM, .priority = PRIORITY_NORMAL, .weight = 1
	};
	if (st != NULL) {
		w->stream.routes.v = st->routes.v + at;
		w->stream.routes.n = st->routes.n - at;
	} else {
		w->stream.routes.v = (char **)(void *)&w->sim->route;
		w->stream.routes.n = 1;
	}
	w->conf.streams = &w->stream;
	w->conf.n_streams = 1;
}

static const char *
site_of(const struct world *w)
{
	const struct conf_provider *p =
	    conf_provider(w->sim->conf, w->sim->provider);

	return p != NULL && p->is_other ? "example.net" : "";
}

static void
find_calendar(struct world *w)
{
	const struct conf_plan *p = NULL;

	w->calendar = (struct calendar){ .zone_ref = w->sim->zone,
		.day_us = CALENDAR_DAY_US };
	w->close_us = CALENDAR_DAY_US;
	if (w->quota->has_plan)
		p = w->quota->warmup.plan;
	if (p == NULL)
		return;
	w->calendar.day_us = p->day_us;
	w->open_us = p->window_from_us;
	w->close_us = p->window_to_us;
}

static void
world_new(struct world *w, const struct simulate *sim)
{
	int64_t total = sim->demand * sim->n_days;
	char *lane;

	*w = (struct world){ .sim = sim };
	w->per_delivery = 1 + total / DELIVERIES_MAX;
	if (w->per_delivery > RECIPIENTS_MAX)
		w->per_delivery = RECIPIENTS_MAX;
	copy_conf(w);
	w->s = sched_new(&w->conf, sim->seed);
	sched_zone(w->s, sim->zone);
	lane = *site_of(w)
	    ? xasprintf("%s/%s:%s", sim->route, sim->provider, site_of(w))
	    : xasprintf("%s/%s", sim->route, sim->provider);
	w->lane = lane_by_name(w->s, lane, true);
	w->quota = &w->lane->quota->quota;
	free(lane);
	w->route =
	    (unsigned)(conf_route(sim->conf, sim->route) - sim->conf->routes);
	find_calendar(w);
	/* The first day is whole, whatever the hour. */
	w->now_us = calendar_begin(&w->calendar,
	    calendar_day(&w->calendar, sim->start_utc_us));
	w->calendar.epoch_utc_us = w->now_us;
	sched_utc(w->s, w->now_us, w->now_us);
}

static void
world_free(struct world *w)
{
	sched_free(w->s);
	free(w->routes);
	free(w->providers);
}

/* ---- mail ---- */

static void
arrive(struct world *w, int64_t n)
{
	while (n > 0) {
		int64_t k = n < w->per_delivery ? n : w->per_delivery;
		struct sched_delivery d = {
			.message = ++w->n_messages,
			.n_pending = (uint32_t)k,
			.stream = STREAM,
			.provider = w->sim->provider,
			.site = site_of(w),
			.expires_us = w->now_us + EXPIRES_US,
		};

		sched_add(w->s, &d, w->now_us);
		n -= k;
	}
}

/* Evenly so many of each thousand are deferred. */
static void
answer(struct world *w, const struct plan *p)
{
	struct verdict v = {
		.message = p->message,
		.number = p->number,
		.class = CLASS_OK,
		.code = 250,
		.reply = "250 ok",
	};

	if (p->route == w->route)
		w->deferred +=
		    (int64_t)p->n_recipients * w->sim->deferred_permille;
	v.n_deferred = (uint32_t)(w->deferred / 1000);
	if (v.n_deferred > p->n_recipients || p->route != w->route)
		v.n_deferred = p->route == w->route ? p->n_recipients : 0;
	w->deferred -= (int64_t)v.n_deferred * 1000;
	v.n_delivered = p->n_recipients - v.n_deferred;
	if (v.n_deferred > 0) {
		v.class = CLASS_RATE;
		v.blame = BLAME_LANE;
		v.code = 421;
		v.n_rate = v.n_deferred;
	}
	v.n_pending = p->n_pending - v.n_delivered;
	v.next = v.n_pending == 0	  ? SETTLE_DONE
	    : v.n_deferred == v.n_pending ? SETTLE_RETRY
					  : SETTLE_REQUEUE;
	sched_verdict(w->s, &v, w->now_us);
}

static void
run_until(struct world *w, int64_t until_us)
{
	for (;;) {
		struct plan p;

		sched_plan(w->s, w->now_us, &p);
		if (p.kind == PLAN_WAIT) {
			if (p.due_us >= until_us)
				break;
			w->now_us = p.due_us;
			continue;
		}
		if (p.kind != PLAN_DISPATCH)
			continue;
		if (p.route == w->route)
			w->sent += p.n_recipients;
		else
			w->overflowed += p.n_recipients;
		answer(w, &p);
	}
	w->now_us = until_us;
}

/* ---- days ---- */

/* What the provider's rates let through in so long. */
static int64_t
rates_allow(const struct world *w, int64_t span_us)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < w->lane->limits.rates.n; i++) {
		const struct rate *r = &w->lane->limits.rates.v[i];
		__int128 n = (__int128)span_us * r->count;

		if (rate_is_unlimited(r))
			continue;
		n /= r->window_us;
		if (n < least)
			least = (int64_t)n;
	}
	return least;
}

/* By the plan, the spike guard, or else the provider's own limits. */
static int64_t
allowed_of(const struct world *w, int64_t span_us)
{
	const struct quota *q = w->quota;
	int64_t allowed =
	    q->has_plan && !quota_is_shadow(q) ? q->warmup.allowed : INT64_MAX;

	if (q->guard != NULL && q->guard->mode == MODE_ENFORCE &&
	    q->cap_day == q->day && q->cap < allowed)
		allowed = q->cap;
	return allowed != INT64_MAX ? allowed : rates_allow(w, span_us);
}

static void
run_day(struct world *w, int64_t number, struct simulate_day *out)
{
	int64_t day = calendar_day(&w->calendar, w->now_us);
	int64_t begin_us = w->now_us;
	int64_t end_us = calendar_begin(&w->calendar, day + 1);
	int64_t open_us = calendar_at(&w->calendar, day, w->open_us);
	int64_t close_us = calendar_at(&w->calendar, day, w->close_us);
	struct sched_totals totals;
	int64_t n_before = 0;

	if (close_us <= open_us || close_us > end_us) {
		open_us = w->now_us;
		close_us = end_us;
	}
	w->sent = w->overflowed = 0;
	for (int64_t i = 0; i < ARRIVALS; i++) {
		int64_t n = w->sim->demand * (i + 1) / ARRIVALS;

		run_until(w, open_us + (close_us - open_us) * i / ARRIVALS);
		arrive(w, n - n_before);
		n_before = n;
	}
	/* The day's last moment is still its own. */
	run_until(w, end_us - 1);
	sched_totals(w->s, &totals);
	*out = (struct simulate_day){
		.day = number,
		.date = calendar_date(&w->calendar, day),
		.allowed = allowed_of(w, end_us - begin_us),
		.sent = w->sent,
		.overflowed = w->overflowed,
		.held = (int64_t)totals.n_recipients,
		.stage = w->quota->has_plan ? w->quota->warmup.st.stage + 1 : 0,
	};
	w->now_us = end_us;
}

static int
check(const struct simulate *sim, struct err *err_out)
{
	if (conf_route(sim->conf, sim->route) == NULL)
		return err_set(err_out, "there is no route \"%s\"", sim->route);
	if (conf_provider(sim->conf, sim->provider) == NULL)
		return err_set(err_out, "there is no provider \"%s\"",
		    sim->provider);
	if (sim->n_days < 1 || sim->n_days > SIMULATE_DAYS_MAX)
		return err_set(err_out, "days are 1 to %d", SIMULATE_DAYS_MAX);
	if (sim->demand < 1 || sim->demand > SIMULATE_DEMAND_MAX)
		return err_set(err_out, "the demand is 1 to %lldM a day",
		    (long long)(SIMULATE_DEMAND_MAX / 1000000));
	if (sim->deferred_permille < 0 || sim->deferred_permille > 1000)
		return err_set(err_out, "the deferred share is 0%% to 100%%");
	return 0;
}

int
simulate_run(const struct simulate *sim,
    void (*each)(const struct simulate_day *day, void *arg), void *arg,
    struct err *err_out)
{
	struct world w;

	if (check(sim, err_out) < 0)
		return -1;
	world_new(&w, sim);
	for (int64_t i = 1; i <= sim->n_days; i++) {
		struct simulate_day day;

		run_day(&w, i, &day);
		each(&day, arg);
	}
	world_free(&w);
	return 0;
}
