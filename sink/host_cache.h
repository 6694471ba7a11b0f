/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HOST_CACHE_H
#define FLYBALL_HOST_CACHE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/conf.h"

/*
 * Names of next hops and their addresses, of one thread: asked for once, and
 * again when the answer's time to live is over. That there is none is
 * remembered too, for less long. Where nobody can say any more, what was known
 * holds on for a day.
 */
#define HOST_CACHE_MOST	   256 /* names */
#define HOST_TTL_LEAST_US  5000000
#define HOST_TTL_MOST_US   (3600 * INT64_C(1000000))
#define HOST_TTL_UNSAID_US (60 * INT64_C(1000000)) /* /etc/hosts says none */
#define HOST_NONE_US	   30000000		   /* it doesn't exist */
#define HOST_FAILED_US	   5000000		   /* nobody could say */
#define HOST_STALE_US	   (86400 * INT64_C(1000000))
#define HOST_BAD_US	   60000000 /* an address that didn't connect */

struct host_address {
	struct sockaddr_storage at; /* without a port */
	int64_t bad_until_us;	    /* it didn't connect lately */
};
struct host_addresses { /* shared by all that connect to them */
	unsigned n_users;
	unsigned first; /* where the next one begins: each has its turn */
	size_t n;	/* at most 32 */
	struct host_address v[];
};

struct host_cache;
struct host_lookup;
/* found: to be given back by host_addresses_unref(); NULL: `why`. */
typedef void host_cache_fn(struct host_addresses *found, const char *why,
    void *arg);

/* dns is read here only; servers none: the system's. */
struct host_cache *host_cache_new(struct event_base *base,
    const struct conf_dns *dns, struct err *err_out);
/* Asks others from now on; what is known stays. */
int host_cache_configure(struct host_cache *c, const struct conf_dns *dns,
    struct err *err_out);
/* Waiting lookups are never answered any more. */
void host_cache_free(struct host_cache *c);

/* NULL: fn was called already, from inside. */
struct host_lookup *host_cache_ask(struct host_cache *c, const char *name,
    int64_t now_us, host_cache_fn *fn, void *arg);
void host_lookup_cancel(struct host_lookup *l); /* fn isn't called */

/* Of an address that was written as one; NULL: it is a name. */
struct host_addresses *host_addresses_of(const char *text);
void host_addresses_unref(struct host_addresses *a);

#endif
