/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_METRICS_H
#define FLYBALL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"
#include "daemon/histogram.h"

/*
 * Metrics in Prometheus' text format: one row each, with everything that must
 * not be forgotten, and the writer of samples. Which samples there are is
 * metrics_page.c's. The list for people (`flyballctl man metrics`) is made of
 * the same rows.
 */
enum metric {
	METRIC_BUILD_INFO,
	METRIC_START_TIME,
	METRIC_READY,
	METRIC_SESSIONS,
	METRIC_CONNECTIONS,
	METRIC_ACCEPTED,
	METRIC_DELIVERED,
	METRIC_DEFERRED,
	METRIC_FAILED,
	METRIC_QUEUED_DELIVERIES,
	METRIC_QUEUED_RECIPIENTS,
	METRIC_IN_FLIGHT,
	METRIC_RETRYING,
	METRIC_LANES,
	METRIC_PAUSES,
	METRIC_OVERRIDES,
	METRIC_EVENTS_DROPPED,
	METRIC_SPOOL_MESSAGES,
	METRIC_SPOOL_BYTES,
	METRIC_SPOOL_FREE,
	METRIC_SPOOL_FAILING,
	METRIC_SPOOL_BODY_FAILURES,
	METRIC_SPOOL_COMMITS,
	METRIC_SPOOL_REQUESTS,
	METRIC_ACCEPT_TIME,
	METRIC_QUEUE_TIME,
	METRIC_DELIVERY_TIME,
	METRIC_COMMIT_TIME,
	METRIC_ROUTE_UP,
	METRIC_ROUTE_IN_FLIGHT,
	METRIC_ROUTE_LIMIT,
	METRIC_CLUSTER_UP, /* of a cluster from here */
	METRIC_CLUSTER_MODE,
	METRIC_CLUSTER_NODES,
	METRIC_CLUSTER_LEASES,
	METRIC_CLUSTER_HELD,
	METRIC_CLUSTER_CALLS,
	METRIC_CLUSTER_GRANTED,
	METRIC_CLUSTER_RETURNED,
	METRIC_CLUSTER_EXPIRED,
	METRIC_CLUSTER_SHORT,
	METRIC_CLUSTER_LESSONS_SENT,
	METRIC_CLUSTER_LESSONS_HEARD,
	METRIC_CLUSTER_LOSSES,
	METRIC_REDIS_UP,
	METRIC_REDIS_LAG,
	METRIC_REDIS_LAG_MAX,
	METRIC_REDIS_WAITING,
	METRIC_REDIS_CALLS,
	METRIC_REDIS_FAILED,
	METRIC_REDIS_CONNECTS,
	METRIC_REDIS_SENT,
	METRIC_REDIS_RECEIVED,
	METRIC_LANE_RATE, /* of lanes from here: struct lane_sample */
	METRIC_LANE_CEILING,
	METRIC_LANE_ADAPTED,
	METRIC_LANE_TOKENS,
	METRIC_LANE_HELD,
	METRIC_LANE_SUSPENDED,
	METRIC_LANE_LIMIT,
	METRIC_LANE_PLAN_DAY,
	METRIC_LANE_PLAN_STAGE,
	METRIC_LANE_DAY_ALLOWED,
	METRIC_LANE_DAY_SENT, /* summed up over small sites from here */
	METRIC_LANE_IN_FLIGHT,
	METRIC_LANE_QUEUED_DELIVERIES,
	METRIC_LANE_QUEUED_RECIPIENTS,
	METRIC_LANE_RETRYING,
	METRIC_LANE_ATTEMPTED,
	METRIC_LANE_DELIVERED,
	METRIC_LANE_DEFERRED,
	METRIC_LANE_FAILED,
	METRIC_LANE_HELD_BY, /* with one label more from here */
	METRIC_LANE_REFUSED,
	METRIC_COUNT,
};
#define METRIC_LANE_FIRST METRIC_LANE_RATE
#define METRIC_LANE_SUMS  METRIC_LANE_DAY_SENT
#define METRIC_LANE_END	  METRIC_LANE_HELD_BY

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
	const char *name;
	enum metric_type type;
	int64_t divisor;    /* of values given to metric_value() */
	const char *labels; /* for people: "route, provider, site" */
	const char *help;   /* one line, no full stop */
};
extern const struct metric_row metric_rows[METRIC_COUNT];

/* The lines before a metric's samples. */
void metric_head(struct strbuf *out, enum metric m);
/* `labels` as `route="a",provider="b"`, "" for none. */
void metric_value(struct strbuf *out, enum metric m, const char *labels,
    size_t labels_len, int64_t value);
void metric_histogram(struct strbuf *out, enum metric m,
    const struct histogram_sum *sum);
/* Adds name="value" to a set of labels, escaped. */
void metric_label(struct strbuf *labels, const char *name, const char *value);

/* The table as Markdown. */
void metrics_document(struct strbuf *out);

#endif
