/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LANE_STORE_H
#define FLYBALL_LANE_STORE_H

#include "scheduler/lane_adapt.h"

/*
 * What was learned of lanes and routes, and what the operator set by hand, as
 * records of text that survive a restart:
 *
 *	adapt ip-a/gmail	speed, suspension, connections
 *	connections ip-a	of the route
 *	lane-connections ip-a/gmail	the operator's
 *	rate ip-a/gmail		the operator's
 *	pause route ip-a	the operator's
 *
 * Times within are of the wall. Included inside scheduler/ only.
 */

/* Gives each record that changed since the last save; value NULL: delete it.
 * utc_us is what the wall shows at s->now_us. */
void lane_store_save(struct sched *s, int64_t utc_us,
    void (*put)(const char *key, const char *value, void *arg), void *arg);

/* 0: taken in. 1: not one of these keys. -1: it can't be read. What is over by
 * now, or isn't configured any more, is taken in as nothing. */
int lane_store_restore(struct sched *s, const char *key, const char *value,
    int64_t utc_us);

/* This lane has something new to save. */
void lane_store_touch(struct sched *s, struct lane *l);
/* It is about to be freed. */
void lane_store_forget(struct sched *s, struct lane *l);
/* Operator's records changed; key: one that is over, or NULL. */
void lane_store_operator(struct sched *s, const char *prefix, const char *name);
void lane_store_free(struct sched *s);

#endif
