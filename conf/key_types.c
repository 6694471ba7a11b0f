/* SPDX-License-Identifier: ISC */
/*
 * The types of values that are one word or one measure with its unit. Rows of
 * the key table name them; text is in key_text.c, what has several parts in
 * key_lists.c and key_hosts.c.
 *
 * A type checks one value by itself. Whether values agree with each other is
 * for rules.c.
 */
#include "conf/key_types.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/nearest.h"

/* ---- words ---- */

const char *
key_word_of(const struct key_word *words, int64_t value)
{
	for (; words != NULL && words->word != NULL; words++)
		if (words->value == value)
			return words->word;
	return NULL;
}

static const char *
word_name(size_t i, const void *arg)
{
	return ((const struct key_word *)arg)[i].word;
}

static bool
read_word_of(struct reader *r, const struct key_word *words, struct node *n,
    int64_t *out)
{
	const char *text = key_node_text(r, n, "word"), *near;
	char list[160] = "";
	size_t count = 0;

	if (text == NULL)
		return false;
	for (; words[count].word != NULL; count++) {
		if (strcmp(words[count].word, text) == 0) {
			*out = words[count].value;
			return true;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
		    "%s%s",
		    count == 0				? ""
			: words[count + 1].word == NULL ? " or "
							: ", ",
		    words[count].word);
	}
	near = nearest_name(text, word_name, words, count);
	reader_fail(r, n, "\"%.40s\" isn't one of %s%s%s%s", text, list,
	    near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
	return false;
}

static bool
read_word(struct reader *r, const struct key *k, struct node *n, void *base)
{
	int64_t value;

	if (!read_word_of(r, k->words, n, &value))
		return false;
	*(int *)KEY_FIELD(k, base) = (int)value;
	return true;
}

static void
write_word(const struct key *k, const void *base, struct strbuf *out)
{
	strbuf_adds(out,
	    key_word_of(k->words, *(const int *)KEY_FIELD_CONST(k, base)));
}

const struct key_type type_word = {
	.doc = "word",
	.read = read_word,
	.write = write_word,
};

static const struct key_word bools[] = { { "true", 1 }, { "false", 0 },
	{ "yes", 1 }, { "no", 0 }, { "on", 1 }, { "off", 0 }, { NULL, 0 } };

static bool
read_bool(struct reader *r, const struct key *k, struct node *n, void *base)
{
	int64_t value;

	if (!read_word_of(r, bools, n, &value))
		return false;
	*(bool *)KEY_FIELD(k, base) = value != 0;
	return true;
}

static void
write_bool(const struct key *k, const void *base, struct strbuf *out)
{
	strbuf_adds(out,
	    *(const bool *)KEY_FIELD_CONST(k, base) ? "true" : "false");
}

const struct key_type type_bool = {
	.doc = "true | false",
	.read = read_bool,
	.write = write_bool,
};

/* ---- measures ---- */

/* How a measure is spelled: its parser and its writer. */
struct measure {
	const struct key_type *type;
	const char *wanted;
	int (*parse)(const char *s, int64_t *out, struct err *err_out);
	char *(*format)(int64_t value, char out[UNITS_TEXT_SIZE]);
};

static char *
format_count(int64_t value, char out[UNITS_TEXT_SIZE])
{
	snprintf(out, UNITS_TEXT_SIZE, "%" PRId64, value);
	return out;
}

/* "2", "1.5", in permille. */
static int
parse_factor(const char *s, int64_t *out, struct err *err_out)
{
	char *end;
	size_t whole = strspn(s, "0123456789"), fine = 0;

	if (s[whole] == '.')
		fine = strspn(s + whole + 1, "0123456789");
	if (whole == 0 || whole > 9 || fine > 3 ||
	    strlen(s) != whole + (s[whole] == '.' ? fine + 1 : 0) ||
	    (s[whole] == '.' && fine == 0))
		return err_set(err_out,
		    "\"%.40s\" is no factor; write 2 or 1.5", s);
	*out = strtoll(s, &end, 10) * 1000;
	for (int64_t unit = 100; fine > 0; fine--, unit /= 10)
		*out += (*++end - '0') * unit;
	return 0;
}

static char *
format_factor(int64_t value, char out[UNITS_TEXT_SIZE])
{
	int n = snprintf(out, UNITS_TEXT_SIZE, "%" PRId64 ".%03d", value / 1000,
	    (int)(value % 1000));

	while (out[n - 1] == '0')
		out[--n] = '\0';
	if (out[n - 1] == '.')
		out[n - 1] = '\0';
	return out;
}

/* "<10%"; the sign may be left out. */
static int
parse_below(const char *s, int64_t *out, struct err *err_out)
{
	if (*s == '<')
		s += 1 + (s[1] == ' ');
	return units_parse_permille(s, out, err_out);
}

static char *
format_below(int64_t value, char out[UNITS_TEXT_SIZE])
{
	char share[UNITS_TEXT_SIZE];

	snprintf(out, UNITS_TEXT_SIZE, "<%.30s",
	    units_format_permille(value, share));
	return out;
}

static const struct measure measures[] = {
	{ &type_number, "number", units_parse_count, format_count },
	{ &type_count, "number", units_parse_count, format_count },
	{ &type_duration, "duration", units_parse_duration,
	    units_format_duration },
	{ &type_size, "size", units_parse_size, units_format_size },
	{ &type_share, "percentage", units_parse_permille,
	    units_format_permille },
	{ &type_below, "percentage", parse_below, format_below },
	{ &type_factor, "factor", parse_factor, format_factor },
};

static const struct measure *
measure_of(const struct key_type *type)
{
	const struct measure *m = measures;

	while (m->type != type)
		m++;
	return m;
}

bool
key_read_measure(struct reader *r, const struct key *k, struct node *n,
    int64_t *out)
{
	const struct measure *m = measure_of(k->type);
	const char *text = key_node_text(r, n, m->wanted);
	char bound[UNITS_TEXT_SIZE], *bound_text;
	struct err err;
	int64_t value;

	if (text == NULL)
		return false;
	for (const struct key_word *w = k->words; w && w->word; w++)
		if (strcmp(w->word, text) == 0) {
			*out = w->value;
			return true;
		}
	if (m->parse(text, &value, &err) < 0) {
		reader_fail(r, n, "%s%s%s", err.text, k->words ? ", or " : "",
		    k->words ? k->words[0].word : "");
		return false;
	}
	if ((k->min != 0 || k->max != 0) &&
	    (value < k->min || value > k->max)) {
		bound_text = m->format(value < k->min ? k->min : k->max, bound);
		/* "<10%" is how it is written, not what the bound is. */
		reader_fail(r, n, "\"%.40s\" is too %s; the %s is %s%s%s", text,
		    value < k->min ? "small" : "large",
		    value < k->min ? "least" : "most",
		    bound_text + (bound_text[0] == '<'),
		    k->bound_why ? ": " : "", k->bound_why ? k->bound_why : "");
		return false;
	}
	*out = value;
	return true;
}

static bool
read_wide(struct reader *r, const struct key *k, struct node *n, void *base)
{
	return key_read_measure(r, k, n, KEY_FIELD(k, base));
}

static bool
read_number(struct reader *r, const struct key *k, struct node *n, void *base)
{
	int64_t value;

	if (!key_read_measure(r, k, n, &value))
		return false;
	*(unsigned *)KEY_FIELD(k, base) = (unsigned)value;
	return true;
}

static void
write_measure(const struct key *k, const void *base, struct strbuf *out)
{
	char text[UNITS_TEXT_SIZE];
	int64_t value = k->type == &type_number
	    ? (int64_t) * (const unsigned *)KEY_FIELD_CONST(k, base)
	    : *(const int64_t *)KEY_FIELD_CONST(k, base);
	const char *word = key_word_of(k->words, value);

	if (word == NULL)
		word = measure_of(k->type)->format(value, text);
	if (word[0] == '<')
		strbuf_addf(out, "\"%s\"", word);
	else
		strbuf_adds(out, word);
}

static bool
is_unset_wide(const struct key *k, const void *base)
{
	return *(const int64_t *)KEY_FIELD_CONST(k, base) == 0;
}

static bool
is_unset_number(const struct key *k, const void *base)
{
	return *(const unsigned *)KEY_FIELD_CONST(k, base) == 0;
}

static void
write_bound_count(int64_t bound, struct strbuf *out)
{
	strbuf_addf(out, "%" PRId64, bound);
}

#define BOUND_WRITER(name, format)                          \
	static void name(int64_t bound, struct strbuf *out) \
	{                                                   \
		char text[UNITS_TEXT_SIZE];                 \
		strbuf_adds(out, format(bound, text));      \
	}
BOUND_WRITER(write_bound_duration, units_format_duration)
BOUND_WRITER(write_bound_size, units_format_size)
BOUND_WRITER(write_bound_share, units_format_permille)
BOUND_WRITER(write_bound_factor, format_factor)

const struct key_type type_number = {
	.doc = "number",
	.read = read_number,
	.write = write_measure,
	.is_unset = is_unset_number,
	.write_bound = write_bound_count,
};
const struct key_type type_count = {
	.doc = "number",
	.read = read_wide,
	.write = write_measure,
	.is_unset = is_unset_wide,
	.write_bound = write_bound_count,
};
const struct key_type type_duration = {
	.doc = "duration",
	.read = read_wide,
	.write = write_measure,
	.is_unset = is_unset_wide,
	.write_bound = write_bound_duration,
};
const struct key_type type_size = {
	.doc = "size",
	.read = read_wide,
	.write = write_measure,
	.is_unset = is_unset_wide,
	.write_bound = write_bound_size,
};
const struct key_type type_share = {
	.doc = "percentage",
	.read = read_wide,
	.write = write_measure,
	.is_unset = is_unset_wide,
	.write_bound = write_bound_share,
};
const struct key_type type_below = {
	.doc = "percentage",
	.read = read_wide,
	.write = write_measure,
	.write_bound = write_bound_share,
};
const struct key_type type_factor = {
	.doc = "factor",
	.read = read_wide,
	.write = write_measure,
	.is_unset = is_unset_wide,
	.write_bound = write_bound_factor,
};

/* ---- file modes ---- */

static bool
read_mode(struct reader *r, const struct key *k, struct node *n, void *base)
{
	const char *text = key_node_text(r, n, "file mode");
	size_t len;

	if (text == NULL)
		return false;
	len = strspn(text, "01234567");
	if (len < 3 || len > 4 || text[len] != '\0' ||
	    (len == 4 && text[0] != '0')) {
		reader_fail(r, n, "\"%.40s\" is no file mode; write \"0660\"",
		    text);
		return false;
	}
	*(unsigned *)KEY_FIELD(k, base) = (unsigned)strtoul(text, NULL, 8);
	return true;
}

static void
write_mode(const struct key *k, const void *base, struct strbuf *out)
{
	strbuf_addf(out, "\"%04o\"",
	    *(const unsigned *)KEY_FIELD_CONST(k, base));
}

const struct key_type type_mode = {
	.doc = "file mode",
	.read = read_mode,
	.write = write_mode,
};
