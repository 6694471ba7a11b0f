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
 * The subtle rule: nothing on the disk is believed before it was checked, not
 * by LMDB's own rules alone: mdb_page.c does it for a page, mdb_walk.c for the
 * ways between them.
 */
#include "daemon/mdb_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/mdb_file_private.h"

/* ---- one record ---- */

static int
read_big(struct mdb_file *f, const struct node *n, struct strbuf *out)
{
	if (!mdb_has_overflow(f, n, false))
		return -1;
	strbuf_reserve(out, n->data_len + 1);
	if (mdb_read_at(f, n->child * f->page_bytes + HEADER_BYTES,
		out->data + out->len, n->data_len) < 0) {
		mdb_damaged(f, "page %llu: %s", (unsigned long long)n->child,
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
		if (mdb_read_page(f, place.page, PAGE_LEAF, false, p) < 0) {
			p->number = 0;
			return -1;
		}
	}
	if (place.node >= p->n_nodes || !mdb_get_node(f, p, place.node, &n)) {
		mdb_damaged(f, "page %llu: record %u is damaged",
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

static const char nonsense[] = "what it says can't be";

/* NULL, or what is wrong with it; `nonsense` where it is one of LMDB's. */
static const char *
read_head(struct mdb_file *f, unsigned which, size_t page_bytes,
    struct disk_head *out)
{
	uint8_t bytes[HEADER_BYTES + sizeof(*out)];

	if (mdb_read_at(f, which * page_bytes, bytes, sizeof(bytes)) < 0)
		return errno != 0 ? strerror(errno) : "the file ends before it";
	memcpy(out, bytes + HEADER_BYTES, sizeof(*out));
	if (mdb_u64(bytes) != which || !(mdb_u16(bytes + 10) & PAGE_META) ||
	    out->magic != MAGIC)
		return "it is none of LMDB's";
	if (out->version != FORMAT)
		return "it is of another version of LMDB";
	if (!is_page_size(out->free.page_bytes) || out->last_page < 1 ||
	    out->last_page >= UINT64_MAX / out->free.page_bytes ||
	    (out->free.root != NO_PAGE && out->free.root > out->last_page) ||
	    (out->main.root != NO_PAGE && out->main.root > out->last_page))
		return nonsense;
	return NULL;
}

/* Pages of this size begin with their number. */
static bool
looks_right(struct mdb_file *f, size_t page_bytes)
{
	unsigned n_right = 0;

	for (uint64_t i = 2; i < 34; i++) {
		uint64_t number;

		if (mdb_read_at(f, i * page_bytes, &number, sizeof(number)) < 0)
			break;
		n_right += number == i;
	}
	return n_right >= 2;
}

/* The size of pages, where the first head tells it, or the pages do. */
static size_t
find_page_size(struct mdb_file *f)
{
	struct disk_head head = { .magic = 0 };

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

/* Commits are numbered without gaps, and the number's last bit says where its
 * head goes: a changed number could make the older one look newer. */
static bool
numbers_fit(const struct disk_head heads[2])
{
	uint64_t a = heads[0].txn, b = heads[1].txn;

	return a % 2 == 0 && (b % 2 == 1 || (a == 0 && b == 0)) &&
	    (a > b ? a - b : b - a) <= 1;
}

/*
 * LMDB takes the head with the greater number, and wants the other to be one
 * of its own too. What that other says may be nonsense: where a commit's head
 * couldn't be written, LMDB puts the old number back behind the new roots.
 */
static void
choose_head(struct mdb_file *f)
{
	struct disk_head heads[2] = { { .magic = 0 } };
	const char *wrong[2];
	bool is_ours[2];
	unsigned newer;

	for (unsigned i = 0; i < 2; i++) {
		wrong[i] = read_head(f, i, f->page_bytes, &heads[i]);
		is_ours[i] = wrong[i] == NULL || wrong[i] == nonsense;
		if (wrong[i] == NULL &&
		    heads[i].free.page_bytes != f->page_bytes)
			wrong[i] = nonsense;
	}
	newer = is_ours[0] && is_ours[1] ? heads[1].txn >= heads[0].txn
					 : is_ours[1];
	for (unsigned i = 0; i < 2; i++)
		if (!is_ours[i] || (i == newer && wrong[i] != NULL))
			mdb_damaged(f, "page %u: the head can't be read: %s", i,
			    wrong[i]);
	if (is_ours[0] && is_ours[1] && !numbers_fit(heads))
		mdb_damaged(f, "pages 0 and 1: the heads' numbers don't fit");
	if (f->is_damaged)
		mdb_damaged(f, "what the last commit changed may be missing");
	if (wrong[newer] != NULL)
		newer = !newer;
	f->is_headless = wrong[newer] != NULL;
	f->head = heads[newer];
}

static void
note_tree(struct walk *w, const struct page *p, size_t i, const struct node *n)
{
	struct named_tree *t = &w->f->trees[w->f->n_trees];

	if (!(n->flags & NODE_TREE) || (n->flags & NODE_BIG) ||
	    n->data_len != sizeof(t->tree) || n->key_len >= sizeof(t->name) ||
	    w->f->n_trees == TREES_MAX) {
		mdb_damaged(w->f, "page %llu: record %zu names no tree",
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
		mdb_damaged(f, "the head names %llu pages, there are %llu",
		    (unsigned long long)f->n_pages,
		    (unsigned long long)f->n_there);
		f->n_pages = f->n_there;
	}
	f->reached = xcalloc(f->n_pages / 8 + 1, 1);
	f->free = xcalloc(f->n_pages / 8 + 1, 1);
	if (!f->is_headless)
		mdb_walk_tree(&w, &f->head.main);
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

void
mdb_file_be_quick(struct mdb_file *f)
{
	f->is_quick = true;
}
