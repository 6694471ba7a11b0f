/* SPDX-License-Identifier: ISC */
/*
 * The memory of good passwords. auth.c asks it before it queues a check, on
 * the I/O worker's thread, so it must be quick: the MAC is fetched and keyed
 * once (OpenSSL 3 looks algorithms up slowly) and used under the lock.
 *
 * Only successes are kept: a wrong password costs its full time, every time.
 * Entries end by their age since the real check; being used doesn't renew
 * them.
 */
#include "daemon/auth_cache.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uthash.h>

#include "conf/base/xalloc.h"

#define KEY_BYTES 32
#define MAC_BYTES 32

struct entry {
	unsigned char mac[MAC_BYTES];
	int64_t expires_us;
	UT_hash_handle hh;
};

struct auth_cache {
	pthread_mutex_t lock;
	EVP_MAC_CTX *mac;
	struct entry *entries; /* uthash keeps them in order of arrival */
	int64_t ttl_us;
};

/* ---- life ---- */

static EVP_MAC_CTX *
make_mac(struct err *err_out)
{
	unsigned char key[KEY_BYTES];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
		    0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac;
	EVP_MAC_CTX *mac;

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		err_sys(err_out, "getrandom");
		return NULL;
	}
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac); /* the context holds it */
	if (mac == NULL || EVP_MAC_init(mac, key, sizeof(key), params) != 1) {
		err_set(err_out, "OpenSSL has no HMAC-SHA256: %s",
		    ERR_reason_error_string(ERR_peek_last_error()));
		EVP_MAC_CTX_free(mac);
		mac = NULL;
	}
	explicit_bzero(key, sizeof(key));
	return mac;
}

struct auth_cache *
auth_cache_new(int64_t ttl_us, struct err *err_out)
{
	EVP_MAC_CTX *mac = make_mac(err_out);
	struct auth_cache *c;

	if (mac == NULL)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->mac = mac;
	c->ttl_us = ttl_us;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void
forget(struct auth_cache *c, struct entry *e)
{
	HASH_DEL(c->entries, e);
	explicit_bzero(e, sizeof(*e));
	free(e);
}

static void
forget_all(struct auth_cache *c)
{
	struct entry *e, *next;

	HASH_ITER(hh, c->entries, e, next)
	{
		forget(c, e);
	}
}

void
auth_cache_free(struct auth_cache *c)
{
	if (c == NULL)
		return;
	forget_all(c);
	EVP_MAC_CTX_free(c->mac);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void
auth_cache_set_ttl(struct auth_cache *c, int64_t ttl_us)
{
	pthread_mutex_lock(&c->lock);
	/* A shorter time holds for what is there too. */
	if (ttl_us < c->ttl_us)
		forget_all(c);
	c->ttl_us = ttl_us;
	pthread_mutex_unlock(&c->lock);
}

/* ---- verbs ---- */

/* Each part with its NUL, so that no two lists of parts are one text. */
static bool
compute_mac(struct auth_cache *c, const char *const parts[], size_t n,
    unsigned char out[MAC_BYTES])
{
	size_t len;

	/* No new key: the one it has is used again. */
	if (EVP_MAC_init(c->mac, NULL, 0, NULL) != 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (EVP_MAC_update(c->mac, (const unsigned char *)parts[i],
			strlen(parts[i]) + 1) != 1)
			return false;
	return EVP_MAC_final(c->mac, out, &len, MAC_BYTES) == 1 &&
	    len == MAC_BYTES;
}

static void
sweep(struct auth_cache *c, int64_t now_us)
{
	while (c->entries != NULL &&
	    (c->entries->expires_us <= now_us ||
		HASH_COUNT(c->entries) >= AUTH_CACHE_ENTRIES_MAX))
		forget(c, c->entries);
}

bool
auth_cache_has(struct auth_cache *c, const char *user, const char *password,
    const char *hash, int64_t now_us)
{
	const char *const parts[] = { user, password, hash };
	unsigned char mac[MAC_BYTES];
	struct entry *e = NULL;
	bool is_good;

	pthread_mutex_lock(&c->lock);
	if (c->entries != NULL && compute_mac(c, parts, 3, mac))
		HASH_FIND(hh, c->entries, mac, MAC_BYTES, e);
	is_good = e != NULL && now_us < e->expires_us;
	pthread_mutex_unlock(&c->lock);
	return is_good;
}

void
auth_cache_put(struct auth_cache *c, const char *user, const char *password,
    const char *hash, int64_t now_us)
{
	const char *const parts[] = { user, password, hash };
	unsigned char mac[MAC_BYTES];
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	if (c->ttl_us <= 0 || !compute_mac(c, parts, 3, mac))
		goto out;
	HASH_FIND(hh, c->entries, mac, MAC_BYTES, e);
	if (e != NULL)
		forget(c, e);
	sweep(c, now_us);
	e = xcalloc(1, sizeof(*e));
	memcpy(e->mac, mac, MAC_BYTES);
	e->expires_us = now_us + c->ttl_us;
	HASH_ADD(hh, c->entries, mac, MAC_BYTES, e);
out:
	pthread_mutex_unlock(&c->lock);
}

size_t
auth_cache_n(struct auth_cache *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = HASH_COUNT(c->entries);
	pthread_mutex_unlock(&c->lock);
	return n;
}

size_t
auth_cache_pick(struct auth_cache *c, const char *name, size_t below)
{
	const char *const parts[] = { name };
	unsigned char mac[MAC_BYTES];
	uint64_t number = 0;

	pthread_mutex_lock(&c->lock);
	if (compute_mac(c, parts, 1, mac))
		memcpy(&number, mac, sizeof(number));
	pthread_mutex_unlock(&c->lock);
	return (size_t)(number % below);
}
