/* SPDX-License-Identifier: ISC */
/*
 * Brings replies into the one form that rules are written for. Servers wrap
 * one sentence over lines at any place, repeat the codes on each, and write
 * the same words with and without accents and capitals.
 *
 * Bytes come from peers: any byte may follow any other, and nothing is read
 * past the terminating zero.
 */
#include "scheduler/reply_text.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Of a longer reply the last bytes are kept: the last line decides. */
#define TAIL_SIZE 1024

/* What U+00C0..U+00FF and U+0100..U+017F are without accents, in lower case;
 * '*' = as it stands. */
static const char latin1[] = "aaaaaaaceeeeiiiidnooooo*ouuuuy*s"
			     "aaaaaaaceeeeiiiidnooooo*ouuuuy*y";
static const char latin_a[] = "aaaaaaccccccccddddeeeeeeeeeegggg"
			      "gggghhhhiiiiiiiiiiiijjkkklllllll"
			      "lllnnnnnnnnnoooooooorrrrrrssssss"
			      "ssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/* ---- codes ---- */

static bool
is_code(const char *s)
{
	return s[0] >= '2' && s[0] <= '5' && isdigit((unsigned char)s[1]) &&
	    isdigit((unsigned char)s[2]) &&
	    (s[3] == ' ' || s[3] == '-' || s[3] == '\0' || s[3] == '\r' ||
		s[3] == '\n');
}

static size_t
digits(const char *s, size_t most)
{
	size_t n = 0;

	while (n < most && isdigit((unsigned char)s[n]))
		n++;
	return n;
}

/* Bytes of "5.7.1" at the beginning; 0: none. */
static size_t
enhanced_len(const char *s)
{
	size_t subject, detail;

	if ((s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.')
		return 0;
	subject = digits(s + 2, 3);
	if (subject == 0 || s[2 + subject] != '.')
		return 0;
	detail = digits(s + 3 + subject, 3);
	if (detail == 0 || isdigit((unsigned char)s[3 + subject + detail]) ||
	    s[3 + subject + detail] == '.')
		return 0; /* a fourth part: an address */
	return 3 + subject + detail;
}

static const char *
line_end(const char *line)
{
	return line + strcspn(line, "\n");
}

int
reply_text_code(const char *reply, char enhanced[16])
{
	int code = 0;

	enhanced[0] = '\0';
	for (const char *line = reply; *line != '\0';) {
		if (is_code(line))
			code = (line[0] - '0') * 100 + (line[1] - '0') * 10 +
			    (line[2] - '0');
		line = line_end(line);
		line += *line == '\n';
	}
	for (const char *line = reply; *line != '\0';) {
		size_t len = is_code(line) && line[3] != '\0'
		    ? enhanced_len(line + 4)
		    : 0;

		if (len > 0 && len < 16 && line[4] == '0' + code / 100) {
			memcpy(enhanced, line + 4, len);
			enhanced[len] = '\0';
		}
		line = line_end(line);
		line += *line == '\n';
	}
	return code;
}

/* ---- letters ---- */

struct plain {
	char *out;
	size_t len, size;
};

static void
put(struct plain *p, unsigned char c)
{
	if (c <= ' ' || c == 0x7f) {
		if (p->len == 0 || p->out[p->len - 1] == ' ')
			return;
		c = ' ';
	}
	if (p->len < p->size)
		p->out[p->len++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* The letter without its accent, 0 = leave it; *used_out: bytes it took. */
static char
unaccented(const unsigned char *s, size_t *used_out)
{
	char c = '*';

	*used_out = 2;
	if (s[0] == 0xc3 && (s[1] & 0xc0) == 0x80) {
		c = latin1[s[1] & 0x3f];
	} else if ((s[0] == 0xc4 || s[0] == 0xc5) && (s[1] & 0xc0) == 0x80) {
		c = latin_a[(s[0] - 0xc4) * 64 + (s[1] & 0x3f)];
	} else if (s[0] >= 0xc0 && (s[1] & 0xc0) != 0x80) {
		*used_out = 1; /* no UTF-8, so Latin-1 */
		c = latin1[s[0] - 0xc0];
	}
	return c == '*' ? 0 : c;
}

static void
put_text(struct plain *p, const char *s, const char *end)
{
	while (s < end) {
		unsigned char c = (unsigned char)*s;
		size_t used = 1;
		char letter = 0;

		if (c >= 0xc0)
			letter = unaccented((const unsigned char *)s, &used);
		if (letter != 0) {
			put(p, (unsigned char)letter);
			s += used;
		} else {
			put(p, c);
			s++;
		}
	}
}

/* ---- the line ---- */

/* Where the words of a line begin: behind its code, and behind its enhanced
 * code where that is the reply's, which stands in front already. */
static const char *
words_of(const char *line, const char *enhanced)
{
	size_t len;

	if (!is_code(line))
		return line;
	line += 3;
	line += *line == ' ' || *line == '-';
	len = enhanced_len(line);
	if (len > 0 && strlen(enhanced) == len &&
	    strncmp(line, enhanced, len) == 0)
		line += len;
	return line;
}

size_t
reply_text_plain(const struct reply_fact *fact, char out[REPLY_TEXT_SIZE])
{
	const char *enhanced = fact->enhanced != NULL ? fact->enhanced : "";
	const char *text = fact->text != NULL ? fact->text : "";
	size_t len = strlen(text);
	const char *tail = text + len, *line = text;
	struct plain p = { out, 0, REPLY_TEXT_SIZE - 1 };
	char codes[32] = "";
	int n;

	n = fact->code > 0
	    ? snprintf(codes, sizeof(codes), "%d %.12s ", fact->code, enhanced)
	    : 0;
	put_text(&p, codes, codes + n);
	if (len > REPLY_TEXT_SIZE - 2 * sizeof(codes)) {
		tail -= TAIL_SIZE;
		p.size -= TAIL_SIZE + 1;
	}
	while (line < tail && p.len < p.size) {
		const char *end = line_end(line);

		line = words_of(line, enhanced);
		put_text(&p, line, end < tail ? end : tail);
		put(&p, ' ');
		line = end + (*end == '\n');
	}
	p.size = REPLY_TEXT_SIZE - 1;
	if (*tail != '\0') {
		put(&p, ' ');
		put_text(&p, tail, text + len);
	}
	while (p.len > 0 && p.out[p.len - 1] == ' ')
		p.len--;
	p.out[p.len] = '\0';
	return p.len;
}
