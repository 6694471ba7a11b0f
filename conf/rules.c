/* SPDX-License-Identifier: ISC */
/*
 * Rules across keys: what all rules stand on, and those about streams, sender
 * domains and the spool. Called by load once everything was read.
 *
 * Reading may have found mistakes by then: a rule asks first whether what it
 * looks at is sound, since a field that failed to be read is empty.
 */
#include "conf/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/nearest.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

/* ---- places ---- */

const char *
rule_item(size_t i, char out[RULE_ITEM_SIZE])
{
	snprintf(out, RULE_ITEM_SIZE, "[%zu]", i);
	return out;
}

/* One step down; NULL when it isn't there. */
static struct node *
step(struct node *n, const char *name)
{
	size_t i;

	if (n == NULL || name[0] != '[')
		return node_member(n, name);
	i = strtoul(name + 1, NULL, 10);
	if (n->kind != NODE_LIST) /* one as a list of it */
		return n;
	return i < n->n ? n->v[i] : NULL;
}

struct node *
rule_node(const struct rules *r, const char *const *path)
{
	struct node *n = r->root;

	for (; *path != NULL && n != NULL; path++)
		n = step(n, *path);
	return n;
}

bool
rule_is_sound(const struct rules *r, const char *const *path)
{
	return !node_is_bad(rule_node(r, path));
}

void
rule_fail(const struct rules *r, const char *const *path, const char *fmt, ...)
{
	struct strbuf text = { 0 };
	struct node *n = r->root, *next;
	struct place at = r->root->at;
	va_list ap;

	for (const char *const *p = path; *p != NULL; p++) {
		strbuf_addf(&text, "%s%s",
		    p > path && (*p)[0] != '[' ? "." : "", *p);
		next = step(n, *p);
		if (next != NULL)
			at = next->at;
		/* A long entry is pointed at by its name, not its inside. */
		if (next != NULL && p[1] == NULL && next->key != NULL &&
		    next->kind == NODE_MAP)
			at = next->key_at;
		n = next;
	}
	va_start(ap, fmt);
	mistakes_add_va(r->mistakes, at, text.data, fmt, ap);
	va_end(ap);
	strbuf_fini(&text);
}

void
rule_fail_dangling(const struct rules *r, const char *const *path,
    const char *what, const char *name,
    const char *(*name_at)(size_t i, const void *arg), const void *arg,
    size_t n)
{
	const char *near = nearest_name(name, name_at, arg, n);

	if (near != NULL)
		rule_fail(r, path, "there is no %s \"%s\" (did you mean %s?)",
		    what, name, near);
	else
		rule_fail(r, path, "there is no %s \"%s\"", what, name);
}

const char *
rule_route_name(size_t i, const void *conf)
{
	return ((const struct conf *)conf)->routes[i].name;
}

static const char *
listener_name(size_t i, const void *conf)
{
	const char *text =
	    ((const struct conf *)conf)->listeners[i].listen.text;

	return text != NULL ? text : "";
}

static const char *
plan_name(size_t i, const void *conf)
{
	return ((const struct conf *)conf)->plans[i].name;
}

const char *
rule_provider_name(size_t i, const void *conf)
{
	return ((const struct conf *)conf)->providers[i].name;
}

void
rule_check_adapt(const struct rules *r, const struct conf_adapt *a,
    const char *const *path)
{
	const struct conf_adapt *all = &r->conf->adapt;
	bool has_for = a->given & ADAPT_SUSPEND_FOR;
	bool has_max = a->given & ADAPT_SUSPEND_MAX;
	int64_t for_us = has_for ? a->suspend.for_us : all->suspend.for_us;
	int64_t max_us = has_max ? a->suspend.max_us : all->suspend.max_us;
	char first[UNITS_TEXT_SIZE], most[UNITS_TEXT_SIZE];

	if ((!has_for && !has_max) || max_us >= for_us ||
	    !rule_is_sound(r, path) || !rule_is_sound(r, PATH("adapt")))
		return;
	rule_fail(r, path,
	    "suspend.max is shorter than suspend.for (%s%s and %s%s)",
	    units_format_duration(max_us, most), has_max ? "" : ", by adapt",
	    units_format_duration(for_us, first), has_for ? "" : ", by adapt");
}

