/* SPDX-License-Identifier: ISC */
/*
 * The table of metrics and the writer of their lines, in Prometheus' text
 * format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). With
 * ten thousand lanes there are a quarter of a million lines: numbers are
 * written without printf. Knows nothing of the daemon.
 */
#include "daemon/metrics.h"

#include <stdbool.h>
#include <string.h>

#define LANE "route, provider, site"

const struct metric_row metric_rows[METRIC_COUNT] = {
	[METRIC_BUILD_INFO] = { "flyball_build_info", METRIC_GAUGE, 1,
	    "version", "Always 1, labelled with the version" },
	[METRIC_START_TIME] = { "flyball_start_time_seconds", METRIC_GAUGE,
	    1000000, "", "When the daemon started, since 1970" },
	[METRIC_READY] = { "flyball_ready", METRIC_GAUGE, 1, "",
	    "1 while mail is accepted and can be written, as /readyz says" },
	[METRIC_SESSIONS] = { "flyball_sessions", METRIC_GAUGE, 1, "",
	    "Clients connected to submit mail" },
	[METRIC_CONNECTIONS] = { "flyball_next_hop_connections", METRIC_GAUGE,
	    1, "", "Connections open to next hops" },
	[METRIC_ACCEPTED] = { "flyball_accepted_messages_total", METRIC_COUNTER,
	    1, "", "Messages answered with 250" },
	[METRIC_DELIVERED] = { "flyball_delivered_recipients_total",
	    METRIC_COUNTER, 1, "",
	    "Recipients that a next hop took over for good" },
	[METRIC_DEFERRED] = { "flyball_deferred_recipients_total",
	    METRIC_COUNTER, 1, "",
	    "Refusals for now; a recipient may have several" },
	[METRIC_FAILED] = { "flyball_failed_recipients_total", METRIC_COUNTER,
	    1, "", "Recipients refused for good, or taken out" },
	[METRIC_QUEUED_DELIVERIES] = { "flyball_queued_deliveries",
	    METRIC_GAUGE, 1, "", "Deliveries queued or in flight" },
	[METRIC_QUEUED_RECIPIENTS] = { "flyball_queued_recipients",
	    METRIC_GAUGE, 1, "", "Recipients queued or in flight" },
	[METRIC_IN_FLIGHT] = { "flyball_in_flight_deliveries", METRIC_GAUGE, 1,
	    "", "Deliveries on their way to a next hop" },
	[METRIC_RETRYING] = { "flyball_retrying_deliveries", METRIC_GAUGE, 1,
	    "", "Deliveries that wait for their next attempt" },
	[METRIC_LANES] = { "flyball_lanes", METRIC_GAUGE, 1, "",
	    "Lanes (route x provider or site) that have had mail" },
	[METRIC_PAUSES] = { "flyball_pauses", METRIC_GAUGE, 1, "kind",
	    "Pauses by the operator" },
	[METRIC_OVERRIDES] = { "flyball_overrides", METRIC_GAUGE, 1, "",
	    "Lanes whose rate the operator has set" },
	[METRIC_EVENTS_DROPPED] = { "flyball_events_dropped_total",
	    METRIC_COUNTER, 1, "",
	    "Events that could not be written to the event log" },
	[METRIC_SPOOL_MESSAGES] = { "flyball_spool_messages", METRIC_GAUGE, 1,
	    "", "Messages on disk" },
	[METRIC_SPOOL_BYTES] = { "flyball_spool_bytes", METRIC_GAUGE, 1, "",
	    "Contents on disk" },
	[METRIC_SPOOL_FREE] = { "flyball_spool_free_bytes", METRIC_GAUGE, 1, "",
	    "Room on the disk of the spool" },
	[METRIC_SPOOL_FAILING] = { "flyball_spool_failing", METRIC_GAUGE, 1, "",
	    "1 while the disk of the spool fails" },
	[METRIC_SPOOL_BODY_FAILURES] = { "flyball_spool_content_failures_total",
	    METRIC_COUNTER, 1, "",
	    "Large contents that could not be written: their senders got 451" },
	[METRIC_SPOOL_COMMITS] = { "flyball_spool_commits_total",
	    METRIC_COUNTER, 1, "", "Group commits, each synced to disk" },
	[METRIC_SPOOL_REQUESTS] = { "flyball_spool_requests_total",
	    METRIC_COUNTER, 1, "",
	    "Messages and outcomes that these commits held" },
	[METRIC_ACCEPT_TIME] = { "flyball_accept_duration_seconds",
	    METRIC_HISTOGRAM, 1, "",
	    "From the end of a message's content to its 250" },
	[METRIC_QUEUE_TIME] = { "flyball_queue_wait_seconds", METRIC_HISTOGRAM,
	    1, "", "From a delivery's acceptance to its first attempt" },
	[METRIC_DELIVERY_TIME] = { "flyball_delivery_duration_seconds",
	    METRIC_HISTOGRAM, 1, "",
	    "From an attempt's start to the next hop's answer" },
	[METRIC_COMMIT_TIME] = { "flyball_commit_duration_seconds",
	    METRIC_HISTOGRAM, 1, "", "A group commit with its sync" },
	[METRIC_ROUTE_UP] = { "flyball_route_up", METRIC_GAUGE, 1, "route",
	    "0 while the next hop can't be reached" },
	[METRIC_ROUTE_IN_FLIGHT] = { "flyball_route_in_flight_deliveries",
	    METRIC_GAUGE, 1, "route", "Deliveries on their way" },
	[METRIC_ROUTE_LIMIT] = { "flyball_route_connections_limit",
	    METRIC_GAUGE, 1, "route", "Connections that it may open now" },
	[METRIC_CLUSTER_UP] = { "flyball_cluster_up", METRIC_GAUGE, 1, "",
	    "1 while limits are shared through Redis; absent: no cluster" },
	[METRIC_CLUSTER_MODE] = { "flyball_cluster_mode", METRIC_GAUGE, 1,
	    "mode",
	    "1 for what holds now: joining, shared, share, hold, refused" },
	[METRIC_CLUSTER_NODES] = { "flyball_cluster_nodes", METRIC_GAUGE, 1, "",
	    "Relays seen alive, this one included" },
	[METRIC_CLUSTER_LEASES] = { "flyball_cluster_leases", METRIC_GAUGE, 1,
	    "", "Lanes of which this relay holds a lease" },
	[METRIC_CLUSTER_HELD] = { "flyball_cluster_held_recipients",
	    METRIC_GAUGE, 1, "", "Granted to this relay and not yet sent" },
	[METRIC_CLUSTER_CALLS] = { "flyball_cluster_lease_calls_total",
	    METRIC_COUNTER, 1, "",
	    "Calls to Redis that took, renewed or returned" },
	[METRIC_CLUSTER_GRANTED] = { "flyball_cluster_granted_recipients_total",
	    METRIC_COUNTER, 1, "",
	    "Granted to this relay, of days and of windows over 20 leases" },
	[METRIC_CLUSTER_RETURNED] = { "flyball_cluster_returned_recipients_total",
	    METRIC_COUNTER, 1, "", "Given back unused" },
	[METRIC_CLUSTER_EXPIRED] = { "flyball_cluster_expired_recipients_total",
	    METRIC_COUNTER, 1, "",
	    "Granted, and neither sent nor given back in time" },
	[METRIC_CLUSTER_SHORT] = { "flyball_cluster_short_grants_total",
	    METRIC_COUNTER, 1, "",
	    "Calls that were granted less than was asked for" },
	[METRIC_CLUSTER_LESSONS_SENT] = { "flyball_cluster_lessons_sent_total",
	    METRIC_COUNTER, 1, "",
	    "What this relay learned and told the others" },
	[METRIC_CLUSTER_LESSONS_HEARD] = { "flyball_cluster_lessons_heard_total",
	    METRIC_COUNTER, 1, "", "What others learned and told this relay" },
	[METRIC_CLUSTER_LOSSES] = { "flyball_cluster_losses_total",
	    METRIC_COUNTER, 1, "", "Times that limits ceased to be shared" },
	[METRIC_REDIS_UP] = { "flyball_redis_up", METRIC_GAUGE, 1, "",
	    "1 while the connection to Redis stands" },
	[METRIC_REDIS_LAG] = { "flyball_redis_lag_seconds", METRIC_GAUGE,
	    1000000, "", "How long a call takes, smoothed" },
	[METRIC_REDIS_LAG_MAX] = { "flyball_redis_lag_max_seconds",
	    METRIC_GAUGE, 1000000, "", "The longest call of the last minute" },
	[METRIC_REDIS_WAITING] = { "flyball_redis_waiting_calls", METRIC_GAUGE,
	    1, "", "Calls that Redis hasn't answered yet" },
	[METRIC_REDIS_CALLS] = { "flyball_redis_calls_total", METRIC_COUNTER, 1,
	    "", "Calls made to Redis" },
	[METRIC_REDIS_FAILED] = { "flyball_redis_failed_calls_total",
	    METRIC_COUNTER, 1, "",
	    "Calls without an answer, or with an error" },
	[METRIC_REDIS_CONNECTS] = { "flyball_redis_connects_total",
	    METRIC_COUNTER, 1, "", "Connections that were logged in" },
	[METRIC_REDIS_SENT] = { "flyball_redis_sent_bytes_total",
	    METRIC_COUNTER, 1, "", "Bytes sent to Redis" },
	[METRIC_REDIS_RECEIVED] = { "flyball_redis_received_bytes_total",
	    METRIC_COUNTER, 1, "", "Bytes received from Redis" },
	[METRIC_LANE_RATE] = { "flyball_lane_rate_recipients_per_second",
	    METRIC_GAUGE, 1000, LANE,
	    "Recipients delivered, in the last whole ten seconds" },
	[METRIC_LANE_CEILING] = { "flyball_lane_ceiling_recipients_per_second",
	    METRIC_GAUGE, 1000, LANE,
	    "The configured or overriding rate; absent: no limit" },
	[METRIC_LANE_ADAPTED] = { "flyball_lane_adapted_recipients_per_second",
	    METRIC_GAUGE, 1000, LANE,
	    "The rate that the provider was found to bear; absent: the "
	    "ceiling alone holds" },
	[METRIC_LANE_TOKENS] = { "flyball_lane_tokens", METRIC_GAUGE, 1, LANE,
	    "Recipients that could leave at once; absent: no limit" },
	[METRIC_LANE_HELD] = { "flyball_lane_held", METRIC_GAUGE, 1, LANE,
	    "1 while a gate holds what is first in line" },
	[METRIC_LANE_SUSPENDED] = { "flyball_lane_suspended", METRIC_GAUGE, 1,
	    LANE, "1 while the lane is suspended for its refusals" },
	[METRIC_LANE_LIMIT] = { "flyball_lane_connections_limit", METRIC_GAUGE,
	    1, LANE, "Connections that it may use now; absent: no limit" },
	[METRIC_LANE_PLAN_DAY] = { "flyball_lane_plan_day", METRIC_GAUGE, 1,
	    LANE, "The day of its warmup plan, from 1; absent: no plan" },
	[METRIC_LANE_PLAN_STAGE] = { "flyball_lane_plan_stage", METRIC_GAUGE, 1,
	    LANE, "The stage of its warmup plan, from 1" },
	[METRIC_LANE_DAY_ALLOWED] = { "flyball_lane_day_allowed_recipients",
	    METRIC_GAUGE, 1, LANE,
	    "What its plan allows today; absent: no limit" },
	[METRIC_LANE_DAY_SENT] = { "flyball_lane_day_sent_recipients",
	    METRIC_GAUGE, 1, LANE, "Sent today, what is in flight included" },
	[METRIC_LANE_IN_FLIGHT] = { "flyball_lane_in_flight_deliveries",
	    METRIC_GAUGE, 1, LANE, "Deliveries on their way" },
	[METRIC_LANE_QUEUED_DELIVERIES] = { "flyball_lane_queued_deliveries",
	    METRIC_GAUGE, 1, LANE, "Deliveries in line" },
	[METRIC_LANE_QUEUED_RECIPIENTS] = { "flyball_lane_queued_recipients",
	    METRIC_GAUGE, 1, LANE, "Recipients in line" },
	[METRIC_LANE_RETRYING] = { "flyball_lane_retrying_deliveries",
	    METRIC_GAUGE, 1, LANE,
	    "Deliveries that wait for their next attempt" },
	[METRIC_LANE_ATTEMPTED] = { "flyball_lane_attempted_recipients_total",
	    METRIC_COUNTER, 1, LANE, "Recipients offered to the next hop" },
	[METRIC_LANE_DELIVERED] = { "flyball_lane_delivered_recipients_total",
	    METRIC_COUNTER, 1, LANE, "Recipients taken over for good" },
	[METRIC_LANE_DEFERRED] = { "flyball_lane_deferred_recipients_total",
	    METRIC_COUNTER, 1, LANE, "Refusals for now" },
	[METRIC_LANE_FAILED] = { "flyball_lane_failed_recipients_total",
	    METRIC_COUNTER, 1, LANE, "Recipients refused for good" },
	[METRIC_LANE_HELD_BY] = { "flyball_lane_held_by", METRIC_GAUGE, 1,
	    LANE ", gate", "1 for the gate that holds it; absent: none does" },
	[METRIC_LANE_REFUSED] = { "flyball_lane_refused_recipients_total",
	    METRIC_COUNTER, 1, LANE ", class",
	    "Refusals by what they mean; absent: none of that class" },
};

