/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MX_FACTS_H
#define FLYBALL_MX_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/base/address.h"
#include "sink/dns_answer.h"

/*
 * What is known of a domain's mail hosts, and for how long. Only the hosts of
 * the best preference count: they are where its mail goes.
 */
enum mx_kind {
	MX_HOSTS,    /* there are some */
	MX_OWN,	     /* none, or nobody could say: a site of its own */
	MX_NULL,     /* it takes no mail (RFC 7505) */
	MX_NXDOMAIN, /* it doesn't exist */
};

#define MX_HOSTS_MAX 16 /* the rest of a larger set is left out */
struct mx_facts {
	enum mx_kind kind;
	char *hosts; /* sorted, parted by blanks; "" but for MX_HOSTS */
	int64_t expires_utc_us;
};

void mx_facts_read(struct mx_facts *out, const struct dns_answer *answer,
    int64_t now_utc_us);
void mx_facts_fini(struct mx_facts *f);
/* As a line of text, malloc'd, and back; -1: it isn't one. */
char *mx_facts_write(const struct mx_facts *f);
int mx_facts_parse(struct mx_facts *out, const char *text);

/* It may be used without asking anew. */
bool mx_facts_are_fresh(const struct mx_facts *f, int64_t now_utc_us);
/* Takes the next host from the list; false: there is none. */
bool mx_facts_host(const char **list, char out[ADDRESS_DOMAIN_MAX + 1]);
/* The set's name: who runs its first host, "example.net" of
 * "mx1.mail.example.net". */
void mx_facts_site(const struct mx_facts *f, char out[ADDRESS_DOMAIN_MAX + 1]);

/* Names that public name servers can't know (RFC 6761, RFC 2606), single
 * labels and address literals. */
bool mx_is_reserved(const char *domain);

#endif
