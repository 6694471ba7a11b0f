/* SPDX-License-Identifier: ISC */
/*
 * Rules across keys for listeners, TLS, routes and streams, and what all rules
 * stand on. Called by load once everything was read.
 *
 * Reading may have found mistakes by then: a rule asks first whether what it
 * looks at is sound, since a field that failed to be read is empty.
 */
#include "conf/rules.h"

#include <arpa/inet.h>
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
	if (n->kind == NODE_SCALAR) /* one value as a list of it */
		return n;
	return n->kind == NODE_LIST && i < n->n ? n->v[i] : NULL;
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

static const char *
route_name(size_t i, const void *conf)
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

const char *
rule_plan_name(size_t i, const void *conf)
{
	return ((const struct conf *)conf)->plans[i].name;
}

const char *
rule_provider_name(size_t i, const void *conf)
{
	return ((const struct conf *)conf)->providers[i].name;
}

/* ---- addresses ---- */

/* IPv4 as ::ffff:a.b.c.d; false: no address. */
static bool
parse_ip(const char *host, struct in6_addr *out)
{
	struct in_addr v4;

	if (host == NULL)
		return false;
	if (inet_pton(AF_INET6, host, out) == 1)
		return true;
	if (inet_pton(AF_INET, host, &v4) != 1)
		return false;
	memset(out, 0, sizeof(*out));
	out->s6_addr[10] = out->s6_addr[11] = 0xff;
	memcpy(&out->s6_addr[12], &v4, sizeof(v4));
	return true;
}

static bool
is_wildcard(const struct in6_addr *a)
{
	struct in_addr v4;

	memcpy(&v4, &a->s6_addr[12], sizeof(v4));
	return IN6_IS_ADDR_UNSPECIFIED(a) ||
	    (IN6_IS_ADDR_V4MAPPED(a) && v4.s_addr == 0);
}

