/* SPDX-License-Identifier: ISC */
/*
 * A node of a cluster: joins, says once a second that it is here, hears who
 * else is, and decides what holds while Redis doesn't answer. cluster_lease.c
 * carries leases, scheduler/lease.c says what they allow.
 *
 * Without Redis: leases that were granted run out, then a while longer passes
 * in which other nodes' leases may still hold, and then each node takes its
 * part of every limit (`on_loss: share`) or nothing (`hold`). Coming back, it
 * tells Redis that nodes went their own way, and nothing new is granted until
 * all of that is over (a new generation, lease.lua).
 *
 * Nothing here touches a message: mail waits at its gate, unpunished.
 */
#include "daemon/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/cluster_private.h"

#define BEAT_US		INT64_C(1000000)
/* Without a word for so many lease periods we are without Redis. Whoever else
 * lost it when we did has nothing left of its leases by then. */
#define LOST_PERIODS_X2 5
/* For so many beats a node that is silent counts as alive. */
#define ALIVE_BEATS	3
/* For so many beats fewer must be alive before parts get larger: a server that
 * was flushed, or has just started, knows of those who came first alone. */
#define FEWER_BEATS	5
/* Nodes that come back from a loss come within this time (redis_link.c's
 * longest pause, and a beat). */
#define RETURN_MS	3500

static const struct {
	const char *name, *source;
} scripts[] = {
#include "cluster.inc"
};

static const char *const mode_names[] = {
	[CLUSTER_JOINING] = "joining",
	[CLUSTER_SHARED] = "shared",
	[CLUSTER_SHARE] = "share",
	[CLUSTER_HOLD] = "hold",
	[CLUSTER_REFUSED] = "refused",
};

const char *
cluster_mode_name(enum cluster_mode mode)
{
	return mode_names[mode];
}

/* All keys have one hash tag, so that they are in one slot. */
char *
cluster_key(const struct cluster *c, const char *name)
{
	return xasprintf("{%s}%d:%s", c->conf->prefix, CLUSTER_SCHEME, name);
}

/* ---- modes ---- */

static void
tell_alert(struct cluster *c, const char *text)
{
	struct event_log *log = governor_events(c->g);

	if (!event_log_is_wanted(log))
		return;
	event_begin(log, "alert", clock_utc_us());
	event_str(log, "alert", "cluster");
	event_str(log, "state", mode_names[c->mode]);
	event_str(log, "why", text);
	event_end(log);
}

/* The door between modes. */
static void
enter(struct cluster *c, enum cluster_mode mode, const char *why)
{
	static const enum cluster_grants grants[] = {
		[CLUSTER_JOINING] = GRANTS_ASKED,
		[CLUSTER_SHARED] = GRANTS_ASKED,
		[CLUSTER_SHARE] = GRANTS_PARTS,
		[CLUSTER_HOLD] = GRANTS_NOTHING,
		[CLUSTER_REFUSED] = GRANTS_NOTHING,
	};
	enum cluster_mode was = c->mode;

	if (c->why != why)
		snprintf(c->why, sizeof(c->why), "%s", why);
	if (was == mode && c->mode_since_utc_us != 0)
		return;
	c->mode = mode;
	c->mode_since_utc_us = clock_utc_us();
	c->n_fewer = 0;
	sched_cluster(c->sched, grants[mode], c->conf->lease_us, c->n_parts,
	    clock_mono_us());
	governor_plan_soon(c->g);
	if (mode == CLUSTER_SHARED) {
		log_info("cluster", LOG_STR("mode", mode_names[mode]),
		    LOG_INT("nodes", c->n_alive));
		if (was != CLUSTER_JOINING)
			tell_alert(c, "Redis is back: limits are shared");
	} else if (mode != CLUSTER_JOINING) {
		c->n_losses++;
		log_warn("cluster", LOG_STR("mode", mode_names[mode]),
		    LOG_INT("nodes", c->n_parts), LOG_STR("why", c->why));
		tell_alert(c, c->why);
	}
}

/* Are we without Redis for so long that nothing granted holds any more? */
static void
check_loss(struct cluster *c, int64_t now_us)
{
	if (c->mode != CLUSTER_SHARED && c->mode != CLUSTER_JOINING)
		return;
	if (now_us - c->heard_us < c->conf->lease_us * LOST_PERIODS_X2 / 2)
		return;
	c->is_joined = false;
	/* Who never heard of the others doesn't know what its part is. */
	if (c->mode == CLUSTER_JOINING && c->n_nodes == 0) {
		enter(c, CLUSTER_HOLD, c->why);
		return;
	}
	c->is_lost = c->on_loss == ON_LOSS_SHARE;
	enter(c, c->on_loss == ON_LOSS_SHARE ? CLUSTER_SHARE : CLUSTER_HOLD,
	    c->why[0] != '\0' ? c->why : "Redis doesn't answer");
}

