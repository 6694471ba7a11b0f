/* SPDX-License-Identifier: ISC */
/*
 * Destinations: a provider, or one site of `other`. Made when the first
 * delivery or an operator names one, and freed with their last flow and lane,
 * because there are as many sites as there are domains in the world.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/sched_private.h"

#define DEST_NAME_MAX 512

struct dest *
dest_find(struct sched *s, const char *name)
{
	struct dest *dest;

	HASH_FIND_STR(s->dests, name, dest);
	return dest;
}

static struct dest *
dest_new(struct sched *s, struct provider *p, const char *name)
{
	struct dest *dest = xcalloc(1, sizeof(*dest));

	dest->name = xstrdup(name);
	dest->provider = p;
	dest->site =
	    dest->name + (p->is_other ? strlen(p->name) + 1 : strlen(name));
	p->n_dests++;
	HASH_ADD_KEYPTR(hh, s->dests, dest->name, strlen(dest->name), dest);
	return dest;
}

static struct provider *
provider_other(struct sched *s)
{
	for (struct provider *p = s->providers; p; p = p->hh.next)
		if (p->is_other && !p->is_gone)
			return p;
	abort(); /* conf_load() always makes one */
}

struct dest *
dest_get(struct sched *s, const char *provider, const char *site)
{
	struct provider *p = provider_find(s, provider);
	char name[DEST_NAME_MAX];
	const char *key = name;
	struct dest *dest;

	if (p == NULL || p->is_gone) {
		p = provider_other(s);
		if (site[0] == '\0')
			site = provider;
	}
	if (p->is_other)
		snprintf(name, sizeof(name), "%s:%s", p->name,
		    site[0] ? site : "unknown");
	else
		key = p->name;
	dest = dest_find(s, key);
	return dest != NULL ? dest : dest_new(s, p, key);
}

void
dest_release(struct sched *s, struct dest *dest)
{
	if (dest->lanes != NULL || dest->flows != NULL)
		return;
	HASH_DEL(s->dests, dest);
	dest->provider->n_dests--;
	free(dest->sorted_to);
	free(dest->name);
	free(dest);
}
