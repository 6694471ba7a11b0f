/* SPDX-License-Identifier: ISC */
/*
 * A new configuration in the place of the old one: on SIGHUP and on `flyballctl
 * reload`. All that can fail comes first, so that a configuration that can't
 * hold leaves the old one whole.
 *
 * The subtle rule: the workers hear of it before any plan that is made with it.
 */
#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "daemon/governor.h"
#include "daemon/governor_private.h"

static void
swap_runtime(struct governor *g, struct runtime *rt)
{
	struct runtime *old = g->rt;

	pthread_mutex_lock(&g->rt_lock);
	g->rt = rt;
	pthread_mutex_unlock(&g->rt_lock);
	runtime_unref(old);
}

/* The zone of a plan's days; the scheduler leaves the old one first. */
static void
swap_zone(struct governor *g, struct zone *zone)
{
	struct zone *old = g->zone;

	g->zone = zone;
	sched_zone(g->sched, zone);
	zone_close(old);
}

/* What may fail and is in force at once. Where one fails those before it get
 * the old configuration back; governor_reload() does so with the event log. Who
 * may log in comes last, so that it needn't be taken back. */
static int
swap_doors(struct governor *g, const struct conf *conf, struct err *err_out)
{
	const struct conf *old = g->rt->conf;
	struct err err;

	if (event_log_reopen(g->events, conf->daemon.event_log, err_out) < 0)
		return -1;
	if (cluster_reload(g->cluster, conf, err_out) == 0) {
		if (http_reload(g->http, conf, err_out) == 0) {
			if (auth_reload(g->auth, conf, err_out) == 0)
				return 0;
			if (http_reload(g->http, old, &err) < 0)
				log_error("reload", LOG_STR("error", err.text));
		}
		if (cluster_reload(g->cluster, old, &err) < 0)
			log_error("reload", LOG_STR("error", err.text));
	}
	return -1;
}

/* `partly_out`: what couldn't be done, of a configuration that is in force. */
static int
reload_parts(struct governor *g, const struct conf *conf,
    struct strbuf *partly_out, struct err *err_out)
{
	struct zone *zone = zone_open(conf->daemon.timezone, err_out);
	struct runtime *rt;

	if (zone == NULL)
		return -1;
	rt = runtime_new(conf, g->rt, g->n_workers, err_out);
	if (rt == NULL) {
		zone_close(zone);
		return -1;
	}
	if (swap_doors(g, conf, err_out) < 0) {
		runtime_unref(rt);
		zone_close(zone);
		return -1;
	}
	log_init(conf->daemon.log.level, conf->daemon.log.format);
	spool_configure(g->spool, conf);
	/* The workers hear of it before any plan made with it. */
	for (unsigned i = 0; i < g->n_workers; i++)
		worker_configure(g->workers[i], rt);
	swap_runtime(g, rt);
	sched_reload(g->sched, conf, clock_mono_us());
	swap_zone(g, zone);
	governor_mx_reload(g);
	governor_lists_reload(g);
	if (governor_logs_reload(g, err_out) < 0)
		strbuf_addf(partly_out, "%s\n", err_out->text);
	return 0;
}

int
governor_reload(struct governor *g, struct strbuf *errors_out,
    struct strbuf *notes_out)
{
	const struct conf *old = conf_ref(g->rt->conf);
	struct conf *conf = conf_load(old->file, errors_out);
	struct err err = { .text = "" };
	int result = -1;

	if (conf != NULL)
		result = reload_parts(g, conf, errors_out, &err);
	if (conf != NULL && result < 0)
		strbuf_addf(errors_out, "%s\n", err.text);
	if (result == 0)
		conf_needs_restart(old, conf, notes_out);
	/* Else a rotated log were written on, and then compressed. */
	if (result < 0 &&
	    event_log_reopen(g->events, old->daemon.event_log, &err) < 0)
		strbuf_addf(errors_out, "%s\n", err.text);
	conf_unref(conf);
	conf_unref(old);
	if (result < 0)
		log_error("reload", LOG_STR("result", "the old one stays"),
		    LOG_STR("errors", errors_out->data));
	else if (errors_out->len > 0)
		log_error("reload", LOG_STR("result", "in part"),
		    LOG_STR("errors", errors_out->data),
		    LOG_STR("needs_restart", notes_out->data));
	else
		log_info("reload", LOG_STR("result", "ok"),
		    LOG_STR("needs_restart", notes_out->data));
	governor_wake(g);
	return result;
}
