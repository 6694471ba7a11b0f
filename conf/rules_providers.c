/* SPDX-License-Identifier: ISC */
/*
 * Rules about providers: each claims something, no two of the operator's claim
 * the same. What the built-in set claims gives way to the operator, so that
 * is no contradiction.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/nearest.h"
#include "conf/base/xalloc.h"
#include "conf/rules.h"

struct claim {
	UT_hash_handle hh;
	const char *name; /* the domain or MX suffix */
	const struct conf_provider *provider;
};

/* NULL, or the provider of the operator's that had it before. */
static const struct conf_provider *
claim_add(struct claim **claims, const char *name,
    const struct conf_provider *p)
{
	struct claim *c;

	HASH_FIND_STR(*claims, name, c);
	if (c != NULL)
		return c->provider;
	c = xcalloc(1, sizeof(*c));
	c->name = name;
	c->provider = p;
	HASH_ADD_KEYPTR(hh, *claims, c->name, strlen(c->name), c);
	return NULL;
}

static void
claims_free(struct claim *claims)
{
	struct claim *c, *next;

	HASH_ITER(hh, claims, c, next)
	{
		HASH_DEL(claims, c);
		free(c);
	}
}

static void
check_claims(const struct rules *r, struct claim **claims,
    const struct conf_provider *p, const char *key,
    const struct conf_names *names)
{
	char item[RULE_ITEM_SIZE];

	for (size_t i = 0; i < names->n; i++) {
		const struct conf_provider *other =
		    claim_add(claims, names->v[i], p);

		if (other != NULL)
			rule_fail(r,
			    PATH("providers", p->name, key, rule_item(i, item)),
			    "%s belongs to %s already", names->v[i],
			    other->name);
	}
}

struct builtin_names {
	const char **v;
	size_t n;
};

static const char *
builtin_name(size_t i, const void *arg)
{
	return ((const struct builtin_names *)arg)->v[i];
}

/* A slip of the keyboard for a built-in name is what this mostly is. */
static void
fail_claimless(const struct rules *r, const struct conf_provider *p)
{
	struct builtin_names names = { 0 };
	const char *near;

	names.v = xcalloc(r->conf->n_providers, sizeof(*names.v));
	for (size_t i = 0; i < r->conf->n_providers; i++)
		if (&r->conf->providers[i] != p)
			names.v[names.n++] = r->conf->providers[i].name;
	near = nearest_name(p->name, builtin_name, &names, names.n);
	if (near != NULL)
		rule_fail(r, PATH("providers", p->name),
		    "isn't built in and claims nothing: give domains or mx "
		    "(did you mean %s?)",
		    near);
	else
		rule_fail(r, PATH("providers", p->name),
		    "isn't built in and claims nothing: give domains or mx");
	free(names.v);
}

void
rules_check_providers(const struct rules *r)
{
	struct claim *domains = NULL, *mx = NULL;

	for (size_t i = 0; i < r->conf->n_providers; i++) {
		const struct conf_provider *p = &r->conf->providers[i];

		if (p->is_builtin && !p->is_other)
			continue;
		if (!rule_is_sound(r, PATH("providers", p->name)))
			continue;
		rule_check_adapt(r, &p->adapt,
		    PATH("providers", p->name, "adapt"));
		if (p->is_other && p->domains.n + p->mx.n > 0)
			rule_fail(r, PATH("providers", p->name),
			    "takes what no provider claims; it can't claim "
			    "domains or mx itself");
		else if (!p->is_other && p->domains.n + p->mx.n == 0)
			fail_claimless(r, p);
		check_claims(r, &domains, p, "domains", &p->domains);
		check_claims(r, &mx, p, "mx", &p->mx);
	}
	claims_free(domains);
	claims_free(mx);
}
