/* SPDX-License-Identifier: ISC */
/*
 * JSON strings written straight into a growing buffer: the event log and the
 * operator's log make a line for each event, so this is on the way of every
 * message. Runs of plain bytes are copied whole; only what needs an escape is
 * looked at twice. Reading JSON, and documents with structure, are jansson's.
 */
#include "conf/base/json.h"

#include <stdbool.h>
#include <string.h>

#include "conf/base/address.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void
add_unicode_escape(struct strbuf *b, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	strbuf_add(b, text, sizeof(text));
}

static void
add_control(struct strbuf *b, unsigned char c)
{
	static const char short_names[] = "\b\t\n\f\r\"\\";
	static const char short_escapes[] = "btnfr\"\\";
	const char *found = c != '\0' ? strchr(short_names, c) : NULL;
	char text[2] = { '\\', '\0' };

	if (found == NULL) {
		add_unicode_escape(b, c);
		return;
	}
	text[1] = short_escapes[found - short_names];
	strbuf_add(b, text, sizeof(text));
}

/* What the lead byte promises; whether it is kept is for utf8_is_valid(). */
static size_t
promised_len(unsigned char lead)
{
	return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* A byte over 127 and what belongs to it; returns how many it took. */
static size_t
add_utf8(struct strbuf *b, const char *s, size_t len)
{
	size_t n = promised_len((unsigned char)*s);

	if (n > len || !utf8_is_valid(s, n)) {
		strbuf_add(b, REPLACEMENT, 3);
		return 1;
	}
	if ((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0)
		add_unicode_escape(b, (unsigned char)s[1]);
	else
		strbuf_add(b, s, n);
	return n;
}

void
strbuf_add_json_string(struct strbuf *b, const char *s, size_t len)
{
	size_t i = 0;

	strbuf_reserve(b, len + 2);
	strbuf_addc(b, '"');
	while (i < len) {
		size_t start = i;

		while (i < len && is_plain((unsigned char)s[i]))
			i++;
		strbuf_add(b, s + start, i - start);
		if (i == len)
			break;
		if ((unsigned char)s[i] < 0x80)
			add_control(b, (unsigned char)s[i++]);
		else
			i += add_utf8(b, s + i, len - i);
	}
	strbuf_addc(b, '"');
}

size_t
utf8_prefix_len(const char *s, size_t len, size_t max)
{
	size_t cut = max;

	if (len <= max)
		return len;
	/* Back over at most three continuation bytes to their lead. */
	while (cut > 0 && max - cut < 3 &&
	    ((unsigned char)s[cut] & 0xc0) == 0x80)
		cut--;
	/* More of them are no UTF-8: then any place is as good. */
	return ((unsigned char)s[cut] & 0xc0) == 0x80 ? max : cut;
}
