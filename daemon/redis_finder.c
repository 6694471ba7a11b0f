/* SPDX-License-Identifier: ISC */
/*
 * Finds the server: what a URL leads to now. The link starts a search before
 * each attempt to connect, and, with Sentinels, while it is connected: a
 * server that was voted out may go on answering behind its partition.
 *
 * Sentinels are asked one after the other, beginning with the one that
 * answered last (https://redis.io/docs/reference/sentinel-clients/). What they
 * name isn't believed before it says itself that it is the master: that is the
 * link's part.
 */
#include "daemon/redis_finder.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "conf/base/xalloc.h"

const char *redis_finder_resolv_conf = "/etc/resolv.conf";

struct redis_finder {
	struct event_base *base;
	const struct redis_url *url;
	const char *password; /* the Sentinels' */
	int64_t timeout_us;
	redis_tls_fn *tls;
	redis_found_fn *fn;
	void *arg;

	struct evdns_base *dns; /* made for the first name */
	struct stat servers;	/* resolv.conf as it was read */
	struct evdns_getaddrinfo_request *lookup;
	struct event *timer;
	void (*then)(struct redis_finder *f); /* what the timer does */
	struct redis_conn *conn;	      /* to a Sentinel */
	bool is_busy;
	bool is_asking;	    /* a Sentinel, or for its address */
	bool is_logging_in; /* AUTH is under way */
	size_t sentinel;    /* the one that is asked */
	size_t n_asked;
	unsigned n_lookups; /* a name's addresses take turns */
	char host[256];	    /* whose address is looked for */
	uint16_t port;
	struct redis_peer peer;
	char why[300];
};

static void look_up(struct redis_finder *f, const char *host, uint16_t port);
static void ask_next(struct redis_finder *f);

/* ---- the end of a search ---- */

static void
drop_lookup(struct redis_finder *f)
{
	event_del(f->timer);
	if (f->lookup != NULL)
		evdns_getaddrinfo_cancel(f->lookup);
	f->lookup = NULL;
}

static void
finish(struct redis_finder *f, const struct redis_peer *peer)
{
	redis_finder_stop(f);
	f->fn(peer, peer != NULL ? "" : f->why, f->arg);
}

/* A step failed: of a Sentinel the next one is asked. */
static void
fail_step(struct redis_finder *f, const char *what, const char *why)
{
	snprintf(f->why, sizeof(f->why), "%.100s: %.180s", what, why);
	drop_lookup(f);
	redis_conn_free(f->conn);
	f->conn = NULL;
	if (f->url->place != REDIS_AT_SENTINELS)
		finish(f, NULL);
	else
		ask_next(f);
}

/* ---- addresses ---- */

static void
set_address(struct redis_peer *peer, const struct sockaddr *address,
    socklen_t len, uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "?";

	memset(peer, 0, sizeof(*peer));
	memcpy(&peer->address, address, len);
	peer->len = len;
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 *in6 = (void *)&peer->address;

		in6->sin6_port = htons(port);
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(peer->text, sizeof(peer->text), "[%s]:%u", text, port);
	} else {
		struct sockaddr_in *in = (void *)&peer->address;

		in->sin_port = htons(port);
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(peer->text, sizeof(peer->text), "%s:%u", text, port);
	}
}

/* "10.0.0.7", "::1". */
static bool
set_numeric(struct redis_peer *peer, const char *host, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
		set_address(peer, (struct sockaddr *)&in, sizeof(in), port);
	else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
		set_address(peer, (struct sockaddr *)&in6, sizeof(in6), port);
	else
		return false;
	return true;
}

static void
set_socket(struct redis_peer *peer, const char *path)
{
	struct sockaddr_un *un = (void *)&peer->address;

	memset(peer, 0, sizeof(*peer));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", path);
	peer->len = sizeof(*un);
	snprintf(peer->text, sizeof(peer->text), "%s", path);
}

/* ---- asking a Sentinel ---- */

static void
on_sentinel_opened(void *arg)
{
	(void)arg;
}

