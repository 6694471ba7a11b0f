/* SPDX-License-Identifier: ISC */
/*
 * Rules about what is learned after a next hop took mail: each log has a
 * source, its routes exist, and no route's mail has its fate in two logs.
 */
#include <string.h>

#include "conf/rules.h"

#define UNITS_MOST 32

struct log_list {
	const char *key;
	const struct conf_mta_log *v;
	size_t n;
};

static void
check_source(const struct rules *r, const char *key, size_t i,
    const struct conf_mta_log *log)
{
	char item[RULE_ITEM_SIZE];
	const char *const *path = PATH("feedback", key, rule_item(i, item));

	if (!rule_is_sound(r, path) ||
	    !rule_is_sound(r,
		PATH("feedback", key, rule_item(i, item), "path")))
		return;
	if (log->journal && log->path[0] != '\0')
		rule_fail(r, path, "has a path and the journal; one of them");
	else if (!log->journal && log->path[0] == '\0')
		rule_fail(r, path, "needs a path, or journal: yes");
	else if (!log->journal && log->units.n > 0)
		rule_fail(r, path, "has a path; unit is of the journal");
	else if (log->units.n > UNITS_MOST)
		rule_fail(r, path, "has more than %d units", UNITS_MOST);
	else if (log->journal && log->match != NULL && log->units.n == 0)
		rule_fail(r, path,
		    "needs the unit that writes it, or unit: '*'");
}

static void
check_routes(const struct rules *r, const char *key, size_t i,
    const struct conf_mta_log *log)
{
	char item[RULE_ITEM_SIZE], which[RULE_ITEM_SIZE];

	for (size_t j = 0; j < log->routes.n; j++) {
		const char *name = log->routes.v[j];
		const char *const *path = PATH("feedback", key,
		    rule_item(i, item), "route", rule_item(j, which));
		const struct conf_mta_log *other =
		    conf_route_log(r->conf, name);

		if (conf_route(r->conf, name) == NULL)
			rule_fail_dangling(r, path, "route", name,
			    rule_route_name, r->conf, r->conf->n_routes);
		else if (other != log)
			rule_fail(r, path,
			    "%s has another log already; the fate of its mail "
			    "stands in one",
			    name);
	}
	/* Without routes it is of all of them. */
	for (size_t j = 0; log->routes.n == 0 && j < r->conf->n_routes; j++)
		if (conf_route_log(r->conf, r->conf->routes[j].name) != log)
			rule_fail(r, PATH("feedback", key, rule_item(i, item)),
			    "is of every route, but %s has another log; name "
			    "its routes",
			    r->conf->routes[j].name);
}

void
rules_check_feedback(const struct rules *r)
{
	const struct conf_feedback *f = &r->conf->feedback;
	const struct log_list lists[] = {
		{ "postfix_log", f->postfix_logs, f->n_postfix_logs },
		{ "exim_log", f->exim_logs, f->n_exim_logs },
		{ "opensmtpd_log", f->opensmtpd_logs, f->n_opensmtpd_logs },
		{ "pattern_log", f->pattern_logs, f->n_pattern_logs },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (size_t j = 0; j < lists[i].n; j++) {
			check_source(r, lists[i].key, j, &lists[i].v[j]);
			check_routes(r, lists[i].key, j, &lists[i].v[j]);
		}
}
