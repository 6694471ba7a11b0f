/* SPDX-License-Identifier: ISC */
/*
 * The dispatcher of the admin socket's commands: from a line to the handler of
 * its row, and from what that says to one line of JSON. Roles, numbers of
 * words and the record of changes are handled here, for all commands alike, so
 * that no handler can forget them. It knows nothing of sockets.
 */
#include "daemon/command.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/command_private.h"
#include "sink/envelope.h"

typedef int command_fn(struct command *c);

/* NULL: flyballctl does it by itself. */
static command_fn *const handlers[COMMAND_COUNT] = {
	[COMMAND_STATUS] = command_status,
	[COMMAND_CLUSTER] = command_cluster,
	[COMMAND_LANES] = command_lanes,
	[COMMAND_FORECAST] = command_forecast,
	[COMMAND_PLANS] = command_plans,
	[COMMAND_PLAN] = command_plan,
	[COMMAND_LANE] = command_lane,
	[COMMAND_HISTORY] = command_history,
	[COMMAND_WHY] = command_why,
	[COMMAND_QUEUE] = command_queue,
	[COMMAND_MESSAGE] = command_message,
	[COMMAND_PROVIDERS] = command_providers,
	[COMMAND_EVENTS] = command_events,
	[COMMAND_EVENTS_FOLLOW] = command_events_follow,
	[COMMAND_PAUSE] = command_pause,
	[COMMAND_RESUME] = command_resume,
	[COMMAND_RATE] = command_rate,
	[COMMAND_CONNECTIONS] = command_connections,
	[COMMAND_FORGET] = command_forget,
	[COMMAND_RETRY] = command_retry,
	[COMMAND_BOUNCE] = command_bounce,
	[COMMAND_DROP] = command_drop,
	[COMMAND_REROUTE] = command_reroute,
	[COMMAND_FEEDBACK] = command_feedback,
	[COMMAND_SUPPRESS_LIST] = command_suppress_list,
	[COMMAND_SUPPRESS_CHECK] = command_suppress_check,
	[COMMAND_SUPPRESS_ADD] = command_suppress_add,
	[COMMAND_SUPPRESS_REMOVE] = command_suppress_remove,
	[COMMAND_RELOAD] = command_reload,
	[COMMAND_DRAIN] = command_drain,
	[COMMAND_LOG_LEVEL] = command_log_level,
	[COMMAND_VERSION] = command_version,
	[COMMAND_HELP] = command_help,
};

/* ---- what handlers say ---- */

int
command_refuse(struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->err.text, sizeof(c->err.text), fmt, ap);
	va_end(ap);
	return -1;
}

int
command_misused(struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->err.text, sizeof(c->err.text), fmt, ap);
	va_end(ap);
	c->is_usage = true;
	return -1;
}

void
command_changed(struct command *c)
{
	governor_wake(c->g);
}

bool
command_is_long(const struct command *c)
{
	return c->out.json.len >= COMMAND_OUT_HIGH ||
	    clock_mono_us() - c->now_us >= COMMAND_STEP_US;
}

void
command_time(struct command *c, const char *key, int64_t mono_us)
{
	if (mono_us == 0 || mono_us == INT64_MAX)
		answer_null(&c->out, key);
	else
		answer_time(&c->out, key, mono_us - c->now_us + c->now_utc_us);
}

void
command_id(struct command *c, const char *key, uint64_t message)
{
	char id[MESSAGE_ID_SIZE];

	answer_str(&c->out, key, message_id_format(message, id));
}

void
command_show_lines(struct command *c, const char *key,
    const struct strbuf *lines)
{
	const char *p = lines->data;

	answer_open(&c->out, key, '[');
	while (p != NULL && *p != '\0') {
		size_t len = strcspn(p, "\n");

		answer_strn(&c->out, NULL, p, len);
		p += len + (p[len] == '\n');
	}
	answer_close(&c->out, ']');
}

/* ---- options in words ---- */

static void
take_args(struct command *c, size_t at, size_t n)
{
	for (size_t i = at; i + n < c->n_args; i++)
		c->args[i] = c->args[i + n];
	c->n_args -= n;
}

bool
command_take_flag(struct command *c, const char *flag)
{
	for (size_t i = 0; i < c->n_args; i++)
		if (strcmp(c->args[i], flag) == 0) {
			take_args(c, i, 1);
			return true;
		}
	return false;
}

