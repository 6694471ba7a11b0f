/* SPDX-License-Identifier: ISC */
/*
 * LMDB's file with bytes changed: an input is a list of changes, four bytes
 * each (page, offset, value). Whatever they are, reading ends, and records that
 * are missing were told of. Most changes of a whole file would only hit
 * contents; so bit 15 of an offset leads to the page's first 64 bytes, where
 * headers and lists of nodes are.
 */
#include <lmdb.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/mdb_file.h"
#include "tests/fuzz/fuzz.h"

#define PAGE	    4096
#define CHANGES_MAX 64

static char *base;
static size_t n_pages;
static int fd = -1;
static size_t n_records; /* of a sound file */

/* ---- the file ---- */

static void
put(MDB_txn *txn, MDB_dbi dbi, unsigned i, size_t len)
{
	char name[16], data[9000];
	MDB_val key = { (size_t)snprintf(name, sizeof(name), "k%05u", i),
		name };
	MDB_val value = { len, data };

	memset(data, 'x', sizeof(data));
	fuzz_check(mdb_put(txn, dbi, &key, &value, 0) == 0);
}

static void
fill(MDB_env *env)
{
	for (unsigned round = 0; round < 4; round++) {
		MDB_txn *txn;
		MDB_dbi a, b;

		fuzz_check(mdb_txn_begin(env, NULL, 0, &txn) == 0);
		fuzz_check(mdb_dbi_open(txn, "a", MDB_CREATE, &a) == 0);
		fuzz_check(mdb_dbi_open(txn, "b", MDB_CREATE, &b) == 0);
		for (unsigned i = 0; i < 60; i++) {
			put(txn, a, i * 4 + round, i % 20 == 0 ? 6000 : 60);
			put(txn, b, i, 200); /* again: pages become free */
		}
		fuzz_check(mdb_txn_commit(txn) == 0);
	}
}

static void
make_base(void)
{
	char path[] = "/tmp/fuzz_mdb.XXXXXX";
	int file = mkstemp(path);
	MDB_env *env;
	off_t len;

	fuzz_check(file >= 0 && mdb_env_create(&env) == 0);
	mdb_env_set_maxdbs(env, 4);
	fuzz_check(mdb_env_open(env, path,
		       MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600) == 0);
	fill(env);
	mdb_env_close(env);
	len = lseek(file, 0, SEEK_END);
	n_pages = (size_t)len / PAGE;
	base = xmalloc((size_t)len);
	fuzz_check(pread(file, base, (size_t)len, 0) == len);
	close(file);
	unlink(path);
	fd = memfd_create("mdb", MFD_CLOEXEC);
	fuzz_check(write(fd, base, (size_t)len) == len);
}

/* ---- reading it ---- */

struct seen {
	struct mdb_file *f;
	size_t n, n_told;
};

static void
on_damage(const char *text, void *arg)
{
	struct seen *s = arg;

	fuzz_check(*text != '\0');
	s->n_told++;
}

static void
on_record(const struct mdb_record *r, void *arg)
{
	struct seen *s = arg;
	struct strbuf key = { 0 }, data = { 0 };

	fuzz_check(r->key_len > 0 && r->key_len <= 511);
	if (mdb_file_read(s->f, r->place, &key, &data) == 0) {
		fuzz_check(key.len == r->key_len && data.len == r->data_len);
		fuzz_check(memcmp(key.data, r->key, key.len) == 0);
	}
	s->n += !r->is_found_apart;
	strbuf_fini(&key);
	strbuf_fini(&data);
}

static struct seen
look(void)
{
	struct seen s = { .n = 0 };
	struct err err = { .text = "" };

	s.f = mdb_file_open(fd, on_damage, &s, &err);
	if (s.f == NULL) {
		fuzz_check(err.text[0] != '\0');
		s.n_told++;
		return s;
	}
	s.n_told += !mdb_file_walk(s.f, "a", on_record, &s);
	s.n_told += !mdb_file_walk(s.f, "b", on_record, &s);
	mdb_file_check_free(s.f);
	mdb_file_rest(s.f, on_record, &s);
	mdb_file_close(s.f);
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	off_t at[CHANGES_MAX];
	struct seen s;
	size_t n = 0;

	if (base == NULL) {
		make_base();
		s = look();
		n_records = s.n;
		fuzz_check(s.n_told == 0 && n_records == 300);
	}
	for (; in.len >= 4 && n < CHANGES_MAX; n++) {
		size_t page = fuzz_byte(&in) % n_pages;
		unsigned offset = fuzz_byte(&in) << 8;
		char value;

		offset |= fuzz_byte(&in);
		offset %= offset & 0x8000 ? 64 : PAGE;
		value = (char)fuzz_byte(&in);
		at[n] = (off_t)(page * PAGE + offset);
		fuzz_check(pwrite(fd, &value, 1, at[n]) == 1);
	}
	s = look();
	fuzz_check(s.n == n_records || s.n_told > 0);
	while (n-- > 0)
		fuzz_check(pwrite(fd, base + at[n], 1, at[n]) == 1);
	return 0;
}
