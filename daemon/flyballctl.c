/* SPDX-License-Identifier: ISC */
/*
 * flyballctl: words on a command line to the daemon's admin socket, and its
 * answers to a person or, with --json, to a program. Which words there are
 * stands in the table of commands; exit statuses stand in ctl.h.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/ctl.h"
#include "daemon/passwd.h"

typedef int offline_fn(const struct ctl *ctl, int argc, char **argv);

/* ---- what needs no daemon ---- */

static int
run_passwd(const struct ctl *ctl, int argc, char **argv)
{
	(void)ctl;
	return passwd_main(argc, argv);
}

static int
run_check_config(const struct ctl *ctl, int argc, char **argv)
{
	(void)ctl;
	return ctl_check_config(argc, argv);
}

static int
run_classify(const struct ctl *ctl, int argc, char **argv)
{
	(void)ctl;
	return ctl_classify(argc, argv);
}

static int
run_man(const struct ctl *ctl, int argc, char **argv)
{
	(void)ctl;
	return ctl_man(argc, argv);
}

static offline_fn *const offline[COMMAND_COUNT] = {
	[COMMAND_PASSWD] = run_passwd,
	[COMMAND_CHECK_CONFIG] = run_check_config,
	[COMMAND_CLASSIFY] = run_classify,
	[COMMAND_SIMULATE] = ctl_simulate,
	[COMMAND_DOCTOR] = ctl_doctor,
	[COMMAND_MAN] = run_man,
	[COMMAND_TOP] = ctl_top,
	[COMMAND_REPORT] = ctl_report,
	[COMMAND_SPOOL_CHECK] = ctl_spool_check,
	[COMMAND_SPOOL_EXPORT] = ctl_spool_export,
	[COMMAND_SPOOL_REBUILD] = ctl_spool_rebuild,
	[COMMAND_SUPPRESS_EXPORT] = ctl_suppress_export,
	[COMMAND_SUPPRESS_IMPORT] = ctl_suppress_import,
	[COMMAND_COMPLETE] = ctl_complete,
};

/* ---- asking the daemon ---- */

static int
show_refusal(const struct ctl *ctl, const json_t *answer)
{
	const char *kind = json_string_value(json_object_get(answer, "kind"));

	if (ctl->is_json)
		ctl_print_json(answer);
	else
		ctl_show_refusal(ctl, answer);
	return kind != NULL && strcmp(kind, "usage") == 0 ? CTL_USAGE
							  : CTL_REFUSED;
}

static int
show_answer(const struct ctl *ctl, const struct command_row *row,
    const json_t *answer)
{
	const json_t *result = json_object_get(answer, "result");

	if (!json_is_true(json_object_get(answer, "ok")))
		return show_refusal(ctl, answer);
	if (command_id_of(row) == COMMAND_EVENTS_FOLLOW)
		return CTL_OK; /* the events are the answer */
	if (ctl->is_json)
		ctl_print_json(result);
	else
		ctl_show(ctl, command_id_of(row), result);
	return CTL_OK;
}

static int
follow(const struct ctl *ctl, struct ctl_client *c)
{
	const char *line;

	while ((line = ctl_client_read_line(c)) != NULL) {
		if (!ctl->is_json)
			ctl_show_event(ctl, line);
		else if (puts(line) < 0 || fflush(stdout) != 0)
			return CTL_OK;
	}
	fputs("flyballctl: the daemon ended the connection\n", stderr);
	return CTL_NO_DAEMON;
}

static int
ask(const struct ctl *ctl, const struct command_row *row, char **words,
    size_t n)
{
	struct ctl_client *c = ctl_client_open(ctl, false);
	json_t *answer = NULL;
	struct err err;
	int result;

	if (c == NULL)
		return CTL_NO_DAEMON;
	if (ctl_client_send(c, words, n, &err) < 0) {
		fprintf(stderr, "flyballctl: %s\n", err.text);
		result = CTL_USAGE;
		goto out;
	}
	answer = ctl_client_read(c);
	if (answer == NULL) {
		fputs("flyballctl: the daemon ended the connection\n", stderr);
		result = CTL_NO_DAEMON;
		goto out;
	}
	result = show_answer(ctl, row, answer);
	if (result == CTL_OK && command_id_of(row) == COMMAND_EVENTS_FOLLOW)
		result = follow(ctl, c);
out:
	json_decref(answer);
	ctl_client_close(c);
	return result;
}

/* Ours, and the daemon's if there is one. */
static int
show_version(const struct ctl *ctl)
{
	json_t *result = ctl_ask(ctl, "version");

	if (result == NULL)
		printf("flyballctl %s\nno flyballd answers at %s\n",
		    FLYBALL_VERSION, ctl->socket);
	else
		ctl_show(ctl, COMMAND_VERSION, result);
	json_decref(result);
	return CTL_OK;
}

