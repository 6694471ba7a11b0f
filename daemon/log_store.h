/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_STORE_H
#define FLYBALL_LOG_STORE_H

#include <uthash.h>

#include "sink/mta_log.h"

/*
 * Records of queue ids that aren't known (yet): the log may be quicker than
 * the reply that names the id, and most of other programs' mail never is
 * known. Kept for a while, and bounded.
 */
#define LOG_STORE_MOST 10000 /* queue ids */
#define LOG_STORE_EACH 64    /* records of one */
#define LOG_STORE_US   (30 * INT64_C(1000000))

struct stored_record {
	struct stored_record *next;
	struct mta_record record; /* its spans point into bytes */
	char bytes[];
};

struct stored_id {
	UT_hash_handle hh;
	struct stored_id *prev, *next; /* by age */
	int64_t until_us;
	struct stored_record *first, **last;
	size_t n;
	char *ident; /* "" = none said */
	char key[];
};

struct log_store {
	struct stored_id *by_key, *oldest;
	size_t n;
};

void log_store_fini(struct log_store *s);
/* Copies the record. */
void log_store_add(struct log_store *s, const char *key,
    const struct mta_record *r, int64_t now_us);
struct stored_id *log_store_find(const struct log_store *s, const char *key);
/* By XFORWARD's ident; looks at all. */
struct stored_id *log_store_find_ident(const struct log_store *s,
    const char *ident);
/* Takes it out; the caller frees it. */
struct stored_id *log_store_take(struct log_store *s, struct stored_id *id);
void stored_id_free(struct stored_id *id);
/* Forgets what is old: how many ids. */
size_t log_store_tick(struct log_store *s, int64_t now_us);

#endif