void
rule_check_plan_name(const struct rules *r, const char *const *path,
    const char *plan)
{
	if (plan[0] != '\0' && rule_is_sound(r, path) &&
	    conf_plan(r->conf, plan) == NULL)
		rule_fail_dangling(r, path, "plan", plan, plan_name, r->conf,
		    r->conf->n_plans);
}

/* ---- streams, senders, spool ---- */

static void
check_stream(const struct rules *r, const struct conf_stream *st)
{
	const struct conf *conf = r->conf;
	char item[RULE_ITEM_SIZE];

	for (size_t i = 0; i < st->routes.n; i++)
		if (conf_route(conf, st->routes.v[i]) == NULL)
			rule_fail_dangling(r,
			    PATH("streams", st->name, "routes",
				rule_item(i, item)),
			    "route", st->routes.v[i], rule_route_name, conf,
			    conf->n_routes);
	for (size_t i = 0; i < st->match.listener.n; i++) {
		const char *name = st->match.listener.v[i];
		size_t j = 0;

		while (j < conf->n_listeners &&
		    strcmp(listener_name(j, conf), name) != 0)
			j++;
		if (j == conf->n_listeners)
			rule_fail_dangling(r,
			    PATH("streams", st->name, "match", "listener",
				rule_item(i, item)),
			    "listener", name, listener_name, conf,
			    conf->n_listeners);
	}
	if (strcmp(st->name, "default") == 0 &&
	    st->match.user.n + st->match.sender_domain.n +
		    st->match.listener.n + st->match.n_header >
		0)
		rule_fail(r, PATH("streams", "default", "match"),
		    "default takes what no other stream matches; it can't "
		    "have a match of its own");
}

static int
compare_senders(const void *a_v, const void *b_v)
{
	const struct conf_sender *a = *(const struct conf_sender *const *)a_v;
	const struct conf_sender *b = *(const struct conf_sender *const *)b_v;
	int order = strcmp(a->domain, b->domain);

	return order != 0 ? order : (a > b) - (a < b);
}

/* The tree saw to equal keys; these are the same domain in two spellings. */
static void
check_sender_twice(const struct rules *r)
{
	size_t n = r->conf->n_senders;
	const struct conf_sender **v = xcalloc(n + 1, sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = &r->conf->senders[i];
	qsort(v, n, sizeof(*v), compare_senders);
	for (size_t i = 1; i < n; i++)
		if (strcmp(v[i - 1]->domain, v[i]->domain) == 0)
			rule_fail(r, PATH("senders", v[i]->domain),
			    "given twice");
	free(v);
}

static void
check_senders(const struct rules *r)
{
	for (size_t i = 0; i < r->conf->n_senders; i++) {
		const struct conf_sender *s = &r->conf->senders[i];

		if (s->plan[0] != '\0')
			rule_check_plan_name(r,
			    PATH("senders", s->domain, "plan"), s->plan);
	}
	check_sender_twice(r);
}

static void
check_spool(const struct rules *r)
{
	const struct conf_spool *spool = &r->conf->spool;

	if (!rule_is_sound(r, PATH("spool")))
		return;
	if (spool->retry.max_us < spool->retry.first_us)
		rule_fail(r, PATH("spool", "retry"),
		    "max is shorter than first");
	if (spool->delay_warning_us >= spool->expire_us)
		rule_fail(r, PATH("spool", "delay_warning"),
		    "is not before spool.expire: it would never be sent");
}

void
rules_check(const struct conf *conf, struct node *root,
    struct mistakes *mistakes)
{
	struct rules r = { conf, root, mistakes };

	rules_check_hosts(&r);
	rules_check_providers(&r);
	for (size_t i = 0; i < conf->n_streams; i++)
		check_stream(&r, &conf->streams[i]);
	check_senders(&r);
	rules_check_plans(&r);
	rules_check_feedback(&r);
	check_spool(&r);
	rule_check_adapt(&r, &conf->adapt, PATH("adapt"));
}
