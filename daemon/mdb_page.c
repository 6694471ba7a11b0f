/* SPDX-License-Identifier: ISC */
/*
 * One page of LMDB's file, and one node in it, checked before it is believed:
 * every offset and length comes from the disk, and what is used has been
 * compared with the page's end first.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/mdb_file_private.h"

/* ---- what is wrong ---- */

void
mdb_damaged(struct mdb_file *f, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->is_damaged = true;
	f->damage(text, f->damage_arg);
}

/* ---- pages ---- */

uint16_t
mdb_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t
mdb_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

int
mdb_read_at(struct mdb_file *f, uint64_t offset, void *to, size_t len)
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
	size_t lower = mdb_u16(p->bytes + 12);

	p->number = number;
	p->kind = mdb_u16(p->bytes + 10) & PAGE_KINDS;
	p->upper = mdb_u16(p->bytes + 14);
	memcpy(&p->n_overflow, p->bytes + 12, sizeof(p->n_overflow));
	p->n_nodes = 0;
	if (mdb_u64(p->bytes) != number)
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
int
mdb_read_page(struct mdb_file *f, uint64_t number, unsigned kinds,
    bool is_quiet, struct page *p)
{
	size_t len = kinds == PAGE_OVERFLOW ? HEADER_BYTES : f->page_bytes;
	const char *wrong;

	if (number < 2 || number >= f->n_pages) {
		wrong = "there is no such page";
	} else if (mdb_read_at(f, number * f->page_bytes, p->bytes, len) < 0) {
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
		mdb_damaged(f, "page %llu: %s", (unsigned long long)number,
		    wrong);
	return -1;
}

/* False: the node doesn't lie within its page. */
bool
mdb_get_node(const struct mdb_file *f, const struct page *p, size_t i,
    struct node *out)
{
	const uint8_t *n;
	size_t room;

	out->at = mdb_u16(p->bytes + HEADER_BYTES + 2 * i);
	if (out->at < p->upper || out->at + NODE_BYTES > f->page_bytes)
		return false;
	n = p->bytes + out->at;
	room = f->page_bytes - out->at - NODE_BYTES;
	out->flags = mdb_u16(n + 4);
	out->key_len = mdb_u16(n + 6);
	out->key = n + NODE_BYTES;
	if (out->key_len > room || out->key_len > KEY_BYTES_MAX)
		return false;
	room -= out->key_len;
	out->data = out->key + out->key_len;
	out->data_len = mdb_u16(n) | (uint64_t)mdb_u16(n + 2) << 16;
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
	out->child = mdb_u64(out->data);
	return true;
}

/* How many pages big data take. */
uint64_t
mdb_overflow_pages(const struct mdb_file *f, uint64_t len)
{
	return (HEADER_BYTES + len + f->page_bytes - 1) / f->page_bytes;
}

/* The header alone; false: the data aren't there. */
bool
mdb_has_overflow(struct mdb_file *f, const struct node *n, bool is_quiet)
{
	uint8_t header[HEADER_BYTES];
	struct page p = { .bytes = header };
	uint64_t want = mdb_overflow_pages(f, n->data_len);
	/* There may be more in the file than is the database's, and less. */
	uint64_t end = f->n_pages < f->n_there ? f->n_pages : f->n_there;

	if (f->is_quick && n->child >= 2 && n->child < end &&
	    want <= end - n->child)
		return true;
	if (mdb_read_page(f, n->child, PAGE_OVERFLOW, is_quiet, &p) < 0)
		return false;
	if (p.n_overflow >= want && n->child + p.n_overflow <= f->n_pages &&
	    n->child + want <= f->n_there)
		return true;
	if (!is_quiet)
		mdb_damaged(f, "page %llu: %u pages where %llu bytes should be",
		    (unsigned long long)n->child, p.n_overflow,
		    (unsigned long long)n->data_len);
	return false;
}
