/* SPDX-License-Identifier: ISC */
/*
 * `lanes` and `lane`. There may be ten thousand lanes, so `lanes` notes their
 * names first and looks at each when its turn comes; one that is gone by then
 * is left out.
 */
#include "daemon/command_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/selection.h"

/* ---- one lane ---- */

void
command_show_rates(struct command *c, const char *key, const struct rate *rates,
    size_t n)
{
	char text[UNITS_TEXT_SIZE];

	answer_open(&c->out, key, '[');
	for (size_t i = 0; i < n; i++)
		answer_str(&c->out, NULL, units_format_rate(&rates[i], text));
	answer_close(&c->out, ']');
}

/* null: unlimited. */
static void
show_per_s(struct command *c, const char *key, const struct rate *r)
{
	if (r == NULL || rate_is_unlimited(r))
		answer_null(&c->out, key);
	else
		answer_ratio(&c->out, key, r->count * 1000,
		    r->window_us / 1000);
}

static void
show_rate(struct command *c, const char *key, const struct rate *r)
{
	char text[UNITS_TEXT_SIZE];

	if (rate_is_unlimited(r))
		answer_null(&c->out, key);
	else
		answer_str(&c->out, key, units_format_rate(r, text));
}

static void
show_limit(struct command *c, const char *key, unsigned limit)
{
	if (limit > 0)
		answer_int(&c->out, key, limit);
	else
		answer_null(&c->out, key);
}

/* What all windows together let through in the long run. */
static void
show_ceiling(struct command *c, const struct lane_view *l)
{
	const struct rate *least = NULL;

	for (size_t i = 0; i < l->n_rates; i++) {
		const struct rate *r = &l->rates[i];

		if (!rate_is_unlimited(r) &&
		    (least == NULL ||
			(__int128)r->count * least->window_us <
			    (__int128)least->count * r->window_us))
			least = r;
	}
	show_per_s(c, "rate_per_s", least);
}

/* "idle": nothing to send; "open": mail leaves; "held": a gate is shut. */
static const char *
state_of(const struct lane_view *l)
{
	if (l->gate != GATE_NONE)
		return "held";
	return l->n_queued + l->in_flight > 0 ? "open" : "idle";
}

static void
show_refusal(struct command *c, const struct lane_view *l)
{
	if (l->last_refusal_us == 0) {
		answer_null(&c->out, "last_refusal");
		return;
	}
	answer_open(&c->out, "last_refusal", '{');
	command_time(c, "at", l->last_refusal_us);
	answer_int(&c->out, "age_ms", (c->now_us - l->last_refusal_us) / 1000);
	answer_int(&c->out, "code", l->last_refusal_code);
	answer_str(&c->out, "class", reply_class_name(l->last_refusal_class));
	answer_str(&c->out, "reply", l->last_refusal);
	answer_close(&c->out, '}');
}

static void
show_hold(struct command *c, const struct lane_view *l)
{
	answer_str(&c->out, "state", state_of(l));
	if (l->gate == GATE_NONE) {
		answer_null(&c->out, "gate");
		answer_null(&c->out, "held_since");
		answer_null(&c->out, "held_until");
		answer_null(&c->out, "remaining_ms");
	} else {
		answer_str(&c->out, "gate", gate_name(l->gate));
		command_time(c, "held_since", l->held_since_us);
		command_time(c, "held_until", l->due_us);
		answer_wait(&c->out, "remaining_ms", l->due_us, c->now_us);
	}
	answer_opt(&c->out, "because", l->because);
}

/* What the provider's answers have made of the rates. */
static void
show_adaptation(struct command *c, const struct lane_view *l)
{
	answer_open(&c->out, "adapt", '{');
	answer_str(&c->out, "state", l->adapt_state);
	show_rate(c, "rate", &l->adapted);
	show_per_s(c, "rate_per_s", &l->adapted);
	show_rate(c, "failed", &l->failed);
	answer_bool(&c->out, "is_shadow", l->is_shadow);
	answer_int(&c->out, "shadowed", (int64_t)l->n_shadowed);
	answer_bool(&c->out, "is_suspended", l->is_suspended);
	answer_opt(&c->out, "suspended_because",
	    l->is_suspended ? l->suspended_because : NULL);
	command_time(c, "suspended_until",
	    l->is_suspended ? l->suspended_until_us : 0);
	answer_close(&c->out, '}');
}

static void
show_day(struct command *c, const struct lane_view *l)
{
	answer_opt(&c->out, "plan", l->plan);
	answer_opt(&c->out, "plan_state", l->plan_state);
	if (*l->plan != '\0')
		answer_int(&c->out, "plan_stage", l->plan_stage);
	else
		answer_null(&c->out, "plan_stage");
	if (l->day_allowed == INT64_MAX)
		answer_null(&c->out, "day_allowed");
	else
		answer_int(&c->out, "day_allowed", l->day_allowed);
	answer_int(&c->out, "day_sent", l->day_sent);
}

