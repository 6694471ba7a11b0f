/* SPDX-License-Identifier: ISC */
/*
 * The deciding thread, and the daemon's composition: it makes the spool, the
 * workers and the admin socket, runs its loop, and takes everything down in the
 * order in which nothing is lost. governor_reload.c swaps configurations.
 *
 * Everything that decides lives on this thread, so there are no locks around
 * decisions. It must never wait for a disk, a peer or a name server.
 */
#include "daemon/governor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "conf/base/clock.h"
#include "conf/base/log_limit.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/activation.h"
#include "daemon/fault.h"
#include "daemon/governor_private.h"
#include "daemon/governor_run.h"

/* After the drain: time for what hangs to end by itself. */
#define HALT_US 5000000

static void
notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

/* ---- sight ---- */

struct sched *
governor_sched(struct governor *g)
{
	return g->sched;
}

const struct conf *
governor_conf(const struct governor *g)
{
	return g->rt->conf;
}

struct spool *
governor_spool(struct governor *g)
{
	return g->spool;
}

struct spool_reader *
governor_reader(struct governor *g)
{
	return g->reader;
}

struct suppression_list *
governor_suppressions(struct governor *g)
{
	return g->shared.suppressions;
}

struct event_log *
governor_events(struct governor *g)
{
	return g->events;
}

struct event_base *
governor_base(struct governor *g)
{
	return g->base;
}

int64_t
governor_started_utc_us(const struct governor *g)
{
	return g->started_utc_us;
}

void
governor_load(const struct governor *g, struct governor_load *out)
{
	*out = (struct governor_load){
		.n_sessions = atomic_load(&g->shared.n_sessions),
		.n_connections = atomic_load(&g->shared.n_connections),
		.n_accepted = atomic_load(&g->shared.n_accepted),
		.n_delivered = g->n_delivered,
		.n_deferred = g->n_deferred,
		.n_failed = g->n_failed,
	};
}

struct history *
governor_history(struct governor *g)
{
	return g->history;
}

const char *
governor_http(const struct governor *g)
{
	return http_address(g->http);
}

void
governor_times(struct governor *g, struct governor_times *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < g->n_workers; i++)
		histogram_add(&out->accept, worker_accept_times(g->workers[i]));
	histogram_add(&out->queue, &g->queue_times);
	histogram_add(&out->delivery, &g->delivery_times);
	histogram_add(&out->commit, spool_commit_times(g->spool));
}

const char *
governor_unready(struct governor *g)
{
	const struct conf_spool *conf = &g->rt->conf->spool;
	struct spool_stats st;

	spool_stats(g->spool, &st);
	if (!g->is_running)
		return "starting";
	if (g->is_draining)
		return "draining: no new mail is accepted";
	if (g->is_spool_failing || st.is_failing)
		return "the disk of the spool fails";
	if ((int64_t)st.free_bytes < conf->min_free_bytes)
		return "the disk of the spool has less than spool.min_free";
	if ((int64_t)st.n_messages >= conf->max_messages ||
	    (int64_t)st.n_bytes >= conf->max_bytes)
		return "the spool is full";
	return NULL;
}

/* ---- systemd's watchdog ---- */

/* It restarts a daemon whose deciding thread hangs. */
static void
watchdog_init(struct governor *g)
{
#ifdef HAVE_SYSTEMD
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) > 0)
		g->watchdog_us = (int64_t)us;
#else
	(void)g;
#endif
}

static void
watchdog_tell(struct governor *g)
{
	int64_t now_us = clock_mono_us();

	if (g->watchdog_us == 0 || now_us - g->watched_us < g->watchdog_us / 2)
		return;
	g->watched_us = now_us;
	notify("WATCHDOG=1");
}

/* ---- turns ---- */

static void
end_turn(struct governor *g)
{
	atomic_store(&g->shared.wants_events, event_log_is_wanted(g->events));
	if (g->wants_plan)
		governor_plan(g);
	governor_keep_state(g);
	cluster_turn(g->cluster);
	governor_tell_changes(g);
	event_log_flush(g->events);
}

static void
on_batch_done(void *arg)
{
	end_turn(arg);
}

static void
on_plan_timer(evutil_socket_t fd, short what, void *arg)
{
	struct governor *g = arg;

	(void)fd;
	(void)what;
	g->timer_due_us = 0;
	g->wants_plan = true;
	end_turn(g);
}

void
governor_wake(struct governor *g)
{
	struct timeval now = { 0 };

	g->timer_due_us = 1; /* not a time that a plan gives */
	g->saved_us = 0;     /* the operator's word is kept at once */
	event_add(g->plan_timer, &now);
}

void
governor_plan_soon(struct governor *g)
{
	struct timeval now = { 0 };

	g->wants_plan = true;
	if (g->timer_due_us == 1)
		return;
	g->timer_due_us = 1;
	event_add(g->plan_timer, &now);
}

struct cluster *
governor_cluster(struct governor *g)
{
	return g->cluster;
}

/* ---- signals ---- */

