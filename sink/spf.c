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

#define NAME_SIZE 256
#define TERM_MAX  512
#define MX_MAX	  10 /* RFC 7208 4.6.4 */

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

/* Returns AF_INET, AF_INET6 or -1. */
static int
parse_ip(const char *text, unsigned char out[16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, out) == 1 ? AF_INET6 : -1;
}

static bool
in_network(const struct spf *s, const char *network, unsigned bits_v4,
    unsigned bits_v6)
{
	unsigned char a[16], b[16];
	int family = parse_ip(s->address, a);
	unsigned bits;

	if (family < 0 || parse_ip(network, b) != family)
		return false;
	bits = family == AF_INET ? bits_v4 : bits_v6;
	for (unsigned i = 0; i < bits; i++)
		if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	return true;
}

static enum dns_type
address_type(const struct spf *s)
{
	return strchr(s->address, ':') != NULL ? DNS_AAAA : DNS_A;
}

/* ---- macros (RFC 7208 7) ---- */

static void
dotted(const struct spf *s, char *out, size_t size)
{
	unsigned char b[16];
	size_t at = 0;

	if (parse_ip(s->address, b) == AF_INET) {
		snprintf(out, size, "%s", s->address);
		return;
	}
	for (int i = 0; i < 16; i++)
		at += (size_t)snprintf(out + at, size - at, "%x.%x%s",
		    b[i] >> 4, b[i] & 15u, i < 15 ? "." : "");
}

static void
macro_value(const struct spf *s, int letter, const char *domain, char *out,
    size_t size)
{
	const char *at = strchr(s->sender, '@');

	switch (tolower(letter)) {
	case 's':
		snprintf(out, size, "%s", s->sender);
		break;
	case 'l':
		snprintf(out, size, "%.*s",
		    (int)(at != NULL ? at - s->sender : 0), s->sender);
		break;
	case 'o':
		snprintf(out, size, "%s", at != NULL ? at + 1 : "");
		break;
	case 'd':
		snprintf(out, size, "%s", domain);
		break;
	case 'i':
		dotted(s, out, size);
		break;
	case 'h':
		snprintf(out, size, "%s", s->helo);
		break;
	case 'v':
		snprintf(out, size, "%s",
		    address_type(s) == DNS_A ? "in-addr" : "ip6");
		break;
	default:
		out[0] = '\0';
		break;
	}
}

/* The right-hand `keep` labels of value, reversed first where asked for. */
static void
transform(char *value, bool is_reversed, unsigned keep)
{
	char *labels[128], joined[TERM_MAX] = "", *save = NULL;
	size_t n = 0, at = 0, first;

	for (char *l = strtok_r(value, ".", &save); l != NULL && n < 128;
	     l = strtok_r(NULL, ".", &save))
		labels[n++] = l;
	first = keep > 0 && keep < n ? n - keep : 0;
	for (size_t i = first; i < n && at < sizeof(joined); i++)
		at += (size_t)snprintf(joined + at, sizeof(joined) - at, "%s%s",
		    i > first ? "." : "", labels[is_reversed ? n - 1 - i : i]);
	strcpy(value, joined);
}

/* "{ir}": returns what is behind the "}", NULL: it makes no sense. */
static const char *
expand_one(const struct spf *s, const char *p, const char *domain, char *value)
{
	bool is_reversed = false;
	unsigned keep = 0;
	int letter = (unsigned char)*p++;

	if (strchr("slodihvSLODIHV", letter) == NULL || letter == '\0')
		return NULL;
	while (isdigit((unsigned char)*p) && keep < 1000)
		keep = keep * 10 + (unsigned)(*p++ - '0');
	if (*p == 'r' || *p == 'R') {
		is_reversed = true;
		p++;
	}
	if (*p != '}')
		return NULL; /* other delimiters: nobody uses them */
	macro_value(s, letter, domain, value, TERM_MAX);
	if (is_reversed || keep > 0)
		transform(value, is_reversed, keep);
	return p + 1;
}

/* A domain-spec; -1: it makes no sense or is too long. */
static int
expand(const struct spf *s, const char *spec, const char *domain,
    char out[NAME_SIZE])
{
	char value[TERM_MAX];
	size_t at = 0;

	while (*spec != '\0') {
		value[0] = *spec;
		value[1] = '\0';
		if (spec[0] == '%' && spec[1] == '{') {
			spec = expand_one(s, spec + 2, domain, value);
			if (spec == NULL)
				return -1;
		} else if (spec[0] == '%') {
			strcpy(value,
			    spec[1] == '-'	 ? "%20"
				: spec[1] == '_' ? " "
						 : "%");
			if (spec[1] == '\0' || strchr("-_%", spec[1]) == NULL)
				return -1;
			spec += 2;
		} else {
			spec++;
		}
		if (at + strlen(value) >= NAME_SIZE)
			return -1;
		strcpy(out + at, value);
		at += strlen(value);
	}
	out[at] = '\0';
	if (at > 0 && out[at - 1] == '.')
		out[at - 1] = '\0';
	return out[0] != '\0' ? 0 : -1;
}

/* ---- records ---- */

