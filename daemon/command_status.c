/* SPDX-License-Identifier: ISC */
/*
 * `status`, `providers` and `version`: the daemon at a glance, and what the
 * configuration says of the providers. Costs a few look-ups, never a walk over
 * the queue.
 */
#include "daemon/command_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "daemon/cluster.h"
#include "daemon/selection.h"

/* ---- alerts: what an operator should look at first ---- */

static void add_alert(struct command *c, const char *alert, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

static void
add_alert(struct command *c, const char *alert, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "alert", alert);
	answer_str(&c->out, "text", text);
	answer_close(&c->out, '}');
}

static void
alert_spool(struct command *c, const struct spool_stats *st)
{
	const struct conf_spool *s = &governor_conf(c->g)->spool;
	char bytes[UNITS_TEXT_SIZE];

	if (st->is_failing)
		add_alert(c, "spool",
		    "the spool's disk fails: new mail gets 451 and nothing is "
		    "sent until it works again");
	if (st->body_failed_us != 0 &&
	    c->now_us - st->body_failed_us < SPOOL_LATELY_US)
		add_alert(c, "spool",
		    "%" PRIu64 " large messages got 451 since the start, the "
		    "last %" PRId64 " s ago: their files could not be written; "
		    "the log says why",
		    st->n_body_failures,
		    (c->now_us - st->body_failed_us) / 1000000);
	if ((int64_t)st->free_bytes < s->min_free_bytes)
		add_alert(c, "disk",
		    "the spool's disk has less than spool.min_free (%s) left: "
		    "new mail gets 452",
		    units_format_size(s->min_free_bytes, bytes));
	if ((int64_t)st->n_messages >= s->max_messages)
		add_alert(c, "queue",
		    "the spool is full (spool.max_messages %" PRId64 "): new "
		    "mail gets 452",
		    s->max_messages);
	else if ((int64_t)st->n_messages >= s->max_messages / 10 * 9)
		add_alert(c, "queue",
		    "%" PRIu64 " messages of spool.max_messages %" PRId64
		    " are queued",
		    st->n_messages, s->max_messages);
	if ((int64_t)st->n_bytes >= s->max_bytes)
		add_alert(c, "queue",
		    "the spool is full (spool.max_bytes %s): new mail gets 452",
		    units_format_size(s->max_bytes, bytes));
}

static void
alert_route(const struct route_view *r, void *arg)
{
	struct command *c = arg;

	if (r->is_down)
		add_alert(c, "route",
		    "route %s is down; tried again in %" PRId64 " s: %s",
		    r->name, (r->down_until_us - c->now_us + 999999) / 1000000,
		    r->why);
}

static void
alert_log(const char *text, void *arg)
{
	add_alert(arg, "log", "%s", text);
}

/* A provider's bad day may suspend each of a thousand sites. */
#define TROUBLES_SHOWN 50

struct troubles {
	struct command *c;
	size_t n;
};

static void
alert_trouble(const struct trouble_view *t, void *arg)
{
	struct troubles *all = arg;

	if (all->n++ < TROUBLES_SHOWN)
		add_alert(all->c, trouble_kind_name(t->kind), "%s", t->text);
}

static void
alert_troubles(struct command *c)
{
	struct troubles all = { .c = c };

	sched_troubles_each(governor_sched(c->g), c->now_us, alert_trouble,
	    &all);
	if (all.n > TROUBLES_SHOWN)
		add_alert(c, "lane",
		    "%zu more lanes, sender domains or streams are held",
		    all.n - TROUBLES_SHOWN);
}

static void
show_alerts(struct command *c, const struct spool_stats *st)
{
	uint64_t n_dropped = event_log_n_dropped(governor_events(c->g));

	answer_open(&c->out, "alerts", '[');
	alert_spool(c, st);
	sched_routes_each(governor_sched(c->g), alert_route, c);
	alert_troubles(c);
	governor_log_alerts_each(c->g, alert_log, c);
	if (cluster_trouble(governor_cluster(c->g)) != NULL)
		add_alert(c, "cluster", "limits aren't shared: %s",
		    cluster_trouble(governor_cluster(c->g)));
	if (n_dropped > 0)
		add_alert(c, "events",
		    "%" PRIu64 " events could not be written to the event log",
		    n_dropped);
	answer_close(&c->out, ']');
}

