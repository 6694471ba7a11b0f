/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RESOLVER_H
#define FLYBALL_RESOLVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "sink/dns_answer.h"

/*
 * Questions to name servers, answered on an event loop and never waited for
 * longer than dns.timeout. At most RESOLVER_ACTIVE_MAX are under way; further
 * ones stand in line.
 */
#define RESOLVER_ACTIVE_MAX 64

struct resolver;
struct resolver_query;

typedef void resolver_fn(const struct dns_answer *answer, void *arg);

/* dns is read here only. */
struct resolver *resolver_new(struct event_base *base,
    const struct conf_dns *dns, struct err *err_out);
/* What is under way is never answered any more. */
void resolver_free(struct resolver *r);

/* `name` is absolute, without a last dot. fn is called once, not from inside;
 * the query is gone with it. */
struct resolver_query *resolver_ask(struct resolver *r, const char *name,
    enum dns_type type, resolver_fn *fn, void *arg);
/* Where to connect to: a name as the system's resolver takes it, by
 * /etc/hosts, search domains, A and AAAA, in the order of RFC 6724. */
struct resolver_host {
	enum dns_status status;
	uint32_t ttl_s; /* the least; 0: not said */
	struct sockaddr_storage *v;
	size_t n; /* not 0 where OK */
	const char *why;
};
#define RESOLVER_HOST_MAX 32 /* addresses; more are left out */
typedef void resolver_host_fn(const struct resolver_host *host, void *arg);
struct resolver_query *resolver_ask_host(struct resolver *r, const char *name,
    resolver_host_fn *fn, void *arg);
void resolver_cancel(struct resolver_query *q); /* fn isn't called */

/* What was asked last got no answer from anybody in all that time. */
bool resolver_is_silent(const struct resolver *r);

#endif
