/* SPDX-License-Identifier: ISC */
/*
 * Commands about the daemon itself: reload, drain, log level, help.
 */
#include "daemon/command_private.h"

#include <string.h>

#include "conf/base/log.h"

/* A file of nothing but mistakes shouldn't fill an answer. */
#define ERRORS_MAX_BYTES 65536

/* Cut at a whole line. */
static void
cut_errors(struct strbuf *errors)
{
	if (errors->len <= ERRORS_MAX_BYTES)
		return;
	errors->len = ERRORS_MAX_BYTES;
	while (errors->len > 0 && errors->data[errors->len - 1] != '\n')
		errors->len--;
	errors->data[errors->len] = '\0';
	strbuf_adds(errors, "... and more\n");
}

int
command_reload(struct command *c)
{
	const char *file = governor_conf(c->g)->file;
	struct strbuf notes = { 0 };

	if (governor_reload(c->g, &c->errors, &notes) < 0) {
		strbuf_fini(&notes);
		cut_errors(&c->errors);
		err_set(&c->hint,
		    "correct it and reload again; try: "
		    "flyballctl check-config %s",
		    file);
		return command_refuse(c,
		    "%s can't be used; the configuration before goes on", file);
	}
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "config", governor_conf(c->g)->file);
	command_show_lines(c, "needs_restart", &notes);
	if (c->errors.len > 0)
		command_show_lines(c, "not_in_force", &c->errors);
	answer_close(&c->out, '}');
	strbuf_fini(&notes);
	return 0;
}

int
command_drain(struct command *c)
{
	struct sched_totals t;

	sched_totals(governor_sched(c->g), &t);
	governor_drain(c->g);
	answer_open(&c->out, NULL, '{');
	answer_int(&c->out, "in_flight", (int64_t)t.n_in_flight);
	answer_int(&c->out, "stay_queued",
	    (int64_t)(t.n_deliveries - t.n_in_flight));
	answer_int(&c->out, "drain_timeout_ms",
	    governor_conf(c->g)->daemon.drain_timeout_us / 1000);
	answer_close(&c->out, '}');
	return 0;
}

int
command_log_level(struct command *c)
{
	int level = log_level_parse(c->args[0]);
	const char *before = log_level_name(log_level());

	if (level < 0)
		return command_misused(c, "\"%.40s\" is no log level",
		    c->args[0]);
	log_set_level((enum log_level)level);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "level", log_level_name(log_level()));
	answer_str(&c->out, "before", before);
	answer_close(&c->out, '}');
	return 0;
}

/* ---- help ---- */

static void
show_row(struct command *c, const struct command_row *row, bool is_whole)
{
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "command", row->name);
	answer_str(&c->out, "usage", row->usage);
	answer_str(&c->out, "summary", row->summary);
	answer_str(&c->out, "role", command_role_name(row->role));
	if (is_whole) {
		answer_str(&c->out, "doc", row->doc);
		answer_str(&c->out, "example", row->example);
	}
	answer_close(&c->out, '}');
}

int
command_help(struct command *c)
{
	const struct command_row *row;
	size_t used;

	if (c->n_args > 0) {
		row = command_find(c->args, c->n_args, &used);
		if (row == NULL || used < c->n_args) {
			command_suggest(c->args, c->n_args, &c->hint);
			return command_refuse(c,
			    "there is no command \"%.100s\"", c->args[0]);
		}
		show_row(c, row, true);
		return 0;
	}
	answer_open(&c->out, NULL, '[');
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (command_rows[i].role != ROLE_OFFLINE)
			show_row(c, &command_rows[i], false);
	answer_close(&c->out, ']');
	return 0;
}
