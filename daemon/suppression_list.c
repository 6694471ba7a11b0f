/* SPDX-License-Identifier: ISC */
/*
 * The suppression list behind a lock, and its form on disk: "x ADDRESS" is a
 * suppressed recipient, "w ADDRESS" one whose bounces are being counted. In
 * memory there are hashes only (scheduler/suppression.h); what a person wants
 * to read of an entry stands in the spool.
 */
#include "daemon/suppression_list.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"
#include "scheduler/suppression_csv.h"

#define PREFIX_BYTES 2
#define KEY_SIZE     (PREFIX_BYTES + ADDRESS_PATH_MAX + 1)

struct suppression_list {
	pthread_mutex_t lock;
	struct suppression *index;
};

/* ---- life ---- */

struct suppression_list *
suppression_list_new(struct err *err_out)
{
	struct suppression_list *l;
	uint8_t key[SIPHASH_KEY_SIZE];

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		err_sys(err_out, "a random key for the suppression list");
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	l->index = suppression_new(key);
	return l;
}

void
suppression_list_free(struct suppression_list *l)
{
	if (l == NULL)
		return;
	suppression_free(l->index);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- facts ---- */

static void
put_fact(struct spool_fact **facts, char kind, const char *address,
    const char *value)
{
	char key[KEY_SIZE];
	size_t len = strlen(address);
	struct spool_fact *f;

	if (len == 0 || len > ADDRESS_PATH_MAX)
		return;
	key[0] = kind;
	key[1] = ' ';
	/* One key an address, whatever its case. */
	for (size_t i = 0; i < len; i++)
		key[PREFIX_BYTES + i] =
		    (char)tolower((unsigned char)address[i]);
	f = spool_fact_new(key, PREFIX_BYTES + len, value,
	    value != NULL ? strlen(value) : 0);
	f->next = *facts;
	*facts = f;
}

static void
put_entry(struct spool_fact **facts, const struct suppression_entry *entry)
{
	struct strbuf text = { 0 };

	suppression_entry_format(entry, &text);
	put_fact(facts, 'x', entry->address, text.data);
	strbuf_fini(&text);
}

/* The lock is held. */
static void
put_watch(struct suppression_list *l, const char *address,
    struct spool_fact **facts)
{
	char text[SUPPRESSION_WATCH_SIZE];

	suppression_watch_format(l->index, address, text);
	put_fact(facts, 'w', address, *text != '\0' ? text : NULL);
}

static char *
address_of(const void *key, size_t key_len)
{
	const char *k = key;

	if (key_len <= PREFIX_BYTES || k[1] != ' ' ||
	    (k[0] != 'x' && k[0] != 'w'))
		return NULL;
	return xstrndup(k + PREFIX_BYTES, key_len - PREFIX_BYTES);
}

bool
suppression_list_restore(struct suppression_list *l, const void *key,
    size_t key_len, const void *value, size_t value_len, int64_t utc_us,
    struct spool_fact **facts)
{
	char *address = address_of(key, key_len);
	char *text = xstrndup(value, value_len);
	struct suppression_entry entry;
	bool is_ours = address != NULL;

	if (is_ours && *(const char *)key == 'w') {
		suppression_watch_parse(l->index, address, text);
	} else if (is_ours && suppression_entry_parse(text, &entry) == 0) {
		entry.address = address;
		if (entry.expires_utc_us > utc_us)
			suppression_add(l->index, &entry);
		else
			put_fact(facts, 'x', address, NULL);
	}
	free(address);
	free(text);
	return is_ours;
}

int
suppression_list_entry(const void *key, size_t key_len, const char *value,
    char *address_out, size_t size, struct suppression_entry *entry_out)
{
	char *address = address_of(key, key_len);
	int result = -1;

	if (address != NULL && *(const char *)key == 'x' &&
	    strlen(address) < size &&
	    suppression_entry_parse(value, entry_out) == 0) {
		strcpy(address_out, address);
		entry_out->address = address_out;
		result = 0;
	}
	free(address);
	return result;
}

/* ---- asking and changing ---- */

bool
suppression_list_has(struct suppression_list *l, const char *address,
    int64_t utc_us, struct suppression_hit *hit_out)
{
	bool has;

	pthread_mutex_lock(&l->lock);
	has = suppression_check(l->index, address, utc_us, hit_out);
	pthread_mutex_unlock(&l->lock);
	return has;
}

bool
suppression_list_bounce(struct suppression_list *l,
    const struct conf_suppression *conf, const char *address, bool is_hard,
    const char *reply, int64_t utc_us, struct suppression_entry *entry_out,
    struct spool_fact **facts)
{
	bool is_suppressed;

	pthread_mutex_lock(&l->lock);
	is_suppressed = suppression_bounce(l->index, conf, address, is_hard,
	    reply, utc_us, entry_out);
	put_watch(l, address, facts);
	pthread_mutex_unlock(&l->lock);
	if (is_suppressed)
		put_entry(facts, entry_out);
	return is_suppressed;
}

bool
suppression_list_domain_bounce(struct suppression_list *l,
    const struct conf_suppression *conf, const char *domain, const char *reply,
    int64_t utc_us, struct suppression_entry *entry_out,
    struct spool_fact **facts)
{
	bool is_suppressed;

	pthread_mutex_lock(&l->lock);
	is_suppressed = suppression_domain_bounce(l->index, conf, domain, reply,
	    utc_us, entry_out);
	pthread_mutex_unlock(&l->lock);
	if (is_suppressed)
		put_entry(facts, entry_out);
	return is_suppressed;
}

void
suppression_list_delivered(struct suppression_list *l, const char *address,
    struct spool_fact **facts)
{
	char before[SUPPRESSION_WATCH_SIZE];
	char domain[SUPPRESSION_DOMAIN_SIZE];

	pthread_mutex_lock(&l->lock);
	suppression_watch_format(l->index, address, before);
	if (*before != '\0') {
		suppression_delivered(l->index, address);
		put_watch(l, address, facts);
	}
	if (suppression_domain_delivered(l->index, address, domain))
		put_fact(facts, 'x', domain, NULL);
	pthread_mutex_unlock(&l->lock);
}

bool
suppression_list_add(struct suppression_list *l,
    const struct suppression_entry *entry, struct spool_fact **facts)
{
	bool is_added;

	if (strlen(entry->address) > ADDRESS_PATH_MAX)
		return false;
	pthread_mutex_lock(&l->lock);
	is_added = suppression_add(l->index, entry);
	pthread_mutex_unlock(&l->lock);
	if (is_added)
		put_entry(facts, entry);
	return is_added;
}

bool
suppression_list_remove(struct suppression_list *l, const char *address,
    struct spool_fact **facts)
{
	bool was_there;

	pthread_mutex_lock(&l->lock);
	was_there = suppression_remove(l->index, address);
	pthread_mutex_unlock(&l->lock);
	put_fact(facts, 'x', address, NULL);
	put_fact(facts, 'w', address, NULL);
	return was_there;
}

size_t
suppression_list_count(struct suppression_list *l)
{
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = suppression_count(l->index);
	pthread_mutex_unlock(&l->lock);
	return n;
}

void
suppression_list_sweep(struct suppression_list *l, int64_t utc_us)
{
	pthread_mutex_lock(&l->lock);
	suppression_sweep(l->index, utc_us);
	pthread_mutex_unlock(&l->lock);
}
