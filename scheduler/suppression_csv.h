/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SUPPRESSION_CSV_H
#define FLYBALL_SUPPRESSION_CSV_H

#include "conf/base/strbuf.h"
#include "scheduler/suppression.h"

/*
 * The suppression list as CSV (RFC 4180), out and in:
 *
 *	address,reason,reply,added,expires
 *	nobody@example.net,hard,"550 5.1.1 no such user",2026-11-24,2027-02-22
 *
 * Of a whole domain the address is "@example.net". Lists from elsewhere come
 * in too: only an address a line, or a header that names its columns in any
 * order ("email" is an address).
 */
void suppression_csv_header(struct strbuf *out);
void suppression_csv_add(struct strbuf *out,
    const struct suppression_entry *entry);

struct suppression_import {
	size_t n_added;
	size_t n_bad;  /* lines left out */
	size_t line;   /* of the first of them */
	char why[200]; /* and what is wrong with it */
};
/*
 * Reads a whole file and gives each entry to `each`. What a line doesn't say
 * is: reason manual, added now, expires never (ttl_us > 0: so long from now).
 */
void suppression_csv_read(const char *data, size_t len, int64_t utc_us,
    int64_t ttl_us,
    void (*each)(const struct suppression_entry *entry, void *arg), void *arg,
    struct suppression_import *out);

/* A stored entry without its address: "1 REASON ADDED EXPIRES REPLY". */
void suppression_entry_format(const struct suppression_entry *entry,
    struct strbuf *out);
/* `text` is lent to entry_out->reply; -1: it is no entry. */
int suppression_entry_parse(const char *text,
    struct suppression_entry *entry_out);

#endif
