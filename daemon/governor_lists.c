/* SPDX-License-Identifier: ISC */
/*
 * The watch over blocklists: each route's address and each sender domain is
 * looked up in each zone at intervals. What becomes listed is told and, where
 * the operator wants it, paused; what is delisted everywhere goes on.
 *
 * The subtle rule: only what this watch paused is resumed by it, and only a
 * change acts. An operator who resumes a route that is still listed isn't
 * overruled at the next look. What is listed is kept over a restart, so that
 * neither is told nor paused anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "sink/dnsbl.h"
#include "sink/resolver.h"

#define SEC	      INT64_C(1000000)
#define FIRST_LOOK_US (SEC / 2)
#define PREFIX	      "b "
#define PREFIX_BYTES  2
#define BECAUSE	      "listed by "
#define TEXT_MAX      200

struct listing {
	UT_hash_handle hh;
	char *key;	      /* "route ip-a ZONE" */
	enum pause_kind kind; /* PAUSE_ROUTE or PAUSE_SENDER */
	char *name;
	char *subject; /* an address, or the domain */
	char *zone;
	bool is_listed, was_refused, is_wanted;
	int64_t since_utc_us;
	char code[INET_ADDRSTRLEN];
	char text[TEXT_MAX];
	struct governor *g;
	struct resolver_query *query;
};

struct governor_lists {
	struct listing *listings;
	struct event *timer;
};

/* ---- what is kept ---- */

static void
keep(struct governor *g, const struct listing *l)
{
	char *key = xasprintf(PREFIX "%s", l->key);
	char *value = l->is_listed
	    ? xasprintf("%" PRId64 " %s %s", l->since_utc_us / SEC, l->code,
		  l->text)
	    : NULL;
	struct spool_fact **last = &g->stale;

	while (*last != NULL)
		last = &(*last)->next;
	if (strlen(key) <= SPOOL_FACT_KEY_MAX)
		*last = spool_fact_new(key, strlen(key), value,
		    value != NULL ? strlen(value) : 0);
	free(key);
	free(value);
}

static void
parse_value(struct listing *l, const char *value)
{
	char *end;
	long long since_s = strtoll(value, &end, 10);
	size_t code_len;

	if (since_s < 0 || since_s > INT64_MAX / SEC || *end != ' ')
		return;
	end++;
	code_len = strcspn(end, " ");
	if (code_len >= sizeof(l->code))
		return;
	l->is_listed = true;
	l->since_utc_us = since_s * SEC;
	memcpy(l->code, end, code_len);
	l->code[code_len] = '\0';
	snprintf(l->text, sizeof(l->text), "%s",
	    end[code_len] == ' ' ? end + code_len + 1 : "");
}

bool
governor_lists_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len)
{
	struct spool_fact *gone;
	struct listing *l;
	char *k, *v;

	if (key_len <= PREFIX_BYTES || memcmp(key, PREFIX, PREFIX_BYTES) != 0)
		return false;
	k = xstrndup((const char *)key + PREFIX_BYTES, key_len - PREFIX_BYTES);
	v = xstrndup(value, value_len);
	HASH_FIND_STR(g->lists->listings, k, l);
	if (l != NULL) {
		parse_value(l, v);
	} else { /* not watched any more */
		gone = spool_fact_new(key, key_len, NULL, 0);
		gone->next = g->stale;
		g->stale = gone;
	}
	free(k);
	free(v);
	return true;
}

/* ---- what it does ---- */

static void
tell(struct governor *g, const struct listing *l, const char *state)
{
	log_warn("blocklist", LOG_STR("state", state),
	    LOG_STR(pause_kind_name(l->kind), l->name),
	    LOG_STR("subject", l->subject), LOG_STR("zone", l->zone),
	    LOG_STR("code", l->code), LOG_STR("text", l->text));
	event_begin(g->events, "alert", clock_utc_us());
	event_str(g->events, "alert", "blocklist");
	event_str(g->events, "state", state);
	event_str(g->events, pause_kind_name(l->kind), l->name);
	event_str(g->events, "subject", l->subject);
	event_str(g->events, "zone", l->zone);
	event_str(g->events, "answer", *l->code ? l->code : NULL);
	event_str(g->events, "text", *l->text ? l->text : NULL);
	event_end(g->events);
}

