/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SELECTION_H
#define FLYBALL_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"
#include "scheduler/sched.h"

struct envelope;

/*
 * `where KEY=VALUE ...`: which queued deliveries are meant. All keys that are
 * given must fit; a key given twice fits by any of its values. Texts may hold
 * * and ?, and don't mind case. Pure.
 *
 * Keys of the first kind are answered by the scheduler's view; the others need
 * the envelope, which is read from disk only for what passed the first.
 */
enum selection_key {
	SELECT_ID,
	SELECT_PROVIDER,
	SELECT_SITE,
	SELECT_STREAM,
	SELECT_ROUTE,
	SELECT_LANE,
	SELECT_STATE,
	SELECT_ATTEMPTS,
	SELECT_SENDER,
	SELECT_RECIPIENT,
	SELECT_DOMAIN,
	SELECT_OLDER,
	SELECT_YOUNGER,
};
#define SELECT_COUNT 13

struct selection_row {
	const char *key;
	const char *value; /* what stands behind "=" */
	const char *doc;
	bool is_of_envelope;
};
extern const struct selection_row selection_rows[SELECT_COUNT];

#define SELECTION_TERMS_MAX 64

struct selection_term {
	enum selection_key key;
	char op;	  /* '=', '<', '>' */
	const char *text; /* lent: the words must outlive the selection */
	uint64_t number;  /* id, attempts, state, microseconds */
};

struct selection {
	struct selection_term terms[SELECTION_TERMS_MAX];
	size_t n;
};

/* Reads terms from `words` up to the first that is none (limit, because);
 * *used_out is how many it took. No term at all is an error: nothing may mean
 * everything by accident. */
int selection_parse(struct selection *sel, char *const *words, size_t n,
    size_t *used_out, struct err *err_out);

bool selection_wants_envelope(const struct selection *sel);
bool selection_fits_queue(const struct selection *sel,
    const struct queue_view *q);
/* `e` with all its deliveries; number is the one that is asked about. */
bool selection_fits_envelope(const struct selection *sel,
    const struct envelope *e, uint32_t number, int64_t now_utc_us);

const char *queue_state_name(const struct queue_view *q);
/* Does the text fit a pattern with * and ?, whatever its case (ASCII)? */
bool pattern_fits(const char *pattern, const char *text);
/* What a FILTER on a command line means: a pattern as it stands, else a part
 * of the name; "" is everything. malloc'd. */
char *pattern_of_filter(const char *filter);

#endif
