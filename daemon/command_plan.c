/* SPDX-License-Identifier: ISC */
/*
 * `plans`, `plan` and `forecast`: warmup plans shown and steered, and when
 * what waits will have left. The scheduler knows all of it; here it becomes
 * JSON.
 */
#include <string.h>

#include "conf/base/zone.h"
#include "daemon/command_private.h"

/* ---- one plan ---- */

static void
show_limit(struct command *c, const char *key, int64_t n)
{
	if (n == INT64_MAX || n == (int64_t)LEDGER_MAX)
		answer_null(&c->out, key);
	else
		answer_int(&c->out, key, n);
}

static void
show_plan(struct command *c, const struct plan_view *p)
{
	char date[ZONE_DATE_SIZE];

	answer_str(&c->out, "name", p->name);
	answer_str(&c->out, "kind", p->kind);
	answer_opt(&c->out, "plan", p->plan);
	answer_str(&c->out, "state", p->state);
	answer_str(&c->out, "mode", p->is_shadow ? "shadow" : "enforce");
	answer_int(&c->out, "stage", p->stage);
	answer_int(&c->out, "stages", p->n_stages);
	answer_int(&c->out, "day", p->day);
	answer_str(&c->out, "date", zone_date(p->date, date));
	show_limit(c, "allowed", p->allowed);
	answer_int(&c->out, "sent", p->sent);
	answer_int(&c->out, "waiting", p->waiting);
	command_time(c, "next", p->next_us);
	answer_wait(&c->out, "next_in_ms",
	    p->next_us != 0 ? p->next_us : c->now_us, c->now_us);
	if (p->is_shadow)
		answer_int(&c->out, "would_hold", (int64_t)p->n_would_hold);
	answer_str(&c->out, "why", p->text);
}

static void
show_day(const struct plan_day *d, void *arg)
{
	static const enum ledger_fact facts[] = { LEDGER_ATTEMPTED,
		LEDGER_ACCEPTED, LEDGER_DEFERRED, LEDGER_REJECTED,
		LEDGER_BOUNCED, LEDGER_COMPLAINED, LEDGER_OVERFLOWED,
		LEDGER_HELD };
	struct command *c = arg;
	char date[ZONE_DATE_SIZE];

	answer_open(&c->out, NULL, '{');
	answer_int(&c->out, "day", d->day);
	answer_str(&c->out, "date", zone_date(d->date, date));
	show_limit(c, "allowed", d->facts[LEDGER_ALLOWED]);
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		answer_int(&c->out, ledger_fact_name(facts[i]),
		    d->facts[facts[i]]);
	answer_close(&c->out, '}');
}

static int
no_such_plan(struct command *c, const char *name)
{
	err_set(&c->hint,
	    "plans lists those that have begun; a plan is called as its lane, "
	    "ROUTE/PROVIDER, as its route, or DOMAIN/PROVIDER");
	return command_refuse(c, "there is no lane or plan \"%.200s\"", name);
}

/* ---- orders ---- */

static int
take_order(struct command *c, enum warmup_order *order_out, int64_t *n_out)
{
	int order = warmup_order_parse(c->args[1]);
	bool has_day = c->n_args > 2;

	if (order < 0)
		return command_misused(c,
		    "a plan can't \"%.100s\": advance, hold, back, restart or "
		    "set-day N",
		    c->args[1]);
	*order_out = (enum warmup_order)order;
	*n_out = 0;
	if (order != WARMUP_ORDER_SET_DAY)
		return has_day
		    ? command_misused(c, "what is \"%.100s\"?", c->args[2])
		    : 0;
	if (!has_day)
		return command_misused(c, "set-day which day?");
	return units_parse_count(c->args[2], n_out, &c->err);
}

int
command_plan(struct command *c)
{
	struct sched *s = governor_sched(c->g);
	enum warmup_order order = WARMUP_ORDER_HOLD;
	struct plan_view p;
	int64_t n;

	if (c->n_args > 1) {
		if (command_take_because(c) < 0 ||
		    take_order(c, &order, &n) < 0 ||
		    sched_plan_order(s, c->args[0], order, n, c->now_us,
			&c->err) < 0)
			return -1;
		command_changed(c);
	}
	if (!sched_plan_get(s, c->args[0], c->now_us, &p))
		return no_such_plan(c, c->args[0]);
	answer_open(&c->out, NULL, '{');
	show_plan(c, &p);
	answer_open(&c->out, "history", '[');
	sched_plan_history(s, c->args[0], show_day, c);
	answer_close(&c->out, ']');
	answer_close(&c->out, '}');
	return 0;
}

static void
list_plan(const struct plan_view *p, void *arg)
{
	struct command *c = arg;

	answer_open(&c->out, NULL, '{');
	show_plan(c, p);
	answer_close(&c->out, '}');
}

int
command_plans(struct command *c)
{
	answer_open(&c->out, NULL, '[');
	sched_plans_each(governor_sched(c->g), c->now_us, list_plan, c);
	answer_close(&c->out, ']');
	return 0;
}

/* ---- forecasts ---- */

struct forecast_ask {
	struct command *c;
	const char *lane; /* NULL: any */
	size_t n;
};

static void
show_forecast(const struct forecast_view *f, void *arg)
{
	struct forecast_ask *ask = arg;
	struct command *c = ask->c;

	if (ask->lane != NULL && strcmp(f->lane, ask->lane) != 0)
		return;
	ask->n++;
	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "lane", f->lane);
	answer_int(&c->out, "waiting", f->n_waiting);
	command_time(c, "done", f->done_us);
	answer_wait(&c->out, "done_in_ms", f->done_us, c->now_us);
	if (f->n_days > 0)
		answer_int(&c->out, "plan_days", f->n_days);
	else
		answer_null(&c->out, "plan_days");
	answer_opt(&c->out, "gate",
	    f->gate != GATE_NONE ? gate_name(f->gate) : NULL);
	answer_close(&c->out, '}');
}

int
command_forecast(struct command *c)
{
	const char *name = c->n_args > 0 ? c->args[0] : NULL;
	struct forecast_ask ask = { .c = c };
	const char *stream = NULL;

	if (name != NULL && strchr(name, '/') != NULL) {
		struct lane_view l;

		if (!sched_lane_get(governor_sched(c->g), name, c->now_us, &l))
			return command_no_such_lane(c, name);
		ask.lane = name;
	} else if (name != NULL) {
		if (conf_stream(governor_conf(c->g), name) == NULL)
			return command_refuse(c,
			    "there is no stream \"%.200s\"; a lane is called "
			    "ROUTE/PROVIDER",
			    name);
		stream = name;
	}
	answer_open(&c->out, NULL, '[');
	sched_forecasts_each(governor_sched(c->g), stream, c->now_us,
	    show_forecast, &ask);
	answer_close(&c->out, ']');
	return 0;
}
