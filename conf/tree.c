/* SPDX-License-Identifier: ISC */
/*
 * libyaml's events made into a tree with places. Called by load for the
 * operator's file and for what is built in.
 *
 * It knows nothing of keys. Size, depth and the number of nodes are bounded
 * and there are no aliases, so a hostile file costs no more than its bytes.
 * After a syntax error there is no tree; what merely isn't allowed (a key
 * twice, an anchor) is noted, and the rest is read on.
 */
#include "conf/tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "conf/base/address.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

struct builder {
	const char *name;
	struct mistakes *mistakes;
	struct node *open[TREE_DEPTH_MAX]; /* containers, outermost first */
	size_t depth;
	struct node *root;
	char *key; /* read, its value comes next */
	struct place key_at;
	size_t n_nodes;
	bool has_failed; /* reading can't go on */
};

/* ---- nodes ---- */

void
node_free(struct node *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->n; i++)
		node_free(n->v[i]);
	free(n->v);
	free(n->sorted);
	free(n->key);
	free(n->text);
	free(n);
}

static int
compare_to_key(const void *key, const void *node)
{
	return strcmp(key, (*(struct node *const *)node)->key);
}

struct node *
node_member(const struct node *map, const char *key)
{
	struct node **found;

	if (map == NULL || map->kind != NODE_MAP)
		return NULL;
	if (map->sorted != NULL) {
		found = bsearch(key, map->sorted, map->n, sizeof(*found),
		    compare_to_key);
		return found != NULL ? *found : NULL;
	}
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->v[i]->key, key) == 0)
			return map->v[i];
	return NULL;
}

bool
node_is_bad(const struct node *n)
{
	if (n == NULL)
		return false;
	if (n->is_bad || n->kind == NODE_BROKEN)
		return true;
	for (size_t i = 0; i < n->n; i++)
		if (node_is_bad(n->v[i]))
			return true;
	return false;
}

const char *
node_kind_name(enum node_kind kind)
{
	static const char *const names[] = {
		[NODE_NULL] = "nothing",
		[NODE_SCALAR] = "text",
		[NODE_LIST] = "a list",
		[NODE_MAP] = "a map",
		[NODE_BROKEN] = "unreadable",
	};

	return names[kind];
}

/* ---- building ---- */

static struct place
place_of(const struct builder *b, const yaml_mark_t *mark)
{
	return (struct place){ b->name, (unsigned)mark->line + 1,
		(unsigned)mark->column + 1 };
}

/* The path of what is being read: "routes.ip-a". */
static char *
path_of(const struct builder *b, const char *key)
{
	struct strbuf path = { 0 };

	for (size_t i = 1; i < b->depth; i++) {
		const struct node *n = b->open[i];

		if (n->key != NULL)
			strbuf_addf(&path, "%s%s", path.len > 0 ? "." : "",
			    n->key);
		else
			strbuf_addf(&path, "[%zu]", b->open[i - 1]->n - 1);
	}
	if (key != NULL)
		strbuf_addf(&path, "%s%s", path.len > 0 ? "." : "", key);
	return strbuf_take(&path);
}

static void
complain(struct builder *b, struct place at, const char *key, const char *what)
{
	char *path = path_of(b, key);

	mistakes_add(b->mistakes, at, path, "%s", what);
	free(path);
}

static void
fail(struct builder *b, struct place at, const char *what)
{
	complain(b, at, b->key, what);
	b->has_failed = true;
}

/* Puts a node into the innermost container, or makes it the root. */
static struct node *
add_node(struct builder *b, enum node_kind kind, const yaml_mark_t *mark)
{
	struct node *n, *parent;

	if (++b->n_nodes > TREE_NODES_MAX) {
		fail(b, place_of(b, mark), "too many values in one file");
		return NULL;
	}
	n = xcalloc(1, sizeof(*n));
	n->kind = kind;
	n->at = place_of(b, mark);
	if (b->depth == 0) {
		b->root = n;
		return n;
	}
	parent = b->open[b->depth - 1];
	if (parent->kind == NODE_MAP) {
		n->key = b->key;
		n->key_at = b->key_at;
		b->key = NULL;
	}
	/* Doubles: the capacity is n rounded up to a power of two. */
	if ((parent->n & (parent->n - 1)) == 0)
		parent->v = xrealloc(parent->v,
		    (parent->n ? 2 * parent->n : 1) * sizeof(*parent->v));
	parent->v[parent->n++] = n;
	return n;
}

static bool
wants_key(const struct builder *b)
{
	return b->depth > 0 && b->open[b->depth - 1]->kind == NODE_MAP &&
	    b->key == NULL;
}

