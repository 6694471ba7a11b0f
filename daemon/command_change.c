/* SPDX-License-Identifier: ISC */
/*
 * pause, resume, rate: what the operator sets for lanes. They are in force
 * before the answer, show in `status` until they are over or taken back, and
 * never change what was spent already.
 */
#include "daemon/command_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/nearest.h"
#include "conf/base/xalloc.h"

/* ---- pause and resume ---- */

static void
hint_kinds(struct command *c)
{
	struct strbuf kinds = { 0 };

	for (int i = 0; pause_kind_parse(pause_kind_name(i)) == i; i++)
		strbuf_addf(&kinds, "%s%s", i > 0 ? ", " : "",
		    pause_kind_name(i));
	err_set(&c->hint, "there are: %s", kinds.data);
	strbuf_fini(&kinds);
}

/* The kind and the name must be the words that are left. */
static int
take_subject(struct command *c, enum pause_kind *kind_out,
    const char **name_out)
{
	int kind;

	if (c->n_args > 2)
		return command_misused(c, "what is \"%.100s\"?", c->args[2]);
	if (c->n_args < 2)
		return command_misused(c, "%s what?", c->row->name);
	kind = pause_kind_parse(c->args[0]);
	if (kind < 0) {
		hint_kinds(c);
		return command_misused(c, "\"%.100s\" can't be paused",
		    c->args[0]);
	}
	*kind_out = (enum pause_kind)kind;
	*name_out = c->args[1];
	return 0;
}

int
command_pause(struct command *c)
{
	enum pause_kind kind;
	const char *name;
	int64_t until_us;

	if (command_take_options(c, &until_us) < 0 ||
	    take_subject(c, &kind, &name) < 0)
		return -1;
	if (sched_pause(governor_sched(c->g), kind, name, until_us,
		c->because ? c->because : "", c->now_us, &c->err) < 0)
		return -1;
	command_changed(c);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "paused", pause_kind_name(kind));
	answer_str(&c->out, "name", name);
	command_time(c, "until", until_us);
	answer_wait(&c->out, "remaining_ms", until_us, c->now_us);
	answer_opt(&c->out, "because", c->because);
	answer_close(&c->out, '}');
	return 0;
}

int
command_resume(struct command *c)
{
	enum pause_kind kind;
	const char *name;

	if (take_subject(c, &kind, &name) < 0)
		return -1;
	if (sched_resume(governor_sched(c->g), kind, name, c->now_us, &c->err) <
	    0)
		return -1;
	command_changed(c);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "resumed", pause_kind_name(kind));
	answer_str(&c->out, "name", name);
	answer_close(&c->out, '}');
	return 0;
}

/* ---- rate ---- */

/* "5/s,2k/h" or in words of their own: "5/s 2k/h". */
static int
add_rates(struct command *c, const char *text, struct conf_rates *rates)
{
	char *copy = xstrdup(text), *rest = copy, *one;
	int result = 0;

	while (result == 0 && (one = strsep(&rest, ",")) != NULL) {
		struct err err;

		if (*one == '\0')
			continue; /* "5/s, 2k/h" */
		if (rates->n == CONF_RATES_MAX)
			result = command_misused(c,
			    "at most %d rates can hold at once",
			    CONF_RATES_MAX);
		else if (units_parse_rate(one, &rates->v[rates->n], &err) < 0)
			result = command_misused(c, "%s", err.text);
		else
			rates->n++;
	}
	free(copy);
	return result;
}

static int
take_rates(struct command *c, struct conf_rates *rates)
{
	rates->n = 0;
	if (c->n_args == 2 && strcmp(c->args[1], "auto") == 0)
		return 0;
	for (size_t i = 1; i < c->n_args; i++)
		if (add_rates(c, c->args[i], rates) < 0)
			return -1;
	if (rates->n == 0)
		return command_misused(c, "no rate is given");
	return 0;
}

int
command_rate(struct command *c)
{
	struct sched *s = governor_sched(c->g);
	struct conf_rates rates;
	int64_t until_us;
	struct lane_view l;

	if (command_take_options(c, &until_us) < 0 || take_rates(c, &rates) < 0)
		return -1;
	if (rates.n == 0 && until_us != INT64_MAX)
		return command_misused(c, "auto takes no duration");
	if (sched_rate_override(s, c->args[0], rates.v, rates.n, until_us,
		c->now_us, &c->err) < 0)
		return -1;
	command_changed(c);
	if (!sched_lane_get(s, c->args[0], c->now_us, &l))
		return command_no_such_lane(c, c->args[0]);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "lane", l.name);
	answer_bool(&c->out, "is_overridden", l.is_overridden);
	command_show_rates(c, "rates", l.rates, l.n_rates);
	command_time(c, "until", l.override_until_us);
	if (l.is_overridden)
		answer_wait(&c->out, "remaining_ms", l.override_until_us,
		    c->now_us);
	else
		answer_null(&c->out, "remaining_ms");
	answer_close(&c->out, '}');
	return 0;
}

/* ---- connections ---- */

#define CONNECTIONS_MOST 100000

/* "auto" is 0. */
static int
take_connections(struct command *c, unsigned *n_out)
{
	char *end;
	long n;

	if (c->n_args != 2)
		return command_misused(c, "a lane and a number, or auto");
	*n_out = 0;
	if (strcmp(c->args[1], "auto") == 0)
		return 0;
	n = strtol(c->args[1], &end, 10);
	if (*c->args[1] < '0' || *c->args[1] > '9' || *end != '\0' || n < 1 ||
	    n > CONNECTIONS_MOST)
		return command_misused(c,
		    "connections are 1..%d or auto, not \"%.40s\"",
		    CONNECTIONS_MOST, c->args[1]);
	*n_out = (unsigned)n;
	return 0;
}

int
command_connections(struct command *c)
{
	struct sched *s = governor_sched(c->g);
	int64_t until_us;
	struct lane_view l;
	unsigned n = 0;

	if (command_take_options(c, &until_us) < 0 ||
	    take_connections(c, &n) < 0)
		return -1;
	if (n == 0 && until_us != INT64_MAX)
		return command_misused(c, "auto takes no duration");
	if (sched_connections_override(s, c->args[0], n, until_us, c->now_us,
		&c->err) < 0)
		return -1;
	command_changed(c);
	if (!sched_lane_get(s, c->args[0], c->now_us, &l))
		return command_no_such_lane(c, c->args[0]);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "lane", l.name);
	answer_bool(&c->out, "is_overridden", l.connections_are_overridden);
	answer_int(&c->out, "connections", l.connections);
	answer_close(&c->out, '}');
	return 0;
}

/* ---- forget ---- */

int
command_forget(struct command *c)
{
	if (command_take_because(c) < 0)
		return -1;
	if (c->n_args != 1)
		return command_misused(c, "%s",
		    c->n_args ? "one lane at a time" : "which lane?");
	if (sched_lane_forget(governor_sched(c->g), c->args[0], c->now_us,
		&c->err) < 0)
		return -1;
	command_changed(c);
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "lane", c->args[0]);
	answer_bool(&c->out, "forgotten", true);
	answer_close(&c->out, '}');
	return 0;
}
