/* SPDX-License-Identifier: ISC */
/*
 * Rules about machines: listeners and who may send there, TLS, routes and
 * where they lead. The two that matter most are here: no open relay by
 * accident, and no password in clear over a network.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "conf/rules.h"

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

	if (!rule_is_sound(r, path))
		return;
	if (l->auth == LISTENER_AUTH_NONE && l->n_trusted == 0 &&
	    rule_is_sound(r, PATH("listeners", item, "auth")))
		rule_fail(r, path,
		    "auth: none needs trusted, the networks whose clients "
		    "may send; without it this were an open relay");
	if (rule_is_sound(r, PATH("listeners", item, "open_relay")))
		rule_check_trust(r, l, item);
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

/* Where the i-th of all listeners stands in the file. */
#define WHERE_SIZE 40
static const char *
listener_path(const struct rules *r, size_t i, char out[WHERE_SIZE])
{
	if (i < r->conf->n_listeners)
		snprintf(out, WHERE_SIZE, "listeners[%zu]", i);
	else
		snprintf(out, WHERE_SIZE, "feedback.reports.listen");
	return out;
}

static void
check_listener_twice(const struct rules *r, size_t i, const char *const *path)
{
	const struct conf_endpoint *e = &conf_listener_at(r->conf, i)->listen;
	struct in6_addr a, b;
	char where[WHERE_SIZE];

	for (size_t j = 0; e->port != 0 && j < i; j++) {
		const struct conf_endpoint *other =
		    &r->conf->listeners[j].listen;

		if (e->port == other->port && parse_ip(e->host, &a) &&
		    parse_ip(other->host, &b) && memcmp(&a, &b, sizeof(a)) == 0)
			rule_fail(r, path, "is the address of %s",
			    listener_path(r, j, where));
	}
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
		check_listener_twice(r, i, PATH("listeners", item, "listen"));
	}
	if (conf->feedback.reports.is_given)
		check_listener_twice(r, conf->n_listeners,
		    PATH("feedback", "reports", "listen"));
}

static void
check_http(const struct rules *r)
{
	const struct conf_endpoint *http = &r->conf->daemon.http.listen;
	const char *const *path = PATH("daemon", "http", "listen");
	char where[WHERE_SIZE];

	if (http->text == NULL || !rule_is_sound(r, path))
		return;
	for (size_t i = 0; i < conf_n_listeners(r->conf); i++)
		if (leads_to(http, &conf_listener_at(r->conf, i)->listen))
			rule_fail(r, path, "is the address of %s",
			    listener_path(r, i, where));
	for (size_t i = 0; i < r->conf->n_routes; i++)
		if (leads_to(&r->conf->routes[i].next_hop, http))
			rule_fail(r,
			    PATH("routes", r->conf->routes[i].name, "next_hop"),
			    "is daemon.http.listen: no mail goes there");
}

static void
check_admin_socket(const struct rules *r)
{
	const char *const *path = PATH("daemon", "admin_socket", "path");
	const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (rule_is_sound(r, path) &&
	    strlen(r->conf->daemon.admin_socket.path) > most)
		rule_fail(r, path,
		    "is too long for a socket; %zu bytes are the most", most);
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
	char where[WHERE_SIZE];

	if (!rule_is_sound(r, path))
		return;
	for (size_t i = 0; i < conf_n_listeners(r->conf); i++)
		if (leads_to(&route->next_hop,
			&conf_listener_at(r->conf, i)->listen))
			rule_fail(r, path, "is %s: mail would %s",
			    listener_path(r, i, where),
			    i < r->conf->n_listeners ? "go in circles"
						     : "be refused there");
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
		rule_check_plan_name(r, PATH("routes", route->name, "plan"),
		    route->plan);
		rule_check_adapt(r, &route->adapt,
		    PATH("routes", route->name, "adapt"));
		if (route->backoff.max_us < route->backoff.first_us &&
		    rule_is_sound(r, PATH("routes", route->name, "backoff")))
			rule_fail(r, PATH("routes", route->name, "backoff"),
			    "max is shorter than first");
	}
}

void
rules_check_hosts(const struct rules *r)
{
	check_listeners(r);
	check_http(r);
	check_admin_socket(r);
	check_tls(r);
	check_routes(r);
}
