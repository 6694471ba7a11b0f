/* SPDX-License-Identifier: ISC */
/*
 * Answers for people: which function shows which command's, what they share,
 * and the short ones. A command that isn't in the table is shown by its keys
 * alone, so a new one needs nothing here.
 */
#include "daemon/ctl_show.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_text.h"

static ctl_show_fn *const shows[COMMAND_COUNT] = {
	[COMMAND_STATUS] = ctl_show_status,
	[COMMAND_LANES] = ctl_show_lanes,
	[COMMAND_FORECAST] = ctl_show_forecast,
	[COMMAND_PLANS] = ctl_show_plans,
	[COMMAND_PLAN] = ctl_show_plan,
	[COMMAND_LANE] = ctl_show_lane,
	[COMMAND_HISTORY] = ctl_show_history,
	[COMMAND_WHY] = ctl_show_why,
	[COMMAND_QUEUE] = ctl_show_queue,
	[COMMAND_MESSAGE] = ctl_show_message,
	[COMMAND_PROVIDERS] = ctl_show_providers,
	[COMMAND_CLUSTER] = ctl_show_cluster,
	[COMMAND_EVENTS] = ctl_show_events,
	[COMMAND_PAUSE] = ctl_show_pause,
	[COMMAND_RESUME] = ctl_show_resume,
	[COMMAND_RATE] = ctl_show_rate,
	[COMMAND_FORGET] = ctl_show_forget,
	[COMMAND_RETRY] = ctl_show_changed,
	[COMMAND_BOUNCE] = ctl_show_changed,
	[COMMAND_DROP] = ctl_show_changed,
	[COMMAND_REROUTE] = ctl_show_changed,
	[COMMAND_RELOAD] = ctl_show_reload,
	[COMMAND_DRAIN] = ctl_show_drain,
	[COMMAND_LOG_LEVEL] = ctl_show_log_level,
	[COMMAND_VERSION] = ctl_show_version,
};

void
ctl_show(const struct ctl *ctl, enum command_id id, const json_t *result)
{
	if (shows[id] != NULL)
		shows[id](ctl, result);
	else
		ctl_show_any(ctl, result);
}

/* Indented for eyes, on one line for programs. */
void
ctl_print_json(const json_t *value)
{
	size_t flags = JSON_REAL_PRECISION(6) | JSON_ENCODE_ANY |
	    (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);

	json_dumpf(value, stdout, flags);
	putchar('\n');
}

/* ---- reading answers ---- */

