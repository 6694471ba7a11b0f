/* SPDX-License-Identifier: ISC */
/* `status` for people: alerts first, then numbers, then what was set by hand. */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

static void
show_alerts(const struct ctl *ctl, const json_t *alerts)
{
	const json_t *a;
	size_t i;

	json_array_foreach(alerts, i, a)
	{
		struct strbuf text = { 0 };

		text_add_clean(&text, ctl_str(a, "text"), " / ");
		printf("%sALERT%s  %s\n", colour_on(ctl, RED),
		    colour_off(ctl, RED), text.data);
		strbuf_fini(&text);
	}
	if (json_array_size(alerts) > 0)
		putchar('\n');
}

static void
show_numbers(const json_t *r)
{
	const json_t *t = json_object_get(r, "totals");
	const json_t *l = json_object_get(r, "load");
	const json_t *s = json_object_get(r, "spool");
	struct strbuf used = { 0 }, free_text = { 0 };

	printf("queue      %s deliveries to %s recipients; %s in flight, %s "
	       "deferred\n",
	    ctl_count(t, "deliveries"), ctl_count(t, "recipients"),
	    ctl_count(t, "in_flight"), ctl_count(t, "deferred"));
	printf("now        %s sessions in, %s connections out, %s lanes\n",
	    ctl_count(l, "sessions"), ctl_count(l, "connections"),
	    ctl_count(t, "lanes"));
	printf("so far     %s messages accepted; %s recipients delivered, %s "
	       "deferrals, %s failed\n",
	    ctl_count(l, "accepted_messages"), ctl_count(l, "delivered"),
	    ctl_count(l, "deferred"), ctl_count(l, "failed"));
	text_add_bytes(&used, ctl_int(s, "bytes"));
	text_add_bytes(&free_text, ctl_int(s, "free_bytes"));
	printf("spool      %s messages, %s; %s free; commit %.2g ms, at most "
	       "%.2g ms\n",
	    ctl_count(s, "messages"), used.data, free_text.data,
	    json_number_value(json_object_get(s, "commit_mean_ms")),
	    json_number_value(json_object_get(s, "commit_max_ms")));
	strbuf_fini(&used);
	strbuf_fini(&free_text);
}

static void
show_cluster(const struct ctl *ctl, const json_t *v)
{
	bool is_shared = strcmp(ctl_str(v, "mode"), "shared") == 0;

	if (!json_is_object(v))
		return;
	printf("cluster    %s%s%s; %s relays, Redis %s in %.2f ms\n",
	    colour_on(ctl, is_shared ? GREEN : RED), ctl_str(v, "mode"),
	    colour_off(ctl, is_shared ? GREEN : RED),
	    ctl_count(v, "nodes_alive"), ctl_str(v, "redis"),
	    json_number_value(json_object_get(v, "lag_ms")));
}

static void
show_routes(const struct ctl *ctl, const json_t *routes)
{
	struct table *t = table_new(ctl);
	const json_t *r;
	size_t i;

	table_column(t, "ROUTE", false);
	table_column(t, "STATE", false);
	table_column(t, "IN FLIGHT", true);
	table_column(t, "CONNECTIONS", true);
	table_column(t, "WHY", false);
	json_array_foreach(routes, i, r)
	{
		bool is_down = ctl_str(r, "state")[0] == 'd';

		ctl_cell(t, PLAIN, r, "route");
		ctl_cell(t, is_down ? RED : GREEN, r, "state");
		ctl_cell(t, PLAIN, r, "in_flight");
		ctl_cell(t, PLAIN, r, "connections");
		ctl_cell(t, PLAIN, r, "why");
	}
	putchar('\n');
	ctl_print_table(t, "no routes");
}

/* Both lists have since, until and what was set. */
static void
show_by_hand(const struct ctl *ctl, const json_t *r)
{
	struct table *t = table_new(ctl);
	const json_t *one;
	size_t i;

	table_column(t, "SET BY HAND", false);
	table_column(t, "NAME", false);
	table_column(t, "FOR", true);
	table_column(t, "ENDS IN", true);
	table_column(t, "WHAT, WHY", false);
	json_array_foreach(json_object_get(r, "pauses"), i, one)
	{
		struct strbuf kind = { 0 };

		strbuf_addf(&kind, "pause %s", ctl_str(one, "kind"));
		table_cell(t, YELLOW, kind.data);
		ctl_cell(t, PLAIN, one, "name");
		ctl_cell(t, PLAIN, one, "age_ms");
		ctl_cell(t, PLAIN, one, "remaining_ms");
		ctl_cell(t, PLAIN, one, "because");
		strbuf_fini(&kind);
	}
	json_array_foreach(json_object_get(r, "overrides"), i, one)
	{
		const char *what = json_object_get(one, "rates") != NULL
		    ? "rates"
		    : "connections";

		table_cell(t, YELLOW, what);
		ctl_cell(t, PLAIN, one, "lane");
		ctl_cell(t, PLAIN, one, "age_ms");
		ctl_cell(t, PLAIN, one, "remaining_ms");
		ctl_cell(t, PLAIN, one, what);
	}
	if (table_n_rows(t) > 0)
		putchar('\n');
	if (table_n_rows(t) > 0)
		table_print(t, stdout);
	table_free(t);
}

void
ctl_show_status(const struct ctl *ctl, const json_t *result)
{
	printf("flyball %s on %s, pid %lld, up %s, %s\n\n",
	    ctl_str(result, "version"), ctl_str(result, "hostname"),
	    (long long)ctl_int(result, "pid"), ctl_span(result, "uptime_ms"),
	    ctl_str(result, "config"));
	show_alerts(ctl, json_object_get(result, "alerts"));
	show_numbers(result);
	show_cluster(ctl, json_object_get(result, "cluster"));
	show_routes(ctl, json_object_get(result, "routes"));
	show_by_hand(ctl, result);
}