void
cluster_heard(struct cluster *c, int64_t sent_us)
{
	if (sent_us > c->heard_us)
		c->heard_us = sent_us;
}

void
cluster_failed(struct cluster *c, const struct redis_answer *a)
{
	if (a->error == NULL || c->mode == CLUSTER_REFUSED)
		return;
	if (a->outcome == REDIS_UNSENT && c->why[0] != '\0')
		return; /* why it is down was said by the link */
	snprintf(c->why, sizeof(c->why), "%s%s",
	    a->outcome == REDIS_FULL ? "Redis is full: " : "", a->error);
}

void
cluster_heard_newer(struct cluster *c, int64_t incarnation)
{
	if (incarnation > c->incarnation && incarnation > c->newer)
		c->newer = incarnation;
}

void
cluster_refuse(struct cluster *c, const char *fmt, ...)
{
	char why[CLUSTER_WHY_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	c->is_joined = false;
	c->newer = 0;
	enter(c, CLUSTER_REFUSED, why);
}

const char *
cluster_trouble(const struct cluster *c)
{
	if (c == NULL || c->mode == CLUSTER_SHARED)
		return NULL;
	if (c->mode == CLUSTER_JOINING)
		return c->why[0] != '\0' ? c->why : NULL;
	return c->why;
}

/* ---- joining ---- */

static void
nodes_free(struct cluster *c)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		free(c->nodes[i].name);
		free(c->nodes[i].version);
	}
	free(c->nodes);
	c->nodes = NULL;
	c->n_nodes = 0;
}

int64_t
cluster_alive_us(const struct cluster *c)
{
	int64_t us = ALIVE_BEATS * BEAT_US;

	return us > 2 * c->conf->lease_us ? us : 2 * c->conf->lease_us;
}

#define JOIN_HEAD   5 /* OK, now, generation, born, revision */
#define JOIN_FIELDS 6

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct cluster_node *)a)->name,
	    ((const struct cluster_node *)b)->name);
}

static void
read_nodes(struct cluster *c, const struct redisReply *r)
{
	int64_t now_ms = cluster_reply_int(r, 1);
	size_t n = (r->elements - JOIN_HEAD) / JOIN_FIELDS;

	nodes_free(c);
	if (n > CLUSTER_NODES_MAX)
		n = CLUSTER_NODES_MAX;
	c->nodes = xcalloc(n > 0 ? n : 1, sizeof(*c->nodes));
	c->n_nodes = n;
	c->n_alive = 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = JOIN_HEAD + JOIN_FIELDS * i;

		c->nodes[i] = (struct cluster_node){
			.name = xstrdup(cluster_reply_str(r, at)),
			.seen_ms = cluster_reply_int(r, at + 1),
			.version = xstrdup(cluster_reply_str(r, at + 2)),
			.scheme = cluster_reply_int(r, at + 3),
			.started_ms = cluster_reply_int(r, at + 4),
			.n_leases = cluster_reply_int(r, at + 5),
		};
		if (c->nodes[i].seen_ms + cluster_alive_us(c) / 1000 > now_ms)
			c->n_alive++;
	}
	qsort(c->nodes, n, sizeof(*c->nodes), compare_names);
	if (c->n_alive == 0)
		c->n_alive = 1;
	if (c->n_alive >= c->n_parts || ++c->n_fewer >= FEWER_BEATS) {
		c->n_parts = c->n_alive;
		c->n_fewer = 0;
	}
	sched_cluster_nodes(c->sched, c->n_parts);
}

/* Redis began anew, or nodes had gone their own way: it is told all that was
 * sent today, and what was learned is compared. */
static void
hear_generation(struct cluster *c, const char *generation)
{
	bool is_new =
	    c->generation != NULL && strcmp(c->generation, generation) != 0;

	if (c->generation == NULL || is_new) {
		free(c->generation);
		c->generation = xstrdup(generation);
	}
	if (!is_new)
		return;
	log_info("cluster", LOG_STR("generation", generation));
	sched_lease_tell(c->sched, clock_mono_us());
	cluster_lessons_anew(c);
}

/*
 * Our clock went back between two lives, or what was written of us is from
 * another server. That a join has succeeded since says that nobody of our name
 * lives who wrote it (he would have been told to us); so we may follow him.
 */
