/* SPDX-License-Identifier: ISC */
/*
 * The list of what is wrong with a configuration. The parser, the key table
 * and the rules add to it in whatever order they find things; it is printed
 * in the order of the file. One mistake is one line: bytes of the file that
 * would break the line are shown as "?".
 */
#include "conf/mistakes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define KEEP_MAX  1000
#define TEXT_SIZE 768

struct mistake {
	struct place at;
	size_t number; /* keeps the order within one place */
	char *text;
};

void
mistakes_fini(struct mistakes *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].text);
	free(m->v);
	*m = (struct mistakes){ 0 };
}

void
mistakes_add_va(struct mistakes *m, struct place at, const char *path,
    const char *fmt, va_list ap)
{
	char text[TEXT_SIZE];
	size_t used = 0;

	if (m->n == KEEP_MAX) {
		m->n_more++;
		return;
	}
	if (path[0] != '\0') {
		snprintf(text, sizeof(text), "%.200s: ", path);
		used = strlen(text);
	}
	vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			*p = '?';
	m->v = xrealloc(m->v, (m->n + 1) * sizeof(*m->v));
	m->v[m->n] = (struct mistake){ at, m->n, xstrdup(text) };
	m->n++;
}

void
mistakes_add(struct mistakes *m, struct place at, const char *path,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mistakes_add_va(m, at, path, fmt, ap);
	va_end(ap);
}

static int
compare(const void *a_v, const void *b_v)
{
	const struct mistake *a = a_v, *b = b_v;

	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	if (a->at.column != b->at.column)
		return a->at.column < b->at.column ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

void
mistakes_write(struct mistakes *m, struct strbuf *out)
{
	if (m->n > 0)
		qsort(m->v, m->n, sizeof(*m->v), compare);
	for (size_t i = 0; i < m->n; i++) {
		const struct mistake *k = &m->v[i];

		if (k->at.line > 0)
			strbuf_addf(out, "%s:%u:%u: %s\n", k->at.file,
			    k->at.line, k->at.column, k->text);
		else
			strbuf_addf(out, "%s: %s\n", k->at.file, k->text);
	}
	if (m->n_more > 0)
		strbuf_addf(out, "%s: and %zu more mistakes\n", m->v[0].at.file,
		    m->n_more);
}
