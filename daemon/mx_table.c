/* SPDX-License-Identifier: ISC */
/*
 * A hash whose order is that of use: uthash keeps its items in order of
 * insertion, so what is used is taken out and put in again. The governor asks
 * once for each delivery of a domain that no provider names.
 */
#include "daemon/mx_table.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/xalloc.h"

#define PREFIX	     "m "
#define PREFIX_BYTES 2
#define VALUE_MAX    (MX_HOSTS_MAX * (ADDRESS_DOMAIN_MAX + 1) + 64)

struct entry {
	UT_hash_handle hh;
	struct mx_facts facts;
	char domain[];
};

struct mx_table {
	struct entry *entries; /* longest unused first */
	size_t max;
};

struct mx_table *
mx_table_new(size_t max)
{
	struct mx_table *t = xcalloc(1, sizeof(*t));

	t->max = max;
	return t;
}

static void
drop(struct mx_table *t, struct entry *e)
{
	HASH_DEL(t->entries, e);
	mx_facts_fini(&e->facts);
	free(e);
}

void
mx_table_free(struct mx_table *t)
{
	if (t == NULL)
		return;
	while (t->entries != NULL)
		drop(t, t->entries);
	free(t);
}

size_t
mx_table_count(const struct mx_table *t)
{
	return HASH_COUNT(t->entries);
}

static struct entry *
find(struct mx_table *t, const char *domain)
{
	struct entry *e;

	HASH_FIND_STR(t->entries, domain, e);
	return e;
}

const struct mx_facts *
mx_table_find(struct mx_table *t, const char *domain)
{
	struct entry *e = find(t, domain);

	if (e == NULL)
		return NULL;
	HASH_DEL(t->entries, e);
	HASH_ADD_KEYPTR(hh, t->entries, e->domain, strlen(e->domain), e);
	return &e->facts;
}

static void
add(struct mx_table *t, const char *domain, struct mx_facts *f_take)
{
	size_t len = strlen(domain);
	struct entry *e = xcalloc(1, sizeof(*e) + len + 1);

	memcpy(e->domain, domain, len + 1);
	e->facts = *f_take;
	f_take->hosts = NULL;
	HASH_ADD_KEYPTR(hh, t->entries, e->domain, len, e);
}

/* NULL: it is to be removed. */
static struct spool_fact *
fact_new(const char *domain, const struct mx_facts *f)
{
	char key[PREFIX_BYTES + ADDRESS_DOMAIN_MAX + 1];
	size_t len = strlen(domain);
	char *value = f != NULL ? mx_facts_write(f) : NULL;
	struct spool_fact *fact;

	if (len > ADDRESS_DOMAIN_MAX)
		len = ADDRESS_DOMAIN_MAX;
	memcpy(key, PREFIX, PREFIX_BYTES);
	memcpy(key + PREFIX_BYTES, domain, len);
	fact = spool_fact_new(key, PREFIX_BYTES + len, value,
	    value != NULL ? strlen(value) : 0);
	free(value);
	return fact;
}

/* Behind the others: a domain's newest word is the last one. */
static void
tell(const char *domain, const struct mx_facts *f, struct spool_fact **facts)
{
	while (*facts != NULL)
		facts = &(*facts)->next;
	*facts = fact_new(domain, f);
}

void
mx_table_put(struct mx_table *t, const char *domain, struct mx_facts *f_take,
    struct spool_fact **facts)
{
	struct entry *e = find(t, domain);

	tell(domain, f_take, facts);
	if (e != NULL) {
		drop(t, e);
	} else if (mx_table_count(t) >= t->max) {
		tell(t->entries->domain, NULL, facts);
		drop(t, t->entries);
	}
	add(t, domain, f_take);
}

bool
mx_table_restore(struct mx_table *t, const void *key, size_t key_len,
    const void *value, size_t value_len, struct spool_fact **facts)
{
	struct mx_facts f;
	struct spool_fact *fact;
	char *domain, *text;

	if (key_len <= PREFIX_BYTES || memcmp(key, PREFIX, PREFIX_BYTES) != 0)
		return false;
	domain =
	    xstrndup((const char *)key + PREFIX_BYTES, key_len - PREFIX_BYTES);
	text = xstrndup(value, value_len < VALUE_MAX ? value_len : VALUE_MAX);
	if (find(t, domain) == NULL && mx_table_count(t) < t->max &&
	    mx_facts_parse(&f, text) == 0) {
		add(t, domain, &f);
	} else {
		fact = fact_new(domain, NULL);
		fact->next = *facts;
		*facts = fact;
	}
	free(domain);
	free(text);
	return true;
}
