/* SPDX-License-Identifier: ISC */
/*
 * From a list of recipients to deliveries. Called by the session's owner when
 * a message is whole, and by the spool for the notices that it writes. Never
 * looks anything up in the network: a domain whose MX isn't known yet is a
 * site of its own.
 */
#include "daemon/submission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"

void
submission_classify(const struct destination_index *index, const char *mailbox,
    char **provider_out, char **site_out)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];
	const struct conf_provider *provider;

	if (domain_normalise(address_domain(mailbox), domain) < 0)
		snprintf(domain, sizeof(domain), "invalid");
	provider = destination_by_domain(index, domain);
	*provider_out = xstrdup(provider->name);
	*site_out = xstrdup(provider->is_other ? domain : "");
}

struct group {
	char *key; /* provider, or other:site */
	size_t delivery;
	UT_hash_handle hh;
};

static size_t
add_group(struct envelope *e, char *provider_take, char *site_take)
{
	struct delivery *d;

	e->deliveries = xrealloc(e->deliveries,
	    (e->n_deliveries + 1) * sizeof(*e->deliveries));
	d = &e->deliveries[e->n_deliveries];
	*d = (struct delivery){ .number = (uint32_t)e->n_deliveries,
		.provider = provider_take,
		.site = site_take };
	return e->n_deliveries++;
}

static struct group *
find_group(struct envelope *e, struct group **groups,
    const struct destination_index *index, const char *mailbox)
{
	struct group *g;
	char *provider, *site, *key;

	submission_classify(index, mailbox, &provider, &site);
	key = *site ? xasprintf("%s:%s", provider, site) : xstrdup(provider);
	HASH_FIND_STR(*groups, key, g);
	if (g != NULL) {
		free(provider);
		free(site);
		free(key);
		return g;
	}
	g = xcalloc(1, sizeof(*g));
	g->key = key;
	g->delivery = add_group(e, provider, site);
	HASH_ADD_KEYPTR(hh, *groups, g->key, strlen(g->key), g);
	return g;
}

static void
move_recipient(struct delivery *to, struct recipient *r)
{
	struct recipient *copy = delivery_add(to, "");

	free(copy->address);
	*copy = *r;
	*r = (struct recipient){ 0 };
}

void
submission_split(struct envelope *e, const struct destination_index *index)
{
	struct delivery all = e->deliveries[0];
	struct group *groups = NULL, *g, *next;

	/* The usual message has one recipient, hence one group. */
	if (all.n_recipients == 1) {
		free(all.provider);
		free(all.site);
		submission_classify(index, all.recipients[0].address,
		    &e->deliveries[0].provider, &e->deliveries[0].site);
		return;
	}
	free(e->deliveries);
	e->deliveries = NULL;
	e->n_deliveries = 0;
	for (size_t i = 0; i < all.n_recipients; i++) {
		g = find_group(e, &groups, index, all.recipients[i].address);
		move_recipient(&e->deliveries[g->delivery], &all.recipients[i]);
	}
	HASH_ITER(hh, groups, g, next)
	{
		HASH_DEL(groups, g);
		free(g->key);
		free(g);
	}
	delivery_fini(&all);
}
