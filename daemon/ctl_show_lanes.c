/* SPDX-License-Identifier: ISC */
/* `lanes`, `lane` and `why` for people. */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

/* At its pace a lane is held between any two messages: that is no trouble. */
static enum colour
state_colour(const json_t *lane)
{
	static const char *const pacing[] = { "rate", "adapted", "plan",
		"sender-plan" };
	const char *state = ctl_str(lane, "state");

	if (strcmp(state, "held") != 0)
		return strcmp(state, "open") == 0 ? GREEN : FAINT;
	for (size_t i = 0; i < sizeof(pacing) / sizeof(*pacing); i++)
		if (strcmp(ctl_str(lane, "gate"), pacing[i]) == 0 &&
		    ctl_int(lane, "remaining_ms") < 2000)
			return GREEN;
	return YELLOW;
}

static void
add_hold(struct strbuf *out, const json_t *lane)
{
	if (*ctl_str(lane, "gate") == '\0')
		return;
	strbuf_adds(out, ctl_str(lane, "gate"));
	if (!json_is_null(json_object_get(lane, "remaining_ms")))
		strbuf_addf(out, " %s", ctl_span(lane, "remaining_ms"));
	if (*ctl_str(lane, "because") != '\0') {
		strbuf_adds(out, ": ");
		text_add_clean(out, ctl_str(lane, "because"), " / ");
	}
}

/* "12/s probing"; nothing where the configured rates alone hold. */
static void
add_adapted(struct strbuf *out, const json_t *lane)
{
	const json_t *adapt = json_object_get(lane, "adapt");

	if (ctl_true(adapt, "is_suspended"))
		strbuf_addf(out, "suspended: %s",
		    ctl_str(adapt, "suspended_because"));
	else if (*ctl_str(adapt, "rate") != '\0')
		strbuf_addf(out, "%s %s", ctl_str(adapt, "rate"),
		    ctl_str(adapt, "state"));
	if (out->len > 0 && ctl_true(adapt, "is_shadow"))
		strbuf_adds(out, " (shadow)");
}

static void
add_refusal(struct strbuf *out, const json_t *lane)
{
	const json_t *r = json_object_get(lane, "last_refusal");

	if (!json_is_object(r))
		return;
	strbuf_addf(out, "%s ago: ", ctl_span(r, "age_ms"));
	text_add_clean(out, ctl_str(r, "reply"), " / ");
}

void
ctl_lane_columns(struct table *t)
{
	table_column(t, "LANE", false);
	table_max(t, 32);
	table_column(t, "STATE", false);
	table_column(t, "QUEUED", true);
	table_column(t, "RETRY", true);
	table_optional(t);
	table_column(t, "FLYING", true);
	table_column(t, "NOW", true);
	table_column(t, "RATES", false);
	table_column(t, "ADAPTED", false);
	table_optional(t);
	table_column(t, "SENT", true);
	table_optional(t);
	table_column(t, "DEFER", true);
	table_optional(t);
	table_column(t, "FAIL", true);
	table_optional(t);
	table_column(t, "HELD BY", false);
	table_max(t, 40);
	table_column(t, "LAST REFUSAL", false);
	table_optional(t);
}

static void
flying_cell(struct table *t, const json_t *lane)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%lld", (long long)ctl_int(lane, "in_flight"));
	if (ctl_int(lane, "connections") > 0)
		strbuf_addf(&text, "/%lld",
		    (long long)ctl_int(lane, "connections"));
	table_cell(t, PLAIN, text.data);
	strbuf_fini(&text);
}

static void
text_cell(struct table *t, enum colour colour,
    void (*add)(struct strbuf *out, const json_t *lane), const json_t *lane)
{
	struct strbuf text = { 0 };

	add(&text, lane);
	if (text.len > 0)
		table_cell(t, colour, text.data);
	else
		table_cell(t, PLAIN, "-");
	strbuf_fini(&text);
}

void
ctl_lane_row(struct table *t, const json_t *lane, bool is_plain)
{
	enum colour warn = is_plain ? PLAIN : YELLOW;

	ctl_cell(t, PLAIN, lane, "lane");
	ctl_cell(t, is_plain ? PLAIN : state_colour(lane), lane, "state");
	ctl_cell(t, PLAIN, lane, "queued_recipients");
	ctl_cell(t, PLAIN, lane, "retrying");
	flying_cell(t, lane);
	ctl_cell(t, PLAIN, lane, "delivered_per_s");
	ctl_cell(t, ctl_true(lane, "is_overridden") ? warn : PLAIN, lane,
	    "rates");
	text_cell(t, warn, add_adapted, lane);
	ctl_cell(t, PLAIN, lane, "delivered");
	ctl_cell(t, PLAIN, lane, "deferred");
	ctl_cell(t, PLAIN, lane, "failed");
	text_cell(t, PLAIN, add_hold, lane);
	text_cell(t, PLAIN, add_refusal, lane);
}

void
ctl_show_lanes(const struct ctl *ctl, const json_t *result)
{
	struct table *t = table_new(ctl);
	const json_t *lane;
	size_t i;

	ctl_lane_columns(t);
	json_array_foreach(result, i, lane) ctl_lane_row(t, lane, false);
	ctl_print_table(t, "no lanes: one exists from its first mail on");
}

