/* SPDX-License-Identifier: ISC */
/*
 * Where mail for domains that no provider names belongs: their MX hosts are
 * asked for once, remembered by their TTL and over a restart, and the
 * scheduler is told. governor_add() asks for each new delivery.
 *
 * No session and no other domain's mail ever waits for a name server. A domain
 * that is seen for the first time waits for its answer at most dns.timeout, and
 * not at all while no server answers anybody: then, and when the answer is no
 * help, it is a site of its own and the next hop decides.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "daemon/mx_table.h"
#include "sink/resolver.h"

#define DOMAINS_MAX 100000 /* remembered; some 20 MB */
#define LOOKUPS_MAX 20000  /* that stand in line */

struct lookup {
	UT_hash_handle hh;
	struct governor *g;
	struct resolver_query *query;
	char domain[];
};

struct governor_mx {
	struct mx_table *table;
	struct lookup *lookups; /* by domain */
};

/* ---- what facts mean ---- */

static bool
is_other(const struct governor *g, const char *provider)
{
	const struct conf_provider *p = conf_provider(g->rt->conf, provider);

	return p == NULL || p->is_other;
}

static void
place_by_hosts(struct governor *g, const struct mx_facts *f,
    struct mx_place *out)
{
	char host[ADDRESS_DOMAIN_MAX + 1];
	const char *list = f->hosts;

	while (mx_facts_host(&list, host)) {
		const struct conf_provider *p =
		    destination_by_mx(g->rt->index, host);

		if (p != NULL && !p->is_other) {
			out->provider = p->name;
			out->site[0] = '\0';
			return;
		}
	}
	mx_facts_site(f, out->site);
}

static void
place_by_facts(struct governor *g, const struct mx_facts *f,
    struct mx_place *out)
{
	switch (f->kind) {
	case MX_HOSTS:
		place_by_hosts(g, f, out);
		break;
	case MX_OWN:
		break;
	case MX_NULL: /* RFC 7505 section 4.2 */
		out->status = "5.1.10";
		out->reply = "556 5.1.10 Recipient address has null MX";
		break;
	case MX_NXDOMAIN:
		out->status = "5.1.2";
		out->reply = "550 5.1.2 Recipient's domain doesn't exist";
		break;
	}
}

static void
place_as_said(struct mx_place *out, const char *provider, const char *site)
{
	*out = (struct mx_place){ .provider = provider };
	strncpy(out->site, site, sizeof(out->site) - 1);
}

/* ---- asking ---- */

static void on_answer(const struct dns_answer *answer, void *arg);

static void
ask(struct governor *g, const char *domain)
{
	size_t len = strlen(domain);
	struct lookup *l;

	HASH_FIND_STR(g->mx->lookups, domain, l);
	if (l != NULL || HASH_COUNT(g->mx->lookups) >= LOOKUPS_MAX)
		return;
	l = xcalloc(1, sizeof(*l) + len + 1);
	memcpy(l->domain, domain, len + 1);
	l->g = g;
	l->query = resolver_ask(g->resolver, domain, DNS_MX, on_answer, l);
	HASH_ADD_KEYPTR(hh, g->mx->lookups, l->domain, len, l);
}

/* Public name servers know nothing of names for private use, so theirs is no
 * answer; servers that the operator names may. */
static bool
is_askable(const struct governor *g, const char *domain)
{
	const struct conf_dns *dns = &g->rt->conf->dns;

	return dns->mx && g->resolver != NULL && domain[0] != '\0' &&
	    domain[0] != '[' && (dns->servers.n > 0 || !mx_is_reserved(domain));
}

void
governor_mx_place(struct governor *g, const char *provider, const char *site,
    bool asks, struct mx_place *out)
{
	const struct mx_facts *f;
	bool is_fresh;

	place_as_said(out, provider, site);
	if (site[0] == '\0' || !is_other(g, provider))
		return;
	out->provider = destination_by_domain(g->rt->index, site)->name;
	if (!is_other(g, out->provider)) { /* since it was accepted */
		out->site[0] = '\0';
		return;
	}
	if (!is_askable(g, site))
		return;
	f = mx_table_find(g->mx->table, site);
	is_fresh = f != NULL && mx_facts_are_fresh(f, clock_utc_us());
	if (!is_fresh && asks)
		ask(g, site);
	/* What is out of date is better than nothing, but no ground for
	 * sending mail back. */
	if (is_fresh || (f != NULL && f->kind == MX_HOSTS)) {
		place_by_facts(g, f, out);
		return;
	}
	if (!asks)
		return;
	out->sort_by_us = clock_mono_us();
	if (!resolver_is_silent(g->resolver))
		out->sort_by_us += g->rt->conf->dns.timeout_us;
}

/* ---- mail that can't go anywhere ---- */

