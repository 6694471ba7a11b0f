/* SPDX-License-Identifier: ISC */
/*
 * LMDB's files read without LMDB: what it wrote is found, to the last record;
 * and whatever bytes are changed or cut off, reading ends, nothing is believed
 * that isn't there, and what is missing was told.
 */
#include "daemon/mdb_file.h"

#include <fcntl.h>
#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"

#define N_RECORDS 1500
#define ROUNDS	  400

/* ---- a file ---- */

struct world {
	char path[64];
	char *bytes; /* of the file */
	size_t len;
	size_t n_records; /* in tree "b" */
};

static size_t
data_len_of(size_t i)
{
	static const size_t lens[] = { 0, 1, 40, 300, 2000, 2100, 9000 };

	return lens[i % 7] + i % 11;
}

static void
fill_data(size_t i, char *data)
{
	memset(data, 'a' + (int)(i % 26), data_len_of(i));
}

static void
put(MDB_txn *txn, MDB_dbi dbi, size_t i)
{
	char name[32], data[10000];
	MDB_val key = { (size_t)snprintf(name, sizeof(name), "key-%06zu", i),
		name };
	MDB_val value = { data_len_of(i), data };

	fill_data(i, data);
	assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
}

static void
del(MDB_txn *txn, MDB_dbi dbi, size_t i)
{
	char name[32];
	MDB_val key = { (size_t)snprintf(name, sizeof(name), "key-%06zu", i),
		name };

	assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
}

static void
read_file(struct world *w)
{
	FILE *f = fopen(w->path, "r");

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	w->len = (size_t)ftell(f);
	rewind(f);
	w->bytes = xmalloc(w->len);
	assert_int_equal(fread(w->bytes, 1, w->len, f), w->len);
	fclose(f);
}

/* Many commits, deletions between them: old pages, free pages, two trees. */
static void
make_file(struct world *w)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi a, b;

	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 4);
	mdb_env_set_mapsize(env, 64 << 20);
	assert_int_equal(mdb_env_open(env, w->path,
			     MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600),
	    0);
	for (size_t round = 0; round < 15; round++) {
		assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
		mdb_dbi_open(txn, "a", MDB_CREATE, &a);
		mdb_dbi_open(txn, "b", MDB_CREATE, &b);
		for (size_t i = round * 100; i < (round + 1) * 100; i++) {
			put(txn, b, i);
			if (i % 3 == 0)
				put(txn, a, i);
		}
		for (size_t i = round * 100; i > 0 && i < (round + 1) * 100;
		     i += 2)
			del(txn, b, i - 100);
		assert_int_equal(mdb_txn_commit(txn), 0);
	}
	mdb_env_close(env);
	w->n_records = N_RECORDS - 14 * 50;
	read_file(w);
}

static int
set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	int fd;

	strcpy(w->path, "/tmp/test_mdb_file.XXXXXX");
	fd = mkstemp(w->path);
	assert_true(fd >= 0);
	close(fd);
	make_file(w);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	unlink(w->path);
	free(w->bytes);
	free(w);
	return 0;
}

/* ---- reading it ---- */

struct seen {
	struct mdb_file *f;
	size_t n_records, n_wrong, n_damages, n_rest;
	char first[300];
};

static void
on_damage(const char *text, void *arg)
{
	struct seen *s = arg;

	if (s->n_damages++ == 0)
		snprintf(s->first, sizeof(s->first), "%s", text);
}

static bool
is_right(size_t i, const struct strbuf *data)
{
	char want[10000];

	fill_data(i, want);
	return data->len == data_len_of(i) &&
	    (data->len == 0 || memcmp(data->data, want, data->len) == 0);
}

