/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SUBMISSION_H
#define FLYBALL_SUBMISSION_H

#include "scheduler/destination.h"
#include "sink/envelope.h"

/*
 * Sorts a message that was just taken into deliveries: one for each provider,
 * or each domain that no provider claims. Pure.
 */

/* Regroups deliveries[0], which holds all recipients, by destination, in the
 * order of their first recipient. */
void submission_split(struct envelope *e,
    const struct destination_index *index);

/* Where one mailbox belongs; results are malloc'd, site is "" for a named
 * provider. */
void submission_classify(const struct destination_index *index,
    const char *mailbox, char **provider_out, char **site_out);

#endif
