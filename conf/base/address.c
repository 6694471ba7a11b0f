/* SPDX-License-Identifier: ISC */
/*
 * Mail addresses as they stand in SMTP commands and in configuration: the
 * grammar of RFC 5321 4.1.2 and 4.1.3 with RFC 6531's UTF-8, and domains
 * brought to one form for comparing. The session calls it for every path,
 * conf for every domain that the operator names.
 *
 * It judges syntax only: whether a domain exists is for others. It must be
 * strict, since what passes here is written into the commands of the next
 * hop: no byte that ends a line or a path may come through.
 */
#include "conf/base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A label's octets (RFC 1035 2.3.4) and a domain's as it fits into DNS: 255
 * on the wire are 253 as text. */
#define LABEL_MAX    63
#define DNS_NAME_MAX 253

struct cursor {
	const unsigned char *p;
	const unsigned char *end;
	bool has_utf8;
};

static int
peek(const struct cursor *c)
{
	return c->p < c->end ? *c->p : -1;
}

static bool
accept_char(struct cursor *c, int wanted)
{
	if (peek(c) != wanted)
		return false;
	c->p++;
	return true;
}

/* Length of the well-formed UTF-8 sequence over 127 at p, 0 when it is none
 * (RFC 3629 4: no overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t
utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	size_t n, i;
	unsigned low = 0x80, high = 0xbf;

	if (*p >= 0xc2 && *p <= 0xdf)
		n = 2;
	else if (*p >= 0xe0 && *p <= 0xef)
		n = 3;
	else if (*p >= 0xf0 && *p <= 0xf4)
		n = 4;
	else
		return 0;
	if ((size_t)(end - p) < n)
		return 0;
	if (*p == 0xe0)
		low = 0xa0;
	else if (*p == 0xed)
		high = 0x9f;
	else if (*p == 0xf0)
		low = 0x90;
	else if (*p == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

static bool
accept_utf8(struct cursor *c)
{
	size_t n = peek(c) >= 0x80 ? utf8_sequence(c->p, c->end) : 0;

	if (n == 0)
		return false;
	c->p += n;
	c->has_utf8 = true;
	return true;
}

/* RFC 5322 3.2.3. */
static bool
is_atext(int c)
{
	return c > 0 && c < 0x80 &&
	    (isalnum(c) || strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
read_atom(struct cursor *c)
{
	const unsigned char *start = c->p;

	for (;;) {
		if (is_atext(peek(c)))
			c->p++;
		else if (!accept_utf8(c))
			return c->p > start;
	}
}

static bool
read_dot_string(struct cursor *c)
{
	do {
		if (!read_atom(c))
			return false;
	} while (accept_char(c, '.'));
	return true;
}

/* Blanks are allowed inside the quotes, controls are not even behind "\". */
static bool
read_quoted(struct cursor *c)
{
	int ch;

	if (!accept_char(c, '"'))
		return false;
	while ((ch = peek(c)) != -1) {
		if (ch >= 0x80) {
			if (!accept_utf8(c))
				return false;
			continue;
		}
		c->p++;
		if (ch == '"')
			return true;
		if (ch == '\\') {
			ch = peek(c);
			if (ch == -1)
				return false;
			c->p++;
		}
		if (ch < 32 || ch > 126)
			return false;
	}
	return false;
}

static bool
read_label(struct cursor *c)
{
	const unsigned char *start = c->p;
	bool had_utf8 = c->has_utf8;

	c->has_utf8 = false;
	for (;;) {
		int ch = peek(c);

		if (ch == '-' || (ch > 0 && ch < 0x80 && isalnum(ch)))
			c->p++;
		else if (!accept_utf8(c))
			break;
	}
	/* A U-label is measured as an A-label, by domain_normalise(). */
	if (!c->has_utf8 && c->p - start > LABEL_MAX)
		return false;
	c->has_utf8 |= had_utf8;
	return c->p > start && start[0] != '-' && c->p[-1] != '-';
}

/* RFC 5321 4.1.3. No other tag than IPv6 was ever registered, so a general
 * literal names nothing that mail could be sent to. */
static bool
read_literal(struct cursor *c)
{
	char text[INET6_ADDRSTRLEN + 1];
	unsigned char address[sizeof(struct in6_addr)];
	const unsigned char *close;
	int family = AF_INET;
	size_t len;

	c->p++;
	close = memchr(c->p, ']', (size_t)(c->end - c->p));
	if (close == NULL)
		return false;
	len = (size_t)(close - c->p);
	if (len > 5 && strncasecmp((const char *)c->p, "IPv6:", 5) == 0) {
		family = AF_INET6;
		c->p += 5;
		len -= 5;
	}
	if (len >= sizeof(text))
		return false;
	memcpy(text, c->p, len);
	text[len] = '\0';
	c->p = close + 1;
	return strlen(text) == len && inet_pton(family, text, address) == 1;
}

static bool
read_domain(struct cursor *c)
{
	if (peek(c) == '[')
		return read_literal(c);
	do {
		if (!read_label(c))
			return false;
	} while (accept_char(c, '.'));
	return true;
}

/* RFC 5321 appendix C: read, so that the rest can be, and forgotten. */
static bool
skip_source_route(struct cursor *c)
{
	do {
		if (!accept_char(c, '@') || !read_domain(c))
			return false;
	} while (accept_char(c, ','));
	return accept_char(c, ':');
}

/* "local@domain", or the one name that needs no domain (4.5.1). */
static enum address_result
read_mailbox(struct cursor *c, bool bare_postmaster_ok)
{
	const unsigned char *start = c->p, *at;

	if (!(peek(c) == '"' ? read_quoted(c) : read_dot_string(c)))
		return ADDRESS_SYNTAX;
	at = c->p;
	if (!accept_char(c, '@')) {
		bool is_postmaster = at - start == 10 &&
		    strncasecmp((const char *)start, "postmaster", 10) == 0;

		return bare_postmaster_ok && is_postmaster ? ADDRESS_OK
							   : ADDRESS_SYNTAX;
	}
	if (!read_domain(c))
		return ADDRESS_SYNTAX;
	if (at - start > ADDRESS_LOCAL_MAX ||
	    c->p - at - 1 > ADDRESS_DOMAIN_MAX ||
	    c->p - start > ADDRESS_PATH_MAX - 2)
		return ADDRESS_TOO_LONG;
	return ADDRESS_OK;
}

enum address_result
address_parse_path(const char *s, size_t len, bool utf8_ok,
    char out[ADDRESS_PATH_MAX + 1], size_t *used_out)
{
	struct cursor c = { (const unsigned char *)s,
		(const unsigned char *)s + len, false };
	const unsigned char *start;
	enum address_result result;

	out[0] = '\0';
	*used_out = 0;
	if (!accept_char(&c, '<'))
		return ADDRESS_SYNTAX;
	if (accept_char(&c, '>')) {
		*used_out = 2;
		return ADDRESS_OK;
	}
	if (peek(&c) == '@' && !skip_source_route(&c))
		return ADDRESS_SYNTAX;
	c.has_utf8 = false;
	start = c.p;
	result = read_mailbox(&c, true);
	if (result != ADDRESS_OK)
		return result;
	if (peek(&c) != '>')
		return ADDRESS_SYNTAX;
	if (c.has_utf8 && !utf8_ok)
		return ADDRESS_NEEDS_UTF8;
	memcpy(out, start, (size_t)(c.p - start));
	out[c.p - start] = '\0';
	*used_out = (size_t)(c.p + 1 - (const unsigned char *)s);
	return ADDRESS_OK;
}

enum address_result
address_check_mailbox(const char *s, bool utf8_ok)
{
	struct cursor c = { (const unsigned char *)s,
		(const unsigned char *)s + strlen(s), false };
	enum address_result result = read_mailbox(&c, false);

	if (result != ADDRESS_OK)
		return result;
	if (c.p != c.end)
		return ADDRESS_SYNTAX;
	return c.has_utf8 && !utf8_ok ? ADDRESS_NEEDS_UTF8 : ADDRESS_OK;
}

const char *
address_domain(const char *mailbox)
{
	const char *at = strrchr(mailbox, '@');

	return at != NULL ? at + 1 : "";
}

bool
address_is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

bool
utf8_is_valid(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;

	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_sequence(p, end);

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

/* Lower-cases an ASCII domain or literal into out; -1 when it is neither. */
static int
normalise_ascii(const char *domain, char out[ADDRESS_DOMAIN_MAX + 1])
{
	size_t len = strlen(domain), i;
	struct cursor c;

	if (len > 1 && domain[len - 1] == '.')
		len--;
	if (len > DNS_NAME_MAX)
		return -1;
	for (i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)domain[i]);
	out[len] = '\0';
	c = (struct cursor){ (const unsigned char *)out,
		(const unsigned char *)out + len, false };
	return read_domain(&c) && c.p == c.end ? 0 : -1;
}

int
domain_normalise(const char *domain, char out[ADDRESS_DOMAIN_MAX + 1])
{
	uint8_t *ascii = NULL;
	int rc;

	out[0] = '\0';
	if (address_is_ascii(domain)) {
		rc = normalise_ascii(domain, out);
	} else {
		/* UTS 46 maps case and width first; IDNA 2008 decides. Not
		 * IDN2_USE_STD3_ASCII_RULES: it drops what it doesn't like, and
		 * the domain of another may be left. */
		rc = idn2_lookup_u8((const uint8_t *)domain, &ascii,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
		rc = rc == IDN2_OK ? normalise_ascii((char *)ascii, out) : -1;
		idn2_free(ascii);
	}
	if (rc != 0)
		out[0] = '\0';
	return rc;
}
