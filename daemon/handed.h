/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HANDED_H
#define FLYBALL_HANDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "conf/base/heap.h"

/*
 * What was handed over to MTAs whose logs are read, by the queue ids they gave
 * it: so that a line of the log leads back to our message and its lane. Kept
 * over a restart as text by key, written in the commit that settles the
 * message. Bounded by feedback.handed: beyond, the oldest is forgotten. An
 * entry takes some 230 bytes.
 */
#define HANDED_KEY_MAX 100

struct handed_names { /* whose a transaction was; shared by many */
	const char *route, *provider, *site, *stream, *sender_domain;
};

struct handed { /* one transaction */
	UT_hash_handle hh;
	struct heap_node due; /* UTC: credit's end, then all of it */
	uint64_t message;
	int64_t utc_us; /* handed over */
	uint64_t event; /* of the last reply */
	int64_t event_utc_us;
	uint32_t number, epoch;
	uint32_t n_total, n_left; /* recipients without a final answer */
	uint32_t n_held;	  /* of them, those that hold credit */
	uint32_t n_seen;	  /* attempts that the log told of */
	bool is_heard;		  /* of any of its recipients */
	bool has_soft;		  /* the last word was one host's of several */
	uint8_t soft_class;	  /* enum reply_class */
	uint8_t key_len;
	const struct handed_names *of;
	char text[]; /* key, sender */
};

struct handed_kin;
struct handed_table {
	struct handed *by_key; /* in order of age */
	struct handed_kin *kins;
	struct heap due;
	size_t n, most;
};

void handed_init(struct handed_table *t, size_t most);
void handed_fini(struct handed_table *t);
static inline const char *
handed_key(const struct handed *h)
{
	return h->text;
}
static inline const char *
handed_sender(const struct handed *h)
{
	return h->text + h->key_len + 1;
}
static inline struct handed *
handed_oldest(const struct handed_table *t)
{
	return t->by_key;
}
static inline struct handed *
handed_next(const struct handed *h)
{
	return h->hh.next;
}
/* Copies `like`, its names too. One of that key is replaced. */
struct handed *handed_add(struct handed_table *t, const char *key,
    const struct handed *like, const char *sender);
struct handed *handed_find(const struct handed_table *t, const char *key);
/* The MTA, or a filter behind it, gave it another queue id: h is gone, this is
 * what it is now. */
struct handed *handed_rekey(struct handed_table *t, struct handed *h,
    const char *key);
void handed_remove(struct handed_table *t, struct handed *h);
/* What was read back comes in no order. */
void handed_sort(struct handed_table *t);
/* The first whose time has come; NULL: none. */
struct handed *handed_due(const struct handed_table *t, int64_t utc_us);
/* Beyond the most: the oldest; NULL: there is room. */
struct handed *handed_surplus(const struct handed_table *t);

/* As it is kept; out grows by it. -1: it can't be read. */
struct strbuf;
void handed_format(const struct handed *h, struct strbuf *out);
struct handed *handed_parse(struct handed_table *t, const char *key,
    const char *text);

#endif
