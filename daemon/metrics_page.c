/* SPDX-License-Identifier: ISC */
/*
 * Gathers what /metrics tells from the governor and its scheduler. The text
 * format wants all samples of a metric together, so lanes are looked at first
 * and written metric by metric afterwards. Called by http.c; changes nothing.
 *
 * The subtle rule: labels are bounded. A sender could write to ever new
 * domains, and each site is a lane; so sites have a limit and a common rest.
 */
#include "daemon/metrics_page.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor.h"
#include "daemon/history.h"
#include "daemon/metrics.h"

#define REST	       "(rest)"
#define ABSENT	       INT64_MIN
#define N_LANE_METRICS (METRIC_LANE_END - METRIC_LANE_FIRST)

/* One lane, or the rest of a route's sites. */
struct lane_sample {
	char *labels;
	size_t labels_len;
	int64_t values[N_LANE_METRICS];
	enum gate gate;
	uint64_t refused[CLASS_COUNT];
	bool has_refusals;
};

struct metrics_page {
	struct governor *g;
	char **names; /* of lanes that were not looked at yet: from at on */
	size_t n_names, names_cap;
	struct lane_sample *samples;
	size_t n_samples;
	struct { /* routes that have a rest */
		char *route;
		size_t sample;
	} * rests;
	size_t n_rests, n_sites;
	size_t at;
	unsigned metric;
	enum { PAGE_LOOK, PAGE_DAEMON, PAGE_LANES, PAGE_DONE } phase;
	struct strbuf out;
};

/* ---- lanes ---- */

static void
note_name(const char *name, void *arg)
{
	struct metrics_page *p = arg;

	if (p->n_names == p->names_cap) {
		p->names_cap = p->names_cap ? 2 * p->names_cap : 64;
		p->names = xrealloc(p->names, p->names_cap * sizeof(*p->names));
	}
	p->names[p->n_names++] = xstrdup(name);
}

static struct lane_sample *
sample_new(struct metrics_page *p, const struct lane_view *l, const char *site)
{
	struct lane_sample *s = &p->samples[p->n_samples++];
	struct strbuf labels = { 0 };

	*s = (struct lane_sample){ .gate = GATE_NONE };
	metric_label(&labels, "route", l->route);
	metric_label(&labels, "provider", l->provider);
	metric_label(&labels, "site", site);
	s->labels_len = labels.len;
	s->labels = strbuf_take(&labels);
	return s;
}

static struct lane_sample *
rest_of(struct metrics_page *p, const struct lane_view *l)
{
	struct lane_sample *s;

	for (size_t i = 0; i < p->n_rests; i++)
		if (strcmp(p->rests[i].route, l->route) == 0)
			return &p->samples[p->rests[i].sample];
	p->rests = xrealloc(p->rests, (p->n_rests + 1) * sizeof(*p->rests));
	p->rests[p->n_rests].route = xstrdup(l->route);
	p->rests[p->n_rests++].sample = p->n_samples;
	s = sample_new(p, l, REST);
	for (unsigned m = METRIC_LANE_FIRST; m < METRIC_LANE_SUMS; m++)
		s->values[m - METRIC_LANE_FIRST] = ABSENT;
	return s;
}

static int64_t
milli_of(const struct rate *r)
{
	if (rate_is_unlimited(r))
		return ABSENT;
	return (int64_t)((__int128)r->count * 1000000000 / r->window_us);
}

/* What all windows together let through in the long run. */
static int64_t
ceiling_of(const struct lane_view *l)
{
	int64_t least = ABSENT;

	for (size_t i = 0; i < l->n_rates; i++) {
		int64_t milli = milli_of(&l->rates[i]);

		if (milli != ABSENT && (least == ABSENT || milli < least))
			least = milli;
	}
	return least;
}

/* An array by metric, so that the rows and what fills them can't be mixed up:
 * VALUE(METRIC_LANE_RATE). */
#define VALUE(m) values[(m)-METRIC_LANE_FIRST]

