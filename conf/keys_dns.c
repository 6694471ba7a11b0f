/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: name servers and what is asked of them. The texts are
 * the manual's.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key_types.h"
#include "conf/keys_sections.h"

#define MS		  INT64_C(1000)
#define SEC		  (1000 * MS)
#define MINUTE		  (60 * SEC)
#define DAY		  (24 * 60 * MINUTE)
#define AT(s, f)	  .offset = offsetof(struct s, f)
#define BOUNDS(low, high) .min = (low), .max = (high)

#define SERVERS_MAX 16
#define ZONES_MAX   100

/* ---- dns ---- */

static bool
is_address(const char *text, size_t len, int family)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	char host[INET6_ADDRSTRLEN];

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	return inet_pton(family, host, bytes) == 1;
}

static bool
is_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	return *text >= '1' && *text <= '9' && *end == '\0' && port <= 65535;
}

/* "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353". */
static bool
is_name_server(const char *text)
{
	const char *end = text + strlen(text);
	const char *colon;

	if (text[0] == '[') {
		end = strchr(text, ']');
		return end != NULL &&
		    is_address(text + 1, (size_t)(end - text - 1), AF_INET6) &&
		    (end[1] == '\0' || (end[1] == ':' && is_port(end + 2)));
	}
	if (is_address(text, (size_t)(end - text), AF_INET6))
		return true;
	colon = strchr(text, ':');
	if (colon != NULL && !is_port(colon + 1))
		return false;
	return is_address(text, (size_t)((colon ? colon : end) - text),
	    AF_INET);
}

static bool
check_name_server(struct reader *r, struct node *n, char **text)
{
	if (is_name_server(*text))
		return true;
	reader_fail(r, n,
	    "\"%.60s\" is no name server; write 192.0.2.53, 192.0.2.53:5353 "
	    "or \"[2001:db8::53]:53\"",
	    *text);
	return false;
}

static void
seal_dns(struct reader *r, struct node *n, void *base)
{
	const struct conf_dns *dns = base;

	if (dns->servers.n > SERVERS_MAX)
		reader_fail_key(r, node_member(n, "servers")->at, "servers",
		    "has more than %d entries", SERVERS_MAX);
}

static const struct key dns_keys[] = {
	{ "servers", &type_names, AT(conf_dns, servers),
	    .initial_doc = "the system's", .check = check_name_server,
	    .text = "Name servers by address, with a port where it isn't 53. "
		    "The system's aren't asked about names that are reserved "
		    "for private use and documentation (RFC 6761); these "
		    "are." },
	{ "timeout", &type_duration, AT(conf_dns, timeout_us), .initial = "5s",
	    BOUNDS(100 * MS, MINUTE),
	    .text = "How long an answer is waited for, and the longest time "
		    "that mail to a domain seen for the first time waits for "
		    "one." },
	{ "mx", &type_bool, AT(conf_dns, mx), .initial = "true",
	    .text = "Domains that no provider names are looked up and go "
		    "where their MX hosts belong; those that can't take mail "
		    "are bounced at once. false: each domain is a site of its "
		    "own, and nothing is asked." },
	{ 0 },
};
const struct section section_dns = {
	.keys = dns_keys,
	.seal = seal_dns,
};

/* ---- blocklists ---- */

static const struct key_word listed_actions[] = { { "pause", LISTED_PAUSE },
	{ "alert", LISTED_ALERT }, { NULL, 0 } };

static void
seal_blocklists(struct reader *r, struct node *n, void *base)
{
	const struct conf_blocklists *b = base;

	if (b->zones.n > ZONES_MAX)
		reader_fail_key(r, node_member(n, "zones")->at, "zones",
		    "has more than %d entries", ZONES_MAX);
}

static const struct key blocklists_keys[] = {
	{ "zones", &type_domains, AT(conf_blocklists, zones),
	    .check = key_check_domain,
	    .text = "Zones that list addresses or domains (RFC 5782). Each "
		    "route's address and each sender domain is looked up in "
		    "each of them." },
	{ "every", &type_duration, AT(conf_blocklists, every_us),
	    .initial = "15m", BOUNDS(SEC, DAY),
	    .text = "How often each is looked up." },
	{ "on_listed", &type_word, AT(conf_blocklists, on_listed),
	    .initial = "pause", .words = listed_actions,
	    .text = "pause: the route, or the sender domain, stops until it "
		    "is delisted; mail of streams that name a further route "
		    "leaves by that one. alert: it is told, and mail goes "
		    "on." },
	{ 0 },
};
const struct section section_blocklists = {
	.keys = blocklists_keys,
	.seal = seal_blocklists,
};