static void
show_gates(const struct ctl *ctl, const json_t *gates)
{
	struct table *t = table_new(ctl);
	const json_t *g;
	size_t i;

	table_column(t, "GATE", false);
	table_column(t, "STATE", false);
	table_column(t, "OPENS IN", true);
	table_column(t, "WHY", false);
	json_array_foreach(gates, i, g)
	{
		bool is_open = ctl_true(g, "is_open");
		bool is_known =
		    json_is_number(json_object_get(g, "remaining_ms"));

		ctl_cell(t, PLAIN, g, "gate");
		table_cell(t, is_open ? GREEN : YELLOW,
		    is_open ? "open" : "shut");
		table_cell(t, PLAIN,
		    is_open	   ? ""
			: is_known ? ctl_span(g, "remaining_ms")
				   : "unknown");
		ctl_cell(t, PLAIN, g, "text");
	}
	ctl_print_table(t, "");
}

static void
show_refusal(const json_t *lane)
{
	const json_t *r = json_object_get(lane, "last_refusal");

	if (!json_is_object(r))
		return;
	printf("\nlast refusal, %s ago, %s:\n", ctl_span(r, "age_ms"),
	    ctl_str(r, "class"));
	ctl_print_reply("  ", ctl_str(r, "reply"));
}

void
ctl_show_lane(const struct ctl *ctl, const json_t *result)
{
	const json_t *adapt = json_object_get(result, "adapt");
	struct strbuf hold = { 0 };

	add_hold(&hold, result);
	printf("%s%s%s  %s%s%s\n\n", colour_on(ctl, BOLD),
	    ctl_str(result, "lane"), colour_off(ctl, BOLD),
	    ctl_str(result, "state"), hold.data != NULL ? ", " : "",
	    hold.data != NULL ? hold.data : "");
	strbuf_fini(&hold);
	ctl_line("rates", result, "rates");
	if (ctl_true(result, "is_overridden"))
		puts("             set by hand");
	ctl_line("adaptation", adapt, "state");
	ctl_line("adapted to", adapt, "rate");
	ctl_line("refused at", adapt, "failed");
	ctl_line("suspended", adapt, "suspended_because");
	ctl_line("until", adapt, "suspended_until");
	ctl_line("now", result, "delivered_per_s");
	ctl_line("tokens", result, "tokens");
	ctl_line("in flight", result, "in_flight");
	ctl_line("connections", result, "connections");
	ctl_line("queued", result, "queued");
	ctl_line("recipients", result, "queued_recipients");
	ctl_line("retrying", result, "retrying");
	printf("%-12s %s attempted, %s delivered, %s deferred, %s failed\n",
	    "so far", ctl_count(result, "attempted"),
	    ctl_count(result, "delivered"), ctl_count(result, "deferred"),
	    ctl_count(result, "failed"));
	putchar('\n');
	show_gates(ctl, json_object_get(result, "gates"));
	show_refusal(result);
}

/* ---- why ---- */

static void
print_wrapped(const struct ctl *ctl, const char *text)
{
	size_t width = ctl->width > 20 && ctl->width < 100 ? ctl->width : 100;
	struct strbuf clean = { 0 };
	const char *p;
	size_t column = 0;

	text_add_clean(&clean, text, " / ");
	for (p = clean.data; p != NULL && *p != '\0';) {
		size_t len = strcspn(p, " ");
		size_t columns = text_columns(p, len);

		if (column > 0 && column + 1 + columns > width) {
			putchar('\n');
			column = 0;
		}
		printf("%s%.*s", column > 0 ? " " : "", (int)len, p);
		column += columns + (column > 0);
		p += len;
		p += strspn(p, " ");
	}
	putchar('\n');
	strbuf_fini(&clean);
}

static void
why_lane(const struct ctl *ctl, const json_t *lane)
{
	print_wrapped(ctl, ctl_str(lane, "summary"));
	putchar('\n');
	show_gates(ctl, json_object_get(lane, "gates"));
	if (*ctl_str(lane, "last_refusal") == '\0')
		return;
	printf("\nthe lane's last refusal, %s:\n",
	    ctl_str(lane, "last_refusal_at"));
	ctl_print_reply("  ", ctl_str(lane, "last_refusal"));
}

void
ctl_show_why(const struct ctl *ctl, const json_t *result)
{
	const json_t *d;
	size_t i;

	if (json_object_get(result, "deliveries") == NULL) {
		why_lane(ctl, result);
		return;
	}
	printf("%s from <%s>, accepted %s ago\n", ctl_str(result, "message"),
	    ctl_str(result, "sender"), ctl_span(result, "age_ms"));
	json_array_foreach(json_object_get(result, "deliveries"), i, d)
	{
		putchar('\n');
		print_wrapped(ctl, ctl_str(d, "text"));
		if (*ctl_str(d, "reply") != '\0') {
			puts("The last reply to it:");
			ctl_print_reply("  ", ctl_str(d, "reply"));
		}
		if (*ctl_str(d, "summary") != '\0')
			why_lane(ctl, d);
	}
}
