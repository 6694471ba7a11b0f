/* SPDX-License-Identifier: ISC */
/*
 * Ways through LMDB's file: down its trees, along the list of free pages, and
 * over what is in neither. A page counts once: a second way to it is damage,
 * so a loop ends.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/mdb_file_private.h"

/* ---- sets of pages ---- */

static bool
has_bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static void
set_bit(uint8_t *bits, uint64_t i)
{
	bits[i / 8] |= (uint8_t)(1u << (i % 8));
}

/* ---- trees ---- */

static int
compare(const struct walk *w, const struct node *a, const struct key *b)
{
	size_t len = a->key_len < b->len ? a->key_len : b->len;
	int order;

	if (w->has_number_keys) {
		uint64_t x = mdb_u64(a->key), y = mdb_u64(b->bytes);

		return x < y ? -1 : x > y;
	}
	order = memcmp(a->key, b->bytes, len);
	if (order != 0)
		return order;
	return a->key_len < b->len ? -1 : a->key_len > b->len;
}

static void
set_key(struct key *k, const struct node *n)
{
	memcpy(k->bytes, n->key, n->key_len);
	k->len = n->key_len;
	k->is_set = true;
}

static bool
is_key(const struct walk *w, const struct node *n)
{
	return !w->has_number_keys || n->key_len == sizeof(uint64_t);
}

/* True for the first time. */
static bool
reach(struct walk *w, uint64_t number)
{
	if (has_bit(w->f->reached, number)) {
		mdb_damaged(w->f, "page %llu: two ways lead to it",
		    (unsigned long long)number);
		w->n_damaged++;
		return false;
	}
	set_bit(w->f->reached, number);
	return true;
}

static void
visit_leaf(struct walk *w, const struct page *p, const struct key *below)
{
	struct node n;

	for (size_t i = 0; i < p->n_nodes; i++) {
		bool is_right = mdb_get_node(w->f, p, i, &n) && is_key(w, &n);

		if (is_right && (n.flags & NODE_BIG)) {
			is_right = mdb_has_overflow(w->f, &n, false);
			for (uint64_t k = 0; is_right &&
			     k < mdb_overflow_pages(w->f, n.data_len);
			     k++)
				is_right = reach(w, n.child + k);
		}
		if (!is_right) {
			mdb_damaged(w->f, "page %llu: record %zu is damaged",
			    (unsigned long long)p->number, i);
			w->n_damaged++;
			continue;
		}
		if ((w->last.is_set && compare(w, &n, &w->last) <= 0) ||
		    (w->floor.is_set && compare(w, &n, &w->floor) < 0) ||
		    (below->is_set && compare(w, &n, below) >= 0)) {
			mdb_damaged(w->f,
			    "page %llu: record %zu is out of order",
			    (unsigned long long)p->number, i);
			w->n_damaged++;
		}
		set_key(&w->last, &n);
		w->n_entries++;
		w->each(w, p, i, &n);
	}
}

/* `below`: all keys must be less. */
static void
visit(struct walk *w, uint64_t number, unsigned level, const struct key *below)
{
	struct mdb_file *f = w->f;
	unsigned kind = level + 1 == w->depth ? PAGE_LEAF : PAGE_BRANCH;
	struct page p;
	struct node n, next;

	if (f->buffers[level] == NULL)
		f->buffers[level] = xmalloc(f->page_bytes);
	p.bytes = f->buffers[level];
	if (mdb_read_page(f, number, kind, false, &p) < 0) {
		w->n_damaged++;
		return;
	}
	if (!reach(w, number))
		return;
	if (kind == PAGE_LEAF) {
		visit_leaf(w, &p, below);
		return;
	}
	for (size_t i = 0; i < p.n_nodes; i++) {
		struct key bound = *below;

		if (!mdb_get_node(f, &p, i, &n)) {
			mdb_damaged(f, "page %llu: way %zu is damaged",
			    (unsigned long long)number, i);
			w->n_damaged++;
			continue;
		}
		if (i > 0 && is_key(w, &n))
			set_key(&w->floor, &n);
		if (i + 1 < p.n_nodes && mdb_get_node(f, &p, i + 1, &next) &&
		    is_key(w, &next))
			set_key(&bound, &next);
		visit(w, n.child, level + 1, &bound);
	}
}