struct pause_search {
	const struct listing *l;
	bool is_there, is_ours;
};

static void
look_at_pause(const struct pause_view *p, void *arg)
{
	struct pause_search *found = arg;

	if (p->kind != found->l->kind || strcmp(p->name, found->l->name) != 0)
		return;
	found->is_there = true;
	found->is_ours = strncmp(p->because, BECAUSE, strlen(BECAUSE)) == 0;
}

static void
pause_it(struct governor *g, const struct listing *l)
{
	struct pause_search found = { .l = l };
	char *because;
	struct err err;

	if (g->rt->conf->blocklists.on_listed != LISTED_PAUSE)
		return;
	sched_pauses_each(g->sched, look_at_pause, &found);
	if (found.is_there)
		return;
	because =
	    xasprintf(BECAUSE "%s: %s", l->zone, *l->text ? l->text : l->code);
	if (sched_pause(g->sched, l->kind, l->name, INT64_MAX, because,
		clock_mono_us(), &err) < 0)
		log_warn("blocklist", LOG_STR("error", err.text));
	free(because);
}

static bool
is_listed_anywhere(const struct governor *g, const struct listing *of)
{
	for (const struct listing *l = g->lists->listings; l; l = l->hh.next)
		if (l->is_listed && l->kind == of->kind &&
		    strcmp(l->name, of->name) == 0)
			return true;
	return false;
}

static void
resume_it(struct governor *g, const struct listing *l)
{
	struct pause_search found = { .l = l };

	if (is_listed_anywhere(g, l))
		return;
	sched_pauses_each(g->sched, look_at_pause, &found);
	if (found.is_ours)
		sched_resume(g->sched, l->kind, l->name, clock_mono_us(), NULL);
}

static void
become_listed(struct governor *g, struct listing *l)
{
	l->is_listed = true;
	l->since_utc_us = clock_utc_us();
	keep(g, l);
	tell(g, l, "listed");
	pause_it(g, l);
}

static void
become_clean(struct governor *g, struct listing *l)
{
	l->is_listed = false;
	keep(g, l);
	resume_it(g, l);
	l->code[0] = l->text[0] = '\0';
}

/* ---- asking ---- */