static void
on_reload_signal(evutil_socket_t fd, short what, void *arg)
{
	struct strbuf errors = { 0 }, notes = { 0 };

	(void)fd;
	(void)what;
	governor_reload(arg, &errors, &notes);
	strbuf_fini(&errors);
	strbuf_fini(&notes);
}

/* ---- drain ---- */

static void
add_drain_timer(struct governor *g, int64_t us)
{
	struct timeval tv = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };

	event_add(g->drain_timer, &tv);
}

static void
on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
	struct governor *g = arg;

	(void)fd;
	(void)what;
	if (g->n_halts++ > 0) {
		/* A disk that doesn't answer: what was accepted is synced. */
		log_error("stop", LOG_STR("result", "gave up waiting"));
		_exit(1);
	}
	log_warn("drain",
	    LOG_STR("result",
		"timed out: sessions and "
		"deliveries under way end now"));
	for (unsigned i = 0; i < g->n_workers; i++)
		worker_halt(g->workers[i]);
	add_drain_timer(g, HALT_US);
}

void
governor_drain(struct governor *g)
{
	if (g->is_draining)
		return;
	g->is_draining = true;
	notify("STOPPING=1");
	log_info("drain");
	for (unsigned i = 0; i < g->n_workers; i++)
		worker_drain(g->workers[i]);
	add_drain_timer(g, g->rt->conf->daemon.drain_timeout_us);
}

void
governor_drained(struct governor *g)
{
	if (++g->n_drained == g->n_workers)
		event_base_loopexit(g->base, NULL);
}

static void
on_stop_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	governor_drain(arg);
}

/* ---- life ---- */

static int
add_signal(struct governor *g, size_t slot, int number, event_callback_fn fn)
{
	g->signals[slot] = evsignal_new(g->base, number, fn, g);
	return event_add(g->signals[slot], NULL);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct governor *g = arg;

	(void)fd;
	(void)what;
	watchdog_tell(g);
	history_tick(g->history, g->sched, clock_mono_us(), clock_utc_us());
	governor_logs_tick(g);
	governor_watch_contents(g);
	log_limits_tick(clock_mono_us());
	end_turn(g);
}

static void
make_loop(struct governor *g)
{
	struct timeval tick = { .tv_sec = 1 };
	struct event_config *config = event_config_new();

	/* Pacing is to the microsecond: epoll's milliseconds are too coarse. */
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	/* Other threads only write to the mailbox's eventfd. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	g->base = event_base_new_with_config(config);
	event_config_free(config);
	g->plan_timer = evtimer_new(g->base, on_plan_timer, g);
	g->tick = event_new(g->base, -1, EV_PERSIST, on_tick, g);
	g->full_timer = evtimer_new(g->base, on_tick, g);
	watchdog_init(g);
	/* A watchdog of less than some seconds is told more often. */
	if (g->watchdog_us > 0 && g->watchdog_us < 3000000)
		tick = (struct timeval){ .tv_usec = g->watchdog_us / 4 };
	event_add(g->tick, &tick);
	g->drain_timer = evtimer_new(g->base, on_drain_timer, g);
	g->mailbox = mailbox_new(g->base, governor_receive, on_batch_done, g);
	add_signal(g, 0, SIGHUP, on_reload_signal);
	add_signal(g, 1, SIGTERM, on_stop_signal);
	add_signal(g, 2, SIGINT, on_stop_signal);
}

static int
make_parts(struct governor *g, const struct conf *conf, struct err *err_out)
{
	struct spool_ops ops;

	g->events = event_log_open(conf->daemon.event_log, err_out);
	if (g->events == NULL)
		return -1;
	g->auth = auth_new(conf, err_out);
	if (g->auth == NULL)
		return -1;
	governor_spool_ops(g, &ops);
	g->spool = spool_open(conf, &ops, err_out);
	if (g->spool == NULL)
		return -1;
	g->reader = spool_reader_new(g->spool, err_out);
	if (g->reader == NULL)
		return -1;
	g->rt = runtime_new(conf, NULL, g->n_workers, err_out);
	if (g->rt == NULL)
		return -1;
	g->zone = zone_open(conf->daemon.timezone, err_out);
	if (g->zone == NULL)
		return -1;
	g->history = history_new(g->reader);
	governor_mx_open(g);
	governor_lists_open(g);
	governor_reports_open(g);
	governor_logs_open(g);
	g->sched = sched_new(conf, (uint64_t)clock_utc_us());
	sched_zone(g->sched, g->zone);
	g->shared.spool = g->spool;
	g->shared.auth = g->auth;
	g->shared.peers = peer_table_new();
	g->shared.submissions = rate_limiter_new();
	g->shared.governor = g->mailbox;
	g->shared.full_plans = full_plans_new();
	g->shared.suppressions = suppression_list_new(err_out);
	if (g->shared.suppressions == NULL)
		return -1;
	if (conf->cluster.is_given)
		g->cluster = cluster_new(g, err_out);
	return conf->cluster.is_given && g->cluster == NULL ? -1 : 0;
}