/* ---- status ---- */

static void
show_totals(struct command *c)
{
	struct sched_totals t;

	sched_totals(governor_sched(c->g), &t);
	answer_open(&c->out, "totals", '{');
	answer_int(&c->out, "deliveries", (int64_t)t.n_deliveries);
	answer_int(&c->out, "recipients", (int64_t)t.n_recipients);
	answer_int(&c->out, "in_flight", (int64_t)t.n_in_flight);
	answer_int(&c->out, "deferred", (int64_t)t.n_deferred);
	answer_int(&c->out, "lanes", (int64_t)t.n_lanes);
	if (t.oldest_message != 0)
		command_id(c, "oldest_message", (uint64_t)t.oldest_message);
	else
		answer_null(&c->out, "oldest_message");
	answer_close(&c->out, '}');
}

static void
show_load(struct command *c)
{
	struct governor_load load;

	governor_load(c->g, &load);
	answer_open(&c->out, "load", '{');
	answer_int(&c->out, "sessions", load.n_sessions);
	answer_int(&c->out, "connections", load.n_connections);
	answer_int(&c->out, "accepted_messages", (int64_t)load.n_accepted);
	answer_int(&c->out, "delivered", (int64_t)load.n_delivered);
	answer_int(&c->out, "deferred", (int64_t)load.n_deferred);
	answer_int(&c->out, "failed", (int64_t)load.n_failed);
	answer_close(&c->out, '}');
}

static void
show_spool(struct command *c, const struct spool_stats *st)
{
	uint64_t n = st->n_commits > 0 ? st->n_commits : 1;

	answer_open(&c->out, "spool", '{');
	answer_int(&c->out, "messages", (int64_t)st->n_messages);
	answer_int(&c->out, "deliveries", (int64_t)st->n_deliveries);
	answer_int(&c->out, "bytes", (int64_t)st->n_bytes);
	answer_int(&c->out, "free_bytes", (int64_t)st->free_bytes);
	answer_int(&c->out, "commits", (int64_t)st->n_commits);
	answer_ratio(&c->out, "commit_mean_ms", st->commit_us_total,
	    (int64_t)n * 1000);
	answer_ratio(&c->out, "commit_max_ms", st->commit_us_max, 1000);
	answer_bool(&c->out, "is_failing", st->is_failing);
	answer_close(&c->out, '}');
}

static void
show_route(const struct route_view *r, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "route", r->name);
	answer_int(&c->out, "in_flight", r->in_flight);
	answer_int(&c->out, "connections", r->connections);
	answer_int(&c->out, "connections_configured",
	    r->connections_configured);
	answer_str(&c->out, "state", r->is_down ? "down" : "up");
	if (r->is_down)
		answer_wait(&c->out, "retry_in_ms", r->down_until_us,
		    c->now_us);
	else
		answer_null(&c->out, "retry_in_ms");
	answer_opt(&c->out, "why", r->why);
	answer_close(&c->out, '}');
}

static void
show_until(struct command *c, int64_t since_us, int64_t until_us)
{
	command_time(c, "since", since_us);
	answer_int(&c->out, "age_ms", (c->now_us - since_us) / 1000);
	command_time(c, "until", until_us);
	answer_wait(&c->out, "remaining_ms", until_us, c->now_us);
}

static void
show_pause(const struct pause_view *p, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "kind", pause_kind_name(p->kind));
	answer_str(&c->out, "name", p->name);
	show_until(c, p->since_us, p->until_us);
	answer_opt(&c->out, "because", p->because);
	answer_close(&c->out, '}');
}

static void
show_override(const struct override_view *o, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "lane", o->lane);
	if (o->n_rates > 0)
		command_show_rates(c, "rates", o->rates, o->n_rates);
	else
		answer_int(&c->out, "connections", o->connections);
	show_until(c, o->since_us, o->until_us);
	answer_close(&c->out, '}');
}

static void
show_age(struct command *c, const char *key, int64_t age_us)
{
	if (age_us >= 0)
		answer_int(&c->out, key, age_us / 1000);
}