/* Printable, and of a length that a line of log can have. */
static void
take_text(struct listing *l, const struct dns_answer *answer)
{
	snprintf(l->text, sizeof(l->text), "%s",
	    answer->n > 0 ? answer->v[0].text : "");
	for (char *p = l->text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
}

static void
on_text(const struct dns_answer *answer, void *arg)
{
	struct listing *l = arg;

	l->query = NULL;
	take_text(l, answer);
	become_listed(l->g, l);
	governor_wake(l->g);
}

static int
name_of(const struct listing *l, char out[DNSBL_NAME_SIZE])
{
	return l->kind == PAUSE_ROUTE
	    ? dnsbl_address_name(l->subject, l->zone, out)
	    : dnsbl_domain_name(l->subject, l->zone, out);
}

static void
on_code(const struct dns_answer *answer, void *arg)
{
	struct listing *l = arg;
	char name[DNSBL_NAME_SIZE], code[INET_ADDRSTRLEN];
	enum dnsbl_verdict verdict = dnsbl_judge(answer, code);

	l->query = NULL;
	if (verdict == DNSBL_REFUSED && !l->was_refused) {
		snprintf(l->code, sizeof(l->code), "%s", code);
		tell(l->g, l, "refused");
	}
	/* When nobody can say, what was known holds. */
	if (verdict != DNSBL_UNKNOWN)
		l->was_refused = verdict == DNSBL_REFUSED;
	if (verdict == DNSBL_LISTED && !l->is_listed && name_of(l, name) == 0) {
		snprintf(l->code, sizeof(l->code), "%s", code);
		l->query =
		    resolver_ask(l->g->resolver, name, DNS_TXT, on_text, l);
	} else if (verdict == DNSBL_CLEAN && l->is_listed) {
		tell(l->g, l, "delisted");
		become_clean(l->g, l);
	}
	governor_wake(l->g);
}

static void
look(struct governor *g, struct listing *l)
{
	char name[DNSBL_NAME_SIZE];

	if (l->query == NULL && g->resolver != NULL && name_of(l, name) == 0)
		l->query = resolver_ask(g->resolver, name, DNS_A, on_code, l);
}

static void
arm(struct governor *g, int64_t wait_us)
{
	struct timeval tv = { .tv_sec = wait_us / SEC,
		.tv_usec = wait_us % SEC };

	event_add(g->lists->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct governor *g = arg;

	(void)fd;
	(void)what;
	for (struct listing *l = g->lists->listings; l; l = l->hh.next)
		look(g, l);
	arm(g, g->rt->conf->blocklists.every_us);
}

/* ---- what is watched ---- */

static void
want(struct governor *g, enum pause_kind kind, const char *name,
    const char *subject, const char *zone)
{
	char *key = xasprintf("%s %s %s", pause_kind_name(kind), name, zone);
	struct listing *l;

	HASH_FIND_STR(g->lists->listings, key, l);
	if (l != NULL) { /* a route may have another address now */
		l->is_wanted = true;
		free(l->subject);
		l->subject = xstrdup(subject);
		free(key);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->g = g;
	l->key = key;
	l->kind = kind;
	l->name = xstrdup(name);
	l->subject = xstrdup(subject);
	l->zone = xstrdup(zone);
	l->is_wanted = true;
	HASH_ADD_KEYPTR(hh, g->lists->listings, l->key, strlen(l->key), l);
}

static void
want_all(struct governor *g)
{
	const struct conf *conf = g->rt->conf;

	for (size_t z = 0; z < conf->blocklists.zones.n; z++) {
		const char *zone = conf->blocklists.zones.v[z];

		for (size_t i = 0; i < conf->n_routes; i++)
			if (conf->routes[i].address[0] != '\0')
				want(g, PAUSE_ROUTE, conf->routes[i].name,
				    conf->routes[i].address, zone);
		for (size_t i = 0; i < conf->n_senders; i++)
			want(g, PAUSE_SENDER, conf->senders[i].domain,
			    conf->senders[i].domain, zone);
	}
}

static void
listing_free(struct governor *g, struct listing *l)
{
	HASH_DEL(g->lists->listings, l);
	free(l->key);
	free(l->name);
	free(l->subject);
	free(l->zone);
	free(l);
}

void
governor_lists_open(struct governor *g)
{
	g->lists = xcalloc(1, sizeof(*g->lists));
	g->lists->timer = evtimer_new(g->base, on_timer, g);
	want_all(g);
	if (g->lists->listings != NULL)
		arm(g, FIRST_LOOK_US);
}

void
governor_lists_close(struct governor *g)
{
	struct listing *l, *next;

	if (g->lists == NULL)
		return;
	HASH_ITER(hh, g->lists->listings, l, next)
	listing_free(g, l);
	event_free(g->lists->timer);
	free(g->lists);
}

/* What isn't watched any more isn't known to be listed either. */
void
governor_lists_reload(struct governor *g)
{
	struct listing *l, *next;

	for (l = g->lists->listings; l != NULL; l = l->hh.next) {
		l->is_wanted = false;
		l->query = NULL; /* it went with its resolver */
	}
	want_all(g);
	HASH_ITER(hh, g->lists->listings, l, next)
	{
		if (l->is_wanted)
			continue;
		if (l->is_listed)
			become_clean(g, l);
		listing_free(g, l);
	}
	if (g->lists->listings != NULL)
		arm(g, FIRST_LOOK_US);
	else
		event_del(g->lists->timer);
}
