/* SPDX-License-Identifier: ISC */
/*
 * Changes of speed that the scheduler made, told to the operator's log and the
 * event log with their evidence. Called at the end of each of the governor's
 * turns; decides nothing.
 */
#include <stdio.h>

#include "conf/base/clock.h"
#include "daemon/governor_private.h"

static const char *
words_of(const struct rate *rate, char text[UNITS_TEXT_SIZE])
{
	return rate_is_unlimited(rate) ? "configured"
				       : units_format_rate(rate, text);
}

static void
log_change(const struct sched_change *c)
{
	char from[UNITS_TEXT_SIZE], to[UNITS_TEXT_SIZE];
	bool is_speed = c->kind == CHANGE_RATE;
	bool is_connections = c->kind == CHANGE_CONNECTIONS;
	char connections[64] = "";

	if (is_connections)
		snprintf(connections, sizeof(connections), "%u to %u",
		    c->connections_from, c->connections_to);
	log_info("lane", LOG_STR("lane", *c->lane ? c->lane : c->route),
	    LOG_STR("change", change_kind_name(c->kind)),
	    LOG_STR("from", is_speed ? words_of(&c->from, from) : ""),
	    LOG_STR("to", is_speed ? words_of(&c->to, to) : connections),
	    LOG_STR("state", is_speed ? c->state : c->because),
	    LOG_INT("accepted", c->n_accepted),
	    LOG_INT("refused", c->n_refused),
	    LOG_INT("over_ms", c->over_us / 1000),
	    LOG_STR("mode", c->is_shadow ? "shadow" : "enforce"),
	    LOG_STR("reply", c->reply));
}

static void
event_change(struct governor *g, const struct sched_change *c, int64_t now_us)
{
	char text[UNITS_TEXT_SIZE];
	struct event_log *log = g->events;
	int64_t utc_us = clock_utc_us() - now_us + c->at_us;

	event_begin(log, "lane", utc_us);
	event_str(log, "change", change_kind_name(c->kind));
	event_str(log, "lane", *c->lane ? c->lane : NULL);
	event_str(log, "route", c->route);
	event_str(log, "provider", *c->provider ? c->provider : NULL);
	event_str(log, "site", *c->site ? c->site : NULL);
	if (c->kind == CHANGE_RATE) {
		event_str(log, "from", words_of(&c->from, text));
		event_str(log, "to", words_of(&c->to, text));
		event_str(log, "state", c->state);
	} else if (c->kind == CHANGE_CONNECTIONS) {
		event_int(log, "from", c->connections_from);
		event_int(log, "to", c->connections_to);
	} else {
		event_str(log, "because", *c->because ? c->because : NULL);
	}
	if (c->kind == CHANGE_SUSPENDED)
		event_int(log, "wait_ms", (c->until_us - c->at_us) / 1000);
	event_int(log, "accepted", c->n_accepted);
	event_int(log, "refused", c->n_refused);
	event_int(log, "over_ms", c->over_us / 1000);
	if (*c->reply != '\0') {
		event_str(log, "phase", phase_name(c->phase));
		event_int(log, "code", c->code);
		event_str(log, "reply", c->reply);
		event_str(log, "class", reply_class_name(c->class));
	}
	if (c->is_shadow)
		event_bool(log, "shadow", true);
	event_end(log);
}

void
governor_tell_changes(struct governor *g)
{
	int64_t now_us = clock_mono_us();
	struct sched_change c;

	while (sched_change_next(g->sched, &c)) {
		if (c.n_lost > 0)
			log_warn("changes_lost", LOG_INT("n", c.n_lost));
		log_change(&c);
		if (event_log_is_wanted(g->events))
			event_change(g, &c, now_us);
	}
}