/* What holds for this lane alone. */
static void
look_alone(const struct lane_view *l, struct lane_sample *s)
{
	int64_t *values = s->values;

	for (unsigned m = METRIC_LANE_FIRST; m < METRIC_LANE_SUMS; m++)
		VALUE(m) = ABSENT;
	VALUE(METRIC_LANE_RATE) = (int64_t)l->recent_per_10s * 100;
	VALUE(METRIC_LANE_CEILING) = ceiling_of(l);
	VALUE(METRIC_LANE_ADAPTED) = milli_of(&l->adapted);
	if (l->tokens != INT64_MAX)
		VALUE(METRIC_LANE_TOKENS) = l->tokens;
	VALUE(METRIC_LANE_HELD) = l->gate != GATE_NONE;
	VALUE(METRIC_LANE_SUSPENDED) = l->is_suspended;
	if (l->connections > 0)
		VALUE(METRIC_LANE_LIMIT) = l->connections;
	if (l->day_allowed != INT64_MAX)
		VALUE(METRIC_LANE_DAY_ALLOWED) = l->day_allowed;
	if (l->plan_stage > 0) {
		VALUE(METRIC_LANE_PLAN_DAY) = l->plan_day;
		VALUE(METRIC_LANE_PLAN_STAGE) = l->plan_stage;
	}
	s->gate = l->gate;
}

static void
look_sums(struct metrics_page *p, const struct lane_view *l,
    struct lane_sample *s)
{
	const uint64_t *refused =
	    history_refused(governor_history(p->g), l->name);
	int64_t *values = s->values;

	VALUE(METRIC_LANE_DAY_SENT) += l->day_sent;
	VALUE(METRIC_LANE_IN_FLIGHT) += l->in_flight;
	VALUE(METRIC_LANE_QUEUED_DELIVERIES) += (int64_t)l->n_queued;
	VALUE(METRIC_LANE_QUEUED_RECIPIENTS) += (int64_t)l->n_queued_recipients;
	VALUE(METRIC_LANE_RETRYING) += (int64_t)l->n_retrying;
	VALUE(METRIC_LANE_ATTEMPTED) += (int64_t)l->n_attempted;
	VALUE(METRIC_LANE_DELIVERED) += (int64_t)l->n_delivered;
	VALUE(METRIC_LANE_DEFERRED) += (int64_t)l->n_deferred;
	VALUE(METRIC_LANE_FAILED) += (int64_t)l->n_failed;
	for (unsigned c = 0; refused != NULL && c < CLASS_COUNT; c++) {
		s->refused[c] += refused[c];
		s->has_refusals |= refused[c] > 0;
	}
}

static void
look_at(struct metrics_page *p, const char *name, int64_t now_us)
{
	struct sched *sched = governor_sched(p->g);
	struct lane_sample *s;
	struct lane_view l;
	bool is_rest;

	if (!sched_lane_get(sched, name, now_us, &l))
		return; /* gone since the names were noted */
	is_rest = *l.site != '\0' && ++p->n_sites > METRICS_SITES_MAX;
	s = is_rest ? rest_of(p, &l) : sample_new(p, &l, l.site);
	if (!is_rest)
		look_alone(&l, s);
	look_sums(p, &l, s);
}

static bool
is_long(const struct metrics_page *p, int64_t began_us)
{
	return p->at % 32 == 0 && clock_mono_us() - began_us >= METRICS_STEP_US;
}

static bool
look_on(struct metrics_page *p, int64_t began_us)
{
	while (p->at < p->n_names) {
		if (p->at > 0 && is_long(p, began_us))
			return false;
		look_at(p, p->names[p->at], began_us);
		free(p->names[p->at]);
		p->names[p->at++] = NULL;
	}
	p->at = 0;
	return true;
}

/* ---- the daemon ---- */

static void
put(struct metrics_page *p, enum metric m, int64_t value)
{
	metric_head(&p->out, m);
	metric_value(&p->out, m, "", 0, value);
}

static void
put_build(struct metrics_page *p)
{
	struct strbuf labels = { 0 };

	metric_label(&labels, "version", FLYBALL_VERSION);
	metric_head(&p->out, METRIC_BUILD_INFO);
	metric_value(&p->out, METRIC_BUILD_INFO, labels.data, labels.len, 1);
	strbuf_fini(&labels);
}

