/* SPDX-License-Identifier: ISC */
/*
 * How words find their row in the table of commands, and what to say of words
 * that find none. Pure; flyballctl and the daemon ask alike.
 */
#include <stdio.h>
#include <string.h>

#include "conf/base/nearest.h"
#include "daemon/command_table.h"

enum command_id
command_id_of(const struct command_row *row)
{
	return (enum command_id)(row - command_rows);
}

bool
command_changes(const struct command_row *row, size_t n_args)
{
	return row->role == ROLE_CHANGE &&
	    (row->looks_up_to == 0 || n_args > (size_t)row->looks_up_to);
}

const char *
command_role_name(enum command_role role)
{
	switch (role) {
	case ROLE_READ:
		return "read";
	case ROLE_CHANGE:
		return "change";
	case ROLE_OFFLINE:
		return "offline";
	}
	return "?";
}

/* ---- finding ---- */

/* How many words the name has if they are these; 0: they aren't. */
static size_t
name_matches(const char *name, char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(name, " ");

		if (strlen(words[i]) != len ||
		    strncmp(words[i], name, len) != 0)
			return 0;
		if (name[len] == '\0')
			return i + 1;
		name += len + 1;
	}
	return 0;
}

const struct command_row *
command_find(char *const *words, size_t n, size_t *used_out)
{
	const struct command_row *best = NULL;

	*used_out = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t used = name_matches(command_rows[i].name, words, n);

		if (used > *used_out) {
			*used_out = used;
			best = &command_rows[i];
		}
	}
	return best;
}

/* ---- mistyped ---- */

static const char *
row_name(size_t i, const void *arg)
{
	(void)arg;
	return command_rows[i].name;
}

void
command_suggest(char *const *words, size_t n, struct err *hint_out)
{
	const char *near;
	char both[64];

	for (size_t i = 0; n > 0 && i < COMMAND_COUNT; i++) {
		size_t len = strlen(words[0]);

		if (strncmp(command_rows[i].name, words[0], len) == 0 &&
		    command_rows[i].name[len] == ' ') {
			err_set(hint_out, "did you mean `%s`?",
			    command_rows[i].name);
			return;
		}
	}
	near = n > 0 ? nearest_name(words[0], row_name, NULL, COMMAND_COUNT)
		     : NULL;
	if (near == NULL && n > 1) {
		snprintf(both, sizeof(both), "%.31s %.31s", words[0], words[1]);
		near = nearest_name(both, row_name, NULL, COMMAND_COUNT);
	}
	if (near != NULL)
		err_set(hint_out, "did you mean `%s`?", near);
	else
		err_set(hint_out, "`help` lists the commands");
}