/* ---- the command line ---- */

static int
misused(const struct command_row *row)
{
	fprintf(stderr, "usage: flyballctl %s%s%s\n", row->name,
	    *row->usage ? " " : "", row->usage);
	return CTL_USAGE;
}

static int
no_command(char *const *words, size_t n)
{
	struct err hint;

	command_suggest(words, n, &hint);
	fprintf(stderr, "flyballctl: there is no command \"%s\"\nhint: %s\n",
	    words[0], hint.text);
	return CTL_USAGE;
}

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int
show_help(char *const *words, size_t n)
{
	const struct command_row *row;
	size_t used;

	if (n == 0) {
		ctl_help(stdout);
		return CTL_OK;
	}
	row = command_find(words, n, &used);
	if (row == NULL)
		return no_command(words, n);
	ctl_help_command(stdout, row);
	return CTL_OK;
}

static int
run(const struct ctl *ctl, char **words, size_t n)
{
	const struct command_row *row;
	size_t used, n_args;

	if (n == 0) {
		ctl_help(stderr);
		return CTL_USAGE;
	}
	row = command_find(words, n, &used);
	if (row == NULL)
		return no_command(words, n);
	n_args = n - used;
	if (n_args > 0 && is_help(words[n - 1]) &&
	    command_id_of(row) != COMMAND_COMPLETE) {
		ctl_help_command(stdout, row);
		return CTL_OK;
	}
	if (n_args < (size_t)row->min_args ||
	    (row->max_args >= 0 && n_args > (size_t)row->max_args))
		return misused(row);
	if (command_id_of(row) == COMMAND_HELP)
		return show_help(words + used, n_args);
	if (command_id_of(row) == COMMAND_VERSION && !ctl->is_json)
		return show_version(ctl);
	if (offline[command_id_of(row)] != NULL)
		return offline[command_id_of(row)](ctl, (int)n_args + 1,
		    words + used - 1);
	return ask(ctl, row, words, n);
}

/* Whether what follows is a command's own business: a reason, or options of a
 * command that reads them itself. */
static bool
is_verbatim(const char *word)
{
	return strcmp(word, "because") == 0 || strcmp(word, "passwd") == 0 ||
	    strcmp(word, "complete") == 0 || strcmp(word, "--") == 0;
}

/* Takes our options out of the words, wherever they stand. -1: say no more,
 * *status_out tells how it ended. */
static int
take_options(struct ctl *ctl, char **words, size_t *n, int *status_out)
{
	size_t to = 0, i;

	for (i = 0; i < *n && !is_verbatim(words[i]); i++) {
		const char *word = words[i];

		if (strcmp(word, "--json") == 0) {
			ctl->is_json = true;
		} else if (strcmp(word, "-s") == 0 ||
		    strcmp(word, "--socket") == 0) {
			if (i + 1 == *n) {
				fputs("flyballctl: -s needs a socket\n",
				    stderr);
				*status_out = CTL_USAGE;
				return -1;
			}
			ctl->socket = words[++i];
		} else if (to == 0 && is_help(word)) {
			ctl_help(stdout);
			*status_out = CTL_OK;
			return -1;
		} else if (to == 0 &&
		    (strcmp(word, "-V") == 0 ||
			strcmp(word, "--version") == 0)) {
			puts("flyballctl " FLYBALL_VERSION);
			*status_out = CTL_OK;
			return -1;
		} else if (to == 0 && word[0] == '-') {
			fprintf(stderr,
			    "flyballctl: there is no option %s; "
			    "see --help\n",
			    word);
			*status_out = CTL_USAGE;
			return -1;
		} else {
			words[to++] = words[i];
		}
	}
	if (i < *n && strcmp(words[i], "--") == 0)
		i++;
	while (i < *n)
		words[to++] = words[i++];
	*n = to;
	return 0;
}

static bool
wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') &&
	    (term == NULL || strcmp(term, "dumb") != 0);
}

static unsigned
terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) ||
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 0;
	return size.ws_col;
}

int
main(int argc, char **argv)
{
	const char *socket = getenv("FLYBALL_SOCKET");
	struct ctl ctl = {
		.socket = socket != NULL && *socket ? socket : CTL_SOCKET,
		.has_colour = wants_colour(),
		.width = terminal_width(),
	};
	char **words = xcalloc((size_t)argc + 1, sizeof(*words));
	size_t n = (size_t)argc - (argc > 0);
	int status = CTL_OK;

	setlocale(LC_CTYPE, "");
	for (size_t i = 0; i < n; i++)
		words[i] = argv[i + 1];
	if (take_options(&ctl, words, &n, &status) == 0)
		status = run(&ctl, words, n);
	free(words);
	if (fflush(stdout) != 0 && status == CTL_OK)
		status = CTL_REFUSED;
	return status;
}
