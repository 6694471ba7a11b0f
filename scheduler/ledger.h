/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LEDGER_H
#define FLYBALL_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What happened at one gate, by plan day: the facts that plans decide by and
 * that `plan LANE` shows. Recipients, saturating at LEDGER_MAX.
 */
enum ledger_fact {
	LEDGER_ATTEMPTED, /* offered to the next hop, whatever it said */
	LEDGER_ACCEPTED,
	LEDGER_DEFERRED, /* by any 4xx or fault */
	LEDGER_REJECTED, /* for reputation */
	LEDGER_BOUNCED,	 /* for any other reason, for good */
	LEDGER_COMPLAINED,
	LEDGER_OVERFLOWED, /* left by a later route of their stream */
	LEDGER_HELD,	   /* still waited when the day ended */
	/* what plans read: */
	LEDGER_SLOWED,	/* of DEFERRED: those that blame the lane */
	LEDGER_DIRTY,	/* of BOUNCED: no such mailbox or domain */
	LEDGER_CHARGED, /* taken of the day's allowance, in flight too */
	LEDGER_ALLOWED, /* the day's allowance; LEDGER_MAX = no limit */
	LEDGER_STAGE,
	LEDGER_RESERVED, /* that CHARGED may reach before it is stored again */
};
#define LEDGER_FACTS 14
#define LEDGER_MAX   UINT32_MAX
#define LEDGER_DAYS  400

const char *ledger_fact_name(enum ledger_fact fact);

struct ledger_row {
	int64_t day;
	uint32_t facts[LEDGER_FACTS];
	bool is_changed; /* since it was stored */
};

/* Zeroed is empty. Rows stand in order of days, only those with facts. */
struct ledger {
	struct ledger_row *rows;
	uint32_t n, cap;
	uint32_t n_changed; /* rows, since they were stored */
	bool is_stored;	    /* then `gone` has the days to be deleted */
	int64_t *gone;
	uint32_t n_gone, cap_gone;
};

void ledger_fini(struct ledger *l);
/*
 * The day's row, made when there is none; valid until the next call. Rows
 * LEDGER_DAYS older than the newest go.
 */
struct ledger_row *ledger_row(struct ledger *l, int64_t day);
/* NULL when nothing happened on that day. */
const struct ledger_row *ledger_find(const struct ledger *l, int64_t day);
/* 0 when nothing happened. */
int64_t ledger_get(const struct ledger *l, int64_t day, enum ledger_fact fact);
void ledger_add(struct ledger *l, int64_t day, enum ledger_fact fact,
    int64_t n); /* n may be negative; never below 0 */
void ledger_set(struct ledger *l, int64_t day, enum ledger_fact fact,
    int64_t n);
/* The greatest of the days from..to, both included; 0 when there are none. */
int64_t ledger_peak(const struct ledger *l, int64_t from, int64_t to,
    enum ledger_fact fact);
/* Forgets days before `day`; INT64_MAX: all. */
void ledger_forget(struct ledger *l, int64_t day);

/*
 * A row as text, to be stored: "1 ATTEMPTED ACCEPTED ...", the version first.
 * Parsing takes what any older version wrote (missing facts are 0) and says -1
 * to anything else.
 */
#define LEDGER_TEXT_SIZE 192
char *ledger_row_format(const struct ledger_row *row,
    char out[LEDGER_TEXT_SIZE]);
int ledger_row_parse(struct ledger *l, int64_t day, const char *text);

#endif
