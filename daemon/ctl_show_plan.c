/* SPDX-License-Identifier: ISC */
/* `plans`, `plan` and `forecast` for people. */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

static enum colour
state_colour(const json_t *plan)
{
	const char *state = ctl_str(plan, "state");

	if (strcmp(state, "running") == 0 || strcmp(state, "done") == 0)
		return GREEN;
	if (strcmp(state, "stopped") == 0)
		return RED;
	return strcmp(state, "held") == 0 ? YELLOW : FAINT;
}

/* null: no limit. */
static void
allowed_cell(struct table *t, const json_t *object)
{
	if (json_is_null(json_object_get(object, "allowed")))
		table_cell(t, FAINT, "no limit");
	else
		ctl_cell(t, PLAIN, object, "allowed");
}

static void
stage_cell(struct table *t, const json_t *plan)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%lld/%lld", (long long)ctl_int(plan, "stage"),
	    (long long)ctl_int(plan, "stages"));
	table_cell(t, PLAIN, text.data);
	strbuf_fini(&text);
}

void
ctl_show_plans(const struct ctl *ctl, const json_t *result)
{
	struct table *t = table_new(ctl);
	const json_t *plan;
	size_t i;

	table_column(t, "NAME", false);
	table_column(t, "PLAN", false);
	table_column(t, "STATE", false);
	table_column(t, "DAY", true);
	table_column(t, "STAGE", true);
	table_column(t, "ALLOWED", true);
	table_column(t, "SENT", true);
	table_column(t, "WAITING", true);
	table_column(t, "WHY", false);
	table_optional(t);
	json_array_foreach(result, i, plan)
	{
		ctl_cell(t, PLAIN, plan, "name");
		ctl_cell(t, PLAIN, plan, "plan");
		ctl_cell(t, state_colour(plan), plan, "state");
		ctl_cell(t, PLAIN, plan, "day");
		stage_cell(t, plan);
		allowed_cell(t, plan);
		ctl_cell(t, PLAIN, plan, "sent");
		ctl_cell(t, PLAIN, plan, "waiting");
		ctl_cell(t, PLAIN, plan, "why");
	}
	ctl_print_table(t, "no plans: one begins with its lane's first mail");
}

static void
history_row(struct table *t, const json_t *day)
{
	static const char *const keys[] = { "attempted", "accepted", "deferred",
		"rejected", "bounced", "complained", "overflowed", "held" };

	ctl_cell(t, PLAIN, day, "day");
	ctl_cell(t, PLAIN, day, "date");
	allowed_cell(t, day);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		ctl_cell(t, ctl_int(day, keys[i]) > 0 ? PLAIN : FAINT, day,
		    keys[i]);
}

static void
print_history(const struct ctl *ctl, const json_t *history)
{
	static const char *const titles[] = { "ALLOWED", "ATTEMPTED",
		"ACCEPTED", "DEFERRED", "REJECTED", "BOUNCED", "COMPLAINED",
		"OVERFLOWED", "HELD" };
	struct table *t = table_new(ctl);
	const json_t *day;
	size_t i;

	table_column(t, "DAY", true);
	table_column(t, "DATE", false);
	for (i = 0; i < sizeof(titles) / sizeof(*titles); i++)
		table_column(t, titles[i], true);
	json_array_foreach(history, i, day) history_row(t, day);
	ctl_print_table(t, "no days yet");
}

void
ctl_show_plan(const struct ctl *ctl, const json_t *result)
{
	struct strbuf why = { 0 };

	text_add_clean(&why, ctl_str(result, "why"), " ");
	printf("%s%s%s\n\n", colour_on(ctl, BOLD),
	    why.data != NULL ? why.data : "", colour_off(ctl, BOLD));
	strbuf_fini(&why);
	ctl_line("plan", result, "plan");
	ctl_line("state", result, "state");
	if (*ctl_str(result, "plan") != '\0') {
		printf("%-12s %lld of %lld\n", "stage",
		    (long long)ctl_int(result, "stage"),
		    (long long)ctl_int(result, "stages"));
		ctl_line("mode", result, "mode");
		ctl_line("would hold", result, "would_hold");
	}
	ctl_line("waiting", result, "waiting");
	ctl_line("next in", result, "next_in_ms");
	putchar('\n');
	print_history(ctl, json_object_get(result, "history"));
}

void
ctl_show_forecast(const struct ctl *ctl, const json_t *result)
{
	struct table *t = table_new(ctl);
	const json_t *f;
	size_t i;

	table_column(t, "LANE", false);
	table_column(t, "WAITING", true);
	table_column(t, "GONE IN", true);
	table_column(t, "GONE BY", false);
	table_column(t, "PLAN DAYS", true);
	table_column(t, "HELD BY", false);
	json_array_foreach(result, i, f)
	{
		bool is_known = !json_is_null(json_object_get(f, "done"));

		ctl_cell(t, PLAIN, f, "lane");
		ctl_cell(t, PLAIN, f, "waiting");
		if (is_known)
			ctl_cell(t, PLAIN, f, "done_in_ms");
		else
			table_cell(t, YELLOW, "unknown");
		ctl_cell(t, PLAIN, f, "done");
		ctl_cell(t, PLAIN, f, "plan_days");
		ctl_cell(t, PLAIN, f, "gate");
	}
	ctl_print_table(t, "nothing waits");
}
