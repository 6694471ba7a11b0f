/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SUPPRESSION_LIST_H
#define FLYBALL_SUPPRESSION_LIST_H

#include "daemon/spool.h"
#include "scheduler/suppression.h"

/*
 * The suppression list of the running daemon: sessions ask it at RCPT from
 * their own threads, the governor changes it and keeps it in the spool. Guards
 * itself. Whoever changes it gets the facts to store.
 */
struct suppression_list;

/* NULL: no random key to be had. */
struct suppression_list *suppression_list_new(struct err *err_out);
void suppression_list_free(struct suppression_list *l); /* NULL is fine */

/* Any thread. hit_out may be NULL. */
bool suppression_list_has(struct suppression_list *l, const char *address,
    int64_t utc_us, struct suppression_hit *hit_out);

/* All of these put what is to be stored in front of *facts. */

/* A stored fact; one that has expired is to be removed. False: it isn't one of
 * ours. */
bool suppression_list_restore(struct suppression_list *l, const void *key,
    size_t key_len, const void *value, size_t value_len, int64_t utc_us,
    struct spool_fact **facts);
/* A recipient bounced; true: that suppresses it, entry_out tells (its strings
 * are lent from the arguments). */
bool suppression_list_bounce(struct suppression_list *l,
    const struct conf_suppression *conf, const char *address, bool is_hard,
    const char *reply, int64_t utc_us, struct suppression_entry *entry_out,
    struct spool_fact **facts);
/* `domain` as suppression_domain_of() writes it; the rest as above. */
bool suppression_list_domain_bounce(struct suppression_list *l,
    const struct conf_suppression *conf, const char *domain, const char *reply,
    int64_t utc_us, struct suppression_entry *entry_out,
    struct spool_fact **facts);
void suppression_list_delivered(struct suppression_list *l, const char *address,
    struct spool_fact **facts);
/* False: the list is full, or the address too long to be kept. */
bool suppression_list_add(struct suppression_list *l,
    const struct suppression_entry *entry, struct spool_fact **facts);
/* False: it wasn't there. */
bool suppression_list_remove(struct suppression_list *l, const char *address,
    struct spool_fact **facts);
size_t suppression_list_count(struct suppression_list *l);
/* Drops from memory what has expired, a portion at each call; from the spool
 * it goes at the next start. */
void suppression_list_sweep(struct suppression_list *l, int64_t utc_us);

/* Of stored facts, for reading the list: the address and its entry (reply is
 * lent from value). -1: it isn't an entry. */
#define SUPPRESSION_FACT_PREFIX "x "
int suppression_list_entry(const void *key, size_t key_len, const char *value,
    char *address_out, size_t size, struct suppression_entry *entry_out);

#endif
