/* SPDX-License-Identifier: ISC */
/*
 * `complete`: what may come behind some words, for the shells. Commands,
 * conditions and fixed words come from the tables, names of lanes, routes and
 * the like from the daemon, if one answers; nothing is said when none does.
 */
#include <ctype.h>
#include <string.h>

#include "daemon/ctl.h"
#include "daemon/selection.h"

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

/* A word of a usage that is typed as it stands: "auto", "--dry-run". */
static bool
is_literal(const char *word, size_t len)
{
	if (word[0] == '-')
		return len > 1;
	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)word[i]) && word[i] != '-' &&
		    word[i] != '.')
			return false;
	return len > 1 && islower((unsigned char)word[0]);
}

/*
 * The usage is the one place that knows a command's own words. What its first
 * part asks for stands first; where that may be left out, and behind it, any
 * of the rest.
 */
static void
list_words(const struct command_row *row, size_t n)
{
	static const char word_bytes[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.=";
	const char *p = row->usage;
	size_t first = strcspn(p, " ");
	bool is_any = *p == '[' || *p == '-';

	while (*p != '\0') {
		size_t len = strspn(p, word_bytes);
		bool is_first = (size_t)(p - row->usage) < first;
		bool is_unit = p > row->usage && p[-1] == '/'; /* "/day" */

		if (!is_unit && is_literal(p, len) &&
		    (is_any || is_first == (n == 0)))
			printf("%.*s\n", (int)len, p);
		p += len > 0 ? len : 1;
	}
}

static bool
has_where(char *const *args, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(args[i], "where") == 0)
			return true;
	return false;
}

/* Names and conditions, which the usage calls by capitals. */
static void
list_values_of(const struct ctl *ctl, const struct command_row *row,
    char *const *args, size_t n)
{
	switch (command_id_of(row)) {
	case COMMAND_PAUSE:
		if (n == 1)
			list_names(ctl, args[0]);
		return;
	case COMMAND_RESUME:
		if (n == 1)
			list_paused(ctl, args[0]);
		return;
	case COMMAND_PLAN:
		if (n == 0)
			list_asked(ctl, "plans", "name");
		return;
	case COMMAND_FORECAST:
	case COMMAND_LANE:
	case COMMAND_HISTORY:
	case COMMAND_WHY:
	case COMMAND_RATE:
	case COMMAND_CONNECTIONS:
	case COMMAND_FORGET:
		if (n == 0)
			list_asked(ctl, "lanes", "lane");
		return;
	case COMMAND_QUEUE:
	case COMMAND_RETRY:
	case COMMAND_BOUNCE:
	case COMMAND_DROP:
	case COMMAND_REROUTE:
		if (n > 0 && strcmp(args[n - 1], "to") == 0)
			list_routes(ctl);
		else if (has_where(args, n))
			list_conditions();
		return;
	case COMMAND_EVENTS:
	case COMMAND_EVENTS_FOLLOW:
		puts("event=\nprovider=\nroute=\nstream=\nsender=\n"
		     "recipient=\nmessage=\nclass=\ncode=");
		return;
	case COMMAND_PROVIDERS:
		list_names(ctl, "provider");
		return;
	case COMMAND_HELP:
		list_commands(n > 0 ? args[0] : "");
		return;
	default:
		return;
	}
}

static bool
is_name_of_kind(const struct command_row *row, size_t n)
{
	enum command_id id = command_id_of(row);

	return (id == COMMAND_PAUSE || id == COMMAND_RESUME) && n == 1;
}

static void
list_args(const struct ctl *ctl, const struct command_row *row,
    char *const *args, size_t n)
{
	if (n == 0)
		list_commands(row->name); /* "events", then "follow" */
	list_values_of(ctl, row, args, n);
	if (!is_name_of_kind(row, n))
		list_words(row, n);
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
