/* SPDX-License-Identifier: ISC */
/*
 * The walk over the queue for queue, retry, bounce and drop. Conditions that
 * the scheduler can answer are asked first; only for what passes them is the
 * envelope read from disk. IDs are looked up, not searched for.
 *
 * The subtle rule: between two calls the queue changes. A cursor of the
 * scheduler survives that; an ID's deliveries are asked for again, one by one.
 */
#include "daemon/queue_walk.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/selection.h"

#define LOOKS_A_CALL 64

struct queue_walk {
	struct sched *s;
	struct spool_reader *reader;
	struct selection sel; /* n == 0: everything */
	bool wants_envelope;
	struct sched_cursor *cursor; /* NULL: by ids */
	uint64_t *ids;
	size_t n_ids, next_id;
	struct envelope envelope; /* of the last one read; id 0 = none */
	size_t next_delivery;	  /* within it, by ids */
	uint64_t n_unread;
};

/* ---- what is meant ---- */

static int
add_id(struct queue_walk *w, uint64_t id, const char *word, struct err *err_out)
{
	struct envelope e;
	int result;

	if (w->n_ids == QUEUE_WALK_IDS_MAX)
		return err_set(err_out, "at most %d messages in one command",
		    QUEUE_WALK_IDS_MAX);
	result = spool_read_message(w->reader, id, &e, err_out);
	if (result > 0)
		return err_set(err_out, "message %.40s isn't queued", word);
	if (result < 0)
		return -1;
	envelope_fini(&e);
	w->ids = xrealloc(w->ids, (w->n_ids + 1) * sizeof(*w->ids));
	w->ids[w->n_ids++] = id;
	return 0;
}

static int
read_ids(struct queue_walk *w, char *const *words, size_t n, bool *is_usage_out,
    struct err *err_out)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t id;

		if (message_id_parse(words[i], &id) < 0) {
			*is_usage_out = true;
			return err_set(err_out,
			    "\"%.100s\" is no message ID; conditions stand "
			    "behind `where`",
			    words[i]);
		}
		if (add_id(w, id, words[i], err_out) < 0)
			return -1;
	}
	return 0;
}

/* id=... as a condition: look these up instead of walking. */
static int
ids_of_selection(struct queue_walk *w, struct err *err_out)
{
	for (size_t i = 0; i < w->sel.n; i++)
		if (w->sel.terms[i].key == SELECT_ID &&
		    add_id(w, w->sel.terms[i].number, w->sel.terms[i].text,
			err_out) < 0)
			return -1;
	return 0;
}

static int
read_words(struct queue_walk *w, char *const *words, size_t n,
    bool *is_usage_out, struct err *err_out)
{
	size_t used;

	if (n == 0)
		return 0;
	if (strcmp(words[0], "where") != 0)
		return read_ids(w, words, n, is_usage_out, err_out);
	*is_usage_out = true;
	if (selection_parse(&w->sel, words + 1, n - 1, &used, err_out) < 0)
		return -1;
	if (used + 1 < n)
		return err_set(err_out, "what is \"%.100s\"?", words[used + 1]);
	*is_usage_out = false;
	w->wants_envelope = selection_wants_envelope(&w->sel);
	return ids_of_selection(w, err_out);
}

struct queue_walk *
queue_walk_new(struct sched *s, struct spool_reader *reader, char *const *words,
    size_t n, bool *is_usage_out, struct err *err_out)
{
	struct queue_walk *w = xcalloc(1, sizeof(*w));

	w->s = s;
	w->reader = reader;
	*is_usage_out = false;
	if (read_words(w, words, n, is_usage_out, err_out) < 0) {
		queue_walk_free(w);
		return NULL;
	}
	if (w->n_ids == 0)
		w->cursor = sched_cursor_new(s);
	return w;
}

void
queue_walk_free(struct queue_walk *w)
{
	if (w == NULL)
		return;
	sched_cursor_free(w->cursor);
	envelope_fini(&w->envelope);
	free(w->ids);
	free(w);
}

void
queue_walk_want_envelopes(struct queue_walk *w)
{
	w->wants_envelope = true;
}

uint64_t
queue_walk_n_unread(const struct queue_walk *w)
{
	return w->n_unread;
}

const struct delivery *
envelope_delivery(const struct envelope *e, uint32_t number)
{
	for (size_t i = 0; i < e->n_deliveries; i++)
		if (e->deliveries[i].number == number)
			return &e->deliveries[i];
	return NULL;
}

/* ---- the next one ---- */

/* A message's deliveries follow each other: one read serves them all. */
static bool
read_envelope(struct queue_walk *w, uint64_t message)
{
	struct err err;
	int result;

	if (w->envelope.id == message)
		return true;
	envelope_fini(&w->envelope);
	w->envelope = (struct envelope){ 0 };
	result = spool_read_message(w->reader, message, &w->envelope, &err);
	if (result == 0)
		return true;
	w->envelope = (struct envelope){ 0 };
	if (result < 0 && w->n_unread++ == 0)
		log_error("spool_read", LOG_STR("error", err.text));
	return false;
}

/* The next candidate; false: there is none. *has_one_out false: this turn of
 * it led nowhere. */
static bool
next_of_ids(struct queue_walk *w, struct queue_view *out, bool *has_one_out)
{
	const struct envelope *e = &w->envelope;

	*has_one_out = false;
	if (w->next_id == w->n_ids)
		return false;
	if (!read_envelope(w, w->ids[w->next_id]) ||
	    w->next_delivery == e->n_deliveries) {
		w->next_id++;
		w->next_delivery = 0;
		return true;
	}
	*has_one_out = sched_delivery_get(w->s, w->ids[w->next_id],
	    e->deliveries[w->next_delivery++].number, out);
	return true;
}

static bool
next_candidate(struct queue_walk *w, struct queue_view *out, bool *has_one_out)
{
	if (w->cursor == NULL)
		return next_of_ids(w, out, has_one_out);
	*has_one_out = true;
	return sched_cursor_next(w->cursor, out);
}

static bool
fits(struct queue_walk *w, const struct queue_view *q, int64_t now_utc_us)
{
	if (!selection_fits_queue(&w->sel, q))
		return false;
	if (!w->wants_envelope)
		return true;
	return read_envelope(w, q->message) &&
	    selection_fits_envelope(&w->sel, &w->envelope, q->number,
		now_utc_us);
}

enum walk_result
queue_walk_next(struct queue_walk *w, int64_t now_utc_us,
    struct queue_view *out, const struct envelope **envelope_out)
{
	for (int i = 0; i < LOOKS_A_CALL; i++) {
		bool has_one;

		if (!next_candidate(w, out, &has_one))
			return WALK_END;
		if (!has_one || !fits(w, out, now_utc_us))
			continue;
		*envelope_out = w->wants_envelope ? &w->envelope : NULL;
		return WALK_FOUND;
	}
	return WALK_LATER;
}
