/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_COMMAND_TABLE_H
#define FLYBALL_COMMAND_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/base/err.h"

/*
 * What commands there are: one row each, with everything that must not be
 * forgotten. The daemon's dispatcher (command.c), flyballctl, --help, the
 * manual page and the shells' completion all read this table.
 */
enum command_id {
	COMMAND_STATUS,
	COMMAND_LANES,
	COMMAND_LANE,
	COMMAND_HISTORY,
	COMMAND_WHY,
	COMMAND_FORECAST,
	COMMAND_PLANS,
	COMMAND_PLAN,
	COMMAND_QUEUE,
	COMMAND_MESSAGE,
	COMMAND_PROVIDERS,
	COMMAND_CLUSTER,
	COMMAND_EVENTS,
	COMMAND_EVENTS_FOLLOW,
	COMMAND_PAUSE,
	COMMAND_RESUME,
	COMMAND_RATE,
	COMMAND_CONNECTIONS,
	COMMAND_FORGET,
	COMMAND_RETRY,
	COMMAND_BOUNCE,
	COMMAND_DROP,
	COMMAND_REROUTE,
	COMMAND_FEEDBACK,
	COMMAND_SUPPRESS_LIST,
	COMMAND_SUPPRESS_CHECK,
	COMMAND_SUPPRESS_ADD,
	COMMAND_SUPPRESS_REMOVE,
	COMMAND_SUPPRESS_EXPORT,
	COMMAND_SUPPRESS_IMPORT,
	COMMAND_RELOAD,
	COMMAND_DRAIN,
	COMMAND_LOG_LEVEL,
	COMMAND_VERSION,
	COMMAND_HELP,
	COMMAND_TOP,
	COMMAND_PASSWD,
	COMMAND_CHECK_CONFIG,
	COMMAND_CLASSIFY,
	COMMAND_SIMULATE,
	COMMAND_DOCTOR,
	COMMAND_REPORT,
	COMMAND_SPOOL_CHECK,
	COMMAND_SPOOL_EXPORT,
	COMMAND_SPOOL_REBUILD,
	COMMAND_MAN,
	COMMAND_COMPLETE,
	COMMAND_COUNT,
};

enum command_role {
	ROLE_READ,    /* whoever may open the socket */
	ROLE_CHANGE,  /* root, the daemon's user, the socket's group */
	ROLE_OFFLINE, /* flyballctl's own: the daemon has no handler */
};

struct command_row {
	const char *name;    /* one or two words */
	const char *usage;   /* the arguments; "" = none */
	const char *summary; /* one line, no full stop */
	const char *doc;     /* whole sentences, paragraphs by \n */
	const char *example; /* a whole command line without "flyballctl" */
	enum command_role role;
	int min_args;
	int max_args; /* -1 = any number */
	/* Of ROLE_CHANGE: with so many words at most it only looks; 0 = it always
	 * changes. */
	int looks_up_to;
};

extern const struct command_row command_rows[COMMAND_COUNT];

/* The command with the longest name that these words begin with; *used_out is
 * how many words the name has. NULL: there is none. */
const struct command_row *command_find(char *const *words, size_t n,
    size_t *used_out);
enum command_id command_id_of(const struct command_row *row);
const char *command_role_name(enum command_role role);
/* Does it change something with so many words behind its name? */
bool command_changes(const struct command_row *row, size_t n_args);

/* What to do about words that are no command: "did you mean ...". */
void command_suggest(char *const *words, size_t n, struct err *hint_out);

#endif
