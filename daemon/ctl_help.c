/* SPDX-License-Identifier: ISC */
/* --help, for flyballctl and for each command: from the table of commands. */
#include <string.h>

#include "daemon/ctl.h"
#include "daemon/selection.h"

const struct ctl_option ctl_options[] = {
	{ "-s SOCKET",
	    "The daemon's admin socket (default: $FLYBALL_SOCKET, or " CTL_SOCKET
	    ")." },
	{ "--json", "Print the answer as JSON." },
	{ "-h, --help", "Help; behind a command: help about it." },
	{ "-V, --version", "Print flyballctl's version." },
};
const size_t n_ctl_options = sizeof(ctl_options) / sizeof(*ctl_options);

#define WIDTH 76

/* Breaks at blanks. */
static void
print_filled(FILE *to, const char *text, int indent)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column > 0 && column + 1 + len > WIDTH - (size_t)indent) {
			fputc('\n', to);
			column = 0;
		}
		if (column == 0)
			fprintf(to, "%*s%.*s", indent, "", (int)len, text);
		else
			fprintf(to, " %.*s", (int)len, text);
		column += len + (column > 0);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', to);
}

static void
list_commands(FILE *to, const char *title, bool is_offline)
{
	fprintf(to, "\n%s:\n", title);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command_row *row = &command_rows[i];

		if ((row->role == ROLE_OFFLINE) == is_offline)
			fprintf(to, "  %-14s %s\n", row->name, row->summary);
	}
}

void
ctl_help(FILE *to)
{
	fputs("usage: flyballctl [-s SOCKET] [--json] COMMAND...\n", to);
	list_commands(to, "commands to the running daemon", false);
	list_commands(to, "flyballctl's own commands", true);
	fputs("\noptions:\n", to);
	for (size_t i = 0; i < n_ctl_options; i++)
		fprintf(to, "  %-14s %s\n", ctl_options[i].text,
		    ctl_options[i].doc);
	fputs("\n`flyballctl COMMAND --help` explains a command. Exit status: "
	      "0 done, 1 refused,\n2 wrong usage, 3 no daemon.\n",
	    to);
}

/* The keys of `where`. */
static void
help_selection(FILE *to)
{
	fputs("\nconditions (all keys must fit, a key given twice by any of "
	      "its values; * and ?\nstand for anything):\n",
	    to);
	for (size_t i = 0; i < SELECT_COUNT; i++) {
		const struct selection_row *row = &selection_rows[i];

		fprintf(to, "  %s=%s\n", row->key, row->value);
		print_filled(to, row->doc, 6);
	}
}

void
ctl_help_command(FILE *to, const struct command_row *row)
{
	fprintf(to, "usage: flyballctl %s%s%s\n\n", row->name,
	    *row->usage ? " " : "", row->usage);
	print_filled(to, row->doc, 0);
	fprintf(to, "\nexample: flyballctl %s\n", row->example);
	if (strstr(row->usage, "where") != NULL)
		help_selection(to);
	if (row->role == ROLE_CHANGE)
		fputs("\nRoot, the daemon's own user and the socket's group "
		      "may do it; it is logged.\n",
		    to);
}
