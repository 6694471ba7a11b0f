/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADMIN_H
#define FLYBALL_ADMIN_H

#include "conf/base/err.h"
#include "daemon/governor.h"

/*
 * The admin socket: one command a line in words, one JSON object a line back.
 * The role a command needs stands in its row of the command table
 * (daemon/command.c) and is checked by the dispatcher, by SO_PEERCRED: root,
 * the daemon's own user and members of the socket's group may change things,
 * everybody else whom the socket's mode lets in may read.
 */
struct admin;

/* Makes the socket (replacing a dead one, refusing a live one). */
struct admin *admin_new(struct governor *g, struct err *err_out);
void admin_free(struct admin *a); /* removes the socket */

#endif
