/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CTL_SPOOL_H
#define FLYBALL_CTL_SPOOL_H

#include "daemon/ctl.h"
#include "daemon/spool_image.h"

/*
 * What the files of `flyballctl spool` share: which state directory, and what
 * is found wrong in it while it is read.
 */
struct ctl_spool {
	const struct ctl *ctl;
	const char *command; /* "spool check" */
	char *state_dir;
	const char *to; /* NULL: the command takes none */
	struct spool_image *image;
	json_t *damages, *notes; /* lists of strings */
	size_t n_shown;
};

/* ctl_spool_export.c: every message into the directory `to`. -1: it couldn't
 * be written. *n_out: messages. */
int ctl_spool_export_all(struct ctl_spool *s, uint64_t *n_out,
    struct err *err_out);

#endif
