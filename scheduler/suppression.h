/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SUPPRESSION_H
#define FLYBALL_SUPPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/siphash.h"
#include "conf/conf.h"

/*
 * Recipients that aren't sent to any more: whether one is, asked at RCPT, and
 * which bounces put it there. Kept in memory as hashes, 16 bytes an address;
 * the addresses themselves, with the replies, are the caller's to store.
 * Addresses are compared without case.
 */
struct suppression;

#define SUPPRESSION_MAX	  (16u << 20) /* addresses suppressed */
#define SUPPRESSION_WATCH (1u << 20)  /* addresses with bounces to remember */

enum suppression_reason {
	SUPPRESSION_HARD,
	SUPPRESSION_SOFT, /* soft bounces on too many days */
	SUPPRESSION_COMPLAINT,
	SUPPRESSION_MANUAL, /* by the operator, or imported */
};
#define SUPPRESSION_REASON_COUNT 4
const char *suppression_reason_name(enum suppression_reason reason);
int suppression_reason_parse(const char *name); /* -1: no such reason */

struct suppression_entry {
	const char *address;
	enum suppression_reason reason;
	const char *reply; /* that led to it, or a note; "" = none */
	int64_t added_utc_us;
	int64_t expires_utc_us; /* INT64_MAX: never */
};

/* The key is random and stays the same only as long as the process. */
struct suppression *suppression_new(const uint8_t key[SIPHASH_KEY_SIZE]);
void suppression_free(struct suppression *s);

/* Adds or replaces. False: the list is full (SUPPRESSION_MAX). */
bool suppression_add(struct suppression *s,
    const struct suppression_entry *entry);
bool suppression_remove(struct suppression *s, const char *address);
/* reason_out and expires_out may be NULL. What has expired isn't there. */
bool suppression_check(struct suppression *s, const char *address,
    int64_t utc_us, enum suppression_reason *reason_out, int64_t *expires_out);
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
/* It took mail: soft bounces before that say nothing any more. */
void suppression_delivered(struct suppression *s, const char *address);

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
