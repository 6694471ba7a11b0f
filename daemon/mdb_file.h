/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MDB_FILE_H
#define FLYBALL_MDB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"
#include "conf/base/strbuf.h"

/*
 * LMDB's file as it lies on the disk (format 1, 64 bits, little-endian), read
 * with pread(2) and without LMDB, which trusts what it maps. Whatever the
 * bytes are, nothing here crashes or runs for ever: what isn't right is told
 * through `damage`, and the rest is read.
 */
struct mdb_file;

/* Where a record lies; good as long as the file is open and unchanged. */
struct mdb_place {
	uint64_t page;
	uint32_t node;
};
struct mdb_record {
	struct mdb_place place;
	const void *key; /* lent */
	size_t key_len;
	uint64_t data_len;
	bool is_found_apart; /* by mdb_file_rest() */
};
typedef void mdb_record_fn(const struct mdb_record *r, void *arg);
typedef void mdb_damage_fn(const char *text, void *arg);

/*
 * The file of `fd`, which stays the caller's. Where neither of the two heads
 * can be read there are no trees, but mdb_file_rest() may find something; -1
 * only where nothing in it looks like pages of LMDB's.
 */
struct mdb_file *mdb_file_open(int fd, mdb_damage_fn *damage, void *arg,
    struct err *err_out);
void mdb_file_close(struct mdb_file *f);
unsigned mdb_file_page_bytes(const struct mdb_file *f);
uint64_t mdb_file_n_pages(const struct mdb_file *f); /* in use and free */
/* The head names pages that lie behind the end of the file. Not always
 * damage: LMDB doesn't write a page that it took and gave back at once. */
bool mdb_file_is_short(const struct mdb_file *f);
bool mdb_file_is_damaged(const struct mdb_file *f); /* something was told */

/* From now on big data are believed to be where a record says, if there is room
 * for them: their pages aren't read. */
void mdb_file_be_quick(struct mdb_file *f);
bool mdb_file_has(const struct mdb_file *f, const char *tree);
/* Every record of a named tree in order. False: there is no such tree. */
bool mdb_file_walk(struct mdb_file *f, const char *tree, mdb_record_fn *each,
    void *arg);
/* Reads the list of free pages: none of them may be in a tree. */
void mdb_file_check_free(struct mdb_file *f);
bool mdb_file_knows_free(const struct mdb_file *f); /* all of it was read */
/*
 * After all trees and the list of free pages: the records of those pages that
 * are in neither, which are what a damaged page has cut off. Where the list of
 * free pages is damaged too, what was deleted long ago is among them.
 */
void mdb_file_rest(struct mdb_file *f, mdb_record_fn *each, void *arg);
/* Appends key (or NULL) and data of a record. -1 and told: it can't be read. */
int mdb_file_read(struct mdb_file *f, struct mdb_place place,
    struct strbuf *key_out, struct strbuf *data_out);

#endif
