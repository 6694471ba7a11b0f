/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADDRESS_H
#define FLYBALL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 5321 4.5.3.1: octets. */
#define ADDRESS_LOCAL_MAX  64
#define ADDRESS_DOMAIN_MAX 255
#define ADDRESS_PATH_MAX   256 /* "<", ">" included */

enum address_result {
	ADDRESS_OK,
	ADDRESS_SYNTAX, /* 501 5.1.3 / 5.1.7 */
	ADDRESS_TOO_LONG,
	ADDRESS_NEEDS_UTF8, /* non-ASCII, but SMTPUTF8 wasn't asked for */
};

/*
 * Reads a path at `s` as RFC 5321 4.1.2 (RFC 6531 where utf8_ok): "<>",
 * "<local@domain>", "<@a,@b:local@domain>" (the source route is dropped, RFC
 * 5321 appendix C), quoted local parts, address literals; "<postmaster>"
 * without a domain too. The mailbox goes to out (at most ADDRESS_PATH_MAX
 * bytes with NUL) with its local part as written, *used_out is the length
 * consumed up to and with ">".
 */
enum address_result address_parse_path(const char *s, size_t len, bool utf8_ok,
    char out[ADDRESS_PATH_MAX + 1], size_t *used_out);

/* As above for a bare mailbox, the whole string: "local@domain". */
enum address_result address_check_mailbox(const char *s, bool utf8_ok);

/* The part behind the last "@"; "" when there is none. Points into `s`. */
const char *address_domain(const char *mailbox);

/*
 * Lower-cases and turns a domain into its A-label form (IDNA 2008, libidn2),
 * drops a trailing dot. An address literal is only lower-cased. Returns 0, or
 * -1 when it is no domain.
 */
int domain_normalise(const char *domain, char out[ADDRESS_DOMAIN_MAX + 1]);

bool address_is_ascii(const char *s);

/* Well-formed UTF-8 (RFC 3629); ASCII is. */
bool utf8_is_valid(const char *s, size_t len);

#endif