static void
on_sentinel_ended(const char *why, void *arg)
{
	struct redis_finder *f = arg;

	fail_step(f, f->url->hosts[f->sentinel].text, why);
}

/* [HOST, PORT], or nil: it knows no such master. */
static void
on_sentinel_replied(const struct redisReply *r, void *arg)
{
	struct redis_finder *f = arg;
	const char *sentinel = f->url->hosts[f->sentinel].text;
	char why[200], host[sizeof(f->host)];
	long port;

	if (r->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "%s%.140s",
		    strstr(r->str, "NOAUTH") != NULL
			? "cluster.sentinel_password_file is missing: "
			: "",
		    r->str);
		fail_step(f, sentinel, why);
		return;
	}
	if (f->is_logging_in) {
		f->is_logging_in = false;
		return; /* OK; the answer comes behind */
	}
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
	    r->element[0]->type != REDIS_REPLY_STRING ||
	    r->element[1]->type != REDIS_REPLY_STRING) {
		snprintf(why, sizeof(why), "knows no \"%.100s\"", f->url->name);
		fail_step(f, sentinel, why);
		return;
	}
	port = strtol(r->element[1]->str, NULL, 10);
	snprintf(host, sizeof(host), "%s", r->element[0]->str);
	if (port < 1 || port > 65535) {
		fail_step(f, sentinel, "names a server without a port");
		return;
	}
	redis_conn_free(f->conn);
	f->conn = NULL;
	f->is_asking = false;
	look_up(f, host, (uint16_t)port);
}

static void
ask_sentinel(struct redis_finder *f)
{
	static const struct redis_conn_ops ops = {
		.opened = on_sentinel_opened,
		.replied = on_sentinel_replied,
		.ended = on_sentinel_ended,
	};
	SSL *tls = f->tls(&f->peer, f->arg);

	if (f->url->is_tls && tls == NULL) {
		fail_step(f, f->peer.text, "TLS can't be begun");
		return;
	}
	f->conn =
	    redis_conn_open(f->base, &f->peer, tls, f->timeout_us, &ops, f);
	f->is_logging_in = f->password[0] != '\0';
	if (f->is_logging_in)
		redis_conn_say(f->conn,
		    (const char *const[]){ "AUTH", f->password, NULL });
	redis_conn_say(f->conn,
	    (const char *const[]){
		"SENTINEL", "get-master-addr-by-name", f->url->name, NULL });
}

/* ---- names ---- */

static void
found_address(struct redis_finder *f)
{
	drop_lookup(f);
	snprintf(f->peer.host, sizeof(f->peer.host), "%.127s", f->host);
	if (f->is_asking)
		ask_sentinel(f);
	else
		finish(f, &f->peer);
}

static void
on_resolved(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct redis_finder *f = arg;
	const struct evutil_addrinfo *a = addresses;
	unsigned n = 0, which;

	if (result == EVUTIL_EAI_CANCEL)
		return; /* f may be gone */
	f->lookup = NULL;
	if (addresses == NULL) {
		char why[160];

		snprintf(why, sizeof(why), "no address found: %s",
		    evutil_gai_strerror(result));
		fail_step(f, f->host, why);
		return;
	}
	for (; a != NULL; a = a->ai_next)
		n++;
	which = f->n_lookups++ % n;
	for (a = addresses; which > 0; which--)
		a = a->ai_next;
	set_address(&f->peer, a->ai_addr, (socklen_t)a->ai_addrlen, f->port);
	evutil_freeaddrinfo(addresses);
	found_address(f);
}

