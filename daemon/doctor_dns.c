/* SPDX-License-Identifier: ISC */
/*
 * What the world's name servers say of routes' addresses: whether their name
 * leads back to them, and whether they stand on a blocklist.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/doctor.h"
#include "sink/dnsbl.h"

/* ---- reverse DNS ---- */

static bool
same_address(const char *a, const char *b)
{
	unsigned char x[16], y[16];

	if (inet_pton(AF_INET, a, x) == 1)
		return inet_pton(AF_INET, b, y) == 1 && memcmp(x, y, 4) == 0;
	return inet_pton(AF_INET6, a, x) == 1 &&
	    inet_pton(AF_INET6, b, y) == 1 && memcmp(x, y, 16) == 0;
}

static bool
leads_back(struct doctor *d, const char *name, const char *address)
{
	const struct dns_answer *a = doctor_ask(d, name,
	    strchr(address, ':') != NULL ? DNS_AAAA : DNS_A);

	for (size_t i = 0; i < a->n; i++)
		if (same_address(a->v[i].text, address))
			return true;
	return false;
}

static void
check_reverse(struct doctor *d, const char *subject, const char *address)
{
	char name[DNSBL_NAME_SIZE];
	const struct dns_answer *a;

	if (dnsbl_reverse_name(address, name) < 0)
		return;
	a = doctor_ask(d, name, DNS_PTR);
	if (a->status == DNS_FAILED) {
		doctor_say(d, FINDING_WARN, subject,
		    "its reverse name can't be looked up",
		    "look at the name servers of its reverse zone",
		    "PTR of %s: %s", address, a->why);
		return;
	}
	for (size_t i = 0; i < a->n; i++)
		if (leads_back(d, a->v[i].text, address)) {
			doctor_say(d, FINDING_OK, subject,
			    "its name leads back to it", NULL, "%s is %s",
			    address, a->v[i].text);
			return;
		}
	if (a->n == 0)
		doctor_say(d, FINDING_FAIL, subject, "has no reverse name",
		    "have whoever gave you the address set a PTR record to a "
		    "name whose A or AAAA record is this address",
		    "no PTR for %s", address);
	else
		doctor_say(d, FINDING_FAIL, subject,
		    "its name doesn't lead back to it",
		    "give the name an A or AAAA record with this address, or "
		    "the address a PTR to a name that has one",
		    "%s is %s, which isn't %s", address, a->v[0].text, address);
}

/* ---- blocklists ---- */

static void
look_in(struct doctor *d, const char *subject, const char *name,
    const char *zone)
{
	char code[INET_ADDRSTRLEN];
	const struct dns_answer *text;

	switch (dnsbl_judge(doctor_ask(d, name, DNS_A), code)) {
	case DNSBL_CLEAN:
		doctor_say(d, FINDING_OK, subject, "isn't on a blocklist", NULL,
		    "%s", zone);
		break;
	case DNSBL_LISTED:
		text = doctor_ask(d, name, DNS_TXT);
		doctor_say(d, FINDING_FAIL, subject, "is on a blocklist",
		    "find out why, mend it, then ask the list to take it off",
		    "%s answers %s: %s", zone, code,
		    text->n > 0 ? text->v[0].text : "no reason given");
		break;
	case DNSBL_REFUSED:
		doctor_say(d, FINDING_WARN, subject,
		    "a blocklist doesn't answer this resolver",
		    "ask it by a resolver of your own (dns.servers), or leave "
		    "the zone out for this kind of name",
		    "%s answers %s", zone, code);
		break;
	case DNSBL_UNKNOWN:
		doctor_say(d, FINDING_WARN, subject,
		    "a blocklist gives no answer",
		    "see whether the zone is still there (blocklists.zones)",
		    "%s", zone);
		break;
	}
}

void
doctor_check_lists(struct doctor *d, const char *subject, const char *address,
    const char *domain)
{
	const struct conf_names *zones = &d->conf->blocklists.zones;
	char name[DNSBL_NAME_SIZE];

	for (size_t i = 0; i < zones->n; i++)
		if ((address != NULL &&
			dnsbl_address_name(address, zones->v[i], name) == 0) ||
		    (domain != NULL &&
			dnsbl_domain_name(domain, zones->v[i], name) == 0))
			look_in(d, subject, name, zones->v[i]);
}

/* ---- routes ---- */

void
doctor_check_routes(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->n_routes; i++) {
		const struct conf_route *r = &d->conf->routes[i];
		char *subject = xasprintf("route %s", r->name);

		if (r->address[0] != '\0') {
			check_reverse(d, subject, r->address);
			doctor_check_lists(d, subject, r->address, NULL);
		} else {
			doctor_say(d, FINDING_NOTE, subject,
			    "nothing is known of its sending address",
			    "give its address, so that reverse DNS, SPF and "
			    "blocklists can be looked at",
			    "routes.%s.address isn't set", r->name);
		}
		free(subject);
	}
}
