/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GOVERNOR_LOGS_H
#define FLYBALL_GOVERNOR_LOGS_H

#include "daemon/governor_private.h"
#include "daemon/handed.h"
#include "daemon/log_reader.h"
#include "daemon/log_store.h"

/* Shared by governor_logs.c, governor_logs_life.c, governor_handed.c and
 * governor_evidence.c only. */
#define HANDED_PREFIX "q " /* of facts */
#define PLACE_PREFIX  "l "

struct log_slot { /* one log that is read */
	struct log_slot *prev, *next;
	struct log_reader *reader;
	char *name;	 /* the reader's */
	uint32_t id;	 /* of its queue ids, in keys */
	char *conf;	 /* what the reader was made from */
	char *place;	 /* of the last batch */
	bool is_unsaved; /* the place */
	bool is_gone;	 /* from the configuration */
	bool is_stopped; /* its reader reads no more: goes when it is idle */
	bool is_broken;	 /* there is nothing to read from */
	char why[200];
	int64_t line_us;    /* the last one came; monotonic, 0 = never */
	int64_t heard_us;   /* the last one about our mail */
	int64_t unheard_us; /* since then mail was handed over; 0 = none */
	uint64_t n_lines, n_lost, n_timed_out, n_foreign;
	unsigned n_gaps;
	bool is_silent; /* was told */
};

struct governor_logs {
	struct log_slot *slots;
	struct handed_table handed;
	uint64_t n_forgotten; /* since the table is full */
	bool is_full;
	struct log_store store; /* records whose message isn't known yet */
	struct spool_fact *facts, **last;
};

/* What the log says of one transaction's recipient, or of all that are left. */
void governor_evidence(struct governor *g, struct log_slot *slot,
    struct handed *h, const struct mta_record *r);
/* Credit that nothing is heard of any more. */
void governor_release(struct governor *g, struct handed *h, uint32_t n);
/* The entry changed, or goes: written with the next save. */
void governor_handed_keep(struct governor *g, const struct handed *h);
/* Its queue id is another one now; what had that id is forgotten. h is gone. */
struct handed *governor_handed_rename(struct governor *g, struct handed *h,
    const char *key);
void governor_handed_drop(struct governor *g, struct handed *h);
/* governor_handed.c */
void governor_handed_tick(struct governor *g);
/* What the log said of this queue id, or ident, before anybody knew it. */
void governor_replay(struct governor *g, struct log_slot *slot, const char *key,
    const char *ident);
/* governor_logs.c: the log of a route; NULL: none is read. */
struct log_slot *governor_slot_of(struct governor *g, const char *route);
/* How a queue id is named in the table. */
void governor_logs_key(uint32_t id, const char *queue_id, size_t len,
    char out[HANDED_KEY_MAX]);
/* A fact to be written with the next save; value NULL: it goes. */
void governor_logs_put(struct governor *g, const char *prefix, const char *name,
    const char *value);
/* Up to there it was read; written with the next save. */
void governor_log_keep_place(struct log_slot *s, const char *place);
void governor_log_alert(struct governor *g, const struct log_slot *s,
    const char *state, const char *why);
const struct conf_mta_log *governor_log_of(struct governor *g,
    const char *route);

#endif
