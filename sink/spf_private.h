/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPF_PRIVATE_H
#define FLYBALL_SPF_PRIVATE_H

#include <stdbool.h>

#include "sink/spf.h"

/* Shared by spf*.c only. */
#define SPF_NAME_SIZE 256
#define SPF_TERM_MAX  512

/* Returns AF_INET, AF_INET6 or -1. */
int spf_parse_ip(const char *text, unsigned char out[16]);
/* Of the records that hold addresses such as the sender's. */
enum dns_type spf_address_type(const struct spf *s);

/* A domain-spec with its macros; -1: it makes no sense or is too long. */
int spf_expand(struct spf *s, const char *spec, const char *domain,
    char out[SPF_NAME_SIZE]);

/* The address's own name (RFC 7208 5.5), as near to `domain` as there is one:
 * one that has the address in return. */
enum spf_name {
	SPF_NAME_NONE,
	SPF_NAME_OTHER,
	SPF_NAME_BELOW,
	SPF_NAME_SAME,
};
enum spf_name spf_find_name(struct spf *s, const char *domain,
    char out[SPF_NAME_SIZE]);

#endif