static const char *
type_name(enum metric_type type)
{
	static const char *const names[] = { "counter", "gauge", "histogram" };

	return names[type];
}

/* ---- lines ---- */

void
metric_head(struct strbuf *out, enum metric m)
{
	const struct metric_row *row = &metric_rows[m];

	strbuf_addf(out, "# HELP %s %s.\n# TYPE %s %s\n", row->name, row->help,
	    row->name, type_name(row->type));
}

void
metric_label(struct strbuf *labels, const char *name, const char *value)
{
	if (labels->len > 0)
		strbuf_addc(labels, ',');
	strbuf_addf(labels, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			strbuf_addc(labels, '\\');
		if (*value == '\n')
			strbuf_adds(labels, "\\n");
		else
			strbuf_addc(labels, *value);
	}
	strbuf_addc(labels, '"');
}

/* value / divisor, whose digits behind the point are as many as its zeros. */
static size_t
number_write(char out[48], int64_t value, int64_t divisor)
{
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char digits[48];
	size_t n = sizeof(digits);
	bool has_point = divisor == 1;

	do {
		if (!has_point && (divisor /= 10) == 0) {
			has_point = true;
			digits[--n] = '.';
		}
		digits[--n] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0 || !has_point);
	if (value < 0)
		digits[--n] = '-';
	memcpy(out, digits + n, sizeof(digits) - n);
	return sizeof(digits) - n;
}

