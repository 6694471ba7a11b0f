/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: the Redis that several relays share their lanes'
 * limits through. The texts are the manual's.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "conf/key_types.h"
#include "conf/keys_sections.h"
#include "conf/redis_url.h"

#define MS		  INT64_C(1000)
#define SEC		  (1000 * MS)
#define AT(f)		  .offset = offsetof(struct conf_cluster, f)
#define BOUNDS(low, high) .min = (low), .max = (high)

#define PREFIX_MAX 64

static bool
check_redis(struct reader *r, struct node *n, char **text)
{
	struct redis_url url;
	struct err err;

	if (redis_url_parse(*text, &url, &err) < 0) {
		reader_fail(r, n, "%s", err.text);
		return false;
	}
	redis_url_fini(&url);
	return true;
}

/* It begins every key and channel. A brace would end the hash tag that keeps
 * a lane's keys together. */
static bool
check_prefix(struct reader *r, struct node *n, char **text)
{
	size_t len = strspn(*text,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._:-");

	if ((*text)[len] == '\0' && len <= PREFIX_MAX)
		return true;
	reader_fail(r, n,
	    "is up to %d letters, digits, \".\", \"_\", \"-\" or \":\"",
	    PREFIX_MAX);
	return false;
}

static void
read_secret(struct reader *r, struct node *n, const char *key, const char *file,
    char **out)
{
	struct node *at = node_member(n, key);
	struct err err;

	*out = NULL;
	if (at != NULL && file[0] != '\0') {
		*out = key_read_secret(file, &err);
		if (*out == NULL)
			reader_fail_key(r, at->at, key, "%s", err.text);
	}
	if (*out == NULL)
		*out = xstrdup("");
}

static void
check_user(struct reader *r, struct node *n, const struct conf_cluster *c)
{
	struct redis_url url;
	struct node *at = node_member(n, "redis");

	if (at == NULL || redis_url_parse(c->redis, &url, NULL) < 0)
		return; /* said already */
	if (url.user != NULL && c->password_file[0] == '\0')
		reader_fail_key(r, at->at, "redis",
		    "names a user, who needs a password_file");
	if (url.place != REDIS_AT_SENTINELS &&
	    c->sentinel_password_file[0] != '\0')
		reader_fail_key(r, at->at, "redis",
		    "names no Sentinels, but sentinel_password_file is given");
	if (!url.is_tls && c->tls_ca[0] != '\0')
		reader_fail_key(r, at->at, "redis",
		    "asks for no TLS (did you mean redis%s://?), but tls_ca "
		    "is given",
		    url.place == REDIS_AT_SENTINELS ? "s-sentinel" : "s");
	redis_url_fini(&url);
}

static void
seal_cluster(struct reader *r, struct node *n, void *base)
{
	struct conf_cluster *c = base;

	read_secret(r, n, "password_file", c->password_file, &c->password);
	read_secret(r, n, "sentinel_password_file", c->sentinel_password_file,
	    &c->sentinel_password);
	check_user(r, n, c);
}

static void
fini_cluster(void *base)
{
	struct conf_cluster *c = base;

	key_free_secret(&c->password);
	key_free_secret(&c->sentinel_password);
}

static const struct key_word on_loss[] = { { "share", ON_LOSS_SHARE },
	{ "hold", ON_LOSS_HOLD }, { NULL, 0 } };

static const struct key cluster_keys[] = {
	{ "redis", &type_text, AT(redis), .flags = KEY_REQUIRED,
	    .check = check_redis,
	    .text =
		"Where it is: redis://[USER@]HOST:PORT/DATABASE; rediss:// for "
		"TLS, with the certificate checked; unix:///PATH?db=DATABASE; "
		"or redis-sentinel://HOST:PORT,HOST:PORT/DATABASE#NAME, where "
		"NAME is what the Sentinels call it (rediss-sentinel:// with "
		"TLS to all of them). Redis Cluster isn't spoken. Every relay "
		"names the same database." },
	{ "password_file", &type_text, AT(password_file),
	    .check = key_check_path,
	    .text = "A file that holds Redis' password, one line: "
		    "requirepass, or that of the USER in the URL." },
	{ "sentinel_password_file", &type_text, AT(sentinel_password_file),
	    .check = key_check_path,
	    .text = "The same for the Sentinels, where they want one." },
	{ "tls_ca", &type_text, AT(tls_ca), .initial_doc = "the system's",
	    .check = key_check_path,
	    .text = "Certificates that are trusted, for rediss://. Read again "
		    "on a reload." },
	{ "name", &type_text, AT(name), .initial_doc = "daemon.hostname",
	    .check = key_check_name, .flags = KEY_RESTART,
	    .text = "This relay's name among the others; no two may have the "
		    "same." },
	{ "prefix", &type_text, AT(prefix), .initial = "flyball",
	    .check = check_prefix, .flags = KEY_RESTART | KEY_FILLED,
	    .text = "What all keys and channels begin with. Relays of one "
		    "prefix share their limits; another prefix is another "
		    "cluster in the same Redis." },
	{ "lease", &type_duration, AT(lease_us), .initial = "1s",
	    BOUNDS(200 * MS, 10 * SEC), .flags = KEY_RESTART,
	    .text =
		"For how long ahead a relay takes its part of a lane's limit. "
		"Shorter: a part that is needed elsewhere moves there sooner; "
		"longer: fewer calls to Redis." },
	{ "timeout", &type_duration, AT(timeout_us), .initial = "1s",
	    BOUNDS(50 * MS, 30 * SEC),
	    .text = "After so long without an answer Redis counts as gone." },
	{ "on_loss", &type_word, AT(on_loss), .words = on_loss,
	    .initial = "share",
	    .text =
		"When Redis is gone. share: each relay goes on at the limits "
		"divided by the relays that were seen last. hold: nothing is "
		"sent until it is back; mail waits, unpunished." },
	{ 0 },
};
const struct section section_cluster = {
	.keys = cluster_keys,
	.seal = seal_cluster,
	.fini = fini_cluster,
};
