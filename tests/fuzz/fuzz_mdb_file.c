/* SPDX-License-Identifier: ISC */
/*
 * A database that was damaged: the input is a list of patches (place, length,
 * bytes) on one that LMDB made. Whatever they hit, reading ends, and what it
 * gives lies within bounds; without patches nothing is told and all is there.
 */
#include "daemon/mdb_file.h"

#include <lmdb.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define RECORDS	  200
#define BIG_BYTES 9000
#define READS_MAX 5000

static const char *const trees[] = { "meta", "mail", "fact" };
#define N_TREES (sizeof(trees) / sizeof(trees[0]))

static struct strbuf original;

/* ---- the database as it was ---- */

static void
put(MDB_txn *txn, MDB_dbi dbi, unsigned i, size_t len)
{
	static char data[BIG_BYTES];
	char text[32];
	MDB_val key = { 0, text }, value = { len, data };

	key.mv_size = (size_t)snprintf(text, sizeof(text), "key %04u", i);
	memset(data, (int)('a' + i % 26), len);
	fuzz_check(mdb_put(txn, dbi, &key, &value, 0) == 0);
}

/* Branches, leaves, big records, and pages that were freed. */
static void
fill(MDB_env *env)
{
	for (unsigned round = 0; round < 3; round++) {
		MDB_txn *txn;
		MDB_dbi dbi;

		fuzz_check(mdb_txn_begin(env, NULL, 0, &txn) == 0);
		for (size_t t = 0; t < N_TREES; t++) {
			fuzz_check(mdb_dbi_open(txn, trees[t], MDB_CREATE,
				       &dbi) == 0);
			for (unsigned i = 0; i < (t == 1 ? RECORDS : 3); i++)
				put(txn, dbi, i,
				    i % 50 == 7 ? BIG_BYTES : 20 + i % 90);
		}
		fuzz_check(mdb_txn_commit(txn) == 0);
	}
}

static void
make_original(void)
{
	char path[] = "/tmp/fuzz_mdb.XXXXXX", lock[64], buf[65536];
	MDB_env *env;
	FILE *f;
	size_t n;

	close(mkstemp(path));
	unlink(path);
	fuzz_check(mdb_env_create(&env) == 0);
	fuzz_check(mdb_env_set_maxdbs(env, 8) == 0);
	fuzz_check(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC, 0600) ==
	    0);
	fill(env);
	mdb_env_close(env);
	f = fopen(path, "rb");
	fuzz_check(f != NULL);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_add(&original, buf, n);
	fclose(f);
	unlink(path);
	snprintf(lock, sizeof(lock), "%s-lock", path);
	unlink(lock);
}

/* ---- reading ---- */

struct reading {
	struct mdb_file *file;
	size_t n_records, n_reads, n_damages;
};

static void
on_damage(const char *text, void *arg)
{
	fuzz_check(*text != '\0');
	((struct reading *)arg)->n_damages++;
}

static void
on_record(const struct mdb_record *r, void *arg)
{
	struct reading *to = arg;
	struct strbuf key = { 0 }, data = { 0 };

	to->n_records++;
	if (to->n_reads++ < READS_MAX &&
	    mdb_file_read(to->file, r->place, &key, &data) == 0) {
		fuzz_check(key.len == r->key_len);
		fuzz_check(memcmp(key.len > 0 ? key.data : "", r->key,
			       key.len) == 0);
		fuzz_check(data.len == r->data_len);
	}
	strbuf_fini(&key);
	strbuf_fini(&data);
}

static void
read_all(int fd, bool is_whole)
{
	struct reading to = { 0 };
	struct err err;

	to.file = mdb_file_open(fd, on_damage, &to, &err);
	if (to.file == NULL)
		return;
	for (size_t t = 0; t < N_TREES; t++)
		mdb_file_walk(to.file, trees[t], on_record, &to);
	mdb_file_check_free(to.file);
	fuzz_check(!is_whole || to.n_records == RECORDS + 6);
	mdb_file_rest(to.file, on_record, &to);
	fuzz_check((to.n_damages > 0) == mdb_file_is_damaged(to.file));
	fuzz_check(!is_whole || to.n_damages == 0);
	mdb_file_close(to.file);
}

/* ---- patches ---- */

static bool
patch(struct fuzz *in, int fd)
{
	unsigned page = fuzz_byte(in);
	off_t at = (off_t)(fuzz_byte(in) << 8 | fuzz_byte(in)) % 4096;
	size_t len = fuzz_byte(in) % 32;

	at += (off_t)(page % (original.len / 4096)) * 4096;
	if (len > in->len)
		len = in->len;
	if (len == 0) { /* the file ends here */
		fuzz_check(ftruncate(fd, at) == 0);
		return true;
	}
	fuzz_check(pwrite(fd, in->data, len, at) == (ssize_t)len);
	in->data += len;
	in->len -= len;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	bool is_whole = true;
	int fd;

	if (original.len == 0)
		make_original();
	fd = memfd_create("spool.mdb", MFD_CLOEXEC);
	fuzz_check(fd >= 0);
	fuzz_check(pwrite(fd, original.data, original.len, 0) ==
	    (ssize_t)original.len);
	while (in.len >= 5)
		is_whole = !patch(&in, fd) && is_whole;
	read_all(fd, is_whole);
	close(fd);
	return 0;
}