/* False: something in it is damaged. */
bool
mdb_walk_tree(struct walk *w, const struct disk_tree *tree)
{
	const struct key none = { .is_set = false };

	if (tree->root == NO_PAGE && tree->n_entries == 0)
		return true;
	w->depth = tree->depth;
	if (tree->depth == 0 || tree->depth > DEPTH_MAX) {
		mdb_damaged(w->f, "tree %s: its root is damaged", w->name);
		return false;
	}
	visit(w, tree->root, 0, &none);
	if (w->n_entries != tree->n_entries) {
		mdb_damaged(w->f, "tree %s: %llu records of %llu can be read",
		    w->name, (unsigned long long)w->n_entries,
		    (unsigned long long)tree->n_entries);
		w->n_damaged++;
	}
	return w->n_damaged == 0;
}

static void
tell_record(struct walk *w, const struct page *p, size_t i,
    const struct node *n)
{
	const struct mdb_record r = { .place = { p->number, (uint32_t)i },
		.key = n->key,
		.key_len = n->key_len,
		.data_len = n->data_len };

	w->record(&r, w->arg);
}

static const struct disk_tree *
find_tree(const struct mdb_file *f, const char *name)
{
	for (size_t i = 0; i < f->n_trees; i++)
		if (strcmp(f->trees[i].name, name) == 0)
			return &f->trees[i].tree;
	return NULL;
}

bool
mdb_file_has(const struct mdb_file *f, const char *tree)
{
	return find_tree(f, tree) != NULL;
}

bool
mdb_file_walk(struct mdb_file *f, const char *tree, mdb_record_fn *each,
    void *arg)
{
	struct walk w = { .f = f,
		.name = tree,
		.each = tell_record,
		.record = each,
		.arg = arg };
	const struct disk_tree *root = find_tree(f, tree);

	if (root == NULL)
		return false;
	(void)mdb_walk_tree(&w, root);
	return true;
}

/* ---- free pages ---- */

static void
note_free(struct mdb_file *f, uint64_t number, bool *is_right)
{
	if (number < 2 || number >= f->n_pages || has_bit(f->free, number))
		*is_right = false;
	else if (has_bit(f->reached, number)) {
		mdb_damaged(f,
		    "page %llu: it is in use and in the list of free "
		    "pages",
		    (unsigned long long)number);
		*is_right = false;
	} else {
		set_bit(f->free, number);
	}
}

/* A count, and so many page numbers. */
static void
read_free_list(struct walk *w, const struct page *p, size_t i,
    const struct node *n)
{
	struct strbuf data = { 0 };
	bool is_right = n->data_len >= 8 && n->data_len % 8 == 0 &&
	    n->data_len / 8 <= w->f->n_pages + 1;
	uint64_t count = 0;

	if (is_right)
		is_right = mdb_file_read(w->f,
			       (struct mdb_place){ p->number, (uint32_t)i },
			       NULL, &data) == 0;
	if (is_right) {
		count = mdb_u64((const uint8_t *)data.data);
		is_right = count <= data.len / 8 - 1;
	}
	for (uint64_t k = 1; is_right && k <= count; k++)
		note_free(w->f, mdb_u64((const uint8_t *)data.data + 8 * k),
		    &is_right);
	if (!is_right) {
		mdb_damaged(w->f, "page %llu: a list of free pages is damaged",
		    (unsigned long long)p->number);
		w->n_damaged++;
	}
	strbuf_fini(&data);
}

void
mdb_file_check_free(struct mdb_file *f)
{
	struct walk w = { .f = f,
		.name = "of free pages",
		.has_number_keys = true,
		.each = read_free_list };

	if (f->is_headless || !mdb_walk_tree(&w, &f->head.free))
		f->is_free_list_damaged = true;
}

bool
mdb_file_knows_free(const struct mdb_file *f)
{
	return !f->is_free_list_damaged;
}

/* ---- what is in no tree ---- */

static void
tell_rest(struct mdb_file *f, const struct page *p, mdb_record_fn *each,
    void *arg)
{
	struct node n;

	for (size_t i = 0; i < p->n_nodes; i++) {
		struct mdb_record r = { .is_found_apart = true };

		if (!mdb_get_node(f, p, i, &n) || (n.flags & NODE_TREE) ||
		    ((n.flags & NODE_BIG) && !mdb_has_overflow(f, &n, true)))
			continue;
		r.place = (struct mdb_place){ p->number, (uint32_t)i };
		r.key = n.key;
		r.key_len = n.key_len;
		r.data_len = n.data_len;
		each(&r, arg);
	}
}

void
mdb_file_rest(struct mdb_file *f, mdb_record_fn *each, void *arg)
{
	struct page p = { .bytes = xmalloc(f->page_bytes) };

	for (uint64_t i = 2; i < f->n_pages && i < f->n_there; i++)
		if (!has_bit(f->reached, i) && !has_bit(f->free, i) &&
		    mdb_read_page(f, i, PAGE_LEAF, true, &p) == 0)
			tell_rest(f, &p, each, arg);
	free(p.bytes);
}
