/* SPDX-License-Identifier: ISC */
/*
 * Lines of the admin socket: from bytes to words in the daemon, from words to
 * bytes in flyballctl. What one writes the other reads as the same words: a
 * test holds them to it. Pure.
 */
#include "daemon/command_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int
check_line(const char *line, size_t len, struct err *err_out)
{
	if (len > COMMAND_LINE_MAX)
		return err_set(err_out, "a command has at most %d bytes",
		    COMMAND_LINE_MAX);
	for (size_t i = 0; i < len; i++)
		if (is_control(line[i]) && line[i] != '\t')
			return err_set(err_out,
			    "a command holds no control characters, but byte "
			    "%zu is \\x%02x",
			    i + 1, (unsigned char)line[i]);
	return 0;
}

/* Copies one word to *to and returns where it ends; NULL: an open quote. */
static const char *
copy_word(const char *from, const char *end, char **to)
{
	bool is_quoted = false;

	for (; from < end && (is_quoted || !is_blank(*from)); from++) {
		if (*from == '"') {
			is_quoted = !is_quoted;
			continue;
		}
		if (is_quoted && *from == '\\' && from + 1 < end &&
		    (from[1] == '"' || from[1] == '\\'))
			from++;
		*(*to)++ = *from;
	}
	*(*to)++ = '\0';
	return is_quoted ? NULL : from;
}

int
words_split(const char *line, size_t len, struct words *out,
    struct err *err_out)
{
	const char *p = line, *end = line + len;
	size_t cap = 0;
	char *to;

	*out = (struct words){ 0 };
	if (check_line(line, len, err_out) < 0)
		return -1;
	/* Two words take at least three bytes of the line. */
	to = out->text = xmalloc(len + 2);
	for (;;) {
		while (p < end && is_blank(*p))
			p++;
		if (p == end)
			return 0;
		if (out->n == cap) {
			cap = cap ? 2 * cap : 16;
			out->v = xrealloc(out->v, cap * sizeof(*out->v));
		}
		out->v[out->n++] = to;
		p = copy_word(p, end, &to);
		if (p == NULL)
			break;
	}
	words_fini(out);
	return err_set(err_out, "a quote (\") is open at the end of the line");
}

void
words_fini(struct words *w)
{
	free(w->v);
	free(w->text);
	*w = (struct words){ 0 };
}

static void
add_word(struct strbuf *out, const char *word)
{
	if (*word != '\0' && strpbrk(word, " \t\"\\") == NULL) {
		strbuf_adds(out, word);
		return;
	}
	strbuf_addc(out, '"');
	for (; *word != '\0'; word++) {
		if (*word == '"' || *word == '\\')
			strbuf_addc(out, '\\');
		strbuf_addc(out, *word);
	}
	strbuf_addc(out, '"');
}

int
words_join(char *const *v, size_t n, struct strbuf *out, struct err *err_out)
{
	size_t start = out->len;

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			strbuf_addc(out, ' ');
		add_word(out, v[i]);
	}
	if (out->len == start)
		return 0;
	return check_line(out->data + start, out->len - start, err_out);
}
