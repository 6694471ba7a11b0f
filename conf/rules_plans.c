/* SPDX-License-Identifier: ISC */
/*
 * Rules about plans: that a plan can work at all, and that mail which a day
 * has no room for has somewhere to go. Plans that are built in and weren't
 * touched are right by test.
 */
#include <string.h>

#include "conf/rules.h"

static void
check_window(const struct rules *r, const struct conf_plan *plan)
{
	const char *const *window = PATH("plans", plan->name, "window");
	const char *const *day = PATH("plans", plan->name, "day");
	char end[UNITS_TEXT_SIZE], length[UNITS_TEXT_SIZE];

	if (rule_is_sound(r, window) && rule_is_sound(r, day) &&
	    plan->window_to_us > plan->day_us)
		rule_fail(r, rule_node(r, window) != NULL ? window : day,
		    "the window ends %s into the day, and the day is %s long",
		    units_format_duration(plan->window_to_us, end),
		    units_format_duration(plan->day_us, length));
}

static void
check_idle(const struct rules *r, const struct conf_plan *plan)
{
	const char *const *path = PATH("plans", plan->name, "idle");

	if (rule_is_sound(r, path) && plan->idle.restart_after_us > 0 &&
	    plan->idle.step_back_after_us > plan->idle.restart_after_us)
		rule_fail(r, path,
		    "restart_after comes before step_back_after: it would "
		    "never step back");
}

static void
check_plan_providers(const struct rules *r, const struct conf_plan *plan)
{
	for (size_t i = 0; i < plan->n_providers; i++)
		if (conf_provider(r->conf, plan->providers[i].provider) == NULL)
			rule_fail_dangling(r,
			    PATH("plans", plan->name, "providers",
				plan->providers[i].provider),
			    "provider", plan->providers[i].provider,
			    rule_provider_name, r->conf, r->conf->n_providers);
}

/* Some stream has another route behind this one. */
static bool
has_next_route(const struct conf *conf, const char *route)
{
	for (size_t i = 0; i < conf->n_streams; i++) {
		const struct conf_names *routes = &conf->streams[i].routes;

		for (size_t j = 0; j + 1 < routes->n; j++)
			if (strcmp(routes->v[j], route) == 0)
				return true;
	}
	return false;
}

/* Only where the operator wrote it: as a default next_route means hold when
 * there is none. */
static void
check_overflow(const struct rules *r, const struct conf_plan *plan)
{
	const char *const *path = PATH("plans", plan->name, "overflow");
	const char *alone = NULL, *domain = NULL;

	if (plan->overflow != OVERFLOW_NEXT_ROUTE ||
	    rule_node(r, path) == NULL || !rule_is_sound(r, path) ||
	    !rule_is_sound(r, PATH("streams")))
		return;
	for (size_t i = 0; i < r->conf->n_routes; i++) {
		const struct conf_route *route = &r->conf->routes[i];

		if (strcmp(route->plan, plan->name) != 0)
			continue;
		if (has_next_route(r->conf, route->name))
			return;
		alone = route->name;
	}
	for (size_t i = 0; i < r->conf->n_senders; i++)
		if (strcmp(r->conf->senders[i].plan, plan->name) == 0)
			domain = r->conf->senders[i].domain;
	if (alone != NULL)
		rule_fail(r, path,
		    "%s would overflow to itself: no stream has another "
		    "route behind it; use hold or tempfail",
		    alone);
	else if (domain != NULL)
		rule_fail(r, path,
		    "%s has one allowance by whatever route it leaves; use "
		    "hold or tempfail",
		    domain);
}

void
rules_check_plans(const struct rules *r)
{
	for (size_t i = 0; i < r->conf->n_plans; i++) {
		const struct conf_plan *plan = &r->conf->plans[i];
		struct node *n = rule_node(r, PATH("plans", plan->name));

		if (n == NULL || (n->kind != NODE_MAP && n->kind != NODE_NULL))
			continue;
		check_window(r, plan);
		check_idle(r, plan);
		check_plan_providers(r, plan);
		check_overflow(r, plan);
	}
}
