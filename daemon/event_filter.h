/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_EVENT_FILTER_H
#define FLYBALL_EVENT_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/base/err.h"

/*
 * Which lines of the event log somebody wants: KEY=VALUE..., where all keys
 * must fit, a key given twice by any of its values, and values may hold * and
 * ?. It looks at the line as it was written: nothing is parsed. Pure.
 */
struct event_filter;

/* No words: every line. NULL: a word is no condition. */
struct event_filter *event_filter_new(char *const *words, size_t n,
    struct err *err_out);
void event_filter_free(struct event_filter *f); /* NULL is fine */
/* `line` is one that the event log wrote; NULL f: every line fits. */
bool event_filter_fits(const struct event_filter *f, const char *line,
    size_t len);

#endif
