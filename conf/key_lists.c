/* SPDX-License-Identifier: ISC */
/*
 * The types of values that are lists: rates, names, header fields to match.
 * Rows of the key table name them. Where a list is wanted, one value by itself
 * will do.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "conf/key_types.h"

#define LIST_MAX 10000

struct node *const *
key_items_of(struct reader *r, struct node *const *n, size_t *count_out,
    const char *wanted)
{
	struct node *list = *n;

	*count_out = 0;
	if (list->kind == NODE_SCALAR) {
		*count_out = 1;
		return n;
	}
	if (list->kind != NODE_LIST) {
		if (list->kind != NODE_BROKEN)
			reader_fail(r, list, "must be a %s, not %s", wanted,
			    node_kind_name(list->kind));
		return NULL;
	}
	if (list->n > LIST_MAX) {
		reader_fail(r, list, "has more than %d entries", LIST_MAX);
		return NULL;
	}
	*count_out = list->n;
	return list->n > 0 ? list->v : n;
}

/* ---- rates ---- */

static bool
read_one_rate(struct reader *r, struct node *n, struct rate *out)
{
	const char *text = key_node_text(r, n, "rate");
	struct err err;

	if (text == NULL)
		return false;
	if (units_parse_rate(text, out, &err) == 0)
		return true;
	reader_fail(r, n, "%s", err.text);
	return false;
}

static bool
add_rate(struct reader *r, struct node *n, struct conf_rates *rates)
{
	struct rate rate;

	if (!read_one_rate(r, n, &rate))
		return false;
	for (size_t i = 0; i < rates->n; i++)
		if (rates->v[i].window_us == rate.window_us) {
			reader_fail(r, n,
			    "there are two rates for one length of time");
			return false;
		}
	if (rates->n > 0 &&
	    (rate_is_unlimited(&rate) || rate_is_unlimited(&rates->v[0]))) {
		reader_fail(r, n, "unlimited can't stand beside a rate");
		return false;
	}
	rates->v[rates->n++] = rate;
	return true;
}

static bool
read_rates(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_rates rates = { .n = 0 };
	size_t count;
	struct node *const *v = key_items_of(r, &n, &count, "list of rates");
	bool is_good = v != NULL;

	if (count > CONF_RATES_MAX) {
		reader_fail(r, n, "has more than %d rates", CONF_RATES_MAX);
		return false;
	}
	if (is_good && count == 0) {
		reader_fail(r, n, "is empty; write unlimited for no limit");
		return false;
	}
	for (size_t i = 0; i < count; i++)
		is_good &= add_rate(r, v[i], &rates);
	if (is_good)
		*(struct conf_rates *)KEY_FIELD(k, base) = rates;
	return is_good;
}

static void
write_rates(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_rates *rates = KEY_FIELD_CONST(k, base);
	char text[UNITS_TEXT_SIZE];

	strbuf_addc(out, '[');
	for (size_t i = 0; i < rates->n; i++)
		strbuf_addf(out, "%s%s", i > 0 ? ", " : "",
		    units_format_rate(&rates->v[i], text));
	strbuf_addc(out, ']');
}

static bool
is_unset_rates(const struct key *k, const void *base)
{
	return ((const struct conf_rates *)KEY_FIELD_CONST(k, base))->n == 0;
}

const struct key_type type_rates = {
	.doc = "list of rates",
	.read = read_rates,
	.write = write_rates,
	.is_unset = is_unset_rates,
};

static bool
read_rate(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct rate rate;

	if (!read_one_rate(r, n, &rate))
		return false;
	if (rate_is_unlimited(&rate)) {
		reader_fail(r, n, "must be a rate; write 1/min");
		return false;
	}
	*(struct rate *)KEY_FIELD(k, base) = rate;
	return true;
}

static void
write_rate(const struct key *k, const void *base, struct strbuf *out)
{
	char text[UNITS_TEXT_SIZE];

	strbuf_adds(out, units_format_rate(KEY_FIELD_CONST(k, base), text));
}

const struct key_type type_rate = {
	.doc = "rate",
	.read = read_rate,
	.write = write_rate,
};

/* ---- names ---- */

static void
names_free(struct conf_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
	*names = (struct conf_names){ 0 };
}

static int
compare_places(const void *a_v, const void *b_v)
{
	char *const *a = *(char *const *const *)a_v;
	char *const *b = *(char *const *const *)b_v;
	int order = strcmp(*a, *b);

	return order != 0 ? order : (a > b) - (a < b);
}