static int
make_workers(struct governor *g, struct err *err_out)
{
	g->workers = xcalloc(g->n_workers, sizeof(struct worker *));
	for (unsigned i = 0; i < g->n_workers; i++) {
		g->workers[i] = worker_new(i, &g->shared, g->rt, err_out);
		if (g->workers[i] == NULL)
			return -1;
	}
	return 0;
}

struct governor *
governor_new(const struct conf *conf, struct err *err_out)
{
	struct governor *g = xcalloc(1, sizeof(*g));

	g->n_workers = conf->daemon.workers;
	g->started_utc_us = clock_utc_us();
	pthread_mutex_init(&g->rt_lock, NULL);
	make_loop(g);
	if (make_parts(g, conf, err_out) < 0 || make_workers(g, err_out) < 0 ||
	    (g->admin = admin_new(g, err_out)) == NULL ||
	    (g->http = http_new(g, err_out)) == NULL) {
		governor_free(g);
		return NULL;
	}
	return g;
}

static void
log_ready(struct governor *g)
{
	struct strbuf listeners = { 0 };
	struct sched_totals totals;

	for (size_t i = 0; i < g->rt->conf->n_listeners; i++)
		if (g->rt->conf->listeners[i].open_relay)
			log_warn("open_relay",
			    LOG_STR("listener", g->rt->sockets[i]->address),
			    LOG_STR("effect",
				"whoever reaches it may send to anybody"));
	for (size_t i = 0; i < conf_n_listeners(g->rt->conf); i++)
		strbuf_addf(&listeners, "%s%s", i ? "," : "",
		    g->rt->sockets[i]->address);
	sched_totals(g->sched, &totals);
	log_always("ready", LOG_STR("listeners", listeners.data),
	    LOG_STR("admin", g->rt->conf->daemon.admin_socket.path),
	    LOG_STR("http", http_address(g->http)),
	    LOG_INT("queued", totals.n_deliveries),
	    LOG_INT("took_ms", (clock_utc_us() - g->started_utc_us) / 1000),
	    LOG_STR("version", FLYBALL_VERSION));
	strbuf_fini(&listeners);
}

static int
start(struct governor *g, struct err *err_out)
{
	g->is_scanning = true;
	if (governor_restore(g, err_out) < 0)
		return -1;
	if (spool_scan(g->spool, err_out) < 0)
		return -1;
	g->is_scanning = false;
	if (spool_start(g->spool, err_out) < 0)
		return -1;
	if (governor_logs_start(g, err_out) < 0)
		return -1;
	for (unsigned i = 0; i < g->n_workers; i++)
		if (worker_start(g->workers[i], err_out) < 0)
			return -1;
	return 0;
}

/* What is in flight has ended: its settlements go to disk, the sessions that
 * wait for a commit get their answer, then the rest goes. A deferral is heard
 * once its settlement is on disk; so what the scheduler learns is written twice,
 * now in case that this is cut short, and when nothing can come any more. */
static void
stop(struct governor *g)
{
	governor_logs_stop(g);
	mailbox_drain(g->mailbox);
	governor_last_save(g);
	cluster_leave(g->cluster);
	spool_stop(g->spool);
	auth_free(g->auth);
	g->auth = NULL;
	for (unsigned i = 0; i < g->n_workers; i++)
		worker_stop(g->workers[i]);
	g->is_stopped = true;
	mailbox_drain(g->mailbox);
	governor_last_save(g);
}

int
governor_run(struct governor *g, struct err *err_out)
{
	g->wants_plan = false;
	if (start(g, err_out) < 0)
		return -1;
	g->is_running = true;
	fault_started();
	activation_warn_unused();
	log_ready(g);
	notify("READY=1");
	g->wants_plan = true;
	end_turn(g);
	event_base_loop(g->base, EVLOOP_NO_EXIT_ON_EMPTY);
	stop(g);
	log_info("stopped");
	return 0;
}

void
governor_free(struct governor *g)
{
	if (g == NULL)
		return;
	http_free(g->http);
	admin_free(g->admin);
	cluster_free(g->cluster);
	governor_reports_close(g);
	governor_lists_close(g);
	governor_logs_close(g);
	governor_mx_close(g);
	for (unsigned i = 0; g->workers != NULL && i < g->n_workers; i++)
		worker_free(g->workers[i]);
	free(g->workers);
	auth_free(g->auth);
	if (g->reader != NULL)
		spool_reader_free(g->reader);
	if (g->spool != NULL)
		spool_close(g->spool);
	sched_free(g->sched);
	runtime_unref(g->rt);
	peer_table_free(g->shared.peers);
	rate_limiter_free(g->shared.submissions);
	suppression_list_free(g->shared.suppressions);
	full_plans_free(g->shared.full_plans);
	governor_uses_free(g);
	history_free(g->history);
	event_log_close(g->events);
	mailbox_free(g->mailbox);
	zone_close(g->zone);
	event_free(g->plan_timer);
	event_free(g->tick);
	event_free(g->full_timer);
	event_free(g->drain_timer);
	for (size_t i = 0; i < 4; i++)
		if (g->signals[i] != NULL)
			event_free(g->signals[i]);
	event_base_free(g->base);
	pthread_mutex_destroy(&g->rt_lock);
	free(g);
}
