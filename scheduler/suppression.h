/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SUPPRESSION_H
#define FLYBALL_SUPPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/address.h"
#include "conf/base/siphash.h"
#include "conf/conf.h"

/*
 * Recipients that aren't sent to any more: whether one is, asked at RCPT, and
 * which bounces put it there. Kept in memory as hashes, 16 bytes an address;
 * the addresses themselves, with the replies, are the caller's to store.
 * Addresses are compared without case.
 *
 * A whole domain stands there as an address without its local part,
 * "@example.net": its A-label form, in lower case.
 */
struct suppression;

#define SUPPRESSION_MAX	  (16u << 20) /* addresses suppressed */
#define SUPPRESSION_WATCH (1u << 20)  /* addresses with bounces to remember */

enum suppression_reason {
	SUPPRESSION_HARD,
	SUPPRESSION_SOFT, /* soft bounces on too many days */
	SUPPRESSION_COMPLAINT,
	SUPPRESSION_MANUAL, /* by the operator, or imported */
	SUPPRESSION_DOMAIN, /* the domain takes no mail, as its provider said */
};
#define SUPPRESSION_REASON_COUNT 5
const char *suppression_reason_name(enum suppression_reason reason);
int suppression_reason_parse(const char *name); /* -1: no such reason */

struct suppression_entry {
	const char *address;
	enum suppression_reason reason;
	const char *reply; /* that led to it, or a note; "" = none */
	int64_t added_utc_us;
	int64_t expires_utc_us; /* INT64_MAX: never */
};

/* Why a recipient isn't written to. */
struct suppression_hit {
	enum suppression_reason reason;
	int64_t expires_utc_us; /* INT64_MAX: never */
	bool is_domain;		/* not this address alone */
};
/* What such a recipient is answered with, as RCPT's reply. */
const char *suppression_refusal(const struct suppression_hit *hit);

#define SUPPRESSION_ADDRESS_SIZE (ADDRESS_PATH_MAX + 1)
/* "local@domain", or "@domain" for all of it, as the list wants it. -1: it is
 * neither. */
int suppression_address_parse(const char *text,
    char out[SUPPRESSION_ADDRESS_SIZE]);

#define SUPPRESSION_DOMAIN_SIZE (ADDRESS_DOMAIN_MAX + 2)
/* "Jo@Example.NET" -> "@example.net". -1: it has no domain of that kind. */
int suppression_domain_of(const char *address,
    char out[SUPPRESSION_DOMAIN_SIZE]);

/* The key is random and stays the same only as long as the process. */
struct suppression *suppression_new(const uint8_t key[SIPHASH_KEY_SIZE]);
void suppression_free(struct suppression *s);

/* Adds or replaces. False: the list is full (SUPPRESSION_MAX). */
bool suppression_add(struct suppression *s,
    const struct suppression_entry *entry);
bool suppression_remove(struct suppression *s, const char *address);
/* Is the address there, or else its domain? hit_out may be NULL. What has
 * expired isn't there. */
bool suppression_check(struct suppression *s, const char *address,
    int64_t utc_us, struct suppression_hit *hit_out);
size_t suppression_count(const struct suppression *s);
/* Drops what has expired, a portion at each call. */
void suppression_sweep(struct suppression *s, int64_t utc_us);

/*
 * A recipient bounced. True: that suppresses it now; it is in the list, and
 * entry_out (its strings lent from the arguments) is to be stored.
 */
bool suppression_bounce(struct suppression *s,
    const struct conf_suppression *conf, const char *address, bool is_hard,
    const char *reply, int64_t utc_us, struct suppression_entry *entry_out);
/*
 * A provider said that this domain ("@example.net") takes no mail. True: it is
 * in the list now, and entry_out is to be stored. DNS may be mended tomorrow,
 * so it stays for conf->domain_ttl_us only. What an operator said of the
 * domain is left alone.
 */
bool suppression_domain_bounce(struct suppression *s,
    const struct conf_suppression *conf, const char *domain, const char *reply,
    int64_t utc_us, struct suppression_entry *entry_out);
/* It took mail: soft bounces before that say nothing any more. */
void suppression_delivered(struct suppression *s, const char *address);
/* So does its domain. True: that was in the list for taking none, and isn't
 * any more; domain_out is to be removed where it is stored. */
bool suppression_domain_delivered(struct suppression *s, const char *address,
    char domain_out[SUPPRESSION_DOMAIN_SIZE]);

/*
 * What is remembered of bounces that haven't suppressed yet, as text for the
 * database: "1 DAY BITS HARD". "" = nothing.
 */
#define SUPPRESSION_WATCH_SIZE 64
char *suppression_watch_format(struct suppression *s, const char *address,
    char out[SUPPRESSION_WATCH_SIZE]);
int suppression_watch_parse(struct suppression *s, const char *address,
    const char *text);

#endif