/* Behind `because` the text goes on to the end of the line: nobody should
 * have to quote a reason. */
int
command_take_because(struct command *c)
{
	struct strbuf text = { 0 };
	size_t at = 0;

	while (at < c->n_args && strcmp(c->args[at], "because") != 0)
		at++;
	if (at == c->n_args)
		return 0;
	if (at + 1 == c->n_args)
		return command_misused(c, "because has no text behind it");
	for (size_t i = at + 1; i < c->n_args; i++)
		strbuf_addf(&text, "%s%s", i > at + 1 ? " " : "", c->args[i]);
	c->n_args = at;
	c->because = strbuf_take(&text);
	return 0;
}

static int
take_for(struct command *c, size_t at, int64_t *until_us_out)
{
	struct err err;
	int64_t us;

	if (at + 1 == c->n_args)
		return command_misused(c, "for has no duration behind it");
	if (units_parse_duration(c->args[at + 1], &us, &err) < 0)
		return command_misused(c, "for: %s", err.text);
	if (us == 0)
		return command_misused(c, "for 0s would end at once");
	*until_us_out = c->now_us + us;
	take_args(c, at, 2);
	return 0;
}

int
command_take_options(struct command *c, int64_t *until_us_out)
{
	*until_us_out = INT64_MAX;
	if (command_take_because(c) < 0)
		return -1;
	for (size_t i = 0; i < c->n_args; i++)
		if (strcmp(c->args[i], "for") == 0)
			return take_for(c, i, until_us_out);
	return 0;
}

/* `limit N` behind everything else. */
int
command_take_limit(struct command *c, int64_t max, int64_t *limit_out)
{
	const char *word;
	char *end;

	if (c->n_args > 0 && strcmp(c->args[c->n_args - 1], "limit") == 0)
		return command_misused(c, "limit has no number behind it");
	if (c->n_args < 2 || strcmp(c->args[c->n_args - 2], "limit") != 0)
		return 0;
	word = c->args[c->n_args - 1];
	*limit_out = strtol(word, &end, 10);
	if (*word < '0' || *word > '9' || *end != '\0' || *limit_out < 1 ||
	    *limit_out > max)
		return command_misused(c, "limit is 1..%lld, not \"%.40s\"",
		    (long long)max, word);
	c->n_args -= 2;
	return 0;
}

/* ---- the record ---- */

static void
log_record(const struct command *c, const char *result)
{
	char line[512]; /* the event has all of it */

	snprintf(line, sizeof(line), "%s", c->line);
	if (c->is_counted)
		log_info("admin", LOG_STR("command", line),
		    LOG_INT("uid", c->peer.uid), LOG_INT("pid", c->peer.pid),
		    LOG_STR("result", result), LOG_INT("n", c->n_changed));
	else
		log_info("admin", LOG_STR("command", line),
		    LOG_INT("uid", c->peer.uid), LOG_INT("pid", c->peer.pid),
		    LOG_STR("result", result));
}

/* Changes are in the log and in the event log, with who made them. */
static void
record(struct command *c, const char *result)
{
	struct event_log *events = governor_events(c->g);

	if (c->record != RECORD_OPEN)
		return;
	c->record = RECORD_DONE;
	if (c->is_dry_run)
		return;
	log_record(c, result);
	event_begin(events, "admin", clock_utc_us());
	event_str(events, "command", c->line);
	event_str(events, "because", c->because);
	event_int(events, "uid", c->peer.uid);
	event_int(events, "pid", c->peer.pid);
	event_str(events, "result", result);
	if (c->is_counted)
		event_int(events, "n", (int64_t)c->n_changed);
	event_end(events);
	governor_wake(c->g); /* the event is flushed in that turn */
}

/* ---- answers ---- */

static enum step
refused(struct command *c)
{
	answer_reset(&c->out);
	answer_open(&c->out, NULL, '{');
	answer_bool(&c->out, "ok", false);
	answer_str(&c->out, "error", c->err.text);
	if (c->is_usage && c->row != NULL && c->hint.text[0] == '\0')
		err_set(&c->hint, "usage: %s%s%s", c->row->name,
		    *c->row->usage ? " " : "", c->row->usage);
	answer_str(&c->out, "hint", c->hint.text);
	if (c->is_usage)
		answer_str(&c->out, "kind", "usage");
	if (c->errors.len > 0)
		command_show_lines(c, "errors", &c->errors);
	answer_close(&c->out, '}');
	strbuf_addc(&c->out.json, '\n');
	return STEP_DONE;
}