static void
add_sample(struct strbuf *out, const char *name, const char *suffix,
    const char *labels, size_t labels_len, int64_t value, int64_t divisor)
{
	size_t name_len = strlen(name), suffix_len = strlen(suffix);
	char *p;

	strbuf_reserve(out, name_len + suffix_len + labels_len + 56);
	p = out->data + out->len;
	memcpy(p, name, name_len);
	p += name_len;
	memcpy(p, suffix, suffix_len);
	p += suffix_len;
	if (labels_len > 0) {
		*p++ = '{';
		memcpy(p, labels, labels_len);
		p += labels_len;
		*p++ = '}';
	}
	*p++ = ' ';
	p += number_write(p, value, divisor);
	*p++ = '\n';
	*p = '\0';
	out->len = (size_t)(p - out->data);
}

void
metric_value(struct strbuf *out, enum metric m, const char *labels,
    size_t labels_len, int64_t value)
{
	const struct metric_row *row = &metric_rows[m];

	add_sample(out, row->name, "", labels, labels_len, value, row->divisor);
}

/* "0.0025": as short as it goes, since it is a label. */
static size_t
bound_write(char out[48], int64_t us)
{
	size_t n = number_write(out, us, 1000000);

	while (out[n - 1] == '0')
		n--;
	if (out[n - 1] == '.')
		n--;
	return n;
}

