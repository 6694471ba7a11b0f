/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LESSONS_H
#define FLYBALL_LESSONS_H

#include "scheduler/sched.h"

/*
 * What nodes of a cluster tell each other, as the records of sched_save(): a
 * lane's speed and suspension, rates, connections and pauses by hand, a sender
 * domain's pause, a plan's stage. daemon/cluster_lessons.c carries them.
 */
bool sched_is_lesson(const char *key);
/* Another node says so; value NULL: it is over. What isn't configured here is
 * passed over. -1: it can't be read. Nothing of it comes with
 * sched_change_next(). */
int sched_learn(struct sched *s, const char *key, const char *value,
    int64_t now_us);
/* Do they say the same, but for counts and for an instant's drift? NULL is
 * fine. */
bool sched_lesson_is_same(const char *key, const char *a, const char *b);
/* With its instants moved, for a clock that reads otherwise. The caller
 * frees it. */
char *sched_lesson_shift(const char *value, int64_t shift_us);

#endif
