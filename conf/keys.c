/* SPDX-License-Identifier: ISC */
/*
 * How the key table is worked: a tree is read into structs section by section,
 * with unknown keys, missing ones and defaults seen to here and values by
 * their types (key_types.c). Also the walk that the manual is made from.
 *
 * Names are merged: an entry that is there already (a built-in provider) keeps
 * what the file doesn't name. After any mistake the structs are still whole
 * and can be freed, but mean nothing.
 */
#include "conf/keys.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/nearest.h"
#include "conf/base/xalloc.h"
#include "conf/key_types.h"

/* ---- where reading stands ---- */

size_t
reader_enter(struct reader *r, const char *name)
{
	size_t mark = r->path.len;

	if (mark > 0)
		strbuf_addc(&r->path, '.');
	strbuf_adds(&r->path, name);
	return mark;
}

size_t
reader_enter_item(struct reader *r, size_t i)
{
	size_t mark = r->path.len;

	strbuf_addf(&r->path, "[%zu]", i);
	return mark;
}

void
reader_leave(struct reader *r, size_t mark)
{
	r->path.len = mark;
	r->path.data[mark] = '\0';
}

void
reader_fail(struct reader *r, struct node *n, const char *fmt, ...)
{
	va_list ap;

	n->is_bad = true;
	va_start(ap, fmt);
	mistakes_add_va(r->mistakes, n->at, r->path.len > 0 ? r->path.data : "",
	    fmt, ap);
	va_end(ap);
}

void
reader_fail_key(struct reader *r, struct place at, const char *key,
    const char *fmt, ...)
{
	size_t mark = reader_enter(r, key);
	va_list ap;

	va_start(ap, fmt);
	mistakes_add_va(r->mistakes, at, r->path.data, fmt, ap);
	va_end(ap);
	reader_leave(r, mark);
}

char *
reader_where(const struct node *map, const char *key)
{
	const struct node *n = node_member(map, key);

	return n != NULL
	    ? xasprintf("%s:%u:%u", n->at.file, n->at.line, n->at.column)
	    : NULL;
}

/* ---- one section ---- */

static const char *
key_name(size_t i, const void *arg)
{
	return ((const struct key *)arg)[i].name;
}

static size_t
n_keys(const struct section *s)
{
	size_t n = 0;

	while (s->keys[n].name != NULL)
		n++;
	return n;
}

static const struct key *
find_key(const struct section *s, const char *name)
{
	for (const struct key *k = s->keys; k->name != NULL; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

static void
fail_unknown(struct reader *r, const struct section *s, struct node *n)
{
	const char *near = nearest_name(n->key, key_name, s->keys, n_keys(s));

	if (near != NULL)
		reader_fail_key(r, n->key_at, n->key,
		    "there is no such key (did you mean %s?)", near);
	else
		reader_fail_key(r, n->key_at, n->key, "there is no such key");
}

static void
mark_given(const struct section *s, const struct key *k, void *base)
{
	if (k->given != 0)
		*(unsigned *)(void *)((char *)base + s->bits_offset) |=
		    k->given;
	if (k->given_offset != 0)
		*((bool *)base + k->given_offset) = true;
}

static void
read_key(struct reader *r, const struct section *s, const struct key *k,
    struct node *n, void *base)
{
	size_t mark = reader_enter(r, k->name);
	bool with_defaults = r->with_defaults;

	if (k->flags & KEY_PARTIAL)
		r->with_defaults = false;
	if (n->kind != NODE_BROKEN && k->type->read(r, k, n, base))
		mark_given(s, k, base);
	r->with_defaults = with_defaults;
	reader_leave(r, mark);
}

/* A key that isn't in the file. */
static void
fill_key(struct reader *r, const struct section *s, const struct key *k,
    struct node *map, void *base)
{
	struct node empty = { .kind = NODE_MAP, .at = map->at };
	struct node initial = { .kind = NODE_SCALAR, .at = map->at };

	if (k->flags & KEY_REQUIRED && r->with_defaults) {
		reader_fail_key(r, map->at, k->name, "is missing");
		return;
	}
	if (k->type->shape == SHAPE_MAP && k->given_offset == 0) {
		read_key(r, s, k, &empty, base);
		return;
	}
	if (!r->with_defaults || k->initial == NULL)
		return;
	initial.text = (char *)(uintptr_t)k->initial;
	read_key(r, s, k, &initial, base);
}

/* Text is never NULL, whether it was given or not. */
static void
fill_texts(const struct section *s, void *base)
{
	for (const struct key *k = s->keys; k->name != NULL; k++) {
		char **text = KEY_FIELD(k, base);

		if (k->type == &type_text && *text == NULL)
			*text = xstrdup("");
		if (k->type->shape == SHAPE_MAP)
			fill_texts(k->section, text);
	}
}

void
section_read(struct reader *r, const struct section *s, struct node *map,
    void *base)
{
	for (size_t i = 0; i < map->n; i++)
		if (find_key(s, map->v[i]->key) == NULL)
			fail_unknown(r, s, map->v[i]);
	for (const struct key *k = s->keys; k->name != NULL; k++) {
		struct node *n = node_member(map, k->name);

		if (n != NULL)
			read_key(r, s, k, n, base);
		else
			fill_key(r, s, k, map, base);
	}
	fill_texts(s, base);
	if (s->seal != NULL)
		s->seal(r, map, base);
}

void
section_read_given(struct reader *r, const struct section *s, struct node *map,
    void *base)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct key *k = find_key(s, map->v[i]->key);

		if (k == NULL)
			fail_unknown(r, s, map->v[i]);
		else
			read_key(r, s, k, map->v[i], base);
	}
}

