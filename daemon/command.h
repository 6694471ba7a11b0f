/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_COMMAND_H
#define FLYBALL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "conf/base/strbuf.h"

struct event_filter;
struct governor;

/*
 * One command of the admin socket: a line in, one JSON object in a line out,
 *
 *	{"ok":true,"result":...}
 *	{"ok":false,"error":"...","hint":"..."}
 *
 * (with "kind":"usage" where the words were wrong, and "errors":[...] where
 * there is a list of them). It works in steps, so that neither a long answer
 * nor a change of a million messages keeps the governor from its mail.
 */
struct command;

/* Who asks. The caller finds out, the dispatcher checks. */
struct command_peer {
	uid_t uid;
	pid_t pid;
	bool may_change;
};

enum step {
	STEP_MORE,   /* call again when the answer so far has been taken */
	STEP_PACED,  /* the same, but not before COMMAND_PACE_US */
	STEP_DONE,   /* the line is whole */
	STEP_FOLLOW, /* likewise, and from now on events follow it */
};

#define COMMAND_PACE_US	 5000
#define COMMAND_STEP_US	 2000	/* a step's time, about */
#define COMMAND_OUT_HIGH 131072 /* bytes; a step that has more stops */

/* The line without its newline; it is copied. Nothing happens before the
 * first step. */
struct command *command_new(struct governor *g, const struct command_peer *peer,
    const char *line, size_t len);
enum step command_step(struct command *c);
/* Behind STEP_FOLLOW: which events are wanted; the caller's now. */
struct event_filter *command_take_filter(struct command *c);
/* What has gathered of the answer; the caller consumes it. */
struct strbuf *command_out(struct command *c);
/* At any time: a change that is under way ends where it is, and is recorded
 * so. */
void command_free(struct command *c);

#endif
