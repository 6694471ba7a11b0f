/* SPDX-License-Identifier: ISC */
/*
 * From an answer about MX records to what the governor wants to know: where
 * mail for the domain goes, or that it can't go anywhere. Pure.
 *
 * A set of MX hosts is called after who runs it, by the public suffix list:
 * hosters give each customer hosts of its own, yet it is one receiving system
 * that judges the sender, and one lane that should learn from it.
 */
#include "daemon/mx_facts.h"

#include <inttypes.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define SEC	       INT64_C(1000000)
#define TTL_MIN_S      1
#define TTL_MAX_S      (24 * 3600)
#define NEGATIVE_S     300 /* where the zone doesn't say */
#define NEGATIVE_MAX_S 3600
#define FAILED_S       60

static const char *const kinds[] = {
	[MX_HOSTS] = "hosts",
	[MX_OWN] = "own",
	[MX_NULL] = "null",
	[MX_NXDOMAIN] = "nxdomain",
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- from an answer ---- */

static int64_t
ttl_of(const struct dns_answer *a)
{
	int64_t ttl_s = a->ttl_s;
	int64_t max_s = a->status == DNS_OK ? TTL_MAX_S : NEGATIVE_MAX_S;

	if (a->status == DNS_FAILED)
		return FAILED_S;
	if (a->status != DNS_OK && ttl_s == 0)
		ttl_s = NEGATIVE_S;
	if (ttl_s < TTL_MIN_S)
		ttl_s = TTL_MIN_S;
	return ttl_s < max_s ? ttl_s : max_s;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A host of blanks would be two when it is read back. */
static bool
is_host(const char *name)
{
	return *name != '\0' && strlen(name) <= ADDRESS_DOMAIN_MAX &&
	    strpbrk(name, " \t\r\n") == NULL;
}

static char *
best_hosts(const struct dns_answer *a)
{
	const char *names[DNS_RECORDS_MAX];
	unsigned best = UINT32_MAX;
	struct strbuf list = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		if (is_host(a->v[i].text) && a->v[i].preference < best)
			best = a->v[i].preference;
	for (size_t i = 0; i < a->n; i++)
		if (is_host(a->v[i].text) && a->v[i].preference == best)
			names[n++] = a->v[i].text;
	qsort(names, n, sizeof(*names), compare_names);
	if (n > MX_HOSTS_MAX)
		n = MX_HOSTS_MAX;
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&list, "%s%s", i > 0 ? " " : "", names[i]);
	return strbuf_take(&list);
}

/* RFC 7505: exactly one record, and it names the root. */
static bool
is_null_mx(const struct dns_answer *a)
{
	return a->n == 1 && a->v[0].text[0] == '\0';
}

void
mx_facts_read(struct mx_facts *out, const struct dns_answer *answer,
    int64_t now_utc_us)
{
	out->hosts = NULL;
	out->kind = MX_OWN;
	if (answer->status == DNS_NXDOMAIN)
		out->kind = MX_NXDOMAIN;
	else if (answer->status == DNS_OK && is_null_mx(answer))
		out->kind = MX_NULL;
	else if (answer->status == DNS_OK)
		out->hosts = best_hosts(answer);
	if (out->hosts != NULL && out->hosts[0] != '\0')
		out->kind = MX_HOSTS;
	if (out->hosts == NULL)
		out->hosts = xstrdup("");
	out->expires_utc_us = now_utc_us + ttl_of(answer) * SEC;
}

void
mx_facts_fini(struct mx_facts *f)
{
	free(f->hosts);
	f->hosts = NULL;
}

/* ---- as text ---- */

char *
mx_facts_write(const struct mx_facts *f)
{
	return xasprintf("%s %" PRId64 "%s%s", kinds[f->kind],
	    f->expires_utc_us / SEC, f->hosts[0] ? " " : "", f->hosts);
}

int
mx_facts_parse(struct mx_facts *out, const char *text)
{
	size_t kind_len = strcspn(text, " ");
	const char *rest;
	char *end;
	long long expires_s;
	size_t kind = 0;

	while (kind < N_KINDS &&
	    (strlen(kinds[kind]) != kind_len ||
		strncmp(kinds[kind], text, kind_len) != 0))
		kind++;
	if (kind == N_KINDS || text[kind_len] != ' ')
		return -1;
	expires_s = strtoll(text + kind_len + 1, &end, 10);
	if (end == text + kind_len + 1 || (*end != '\0' && *end != ' ') ||
	    expires_s < 0 || expires_s > INT64_MAX / SEC)
		return -1;
	rest = *end == ' ' ? end + 1 : end;
	if ((kind == MX_HOSTS) != (*rest != '\0'))
		return -1;
	*out = (struct mx_facts){ .kind = (enum mx_kind)kind,
		.hosts = xstrdup(rest),
		.expires_utc_us = expires_s * SEC };
	return 0;
}

/* ---- use ---- */

bool
mx_facts_are_fresh(const struct mx_facts *f, int64_t now_utc_us)
{
	return now_utc_us < f->expires_utc_us;
}

bool
mx_facts_host(const char **list, char out[ADDRESS_DOMAIN_MAX + 1])
{
	size_t len = strcspn(*list, " ");

	if (len == 0 || len > ADDRESS_DOMAIN_MAX)
		return false;
	memcpy(out, *list, len);
	out[len] = '\0';
	*list += len + ((*list)[len] == ' ');
	return true;
}

void
mx_facts_site(const struct mx_facts *f, char out[ADDRESS_DOMAIN_MAX + 1])
{
	const psl_ctx_t *suffixes = psl_builtin();
	const char *list = f->hosts, *domain = NULL;

	if (!mx_facts_host(&list, out))
		*out = '\0';
	else if (suffixes != NULL)
		domain = psl_registrable_domain(suffixes, out);
	if (domain != NULL)
		memmove(out, domain, strlen(domain) + 1);
}

bool
mx_is_reserved(const char *domain)
{
	static const char *const names[] = { "test", "example", "invalid",
		"localhost", "local", "internal", "onion", "home.arpa",
		"example.com", "example.net", "example.org" };
	size_t len = strlen(domain);

	if (strchr(domain, '.') == NULL || domain[0] == '[')
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if (len >= n && strcmp(domain + len - n, names[i]) == 0 &&
		    (len == n || domain[len - n - 1] == '.'))
			return true;
	}
	return false;
}
