/* SPDX-License-Identifier: ISC */
/*
 * Reading LMDB's file page by page, for flyballctl's `spool` commands and for
 * the daemon before it opens the database. It changes nothing and knows
 * nothing of what the records mean.
 *
 * The layout is that of liblmdb's mdb.c: two heads (meta pages), each naming
 * the roots of a tree of free pages and of a tree of named trees; the newer
 * one holds. A page begins with its own number, and its records (nodes) are
 * found by an array of offsets behind the header.
 *
 * The subtle rule: a page is believed only as far as it was checked. Every
 * offset and length comes from the disk; what is used has been compared with
 * the page's end first. A page counts once: a second way to it is damage, so
 * a loop ends.
 */
#include "daemon/mdb_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __SIZEOF_POINTER__ != 8
#error "LMDB's file is read as 64-bit little-endian machines write it"
#endif

#define MAGIC	       0xBEEFC0DEu
#define FORMAT	       1
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 65536
#define HEADER_BYTES   16
#define NODE_BYTES     8
#define KEY_BYTES_MAX  511
#define DEPTH_MAX      32
#define TREES_MAX      32
#define NO_PAGE	       UINT64_MAX

#define PAGE_BRANCH   0x01
#define PAGE_LEAF     0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META     0x08
/* Sorted duplicates, which we don't use: such a page is damaged. */
#define PAGE_KINDS    0x6f

#define NODE_BIG  0x01 /* the data are in overflow pages */
#define NODE_TREE 0x02 /* the data are a struct disk_tree */

struct disk_tree {
	uint32_t page_bytes; /* in a head's first; else unused */
	uint16_t flags, depth;
	uint64_t n_branch, n_leaf, n_overflow, n_entries, root;
};

struct disk_head { /* behind the page's header */
	uint32_t magic, version;
	uint64_t address, map_bytes;
	struct disk_tree free, main;
	uint64_t last_page, txn;
};

struct page {
	uint64_t number;
	unsigned kind;
	size_t n_nodes;
	size_t upper; /* no node begins before it */
	uint32_t n_overflow;
	uint8_t *bytes;
};

struct node {
	size_t at;
	const uint8_t *key;
	size_t key_len;
	const uint8_t *data; /* of a leaf, unless is_big */
	uint64_t data_len;
	uint64_t child; /* of a branch; of big data the first page */
	unsigned flags;
};

struct named_tree {
	char name[32];
	struct disk_tree tree;
};

struct mdb_file {
	int fd;
	mdb_damage_fn *damage;
	void *damage_arg;
	bool is_damaged, is_free_list_damaged, is_headless;
	size_t page_bytes;
	uint64_t n_pages; /* by the head */
	uint64_t n_there; /* by the file's size, parts don't count */
	struct disk_head head;
	uint8_t *reached; /* a bit a page */
	uint8_t *free;
	struct named_tree trees[TREES_MAX];
	size_t n_trees;
	uint8_t *buffers[DEPTH_MAX + 1];
	struct page last; /* the one that mdb_file_read() looked at */
};

/* ---- what is wrong ---- */

static void __attribute__((format(printf, 2, 3)))
damaged(struct mdb_file *f, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->is_damaged = true;
	f->damage(text, f->damage_arg);
}

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

/* ---- pages ---- */

