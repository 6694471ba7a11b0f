/* SPDX-License-Identifier: ISC */
/*
 * Numbers and texts for people: flyballctl's tables are made of these. The
 * daemon's answers are exact; here they are rounded to what one reads at a
 * glance. Everything that came from a peer passes text_add_clean().
 */
#include "daemon/ctl_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "conf/base/json.h"

/* ---- numbers ---- */

void
text_add_span(struct strbuf *out, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" },
		{ 1000, "s" } };
	size_t i = 0;

	if (ms < 0)
		ms = 0;
	if (ms < 1000) {
		strbuf_addf(out, "%" PRId64 "ms", ms);
		return;
	}
	while (ms < units[i].ms)
		i++;
	strbuf_addf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
	if (units[i].ms == 1000)
		return;
	ms = ms % units[i].ms / units[i + 1].ms;
	if (ms > 0)
		strbuf_addf(out, "%" PRId64 "%s", ms, units[i + 1].name);
}

void
text_add_count(struct strbuf *out, int64_t n)
{
	if (n < 0 || n >= 10000000)
		strbuf_addf(out, "%.4gM", (double)n / 1e6);
	else if (n >= 1000000)
		strbuf_addf(out, "%d,%03d,%03d", (int)(n / 1000000),
		    (int)(n / 1000 % 1000), (int)(n % 1000));
	else if (n >= 1000)
		strbuf_addf(out, "%d,%03d", (int)(n / 1000), (int)(n % 1000));
	else
		strbuf_addf(out, "%d", (int)n);
}

void
text_add_bytes(struct strbuf *out, int64_t bytes)
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t i = 0;

	for (; value >= 1024 && i + 1 < sizeof(names) / sizeof(*names); i++)
		value /= 1024;
	strbuf_addf(out, i == 0 || value >= 99.95 ? "%.0f%s" : "%.3g%s", value,
	    names[i]);
}

void
text_add_per_s(struct strbuf *out, double per_s)
{
	static const struct {
		double seconds;
		const char *name;
	} units[] = { { 1, "s" }, { 60, "min" }, { 3600, "h" },
		{ 86400, "day" } };
	size_t i = 0;

	if (per_s <= 0) {
		strbuf_addc(out, '0');
		return;
	}
	while (per_s * units[i].seconds < 1 && i < 3)
		i++;
	strbuf_addf(out,
	    per_s * units[i].seconds >= 100 ? "%.0f/%s" : "%.3g/%s",
	    per_s * units[i].seconds, units[i].name);
}

/* ---- text of others ---- */

void
text_add_clean(struct strbuf *out, const char *text, const char *line_end)
{
	const unsigned char *p = (const unsigned char *)text;

	for (; *p != '\0'; p++) {
		if (p[0] == '\r' && p[1] == '\n')
			continue;
		if (*p == '\n')
			strbuf_adds(out, line_end);
		else if (*p < ' ' || *p == 0x7f)
			strbuf_addf(out, "\\x%02x", *p);
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			strbuf_addf(out, "\\x%02x", *++p); /* C1 controls */
		else
			strbuf_addc(out, (char)*p);
	}
}

/* One character: its bytes, and the columns it takes. */
static size_t
character(const char *text, size_t len, size_t *columns_out)
{
	size_t n = 1;
	wchar_t wide;
	mbstate_t state = { 0 };
	int columns;

	while (n < len && ((unsigned char)text[n] & 0xc0) == 0x80)
		n++;
	*columns_out = 1;
	/* Works where the locale is UTF-8; elsewhere one is a fair guess. */
	if (mbrtowc(&wide, text, n, &state) == n) {
		columns = wcwidth(wide);
		*columns_out = columns >= 0 ? (size_t)columns : 1;
	}
	return n;
}

size_t
text_columns(const char *text, size_t len)
{
	size_t sum = 0, columns;

	for (size_t i = 0; i < len; sum += columns)
		i += character(text + i, len - i, &columns);
	return sum;
}

size_t
text_prefix(const char *text, size_t columns)
{
	size_t len = strlen(text), i = 0, sum = 0, n, wide;

	while (i < len) {
		n = character(text + i, len - i, &wide);
		if (sum + wide > columns)
			break;
		sum += wide;
		i += n;
	}
	return i;
}

/* ---- JSON ---- */

static bool
ends_with(const char *key, const char *end)
{
	size_t len = strlen(key), n = strlen(end);

	return len > n && strcmp(key + len - n, end) == 0;
}

static void
add_number(struct strbuf *out, const char *key, const json_t *value)
{
	double number = json_number_value(value);

	if (ends_with(key, "_ms"))
		text_add_span(out, (int64_t)number);
	else if (ends_with(key, "_bytes") || strcmp(key, "bytes") == 0)
		text_add_bytes(out, (int64_t)number);
	else if (ends_with(key, "_per_s"))
		text_add_per_s(out, number);
	else if (strcmp(key, "pid") == 0 || strcmp(key, "code") == 0)
		strbuf_addf(out, "%.0f", number);
	else if (json_is_real(value))
		strbuf_addf(out, "%.4g", number);
	else
		text_add_count(out, json_integer_value(value));
}

void
text_add_value(struct strbuf *out, const char *key, const json_t *value)
{
	const json_t *one;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_STRING:
		text_add_clean(out, json_string_value(value), " / ");
		return;
	case JSON_INTEGER:
	case JSON_REAL:
		add_number(out, key, value);
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		strbuf_adds(out, json_is_true(value) ? "yes" : "no");
		return;
	case JSON_ARRAY:
		json_array_foreach(value, i, one)
		{
			if (i > 0)
				strbuf_adds(out, ", ");
			text_add_value(out, key, one);
		}
		if (json_array_size(value) == 0)
			strbuf_addc(out, '-');
		return;
	case JSON_NULL:
	case JSON_OBJECT:
		strbuf_addc(out, '-');
		return;
	}
}

void
text_add_label(struct strbuf *out, const char *key)
{
	static const char *const units[] = { "_ms", "_bytes", "_per_s" };
	size_t len = strlen(key);

	if (strncmp(key, "is_", 3) == 0) {
		key += 3;
		len -= 3;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (ends_with(key, units[i]))
			len -= strlen(units[i]);
	for (size_t i = 0; i < len; i++)
		strbuf_addc(out, key[i] == '_' ? ' ' : key[i]);
}