void
section_fini(const struct section *s, void *base)
{
	for (const struct key *k = s->keys; k->name != NULL; k++)
		if (k->type->fini != NULL)
			k->type->fini(k, base);
	if (s->fini != NULL)
		s->fini(base);
}

/* ---- containers ---- */

/* An empty value stands for an empty container: `plans:` with nothing. */
static bool
is_container(struct reader *r, struct node *n, enum node_kind kind,
    const char *what)
{
	if (n->kind == kind || n->kind == NODE_NULL)
		return true;
	reader_fail(r, n, "must be %s %s, not %s", node_kind_name(kind), what,
	    node_kind_name(n->kind));
	return false;
}

static bool
read_map(struct reader *r, const struct key *k, struct node *n, void *base)
{
	if (!is_container(r, n, NODE_MAP, "of keys"))
		return false;
	section_read(r, k->section, n, KEY_FIELD(k, base));
	return true;
}

static void
fini_map(const struct key *k, void *base)
{
	section_fini(k->section, KEY_FIELD(k, base));
}

static void *
item_at(const struct key *k, void *base, size_t i)
{
	return *(char **)KEY_FIELD(k, base) + i * k->section->size;
}

static void *
add_item(const struct key *k, void *base)
{
	char **v = KEY_FIELD(k, base);
	size_t n = KEY_N(k, base)++;

	/* Doubles, as the parser of the tree does. */
	if ((n & (n - 1)) == 0)
		*v = xrealloc(*v, (n ? 2 * n : 1) * k->section->size);
	memset(*v + n * k->section->size, 0, k->section->size);
	return *v + n * k->section->size;
}

static char **
item_name(const struct section *s, void *item)
{
	return (char **)(void *)((char *)item + s->name_offset);
}

static void
fini_items(const struct key *k, void *base)
{
	char **v = KEY_FIELD(k, base);

	for (size_t i = 0; i < KEY_N(k, base); i++) {
		void *item = item_at(k, base, i);

		section_fini(k->section, item);
		if (k->type->shape == SHAPE_NAMED)
			free(*item_name(k->section, item));
	}
	free(*v);
	*v = NULL;
	KEY_N(k, base) = 0;
}

static void
read_item(struct reader *r, const struct key *k, struct node *item, void *base)
{
	void *to = add_item(k, base); /* so that places agree */

	if (item->kind == NODE_MAP)
		section_read(r, k->section, item, to);
	else if (item->kind != NODE_BROKEN)
		reader_fail(r, item, "must be a map of keys, not %s",
		    node_kind_name(item->kind));
}

static bool
read_list(struct reader *r, const struct key *k, struct node *n, void *base)
{
	bool with_defaults = r->with_defaults;
	bool is_one = (k->flags & KEY_ONE) != 0 && n->kind == NODE_MAP;

	if (!is_one && !is_container(r, n, NODE_LIST, "of maps"))
		return false;
	fini_items(k, base);
	r->with_defaults = true;
	if (is_one)
		read_item(r, k, n, base);
	for (size_t i = 0; !is_one && i < n->n; i++) {
		size_t mark = reader_enter_item(r, i);

		read_item(r, k, n->v[i], base);
		reader_leave(r, mark);
	}
	r->with_defaults = with_defaults;
	return true;
}

/* Among those that were there before this map: its own names differ. */
static void *
find_item(const struct key *k, void *base, size_t n_before, const char *name)
{
	for (size_t i = 0; i < n_before; i++) {
		void *item = item_at(k, base, i);

		if (strcmp(*item_name(k->section, item), name) == 0)
			return item;
	}
	return NULL;
}

static void
read_named_item(struct reader *r, const struct key *k, struct node *n,
    void *base, size_t n_before)
{
	const struct section *s = k->section;
	struct node named = { .kind = NODE_SCALAR, .at = n->key_at };
	bool with_defaults = r->with_defaults;
	char *name = xstrdup(n->key);
	void *item;

	if (s->check_name != NULL && !s->check_name(r, &named, &name)) {
		free(name);
		return;
	}
	item = find_item(k, base, n_before, name);
	if (item != NULL) {
		free(name);
		r->with_defaults = false;
	} else {
		item = add_item(k, base);
		*item_name(s, item) = name;
		r->with_defaults = !(k->flags & KEY_PARTIAL);
	}
	/* Whatever it is, the name is there: what refers to it is right. */
	if (n->kind == NODE_MAP || n->kind == NODE_NULL)
		section_read(r, s, n, item);
	else if (n->kind != NODE_BROKEN)
		reader_fail(r, n, "must be a map of keys, not %s",
		    node_kind_name(n->kind));
	fill_texts(s, item);
	r->with_defaults = with_defaults;
}