void
metric_histogram(struct strbuf *out, enum metric m,
    const struct histogram_sum *sum)
{
	const char *name = metric_rows[m].name;
	char label[64] = "le=\"";
	uint64_t n = 0;

	metric_head(out, m);
	for (unsigned i = 0; i <= HISTOGRAM_BUCKETS; i++) {
		size_t len = 4;

		n += sum->n[i];
		if (i < HISTOGRAM_BUCKETS) {
			len += bound_write(label + len, histogram_bounds_us[i]);
		} else {
			memcpy(label + len, "+Inf", 4);
			len += 4;
		}
		label[len++] = '"';
		add_sample(out, name, "_bucket", label, len, (int64_t)n, 1);
	}
	add_sample(out, name, "_sum", "", 0, (int64_t)sum->sum_us, 1000000);
	add_sample(out, name, "_count", "", 0, (int64_t)n, 1);
}

/* ---- for people ---- */

void
metrics_document(struct strbuf *out)
{
	strbuf_adds(out,
	    "<!-- SPDX-License-Identifier: ISC -->\n"
	    "<!-- made by `flyballctl man metrics`; tests/docs.py compares -->\n"
	    "# Metrics\n\n"
	    "What `/metrics` shows in Prometheus' text format, where\n"
	    "`daemon.http` is given. `site` is empty but for the lanes of the\n"
	    "provider `other`; beyond 1000 of these, a route's further sites\n"
	    "are summed up under the site `(rest)`. Counters begin at the\n"
	    "start of the daemon.\n\n"
	    "| name | type | labels | what it tells |\n"
	    "| --- | --- | --- | --- |\n");
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		const struct metric_row *row = &metric_rows[m];

		strbuf_addf(out, "| `%s` | %s | %s | %s. |\n", row->name,
		    type_name(row->type), row->labels, row->help);
	}
}