static bool
is_spf(const char *text)
{
	return strncasecmp(text, "v=spf1", 6) == 0 &&
	    (text[6] == ' ' || text[6] == '\0');
}

const char *
spf_record(const struct dns_answer *txt, unsigned *n_out)
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
	char spec[TERM_MAX]; /* behind ":" or "=" */
	unsigned bits_v4, bits_v6;
	char text[TERM_MAX]; /* the whole */
};

enum match { MATCH_NO, MATCH_YES, MATCH_END };

static enum spf_result check_domain(struct spf *s, const char *domain);

static int
parse_bits(const char *text, unsigned max, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || n > max ||
	    (*end != '\0' && *end != '/'))
		return -1;
	*out = (unsigned)n;
	return 0;
}

/* Takes "/24//64" off the spec. -1: it makes no sense. */
static int
take_bits(struct term *t)
{
	bool is_v6 = strcmp(t->name, "ip6") == 0;
	char *slash = strchr(t->spec, '/'), *second;

	t->bits_v4 = 32;
	t->bits_v6 = 128;
	if (slash == NULL)
		return 0;
	*slash++ = '\0';
	second = strstr(slash, "/");
	if (is_v6)
		return parse_bits(slash, 128, &t->bits_v6);
	if (*slash == '/')
		return parse_bits(slash + 1, 128, &t->bits_v6);
	if (second != NULL &&
	    (second[1] != '/' || parse_bits(second + 2, 128, &t->bits_v6) < 0))
		return -1;
	return parse_bits(slash, 32, &t->bits_v4);
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
	text += len + (text[len] == ':' || text[len] == '=');
	snprintf(t->spec, sizeof(t->spec), "%s", text);
	/* A macro may have slashes of its own; nobody's has. */
	return strcmp(t->name, "exists") == 0 ||
		strcmp(t->name, "include") == 0 ||
		strcmp(t->name, "redirect") == 0 || strcmp(t->name, "exp") == 0
	    ? 0
	    : take_bits(t);
}

static enum match
match_host(struct spf *s, const struct term *t, const char *host,
    enum spf_result *result)
{
	const struct dns_answer *a = ask(s, host, address_type(s), result);

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
	char name[NAME_SIZE];
	const struct dns_answer *a;

	if (expand(s, t->spec[0] ? t->spec : domain, domain, name) < 0) {
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
	if (strcmp(t->name, "ptr") == 0) /* it should not be used: 5.5 */
		return MATCH_NO;
	a = ask(s, name, DNS_A, result); /* exists */
	return a == NULL ? MATCH_END : a->n > 0 ? MATCH_YES : MATCH_NO;
}

static enum match
match_term(struct spf *s, const struct term *t, const char *domain,
    enum spf_result *result)
{
	static const char *const by_name[] = { "include", "a", "mx", "ptr",
		"exists" };
	unsigned char ip[16];

	if (strcmp(t->name, "all") == 0)
		return MATCH_YES;
	if (strcmp(t->name, "ip4") == 0 || strcmp(t->name, "ip6") == 0) {
		if (parse_ip(t->spec, ip) ==
		    (t->name[2] == '4' ? AF_INET : AF_INET6))
			return in_network(s, t->spec, t->bits_v4, t->bits_v6)
			    ? MATCH_YES
			    : MATCH_NO;
		*result = error(s, SPF_PERMERROR, "is no network", t->text);
		return MATCH_END;
	}
	for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++)
		if (strcmp(t->name, by_name[i]) == 0)
			return match_by_name(s, t, domain, result);
	*result =
	    error(s, SPF_PERMERROR, "there is no such mechanism", t->text);
	return MATCH_END;
}

/* ---- a record ---- */

static enum spf_result
redirect(struct spf *s, const char *spec, const char *domain)
{
	char name[NAME_SIZE];
	enum spf_result result;

	if (expand(s, spec, domain, name) < 0)
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

static enum spf_result
check_record(struct spf *s, const char *record, const char *domain)
{
	char *copy = xstrdup(record + 6), *save = NULL;
	char target[TERM_MAX] = "";
	enum spf_result result = SPF_NEUTRAL;
	bool is_decided = false;

	for (char *p = strtok_r(copy, " ", &save); p != NULL && !is_decided;
	     p = strtok_r(NULL, " ", &save)) {
		struct term t;
		enum match match;

		if (is_modifier(p)) {
			if (strncasecmp(p, "redirect=", 9) == 0)
				snprintf(target, sizeof(target), "%s", p + 9);
			continue;
		}
		if (parse_term(p, &t) < 0) {
			result = error(s, SPF_PERMERROR, "makes no sense", p);
			break;
		}
		match = match_term(s, &t, domain, &result);
		is_decided = match != MATCH_NO;
		if (match == MATCH_YES) {
			result = t.qualifier;
			snprintf(s->why, sizeof(s->why), "%.100s by %.150s",
			    t.text, domain);
		}
	}
	free(copy);
	if (!is_decided && result == SPF_NEUTRAL && target[0] != '\0')
		return redirect(s, target, domain);
	if (!is_decided && result == SPF_NEUTRAL)
		snprintf(s->why, sizeof(s->why),
		    "nothing in %.200s matches and it has no all", domain);
	return result;
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
	record = spf_record(a, &n);
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
