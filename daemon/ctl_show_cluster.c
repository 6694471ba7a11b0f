/* SPDX-License-Identifier: ISC */
/* `cluster` for people: how it stands, the relays, what is held of each lane. */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

static double
number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static const char *
mode_text(const char *mode)
{
	static const char *const texts[][2] = {
		{ "shared", "limits are shared" },
		{ "joining", "Redis hasn't answered yet" },
		{ "share", "Redis is gone: each relay takes its part" },
		{ "hold", "Redis is gone: nothing is sent" },
		{ "refused", "can't take part: nothing is sent" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i][0], mode) == 0)
			return texts[i][1];
	return mode;
}

static enum colour
mode_colour(const char *mode)
{
	return strcmp(mode, "shared") == 0 ? GREEN
	    : strcmp(mode, "joining") == 0 ? YELLOW
					   : RED;
}

static void
show_head(const struct ctl *ctl, const json_t *r)
{
	const char *mode = ctl_str(r, "mode");
	enum colour colour = mode_colour(mode);

	printf("%s%s%s for %s; %s relays seen, this one is %s\n",
	    colour_on(ctl, colour), mode_text(mode), colour_off(ctl, colour),
	    ctl_span(r, "age_ms"), ctl_count(r, "nodes_alive"),
	    ctl_str(r, "node"));
	if (ctl_str(r, "why")[0] != '\0')
		ctl_line("why", r, "why");
}

static void
show_redis(const json_t *r)
{
	const json_t *v = json_object_get(r, "redis");
	const json_t *n = json_object_get(r, "so_far");
	struct strbuf sent = { 0 }, received = { 0 };

	printf("redis      %s %s at %s; answers in %.2f ms, %.2f at most; "
	       "%s\n",
	    ctl_str(v, "state"), ctl_str(v, "version"),
	    ctl_str(v, "server")[0] != '\0' ? ctl_str(v, "server") : "-",
	    number(v, "lag_ms"), number(v, "lag_max_ms"),
	    ctl_true(v, "is_subscribed") ? "hears the others"
					 : "doesn't hear the others at once");
	text_add_bytes(&sent, ctl_int(v, "sent_bytes"));
	text_add_bytes(&received, ctl_int(v, "received_bytes"));
	printf(
	    "so far     %s calls (%s failed), %s out, %s in; gone %s times\n",
	    ctl_count(v, "calls"), ctl_count(v, "failed"), sent.data,
	    received.data, ctl_count(n, "losses"));
	printf(
	    "leased     of days and long windows: %s granted, %s returned, %s run out; "
	    "in hand of all: %s\n",
	    ctl_count(n, "granted"), ctl_count(n, "returned"),
	    ctl_count(n, "expired"), ctl_count(r, "held"));
	strbuf_fini(&sent);
	strbuf_fini(&received);
}

static void
show_nodes(const struct ctl *ctl, const json_t *nodes)
{
	struct table *t = table_new(ctl);
	const json_t *n;
	size_t i;

	table_column(t, "RELAY", false);
	table_column(t, "STATE", false);
	table_column(t, "SEEN", true);
	table_column(t, "LEASES", true);
	table_column(t, "VERSION", false);
	table_column(t, "SCHEME", true);
	table_column(t, "STARTED", false);
	json_array_foreach(nodes, i, n)
	{
		bool is_alive = ctl_str(n, "state")[0] == 'a';

		ctl_cell(t, ctl_true(n, "is_self") ? BOLD : PLAIN, n, "node");
		ctl_cell(t, is_alive ? GREEN : RED, n, "state");
		ctl_cell(t, PLAIN, n, "seen_ms");
		ctl_cell(t, PLAIN, n, "leases");
		ctl_cell(t, PLAIN, n, "version");
		ctl_cell(t, PLAIN, n, "scheme");
		ctl_cell(t, PLAIN, n, "started");
	}
	putchar('\n');
	ctl_print_table(t, "no relays known yet");
}

static void
show_leases(const struct ctl *ctl, const json_t *leases)
{
	struct table *t = table_new(ctl);
	const json_t *l;
	size_t i;

	table_column(t, "LANE", false);
	table_column(t, "SHARE", true);
	table_column(t, "HELD", true);
	table_column(t, "WANTED", true);
	table_column(t, "GRANTED", true);
	table_column(t, "ENDS IN", true);
	json_array_foreach(leases, i, l)
	{
		const json_t *share = json_object_get(l, "share");
		struct strbuf lane = { 0 }, text = { 0 };

		strbuf_addf(&lane, "%s/%s", ctl_str(l, "route"),
		    ctl_str(l, "provider"));
		if (json_is_number(share))
			strbuf_addf(&text, "%.0f%%",
			    100 * json_number_value(share));
		else
			strbuf_adds(&text, "-");
		table_cell(t, PLAIN, lane.data);
		table_cell(t, PLAIN, text.data);
		ctl_cell(t, PLAIN, l, "held");
		ctl_cell(t, PLAIN, l, "wanted");
		ctl_cell(t, PLAIN, l, "granted");
		ctl_cell(t, PLAIN, l, "remaining_ms");
		strbuf_fini(&lane);
		strbuf_fini(&text);
	}
	putchar('\n');
	ctl_print_table(t, "no lane has mail here");
}

void
ctl_show_cluster(const struct ctl *ctl, const json_t *result)
{
	show_head(ctl, result);
	show_redis(result);
	show_nodes(ctl, json_object_get(result, "nodes"));
	show_leases(ctl, json_object_get(result, "leases"));
}
