/* SPDX-License-Identifier: ISC */
/* Aligned columns for flyballctl. Widths are columns of a terminal, not bytes. */
#include "daemon/ctl_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/ctl_text.h"

#define COLUMNS_MAX 24
#define GAP	    2
/* The last column keeps so much, however narrow the terminal. */
#define LAST_MIN    20

struct column {
	char *title;
	bool is_right;
	bool is_optional;
	size_t width;
	size_t max; /* on a terminal; 0 = any */
};

struct cell {
	char *text;
	enum colour colour;
};

struct table {
	const struct ctl *ctl;
	struct column columns[COLUMNS_MAX];
	size_t n_columns;
	struct cell *cells;
	size_t n_cells, cap;
};

struct table *
table_new(const struct ctl *ctl)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->ctl = ctl;
	return t;
}

void
table_free(struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++)
		free(t->columns[i].title);
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

void
table_column(struct table *t, const char *title, bool is_right)
{
	struct column *c = &t->columns[t->n_columns];

	if (t->n_columns == COLUMNS_MAX)
		return;
	t->n_columns++;
	c->title = xstrdup(title);
	c->is_right = is_right;
	c->width = text_columns(title, strlen(title));
}

void
table_optional(struct table *t)
{
	t->columns[t->n_columns - 1].is_optional = true;
}

void
table_max(struct table *t, size_t columns)
{
	t->columns[t->n_columns - 1].max = columns;
}

void
table_cell(struct table *t, enum colour colour, const char *text)
{
	struct column *c = &t->columns[t->n_cells % t->n_columns];
	size_t width = text_columns(text, strlen(text));

	if (t->n_cells == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cells = xrealloc(t->cells, t->cap * sizeof(*t->cells));
	}
	t->cells[t->n_cells++] = (struct cell){ xstrdup(text), colour };
	if (width > c->width)
		c->width = width;
}

size_t
table_n_rows(const struct table *t)
{
	return t->n_cells / t->n_columns;
}

const char *
colour_on(const struct ctl *ctl, enum colour colour)
{
	static const char *const codes[] = {
		[PLAIN] = "",
		[GREEN] = "\033[32m",
		[YELLOW] = "\033[33m",
		[RED] = "\033[31m",
		[BOLD] = "\033[1m",
		[FAINT] = "\033[2m",
	};

	return ctl->has_colour ? codes[colour] : "";
}

const char *
colour_off(const struct ctl *ctl, enum colour colour)
{
	return ctl->has_colour && colour != PLAIN ? "\033[0m" : "";
}

/* ---- printing ---- */

/* What a terminal's width makes of the columns. */
struct layout {
	bool is_hidden[COLUMNS_MAX];
	size_t width[COLUMNS_MAX];
	size_t last; /* the last column that is shown */
};

static size_t
total(const struct table *t, const struct layout *l)
{
	size_t sum = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		if (!l->is_hidden[i])
			sum += GAP +
			    (i == l->last && l->width[i] > LAST_MIN
				    ? LAST_MIN
				    : l->width[i]);
	return sum - GAP;
}

/* Optional columns go, from the right, until the rest fits. */
static void
hide_columns(const struct table *t, struct layout *l)
{
	for (size_t i = t->n_columns; i-- > 0;) {
		if (total(t, l) <= t->ctl->width)
			return;
		if (t->columns[i].is_optional)
			l->is_hidden[i] = true;
		while (l->last > 0 && l->is_hidden[l->last])
			l->last--;
	}
}

static void
lay_out(const struct table *t, struct layout *l)
{
	size_t used = 0;

	*l = (struct layout){ .last = t->n_columns - 1 };
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct column *c = &t->columns[i];

		l->width[i] = c->width;
		if (t->ctl->width > 0 && c->max > 0 && c->width > c->max)
			l->width[i] = c->max;
	}
	if (t->ctl->width == 0)
		return;
	hide_columns(t, l);
	for (size_t i = 0; i < l->last; i++)
		used += l->is_hidden[i] ? 0 : l->width[i] + GAP;
	if (used + l->width[l->last] > t->ctl->width)
		l->width[l->last] = used + LAST_MIN > t->ctl->width
		    ? LAST_MIN
		    : t->ctl->width - used;
}

static void
pad(size_t n, FILE *to)
{
	fprintf(to, "%*s", (int)n, "");
}

static void
print_cell(const struct table *t, const struct layout *l, size_t i,
    const char *text, enum colour colour, FILE *to)
{
	size_t width = text_columns(text, strlen(text));
	size_t len = strlen(text), room = l->width[i];
	bool is_cut = width > room, is_right = t->columns[i].is_right;

	if (is_cut) {
		len = text_prefix(text, room - 1);
		width = room;
	}
	if (is_right)
		pad(room - width, to);
	fprintf(to, "%s%.*s%s%s", colour_on(t->ctl, colour), (int)len, text,
	    is_cut ? "\u2026" : "", colour_off(t->ctl, colour));
	if (i < l->last)
		pad((is_right ? 0 : room - width) + GAP, to);
}

void
table_print(const struct table *t, FILE *to)
{
	struct layout l;

	lay_out(t, &l);
	for (size_t i = 0; i < t->n_columns; i++)
		if (!l.is_hidden[i])
			print_cell(t, &l, i, t->columns[i].title, BOLD, to);
	fputc('\n', to);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t column = i % t->n_columns;

		if (!l.is_hidden[column])
			print_cell(t, &l, column, t->cells[i].text,
			    t->cells[i].colour, to);
		if (column + 1 == t->n_columns)
			fputc('\n', to);
	}
}
