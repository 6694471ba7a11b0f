/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_KEY_PLANS_H
#define FLYBALL_KEY_PLANS_H

#include "conf/keys.h"

/* The types of plans' keys. The comment names what the row's offset means. */
extern const struct key_type type_schedule; /* struct conf_schedule */
extern const struct key_type type_growth;   /* struct conf_schedule */
extern const struct key_type type_volumes;  /* struct conf_schedule */
extern const struct key_type type_start;    /* int64_t: day or -1 */
/* window_from_us of struct conf_plan; 0, 0 is the whole day until load.c
 * puts the day's length in. */
extern const struct key_type type_window;

extern const struct section section_schedule;

/* Whether a schedule that was read leads anywhere; says why not. */
bool schedule_check(struct reader *r, struct node *n,
    const struct conf_schedule *s);

#endif
