/* SPDX-License-Identifier: ISC */
/*
 * Where a message belongs: recipient domain or MX host -> provider, and facts
 * about a message -> stream. Sessions ask in all workers at once, so the index
 * is built once per snapshot and never changes.
 *
 * Three hashes: exact domains, suffixes of domains (entries with a leading
 * dot), suffixes of MX hosts. The longest suffix is found by cutting labels
 * from the left, so it costs one look-up a label.
 */
#include "scheduler/destination.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"

struct entry {
	UT_hash_handle hh;
	const char *name; /* within the snapshot */
	const struct conf_provider *provider;
};

struct destination_index {
	struct entry *domains;
	struct entry *domain_suffixes;
	struct entry *mx_suffixes;
	const struct conf_provider *other;
};

static const struct conf_provider *
lookup(struct entry *hash, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(hash, name, e);
	return e != NULL ? e->provider : NULL;
}

static const struct conf_provider *
longest_suffix(struct entry *hash, const char *name)
{
	while (name != NULL && name[0] != '\0') {
		const struct conf_provider *p = lookup(hash, name);
		const char *dot = strchr(name, '.');

		if (p != NULL)
			return p;
		name = dot != NULL ? dot + 1 : NULL;
	}
	return NULL;
}

/* What the operator wrote goes before what is built in. */
static void
enter(struct entry **hash, const char *name, const struct conf_provider *p)
{
	struct entry *e;

	HASH_FIND_STR(*hash, name, e);
	if (e != NULL) {
		if (e->provider->is_builtin && !p->is_builtin)
			e->provider = p;
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->name = name;
	e->provider = p;
	HASH_ADD_KEYPTR(hh, *hash, e->name, strlen(e->name), e);
}

static void
enter_provider(struct destination_index *index, const struct conf_provider *p)
{
	for (size_t i = 0; i < p->domains.n; i++) {
		const char *domain = p->domains.v[i];

		if (domain[0] == '.')
			enter(&index->domain_suffixes, domain + 1, p);
		else
			enter(&index->domains, domain, p);
	}
	for (size_t i = 0; i < p->mx.n; i++)
		enter(&index->mx_suffixes, p->mx.v[i] + (p->mx.v[i][0] == '.'),
		    p);
	if (p->is_other)
		index->other = p;
}

struct destination_index *
destination_index_new(const struct conf *conf)
{
	struct destination_index *index = xcalloc(1, sizeof(*index));

	for (size_t i = 0; i < conf->n_providers; i++)
		enter_provider(index, &conf->providers[i]);
	assert(index->other != NULL);
	return index;
}

static void
hash_free(struct entry *hash)
{
	struct entry *e, *next;

	HASH_ITER(hh, hash, e, next)
	{
		HASH_DEL(hash, e);
		free(e);
	}
}

void
destination_index_free(struct destination_index *index)
{
	if (index == NULL)
		return;
	hash_free(index->domains);
	hash_free(index->domain_suffixes);
	hash_free(index->mx_suffixes);
	free(index);
}

const struct conf_provider *
destination_by_domain(const struct destination_index *index, const char *domain)
{
	const struct conf_provider *p = lookup(index->domains, domain);

	if (p == NULL)
		p = longest_suffix(index->domain_suffixes, domain);
	return p != NULL ? p : index->other;
}

const struct conf_provider *
destination_by_mx(const struct destination_index *index, const char *mx_host)
{
	char host[ADDRESS_DOMAIN_MAX + 1];
	size_t len = strlen(mx_host);

	if (len > 0 && mx_host[len - 1] == '.')
		len--;
	if (len == 0 || len >= sizeof(host))
		return NULL;
	for (size_t i = 0; i < len; i++)
		host[i] = (char)tolower((unsigned char)mx_host[i]);
	host[len] = '\0';
	return longest_suffix(index->mx_suffixes, host);
}

/* ---- streams ---- */

static bool
in_names(const struct conf_names *names, const char *value)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], value) == 0)
			return true;
	return false;
}

/* "example.net" is itself; ".example.net" also what is below. */
static bool
domain_matches(const char *entry, const char *domain)
{
	size_t len = strlen(domain), suffix_len;

	if (entry[0] != '.')
		return strcmp(entry, domain) == 0;
	suffix_len = strlen(entry);
	return strcmp(entry + 1, domain) == 0 ||
	    (len > suffix_len && strcmp(domain + len - suffix_len, entry) == 0);
}

static bool
sender_matches(const struct conf_names *domains, const char *domain)
{
	for (size_t i = 0; i < domains->n; i++)
		if (domain[0] != '\0' && domain_matches(domains->v[i], domain))
			return true;
	return false;
}

static bool
headers_match(const struct conf_stream *st, const struct message_facts *facts)
{
	for (size_t i = 0; i < st->match.n_header; i++) {
		const struct conf_header_match *m = &st->match.header[i];
		const char *value = facts->header != NULL
		    ? facts->header(m->name, facts->arg)
		    : NULL;

		if (value == NULL)
			return false;
		if (strcmp(m->value, "*") != 0 &&
		    strcasecmp(m->value, value) != 0)
			return false;
	}
	return true;
}

/* All that are given must match. A stream that gives nothing is for users who
 * name it; it would otherwise swallow all that stands behind it. */
static bool
stream_matches(const struct conf_stream *st, const struct message_facts *facts)
{
	if (st->match.user.n + st->match.sender_domain.n +
		st->match.listener.n + st->match.n_header ==
	    0)
		return false;
	if (st->match.user.n > 0 && !in_names(&st->match.user, facts->user))
		return false;
	if (st->match.sender_domain.n > 0 &&
	    !sender_matches(&st->match.sender_domain, facts->sender_domain))
		return false;
	if (st->match.listener.n > 0 &&
	    !in_names(&st->match.listener, facts->listener))
		return false;
	return headers_match(st, facts);
}

const struct conf_stream *
stream_match(const struct conf *conf, const struct message_facts *facts)
{
	for (size_t i = 0; facts->user_stream[0] && i < conf->n_streams; i++)
		if (strcmp(conf->streams[i].name, facts->user_stream) == 0)
			return &conf->streams[i];
	for (size_t i = 0; i < conf->n_streams; i++)
		if (stream_matches(&conf->streams[i], facts))
			return &conf->streams[i];
	return &conf->streams[conf->n_streams - 1]; /* `default` */
}
