/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MDB_FILE_PRIVATE_H
#define FLYBALL_MDB_FILE_PRIVATE_H

#include "daemon/mdb_file.h"

/* What the files that read LMDB's file share; its layout is told in
 * mdb_file.c. */

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
	bool is_quick; /* overflow pages aren't looked at */
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

/* ---- mdb_page.c ---- */
/* Tells of damage. */
void mdb_damaged(struct mdb_file *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
uint16_t mdb_u16(const uint8_t *p);
uint64_t mdb_u64(const uint8_t *p);
/* -1 with errno; 0 in it: the file ends. */
int mdb_read_at(struct mdb_file *f, uint64_t offset, void *to, size_t len);
/* Into p->bytes. -1, told unless `is_quiet`: it isn't such a page. */
int mdb_read_page(struct mdb_file *f, uint64_t number, unsigned kinds,
    bool is_quiet, struct page *p);
/* False: the node doesn't lie within its page. */
bool mdb_get_node(const struct mdb_file *f, const struct page *p, size_t i,
    struct node *out);
/* How many pages big data take. */
uint64_t mdb_overflow_pages(const struct mdb_file *f, uint64_t len);
/* Looks at the header alone; false: the data aren't there. */
bool mdb_has_overflow(struct mdb_file *f, const struct node *n, bool is_quiet);

/* ---- mdb_walk.c ---- */
struct key {
	uint8_t bytes[KEY_BYTES_MAX];
	size_t len;
	bool is_set;
};

struct walk {
	struct mdb_file *f;
	const char *name;
	void (*each)(struct walk *w, const struct page *p, size_t i,
	    const struct node *n);
	mdb_record_fn *record;
	void *arg;
	bool has_number_keys; /* of the free pages: native 64-bit numbers */
	/* filled in */
	unsigned depth;
	uint64_t n_entries, n_damaged;
	struct key last;
	struct key floor; /* no key from here on may be less */
};
/* Every record of a tree in order. False: something in it is damaged. */
bool mdb_walk_tree(struct walk *w, const struct disk_tree *tree);

#endif
