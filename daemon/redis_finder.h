/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_FINDER_H
#define FLYBALL_REDIS_FINDER_H

#include <event2/event.h>

#include "conf/redis_url.h"
#include "daemon/redis_conn.h"

/*
 * From a Redis URL to an address to connect to: the socket's path, the name's
 * addresses in turn, or what a Sentinel says. One search at a time; none ever
 * blocks, and each Sentinel has timeout_us.
 */
struct redis_finder;

/* peer NULL: not found, and why says it; both are lent. The search is over,
 * and another may be started. */
typedef void redis_found_fn(const struct redis_peer *peer, const char *why,
    void *arg);

/* Makes a TLS session for a peer; NULL where there is none to be. */
typedef SSL *redis_tls_fn(const struct redis_peer *peer, void *arg);

/* url and password are lent for as long as it lives. */
struct redis_finder *redis_finder_new(struct event_base *base,
    const struct redis_url *url, const char *sentinel_password,
    int64_t timeout_us, redis_tls_fn *tls, redis_found_fn *fn, void *arg);
void redis_finder_free(struct redis_finder *f); /* NULL is fine */

/* fn follows, never from inside. */
void redis_finder_start(struct redis_finder *f);
void redis_finder_stop(struct redis_finder *f); /* then it doesn't */
bool redis_finder_is_busy(const struct redis_finder *f);

/* Test seam: where the system's name servers stand. */
extern const char *redis_finder_resolv_conf;

#endif