static void
follow_newer(struct cluster *c)
{
	if (c->newer <= c->incarnation)
		return;
	log_info("cluster", LOG_STR("incarnation", "later than our clock"),
	    LOG_INT("ahead_ms", c->newer - c->incarnation));
	c->incarnation = c->newer + 1;
	c->newer = 0;
}

static void
on_joined(struct cluster *c, const struct redis_answer *a)
{
	const struct redisReply *r = a->reply;

	cluster_heard(c, a->sent_us);
	c->clock_offset_us = cluster_reply_int(r, 1) * 1000 - clock_utc_us();
	read_nodes(c, r);
	hear_generation(c, cluster_reply_str(r, 2));
	c->is_joined = true;
	c->is_lost = false;
	follow_newer(c);
	enter(c, CLUSTER_SHARED, "");
	cluster_read_lessons(c, cluster_reply_int(r, 4));
	cluster_read_suppressed(c);
	governor_plan_soon(c->g);
}

static void
on_join(const struct redis_answer *a, void *arg)
{
	struct cluster *c = arg;
	const char *word;

	if (c->is_leaving)
		return;
	if (a->outcome != REDIS_ANSWERED) {
		cluster_failed(c, a);
		return;
	}
	word = cluster_reply_str(a->reply, 0);
	if (strcmp(word, "OK") == 0 && a->reply->elements >= JOIN_HEAD)
		on_joined(c, a);
	else if (strcmp(word, "NAME") == 0)
		cluster_refuse(c,
		    "another node is called %s; cluster.name must differ",
		    c->conf->name);
	else if (strcmp(word, "SCHEME") == 0)
		cluster_refuse(c,
		    "Redis holds what nodes of scheme %lld wrote; this one "
		    "speaks scheme %d",
		    (long long)cluster_reply_int(a->reply, 1), CLUSTER_SCHEME);
	else
		cluster_refuse(c, "Redis gave an answer that isn't ours");
}

static void
count_lease(const struct lease_view *v, void *arg)
{
	unsigned *n = arg;

	*n += v->route[0] != '\0' && v->ends_us != INT64_MIN;
}

static void
join(struct cluster *c)
{
	struct cluster_args args = { .n = 0 };
	struct redis_bytes keys[] = {
		{ c->key_nodes, strlen(c->key_nodes) },
		{ c->key_generation, strlen(c->key_generation) },
		{ c->key_lessons, strlen(c->key_lessons) },
	};
	struct redis_view view;

	redis_link_view(c->link, &view);
	c->n_leases = 0;
	sched_leases_each(c->sched, clock_mono_us(), count_lease, &c->n_leases);
	cluster_arg_int(&args, CLUSTER_SCHEME);
	cluster_arg_str(&args, "");
	cluster_arg_str(&args, c->conf->name);
	cluster_arg_int(&args, c->incarnation);
	cluster_arg_str(&args, FLYBALL_VERSION);
	cluster_arg_int(&args, governor_started_utc_us(c->g) / 1000);
	cluster_arg_int(&args, c->n_leases);
	cluster_arg_int(&args, cluster_alive_us(c) / 1000);
	cluster_arg_str(&args, view.run_id);
	cluster_arg_str(&args, c->is_leaving ? "1" : "");
	cluster_arg_int(&args, c->is_lost ? RETURN_MS : 0);
	redis_link_call(c->link, c->join, keys, 3, args.v, args.n, 0, on_join,
	    c);
}

/* ---- the link's word ---- */

static void
on_up(void *arg)
{
	join(arg);
}

static void
on_down(const char *reason, void *arg)
{
	struct cluster *c = arg;

	c->is_joined = false;
	if (c->mode != CLUSTER_REFUSED)
		snprintf(c->why, sizeof(c->why), "%s", reason);
	log_info("cluster", LOG_STR("redis", "down"), LOG_STR("why", reason));
}

static void
on_subscribed(void *arg)
{
	(void)arg;
}

static void
on_message(struct redis_bytes channel, struct redis_bytes payload, void *arg)
{
	(void)channel;
	cluster_hear(arg, payload);
}

/* ---- turns ---- */

static void
arm(struct cluster *c, int64_t now_us)
{
	int64_t due_us = sched_lease_due(c->sched), wait_us;
	struct timeval tv;

	if (!c->is_joined || c->is_leaving || c->is_throttled)
		due_us = INT64_MAX;
	if (due_us == c->due_us)
		return;
	c->due_us = due_us;
	if (due_us == INT64_MAX) {
		event_del(c->due);
		return;
	}
	wait_us = due_us > now_us ? due_us - now_us : 0;
	tv = (struct timeval){ .tv_sec = wait_us / 1000000,
		.tv_usec = wait_us % 1000000 };
	event_add(c->due, &tv);
}

