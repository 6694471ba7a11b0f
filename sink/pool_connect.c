/* SPDX-License-Identifier: ISC */
/*
 * Getting a connection of the pool connected: the next hop's name becomes
 * addresses, which are tried in order, from the route's source address.
 */
#include <arpa/inet.h>
#include <event2/dns.h>
#include <stdio.h>
#include <string.h>

#include "sink/pool_private.h"

static void
describe_peer(struct conn *c, const struct sockaddr *to)
{
	char host[INET6_ADDRSTRLEN] = "";
	uint16_t port = c->route->next_hop.port;

	if (to->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)to)->sin_addr,
		    host, sizeof(host));
	else
		inet_ntop(AF_INET6,
		    &((const struct sockaddr_in6 *)to)->sin6_addr, host,
		    sizeof(host));
	snprintf(c->peer, sizeof(c->peer),
	    to->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

static const struct sockaddr *
source_address(const struct conf_route *route, int family,
    struct sockaddr_storage *out, socklen_t *len_out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (*route->source == '\0')
		return NULL;
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET &&
	    inet_pton(AF_INET, route->source, &v4->sin_addr) == 1) {
		*len_out = sizeof(*v4);
		return (struct sockaddr *)out;
	}
	if (family == AF_INET6 &&
	    inet_pton(AF_INET6, route->source, &v6->sin6_addr) == 1) {
		*len_out = sizeof(*v6);
		return (struct sockaddr *)out;
	}
	return NULL;
}

/* Only those that the source address can reach: who asked for a source must
 * not be seen from another one. */
static struct evutil_addrinfo *
next_address(const struct conn *c)
{
	struct evutil_addrinfo *a =
	    c->address ? c->address->ai_next : c->addresses;
	struct sockaddr_storage source;
	socklen_t len;

	while (a != NULL && *c->route->source != '\0' &&
	    source_address(c->route, a->ai_family, &source, &len) == NULL)
		a = a->ai_next;
	return a;
}

/* There is none left. */
static void
give_up_connecting(struct conn *c, const char *why)
{
	const char *hop = c->route->next_hop.text;
	bool has_name = *c->peer != '\0' && strcmp(c->peer, hop) != 0;
	char text[300];

	if (*c->peer == '\0' && c->addresses != NULL)
		why = "no address of the family of the route's source";
	snprintf(text, sizeof(text), "connect to %s%s%s: %s", hop,
	    has_name ? " at " : "", has_name ? c->peer : "", why);
	c->state = CONN_CONNECTING;
	pool_conn_lost(c, text);
}

/* The next address of the next hop; when there is none, it is unreachable. */
void
pool_conn_connect_next(struct conn *c, const char *why)
{
	const struct conf_route *route = c->route;
	struct sockaddr_storage source;
	socklen_t source_len = 0;
	const struct sockaddr *from;

	c->address = next_address(c);
	stream_free(c->stream);
	c->stream = NULL;
	if (c->address == NULL) {
		give_up_connecting(c, why);
		return;
	}
	describe_peer(c, c->address->ai_addr);
	from =
	    source_address(route, c->address->ai_family, &source, &source_len);
	c->state = CONN_CONNECTING;
	c->stream = stream_connect(c->way->pool->base, c->address->ai_addr,
	    (socklen_t)c->address->ai_addrlen, from, source_len,
	    &pool_conn_stream_ops, c);
	stream_set_timeout(c->stream, route->timeouts.connect_us);
}

static void
on_resolved(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct conn *c = arg;
	char why[160];

	if (result == EVUTIL_EAI_CANCEL)
		return; /* c is gone */
	c->lookup = NULL;
	c->addresses = addresses;
	snprintf(why, sizeof(why), "no address found: %s",
	    evutil_gai_strerror(result));
	pool_conn_connect_next(c, why);
}

static struct evdns_base *
resolver(struct pool *p)
{
	if (p->dns != NULL)
		return p->dns;
	/* Inactive resolvers must not keep the loop alive. */
	p->dns = evdns_base_new(p->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	evdns_base_resolv_conf_parse(p->dns, DNS_OPTIONS_ALL,
	    "/etc/resolv.conf");
	return p->dns;
}

static bool
is_numeric(const char *host)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, host, buf) == 1 ||
	    inet_pton(AF_INET6, host, buf) == 1;
}

void
pool_conn_open(struct conn *c)
{
	const struct conf_endpoint *hop = &c->route->next_hop;
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP };
	char port[8];
	int result;

	snprintf(port, sizeof(port), "%u", hop->port);
	c->state = CONN_RESOLVING;
	if (is_numeric(hop->host)) {
		hints.ai_flags = EVUTIL_AI_NUMERICHOST;
		result =
		    evutil_getaddrinfo(hop->host, port, &hints, &c->addresses);
		pool_conn_connect_next(c,
		    result ? evutil_gai_strerror(result) : "");
		return;
	}
	/* NULL also when it called back at once, from /etc/hosts: then c may
	 * be gone, so the handle is kept only when there is one. */
	struct evdns_getaddrinfo_request *lookup =
	    evdns_getaddrinfo(resolver(c->way->pool), hop->host, port, &hints,
		on_resolved, c);
	if (lookup != NULL)
		c->lookup = lookup;
}