static void
put_totals(struct metrics_page *p)
{
	struct governor_load load;
	struct sched_totals t;

	governor_load(p->g, &load);
	put(p, METRIC_SESSIONS, load.n_sessions);
	put(p, METRIC_CONNECTIONS, load.n_connections);
	put(p, METRIC_ACCEPTED, (int64_t)load.n_accepted);
	put(p, METRIC_DELIVERED, (int64_t)load.n_delivered);
	put(p, METRIC_DEFERRED, (int64_t)load.n_deferred);
	put(p, METRIC_FAILED, (int64_t)load.n_failed);
	sched_totals(governor_sched(p->g), &t);
	put(p, METRIC_QUEUED_DELIVERIES, (int64_t)t.n_deliveries);
	put(p, METRIC_QUEUED_RECIPIENTS, (int64_t)t.n_recipients);
	put(p, METRIC_IN_FLIGHT, (int64_t)t.n_in_flight);
	put(p, METRIC_RETRYING, (int64_t)t.n_deferred);
	put(p, METRIC_LANES, (int64_t)t.n_lanes);
	put(p, METRIC_EVENTS_DROPPED,
	    (int64_t)event_log_n_dropped(governor_events(p->g)));
}

static void
count_pause(const struct pause_view *pause, void *arg)
{
	((int64_t *)arg)[pause->kind]++;
}

static void
count_override(const struct override_view *o, void *arg)
{
	(void)o;
	++*(int64_t *)arg;
}

static void
put_orders(struct metrics_page *p)
{
	int64_t n_pauses[PAUSE_SENDER + 1] = { 0 }, n_overrides = 0;
	struct sched *sched = governor_sched(p->g);

	sched_pauses_each(sched, count_pause, n_pauses);
	sched_overrides_each(sched, count_override, &n_overrides);
	metric_head(&p->out, METRIC_PAUSES);
	for (int kind = PAUSE_ROUTE; kind <= PAUSE_SENDER; kind++) {
		struct strbuf labels = { 0 };

		metric_label(&labels, "kind",
		    pause_kind_name((enum pause_kind)kind));
		metric_value(&p->out, METRIC_PAUSES, labels.data, labels.len,
		    n_pauses[kind]);
		strbuf_fini(&labels);
	}
	put(p, METRIC_OVERRIDES, n_overrides);
}

static void
put_spool(struct metrics_page *p)
{
	struct spool_stats st;

	spool_stats(governor_spool(p->g), &st);
	put(p, METRIC_SPOOL_MESSAGES, (int64_t)st.n_messages);
	put(p, METRIC_SPOOL_BYTES, (int64_t)st.n_bytes);
	put(p, METRIC_SPOOL_FREE, (int64_t)st.free_bytes);
	put(p, METRIC_SPOOL_FAILING, st.is_failing);
	put(p, METRIC_SPOOL_BODY_FAILURES, (int64_t)st.n_body_failures);
	put(p, METRIC_SPOOL_COMMITS, (int64_t)st.n_commits);
	put(p, METRIC_SPOOL_REQUESTS, (int64_t)st.n_committed);
}

static void
put_times(struct metrics_page *p)
{
	struct governor_times times;

	governor_times(p->g, &times);
	metric_histogram(&p->out, METRIC_ACCEPT_TIME, &times.accept);
	metric_histogram(&p->out, METRIC_QUEUE_TIME, &times.queue);
	metric_histogram(&p->out, METRIC_DELIVERY_TIME, &times.delivery);
	metric_histogram(&p->out, METRIC_COMMIT_TIME, &times.commit);
}

struct route_walk {
	struct metrics_page *p;
	enum metric metric;
};

static void
put_route(const struct route_view *r, void *arg)
{
	const struct route_walk *walk = arg;
	struct strbuf labels = { 0 };
	int64_t value = walk->metric == METRIC_ROUTE_UP ? !r->is_down
	    : walk->metric == METRIC_ROUTE_IN_FLIGHT	? r->in_flight
							: r->connections;

	metric_label(&labels, "route", r->name);
	metric_value(&walk->p->out, walk->metric, labels.data, labels.len,
	    value);
	strbuf_fini(&labels);
}

