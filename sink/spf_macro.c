/* SPDX-License-Identifier: ISC */
/*
 * Macros of SPF records (RFC 7208 7), and the address's own name, which one of
 * them and the mechanism ptr stand for. spf.c calls it.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sink/spf_private.h"

#define NAMES_MAX  10 /* RFC 7208 4.6.4 */
#define LABELS_MAX 128
#define DELIMITERS ".-+,/_="

int
spf_parse_ip(const char *text, unsigned char out[16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, out) == 1 ? AF_INET6 : -1;
}

enum dns_type
spf_address_type(const struct spf *s)
{
	return strchr(s->address, ':') != NULL ? DNS_AAAA : DNS_A;
}

/* ---- values ---- */

/* "192.0.2.1", or nibbles with dots between. */
static void
put_dotted(const struct spf *s, char *out, size_t size)
{
	unsigned char b[16];
	size_t at = 0;

	if (spf_parse_ip(s->address, b) == AF_INET) {
		snprintf(out, size, "%s", s->address);
		return;
	}
	for (int i = 0; i < 16; i++)
		at += (size_t)snprintf(out + at, size - at, "%x.%x%s",
		    b[i] >> 4, b[i] & 15u, i < 15 ? "." : "");
}

/* The right-hand `keep` parts of value (0: all), reversed first where asked
 * for, with dots between. */
static void
transform(char *value, const char *delimiters, bool is_reversed, unsigned keep)
{
	char *parts[LABELS_MAX], joined[SPF_TERM_MAX] = "";
	size_t n = 0, at = 0, first;

	for (char *p = value; p != NULL && n < LABELS_MAX; n++) {
		parts[n] = p;
		p = strpbrk(p, delimiters);
		if (p != NULL)
			*p++ = '\0';
	}
	first = keep > 0 && keep < n ? n - keep : 0;
	for (size_t i = first; i < n && at < sizeof(joined); i++)
		at += (size_t)snprintf(joined + at, sizeof(joined) - at, "%s%s",
		    i > first ? "." : "", parts[is_reversed ? n - 1 - i : i]);
	strcpy(value, joined);
}

/* Of an upper-case macro: all but RFC 3986's unreserved as %XX. */
static void
escape(char *value)
{
	char out[SPF_TERM_MAX];
	size_t at = 0;

	for (const char *p = value; *p != '\0' && at + 4 < sizeof(out); p++)
		if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL)
			out[at++] = *p;
		else
			at += (size_t)snprintf(out + at, sizeof(out) - at,
			    "%%%02X", (unsigned char)*p);
	out[at] = '\0';
	strcpy(value, out);
}

static void
put_value(struct spf *s, int letter, const char *domain, char *out, size_t size)
{
	const char *at = strchr(s->sender, '@');
	char name[SPF_NAME_SIZE];

	switch (letter) {
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
		put_dotted(s, out, size);
		break;
	case 'p':
		snprintf(out, size, "%s",
		    spf_find_name(s, domain, name) != SPF_NAME_NONE
			? name
			: "unknown");
		break;
	case 'h':
		snprintf(out, size, "%s", s->helo);
		break;
	case 'v':
		snprintf(out, size, "%s",
		    spf_address_type(s) == DNS_A ? "in-addr" : "ip6");
		break;
	default:
		out[0] = '\0';
		break;
	}
}

/* ---- the address's own name ---- */

static bool
has_address(const struct spf *s, const struct dns_answer *a)
{
	unsigned char mine[16], his[16];
	int family = spf_parse_ip(s->address, mine);

	for (size_t i = 0; i < a->n; i++)
		if (spf_parse_ip(a->v[i].text, his) == family &&
		    memcmp(mine, his, family == AF_INET ? 4 : 16) == 0)
			return true;
	return false;
}

static enum spf_name
rank(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	if (strcasecmp(name, domain) == 0)
		return SPF_NAME_SAME;
	if (n > d + 1 && name[n - d - 1] == '.' &&
	    strcasecmp(name + n - d, domain) == 0)
		return SPF_NAME_BELOW;
	return SPF_NAME_OTHER;
}

enum spf_name
spf_find_name(struct spf *s, const char *domain, char out[SPF_NAME_SIZE])
{
	char reverse[SPF_TERM_MAX];
	const struct dns_answer *names;
	enum spf_name best = SPF_NAME_NONE;

	put_dotted(s, reverse, sizeof(reverse));
	transform(reverse, ".", true, 0);
	strcat(reverse,
	    spf_address_type(s) == DNS_A ? ".in-addr.arpa" : ".ip6.arpa");
	out[0] = '\0';
	names = s->ask(s->arg, reverse, DNS_PTR);
	for (size_t i = 0; i < names->n && i < NAMES_MAX; i++) {
		const char *name = names->v[i].text;
		enum spf_name r = rank(name, domain);

		if (r <= best ||
		    !has_address(s, s->ask(s->arg, name, spf_address_type(s))))
			continue;
		best = r;
		snprintf(out, SPF_NAME_SIZE, "%s", name);
	}
	return best;
}

/* ---- expansion ---- */

/* "{ir}", "{l1r+}": returns what is behind the "}", NULL: it makes no sense. */
static const char *
expand_one(struct spf *s, const char *p, const char *domain, char *value)
{
	char delimiters[sizeof(DELIMITERS)] = "";
	bool is_reversed = false;
	unsigned keep = 0;
	int letter = (unsigned char)*p++;
	size_t n;

	if (letter == '\0' || strchr("slodiphvSLODIPHV", letter) == NULL)
		return NULL;
	if (isdigit((unsigned char)*p)) {
		while (isdigit((unsigned char)*p) && keep < 1000)
			keep = keep * 10 + (unsigned)(*p++ - '0');
		if (keep == 0)
			return NULL;
	}
	if (*p == 'r' || *p == 'R') {
		is_reversed = true;
		p++;
	}
	n = strspn(p, DELIMITERS);
	if (p[n] != '}' || n >= sizeof(delimiters))
		return NULL;
	memcpy(delimiters, p, n);
	put_value(s, tolower(letter), domain, value, SPF_TERM_MAX);
	if (is_reversed || keep > 0 || n > 0)
		transform(value, n > 0 ? delimiters : ".", is_reversed, keep);
	if (isupper(letter))
		escape(value);
	return p + n + 1;
}

int
spf_expand(struct spf *s, const char *spec, const char *domain,
    char out[SPF_NAME_SIZE])
{
	char value[SPF_TERM_MAX];
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
		if (at + strlen(value) >= SPF_NAME_SIZE)
			return -1;
		strcpy(out + at, value);
		at += strlen(value);
	}
	out[at] = '\0';
	if (at > 0 && out[at - 1] == '.')
		out[at - 1] = '\0';
	return out[0] != '\0' ? 0 : -1;
}
