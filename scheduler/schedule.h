/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SCHEDULE_H
#define FLYBALL_SCHEDULE_H

#include <stdint.h>

#include "conf/conf.h"

/*
 * A day's volume by the stage of a plan, from 0. Never falls from one stage to
 * the next, ends at `to` (or the last of the listed volumes) and stays there.
 */
int64_t schedule_volume(const struct conf_schedule *schedule, int64_t stage);

/*
 * The first stage that has the highest volume; SCHEDULE_STAGES_MAX when growth
 * doesn't lead there.
 */
#define SCHEDULE_STAGES_MAX 100000
int64_t schedule_last_stage(const struct conf_schedule *schedule);

#endif