/* A name twice in one list is a slip worth telling. `v` are its nodes. */
static bool
check_twice(struct reader *r, struct node *const *v,
    const struct conf_names *names)
{
	char ***sorted = xcalloc(names->n + 1, sizeof(*sorted));
	bool is_good = true;

	for (size_t i = 0; i < names->n; i++)
		sorted[i] = &names->v[i];
	qsort(sorted, names->n, sizeof(*sorted), compare_places);
	for (size_t i = 1; i < names->n; i++)
		if (strcmp(*sorted[i - 1], *sorted[i]) == 0) {
			reader_fail(r, v[sorted[i] - names->v],
			    "\"%.80s\" is named twice", *sorted[i]);
			is_good = false;
		}
	free(sorted);
	return is_good;
}

static bool
read_names(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_names *field = KEY_FIELD(k, base);
	struct conf_names names = { 0 };
	size_t count;
	struct node *const *v = key_items_of(r, &n, &count, "list");
	bool is_good = v != NULL;

	if (is_good && count == 0 && k->flags & KEY_FILLED) {
		reader_fail(r, n, "is empty");
		return false;
	}
	names.v = xcalloc(count + 1, sizeof(*names.v));
	for (size_t i = 0; i < count; i++) {
		const char *text = key_node_text(r, v[i], "name");
		char *mine;

		if (text == NULL || *text == '\0') {
			if (text != NULL)
				reader_fail(r, v[i], "is empty");
			is_good = false;
			continue;
		}
		mine = xstrdup(text);
		if (k->check != NULL && !k->check(r, v[i], &mine)) {
			free(mine);
			is_good = false;
			continue;
		}
		names.v[names.n++] = mine;
	}
	if (is_good && check_twice(r, v, &names)) {
		names_free(field);
		*field = names;
		return true;
	}
	names_free(&names);
	return false;
}

static void
write_names(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_names *names = KEY_FIELD_CONST(k, base);

	strbuf_addc(out, '[');
	for (size_t i = 0; i < names->n; i++) {
		strbuf_adds(out, i > 0 ? ", " : "");
		key_write_text(names->v[i], out);
	}
	strbuf_addc(out, ']');
}

static void
fini_names(const struct key *k, void *base)
{
	names_free(KEY_FIELD(k, base));
}

const struct key_type type_names = {
	.doc = "list of names",
	.read = read_names,
	.write = write_names,
	.fini = fini_names,
};
const struct key_type type_domains = {
	.doc = "list of domains",
	.read = read_names,
	.write = write_names,
	.fini = fini_names,
};

/* ---- header fields ---- */

/* RFC 5322 2.2: printable ASCII without a colon. */
static bool
is_field_name(const char *s)
{
	for (const char *p = s; *p != '\0'; p++)
		if (*p <= 32 || *p > 126 || *p == ':')
			return false;
	return *s != '\0';
}

static void
fini_headers(const struct key *k, void *base)
{
	struct conf_header_match **v = KEY_FIELD(k, base);

	for (size_t i = 0; i < KEY_N(k, base); i++) {
		free((*v)[i].name);
		free((*v)[i].value);
	}
	free(*v);
	*v = NULL;
	KEY_N(k, base) = 0;
}

static bool
read_headers(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_header_match **field = KEY_FIELD(k, base);
	bool is_good = true;

	if (n->kind != NODE_MAP && n->kind != NODE_NULL) {
		reader_fail(r, n, "must be a map, as {X-Stream: receipts}");
		return false;
	}
	fini_headers(k, base);
	*field = xcalloc(n->n + 1, sizeof(**field));
	for (size_t i = 0; i < n->n; i++) {
		struct node *value = n->v[i];
		const char *text = NULL;

		if (!is_field_name(value->key))
			reader_fail_key(r, value->key_at, value->key,
			    "is no name of a header field");
		else
			text =
			    key_node_text(r, value, "value, or \"*\" for any");
		is_good &= text != NULL;
		if (text != NULL)
			(*field)[KEY_N(k, base)++] =
			    (struct conf_header_match){ xstrdup(value->key),
				    xstrdup(text) };
	}
	return is_good;
}

static void
write_headers(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_header_match *v =
	    *(struct conf_header_match *const *)KEY_FIELD_CONST(k, base);

	strbuf_addc(out, '{');
	for (size_t i = 0; i < KEY_N_CONST(k, base); i++) {
		strbuf_adds(out, i > 0 ? ", " : "");
		key_write_text(v[i].name, out);
		strbuf_adds(out, ": ");
		key_write_text(v[i].value, out);
	}
	strbuf_addc(out, '}');
}

const struct key_type type_headers = {
	.doc = "map of header fields",
	.read = read_headers,
	.write = write_headers,
	.fini = fini_headers,
};
