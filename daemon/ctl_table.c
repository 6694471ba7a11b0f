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
	size_t width;
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

/* How wide the last column may be. */
static size_t
last_room(const struct table *t)
{
	size_t used = 0;

	if (t->ctl->width == 0)
		return SIZE_MAX;
	for (size_t i = 0; i + 1 < t->n_columns; i++)
		used += t->columns[i].width + GAP;
	return used + LAST_MIN > t->ctl->width ? LAST_MIN
					       : t->ctl->width - used;
}

static void
pad(size_t n, FILE *to)
{
	fprintf(to, "%*s", (int)n, "");
}

static void
print_cell(const struct table *t, size_t column, const char *text,
    enum colour colour, FILE *to)
{
	const struct column *c = &t->columns[column];
	bool is_last = column + 1 == t->n_columns;
	size_t width = text_columns(text, strlen(text));
	size_t len = strlen(text), room = last_room(t);
	bool is_cut = is_last && width > room;

	if (is_cut)
		len = text_prefix(text, room - 1);
	if (c->is_right && width < c->width)
		pad(c->width - width, to);
	fprintf(to, "%s%.*s%s%s", colour_on(t->ctl, colour), (int)len, text,
	    is_cut ? "\u2026" : "", colour_off(t->ctl, colour));
	if (is_last)
		return;
	pad((c->is_right || width >= c->width ? 0 : c->width - width) + GAP,
	    to);
}

void
table_print(const struct table *t, FILE *to)
{
	for (size_t i = 0; i < t->n_columns; i++)
		print_cell(t, i, t->columns[i].title, BOLD, to);
	fputc('\n', to);
	for (size_t i = 0; i < t->n_cells; i++) {
		print_cell(t, i % t->n_columns, t->cells[i].text,
		    t->cells[i].colour, to);
		if ((i + 1) % t->n_columns == 0)
			fputc('\n', to);
	}
}
