/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FULL_PLANS_H
#define FLYBALL_FULL_PLANS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "sink/envelope.h"

/*
 * Which plans that say `overflow: tempfail` have no more room today, so that
 * sessions can answer 452 without asking the governor. The governor replaces
 * all of it now and then; any thread asks. Guards itself.
 */
struct full_plans;

struct full_plans *full_plans_new(void);
void full_plans_free(struct full_plans *f); /* NULL is fine */

/* By the governor: begin, add each, and put in force. */
void full_plans_begin(struct full_plans *f);
void full_plans_add(struct full_plans *f, const char *key, const char *text);
void full_plans_end(struct full_plans *f);

/*
 * Whether a message, sorted into deliveries, meets one: by its stream's first
 * route, or its sender's domain. The sentence for the client goes to text_out.
 */
bool full_plans_meets(struct full_plans *f, const struct conf *conf,
    const struct envelope *e, char *text_out, size_t size);

#endif