static void
show_limits(struct command *c, const struct lane_view *l)
{
	command_show_rates(c, "rates", l->rates, l->n_rates);
	show_ceiling(c, l);
	/* Recipients delivered in the last whole ten seconds. */
	answer_ratio(&c->out, "delivered_per_s", (int64_t)l->recent_per_10s,
	    10);
	answer_bool(&c->out, "is_overridden", l->is_overridden);
	command_time(c, "override_until", l->override_until_us);
	if (l->tokens == INT64_MAX)
		answer_null(&c->out, "tokens");
	else
		answer_int(&c->out, "tokens", l->tokens);
	answer_int(&c->out, "in_flight", l->in_flight);
	if (l->has_log) {
		answer_int(&c->out, "handed", l->n_handed);
		answer_int(&c->out, "credit", l->credit);
	}
	show_limit(c, "connections", l->connections);
	show_limit(c, "connections_configured", l->connections_configured);
}

static void
show_counts(struct command *c, const struct lane_view *l)
{
	answer_int(&c->out, "queued", (int64_t)l->n_queued);
	answer_int(&c->out, "queued_recipients",
	    (int64_t)l->n_queued_recipients);
	answer_int(&c->out, "retrying", (int64_t)l->n_retrying);
	answer_int(&c->out, "attempted", (int64_t)l->n_attempted);
	answer_int(&c->out, "delivered", (int64_t)l->n_delivered);
	answer_int(&c->out, "deferred", (int64_t)l->n_deferred);
	answer_int(&c->out, "failed", (int64_t)l->n_failed);
}

static void
show_lane(struct command *c, const struct lane_view *l)
{
	answer_str(&c->out, "lane", l->name);
	answer_str(&c->out, "route", l->route);
	answer_str(&c->out, "provider", l->provider);
	answer_opt(&c->out, "site", l->site);
	show_hold(c, l);
	show_limits(c, l);
	show_adaptation(c, l);
	show_day(c, l);
	show_counts(c, l);
	show_refusal(c, l);
}

/* ---- refusing ---- */

/* By ROUTE/PROVIDER alone: the part before the slash and the one behind. */
static bool
could_exist(const struct conf *conf, const char *name)
{
	const char *slash = strchr(name, '/');
	bool is_known;
	char *route;

	if (slash == NULL)
		return false;
	route = xstrndup(name, (size_t)(slash - name));
	is_known = conf_route(conf, route) != NULL &&
	    (conf_provider(conf, slash + 1) != NULL ||
		strncmp(slash + 1, "other:", 6) == 0);
	free(route);
	return is_known;
}

int
command_no_such_lane(struct command *c, const char *name)
{
	if (could_exist(governor_conf(c->g), name))
		return command_refuse(c, "lane \"%.200s\" has had no mail yet",
		    name);
	err_set(&c->hint,
	    "lanes lists them; a lane is called ROUTE/PROVIDER, "
	    "or ROUTE/other:SITE");
	return command_refuse(c, "there is no lane \"%.200s\"", name);
}

/* ---- the commands ---- */

int
command_lane(struct command *c)
{
	struct gate_view gates[GATE_COUNT];
	struct lane_view l;
	struct sched *s = governor_sched(c->g);

	if (!sched_lane_get(s, c->args[0], c->now_us, &l))
		return command_no_such_lane(c, c->args[0]);
	answer_open(&c->out, NULL, '{');
	show_lane(c, &l);
	command_show_gates(c, gates,
	    sched_why(s, c->args[0], c->now_us, gates));
	answer_close(&c->out, '}');
	return 0;
}

struct lanes_walk {
	char **names;
	size_t n, cap, next;
	char *pattern;
};

static void
note_name(const char *name, void *arg)
{
	struct lanes_walk *w = arg;

	if (!pattern_fits(w->pattern, name))
		return;
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->names = xrealloc(w->names, w->cap * sizeof(*w->names));
	}
	w->names[w->n++] = xstrdup(name);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
release_lanes(struct command *c)
{
	struct lanes_walk *w = c->state;

	for (size_t i = 0; i < w->n; i++)
		free(w->names[i]);
	free(w->names);
	free(w->pattern);
	free(w);
}

static enum step
step_lanes(struct command *c)
{
	struct lanes_walk *w = c->state;
	struct lane_view l;

	while (w->next < w->n) {
		if (command_is_long(c))
			return STEP_MORE;
		if (!sched_lane_get(governor_sched(c->g), w->names[w->next++],
			c->now_us, &l))
			continue;
		answer_open(&c->out, NULL, '{');
		show_lane(c, &l);
		answer_close(&c->out, '}');
	}
	answer_close(&c->out, ']');
	return STEP_DONE;
}

int
command_lanes(struct command *c)
{
	struct lanes_walk *w = xcalloc(1, sizeof(*w));

	w->pattern = pattern_of_filter(c->n_args > 0 ? c->args[0] : "");
	sched_lane_names_each(governor_sched(c->g), note_name, w);
	if (w->n > 0)
		qsort(w->names, w->n, sizeof(*w->names), compare_names);
	c->state = w;
	c->release = release_lanes;
	c->step = step_lanes;
	answer_open(&c->out, NULL, '[');
	return 0;
}