void
cluster_turn(struct cluster *c)
{
	int64_t now_us;

	if (c == NULL)
		return;
	now_us = clock_mono_us();
	if (c->is_joined && !c->is_leaving)
		cluster_ask(c, now_us);
	cluster_tell_pending(c);
	arm(c, now_us);
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *c = arg;

	(void)fd;
	(void)what;
	c->due_us = INT64_MAX;
	cluster_turn(c);
}

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *c = arg;
	int64_t now_us = clock_mono_us();

	(void)fd;
	(void)what;
	/* We stood still ourselves: that says nothing of Redis. */
	if (c->beat_us != 0 && now_us - c->beat_us > 2 * BEAT_US)
		c->heard_us = now_us;
	c->beat_us = now_us;
	check_loss(c, now_us);
	if (redis_link_is_up(c->link))
		join(c);
}

void
cluster_leave(struct cluster *c)
{
	if (c == NULL || c->is_leaving)
		return;
	sched_lease_release(c->sched, clock_mono_us());
	if (c->is_joined)
		cluster_ask(c, clock_mono_us() + c->conf->lease_us);
	c->is_leaving = true;
	if (c->is_joined)
		join(c);
	/* One turn of the loop, so that it is written. */
	event_base_loop(governor_base(c->g), EVLOOP_NONBLOCK);
}

/* ---- life ---- */

static const char *
script(const char *name)
{
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].name, name) == 0)
			return scripts[i].source;
	return NULL;
}

static void
start(struct cluster *c)
{
	struct timeval beat = { .tv_sec = BEAT_US / 1000000 };

	c->lease = redis_link_script(c->link, "lease", script("lease"));
	c->join = redis_link_script(c->link, "join", script("join"));
	c->lesson = redis_link_script(c->link, "lesson", script("lesson"));
	redis_link_subscribe(c->link, c->key_lessons);
	c->due = evtimer_new(governor_base(c->g), on_due, c);
	c->beat = event_new(governor_base(c->g), -1, EV_PERSIST, on_beat, c);
	event_add(c->beat, &beat);
	c->due_us = INT64_MAX;
	c->heard_us = clock_mono_us();
	enter(c, CLUSTER_JOINING, "Redis hasn't answered yet");
}

struct cluster *
cluster_new(struct governor *g, struct err *err_out)
{
	static const struct redis_handlers handlers = {
		.on_up = on_up,
		.on_down = on_down,
		.on_subscribed = on_subscribed,
		.on_message = on_message,
	};
	struct cluster *c = xcalloc(1, sizeof(*c));

	c->g = g;
	c->sched = governor_sched(g);
	c->ref = conf_ref(governor_conf(g));
	c->conf = &c->ref->cluster;
	c->on_loss = c->conf->on_loss;
	c->n_alive = c->n_parts = 1;
	c->incarnation = clock_utc_us() / 1000;
	c->key_generation = cluster_key(c, "generation");
	c->key_nodes = cluster_key(c, "nodes");
	c->key_lessons = cluster_key(c, "lessons");
	c->key_suppressed = cluster_key(c, "suppressed");
	c->link =
	    redis_link_new(governor_base(g), c->conf, &handlers, c, err_out);
	if (c->link == NULL) {
		cluster_free(c);
		return NULL;
	}
	start(c);
	return c;
}

int
cluster_reload(struct cluster *c, const struct conf *conf, struct err *err_out)
{
	if (c == NULL || !conf->cluster.is_given)
		return 0; /* what needs a restart is told */
	if (redis_link_configure(c->link, &conf->cluster, err_out) < 0)
		return -1;
	c->on_loss = conf->cluster.on_loss;
	return 0;
}

void
cluster_free(struct cluster *c)
{
	if (c == NULL)
		return;
	cluster_forget_calls(c);
	cluster_lessons_free(c);
	c->is_leaving = true;
	redis_link_free(c->link);
	if (c->due != NULL)
		event_free(c->due);
	if (c->beat != NULL)
		event_free(c->beat);
	nodes_free(c);
	free(c->generation);
	free(c->key_generation);
	free(c->key_nodes);
	free(c->key_lessons);
	free(c->key_suppressed);
	conf_unref(c->ref);
	free(c);
}
