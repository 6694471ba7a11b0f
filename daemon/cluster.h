/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CLUSTER_H
#define FLYBALL_CLUSTER_H

#include "daemon/cluster_view.h"
#include "daemon/governor.h"

/*
 * This node among those that share limits through one Redis: carries leases
 * between the scheduler and daemon/cluster/lease.lua, says that it is here, and
 * decides what holds when Redis doesn't answer. Made where `cluster` is
 * configured only. All functions are for the governor's thread.
 */
struct cluster *cluster_new(struct governor *g, struct err *err_out);
/* The scheduler is gone by then, or knows no cluster any more. NULL is fine. */
void cluster_free(struct cluster *c);

/* Another place of Redis, password, timeout, on_loss: taken over. The name, the
 * prefix and the lease stay until a restart. NULL is fine. -1: nothing was
 * changed. */
int cluster_reload(struct cluster *c, const struct conf *conf,
    struct err *err_out);
/* At the end of the governor's turn: what has become due is asked for. */
void cluster_turn(struct cluster *c);
/* Nothing leaves any more: gives back what is held, as far as one write to
 * the socket goes; nobody waits for answers. */
void cluster_leave(struct cluster *c);

/* The scheduler's records that changed come now. */
void cluster_saving(struct cluster *c);
/* A record that the scheduler stores; NULL: it is deleted. Others hear of it,
 * where it concerns them. c may be NULL. */
void cluster_tell(struct cluster *c, const char *key, const char *value);

/* A recipient isn't written to any more, or is again: others hear of it. c may
 * be NULL. */
struct suppression_entry;
void cluster_suppressed(struct cluster *c,
    const struct suppression_entry *entry);
void cluster_unsuppressed(struct cluster *c, const char *address);

/* What is wrong, in words; NULL = nothing. */
const char *cluster_trouble(const struct cluster *c);

#endif