static bool
read_named(struct reader *r, const struct key *k, struct node *n, void *base)
{
	size_t n_before;

	if (!is_container(r, n, NODE_MAP, "of names"))
		return false;
	if (k->flags & KEY_REPLACED)
		fini_items(k, base);
	n_before = KEY_N(k, base);
	for (size_t i = 0; i < n->n; i++) {
		size_t mark = reader_enter(r, n->v[i]->key);

		read_named_item(r, k, n->v[i], base, n_before);
		reader_leave(r, mark);
	}
	return true;
}

const struct key_type type_map = {
	.shape = SHAPE_MAP,
	.doc = "map",
	.read = read_map,
	.fini = fini_map,
};
const struct key_type type_list = {
	.shape = SHAPE_LIST,
	.doc = "list of maps",
	.read = read_list,
	.fini = fini_items,
};
const struct key_type type_named = {
	.shape = SHAPE_NAMED,
	.doc = "map of names",
	.read = read_named,
	.fini = fini_items,
};

/* ---- the manual ---- */

struct walk {
	void (*each)(const struct conf_key_doc *doc, void *arg);
	void *arg;
	struct strbuf path;
	bool is_partial;
};

/* What a text is, by what it is asked to be. */
static const char *
type_name(const struct key *k)
{
	static const struct {
		bool (*check)(struct reader *r, struct node *n, char **text);
		const char *name;
	} names[] = {
		{ key_check_path, "path" },
		{ key_check_hostname, "host name" },
		{ key_check_domain, "domain" },
		{ key_check_address, "IP address" },
		{ key_check_name, "name" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (k->type == &type_text && k->check == names[i].check)
			return names[i].name;
	return k->type->doc;
}

static void
write_type(const struct key *k, struct strbuf *out)
{
	if (k->words == NULL || k->type->write_bound != NULL) {
		strbuf_adds(out, type_name(k));
		for (const struct key_word *w = k->words; w && w->word; w++)
			strbuf_addf(out, " or %s", w->word);
		return;
	}
	for (const struct key_word *w = k->words; w->word != NULL; w++)
		strbuf_addf(out, "%s%s", w == k->words ? "" : " | ", w->word);
}

static void
write_bounds(const struct key *k, struct strbuf *out)
{
	if (k->type->write_bound == NULL || (k->min == 0 && k->max == 0))
		return;
	k->type->write_bound(k->min, out);
	strbuf_adds(out, "..");
	k->type->write_bound(k->max, out);
}

static void walk_section(struct walk *w, const struct section *s);

static const char *
initial_of(const struct walk *w, const struct key *k)
{
	if (w->is_partial)
		return "";
	if (k->flags & KEY_REQUIRED)
		return "required";
	if (k->initial_doc != NULL)
		return k->initial_doc;
	return k->initial != NULL ? k->initial : "";
}

static void
walk_key(struct walk *w, const struct key *k)
{
	struct strbuf type = { 0 }, bounds = { 0 };
	size_t mark = w->path.len;
	bool is_partial = w->is_partial;

	strbuf_addf(&w->path, "%s%s", mark > 0 ? "." : "", k->name);
	write_type(k, &type);
	write_bounds(k, &bounds);
	w->each(
	    &(struct conf_key_doc){
		.path = w->path.data,
		.type = type.data,
		.initial = initial_of(w, k),
		.bounds = bounds.len > 0 ? bounds.data : "",
		.text = k->text ? k->text : "",
	    },
	    w->arg);
	if (k->type->shape == SHAPE_LIST)
		strbuf_adds(&w->path, "[]");
	if (k->type->shape == SHAPE_NAMED)
		strbuf_addf(&w->path, ".%s", k->section->name);
	w->is_partial |= (k->flags & KEY_PARTIAL) != 0;
	if (k->section != NULL && !(k->flags & KEY_LISTED_ELSEWHERE))
		walk_section(w, k->section);
	w->is_partial = is_partial;
	w->path.len = mark;
	strbuf_fini(&type);
	strbuf_fini(&bounds);
}

static void
walk_section(struct walk *w, const struct section *s)
{
	for (const struct key *k = s->keys; k->name != NULL; k++)
		walk_key(w, k);
}

void
conf_keys_each(void (*each)(const struct conf_key_doc *doc, void *arg),
    void *arg)
{
	struct walk w = { .each = each, .arg = arg };

	walk_section(&w, &section_conf);
	strbuf_fini(&w.path);
}
