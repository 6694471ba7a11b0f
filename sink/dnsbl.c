/* SPDX-License-Identifier: ISC */
/*
 * How blocklists are asked and what they answer. Pure; the watch over routes
 * and the doctor call it.
 *
 * The subtle rule: an answer alone is no listing. Lists that don't like who
 * asks (a public resolver, too many questions) answer everything with a code
 * of their own, and a zone that was given up may point anywhere.
 */
#include "sink/dnsbl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static int
join(char *out, const char *left, const char *right)
{
	int len = snprintf(out, DNSBL_NAME_SIZE, "%s.%s", left, right);

	/* RFC 1035: 253 octets as text. */
	return len > 0 && len <= 253 ? 0 : -1;
}

/* The address backwards; returns 4 or 6, 0: it is none. */
static int
backwards(const char *address, char out[80])
{
	unsigned char b[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, address, b) == 1) {
		snprintf(out, 80, "%u.%u.%u.%u", b[3], b[2], b[1], b[0]);
		return 4;
	}
	if (inet_pton(AF_INET6, address, b) != 1)
		return 0;
	for (int i = 0; i < 16; i++)
		snprintf(out + 4 * i, 80 - 4 * (size_t)i, "%x.%x%s",
		    b[15 - i] & 15u, b[15 - i] >> 4, i < 15 ? "." : "");
	return 6;
}

int
dnsbl_address_name(const char *address, const char *zone,
    char out[DNSBL_NAME_SIZE])
{
	char text[80];

	return backwards(address, text) != 0 ? join(out, text, zone) : -1;
}

int
dnsbl_domain_name(const char *domain, const char *zone,
    char out[DNSBL_NAME_SIZE])
{
	return *domain != '\0' && *domain != '[' ? join(out, domain, zone) : -1;
}

int
dnsbl_reverse_name(const char *address, char out[DNSBL_NAME_SIZE])
{
	char text[80];

	switch (backwards(address, text)) {
	case 4:
		return join(out, text, "in-addr.arpa");
	case 6:
		return join(out, text, "ip6.arpa");
	}
	return -1;
}

/* 127.255.255.0/24: you are not welcome, or you asked wrongly (Spamhaus and
 * those that follow it). 127.0.1.255: an address was asked for where only
 * domains are. 127.0.0.1: blocked (SURBL, URIBL); RFC 5782 keeps it free. */
static enum dnsbl_verdict
judge_code(const char *code)
{
	if (strncmp(code, "127.", 4) != 0)
		return DNSBL_UNKNOWN;
	if (strncmp(code, "127.255.255.", 12) == 0 ||
	    strcmp(code, "127.0.1.255") == 0 || strcmp(code, "127.0.0.1") == 0)
		return DNSBL_REFUSED;
	return DNSBL_LISTED;
}

enum dnsbl_verdict
dnsbl_judge(const struct dns_answer *answer, char code_out[INET_ADDRSTRLEN])
{
	enum dnsbl_verdict verdict = DNSBL_UNKNOWN;

	*code_out = '\0';
	if (answer->status == DNS_FAILED)
		return DNSBL_UNKNOWN;
	if (answer->status != DNS_OK)
		return DNSBL_CLEAN;
	for (size_t i = 0; i < answer->n; i++) {
		const char *code = answer->v[i].text;
		enum dnsbl_verdict v = judge_code(code);

		/* One code that lists is enough. */
		if (verdict != DNSBL_LISTED && v != DNSBL_UNKNOWN &&
		    (v == DNSBL_LISTED || verdict == DNSBL_UNKNOWN)) {
			verdict = v;
			snprintf(code_out, INET_ADDRSTRLEN, "%s", code);
		}
	}
	return verdict;
}
