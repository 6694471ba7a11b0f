/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DNS_ANSWER_H
#define FLYBALL_DNS_ANSWER_H

#include <stddef.h>
#include <stdint.h>

/* What a name server said about one name and type. */
enum dns_type {
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
};

enum dns_status {
	DNS_OK,	      /* there is at least one record */
	DNS_NODATA,   /* the name exists, without one of this type */
	DNS_NXDOMAIN, /* the name doesn't exist */
	DNS_FAILED,   /* nobody could say: refused, timed out, garbled */
};

struct dns_record {
	unsigned preference; /* of MX */
	/* MX, PTR: a host, lower case, without the last dot, "" for the root;
	 * A, AAAA: an address; TXT: its strings joined. */
	char *text;
};

#define DNS_RECORDS_MAX 128
struct dns_answer {
	enum dns_status status;
	uint32_t ttl_s; /* of the answer, negative ones too; 0: not said */
	struct dns_record *v;
	size_t n;
	const char *why; /* of FAILED; else "" */
};

/* Reads a response (RFC 1035) with the records of `type` and those of aliases
 * on the way. Anything may be in it; more than DNS_RECORDS_MAX are left out. */
void dns_answer_read(const uint8_t *message, size_t len, enum dns_type type,
    struct dns_answer *out);
void dns_answer_fail(struct dns_answer *out, const char *why);
void dns_answer_fini(struct dns_answer *a);

#endif
