/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_EVENT_LOG_H
#define FLYBALL_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"
#include "conf/base/strbuf.h"

/*
 * The event log: one JSON object a line, to a file, to stdout, and to those
 * who follow on the admin socket. The governor's thread writes it; lines
 * gather in memory and are flushed once a turn. Whatever peers send comes out
 * as valid JSON: invalid UTF-8 becomes U+FFFD, fields are cut at
 * EVENT_FIELD_MAX bytes (then "…" ends them).
 */
#define EVENT_FIELD_MAX 8192

struct event_log;

/* path "" = only followers, "-" = stdout. A new file gets mode 0640. */
struct event_log *event_log_open(const char *path, struct err *err_out);
/* Opens the path anew (logrotate, reload); the old file stays on failure. */
int event_log_reopen(struct event_log *log, const char *path,
    struct err *err_out);
void event_log_close(struct event_log *log);

/* False when nobody reads: then spare the work of building an event. */
bool event_log_is_wanted(const struct event_log *log);

/* Building one event: begin, fields, end. Fields with NULL text are left out. */
void event_begin(struct event_log *log, const char *name, int64_t utc_us);
void event_str(struct event_log *log, const char *key, const char *text);
void event_int(struct event_log *log, const char *key, int64_t value);
void event_bool(struct event_log *log, const char *key, bool value);
void event_end(struct event_log *log);

/* Writes what has gathered, never waiting for a reader. Where it can't be
 * written the log is warned once; events are then dropped, whole lines, and
 * counted. */
void event_log_flush(struct event_log *log);
uint64_t event_log_n_dropped(const struct event_log *log);

/* Followers get each line (with its newline) at event_end(); the line is lent
 * for the call. They may follow and unfollow from there, but not make events,
 * flush or reopen. */
typedef void event_follow_fn(const char *line, size_t len, void *arg);
struct event_follower;
struct event_follower *event_log_follow(struct event_log *log,
    event_follow_fn *fn, void *arg);
void event_log_unfollow(struct event_log *log, struct event_follower *f);

#endif
