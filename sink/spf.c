/* SPDX-License-Identifier: ISC */
/*
 * Evaluates SPF. Pure but for the questions, which the caller answers; the
 * doctor calls it for each route's address and each sender domain.
 *
 * The subtle rule: the limit of ten look-ups holds for the whole evaluation,
 * with all that is included. Records that are over it are an error for the
 * receiver even where the address would have matched earlier in another order.
 */
#include "sink/spf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/xalloc.h"
#include "sink/spf_private.h"

#define MX_MAX 10 /* RFC 7208 4.6.4 */

const char *
spf_result_name(enum spf_result result)
{
	static const char *const names[] = { "none", "neutral", "pass", "fail",
		"softfail", "temperror", "permerror" };

	return names[result];
}

/* ---- the end of it ---- */

static enum spf_result
error(struct spf *s, enum spf_result result, const char *what,
    const char *where)
{
	snprintf(s->why, sizeof(s->why), "%.180s: %.100s", where, what);
	return result;
}

/* Every mechanism that asks takes one of ten. */
static bool
may_ask(struct spf *s)
{
	return ++s->n_lookups <= SPF_LOOKUPS_MAX;
}

/* NULL: the evaluation ends, *result says how. */
static const struct dns_answer *
ask(struct spf *s, const char *name, enum dns_type type,
    enum spf_result *result)
{
	const struct dns_answer *a = s->ask(s->arg, name, type);

	if (a->status == DNS_FAILED) {
		*result = error(s, SPF_TEMPERROR, a->why, name);
		return NULL;
	}
	if (a->status != DNS_OK && ++s->n_void > SPF_VOID_MAX) {
		*result = error(s, SPF_PERMERROR,
		    "more than two names in it don't exist", name);
		return NULL;
	}
	return a;
}

/* ---- addresses ---- */

