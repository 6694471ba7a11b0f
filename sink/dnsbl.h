/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DNSBL_H
#define FLYBALL_DNSBL_H

#include <netinet/in.h>

#include "sink/dns_answer.h"

/* Blocklists in the DNS (RFC 5782): the name to ask for, and what the answer
 * says. */
#define DNSBL_NAME_SIZE 512

/* "10.2.0.192.ZONE", or 32 nibbles of IPv6; -1: it is no address. */
int dnsbl_address_name(const char *address, const char *zone,
    char out[DNSBL_NAME_SIZE]);
int dnsbl_domain_name(const char *domain, const char *zone,
    char out[DNSBL_NAME_SIZE]);
/* "192.0.2.10" under "in-addr.arpa", IPv6 under "ip6.arpa". */
int dnsbl_reverse_name(const char *address, char out[DNSBL_NAME_SIZE]);

enum dnsbl_verdict {
	DNSBL_CLEAN,
	DNSBL_LISTED,
	DNSBL_REFUSED, /* the list doesn't answer whoever asks, or doesn't
			  have such things */
	DNSBL_UNKNOWN, /* nobody could say */
};
/* Of A records; code_out: the one that says so, else "". */
enum dnsbl_verdict dnsbl_judge(const struct dns_answer *answer,
    char code_out[INET_ADDRSTRLEN]);

#endif