static bool
is_loopback(const char *host)
{
	struct in6_addr a;

	if (host == NULL)
		return false;
	if (!parse_ip(host, &a))
		return strcmp(host, "localhost") == 0;
	return IN6_IS_ADDR_LOOPBACK(&a) ||
	    (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
}

/* Would a connection to `to` come in at `at`? Names but localhost aren't
 * looked up. */
static bool
leads_to(const struct conf_endpoint *to, const struct conf_endpoint *at)
{
	struct in6_addr a, b;

	if (to->host == NULL || to->port != at->port || at->port == 0 ||
	    !parse_ip(at->host, &b))
		return false;
	if (!parse_ip(to->host, &a))
		return strcmp(to->host, "localhost") == 0 &&
		    (is_wildcard(&b) || is_loopback(at->host));
	return memcmp(&a, &b, sizeof(a)) == 0 || is_wildcard(&a) ||
	    (is_wildcard(&b) && is_loopback(to->host));
}

/* ---- listeners, TLS, auth ---- */

static void
check_listener_trust(const struct rules *r, const struct conf_listener *l,
    const char *item)
{
	const char *const *path = PATH("listeners", item, "trusted");
	char i_text[RULE_ITEM_SIZE];

	if (!rule_is_sound(r, path))
		return;
	if (l->auth == LISTENER_AUTH_NONE && l->n_trusted == 0 &&
	    rule_is_sound(r, PATH("listeners", item, "auth")))
		rule_fail(r, path,
		    "auth: none needs trusted, the networks whose clients "
		    "may send; without it this were an open relay");
	for (size_t i = 0; i < l->n_trusted; i++) {
		const struct conf_cidr *c = &l->trusted[i];
		bool is_v4 = IN6_IS_ADDR_V4MAPPED(&c->address);

		if (c->prefix_bits == 0 || (is_v4 && c->prefix_bits == 96))
			rule_fail(r,
			    PATH("listeners", item, "trusted",
				rule_item(i, i_text)),
			    "%s trusts the whole world: an open relay",
			    c->text);
	}
}

static void
check_listener_auth(const struct rules *r, const struct conf_listener *l,
    const char *item)
{
	const char *const *path = PATH("listeners", item, "auth");

	if (!rule_is_sound(r, path) ||
	    !rule_is_sound(r, PATH("listeners", item, "tls")) ||
	    !rule_is_sound(r, PATH("listeners", item, "plaintext_auth")) ||
	    !rule_is_sound(r, PATH("listeners", item, "listen")))
		return;
	if (l->plaintext_auth && !is_loopback(l->listen.host))
		rule_fail(r, PATH("listeners", item, "plaintext_auth"),
		    "passwords may go unencrypted on a loopback address only");
	if (l->plaintext_auth && l->auth == LISTENER_AUTH_NONE)
		rule_fail(r, PATH("listeners", item, "plaintext_auth"),
		    "means nothing with auth: none");
	if (l->auth != LISTENER_AUTH_REQUIRED)
		return;
	if (l->tls == LISTENER_TLS_NONE && !l->plaintext_auth)
		rule_fail(r, path,
		    "AUTH is offered under TLS only: give tls, or "
		    "plaintext_auth: true on a loopback address");
	if (r->conf->auth.users_file[0] == '\0' &&
	    rule_is_sound(r, PATH("auth")))
		rule_fail(r, path, "required needs auth.users_file");
}

static void
check_listeners(const struct rules *r)
{
	const struct conf *conf = r->conf;
	char item[RULE_ITEM_SIZE];

	if (conf->n_listeners == 0 && rule_is_sound(r, PATH("listeners")))
		rule_fail(r, PATH("listeners"),
		    "is empty: no mail could come in");
	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];
		const char *const *path = PATH("listeners", rule_item(i, item));

		if (rule_node(r, path) != NULL &&
		    rule_node(r, path)->kind != NODE_MAP)
			continue;
		check_listener_trust(r, l, item);
		check_listener_auth(r, l, item);
		if (l->tls != LISTENER_TLS_NONE &&
		    conf->tls.certificate[0] == '\0' &&
		    rule_is_sound(r, PATH("tls")) &&
		    rule_is_sound(r, PATH("listeners", item, "tls")))
			rule_fail(r, PATH("listeners", item, "tls"),
			    "needs tls.certificate and tls.key");
		for (size_t j = 0; l->listen.port != 0 && j < i; j++) {
			const struct conf_endpoint *e =
			    &conf->listeners[j].listen;
			struct in6_addr a, b;

			if (e->port == l->listen.port &&
			    parse_ip(l->listen.host, &a) &&
			    parse_ip(e->host, &b) &&
			    memcmp(&a, &b, sizeof(a)) == 0)
				rule_fail(r, PATH("listeners", item, "listen"),
				    "is the address of listeners[%zu]", j);
		}
	}
}

static void
check_tls(const struct rules *r)
{
	const struct conf_tls *tls = &r->conf->tls;

	if (!rule_is_sound(r, PATH("tls")))
		return;
	if (tls->certificate[0] != '\0' && tls->key[0] == '\0')
		rule_fail(r, PATH("tls", "certificate"), "needs tls.key");
	if (tls->key[0] != '\0' && tls->certificate[0] == '\0')
		rule_fail(r, PATH("tls", "key"), "needs tls.certificate");
}

/* ---- routes ---- */

static void
check_route_auth(const struct rules *r, const struct conf_route *route)
{
	const char *const *path = PATH("routes", route->name, "auth");
	bool has_file = route->auth.password_file[0] != '\0';

	if (!rule_is_sound(r, path) ||
	    !rule_is_sound(r, PATH("routes", route->name, "tls")) ||
	    !rule_is_sound(r, PATH("routes", route->name, "next_hop")))
		return;
	if (route->auth.user[0] != '\0' && !has_file)
		rule_fail(r, PATH("routes", route->name, "auth", "user"),
		    "needs auth.password_file");
	if (has_file && route->auth.user[0] == '\0')
		rule_fail(r,
		    PATH("routes", route->name, "auth", "password_file"),
		    "needs auth.user");
	if (route->auth.user[0] != '\0' && route->tls == ROUTE_TLS_NONE &&
	    !is_loopback(route->next_hop.host))
		rule_fail(r, path,
		    "the password would go unencrypted to another machine; "
		    "give tls: required or verify");
}

