/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CTL_TABLE_H
#define FLYBALL_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "daemon/ctl.h"

/*
 * Rows of text in aligned columns, printed when they are all there. On a
 * terminal the last column is cut to what is left of the line; where the
 * output goes elsewhere nothing is cut and nothing left out.
 */
enum colour { PLAIN, GREEN, YELLOW, RED, BOLD, FAINT };

struct table;
struct table *table_new(const struct ctl *ctl);
void table_free(struct table *t);

/* Columns, before the first row. */
void table_column(struct table *t, const char *title, bool is_right);
/* About the column that was just made: it goes where a terminal is too narrow
 * for all; it is cut to so many columns of a terminal. */
void table_optional(struct table *t);
void table_max(struct table *t, size_t columns);
/* The next cell, from left to right; a row ends by itself. The text must be
 * clean. */
void table_cell(struct table *t, enum colour colour, const char *text);
size_t table_n_rows(const struct table *t);
void table_print(const struct table *t, FILE *to);

/* The escape sequences, "" without colour. */
const char *colour_on(const struct ctl *ctl, enum colour colour);
const char *colour_off(const struct ctl *ctl, enum colour colour);

#endif
