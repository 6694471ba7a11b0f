/* SPDX-License-Identifier: ISC */
/*
 * The ledger: facts by plan day, 400 days of them, 64 bytes a day on which
 * something happened. Plans, guards and list health count here; the daemon
 * stores the rows that changed, in the commit that settles what changed them.
 *
 * It only keeps: what a fact means for a plan is decided elsewhere.
 */
#include "scheduler/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

static const char *const names[LEDGER_FACTS] = {
	[LEDGER_ATTEMPTED] = "attempted",
	[LEDGER_ACCEPTED] = "accepted",
	[LEDGER_DEFERRED] = "deferred",
	[LEDGER_REJECTED] = "rejected",
	[LEDGER_BOUNCED] = "bounced",
	[LEDGER_COMPLAINED] = "complained",
	[LEDGER_OVERFLOWED] = "overflowed",
	[LEDGER_HELD] = "held",
	[LEDGER_SLOWED] = "slowed",
	[LEDGER_DIRTY] = "dirty",
	[LEDGER_CHARGED] = "charged",
	[LEDGER_ALLOWED] = "allowed",
	[LEDGER_STAGE] = "stage",
	[LEDGER_RESERVED] = "reserved",
};

const char *
ledger_fact_name(enum ledger_fact fact)
{
	return (size_t)fact < LEDGER_FACTS ? names[fact] : "unknown";
}

void
ledger_fini(struct ledger *l)
{
	free(l->rows);
	free(l->gone);
	*l = (struct ledger){ 0 };
}

/* The place of the first row that isn't before `day`. The newest are asked
 * for, so the search begins at the end. */
static uint32_t
place_of(const struct ledger *l, int64_t day)
{
	uint32_t low = 0, high = l->n;

	if (l->n > 0 && l->rows[l->n - 1].day < day)
		return l->n;
	if (l->n > 0 && l->rows[l->n - 1].day == day)
		return l->n - 1;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (l->rows[mid].day < day)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct ledger_row *
ledger_find(const struct ledger *l, int64_t day)
{
	uint32_t i = place_of(l, day);

	return i < l->n && l->rows[i].day == day ? &l->rows[i] : NULL;
}

int64_t
ledger_get(const struct ledger *l, int64_t day, enum ledger_fact fact)
{
	const struct ledger_row *row = ledger_find(l, day);

	return row != NULL ? row->facts[fact] : 0;
}

static void
note_gone(struct ledger *l, int64_t day)
{
	if (!l->is_stored)
		return;
	if (l->n_gone == l->cap_gone) {
		l->cap_gone = l->cap_gone > 0 ? l->cap_gone * 2 : 4;
		l->gone = xrealloc(l->gone, l->cap_gone * sizeof(*l->gone));
	}
	l->gone[l->n_gone++] = day;
}

void
ledger_forget(struct ledger *l, int64_t day)
{
	uint32_t n = place_of(l, day);

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		l->n_changed -= l->rows[i].is_changed;
		note_gone(l, l->rows[i].day);
	}
	memmove(l->rows, l->rows + n, (l->n - n) * sizeof(*l->rows));
	l->n -= n;
}

struct ledger_row *
ledger_row(struct ledger *l, int64_t day)
{
	uint32_t i = place_of(l, day);

	if (i < l->n && l->rows[i].day == day)
		return &l->rows[i];
	if (i == l->n) {
		ledger_forget(l, day - LEDGER_DAYS + 1);
		i = l->n;
	}
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 4;
		l->rows = xrealloc(l->rows, l->cap * sizeof(*l->rows));
	}
	memmove(l->rows + i + 1, l->rows + i, (l->n - i) * sizeof(*l->rows));
	l->n++;
	l->rows[i] = (struct ledger_row){ .day = day };
	return &l->rows[i];
}

void
ledger_set(struct ledger *l, int64_t day, enum ledger_fact fact, int64_t n)
{
	struct ledger_row *row = ledger_row(l, day);
	uint32_t value = n < 0	      ? 0
	    : n > (int64_t)LEDGER_MAX ? LEDGER_MAX
				      : (uint32_t)n;

	if (row->facts[fact] == value)
		return;
	row->facts[fact] = value;
	if (!row->is_changed)
		l->n_changed++;
	row->is_changed = true;
}

void
ledger_add(struct ledger *l, int64_t day, enum ledger_fact fact, int64_t n)
{
	if (n != 0)
		ledger_set(l, day, fact, ledger_get(l, day, fact) + n);
}

int64_t
ledger_peak(const struct ledger *l, int64_t from, int64_t to,
    enum ledger_fact fact)
{
	int64_t peak = 0;

	for (uint32_t i = place_of(l, from); i < l->n && l->rows[i].day <= to;
	     i++)
		if (l->rows[i].facts[fact] > peak)
			peak = l->rows[i].facts[fact];
	return peak;
}

/* ---- stored ---- */

#define VERSION 1

char *
ledger_row_format(const struct ledger_row *row, char out[LEDGER_TEXT_SIZE])
{
	int len = snprintf(out, LEDGER_TEXT_SIZE, "%d", VERSION);

	for (int i = 0; i < LEDGER_FACTS; i++)
		len += snprintf(out + len, LEDGER_TEXT_SIZE - (size_t)len,
		    " %u", row->facts[i]);
	return out;
}

/* One number of plain digits; false: there is none. */
static bool
take_number(const char **text, uint64_t max, uint64_t *out)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*out = strtoull(*text, &end, 10);
	if (errno != 0 || *out > max)
		return false;
	*text = end;
	return true;
}

int
ledger_row_parse(struct ledger *l, int64_t day, const char *text)
{
	struct ledger_row read = { .day = day };
	uint64_t n;

	if (!take_number(&text, VERSION, &n) || n == 0)
		return -1;
	for (int i = 0; i < LEDGER_FACTS && *text == ' '; i++) {
		text++;
		if (!take_number(&text, LEDGER_MAX, &n))
			return -1;
		read.facts[i] = (uint32_t)n;
	}
	if (*text != '\0')
		return -1;
	l->n_changed -= ledger_row(l, day)->is_changed;
	*ledger_row(l, day) = read;
	return 0;
}
