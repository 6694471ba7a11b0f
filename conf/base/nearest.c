/* SPDX-License-Identifier: ISC */
/*
 * "Did you mean X?": the name that is fewest edits away from what was typed,
 * for configuration keys, names and commands. A suggestion must be worth
 * reading: one that shares less than two thirds of its letters is none.
 */
#include "conf/base/nearest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 63 /* longer ones have no neighbours */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int
fold(char c)
{
	return c == '_' ? '-' : tolower((unsigned char)c);
}

/* Optimal string alignment distance (Damerau-Levenshtein without a second
 * edit of one place), three rows of it at a time. */
static size_t
distance(const char *a, const char *b)
{
	size_t rows[3][NAME_MAX_LEN + 2];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	size_t n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		last[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			int x = fold(a[i - 1]), y = fold(b[j - 1]);

			row[j] = least(least(last[j], row[j - 1]) + 1,
			    last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == fold(b[j - 2]) &&
			    y == fold(a[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[n];
}

const char *
nearest_name(const char *typed, const char *(*name)(size_t i, const void *arg),
    const void *arg, size_t n)
{
	size_t len = strlen(typed), best = len < 6 ? 1 : len / 3;
	const char *found = NULL;

	if (len == 0 || len > NAME_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *candidate = name(i, arg);
		size_t d;

		if (strlen(candidate) > NAME_MAX_LEN)
			continue;
		d = distance(typed, candidate);
		/* What was typed half is nearer than any other. */
		if (len >= 2 && strncasecmp(typed, candidate, len) == 0)
			d = 0;
		/* Nothing of it is left: another name altogether. */
		if (d >= len || d > best || (d == best && found != NULL))
			continue;
		best = d;
		found = candidate;
	}
	return found;
}
