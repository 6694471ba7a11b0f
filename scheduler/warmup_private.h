/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_WARMUP_PRIVATE_H
#define FLYBALL_WARMUP_PRIVATE_H

#include "scheduler/warmup.h"

/* What the files of the warmup share; included inside scheduler/ only. */

/* The day's instants and allowance, after the day or the stage changed. */
void warmup_frame(struct warmup *w);
/* A day that has facts shows what it allowed, in its last word. */
void warmup_record(struct warmup *w);
/* The plan has a start date, and that is still to come. */
bool warmup_is_before_start(const struct warmup *w);
/* The day it is on is over, and so are those before `day`, without mail. */
void warmup_judge(struct warmup *w, int64_t day, int64_t utc_us);
/* Charged today by this node alone. */
int64_t warmup_charged_here(const struct warmup *w);
/* When the next day's window opens. */
int64_t warmup_next_open(const struct warmup *w);

/* A change is told with where it began and where it led. */
struct warmup_change warmup_change_begin(const struct warmup *w,
    enum warmup_step step, int64_t utc_us);
void warmup_change_end(struct warmup *w, struct warmup_change *c, int64_t stage,
    const char *why, ...) __attribute__((format(printf, 4, 5)));

#endif
