/* SPDX-License-Identifier: ISC */
/*
 * Bytes of any origin made fit for a message: header fields folded and free of
 * controls, quoted-printable, and the question whether content needs either.
 * Used for the notices that we write (dsn.c); content that we pass on is never
 * touched.
 *
 * The rule: whatever comes in, what goes out has only CRLF line ends, none of
 * its lines is over MIME_LINE_MAX, and a field is one field.
 */
#include "sink/mime_text.h"

#include <string.h>

#include "conf/base/address.h"

#define FOLD_AT	    78
#define PIECE_MAX   900 /* of a word without white space, or a cut line */
#define QP_LINE_MAX 76

bool
mime_has_8bit(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)data[i] > 127)
			return true;
	return false;
}

bool
mime_is_plain(const char *data, size_t len, bool eight_bit_ok)
{
	size_t line = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '\r' && i + 1 < len && data[i + 1] == '\n') {
			i++;
			line = 0;
			continue;
		}
		if (c == '\0' || c == '\r' || c == '\n')
			return false;
		if (c > 127 && !eight_bit_ok)
			return false;
		if (++line > MIME_LINE_MAX)
			return false;
	}
	return true;
}

/* ---- quoted-printable ---- */

static bool
at_line_end(const char *data, size_t len, size_t i)
{
	return i == len || (i + 1 < len && memcmp(data + i, "\r\n", 2) == 0);
}

static bool
needs_encoding(const char *data, size_t len, size_t i)
{
	unsigned char c = (unsigned char)data[i];

	if (c == ' ' || c == '\t')
		return at_line_end(data, len, i + 1);
	return c < 33 || c > 126 || c == '=';
}

void
mime_add_qp(struct strbuf *out, const char *data, size_t len)
{
	size_t line = 0;

	for (size_t i = 0; i < len; i++) {
		bool encode;
		size_t room;

		if (i + 1 < len && memcmp(data + i, "\r\n", 2) == 0) {
			strbuf_adds(out, "\r\n");
			i++;
			line = 0;
			continue;
		}
		encode = needs_encoding(data, len, i);
		/* The last place of a line is for the "=" of a soft break. */
		room = at_line_end(data, len, i + 1) ? QP_LINE_MAX
						     : QP_LINE_MAX - 1;
		if (line + (encode ? 3 : 1) > room) {
			strbuf_adds(out, "=\r\n");
			line = 0;
		}
		if (encode)
			strbuf_addf(out, "=%02X", (unsigned char)data[i]);
		else
			strbuf_addc(out, data[i]);
		line += encode ? 3 : 1;
	}
}

/* ---- header fields ---- */

/* Length of the sequence at s and its code point; 0 = none. */
static size_t
read_utf8(const char *s, size_t len, unsigned *point_out)
{
	unsigned char c = len > 0 ? (unsigned char)s[0] : 0;
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
	unsigned point = n == 1 ? c : c & (0x7fu >> n);

	if (len < n || !utf8_is_valid(s, n))
		return 0;
	for (size_t i = 1; i < n; i++)
		point = point << 6 | ((unsigned char)s[i] & 0x3f);
	*point_out = point;
	return n;
}

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Adds the character at s, made harmless; returns what it took of s. */
static size_t
add_char(struct strbuf *out, const char *s, size_t len, bool utf8_ok)
{
	unsigned point = 0;
	size_t n = read_utf8(s, len, &point);

	if (n == 0 || point < 32 || (point >= 127 && point < 160)) {
		strbuf_addc(out, '?');
		return n == 0 ? 1 : n;
	}
	if (n == 1 || utf8_ok)
		strbuf_add(out, s, n);
	else
		strbuf_addf(out, "\\x{%02X}", point);
	return n;
}

/* The length of the next piece of s, at most max and not in the middle of a
 * character (what add_char() wrote is UTF-8). */
static size_t
piece_len(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 1 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static void
add_word(struct strbuf *out, const char *word, size_t len, size_t *column)
{
	while (len > 0) {
		size_t n = piece_len(word, len, PIECE_MAX);

		if (*column + 1 + n > FOLD_AT && *column > 0) {
			strbuf_adds(out, "\r\n");
			*column = 0;
		}
		strbuf_addc(out, ' ');
		strbuf_add(out, word, n);
		*column += 1 + n;
		word += n;
		len -= n;
	}
}

void
mime_add_field(struct strbuf *out, const char *name, const char *text,
    bool utf8_ok)
{
	size_t len = strlen(text), column = 0;
	struct strbuf word = { 0 };
	bool is_first = true;

	strbuf_addf(out, "%s:", name);
	for (size_t i = 0; i < len;) {
		strbuf_reset(&word);
		while (i < len && is_white(text[i]))
			i++;
		while (i < len && !is_white(text[i]))
			i += add_char(&word, text + i, len - i, utf8_ok);
		if (word.len == 0)
			break;
		add_word(out, word.data, word.len, &column);
		/* Nothing folds between the name and the first word. */
		if (is_first)
			column += strlen(name) + 1;
		is_first = false;
	}
	strbuf_adds(out, "\r\n");
	strbuf_fini(&word);
}

void
mime_add_field_verbatim(struct strbuf *out, const char *name, const char *text,
    bool utf8_ok)
{
	size_t len = strlen(text);
	struct strbuf line = { 0 };

	for (size_t i = 0; i < len;)
		i += add_char(&line, text + i, len - i, utf8_ok);
	strbuf_addf(out, "%s: ", name);
	if (line.len > 0)
		strbuf_add(out, line.data,
		    piece_len(line.data, line.len, PIECE_MAX));
	strbuf_adds(out, "\r\n");
	strbuf_fini(&line);
}