static void
check_route_hop(const struct rules *r, const struct conf_route *route)
{
	const char *const *path = PATH("routes", route->name, "next_hop");
	struct in6_addr hop, source;

	if (!rule_is_sound(r, path))
		return;
	for (size_t i = 0; i < r->conf->n_listeners; i++)
		if (leads_to(&route->next_hop, &r->conf->listeners[i].listen))
			rule_fail(r, path,
			    "is listeners[%zu]: mail would go in circles", i);
	if (parse_ip(route->next_hop.host, &hop) &&
	    parse_ip(route->source[0] ? route->source : NULL, &source) &&
	    !IN6_IS_ADDR_V4MAPPED(&hop) != !IN6_IS_ADDR_V4MAPPED(&source))
		rule_fail(r, PATH("routes", route->name, "source"),
		    "%s can't reach %s: one is IPv4, the other IPv6",
		    route->source, route->next_hop.host);
}

static size_t
n_windows(const struct conf_rates *a, const struct conf_rates *b)
{
	size_t n = a->n;

	for (size_t i = 0; i < b->n; i++) {
		size_t j = 0;

		while (j < a->n && a->v[j].window_us != b->v[i].window_us)
			j++;
		n += j == a->n;
	}
	return n;
}

static void
check_route_limits(const struct rules *r, const struct conf_route *route)
{
	for (size_t i = 0; i < route->n_limits; i++) {
		const char *name = route->limits[i].provider;
		const char *const *path =
		    PATH("routes", route->name, "providers", name);
		const struct conf_provider *p = conf_provider(r->conf, name);

		if (p == NULL)
			rule_fail_dangling(r, path, "provider", name,
			    rule_provider_name, r->conf, r->conf->n_providers);
		else if (n_windows(&p->limits.rates,
			     &route->limits[i].limits.rates) > CONF_RATES_MAX)
			rule_fail(r, path,
			    "with the provider's own rates these are more "
			    "than %d",
			    CONF_RATES_MAX);
	}
}

static void
check_adapt(const struct rules *r, const struct conf_adapt *a,
    const char *const *path)
{
	if (rule_is_sound(r, path) && a->given & ADAPT_SUSPEND_FOR &&
	    a->given & ADAPT_SUSPEND_MAX &&
	    a->suspend.max_us < a->suspend.for_us)
		rule_fail(r, path, "suspend.max is shorter than suspend.for");
}

static void
check_plan_name(const struct rules *r, const char *const *path,
    const char *plan)
{
	if (plan[0] != '\0' && rule_is_sound(r, path) &&
	    conf_plan(r->conf, plan) == NULL)
		rule_fail_dangling(r, path, "plan", plan, rule_plan_name,
		    r->conf, r->conf->n_plans);
}

static void
check_routes(const struct rules *r)
{
	if (r->conf->n_routes == 0 && rule_is_sound(r, PATH("routes")) &&
	    rule_node(r, PATH("routes")) != NULL)
		rule_fail(r, PATH("routes"),
		    "is empty: name at least one, as {main: {next_hop: "
		    "\"127.0.0.1:10025\"}}");
	for (size_t i = 0; i < r->conf->n_routes; i++) {
		const struct conf_route *route = &r->conf->routes[i];
		const char *const *path = PATH("routes", route->name);

		if (rule_node(r, path) == NULL ||
		    rule_node(r, path)->kind != NODE_MAP)
			continue;
		check_route_hop(r, route);
		check_route_auth(r, route);
		check_route_limits(r, route);
		check_plan_name(r, PATH("routes", route->name, "plan"),
		    route->plan);
		check_adapt(r, &route->adapt,
		    PATH("routes", route->name, "adapt"));
		if (route->backoff.max_us < route->backoff.first_us &&
		    rule_is_sound(r, PATH("routes", route->name, "backoff")))
			rule_fail(r, PATH("routes", route->name, "backoff"),
			    "max is shorter than first");
	}
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
			    "route", st->routes.v[i], route_name, conf,
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

		check_plan_name(r, PATH("senders", s->domain, "plan"), s->plan);
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

	check_listeners(&r);
	check_tls(&r);
	rules_check_providers(&r);
	check_routes(&r);
	for (size_t i = 0; i < conf->n_streams; i++)
		check_stream(&r, &conf->streams[i]);
	check_senders(&r);
	rules_check_plans(&r);
	check_spool(&r);
	check_adapt(&r, &conf->adapt, PATH("adapt"));
}
