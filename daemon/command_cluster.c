/* SPDX-License-Identifier: ISC */
/*
 * `cluster`: the relays that share limits with this one, the Redis between
 * them, and what this one holds of each lane. Shows what is known here; asks
 * nobody.
 */
#include "daemon/command_private.h"

#include "daemon/cluster.h"

static const char *
link_state(const struct redis_view *v)
{
	static const char *const names[] = {
		[REDIS_CONNECTING] = "connecting",
		[REDIS_UP] = "up",
		[REDIS_WAITING] = "down",
	};

	return names[v->state];
}

static void
show_ms(struct command *c, const char *key, int64_t us)
{
	if (us >= 0)
		answer_ratio(&c->out, key, us, 1000);
	else
		answer_null(&c->out, key);
}

static void
show_link(struct command *c, const struct redis_view *v)
{
	answer_open(&c->out, "redis", '{');
	answer_str(&c->out, "state", link_state(v));
	answer_opt(&c->out, "server", v->server);
	answer_opt(&c->out, "version", v->version);
	answer_int(&c->out, "age_ms", (c->now_us - v->since_us) / 1000);
	answer_bool(&c->out, "is_subscribed", v->is_subscribed);
	answer_opt(&c->out, "reason", v->reason);
	if (v->state == REDIS_WAITING)
		answer_wait(&c->out, "retry_in_ms", v->due_us, c->now_us);
	else
		answer_null(&c->out, "retry_in_ms");
	show_ms(c, "lag_ms", v->lag_us);
	show_ms(c, "lag_max_ms", v->lag_max_us);
	answer_int(&c->out, "waiting", v->n_calls);
	answer_int(&c->out, "calls", (int64_t)v->n_sent);
	answer_int(&c->out, "failed", (int64_t)v->n_failed);
	answer_int(&c->out, "connects", (int64_t)v->n_connects);
	answer_int(&c->out, "sent_bytes", (int64_t)v->n_sent_bytes);
	answer_int(&c->out, "received_bytes", (int64_t)v->n_received_bytes);
	answer_close(&c->out, '}');
}

static void
show_counts(struct command *c, const struct cluster_view *v)
{
	answer_open(&c->out, "so_far", '{');
	answer_int(&c->out, "lease_calls", (int64_t)v->n_lease_calls);
	answer_int(&c->out, "granted", (int64_t)v->n_tokens_taken);
	answer_int(&c->out, "returned", (int64_t)v->n_tokens_returned);
	answer_int(&c->out, "expired", (int64_t)v->n_tokens_expired);
	answer_int(&c->out, "short", (int64_t)v->n_refused);
	answer_int(&c->out, "lessons_sent", (int64_t)v->n_lessons_sent);
	answer_int(&c->out, "lessons_heard", (int64_t)v->n_lessons_heard);
	answer_int(&c->out, "losses", (int64_t)v->n_losses);
	answer_close(&c->out, '}');
}

static void
show_age(struct command *c, const char *key, int64_t utc_us)
{
	int64_t age_us = c->now_utc_us - utc_us;

	if (utc_us != 0)
		answer_int(&c->out, key, age_us > 0 ? age_us / 1000 : 0);
	else
		answer_null(&c->out, key);
}

static void
show_node(const struct cluster_node_view *n, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "node", n->name);
	answer_str(&c->out, "state", n->is_alive ? "alive" : "gone");
	answer_bool(&c->out, "is_self", n->is_self);
	answer_opt(&c->out, "version", n->version);
	answer_int(&c->out, "scheme", n->scheme);
	show_age(c, "seen_ms", n->seen_utc_us);
	answer_time(&c->out, "started", n->started_utc_us);
	if (n->n_leases >= 0)
		answer_int(&c->out, "leases", n->n_leases);
	else
		answer_null(&c->out, "leases");
	answer_close(&c->out, '}');
}

static void
show_lease(const struct cluster_lease_view *l, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "route", l->route);
	answer_str(&c->out, "provider", l->provider);
	answer_int(&c->out, "held", l->n_held);
	if (l->share_permille >= 0)
		answer_ratio(&c->out, "share", l->share_permille, 1000);
	else
		answer_null(&c->out, "share");
	answer_int(&c->out, "wanted", l->wanted);
	answer_int(&c->out, "granted", l->granted);
	if (l->expires_utc_us != 0)
		answer_wait(&c->out, "remaining_ms", l->expires_utc_us,
		    c->now_utc_us);
	else
		answer_null(&c->out, "remaining_ms");
	answer_close(&c->out, '}');
}

/* Of `status`: enough to see that it is there and works. */
void
command_show_cluster(struct command *c)
{
	const struct cluster *cluster = governor_cluster(c->g);
	struct cluster_view v;

	if (cluster == NULL) {
		answer_null(&c->out, "cluster");
		return;
	}
	cluster_view(cluster, &v);
	answer_open(&c->out, "cluster", '{');
	answer_str(&c->out, "mode", cluster_mode_name(v.mode));
	answer_opt(&c->out, "why", v.why);
	answer_int(&c->out, "nodes_alive", v.n_nodes);
	answer_str(&c->out, "redis", link_state(&v.link));
	answer_opt(&c->out, "server", v.link.server);
	show_ms(c, "lag_ms", v.link.lag_us);
	answer_close(&c->out, '}');
}

int
command_cluster(struct command *c)
{
	const struct conf_cluster *conf = &governor_conf(c->g)->cluster;
	const struct cluster *cluster = governor_cluster(c->g);
	struct cluster_view v;

	if (cluster == NULL) {
		err_set(&c->hint, "give cluster.redis, and restart");
		return command_refuse(c, "this relay shares nothing");
	}
	cluster_view(cluster, &v);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "mode", cluster_mode_name(v.mode));
	answer_time(&c->out, "since", v.mode_since_utc_us);
	show_age(c, "age_ms", v.mode_since_utc_us);
	answer_opt(&c->out, "why", v.why);
	answer_str(&c->out, "node", conf->name);
	answer_str(&c->out, "prefix", conf->prefix);
	answer_int(&c->out, "scheme", v.scheme);
	answer_ratio(&c->out, "lease_ms", conf->lease_us, 1000);
	answer_str(&c->out, "on_loss",
	    conf->on_loss == ON_LOSS_SHARE ? "share" : "hold");
	answer_int(&c->out, "nodes_alive", v.n_nodes);
	answer_int(&c->out, "lanes", v.n_lanes);
	answer_int(&c->out, "held", v.n_held);
	answer_int(&c->out, "clock_offset_ms", v.clock_offset_us / 1000);
	show_link(c, &v.link);
	show_counts(c, &v);
	answer_open(&c->out, "nodes", '[');
	cluster_nodes_each(cluster, show_node, c);
	answer_close(&c->out, ']');
	answer_open(&c->out, "leases", '[');
	cluster_leases_each(cluster, show_lease, c);
	answer_close(&c->out, ']');
	answer_close(&c->out, '}');
	return 0;
}