static void
show_log(const struct governor_log_view *v, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "log", v->name);
	if (v->why != NULL)
		answer_str(&c->out, "broken", v->why);
	answer_int(&c->out, "lines", (int64_t)v->n_lines);
	answer_int(&c->out, "foreign", (int64_t)v->n_foreign);
	show_age(c, "line_ms", v->line_age_us);
	show_age(c, "heard_ms", v->heard_age_us);
	show_age(c, "unheard_ms", v->unheard_age_us);
	answer_close(&c->out, '}');
}

int
command_status(struct command *c)
{
	const struct conf *conf = governor_conf(c->g);
	struct sched *s = governor_sched(c->g);
	struct spool_stats stats;

	spool_stats(governor_spool(c->g), &stats);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "version", FLYBALL_VERSION);
	answer_int(&c->out, "pid", getpid());
	answer_str(&c->out, "hostname", conf->daemon.hostname);
	answer_str(&c->out, "config", conf->file);
	answer_opt(&c->out, "event_log", conf->daemon.event_log);
	answer_time(&c->out, "now", c->now_utc_us);
	answer_time(&c->out, "started", governor_started_utc_us(c->g));
	answer_int(&c->out, "uptime_ms",
	    (c->now_utc_us - governor_started_utc_us(c->g)) / 1000);
	answer_opt(&c->out, "http", governor_http(c->g));
	answer_opt(&c->out, "unready", governor_unready(c->g));
	answer_str(&c->out, "log_level", log_level_name(log_level()));
	show_alerts(c, &stats);
	show_totals(c);
	show_load(c);
	show_spool(c, &stats);
	command_show_cluster(c);
	answer_open(&c->out, "routes", '[');
	sched_routes_each(s, show_route, c);
	answer_close(&c->out, ']');
	answer_open(&c->out, "logs", '[');
	governor_logs_each(c->g, show_log, c);
	answer_close(&c->out, ']');
	answer_open(&c->out, "pauses", '[');
	sched_pauses_each(s, show_pause, c);
	answer_close(&c->out, ']');
	answer_open(&c->out, "overrides", '[');
	sched_overrides_each(s, show_override, c);
	answer_close(&c->out, ']');
	answer_close(&c->out, '}');
	return 0;
}

int
command_version(struct command *c)
{
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "version", FLYBALL_VERSION);
	answer_int(&c->out, "pid", getpid());
	answer_close(&c->out, '}');
	return 0;
}

/* ---- providers ---- */

static void
show_names(struct command *c, const char *key, const struct conf_names *names)
{
	answer_open(&c->out, key, '[');
	for (size_t i = 0; i < names->n; i++)
		answer_str(&c->out, NULL, names->v[i]);
	answer_close(&c->out, ']');
}

static void
show_limit(struct command *c, const char *key, int64_t limit)
{
	if (limit > 0)
		answer_int(&c->out, key, limit);
	else
		answer_null(&c->out, key);
}

static void
show_provider(struct command *c, const struct conf_provider *p)
{
	const struct conf_limit_set *l = &p->limits;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "provider", p->name);
	answer_bool(&c->out, "is_builtin", p->is_builtin);
	command_show_rates(c, "rates", l->rates.v, l->rates.n);
	show_limit(c, "burst", l->burst);
	show_limit(c, "connections", l->connections);
	show_limit(c, "messages_per_connection", l->messages_per_connection);
	show_limit(c, "recipients_per_message", l->recipients_per_message);
	show_names(c, "domains", &p->domains);
	show_names(c, "mx", &p->mx);
	answer_int(&c->out, "reply_rules", (int64_t)p->n_replies);
	answer_close(&c->out, '}');
}

static bool
any_fits(const char *pattern, const struct conf_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		if (pattern_fits(pattern, names->v[i]))
			return true;
	return false;
}

int
command_providers(struct command *c)
{
	const struct conf *conf = governor_conf(c->g);
	char *pattern = pattern_of_filter(c->n_args > 0 ? c->args[0] : "");

	answer_open(&c->out, NULL, '[');
	for (size_t i = 0; i < conf->n_providers; i++) {
		const struct conf_provider *p = &conf->providers[i];

		if (pattern_fits(pattern, p->name) ||
		    any_fits(pattern, &p->domains) || any_fits(pattern, &p->mx))
			show_provider(c, p);
	}
	answer_close(&c->out, ']');
	free(pattern);
	return 0;
}
