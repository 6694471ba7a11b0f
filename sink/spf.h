/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPF_H
#define FLYBALL_SPF_H

#include "sink/dns_answer.h"

/*
 * What a sender domain's SPF record says of an address (RFC 7208), for the
 * doctor: the same answer that a receiver comes to, and why.
 */
enum spf_result {
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR,
};
const char *spf_result_name(enum spf_result result);

#define SPF_LOOKUPS_MAX 10 /* RFC 7208 4.6.4 */
#define SPF_VOID_MAX	2

struct spf {
	/* Asks and waits; the answer stays good until the evaluation ends. */
	const struct dns_answer *(*ask)(void *arg, const char *name,
	    enum dns_type type);
	void *arg;
	const char *address; /* of who sends */
	const char *sender;  /* "postmaster@example.com" */
	const char *helo;
	/* filled in: */
	unsigned n_lookups, n_void;
	char why[300]; /* the mechanism that decided, or the error */
};
enum spf_result spf_check(struct spf *spf, const char *domain);

#endif
