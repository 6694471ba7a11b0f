/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_AUTH_CACHE_H
#define FLYBALL_AUTH_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"

/*
 * Good passwords, remembered for a short time so that a client that
 * authenticates for each message doesn't cost milliseconds of hashing each
 * time. Kept is only a MAC over name, password and stored hash under a random
 * key of this process: nothing that could be tried elsewhere, and a changed
 * users file makes it void by itself. Guards itself.
 */
struct auth_cache;

#define AUTH_CACHE_ENTRIES_MAX 4096

/* NULL: no random key or no MAC to be had. */
struct auth_cache *auth_cache_new(int64_t ttl_us, struct err *err_out);
void auth_cache_free(struct auth_cache *c); /* wipes */
/* 0 = remember nothing, and forget what there is. */
void auth_cache_set_ttl(struct auth_cache *c, int64_t ttl_us);

/* Was this password good for this name and hash within the TTL? */
bool auth_cache_has(struct auth_cache *c, const char *user,
    const char *password, const char *hash, int64_t now_us);
void auth_cache_put(struct auth_cache *c, const char *user,
    const char *password, const char *hash, int64_t now_us);
size_t auth_cache_n(struct auth_cache *c);

/* A number below `below` that depends on the name and the key alone. */
size_t auth_cache_pick(struct auth_cache *c, const char *name, size_t below);

#endif