static bool
in_network(const struct spf *s, const char *network, unsigned bits_v4,
    unsigned bits_v6)
{
	unsigned char a[16], b[16];
	int family = spf_parse_ip(s->address, a);
	unsigned bits;

	if (family < 0 || spf_parse_ip(network, b) != family)
		return false;
	bits = family == AF_INET ? bits_v4 : bits_v6;
	for (unsigned i = 0; i < bits; i++)
		if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

/* ---- records ---- */

static bool
is_spf(const char *text)
{
	return strncasecmp(text, "v=spf1", 6) == 0 &&
	    (text[6] == ' ' || text[6] == '\0');
}

/* The one SPF record among TXT records; NULL: none, or *n_out > 1 of them. */
static const char *
find_record(const struct dns_answer *txt, unsigned *n_out)
{
	const char *record = NULL;

	*n_out = 0;
	for (size_t i = 0; i < txt->n; i++)
		if (is_spf(txt->v[i].text)) {
			record = txt->v[i].text;
			++*n_out;
		}
	return *n_out == 1 ? record : NULL;
}

/* ---- mechanisms ---- */

struct term {
	enum spf_result qualifier;
	char name[16];
	char spec[SPF_TERM_MAX]; /* behind ":" or "=" */
	unsigned bits_v4, bits_v6;
	char text[SPF_TERM_MAX]; /* the whole */
};

enum match { MATCH_NO, MATCH_YES, MATCH_END };

static enum spf_result check_domain(struct spf *s, const char *domain);

/* "/24" or "//64" at the end is taken off; -1: it makes no sense. */
static int
take_bits(char *spec, const char *slashes, unsigned max, unsigned *out)
{
	size_t len = strlen(spec), n = strlen(slashes);
	char *digits = spec + len;
	unsigned long bits;

	*out = max;
	while (digits > spec && isdigit((unsigned char)digits[-1]))
		digits--;
	if (*digits == '\0' || (size_t)(digits - spec) < n ||
	    memcmp(digits - n, slashes, n) != 0)
		return 0;
	bits = strtoul(digits, NULL, 10);
	if (bits > max || (digits[0] == '0' && digits[1] != '\0'))
		return -1;
	*out = (unsigned)bits;
	digits[-(ptrdiff_t)n] = '\0';
	return 0;
}

/* What no mechanism takes: a slash behind the last macro's label. */
static bool
has_stray_slash(const char *spec)
{
	const char *last = strrchr(spec, '}');

	return strchr(last != NULL ? last : spec, '/') != NULL;
}

/* RFC 7208 5.6 gives each IP version one length; a and mx (5.3, 5.4) have
 * both, that for IPv6 behind two slashes and last. */
static int
take_lengths(struct term *t)
{
	bool is_ip = strncmp(t->name, "ip", 2) == 0;
	bool takes =
	    is_ip || strcmp(t->name, "a") == 0 || strcmp(t->name, "mx") == 0;

	t->bits_v4 = 32;
	t->bits_v6 = 128;
	if (!takes)
		return 0;
	if (!is_ip && take_bits(t->spec, "//", 128, &t->bits_v6) < 0)
		return -1;
	if (strcmp(t->name, "ip6") == 0
		? take_bits(t->spec, "/", 128, &t->bits_v6) < 0
		: take_bits(t->spec, "/", 32, &t->bits_v4) < 0)
		return -1;
	return has_stray_slash(t->spec) ? -1 : 0;
}

static int
parse_term(const char *text, struct term *t)
{
	static const char signs[] = "+-~?";
	static const enum spf_result results[] = { SPF_PASS, SPF_FAIL,
		SPF_SOFTFAIL, SPF_NEUTRAL };
	const char *sign = strchr(signs, *text);
	size_t len;

	snprintf(t->text, sizeof(t->text), "%s", text);
	t->qualifier = SPF_PASS;
	if (*text != '\0' && sign != NULL) {
		t->qualifier = results[sign - signs];
		text++;
	}
	len = strcspn(text, ":=/");
	if (len == 0 || len >= sizeof(t->name))
		return -1;
	for (size_t i = 0; i < len; i++)
		t->name[i] = (char)tolower((unsigned char)text[i]);
	t->name[len] = '\0';
	text += len;
	if (*text == ':' && (text[1] == '\0' || text[1] == '/'))
		return -1; /* nothing is named */
	text += *text == ':';
	snprintf(t->spec, sizeof(t->spec), "%s", text);
	if (strcmp(t->name, "all") == 0 && t->spec[0] != '\0')
		return -1;
	if (t->spec[0] == '\0' &&
	    (strcmp(t->name, "include") == 0 || strcmp(t->name, "exists") == 0))
		return -1;
	return take_lengths(t);
}

static enum match
match_host(struct spf *s, const struct term *t, const char *host,
    enum spf_result *result)
{
	const struct dns_answer *a = ask(s, host, spf_address_type(s), result);

	if (a == NULL)
		return MATCH_END;
	for (size_t i = 0; i < a->n; i++)
		if (in_network(s, a->v[i].text, t->bits_v4, t->bits_v6))
			return MATCH_YES;
	return MATCH_NO;
}

static enum match
match_mx(struct spf *s, const struct term *t, const char *name,
    enum spf_result *result)
{
	const struct dns_answer *a = ask(s, name, DNS_MX, result);
	char *hosts[MX_MAX];
	enum match match = MATCH_NO;
	size_t n;

	if (a == NULL)
		return MATCH_END;
	if (a->n > MX_MAX) {
		*result =
		    error(s, SPF_PERMERROR, "more than ten MX hosts", name);
		return MATCH_END;
	}
	for (n = 0; n < a->n; n++)
		hosts[n] = xstrdup(a->v[n].text);
	for (size_t i = 0; i < n; i++) {
		if (match == MATCH_NO && hosts[i][0] != '\0')
			match = match_host(s, t, hosts[i], result);
		free(hosts[i]);
	}
	return match;
}

static enum match
match_include(struct spf *s, const char *name, enum spf_result *result)
{
	enum spf_result included = check_domain(s, name);

	switch (included) {
	case SPF_PASS:
		return MATCH_YES;
	case SPF_FAIL:
	case SPF_SOFTFAIL:
	case SPF_NEUTRAL:
		return MATCH_NO;
	case SPF_NONE:
		*result = error(s, SPF_PERMERROR, "has no SPF record", name);
		return MATCH_END;
	case SPF_TEMPERROR:
	case SPF_PERMERROR:
		break;
	}
	*result = included;
	return MATCH_END;
}

static enum match
match_by_name(struct spf *s, const struct term *t, const char *domain,
    enum spf_result *result)
{
	char name[SPF_NAME_SIZE], found[SPF_NAME_SIZE];
	const struct dns_answer *a;

	if (spf_expand(s, t->spec[0] ? t->spec : domain, domain, name) < 0) {
		*result = error(s, SPF_PERMERROR, "makes no sense", t->text);
		return MATCH_END;
	}
	if (!may_ask(s)) {
		*result = error(s, SPF_PERMERROR, "more than 10 DNS look-ups",
		    t->text);
		return MATCH_END;
	}
	if (strcmp(t->name, "include") == 0)
		return match_include(s, name, result);
	if (strcmp(t->name, "a") == 0)
		return match_host(s, t, name, result);
	if (strcmp(t->name, "mx") == 0)
		return match_mx(s, t, name, result);
	if (strcmp(t->name, "ptr") == 0)
		return spf_find_name(s, name, found) >= SPF_NAME_BELOW
		    ? MATCH_YES
		    : MATCH_NO;
	a = ask(s, name, DNS_A, result); /* exists */
	return a == NULL ? MATCH_END : a->n > 0 ? MATCH_YES : MATCH_NO;
}

static const char *const by_name[] = { "include", "a", "mx", "ptr", "exists" };

static bool
is_by_name(const struct term *t)
{
	for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++)
		if (strcmp(t->name, by_name[i]) == 0)
			return true;
	return false;
}

