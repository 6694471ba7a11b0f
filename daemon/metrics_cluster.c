/* SPDX-License-Identifier: ISC */
/*
 * What /metrics tells of the cluster: nothing where there is none. Called by
 * metrics_page.c.
 */
#include "daemon/cluster.h"
#include "daemon/governor.h"
#include "daemon/metrics.h"
#include "daemon/metrics_page.h"

static void
put(struct strbuf *out, enum metric m, int64_t value)
{
	metric_head(out, m);
	metric_value(out, m, "", 0, value);
}

static void
put_mode(struct strbuf *out, enum cluster_mode now)
{
	metric_head(out, METRIC_CLUSTER_MODE);
	for (int m = CLUSTER_JOINING; m <= CLUSTER_REFUSED; m++) {
		struct strbuf labels = { 0 };

		metric_label(&labels, "mode",
		    cluster_mode_name((enum cluster_mode)m));
		metric_value(out, METRIC_CLUSTER_MODE, labels.data, labels.len,
		    m == (int)now);
		strbuf_fini(&labels);
	}
}

static void
put_link(struct strbuf *out, const struct redis_view *v)
{
	put(out, METRIC_REDIS_UP, v->state == REDIS_UP);
	if (v->lag_us >= 0)
		put(out, METRIC_REDIS_LAG, v->lag_us);
	if (v->lag_max_us >= 0)
		put(out, METRIC_REDIS_LAG_MAX, v->lag_max_us);
	put(out, METRIC_REDIS_WAITING, v->n_calls);
	put(out, METRIC_REDIS_CALLS, (int64_t)v->n_sent);
	put(out, METRIC_REDIS_FAILED, (int64_t)v->n_failed);
	put(out, METRIC_REDIS_CONNECTS, (int64_t)v->n_connects);
	put(out, METRIC_REDIS_SENT, (int64_t)v->n_sent_bytes);
	put(out, METRIC_REDIS_RECEIVED, (int64_t)v->n_received_bytes);
}

void
metrics_put_cluster(const struct cluster *cluster, struct strbuf *out)
{
	struct cluster_view v;

	if (cluster == NULL)
		return;
	cluster_view(cluster, &v);
	put(out, METRIC_CLUSTER_UP, v.mode == CLUSTER_SHARED);
	put_mode(out, v.mode);
	put(out, METRIC_CLUSTER_NODES, v.n_nodes);
	put(out, METRIC_CLUSTER_LEASES, v.n_lanes);
	put(out, METRIC_CLUSTER_HELD, v.n_held);
	put(out, METRIC_CLUSTER_CALLS, (int64_t)v.n_lease_calls);
	put(out, METRIC_CLUSTER_GRANTED, (int64_t)v.n_tokens_taken);
	put(out, METRIC_CLUSTER_RETURNED, (int64_t)v.n_tokens_returned);
	put(out, METRIC_CLUSTER_EXPIRED, (int64_t)v.n_tokens_expired);
	put(out, METRIC_CLUSTER_SHORT, (int64_t)v.n_refused);
	put(out, METRIC_CLUSTER_LESSONS_SENT, (int64_t)v.n_lessons_sent);
	put(out, METRIC_CLUSTER_LESSONS_HEARD, (int64_t)v.n_lessons_heard);
	put(out, METRIC_CLUSTER_LOSSES, (int64_t)v.n_losses);
	put_link(out, &v.link);
}