static void
on_record(const struct mdb_record *r, void *arg)
{
	struct seen *s = arg;
	struct strbuf key = { 0 }, data = { 0 };
	size_t i;
	char text[600];

	if (r->is_found_apart)
		s->n_rest++;
	s->n_records++;
	memcpy(text, r->key, r->key_len);
	text[r->key_len] = '\0';
	if (mdb_file_read(s->f, r->place, &key, &data) < 0 ||
	    key.len != r->key_len || memcmp(key.data, r->key, key.len) != 0 ||
	    sscanf(text, "key-%06zu", &i) != 1 || !is_right(i, &data))
		s->n_wrong++;
	strbuf_fini(&key);
	strbuf_fini(&data);
}

static void
pass(const struct mdb_record *r, void *arg)
{
	(void)r;
	(void)arg;
}

static int
open_bytes(const char *bytes, size_t len)
{
	int fd = memfd_create("mdb", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, bytes + at, len - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	return fd;
}

/* Everything in tree "b", the free pages, then what is in neither. */
static void
look(const char *bytes, size_t len, struct seen *s)
{
	int fd = open_bytes(bytes, len);
	struct err err = { .text = "" };

	*s = (struct seen){ .n_records = 0 };
	s->f = mdb_file_open(fd, on_damage, s, &err);
	if (s->f == NULL) {
		assert_true(err.text[0] != '\0');
		s->n_damages++;
		close(fd);
		return;
	}
	if (!mdb_file_walk(s->f, "b", on_record, s))
		s->n_damages++;
	mdb_file_walk(s->f, "a", on_record, &(struct seen){ .f = s->f });
	mdb_file_check_free(s->f);
	assert_true(s->n_damages > 0 || !mdb_file_is_damaged(s->f));
	mdb_file_rest(s->f, on_record, s);
	mdb_file_close(s->f);
	close(fd);
}

static void
everything_is_found_in_a_sound_file(void **state)
{
	struct world *w = *state;
	struct seen s;

	look(w->bytes, w->len, &s);
	if (s.n_damages > 0)
		fail_msg("%s", s.first);
	assert_int_equal(s.n_records, w->n_records);
	assert_int_equal(s.n_wrong, 0);
	/* No page is in no tree and not free: what is found there after damage
	 * was cut off by it. */
	assert_int_equal(s.n_rest, 0);
}

/* ---- damage ---- */

static size_t
damage(struct rng *rng, char *bytes, size_t len)
{
	size_t n_pages = len / 4096, page = rng_below(rng, n_pages) * 4096;

	switch (rng_below(rng, 6)) {
	case 0:
		return rng_below(rng, len);
	case 1:
		memset(bytes + page, 0, 4096);
		break;
	case 2:
		for (size_t i = 0; i < 4096; i++)
			bytes[page + i] = (char)rng_next(rng);
		break;
	case 3: /* heads and headers are small: aim at them */
		bytes[page + rng_below(rng, 24)] ^=
		    (char)(1 << rng_below(rng, 8));
		break;
	case 4: /* one page in another's place */
		memmove(bytes + page, bytes + rng_below(rng, n_pages) * 4096,
		    4096);
		break;
	default:
		for (size_t n = 1 + rng_below(rng, 20); n > 0; n--)
			bytes[rng_below(rng, len)] ^=
			    (char)(1 << rng_below(rng, 8));
	}
	return len;
}

static void
damage_is_told_or_lost_nothing(void **state)
{
	struct world *w = *state;
	const uint64_t seed = 20261125;
	char *bytes = xmalloc(w->len);
	size_t n_told = 0;

	print_message("seed %llu\n", (unsigned long long)seed);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct rng rng = { seed + round };
		struct seen s;
		size_t len;

		memcpy(bytes, w->bytes, w->len);
		len = damage(&rng, bytes, w->len);
		look(bytes, len, &s);
		n_told += s.n_damages > 0;
		/* A changed letter within a record can't be seen. */
		if (s.n_damages == 0 && s.n_records != w->n_records)
			fail_msg("round %llu: %zu records of %zu, silently",
			    (unsigned long long)round, s.n_records,
			    w->n_records);
	}
	free(bytes);
	assert_true(n_told > ROUNDS / 4);
}