static uint16_t
u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int
read_at(struct mdb_file *f, uint64_t offset, void *to, size_t len)
{
	uint8_t *p = to;

	while (len > 0) {
		ssize_t n = pread(f->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = 0; /* the end of the file */
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* NULL, or what is wrong with the header. */
static const char *
read_header(const struct mdb_file *f, uint64_t number, struct page *p)
{
	size_t lower = u16(p->bytes + 12);

	p->number = number;
	p->kind = u16(p->bytes + 10) & PAGE_KINDS;
	p->upper = u16(p->bytes + 14);
	memcpy(&p->n_overflow, p->bytes + 12, sizeof(p->n_overflow));
	p->n_nodes = 0;
	if (u64(p->bytes) != number)
		return "it has another page's number";
	if (p->kind == PAGE_OVERFLOW)
		return NULL;
	if (p->kind != PAGE_BRANCH && p->kind != PAGE_LEAF)
		return "it is of no known kind";
	if (lower < HEADER_BYTES || lower % 2 != 0 || lower > p->upper ||
	    p->upper > f->page_bytes)
		return "its header is damaged";
	p->n_nodes = (lower - HEADER_BYTES) / 2;
	return p->n_nodes == 0 ? "it is empty" : NULL;
}

/* -1, told unless `is_quiet`: it isn't such a page. */
static int
read_page(struct mdb_file *f, uint64_t number, unsigned kinds, bool is_quiet,
    struct page *p)
{
	size_t len = kinds == PAGE_OVERFLOW ? HEADER_BYTES : f->page_bytes;
	const char *wrong;

	if (number < 2 || number >= f->n_pages) {
		wrong = "there is no such page";
	} else if (read_at(f, number * f->page_bytes, p->bytes, len) < 0) {
		wrong = errno != 0 ? strerror(errno)
				   : "it lies behind the end of the file";
	} else {
		wrong = read_header(f, number, p);
		if (wrong == NULL && (p->kind & kinds) == 0)
			wrong = "it is of another kind";
	}
	if (wrong == NULL)
		return 0;
	if (!is_quiet)
		damaged(f, "page %llu: %s", (unsigned long long)number, wrong);
	return -1;
}

/* False: the node doesn't lie within its page. */
static bool
get_node(const struct mdb_file *f, const struct page *p, size_t i,
    struct node *out)
{
	const uint8_t *n;
	size_t room;

	out->at = u16(p->bytes + HEADER_BYTES + 2 * i);
	if (out->at < p->upper || out->at + NODE_BYTES > f->page_bytes)
		return false;
	n = p->bytes + out->at;
	room = f->page_bytes - out->at - NODE_BYTES;
	out->flags = u16(n + 4);
	out->key_len = u16(n + 6);
	out->key = n + NODE_BYTES;
	if (out->key_len > room || out->key_len > KEY_BYTES_MAX)
		return false;
	room -= out->key_len;
	out->data = out->key + out->key_len;
	out->data_len = u16(n) | (uint64_t)u16(n + 2) << 16;
	if (p->kind == PAGE_BRANCH) {
		out->child = out->data_len | (uint64_t)out->flags << 32;
		return true;
	}
	if ((out->flags & ~(unsigned)(NODE_BIG | NODE_TREE)) != 0 ||
	    out->key_len == 0)
		return false;
	if (!(out->flags & NODE_BIG))
		return out->data_len <= room;
	if (room < sizeof(out->child))
		return false;
	out->child = u64(out->data);
	return true;
}

/* How many pages big data take. */
static uint64_t
overflow_pages(const struct mdb_file *f, uint64_t len)
{
	return (HEADER_BYTES + len + f->page_bytes - 1) / f->page_bytes;
}

/* The header alone; false: the data aren't there. */
static bool
has_overflow(struct mdb_file *f, const struct node *n, bool is_quiet)
{
	uint8_t header[HEADER_BYTES];
	struct page p = { .bytes = header };
	uint64_t want = overflow_pages(f, n->data_len);

	if (read_page(f, n->child, PAGE_OVERFLOW, is_quiet, &p) < 0)
		return false;
	if (p.n_overflow >= want && n->child + p.n_overflow <= f->n_pages &&
	    n->child + want <= f->n_there)
		return true;
	if (!is_quiet)
		damaged(f, "page %llu: %u pages where %llu bytes should be",
		    (unsigned long long)n->child, p.n_overflow,
		    (unsigned long long)n->data_len);
	return false;
}

/* ---- trees ---- */

struct key {
	uint8_t bytes[KEY_BYTES_MAX];
	size_t len;
	bool is_set;
};

struct walk {
	struct mdb_file *f;
	const char *name;
	unsigned depth;
	bool has_number_keys; /* of the free pages: native 64-bit numbers */
	uint64_t n_entries, n_damaged;
	struct key last;
	struct key floor; /* no key from here on may be less */
	void (*each)(struct walk *w, const struct page *p, size_t i,
	    const struct node *n);
	void *arg;
	mdb_record_fn *record;
};

static int
compare(const struct walk *w, const struct node *a, const struct key *b)
{
	size_t len = a->key_len < b->len ? a->key_len : b->len;
	int order;

	if (w->has_number_keys) {
		uint64_t x = u64(a->key), y = u64(b->bytes);

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
		damaged(w->f, "page %llu: two ways lead to it",
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
		bool is_right = get_node(w->f, p, i, &n) && is_key(w, &n);

		if (is_right && (n.flags & NODE_BIG)) {
			is_right = has_overflow(w->f, &n, false);
			for (uint64_t k = 0;
			     is_right && k < overflow_pages(w->f, n.data_len);
			     k++)
				is_right = reach(w, n.child + k);
		}
		if (!is_right) {
			damaged(w->f, "page %llu: record %zu is damaged",
			    (unsigned long long)p->number, i);
			w->n_damaged++;
			continue;
		}
		if ((w->last.is_set && compare(w, &n, &w->last) <= 0) ||
		    (w->floor.is_set && compare(w, &n, &w->floor) < 0) ||
		    (below->is_set && compare(w, &n, below) >= 0)) {
			damaged(w->f, "page %llu: record %zu is out of order",
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
	if (read_page(f, number, kind, false, &p) < 0) {
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

		if (!get_node(f, &p, i, &n)) {
			damaged(f, "page %llu: way %zu is damaged",
			    (unsigned long long)number, i);
			w->n_damaged++;
			continue;
		}
		if (i > 0 && is_key(w, &n))
			set_key(&w->floor, &n);
		if (i + 1 < p.n_nodes && get_node(f, &p, i + 1, &next) &&
		    is_key(w, &next))
			set_key(&bound, &next);
		visit(w, n.child, level + 1, &bound);
	}
}

/* False: something in it is damaged. */
static bool
walk_tree(struct walk *w, const struct disk_tree *tree)
{
	const struct key none = { .is_set = false };

	if (tree->root == NO_PAGE && tree->n_entries == 0)
		return true;
	w->depth = tree->depth;
	if (tree->depth == 0 || tree->depth > DEPTH_MAX) {
		damaged(w->f, "tree %s: its root is damaged", w->name);
		return false;
	}
	visit(w, tree->root, 0, &none);
	if (w->n_entries != tree->n_entries) {
		damaged(w->f, "tree %s: %llu records of %llu can be read",
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

bool
mdb_file_walk(struct mdb_file *f, const char *tree, mdb_record_fn *each,
    void *arg)
{
	struct walk w = { .f = f,
		.name = tree,
		.each = tell_record,
		.record = each,
		.arg = arg };

	for (size_t i = 0; i < f->n_trees; i++)
		if (strcmp(f->trees[i].name, tree) == 0) {
			walk_tree(&w, &f->trees[i].tree);
			return true;
		}
	return false;
}

/* ---- free pages ---- */

static void
note_free(struct mdb_file *f, uint64_t number, bool *is_right)
{
	if (number < 2 || number >= f->n_pages || has_bit(f->free, number))
		*is_right = false;
	else if (has_bit(f->reached, number)) {
		damaged(f,
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
		count = u64((const uint8_t *)data.data);
		is_right = count <= data.len / 8 - 1;
	}
	for (uint64_t k = 1; is_right && k <= count; k++)
		note_free(w->f, u64((const uint8_t *)data.data + 8 * k),
		    &is_right);
	if (!is_right) {
		damaged(w->f, "page %llu: a list of free pages is damaged",
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

	if (f->is_headless || !walk_tree(&w, &f->head.free))
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

		if (!get_node(f, p, i, &n) || (n.flags & NODE_TREE) ||
		    ((n.flags & NODE_BIG) && !has_overflow(f, &n, true)))
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
		    read_page(f, i, PAGE_LEAF, true, &p) == 0)
			tell_rest(f, &p, each, arg);
	free(p.bytes);
}

/* ---- one record ---- */

static int
read_big(struct mdb_file *f, const struct node *n, struct strbuf *out)
{
	if (!has_overflow(f, n, false))
		return -1;
	strbuf_reserve(out, n->data_len + 1);
	if (read_at(f, n->child * f->page_bytes + HEADER_BYTES,
		out->data + out->len, n->data_len) < 0) {
		damaged(f, "page %llu: %s", (unsigned long long)n->child,
		    strerror(errno != 0 ? errno : EIO));
		return -1;
	}
	out->len += n->data_len;
	out->data[out->len] = '\0';
	return 0;
}

int
mdb_file_read(struct mdb_file *f, struct mdb_place place,
    struct strbuf *key_out, struct strbuf *data_out)
{
	struct page *p = &f->last;
	struct node n;

	if (p->bytes == NULL)
		p->bytes = xmalloc(f->page_bytes);
	if (p->number != place.page) {
		p->number = 0;
		if (read_page(f, place.page, PAGE_LEAF, false, p) < 0) {
			p->number = 0;
			return -1;
		}
	}
	if (place.node >= p->n_nodes || !get_node(f, p, place.node, &n)) {
		damaged(f, "page %llu: record %u is damaged",
		    (unsigned long long)place.page, place.node);
		return -1;
	}
	if (key_out != NULL)
		strbuf_add(key_out, n.key, n.key_len);
	if (n.flags & NODE_BIG)
		return read_big(f, &n, data_out);
	strbuf_add(data_out, n.data, n.data_len);
	return 0;
}

/* ---- heads ---- */

static bool
is_page_size(uint64_t bytes)
{
	return bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX &&
	    (bytes & (bytes - 1)) == 0;
}

/* NULL, or what is wrong with it. */
static const char *
read_head(struct mdb_file *f, unsigned which, size_t page_bytes,
    struct disk_head *out)
{
	uint8_t bytes[HEADER_BYTES + sizeof(*out)];

	if (read_at(f, which * page_bytes, bytes, sizeof(bytes)) < 0)
		return errno != 0 ? strerror(errno) : "the file ends before it";
	memcpy(out, bytes + HEADER_BYTES, sizeof(*out));
	if (u64(bytes) != which || !(u16(bytes + 10) & PAGE_META) ||
	    out->magic != MAGIC)
		return "it is none of LMDB's";
	if (out->version != FORMAT)
		return "it is of another version of LMDB";
	if (!is_page_size(out->free.page_bytes) || out->last_page < 1 ||
	    out->last_page >= UINT64_MAX / out->free.page_bytes ||
	    (out->free.root != NO_PAGE && out->free.root > out->last_page) ||
	    (out->main.root != NO_PAGE && out->main.root > out->last_page))
		return "it is damaged";
	return NULL;
}

/* Pages of this size begin with their number. */
static bool
looks_right(struct mdb_file *f, size_t page_bytes)
{
	unsigned n_right = 0;

	for (uint64_t i = 2; i < 34; i++) {
		uint64_t number;

		if (read_at(f, i * page_bytes, &number, sizeof(number)) < 0)
			break;
		n_right += number == i;
	}
	return n_right >= 2;
}

/* The size of pages, where the first head tells it, or the pages do. */
static size_t
find_page_size(struct mdb_file *f)
{
	struct disk_head head;

	if (read_head(f, 0, 0, &head) == NULL)
		return head.free.page_bytes;
	for (size_t bytes = 4096; bytes <= PAGE_BYTES_MAX; bytes *= 2)
		if (read_head(f, 1, bytes, &head) == NULL)
			return bytes;
	for (size_t bytes = PAGE_BYTES_MAX; bytes >= 4096; bytes /= 2)
		if (looks_right(f, bytes))
			return bytes;
	return 0;
}

static void
choose_head(struct mdb_file *f)
{
	struct disk_head heads[2];
	const char *wrong[2];

	for (unsigned i = 0; i < 2; i++) {
		wrong[i] = read_head(f, i, f->page_bytes, &heads[i]);
		if (wrong[i] == NULL &&
		    heads[i].free.page_bytes != f->page_bytes)
			wrong[i] = "it is damaged";
		if (wrong[i] != NULL)
			damaged(f, "page %u: the head can't be read: %s", i,
			    wrong[i]);
	}
	f->is_headless = wrong[0] != NULL && wrong[1] != NULL;
	if (f->is_headless)
		return;
	f->head = wrong[1] != NULL ||
		(wrong[0] == NULL && heads[0].txn > heads[1].txn)
	    ? heads[0]
	    : heads[1];
	if (wrong[0] != NULL || wrong[1] != NULL)
		damaged(f, "what the last commit changed may be missing");
}

static void
note_tree(struct walk *w, const struct page *p, size_t i, const struct node *n)
{
	struct named_tree *t = &w->f->trees[w->f->n_trees];

	if (!(n->flags & NODE_TREE) || (n->flags & NODE_BIG) ||
	    n->data_len != sizeof(t->tree) || n->key_len >= sizeof(t->name) ||
	    w->f->n_trees == TREES_MAX) {
		damaged(w->f, "page %llu: record %zu names no tree",
		    (unsigned long long)p->number, i);
		return;
	}
	memcpy(t->name, n->key, n->key_len);
	memcpy(&t->tree, n->data, sizeof(t->tree));
	w->f->n_trees++;
}

struct mdb_file *
mdb_file_open(int fd, mdb_damage_fn *damage, void *arg, struct err *err_out)
{
	struct mdb_file *f = xcalloc(1, sizeof(*f));
	struct walk w = { .f = f, .name = "of trees", .each = note_tree };
	struct stat st;

	f->fd = fd;
	f->damage = damage;
	f->damage_arg = arg;
	if (fstat(fd, &st) < 0) {
		err_sys(err_out, "its size");
		goto failed;
	}
	f->page_bytes = find_page_size(f);
	if (f->page_bytes == 0) {
		err_set(err_out, "this is no database of LMDB's");
		goto failed;
	}
	f->n_there = (uint64_t)st.st_size / f->page_bytes;
	choose_head(f);
	f->n_pages = f->is_headless ? f->n_there : f->head.last_page + 1;
	/* A head that names far more than there is has no say over memory. */
	if (f->n_pages > f->n_there + (1 << 20)) {
		damaged(f, "the head names %llu pages, there are %llu",
		    (unsigned long long)f->n_pages,
		    (unsigned long long)f->n_there);
		f->n_pages = f->n_there;
	}
	f->reached = xcalloc(f->n_pages / 8 + 1, 1);
	f->free = xcalloc(f->n_pages / 8 + 1, 1);
	if (!f->is_headless)
		walk_tree(&w, &f->head.main);
	return f;
failed:
	mdb_file_close(f);
	return NULL;
}

void
mdb_file_close(struct mdb_file *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i <= DEPTH_MAX; i++)
		free(f->buffers[i]);
	free(f->last.bytes);
	free(f->reached);
	free(f->free);
	free(f);
}

unsigned
mdb_file_page_bytes(const struct mdb_file *f)
{
	return (unsigned)f->page_bytes;
}

uint64_t
mdb_file_n_pages(const struct mdb_file *f)
{
	return f->n_pages;
}

bool
mdb_file_is_short(const struct mdb_file *f)
{
	return f->n_pages > f->n_there;
}

bool
mdb_file_is_damaged(const struct mdb_file *f)
{
	return f->is_damaged;
}