const char *
ctl_str(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

int64_t
ctl_int(const json_t *object, const char *key)
{
	return (int64_t)json_number_value(json_object_get(object, key));
}

bool
ctl_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

void
ctl_cell(struct table *t, enum colour colour, const json_t *object,
    const char *key)
{
	const json_t *value = json_object_get(object, key);
	struct strbuf text = { 0 };

	if (value != NULL)
		text_add_value(&text, key, value);
	else
		strbuf_addc(&text, '-');
	table_cell(t, colour, text.data != NULL ? text.data : "");
	strbuf_fini(&text);
}

void
ctl_line(const char *label, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	struct strbuf text = { 0 };

	if (value == NULL || json_is_null(value))
		return;
	text_add_value(&text, key, value);
	printf("%-12s %s\n", label, text.data != NULL ? text.data : "");
	strbuf_fini(&text);
}

/* A few at a time, as one printf() may have several. */
static char *
keep(struct strbuf *text)
{
	static struct strbuf kept[8];
	static unsigned next;
	struct strbuf *slot = &kept[next++ % 8];

	strbuf_fini(slot);
	*slot = *text;
	return slot->data;
}

const char *
ctl_span(const json_t *object, const char *key)
{
	struct strbuf text = { 0 };

	text_add_span(&text, ctl_int(object, key));
	return keep(&text);
}

const char *
ctl_count(const json_t *object, const char *key)
{
	struct strbuf text = { 0 };

	text_add_count(&text, ctl_int(object, key));
	return keep(&text);
}

void
ctl_print_reply(const char *indent, const char *text)
{
	struct strbuf line_end = { 0 }, clean = { 0 };

	strbuf_addf(&line_end, "\n%s", indent);
	text_add_clean(&clean, text, line_end.data);
	printf("%s%s\n", indent, clean.data != NULL ? clean.data : "");
	strbuf_fini(&line_end);
	strbuf_fini(&clean);
}

void
ctl_print_table(struct table *t, const char *if_empty)
{
	if (table_n_rows(t) > 0)
		table_print(t, stdout);
	else
		puts(if_empty);
	table_free(t);
}

/* ---- refusals ---- */

static void
print_clean(FILE *to, const char *prefix, const char *text)
{
	struct strbuf clean = { 0 };

	text_add_clean(&clean, text, "\n      ");
	fprintf(to, "%s%s\n", prefix, clean.data != NULL ? clean.data : "");
	strbuf_fini(&clean);
}

void
ctl_show_refusal(const struct ctl *ctl, const json_t *answer)
{
	const json_t *line;
	size_t i;

	(void)ctl;
	json_array_foreach(json_object_get(answer, "errors"), i, line)
	    print_clean(stderr, "", json_string_value(line));
	print_clean(stderr, "flyballctl: ", ctl_str(answer, "error"));
	if (*ctl_str(answer, "hint") != '\0')
		print_clean(stderr, "hint: ", ctl_str(answer, "hint"));
}

/* ---- short ones ---- */

/* " for 2h" / " until it is resumed". */
static void
print_until(const json_t *result, const char *never)
{
	if (json_is_null(json_object_get(result, "remaining_ms")))
		printf(" %s", never);
	else
		printf(" for %s", ctl_span(result, "remaining_ms"));
}

void
ctl_show_pause(const struct ctl *ctl, const json_t *result)
{
	(void)ctl;
	printf("%s %s is paused", ctl_str(result, "paused"),
	    ctl_str(result, "name"));
	print_until(result, "until it is resumed");
	putchar('\n');
}

void
ctl_show_resume(const struct ctl *ctl, const json_t *result)
{
	(void)ctl;
	printf("%s %s goes on\n", ctl_str(result, "resumed"),
	    ctl_str(result, "name"));
}

void
ctl_show_rate(const struct ctl *ctl, const json_t *result)
{
	struct strbuf rates = { 0 };

	(void)ctl;
	text_add_value(&rates, "rates", json_object_get(result, "rates"));
	printf("%s: %s", ctl_str(result, "lane"),
	    json_array_size(json_object_get(result, "rates")) > 0
		? rates.data
		: "no rate of its own");
	if (ctl_true(result, "is_overridden"))
		print_until(result, "until `rate LANE auto`");
	else
		fputs(" as configured", stdout);
	putchar('\n');
	strbuf_fini(&rates);
}

void
ctl_show_forget(const struct ctl *ctl, const json_t *result)
{
	(void)ctl;
	printf("%s goes on as configured until it is refused again\n",
	    ctl_str(result, "lane"));
}

void
ctl_show_reload(const struct ctl *ctl, const json_t *result)
{
	const json_t *keys = json_object_get(result, "needs_restart");
	const json_t *failed = json_object_get(result, "not_in_force");
	const json_t *key;
	size_t i;

	(void)ctl;
	printf("%s is in force\n", ctl_str(result, "config"));
	json_array_foreach(keys, i, key)
	    printf("needs a restart: %s\n", json_string_value(key));
	json_array_foreach(failed, i, key)
	    printf("but not: %s\n", json_string_value(key));
}

void
ctl_show_drain(const struct ctl *ctl, const json_t *result)
{
	(void)ctl;
	printf("draining: %s in flight have %s to end; %s stay queued on "
	       "disk\n",
	    ctl_count(result, "in_flight"),
	    ctl_span(result, "drain_timeout_ms"),
	    ctl_count(result, "stay_queued"));
}

void
ctl_show_log_level(const struct ctl *ctl, const json_t *result)
{
	(void)ctl;
	printf("log level is %s (was %s)\n", ctl_str(result, "level"),
	    ctl_str(result, "before"));
}

void
ctl_show_version(const struct ctl *ctl, const json_t *result)
{
	(void)ctl;
	printf("flyballctl %s\nflyballd   %s (pid %lld)\n", FLYBALL_VERSION,
	    ctl_str(result, "version"), (long long)ctl_int(result, "pid"));
}

/* ---- events ---- */

static enum colour
event_colour(const char *name)
{
	static const struct {
		const char *name;
		enum colour colour;
	} colours[] = {
		{ "delivered", GREEN },
		{ "relayed", GREEN },
		{ "deferred", YELLOW },
		{ "bounced", RED },
		{ "expired", RED },
		{ "alert", RED },
		{ "dropped", RED },
		{ "admin", BOLD },
		{ "lane", BOLD },
		{ "plan", BOLD },
	};

	for (size_t i = 0; i < sizeof(colours) / sizeof(*colours); i++)
		if (strcmp(colours[i].name, name) == 0)
			return colours[i].colour;
	return PLAIN;
}

/* "12:01:05.123" out of the RFC 3339 text: events are read as they come. */
static const char *
time_of(const char *ts)
{
	static char text[16];
	const char *t = strchr(ts, 'T');

	snprintf(text, sizeof(text), "%.12s", t != NULL ? t + 1 : ts);
	return text;
}

static void
add_rest(struct strbuf *out, const json_t *event)
{
	static const char *const told[] = { "ts", "event", "message",
		"recipient", "reply" };
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)event, key, value)
	{
		bool is_told = json_is_null(value);

		for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
			is_told = is_told || strcmp(key, told[i]) == 0;
		if (is_told)
			continue;
		strbuf_addf(out, " %s=", key);
		text_add_value(out, key, value);
	}
}

static void
show_event(const struct ctl *ctl, const json_t *event)
{
	const char *name = ctl_str(event, "event");
	enum colour colour = event_colour(name);
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%s %s%-9s%s", time_of(ctl_str(event, "ts")),
	    colour_on(ctl, colour), name, colour_off(ctl, colour));
	if (*ctl_str(event, "message") != '\0')
		strbuf_addf(&text, " %s", ctl_str(event, "message"));
	if (*ctl_str(event, "recipient") != '\0') {
		strbuf_addc(&text, ' ');
		text_add_clean(&text, ctl_str(event, "recipient"), " ");
	}
	add_rest(&text, event);
	if (*ctl_str(event, "reply") != '\0') {
		strbuf_adds(&text, " reply=\"");
		text_add_clean(&text, ctl_str(event, "reply"), " / ");
		strbuf_addc(&text, '"');
	}
	puts(text.data);
	strbuf_fini(&text);
}

void
ctl_show_event(const struct ctl *ctl, const char *line)
{
	json_t *event = json_loads(line, 0, NULL);

	show_event(ctl, event);
	fflush(stdout);
	json_decref(event);
}

void
ctl_show_events(const struct ctl *ctl, const json_t *result)
{
	const json_t *event;
	size_t i;

	json_array_foreach(result, i, event) show_event(ctl, event);
	if (json_array_size(result) == 0)
		puts("no events that fit");
}