/* YAML's ways to name a node or its type, which we don't follow. */
static void
check_decoration(struct builder *b, const yaml_mark_t *mark,
    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		complain(b, place_of(b, mark), b->key,
		    "anchors (&) aren't supported; write it out");
	if (tag != NULL)
		complain(b, place_of(b, mark), b->key,
		    "tags (!) aren't supported; leave it out");
}

static bool
is_null(const yaml_event_t *e)
{
	const char *s = (const char *)e->data.scalar.value;

	return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (*s == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

static void
on_scalar(struct builder *b, const yaml_event_t *e)
{
	const char *s = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	bool is_bad = memchr(s, '\0', len) != NULL;
	struct node *n;

	check_decoration(b, &e->start_mark, e->data.scalar.anchor,
	    e->data.scalar.tag);
	if (wants_key(b)) {
		if (is_bad || len == 0) {
			fail(b, place_of(b, &e->start_mark),
			    "a key must be a word");
			return;
		}
		b->key = xstrdup(s);
		b->key_at = place_of(b, &e->start_mark);
		return;
	}
	if (is_bad)
		complain(b, place_of(b, &e->start_mark), b->key,
		    "a value can't hold a NUL byte");
	n = add_node(b,
	    is_bad	     ? NODE_BROKEN
		: is_null(e) ? NODE_NULL
			     : NODE_SCALAR,
	    &e->start_mark);
	if (n != NULL && n->kind == NODE_SCALAR)
		n->text = xstrdup(s);
}

static void
on_start(struct builder *b, const yaml_event_t *e, enum node_kind kind,
    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct node *n;

	check_decoration(b, &e->start_mark, anchor, tag);
	if (wants_key(b)) {
		fail(b, place_of(b, &e->start_mark), "a key must be a word");
		return;
	}
	if (b->depth == TREE_DEPTH_MAX) {
		fail(b, place_of(b, &e->start_mark), "nested too deep");
		return;
	}
	n = add_node(b, kind, &e->start_mark);
	if (n != NULL)
		b->open[b->depth++] = n;
}

/* By key, and for one key by order. */
static int
compare_keys(const void *a_v, const void *b_v)
{
	const struct node *a = *(struct node *const *)a_v;
	const struct node *b = *(struct node *const *)b_v;
	int order = strcmp(a->key, b->key);

	if (order != 0)
		return order;
	if (a->key_at.line != b->key_at.line)
		return a->key_at.line < b->key_at.line ? -1 : 1;
	return a->key_at.column < b->key_at.column ? -1 : 1;
}

static void
complain_twice(struct builder *b, const struct node *first, struct node *again)
{
	char what[80];

	snprintf(what, sizeof(what), "given twice; the first one is in line %u",
	    first->key_at.line);
	complain(b, again->key_at, again->key, what);
}

/* Sorts a map's members for look-up, and takes out keys that were given
 * before. */
static void
sort_members(struct builder *b, struct node *map)
{
	struct node **sorted = xmemdup(map->v, map->n * sizeof(*sorted));
	size_t n_sorted = 0, n = 0;

	qsort(sorted, map->n, sizeof(*sorted), compare_keys);
	for (size_t i = 0; i < map->n; i++) {
		struct node *m = sorted[i];

		if (n_sorted > 0 &&
		    strcmp(sorted[n_sorted - 1]->key, m->key) == 0) {
			complain_twice(b, sorted[n_sorted - 1], m);
			free(m->key);
			m->key = NULL;
		} else {
			sorted[n_sorted++] = m;
		}
	}
	for (size_t i = 0; i < map->n; i++) {
		if (map->v[i]->key != NULL)
			map->v[n++] = map->v[i];
		else
			node_free(map->v[i]);
	}
	map->n = n;
	map->sorted = sorted;
}

static void
on_end(struct builder *b)
{
	struct node *n = b->open[b->depth - 1];

	if (n->kind == NODE_MAP && n->n > 1)
		sort_members(b, n);
	b->depth--;
}

static void
on_event(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->root != NULL)
			fail(b, place_of(b, &e->start_mark),
			    "a second document in one file");
		break;
	case YAML_ALIAS_EVENT:
		if (wants_key(b)) {
			fail(b, place_of(b, &e->start_mark),
			    "a key must be a word");
			break;
		}
		complain(b, place_of(b, &e->start_mark), b->key,
		    "aliases (*) aren't supported; write it out, or quote "
		    "the value");
		add_node(b, NODE_BROKEN, &e->start_mark);
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(b, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_start(b, e, NODE_LIST, e->data.sequence_start.anchor,
		    e->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		on_start(b, e, NODE_MAP, e->data.mapping_start.anchor,
		    e->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_end(b);
		break;
	default:
		break;
	}
}

/* ---- syntax ---- */

static struct place
place_of_byte(const char *name, const char *text, size_t at)
{
	struct place p = { name, 1, 1 };

	for (size_t i = 0; i < at; i++) {
		if (text[i] == '\n') {
			p.line++;
			p.column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			p.column++;
		}
	}
	return p;
}

/* The byte that a mark of libyaml's stands on, '\0' at the end. */
static char
byte_at(const char *text, size_t len, const yaml_mark_t *mark)
{
	size_t i = 0, line = 0, column = 0;

	while (i < len && (line < mark->line || column < mark->column)) {
		if (text[i] == '\n') {
			line++;
			column = 0;
		} else if (i + 1 >= len ||
		    ((unsigned char)text[i + 1] & 0xc0) != 0x80) {
			column++;
		}
		i++;
	}
	return i < len ? text[i] : '\0';
}

/* libyaml's words for the commonest slips, in the operator's. */
static void
report_syntax(struct builder *b, const yaml_parser_t *y, const char *text,
    size_t len)
{
	struct place at = place_of(b, &y->problem_mark);
	const char *problem = y->problem ? y->problem : "can't be read";
	char c = byte_at(text, len, &y->problem_mark);

	if (y->error == YAML_READER_ERROR)
		mistakes_add(b->mistakes,
		    place_of_byte(b->name, text,
			y->problem_offset < len ? y->problem_offset : len),
		    "", "%s", problem);
	else if (strstr(problem, "cannot start any token") != NULL && c == '\t')
		mistakes_add(b->mistakes, at, "",
		    "a tab can't indent; use spaces");
	else if (strstr(problem, "cannot start any token") != NULL)
		mistakes_add(b->mistakes, at, "",
		    "a value can't begin with \"%c\"; put it in quotes", c);
	else if (strstr(problem, "mapping values are not allowed") != NULL)
		mistakes_add(b->mistakes, at, "",
		    "a second \": \" in one line, or the line before isn't "
		    "complete; put a value that has \": \" in quotes");
	else if (y->context != NULL && y->context_mark.line > 0)
		mistakes_add(b->mistakes, at, "",
		    "not YAML: %s, %s that begins in line %zu", problem,
		    y->context, y->context_mark.line + 1);
	else
		mistakes_add(b->mistakes, at, "", "not YAML: %s", problem);
}

/* The first byte that belongs to no UTF-8 sequence; len: there is none. */
static size_t
find_bad_utf8(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		unsigned char c = (unsigned char)text[i];
		size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

		if (n > len - i || !utf8_is_valid(text + i, n))
			return i;
		i += n;
	}
	return len;
}

/* What libyaml would only tell by its offset. */
static bool
check_bytes(const char *name, const char *text, size_t len,
    struct mistakes *mistakes)
{
	size_t bad;

	if (len > TREE_BYTES_MAX) {
		mistakes_add(mistakes, (struct place){ name, 1, 1 }, "",
		    "the file is larger than %d MiB", TREE_BYTES_MAX >> 20);
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 32 && c != '\t' && c != '\n' && c != '\r') ||
		    c == 127) {
			mistakes_add(mistakes, place_of_byte(name, text, i), "",
			    "a control character (0x%02x)", c);
			return false;
		}
	}
	bad = find_bad_utf8(text, len);
	if (bad < len)
		mistakes_add(mistakes, place_of_byte(name, text, bad), "",
		    "not UTF-8 (byte 0x%02x)", (unsigned char)text[bad]);
	return bad == len;
}

struct node *
tree_parse(const char *name, const char *text, size_t len,
    struct mistakes *mistakes)
{
	struct builder b = { .name = name, .mistakes = mistakes };
	yaml_parser_t y;
	yaml_event_t e;
	bool is_end = false;

	/* A byte order mark, as some editors put it there: libyaml would count
	 * it into the first line's indent. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (!check_bytes(name, text, len, mistakes))
		return NULL;
	if (yaml_parser_initialize(&y) == 0)
		abort(); /* out of memory */
	yaml_parser_set_encoding(&y, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y, (const unsigned char *)text, len);
	while (!is_end && !b.has_failed) {
		if (yaml_parser_parse(&y, &e) == 0) {
			report_syntax(&b, &y, text, len);
			b.has_failed = true;
			break;
		}
		is_end = e.type == YAML_STREAM_END_EVENT;
		on_event(&b, &e);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&y);
	free(b.key);
	if (b.has_failed) {
		node_free(b.root);
		return NULL;
	}
	if (b.root == NULL || b.root->kind == NODE_NULL) {
		node_free(b.root);
		b.root = xcalloc(1, sizeof(*b.root));
		b.root->kind = NODE_MAP;
		b.root->at = (struct place){ name, 1, 1 };
	}
	return b.root;
}
