/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_REBUILD_H
#define FLYBALL_SPOOL_REBUILD_H

#include "daemon/spool_image.h"

struct rebuilt {
	uint64_t n_messages, n_facts;
	uint64_t n_left_out; /* messages that aren't whole, or are uncertain */
};

/*
 * A new state directory `to` (which must not exist) with all of an image's
 * messages that are whole, under their ids, and all facts that can be read.
 * Root gives it the owner that `from` has.
 */
int spool_rebuild(struct spool_image *im, const char *from, const char *to,
    struct rebuilt *out, struct err *err_out);

#endif