static void
event_unroutable(struct governor *g, uint64_t message, uint32_t number,
    const struct mx_place *place)
{
	struct envelope e;
	struct err err;
	char id[MESSAGE_ID_SIZE];

	/* At start its record is still being read. */
	if (g->is_scanning || !event_log_is_wanted(g->events) ||
	    spool_read_message(g->reader, message, &e, &err) != 0)
		return;
	for (size_t i = 0; i < e.n_deliveries; i++) {
		const struct delivery *d = &e.deliveries[i];

		for (size_t k = 0; d->number == number && k < d->n_recipients;
		     k++) {
			event_begin(g->events, "bounced", clock_utc_us());
			event_str(g->events, "message",
			    message_id_format(message, id));
			event_str(g->events, "stream", e.stream);
			event_str(g->events, "provider", place->provider);
			event_str(g->events, "sender", e.sender);
			event_str(g->events, "recipient",
			    d->recipients[k].address);
			event_str(g->events, "phase", "dns");
			event_str(g->events, "enhanced", place->status);
			event_str(g->events, "reply", place->reply);
			event_str(g->events, "class",
			    reply_class_name(CLASS_BAD_DOMAIN));
			event_str(g->events, "blame",
			    blame_name(BLAME_RECIPIENT_DOMAIN));
			event_end(g->events);
		}
	}
	envelope_fini(&e);
}

void
governor_bounce_unroutable(struct governor *g, uint64_t message,
    uint32_t number, uint32_t n_pending, const struct mx_place *place)
{
	event_unroutable(g, message, number, place);
	g->n_failed += n_pending;
	governor_settle_all(g, message, number, n_pending,
	    SPOOL_FAILED_FOR_GOOD, place->status, place->reply);
}

struct bounce {
	struct governor *g;
	const struct mx_place *place;
};

static void
bounce_one(uint64_t message, uint32_t number, uint32_t n_pending, void *arg)
{
	const struct bounce *b = arg;

	governor_bounce_unroutable(b->g, message, number, n_pending, b->place);
}

/* ---- the answer ---- */

static void
sort_domain(struct governor *g, const char *domain, const struct mx_facts *f)
{
	int64_t now_us = clock_mono_us();
	struct mx_place place;
	struct bounce b = { g, &place };

	place_as_said(&place, "other", domain);
	place.provider = destination_by_domain(g->rt->index, domain)->name;
	if (f != NULL)
		place_by_facts(g, f, &place);
	if (place.status != NULL)
		sched_unsorted_take(g->sched, domain, now_us, bounce_one, &b);
	else
		sched_sort(g->sched, domain, place.provider, place.site,
		    now_us);
	log_debug("mx", LOG_STR("domain", domain),
	    LOG_STR("provider", place.provider), LOG_STR("site", place.site),
	    LOG_STR("status", place.status));
}

/* Nobody could say: what was known goes on for a while. */
static void
keep_known(struct mx_facts *f, const struct mx_facts *known)
{
	if (known == NULL || known->kind != MX_HOSTS)
		return;
	mx_facts_fini(f);
	f->kind = known->kind;
	f->hosts = xstrdup(known->hosts);
}

static void
lookup_end(struct governor *g, struct lookup *l)
{
	HASH_DEL(g->mx->lookups, l);
	free(l);
}

static void
on_answer(const struct dns_answer *answer, void *arg)
{
	struct lookup *l = arg;
	struct governor *g = l->g;
	struct mx_facts f;

	mx_facts_read(&f, answer, clock_utc_us());
	if (answer->status == DNS_FAILED)
		keep_known(&f, mx_table_find(g->mx->table, l->domain));
	mx_table_put(g->mx->table, l->domain, &f, &g->stale);
	sort_domain(g, l->domain, mx_table_find(g->mx->table, l->domain));
	lookup_end(g, l);
	governor_wake(g);
}

/* ---- life ---- */

/* Without name servers mail goes on, by domains alone. */
static void
open_resolver(struct governor *g)
{
	struct err err;

	g->resolver = resolver_new(g->base, &g->rt->conf->dns, &err);
	if (g->resolver == NULL)
		log_warn("dns", LOG_STR("error", err.text),
		    LOG_STR("effect", "nothing is looked up"));
}

void
governor_mx_open(struct governor *g)
{
	open_resolver(g);
	g->mx = xcalloc(1, sizeof(*g->mx));
	g->mx->table = mx_table_new(DOMAINS_MAX);
}

void
governor_mx_close(struct governor *g)
{
	struct lookup *l, *next;

	if (g->mx == NULL)
		return;
	HASH_ITER(hh, g->mx->lookups, l, next)
	lookup_end(g, l);
	resolver_free(g->resolver);
	mx_table_free(g->mx->table);
	free(g->mx);
}

bool
governor_mx_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len)
{
	return mx_table_restore(g->mx->table, key, key_len, value, value_len,
	    &g->stale);
}

void
governor_mx_reload(struct governor *g)
{
	struct resolver *old = g->resolver;
	struct lookup *l, *next;

	open_resolver(g);
	HASH_ITER(hh, g->mx->lookups, l, next)
	{
		if (is_askable(g, l->domain)) {
			l->query = resolver_ask(g->resolver, l->domain, DNS_MX,
			    on_answer, l);
		} else {
			sort_domain(g, l->domain, NULL);
			lookup_end(g, l);
		}
	}
	resolver_free(old);
}
