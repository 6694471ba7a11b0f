/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FAULT_H
#define FLYBALL_FAULT_H

#include "conf/base/log.h"

/* The exit status: the database is damaged, or its disk gives errors. */
#define FAULT_STATUS 3

/*
 * From now on a read of the mapped database that the disk can't serve (SIGBUS)
 * ends the process with a line in the log and FAULT_STATUS, instead of a core.
 * So does SIGSEGV until fault_started(): until then nearly all that runs reads
 * the database. `hint`: what an operator can do.
 */
void fault_watch(const char *state_dir, enum log_format format,
    const char *hint);
void fault_started(void);

#endif