static bool
is_network(const struct term *t)
{
	return strcmp(t->name, "ip4") == 0 || strcmp(t->name, "ip6") == 0;
}

/* A slip anywhere in the record is one, also behind what matches (RFC 7208
 * 4.6). NULL: there is none. */
static const char *
find_slip(const char *text)
{
	unsigned char ip[16];
	struct term t;

	if (parse_term(text, &t) < 0)
		return "makes no sense";
	if (is_network(&t) &&
	    spf_parse_ip(t.spec, ip) != (t.name[2] == '4' ? AF_INET : AF_INET6))
		return "is no network";
	if (!is_network(&t) && !is_by_name(&t) && strcmp(t.name, "all") != 0)
		return "there is no such mechanism";
	return NULL;
}

static enum match
match_term(struct spf *s, const struct term *t, const char *domain,
    enum spf_result *result)
{

	if (strcmp(t->name, "all") == 0)
		return MATCH_YES;
	if (is_network(t))
		return in_network(s, t->spec, t->bits_v4, t->bits_v6)
		    ? MATCH_YES
		    : MATCH_NO;
	return match_by_name(s, t, domain, result);
}

/* ---- a record ---- */

static enum spf_result
redirect(struct spf *s, const char *spec, const char *domain)
{
	char name[SPF_NAME_SIZE];
	enum spf_result result;

	if (spf_expand(s, spec, domain, name) < 0)
		return error(s, SPF_PERMERROR, "makes no sense", spec);
	if (!may_ask(s))
		return error(s, SPF_PERMERROR, "more than 10 DNS look-ups",
		    spec);
	result = check_domain(s, name);
	return result == SPF_NONE
	    ? error(s, SPF_PERMERROR, "has no SPF record", name)
	    : result;
}

static bool
is_modifier(const char *text)
{
	size_t len = strcspn(text, ":=/");

	return text[len] == '=';
}

/* Calls each of a record's terms; false: `each` broke it off. */
static bool
each_term(const char *record, bool (*each)(const char *text, void *arg),
    void *arg)
{
	char *copy = xstrdup(record + 6), *save = NULL;
	bool goes_on = true;

	for (char *p = strtok_r(copy, " ", &save); p != NULL && goes_on;
	     p = strtok_r(NULL, " ", &save))
		goes_on = each(p, arg);
	free(copy);
	return goes_on;
}

struct reading { /* of one record */
	struct spf *s;
	const char *domain;
	char target[SPF_TERM_MAX]; /* of redirect */
	enum spf_result result;
};

static bool
read_for_slips(const char *text, void *arg)
{
	struct reading *r = arg;
	const char *slip = is_modifier(text) ? NULL : find_slip(text);

	if (is_modifier(text) && strncasecmp(text, "redirect=", 9) == 0)
		snprintf(r->target, sizeof(r->target), "%s", text + 9);
	if (slip != NULL)
		r->result = error(r->s, SPF_PERMERROR, slip, text);
	return slip == NULL;
}

static bool
read_for_match(const char *text, void *arg)
{
	struct reading *r = arg;
	enum match match;
	struct term t;

	if (is_modifier(text) || parse_term(text, &t) < 0)
		return true;
	match = match_term(r->s, &t, r->domain, &r->result);
	if (match == MATCH_YES) {
		r->result = t.qualifier;
		snprintf(r->s->why, sizeof(r->s->why), "%.100s by %.150s",
		    t.text, r->domain);
	}
	return match == MATCH_NO;
}

static enum spf_result
check_record(struct spf *s, const char *record, const char *domain)
{
	struct reading r = { .s = s, .domain = domain, .result = SPF_NEUTRAL };

	if (!each_term(record, read_for_slips, &r) ||
	    !each_term(record, read_for_match, &r))
		return r.result;
	if (r.target[0] != '\0')
		return redirect(s, r.target, domain);
	snprintf(s->why, sizeof(s->why),
	    "nothing in %.200s matches and it has no all", domain);
	return SPF_NEUTRAL;
}

static enum spf_result
check_domain(struct spf *s, const char *domain)
{
	const struct dns_answer *a = s->ask(s->arg, domain, DNS_TXT);
	enum spf_result result;
	const char *record;
	char *copy;
	unsigned n;

	if (a->status == DNS_FAILED)
		return error(s, SPF_TEMPERROR, a->why, domain);
	record = find_record(a, &n);
	if (n > 1)
		return error(s, SPF_PERMERROR, "has more than one SPF record",
		    domain);
	if (record == NULL)
		return error(s, SPF_NONE, "has no SPF record", domain);
	copy = xstrdup(record);
	result = check_record(s, copy, domain);
	free(copy);
	return result;
}

enum spf_result
spf_check(struct spf *spf, const char *domain)
{
	spf->n_lookups = spf->n_void = 0;
	spf->why[0] = '\0';
	return check_domain(spf, domain);
}
