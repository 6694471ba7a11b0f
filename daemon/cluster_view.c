/* SPDX-License-Identifier: ISC */
/*
 * What is shown of the cluster, as cluster.c and the scheduler have it. Asks
 * nobody and changes nothing.
 */
#include "daemon/cluster_view.h"

#include <string.h>

#include "conf/base/clock.h"
#include "daemon/cluster_private.h"

static void
sum_lease(const struct lease_view *v, void *arg)
{
	struct cluster_view *out = arg;

	if (v->route[0] == '\0')
		return;
	out->n_lanes += v->ends_us != INT64_MIN;
	out->n_held += v->n_held;
}

void
cluster_view(const struct cluster *c, struct cluster_view *out)
{
	struct lease_totals totals;

	*out = (struct cluster_view){
		.mode = c->mode,
		.mode_since_utc_us = c->mode_since_utc_us,
		.why = c->why,
		.scheme = CLUSTER_SCHEME,
		.n_nodes = c->n_alive,
		.n_lease_calls = c->n_lease_calls,
		.n_lessons_sent = c->n_lessons_sent,
		.n_lessons_heard = c->n_lessons_heard,
		.n_losses = c->n_losses,
		.clock_offset_us = c->clock_offset_us,
	};
	redis_link_view(c->link, &out->link);
	sched_lease_totals(c->sched, &totals);
	out->n_tokens_taken = totals.n_taken;
	out->n_tokens_returned = totals.n_returned;
	out->n_tokens_expired = totals.n_expired;
	out->n_refused = totals.n_short;
	sched_leases_each(c->sched, clock_mono_us(), sum_lease, out);
}

static void
view_node(const struct cluster *c, const struct cluster_node *n,
    struct cluster_node_view *out)
{
	int64_t offset_us = c->clock_offset_us;

	*out = (struct cluster_node_view){
		.name = n->name,
		.version = n->version,
		.scheme = (unsigned)n->scheme,
		.is_self = strcmp(n->name, c->conf->name) == 0,
		.seen_utc_us = n->seen_ms * 1000 - offset_us,
		.started_utc_us = n->started_ms * 1000,
		.n_leases = n->n_leases,
	};
	out->is_alive = clock_utc_us() - out->seen_utc_us < cluster_alive_us(c);
}

void
cluster_nodes_each(const struct cluster *c,
    void (*each)(const struct cluster_node_view *node, void *arg), void *arg)
{
	struct cluster_node_view v;

	for (int is_self = 1; is_self >= 0; is_self--)
		for (size_t i = 0; i < c->n_nodes; i++) {
			view_node(c, &c->nodes[i], &v);
			if (v.is_self == (is_self == 1))
				each(&v, arg);
		}
}

struct lease_walk {
	const struct cluster *c;
	void (*each)(const struct cluster_lease_view *lease, void *arg);
	void *arg;
};

static void
view_lease(const struct lease_view *v, void *arg)
{
	const struct lease_walk *w = arg;
	struct cluster_lease_view out = {
		.route = v->route,
		.provider = v->provider,
		.n_held = v->n_held,
		.share_permille = v->share_permille,
		.wanted = v->wanted,
		.granted = v->granted,
	};

	if (v->route[0] == '\0')
		return;
	if (v->ends_us != INT64_MIN)
		out.expires_utc_us =
		    v->ends_us + clock_utc_us() - clock_mono_us();
	w->each(&out, w->arg);
}

void
cluster_leases_each(const struct cluster *c,
    void (*each)(const struct cluster_lease_view *lease, void *arg), void *arg)
{
	struct lease_walk w = { .c = c, .each = each, .arg = arg };

	sched_leases_each(c->sched, clock_mono_us(), view_lease, &w);
}
