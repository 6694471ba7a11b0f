/* SPDX-License-Identifier: ISC */
/*
 * Manual pages as roff, from the tables that the programs work by:
 * flyballctl(1) from the commands, flyball.yaml(5) from the configuration's
 * keys. They can't go stale, as the build makes them anew.
 */
#include <string.h>

#include "conf/conf.h"
#include "daemon/ctl.h"
#include "daemon/metrics.h"
#include "daemon/selection.h"

/* ---- roff ---- */

/* Text in which nothing is a request or an escape. */
static void
put_text(const char *text)
{
	bool is_line_start = true;

	for (; *text != '\0'; text++) {
		if (is_line_start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\'')
			fputs("\\(aq", stdout);
		else if (*text == '`')
			fputs("\\(ga", stdout);
		else
			putchar(*text);
		is_line_start = *text == '\n';
	}
}

static void
put_title(const char *name, const char *section, const char *what)
{
	printf(".\\\" Generated from the program's tables.\n"
	       ".TH %s %s \"\" \"flyball %s\" \"flyball\"\n"
	       ".SH NAME\n",
	    name, section, FLYBALL_VERSION);
	put_text(what);
	putchar('\n');
}

static void
put_paragraph(const char *text)
{
	fputs(".PP\n", stdout);
	put_text(text);
	putchar('\n');
}

/* A tagged paragraph: a bold tag, what follows it in roman, the text. */
static void
put_tag(const char *tag, const char *rest, const char *text)
{
	fputs(".TP\n\\fB", stdout);
	put_text(tag);
	fputs("\\fR", stdout);
	if (*rest != '\0')
		putchar(' ');
	put_text(rest);
	putchar('\n');
	put_text(text);
	putchar('\n');
}

/* ---- flyballctl(1) ---- */

static void
put_command(const struct command_row *row)
{
	put_tag(row->name, row->usage, row->doc);
	fputs(".IP\nExample: \\fBflyballctl ", stdout);
	put_text(row->example);
	fputs("\\fR\n", stdout);
}

static void
put_commands(const char *title, enum command_role role)
{
	printf(".SH %s\n", title);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (command_rows[i].role == role)
			put_command(&command_rows[i]);
}

static void
man_flyballctl(void)
{
	put_title("FLYBALLCTL", "1",
	    "flyballctl - look at and steer a running flyballd");
	fputs(".SH SYNOPSIS\n.B flyballctl\n"
	      "[\\fB\\-s\\fR \\fISOCKET\\fR] [\\fB\\-\\-json\\fR]\n"
	      "\\fICOMMAND\\fR...\n.SH DESCRIPTION\n",
	    stdout);
	put_text("Sends words to the daemon's admin socket and shows the "
		 "answer as a table for people, or with --json as it came. "
		 "Colours are used on a terminal only, and not when NO_COLOR "
		 "is set. Rates are written 20/s, 600/min, 5000/h, 20k/day or "
		 "unlimited; durations 500ms, 30s, 5m, 4h, 7d.\n");
	fputs(".SH OPTIONS\n", stdout);
	for (size_t i = 0; i < n_ctl_options; i++)
		put_tag(ctl_options[i].text, "", ctl_options[i].doc);
	put_commands("COMMANDS THAT LOOK", ROLE_READ);
	put_commands("COMMANDS THAT CHANGE", ROLE_CHANGE);
	put_paragraph("Root, the daemon's own user and members of the "
		      "socket's group may change things; others, where the "
		      "socket's mode lets them in, may look. Every change is "
		      "in the log and in the event log with the user's ID and "
		      "the reason.");
	put_commands("COMMANDS OF FLYBALLCTL ITSELF", ROLE_OFFLINE);
	fputs(".SH CONDITIONS\n", stdout);
	put_text("Behind where; all keys must fit, a key that is given twice "
		 "by any of its values. * and ? stand for any text and any "
		 "character; letter case doesn't matter.\n");
	for (size_t i = 0; i < SELECT_COUNT; i++)
		put_tag(selection_rows[i].key, selection_rows[i].value,
		    selection_rows[i].doc);
	fputs(".SH PROTOCOL\n", stdout);
	put_text(
	    "The admin socket is a Unix stream socket: one command a "
	    "line in words, one JSON object a line in return, {\"ok\":true,"
	    "\"result\":...} or {\"ok\":false,\"error\":\"...\","
	    "\"hint\":\"...\"}. A word with blanks stands in double "
	    "quotes; \\\" and \\\\ stand in them for themselves.\n");
	fputs(".SH EXIT STATUS\n", stdout);
	put_tag("0", "", "Done.");
	put_tag("1", "", "Refused: the answer says why.");
	put_tag("2", "", "Wrong usage.");
	put_tag("3", "", "No daemon answers at the socket.");
	put_tag("4", "", "doctor found warnings, and nothing worse.");
	fputs(".SH ENVIRONMENT\n", stdout);
	put_tag("FLYBALL_SOCKET", "", "The socket where -s isn't given.");
	put_tag("NO_COLOR", "", "When set and not empty: no colours.");
	fputs(".SH SEE ALSO\n.BR flyballd (8),\n.BR flyball.yaml (5)\n",
	    stdout);
}

