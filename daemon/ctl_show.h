/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CTL_SHOW_H
#define FLYBALL_CTL_SHOW_H

#include <stdint.h>

#include "daemon/ctl.h"
#include "daemon/ctl_table.h"

/* What the ctl_show*.c files share: reading answers, and one function for each
 * kind of answer. */
typedef void ctl_show_fn(const struct ctl *ctl, const json_t *result);

/* "" and 0 where the key is missing or null. */
const char *ctl_str(const json_t *object, const char *key);
int64_t ctl_int(const json_t *object, const char *key);
bool ctl_true(const json_t *object, const char *key);

/* A cell of the object's value, as its key says; "-" for null. */
void ctl_cell(struct table *t, enum colour colour, const json_t *object,
    const char *key);
/* One line of clean text with what the key's value reads as. */
void ctl_line(const char *label, const json_t *object, const char *key);
/* Text of others, each of its lines behind `indent`. */
void ctl_print_reply(const char *indent, const char *text);
/* "5m" of a ..._ms key into one of a few static buffers. */
const char *ctl_span(const json_t *object, const char *key);
const char *ctl_count(const json_t *object, const char *key);
/* A table and what stands there when it is empty; frees it. */
void ctl_print_table(struct table *t, const char *if_empty);

/* The columns of a list of lanes, and a lane's row: for lanes and top. */
void ctl_lane_columns(struct table *t);
void ctl_lane_row(struct table *t, const json_t *lane, bool is_plain);

/* Any answer, without knowing it. */
ctl_show_fn ctl_show_any;
ctl_show_fn ctl_show_status;
ctl_show_fn ctl_show_lanes, ctl_show_lane, ctl_show_why;
ctl_show_fn ctl_show_history;
ctl_show_fn ctl_show_plans, ctl_show_plan, ctl_show_forecast;
ctl_show_fn ctl_show_queue, ctl_show_message, ctl_show_changed;
ctl_show_fn ctl_show_pause, ctl_show_resume, ctl_show_rate, ctl_show_forget;
ctl_show_fn ctl_show_reload, ctl_show_drain, ctl_show_log_level;
ctl_show_fn ctl_show_cluster;
ctl_show_fn ctl_show_version, ctl_show_providers, ctl_show_events;

#endif
