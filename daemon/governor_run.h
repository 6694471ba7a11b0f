/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GOVERNOR_RUN_H
#define FLYBALL_GOVERNOR_RUN_H

#include "daemon/governor.h"

/* The daemon's life, for main(): everything is made and checked (ports,
 * certificates, users, the spool's lock) before anything runs. */
struct governor *governor_new(const struct conf *conf, struct err *err_out);
/* Runs until drained. -1: the spool couldn't be read or a thread started. */
int governor_run(struct governor *g, struct err *err_out);
void governor_free(struct governor *g);

#endif
