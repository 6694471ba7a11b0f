/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_COMMAND_PRIVATE_H
#define FLYBALL_COMMAND_PRIVATE_H

/*
 * What the handlers of the admin socket's commands share; included by
 * command*.c only. A handler is a function in one of the command_NOUN.c files,
 * named in the table in command.c; it need not check its role, nor how many
 * words there are: the dispatcher did, by the command's row.
 *
 * A handler writes its result into c->out and returns 0, or refuses and
 * returns -1. Who has more to say than fits in a turn sets c->step (and
 * c->release for c->state) and is called again.
 */
#include <stdarg.h>
#include <stdint.h>

#include "daemon/command.h"
#include "daemon/command_answer.h"
#include "daemon/command_table.h"
#include "daemon/command_words.h"
#include "daemon/event_filter.h"
#include "daemon/governor.h"
#include "daemon/selection.h"
#include "sink/envelope.h"

struct command {
	struct governor *g;
	struct command_peer peer;
	char *line;
	struct words words;
	const struct command_row *row; /* NULL until it was found */
	char **args;		       /* the words behind the name */
	size_t n_args;
	int64_t now_us, now_utc_us; /* at the beginning of this step */
	struct answer out;
	/* of a refusal: */
	struct err err;
	struct err hint;
	struct strbuf errors; /* one a line */
	bool is_usage;
	/* of a long one: */
	enum step (*step)(struct command *c);
	void (*release)(struct command *c);
	void *state;
	struct event_filter *filter; /* of events */
	/* of a change, for the record: */
	const char *because; /* NULL = nobody said */
	uint64_t n_changed;
	bool is_counted; /* n_changed tells something */
	bool is_dry_run;
	enum { RECORD_NONE, RECORD_OPEN, RECORD_DONE } record;
};

/* Both return -1. */
int command_refuse(struct command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The words were wrong: the answer shows the row's usage. */
int command_misused(struct command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Mail may leave that couldn't before: the governor plans in this turn. */
void command_changed(struct command *c);

/* The step's time is over, or enough has been written for now. */
bool command_is_long(const struct command *c);

/* Instants of the scheduler as wall time; 0 and INT64_MAX become null. */
void command_time(struct command *c, const char *key, int64_t mono_us);
void command_id(struct command *c, const char *key, uint64_t message);

/* An array of the lines. */
void command_show_lines(struct command *c, const char *key,
    const struct strbuf *lines);

/* `for DURATION`, `because TEXT` in any order; what is left stays in args.
 * *until_us_out is INT64_MAX without a duration. */
int command_take_options(struct command *c, int64_t *until_us_out);
int command_take_because(struct command *c);
/* `limit N` behind everything else; *limit_out stays if it isn't there. */
int command_take_limit(struct command *c, int64_t max, int64_t *limit_out);
/* Removes the flag from args if it is there. */
bool command_take_flag(struct command *c, const char *flag);

/* command_status.c */
int command_status(struct command *c);
int command_providers(struct command *c);
int command_version(struct command *c);
/* command_cluster.c */
int command_cluster(struct command *c);
/* The key "cluster": null where this relay is alone. */
void command_show_cluster(struct command *c);
/* command_daemon.c */
int command_reload(struct command *c);
int command_drain(struct command *c);
int command_log_level(struct command *c);
int command_help(struct command *c);
/* command_events.c */
int command_events(struct command *c);
int command_events_follow(struct command *c);
/* command_lanes.c */
int command_lanes(struct command *c);
int command_lane(struct command *c);
/* `rates` as texts of the grammar. */
void command_show_rates(struct command *c, const char *key,
    const struct rate *rates, size_t n);
int command_no_such_lane(struct command *c, const char *name);
/* command_history.c */
int command_history(struct command *c);
/* command_why.c */
/* The key "gates": the holding one first. */
void command_show_gates(struct command *c, const struct gate_view *gates,
    size_t n);
int command_why(struct command *c);
/* command_plan.c */
int command_plans(struct command *c);
int command_plan(struct command *c);
int command_forecast(struct command *c);
/* command_queue.c */
/* -1: it isn't queued, or the disk fails. */
int command_read_message(struct command *c, uint64_t id, struct envelope *out);
/* Keys that tell where a message came from. */
void command_show_arrival(struct command *c, const struct envelope *e);
int command_queue(struct command *c);
int command_message(struct command *c);
/* command_change.c */
int command_pause(struct command *c);
int command_resume(struct command *c);
int command_rate(struct command *c);
int command_connections(struct command *c);
int command_forget(struct command *c);
/* command_select.c */
int command_retry(struct command *c);
int command_bounce(struct command *c);
int command_drop(struct command *c);
int command_reroute(struct command *c);
/* command_feedback.c */
int command_feedback(struct command *c);
/* command_suppress.c */
int command_suppress_list(struct command *c);
int command_suppress_check(struct command *c);
int command_suppress_add(struct command *c);
int command_suppress_remove(struct command *c);

#endif
