/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_USERS_EDIT_H
#define FLYBALL_USERS_EDIT_H

#include <stdbool.h>

#include "conf/base/err.h"

/*
 * Changes single lines of a users file and leaves the others, comments and
 * mistakes included, as they are. The file is locked while it is open here,
 * and replaced whole by the commit: nobody ever reads half of it.
 */
struct users_edit;

/* With `create`, a file that isn't there is made (0600) by the commit. A
 * symbolic link is followed: the file behind it changes. */
struct users_edit *users_edit_open(const char *file, bool create,
    struct err *err_out);
/* Without commit nothing has changed. */
void users_edit_close(struct users_edit *edit);

/* The options of a user's line: malloc'd, "" = none; NULL = no such user. */
char *users_edit_options(const struct users_edit *edit, const char *name);
/* Puts `line` (with newline) in the place of the user's, or at the end; NULL
 * removes it. Returns whether the user was there. */
bool users_edit_put(struct users_edit *edit, const char *name,
    const char *line);
/* To the disk, synced; the file's mode and owner stay. */
int users_edit_commit(struct users_edit *edit, struct err *err_out);

#endif