/* ---- flyball.yaml(5) ---- */

/* "limits.message_size" begins another section than "daemon.log". */
static void
put_section_of(const char *path, char section[64])
{
	size_t len = strcspn(path, ".[");

	if (len >= 64)
		len = 63;
	if (strncmp(section, path, len) == 0 && section[len] == '\0')
		return;
	memcpy(section, path, len);
	section[len] = '\0';
	fputs(".SS ", stdout);
	put_text(section);
	putchar('\n');
}

static void
put_key(const struct conf_key_doc *doc, void *arg)
{
	put_section_of(doc->path, arg);
	fputs(".TP\n\\fB", stdout);
	put_text(doc->path);
	fputs("\\fR: \\fI", stdout);
	put_text(doc->type);
	fputs("\\fR", stdout);
	if (*doc->bounds != '\0') {
		fputs(", ", stdout);
		put_text(doc->bounds);
	}
	if (strcmp(doc->initial, "required") == 0)
		fputs("; required", stdout);
	else if (*doc->initial != '\0') {
		fputs("; default ", stdout);
		put_text(doc->initial);
	}
	putchar('\n');
	put_text(doc->text);
	putchar('\n');
}

static void
man_flyball_yaml(void)
{
	char section[64] = "";

	put_title("FLYBALL.YAML", "5", "flyball.yaml - what flyballd is told");
	fputs(".SH DESCRIPTION\n", stdout);
	put_text("A YAML file. Every key has a default; the smallest useful "
		 "file names one route. Unknown keys, wrong types, duplicate "
		 "keys, names that lead nowhere and contradictions are "
		 "errors, all of them told at once with their places. "
		 "flyballctl check-config FILE checks a file, flyballctl "
		 "check-config --dump FILE shows what it comes to, and SIGHUP "
		 "or flyballctl reload puts it in force.\n");
	put_paragraph("Rates are written 20/s, 600/min, 5000/h, 20k/day, or "
		      "unlimited; several hold at once. A unit of rate is one "
		      "recipient. Durations are 500ms, 30s, 5m, 4h, 7d; sizes "
		      "64KiB, 50MiB, 10GiB; shares 5%. A secret is never in "
		      "the file itself: keys that end in _file name where it "
		      "is.");
	fputs(".SH KEYS\n", stdout);
	conf_keys_each(put_key, section);
	fputs(".SH FILES\n", stdout);
	put_tag(FLYBALL_SYSCONFDIR "/flyball/flyball.yaml", "",
	    "Where flyballd looks without -c.");
	fputs(".SH SEE ALSO\n.BR flyballd (8),\n.BR flyballctl (1)\n", stdout);
}

int
ctl_man(int argc, char **argv)
{
	const char *page = argc > 1 ? argv[1] : "";
	struct strbuf text = { 0 };

	if (strcmp(page, "flyballctl") == 0) {
		man_flyballctl();
		return CTL_OK;
	}
	if (strcmp(page, "flyball.yaml") == 0) {
		man_flyball_yaml();
		return CTL_OK;
	}
	if (strcmp(page, "metrics") == 0) {
		metrics_document(&text);
		fputs(text.data, stdout);
		strbuf_fini(&text);
		return CTL_OK;
	}
	fprintf(stderr,
	    "flyballctl man: there are flyballctl, flyball.yaml and "
	    "metrics\n");
	return CTL_USAGE;
}
