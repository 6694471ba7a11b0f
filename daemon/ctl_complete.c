/* SPDX-License-Identifier: ISC */
/*
 * `complete`: what may come behind some words, for the shells. Commands,
 * conditions and fixed words come from the tables, names of lanes, routes and
 * the like from the daemon, if one answers; nothing is said when none does.
 */
#include <string.h>

#include "conf/base/log.h"
#include "daemon/ctl.h"
#include "daemon/selection.h"
#include "scheduler/sched.h"

/* Values of one key in a list of objects. */
static void
list_values(const json_t *list, const char *key)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *value =
		    json_string_value(json_object_get(one, key));

		if (value != NULL)
			puts(value);
	}
}

static void
list_asked(const struct ctl *ctl, const char *command, const char *key)
{
	json_t *result = ctl_ask(ctl, command);

	list_values(result, key);
	json_decref(result);
}

static void
list_routes(const struct ctl *ctl)
{
	json_t *status = ctl_ask(ctl, "status");

	list_values(json_object_get(status, "routes"), "route");
	json_decref(status);
}

/* What is paused now, of one kind: for resume. */
static void
list_paused(const struct ctl *ctl, const char *kind)
{
	json_t *status = ctl_ask(ctl, "status");
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(status, "pauses"), i,
	    one) if (strcmp(json_string_value(json_object_get(one, "kind")),
			 kind) == 0)
	    puts(json_string_value(json_object_get(one, "name")));
	json_decref(status);
}

static void
list_kinds(void)
{
	for (int i = 0; pause_kind_parse(pause_kind_name(i)) == i; i++)
		puts(pause_kind_name(i));
}

static void
list_names(const struct ctl *ctl, const char *kind)
{
	if (strcmp(kind, "route") == 0)
		list_routes(ctl);
	else if (strcmp(kind, "provider") == 0)
		list_asked(ctl, "providers", "provider");
	else if (strcmp(kind, "lane") == 0)
		list_asked(ctl, "lanes", "lane");
}

static void
list_conditions(void)
{
	for (size_t i = 0; i < SELECT_COUNT; i++)
		printf("%s=\n", selection_rows[i].key);
}

static size_t
first_len(const char *name)
{
	return strcspn(name, " ");
}

/* Did an earlier command begin with the same word? */
static bool
is_said(size_t i)
{
	const char *name = command_rows[i].name;
	size_t len = first_len(name);

	for (size_t j = 0; j < i; j++)
		if (first_len(command_rows[j].name) == len &&
		    strncmp(command_rows[j].name, name, len) == 0)
			return true;
	return false;
}

/* Both words of a command are offered once the first stands there. */
static void
list_commands(const char *first)
{
	size_t len = strlen(first);

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *name = command_rows[i].name;

		if (len == 0 && !is_said(i))
			printf("%.*s\n", (int)first_len(name), name);
		else if (strncmp(name, first, len) == 0 && name[len] == ' ')
			puts(name + len + 1);
	}
}

static void
list_options(const struct command_row *row, char *const *args, size_t n)
{
	static const char *const words[] = { "for", "because", "--dry-run",
		"limit", "auto" };

	(void)args;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (n > 0 && strstr(row->usage, words[i]) != NULL)
			puts(words[i]);
}

static bool
has_where(char *const *args, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(args[i], "where") == 0)
			return true;
	return false;
}

static void
list_args(const struct ctl *ctl, const struct command_row *row,
    char *const *args, size_t n)
{
	switch (command_id_of(row)) {
	case COMMAND_PAUSE:
	case COMMAND_RESUME:
		if (n == 0)
			list_kinds();
		else if (n == 1 && command_id_of(row) == COMMAND_RESUME)
			list_paused(ctl, args[0]);
		else if (n == 1)
			list_names(ctl, args[0]);
		else
			list_options(row, args, n);
		return;
	case COMMAND_PLAN:
		if (n == 0)
			list_asked(ctl, "plans", "name");
		else if (n == 1)
			puts("advance\nhold\nback\nrestart\nset-day");
		return;
	case COMMAND_FORECAST:
	case COMMAND_LANE:
	case COMMAND_HISTORY:
	case COMMAND_WHY:
	case COMMAND_RATE:
	case COMMAND_FORGET:
		if (n == 0)
			list_asked(ctl, "lanes", "lane");
		else
			list_options(row, args, n);
		return;
	case COMMAND_QUEUE:
	case COMMAND_RETRY:
	case COMMAND_BOUNCE:
	case COMMAND_DROP:
		if (has_where(args, n))
			list_conditions();
		else
			puts("where");
		list_options(row, args, n);
		return;
	case COMMAND_EVENTS:
	case COMMAND_EVENTS_FOLLOW:
		if (n == 0 && command_id_of(row) == COMMAND_EVENTS)
			puts("follow");
		puts("event=\nprovider=\nroute=\nstream=\nsender=\n"
		     "recipient=\nmessage=\nclass=\ncode=");
		list_options(row, args, n);
		return;
	case COMMAND_PROVIDERS:
		list_names(ctl, "provider");
		return;
	case COMMAND_LOG_LEVEL:
		for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
			puts(log_level_name((enum log_level)i));
		return;
	case COMMAND_HELP:
		list_commands(n > 0 ? args[0] : "");
		return;
	case COMMAND_MAN:
		puts("flyballctl\nflyball.yaml");
		return;
	default:
		return;
	}
}

int
ctl_complete(const struct ctl *ctl, int argc, char **argv)
{
	char *const *words = argv + 1;
	size_t n = (size_t)argc - 1, used;
	const struct command_row *row;

	/* Options before the command. */
	while (n > 0 && words[0][0] == '-') {
		size_t skip = strcmp(words[0], "-s") == 0 && n > 1 ? 2 : 1;

		words += skip;
		n -= skip;
	}
	row = command_find(words, n, &used);
	if (row != NULL)
		list_args(ctl, row, words + used, n - used);
	else if (n <= 1)
		list_commands(n == 1 ? words[0] : "");
	if (n == 0)
		puts("-s\n--json\n--help\n--version");
	return CTL_OK;
}
