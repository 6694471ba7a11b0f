/* SPDX-License-Identifier: ISC */
/*
 * Getting a connection of the pool connected: the next hop's name becomes
 * addresses, which are tried in turn, from the route's source address.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
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
static bool
is_reachable(const struct conn *c, const struct host_address *a)
{
	struct sockaddr_storage source;
	socklen_t len;

	return *c->route->source == '\0' ||
	    source_address(c->route, a->at.ss_family, &source, &len) != NULL;
}

/*
 * In turns, so that all of a next hop's hosts get their share; but those of the
 * family that the resolver put first before the others, and last of all those
 * that didn't connect lately.
 */
static struct host_address *
next_address(struct conn *c, int64_t now_us)
{
	struct host_addresses *all = c->addresses;

	for (int wish = 0; all != NULL && wish < 3; wish++)
		for (size_t i = 0; i < all->n; i++) {
			size_t k = (c->first + i) % all->n;
			struct host_address *a = &all->v[k];

			if ((c->is_tried & (1u << k)) != 0 ||
			    !is_reachable(c, a) ||
			    (wish < 2 && now_us < a->bad_until_us) ||
			    (wish < 1 &&
				a->at.ss_family != all->v[0].at.ss_family))
				continue;
			c->is_tried |= 1u << k;
			return a;
		}
	return NULL;
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
	struct sockaddr_storage source, to;
	int64_t now_us = clock_mono_us();
	socklen_t source_len = 0;
	const struct sockaddr *from;

	if (c->address != NULL)
		c->address->bad_until_us = now_us + HOST_BAD_US;
	c->address = next_address(c, now_us);
	stream_free(c->stream);
	c->stream = NULL;
	if (c->address == NULL) {
		give_up_connecting(c, why);
		return;
	}
	to = c->address->at;
	if (to.ss_family == AF_INET)
		((struct sockaddr_in *)&to)->sin_port =
		    htons(route->next_hop.port);
	else
		((struct sockaddr_in6 *)&to)->sin6_port =
		    htons(route->next_hop.port);
	describe_peer(c, (struct sockaddr *)&to);
	from = source_address(route, to.ss_family, &source, &source_len);
	c->state = CONN_CONNECTING;
	c->stream = stream_connect(c->way->pool->base, (struct sockaddr *)&to,
	    to.ss_family == AF_INET ? sizeof(struct sockaddr_in)
				    : sizeof(struct sockaddr_in6),
	    from, source_len, &pool_conn_stream_ops, c);
	stream_set_timeout(c->stream, route->timeouts.connect_us);
}

static void
on_addresses(struct host_addresses *found, const char *why, void *arg)
{
	struct conn *c = arg;

	c->lookup = NULL;
	c->addresses = found;
	if (found != NULL)
		c->first = found->first++ % (unsigned)found->n;
	pool_conn_connect_next(c, why);
}

static int
open_hosts(struct pool *p, struct err *err_out)
{
	struct conf_dns system = { .timeout_us = p->conf->dns.timeout_us };
	const struct conf_dns *dns = p->dns != NULL ? p->dns : &system;

	if (p->hosts != NULL)
		return host_cache_configure(p->hosts, dns, err_out);
	p->hosts = host_cache_new(p->base, dns, err_out);
	return p->hosts != NULL ? 0 : -1;
}

void
pool_read_dns(struct pool *p)
{
	struct err err;

	if (p->hosts != NULL && open_hosts(p, &err) < 0)
		log_warn("dns", LOG_STR("error", err.text));
}

void
pool_conn_open(struct conn *c)
{
	const char *host = c->route->next_hop.host;
	struct pool *p = c->way->pool;
	struct host_addresses *written = host_addresses_of(host);
	struct host_lookup *lookup;
	struct err err;

	c->state = CONN_RESOLVING;
	if (written != NULL) {
		on_addresses(written, "", c);
		return;
	}
	if (p->hosts == NULL && open_hosts(p, &err) < 0) {
		on_addresses(NULL, err.text, c);
		return;
	}
	/* NULL: it called back at once, and c may be gone. */
	lookup =
	    host_cache_ask(p->hosts, host, clock_mono_us(), on_addresses, c);
	if (lookup != NULL)
		c->lookup = lookup;
}