static void
put_routes(struct metrics_page *p)
{
	for (int m = METRIC_ROUTE_UP; m <= METRIC_ROUTE_LIMIT; m++) {
		struct route_walk walk = { p, (enum metric)m };

		metric_head(&p->out, walk.metric);
		sched_routes_each(governor_sched(p->g), put_route, &walk);
	}
}

static void
put_daemon(struct metrics_page *p)
{
	put_build(p);
	put(p, METRIC_START_TIME, governor_started_utc_us(p->g));
	put(p, METRIC_READY, governor_unready(p->g) == NULL);
	put_totals(p);
	put_orders(p);
	put_spool(p);
	metrics_put_cluster(governor_cluster(p->g), &p->out);
	put_times(p);
	put_routes(p);
}

/* ---- writing lanes ---- */

static void
put_labelled(struct metrics_page *p, enum metric m, const char *name,
    const char *value, const struct lane_sample *s, int64_t number)
{
	struct strbuf labels = { 0 };

	strbuf_add(&labels, s->labels, s->labels_len);
	metric_label(&labels, name, value);
	metric_value(&p->out, m, labels.data, labels.len, number);
	strbuf_fini(&labels);
}

static void
put_lane(struct metrics_page *p, enum metric m, const struct lane_sample *s)
{
	if (m < METRIC_LANE_END) {
		int64_t value = s->values[m - METRIC_LANE_FIRST];

		if (value != ABSENT)
			metric_value(&p->out, m, s->labels, s->labels_len,
			    value);
	} else if (m == METRIC_LANE_HELD_BY) {
		if (s->gate != GATE_NONE)
			put_labelled(p, m, "gate", gate_name(s->gate), s, 1);
	} else {
		for (unsigned c = 0; s->has_refusals && c < CLASS_COUNT; c++)
			if (s->refused[c] > 0)
				put_labelled(p, m, "class",
				    reply_class_name((enum reply_class)c), s,
				    (int64_t)s->refused[c]);
	}
}

static bool
write_on(struct metrics_page *p, int64_t began_us)
{
	for (; p->metric < METRIC_COUNT; p->metric++, p->at = 0) {
		enum metric m = (enum metric)p->metric;

		if (p->at == 0)
			metric_head(&p->out, m);
		for (; p->at < p->n_samples; p->at++) {
			if (p->at > 0 && is_long(p, began_us))
				return false;
			put_lane(p, m, &p->samples[p->at]);
		}
	}
	return true;
}

/* ---- life ---- */

struct metrics_page *
metrics_page_new(struct governor *g)
{
	struct metrics_page *p = xcalloc(1, sizeof(*p));

	p->g = g;
	p->metric = METRIC_LANE_FIRST;
	sched_lane_names_each(governor_sched(g), note_name, p);
	/* A rest takes the place of at least one lane of its own. */
	p->samples = xcalloc(p->n_names + 1, sizeof(*p->samples));
	return p;
}

bool
metrics_page_step(struct metrics_page *p)
{
	int64_t began_us = clock_mono_us();

	switch (p->phase) {
	case PAGE_LOOK:
		if (!look_on(p, began_us))
			return false;
		p->phase = PAGE_DAEMON;
		return false;
	case PAGE_DAEMON:
		put_daemon(p);
		p->phase = PAGE_LANES;
		return false;
	case PAGE_LANES:
		if (!write_on(p, began_us))
			return false;
		p->phase = PAGE_DONE;
		break;
	case PAGE_DONE:
		break;
	}
	return true;
}

struct strbuf *
metrics_page_text(struct metrics_page *p)
{
	return &p->out;
}

void
metrics_page_free(struct metrics_page *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n_names; i++)
		free(p->names[i]);
	free(p->names);
	for (size_t i = 0; i < p->n_samples; i++)
		free(p->samples[i].labels);
	free(p->samples);
	for (size_t i = 0; i < p->n_rests; i++)
		free(p->rests[i].route);
	free(p->rests);
	strbuf_fini(&p->out);
	free(p);
}
