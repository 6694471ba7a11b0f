/* SPDX-License-Identifier: ISC */
/*
 * Conditions on lines of the event log, for those who follow it. A key is
 * found as its bytes, "key": with the quotes; within a string value quotes are
 * escaped, so these bytes can stand nowhere else in a line.
 */
#include "daemon/event_filter.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/selection.h"

#define TERMS_MAX 16
#define VALUE_MAX 1024 /* bytes of a value that are looked at */

struct term {
	char *needle; /* "key": */
	char *pattern;
};

struct event_filter {
	struct term terms[TERMS_MAX];
	size_t n;
};

static int
add_term(struct event_filter *f, const char *word, struct err *err_out)
{
	const char *equals = strchr(word, '=');
	struct term *t = &f->terms[f->n];

	if (equals == NULL || equals == word)
		return err_set(err_out,
		    "\"%.100s\" is no condition; write provider=gmail, or "
		    "recipient=*@example.com",
		    word);
	if (f->n == TERMS_MAX)
		return err_set(err_out, "at most %d conditions", TERMS_MAX);
	t->needle = xasprintf("\"%.*s\":", (int)(equals - word), word);
	t->pattern = xstrdup(equals + 1);
	f->n++;
	return 0;
}

struct event_filter *
event_filter_new(char *const *words, size_t n, struct err *err_out)
{
	struct event_filter *f = xcalloc(1, sizeof(*f));

	for (size_t i = 0; i < n; i++)
		if (add_term(f, words[i], err_out) < 0) {
			event_filter_free(f);
			return NULL;
		}
	return f;
}

void
event_filter_free(struct event_filter *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++) {
		free(f->terms[i].needle);
		free(f->terms[i].pattern);
	}
	free(f);
}

/* The value's text without its quotes, escapes as they stand. */
static bool
value_of(const struct term *t, const char *line, size_t len,
    char out[VALUE_MAX])
{
	const char *end = line + len;
	const char *p = memmem(line, len, t->needle, strlen(t->needle));
	bool is_string;
	size_t n = 0;

	if (p == NULL)
		return false;
	p += strlen(t->needle);
	is_string = p < end && *p == '"';
	p += is_string;
	for (; p < end && n + 2 < VALUE_MAX; p++) {
		if (is_string ? *p == '"' : *p == ',' || *p == '}')
			break;
		out[n++] = *p;
		if (is_string && *p == '\\' && p + 1 < end)
			out[n++] = *++p;
	}
	out[n] = '\0';
	return true;
}

static bool
term_fits(const struct term *t, const char *line, size_t len)
{
	char value[VALUE_MAX];

	return value_of(t, line, len, value) && pattern_fits(t->pattern, value);
}

bool
event_filter_fits(const struct event_filter *f, const char *line, size_t len)
{
	for (size_t i = 0; f != NULL && i < f->n; i++) {
		bool fits = false;

		/* Any term of the same key. */
		for (size_t j = 0; j < f->n && !fits; j++)
			fits = strcmp(f->terms[i].needle, f->terms[j].needle) ==
				0 &&
			    term_fits(&f->terms[j], line, len);
		if (!fits)
			return false;
	}
	return true;
}