static enum step
succeeded(struct command *c, enum step step)
{
	if (c->out.is_full) {
		command_refuse(c, "the answer would be too long");
		err_set(&c->hint, "ask for less of it");
		return refused(c);
	}
	answer_close(&c->out, '}');
	strbuf_addc(&c->out.json, '\n');
	record(c, "ok");
	return step;
}

/* ---- dispatching ---- */

static int
check_count(struct command *c)
{
	const struct command_row *row = c->row;

	if (c->n_args < (size_t)row->min_args)
		return command_misused(c, "%s needs more words", row->name);
	if (row->max_args >= 0 && c->n_args > (size_t)row->max_args)
		return command_misused(c,
		    row->max_args == 0 ? "%s takes no words behind it"
				       : "too many words for %s",
		    row->name);
	return 0;
}

static int
check_role(struct command *c)
{
	if (!command_changes(c->row, c->n_args) || c->peer.may_change)
		return 0;
	err_set(&c->hint,
	    "only root, the daemon's own user and members of the socket's "
	    "group may change things");
	return command_refuse(c,
	    "you (uid %u) may look, but `%s` changes "
	    "things",
	    (unsigned)c->peer.uid, c->row->name);
}

static int
find_row(struct command *c)
{
	size_t used;

	if (words_split(c->line, strlen(c->line), &c->words, &c->err) < 0) {
		c->is_usage = true;
		return -1;
	}
	if (c->words.n == 0)
		return command_misused(c, "an empty line is no command");
	c->row = command_find(c->words.v, c->words.n, &used);
	if (c->row == NULL) {
		command_suggest(c->words.v, c->words.n, &c->hint);
		return command_misused(c, "there is no command \"%.100s\"",
		    c->words.v[0]);
	}
	c->args = c->words.v + used;
	c->n_args = c->words.n - used;
	return 0;
}

static int
begin(struct command *c)
{
	command_fn *handler;

	if (c->is_usage || find_row(c) < 0)
		return -1;
	if (check_role(c) < 0 || check_count(c) < 0)
		return -1;
	handler = handlers[command_id_of(c->row)];
	if (handler == NULL) {
		err_set(&c->hint, "run: flyballctl %s", c->row->name);
		return command_misused(c, "%s is flyballctl's own command",
		    c->row->name);
	}
	if (command_changes(c->row, c->n_args))
		c->record = RECORD_OPEN;
	answer_open(&c->out, NULL, '{');
	answer_bool(&c->out, "ok", true);
	answer_key(&c->out, "result");
	return handler(c);
}

struct command *
command_new(struct governor *g, const struct command_peer *peer,
    const char *line, size_t len)
{
	struct command *c = xcalloc(1, sizeof(*c));

	c->g = g;
	c->peer = *peer;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	c->line = xstrndup(line, len);
	if (strlen(c->line) != len)
		command_misused(c, "a command holds no NUL");
	return c;
}

enum step
command_step(struct command *c)
{
	enum step step = STEP_DONE;

	c->now_us = clock_mono_us();
	c->now_utc_us = clock_utc_us();
	if (c->row == NULL) {
		if (begin(c) < 0) {
			/* What it did before it failed is done. */
			if (c->n_changed > 0)
				record(c, "failed");
			return refused(c);
		}
		if (command_id_of(c->row) == COMMAND_EVENTS_FOLLOW)
			return succeeded(c, STEP_FOLLOW);
	} else {
		assert(c->step != NULL);
	}
	if (c->step != NULL)
		step = c->step(c);
	return step == STEP_DONE ? succeeded(c, step) : step;
}

struct event_filter *
command_take_filter(struct command *c)
{
	struct event_filter *filter = c->filter;

	c->filter = NULL;
	return filter;
}

struct strbuf *
command_out(struct command *c)
{
	return &c->out.json;
}

void
command_free(struct command *c)
{
	if (c == NULL)
		return;
	if (c->step != NULL)
		record(c, "broken off");
	if (c->release != NULL)
		c->release(c);
	event_filter_free(c->filter);
	free((char *)c->because);
	words_fini(&c->words);
	strbuf_fini(&c->errors);
	answer_fini(&c->out);
	free(c->line);
	free(c);
}