static void
arm(struct redis_finder *f, int64_t wait_us,
    void (*then)(struct redis_finder *f))
{
	struct timeval tv = { .tv_sec = wait_us / 1000000,
		.tv_usec = wait_us % 1000000 };

	f->then = then;
	event_add(f->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct redis_finder *f = arg;

	(void)fd;
	(void)what;
	f->then(f);
}

static void
give_up_lookup(struct redis_finder *f)
{
	fail_step(f, f->host, "no address found: the name servers are silent");
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The system's name servers, also when they became others while we run: a
 * relay that looks for its Redis through those of yesterday finds nothing. */
static void
read_servers(struct redis_finder *f)
{
	int what = DNS_OPTIONS_ALL;
	struct stat now = { 0 };

	if (stat(redis_finder_resolv_conf, &now) < 0 && f->dns != NULL)
		return; /* just being written anew */
	if (f->dns != NULL && is_same_file(&now, &f->servers))
		return;
	if (f->dns == NULL) {
		/* Inactive, it must not keep the loop alive. */
		f->dns =
		    evdns_base_new(f->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	} else {
		evdns_base_clear_nameservers_and_suspend(f->dns);
		what &= ~DNS_OPTION_HOSTSFILE; /* it would be read twice */
	}
	f->servers = now;
	evdns_base_resolv_conf_parse(f->dns, what, redis_finder_resolv_conf);
	evdns_base_resume(f->dns);
}

static void
look_up(struct redis_finder *f, const char *host, uint16_t port)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP };
	struct evdns_getaddrinfo_request *lookup;

	snprintf(f->host, sizeof(f->host), "%s", host);
	f->port = port;
	if (set_numeric(&f->peer, host, port)) {
		arm(f, 0, found_address);
		return;
	}
	read_servers(f);
	arm(f, f->timeout_us, give_up_lookup);
	/* NULL when it called back already, from /etc/hosts: then all that
	 * follows has happened, and nothing of f may be touched. */
	lookup = evdns_getaddrinfo(f->dns, host, NULL, &hints, on_resolved, f);
	if (lookup != NULL)
		f->lookup = lookup;
}

/* ---- the search ---- */

static void
ask_next(struct redis_finder *f)
{
	const struct conf_endpoint *host;

	if (f->n_asked == f->url->n_hosts) {
		finish(f, NULL);
		return;
	}
	if (f->n_asked++ > 0)
		f->sentinel = (f->sentinel + 1) % f->url->n_hosts;
	f->is_asking = true;
	host = &f->url->hosts[f->sentinel];
	look_up(f, host->host, host->port);
}

static void
begin(struct redis_finder *f)
{
	switch (f->url->place) {
	case REDIS_AT_HOST:
		look_up(f, f->url->hosts[0].host, f->url->hosts[0].port);
		break;
	case REDIS_AT_SOCKET:
		set_socket(&f->peer, f->url->path);
		finish(f, &f->peer);
		break;
	case REDIS_AT_SENTINELS:
		ask_next(f);
		break;
	}
}

void
redis_finder_start(struct redis_finder *f)
{
	redis_finder_stop(f);
	f->is_busy = true;
	f->n_asked = 0;
	f->is_asking = false;
	/* In its own turn: a name in /etc/hosts is called back at once. */
	arm(f, 0, begin);
}

void
redis_finder_stop(struct redis_finder *f)
{
	f->is_busy = false;
	drop_lookup(f);
	redis_conn_free(f->conn);
	f->conn = NULL;
}

bool
redis_finder_is_busy(const struct redis_finder *f)
{
	return f->is_busy;
}

struct redis_finder *
redis_finder_new(struct event_base *base, const struct redis_url *url,
    const char *sentinel_password, int64_t timeout_us, redis_tls_fn *tls,
    redis_found_fn *fn, void *arg)
{
	struct redis_finder *f = xcalloc(1, sizeof(*f));

	f->base = base;
	f->url = url;
	f->password = sentinel_password;
	f->timeout_us = timeout_us;
	f->tls = tls;
	f->fn = fn;
	f->arg = arg;
	f->timer = evtimer_new(base, on_timer, f);
	return f;
}

void
redis_finder_free(struct redis_finder *f)
{
	if (f == NULL)
		return;
	redis_finder_stop(f);
	event_free(f->timer);
	if (f->dns != NULL)
		evdns_base_free(f->dns, 0);
	free(f);
}