/* The way down to half of the records: they are found apart. */
static void
what_a_lost_branch_cut_off_is_found(void **state)
{
	struct world *w = *state;
	char *bytes = xmalloc(w->len);
	size_t n_branches = 0;

	for (size_t page = 2 * 4096; page + 4096 <= w->len; page += 4096) {
		struct seen s;

		if (w->bytes[page + 10] != 1) /* P_BRANCH */
			continue;
		memcpy(bytes, w->bytes, w->len);
		memset(bytes + page, 0, 4096);
		look(bytes, w->len, &s);
		if (s.n_damages == 0)
			continue; /* a free one */
		n_branches++;
		/* Tree "a" may have lost it: its records look like these. */
		assert_true(s.n_records >= w->n_records);
		assert_int_equal(s.n_wrong, 0);
	}
	assert_true(n_branches >= 2);
	free(bytes);
}

static void
what_is_no_database_is_refused(void **state)
{
	static const char text[] = "this is a letter to my mother";
	char *zeros = xcalloc(1, 100000);
	struct err err;
	int fd;

	(void)state;
	fd = open_bytes(text, sizeof(text));
	assert_null(mdb_file_open(fd, on_damage, NULL, &err));
	close(fd);
	fd = open_bytes(zeros, 100000);
	assert_null(mdb_file_open(fd, on_damage, NULL, &err));
	close(fd);
	fd = open_bytes("", 0);
	assert_null(mdb_file_open(fd, on_damage, NULL, &err));
	close(fd);
	free(zeros);
}

/* Sends the first big datum of a leaf page elsewhere; false: it has none. */
static bool
redirect_big(char *page, uint64_t to)
{
	uint16_t lower, at, flags, key_len;

	memcpy(&lower, page + 12, sizeof(lower));
	for (size_t i = 16; page[10] == 2 && i < lower; i += 2) {
		memcpy(&at, page + i, sizeof(at));
		memcpy(&flags, page + at + 4, sizeof(flags));
		memcpy(&key_len, page + at + 6, sizeof(key_len));
		if (!(flags & 1)) /* F_BIGDATA */
			continue;
		memcpy(page + at + 8 + key_len, &to, sizeof(to));
		return true;
	}
	return false;
}

/* The spool keeps zeros behind the last page in use: a page there is in the
 * file, and none of the database's. */
static void
big_data_behind_the_last_page_is_damage(void **state)
{
	struct world *w = *state;
	const size_t ahead = 4 << 20, n_pages = w->len / 4096;
	char *bytes = xcalloc(1, w->len + ahead);
	size_t n_told = 0;

	for (size_t page = 2; page < n_pages; page++) {
		struct seen s = { .n_records = 0 };
		struct err err;
		int fd;

		memcpy(bytes, w->bytes, w->len);
		if (!redirect_big(bytes + page * 4096, n_pages + 900))
			continue;
		fd = open_bytes(bytes, w->len + ahead);
		s.f = mdb_file_open(fd, on_damage, &s, &err);
		assert_non_null(s.f);
		mdb_file_be_quick(s.f);
		mdb_file_walk(s.f, "b", pass, NULL);
		n_told += s.n_damages > 0;
		mdb_file_close(s.f);
		close(fd);
	}
	assert_true(n_told > 10);
	free(bytes);
}

static void
without_heads_everything_is_found_apart(void **state)
{
	struct world *w = *state;
	char *bytes = xmemdup(w->bytes, w->len);
	struct seen s;

	memset(bytes, 0, 8192);
	look(bytes, w->len, &s);
	assert_true(s.n_damages > 0);
	assert_true(s.n_rest >= w->n_records);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_found_in_a_sound_file),
		cmocka_unit_test(damage_is_told_or_lost_nothing),
		cmocka_unit_test(what_a_lost_branch_cut_off_is_found),
		cmocka_unit_test(what_is_no_database_is_refused),
		cmocka_unit_test(big_data_behind_the_last_page_is_damage),
		cmocka_unit_test(without_heads_everything_is_found_apart),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
