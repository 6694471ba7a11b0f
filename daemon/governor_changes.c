/* SPDX-License-Identifier: ISC */
/*
 * Changes of speed that the scheduler made, told to the operator's log and the
 * event log with their evidence. Called at the end of each of the governor's
 * turns; decides nothing.
 */
#include <string.h>

#include "conf/base/clock.h"
#include "daemon/governor_private.h"

static const char *
words_of(const struct rate *rate, char text[UNITS_TEXT_SIZE])
{
	return rate_is_unlimited(rate) ? "configured"
				       : units_format_rate(rate, text);
}

/* ---- the operator's log ---- */

static void
log_speed(const struct sched_change *c)
{
	char from[UNITS_TEXT_SIZE], to[UNITS_TEXT_SIZE];

	log_info("lane", LOG_STR("lane", c->lane),
	    LOG_STR("change", change_kind_name(c->kind)),
	    LOG_STR("from", words_of(&c->from, from)),
	    LOG_STR("to", words_of(&c->to, to)), LOG_STR("state", c->state),
	    LOG_INT("accepted", c->n_accepted),
	    LOG_INT("refused", c->n_refused),
	    LOG_INT("over_ms", c->over_us / 1000),
	    LOG_STR("mode", c->is_shadow ? "shadow" : "enforce"),
	    LOG_STR("reply", c->reply));
}

static void
log_connections(const struct sched_change *c)
{
	log_info("lane", LOG_STR("lane", *c->lane ? c->lane : c->route),
	    LOG_STR("change", change_kind_name(c->kind)),
	    LOG_INT("from", c->connections_from),
	    LOG_INT("to", c->connections_to), LOG_STR("reply", c->reply));
}

static void
log_breaker(const struct sched_change *c)
{
	log_warn("lane", LOG_STR("lane", c->lane),
	    LOG_STR("change", change_kind_name(c->kind)),
	    LOG_STR("because", c->because),
	    LOG_INT("wait_ms",
		c->kind == CHANGE_SUSPENDED ? (c->until_us - c->at_us) / 1000
					    : 0),
	    LOG_INT("accepted", c->n_accepted),
	    LOG_INT("refused", c->n_refused), LOG_STR("reply", c->reply));
}

/* Plans, sender domains, lists: the evidence is in words. */
static void
log_words(const struct sched_change *c)
{
	log_info(change_kind_name(c->kind), LOG_STR("name", c->name),
	    LOG_STR("step", c->state), LOG_STR("why", c->text),
	    LOG_STR("mode", c->is_shadow ? "shadow" : "enforce"),
	    LOG_STR("reply", c->reply));
}

static void
log_change(const struct sched_change *c)
{
	switch (c->kind) {
	case CHANGE_RATE:
		log_speed(c);
		break;
	case CHANGE_CONNECTIONS:
		log_connections(c);
		break;
	case CHANGE_SUSPENDED:
	case CHANGE_RESUMED:
		log_breaker(c);
		break;
	case CHANGE_PLAN:
	case CHANGE_SENDER:
	case CHANGE_LIST:
		log_words(c);
		break;
	}
}

/* ---- the event log ---- */

static const char *
event_name(enum change_kind kind)
{
	switch (kind) {
	case CHANGE_PLAN:
	case CHANGE_SENDER:
	case CHANGE_LIST:
		return change_kind_name(kind);
	case CHANGE_RATE:
	case CHANGE_CONNECTIONS:
	case CHANGE_SUSPENDED:
	case CHANGE_RESUMED:
		break;
	}
	return "lane";
}

/* NULL leaves a field out. */
static const char *
opt(const char *text)
{
	return text != NULL && *text != '\0' ? text : NULL;
}

static void
add_speed(struct event_log *log, const struct sched_change *c)
{
	char text[UNITS_TEXT_SIZE];

	if (c->kind == CHANGE_RATE) {
		event_str(log, "from", words_of(&c->from, text));
		event_str(log, "to", words_of(&c->to, text));
		event_str(log, "state", opt(c->state));
	} else if (c->kind == CHANGE_CONNECTIONS) {
		event_int(log, "from", c->connections_from);
		event_int(log, "to", c->connections_to);
	} else {
		event_str(log, "because", opt(c->because));
	}
	if (c->kind == CHANGE_SUSPENDED)
		event_int(log, "wait_ms", (c->until_us - c->at_us) / 1000);
	event_int(log, "accepted", c->n_accepted);
	event_int(log, "refused", c->n_refused);
	event_int(log, "over_ms", c->over_us / 1000);
}

static void
add_words(struct event_log *log, const struct sched_change *c)
{
	event_str(log, "name", opt(c->name));
	event_str(log, "step", opt(c->state));
	event_str(log, "why", opt(c->text));
	if (c->kind != CHANGE_PLAN)
		return;
	event_int(log, "stage", c->stage);
	if (c->volume_from != INT64_MAX)
		event_int(log, "from", c->volume_from);
	if (c->volume_to != INT64_MAX)
		event_int(log, "to", c->volume_to);
}

static void
event_change(struct governor *g, const struct sched_change *c, int64_t now_us)
{
	struct event_log *log = g->events;
	const char *name = event_name(c->kind);

	event_begin(log, name, clock_utc_us() - now_us + c->at_us);
	event_str(log, "change", change_kind_name(c->kind));
	event_str(log, "lane", opt(c->lane));
	event_str(log, "route", opt(c->route));
	event_str(log, "provider", opt(c->provider));
	event_str(log, "site", opt(c->site));
	if (strcmp(name, "lane") == 0)
		add_speed(log, c);
	else
		add_words(log, c);
	if (opt(c->reply) != NULL) {
		event_str(log, "phase", phase_name(c->phase));
		event_int(log, "code", c->code);
		event_str(log, "reply", c->reply);
		event_str(log, "class", reply_class_name(c->class));
	}
	if (c->is_shadow)
		event_bool(log, "shadow", true);
	event_end(log);
}

/* What an operator must look at is an alert too. NULL: it is none. */
static const char *
alert_of(const struct sched_change *c)
{
	switch (c->kind) {
	case CHANGE_SENDER:
		return "sender";
	case CHANGE_LIST:
		return "list";
	case CHANGE_SUSPENDED:
	case CHANGE_RESUMED:
		return "lane";
	case CHANGE_RATE:
	case CHANGE_CONNECTIONS:
	case CHANGE_PLAN:
		break;
	}
	return NULL;
}

static void
event_alert(struct governor *g, const struct sched_change *c, int64_t now_us)
{
	bool is_lane = c->kind == CHANGE_SUSPENDED || c->kind == CHANGE_RESUMED;

	if (alert_of(c) == NULL || c->is_shadow)
		return;
	event_begin(g->events, "alert", clock_utc_us() - now_us + c->at_us);
	event_str(g->events, "alert", alert_of(c));
	event_str(g->events, "name", opt(is_lane ? c->lane : c->name));
	event_str(g->events, "state",
	    is_lane ? change_kind_name(c->kind) : c->state);
	event_str(g->events, "why", opt(is_lane ? c->because : c->text));
	event_str(g->events, "reply", opt(c->reply));
	event_end(g->events);
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
		if (!event_log_is_wanted(g->events))
			continue;
		event_change(g, &c, now_us);
		event_alert(g, &c, now_us);
	}
}
