/* SPDX-License-Identifier: ISC */
/*
 * The database's file before LMDB opens it. LMDB takes an empty file for a new
 * one and reads whatever its head names, also behind the end of the file,
 * which ends in a signal. So a new database gets its name only when it is
 * whole, an empty file is damage, and so is a page in use that isn't there.
 *
 * And once more when the scan has read the pages of the queue into the page
 * cache, so that it costs next to nothing: the tree as a whole, and the list of
 * free pages, out of which LMDB would write over mail if it were wrong. The
 * contents' own pages aren't read, they would make a start from a cold disk
 * very long.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/mdb_file.h"
#include "daemon/spool_private.h"

/* ---- a new one ---- */

static int
write_empty(const char *path)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return rc;
	rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
	if (rc == 0)
		rc = mdb_env_sync(env, 1);
	mdb_env_close(env);
	return rc;
}

/* The caller syncs the folder. */
static int
create(const char *path, struct err *err_out)
{
	char *fresh = xasprintf("%s.new", path);
	int rc;

	(void)unlink(fresh); /* of a start that was cut short */
	rc = write_empty(fresh);
	if (rc == 0 && rename(fresh, path) < 0)
		rc = errno;
	free(fresh);
	return rc == 0 ? 0 : store_err(err_out, path, rc);
}

/* ---- one that is there ---- */

struct look {
	char first[300];
};

static void
on_damage(const char *text, void *arg)
{
	struct look *l = arg;

	if (l->first[0] == '\0')
		snprintf(l->first, sizeof(l->first), "%s", text);
}

static void
pass(const struct mdb_record *r, void *arg)
{
	(void)r;
	(void)arg;
}

static int
examine(int fd, const char *path, bool is_whole, struct err *err_out)
{
	struct look l = { .first = "" };
	struct err why = { .text = "" };
	struct mdb_file *f = mdb_file_open(fd, on_damage, &l, &why);

	if (f == NULL)
		return err_set(err_out, "%s is damaged (%s): %s", path,
		    why.text, SPOOL_HINT);
	mdb_file_be_quick(f);
	if (is_whole || mdb_file_is_short(f)) {
		mdb_file_walk(f, "meta", pass, NULL);
		mdb_file_walk(f, "mail", pass, NULL);
		mdb_file_check_free(f);
	}
	mdb_file_close(f);
	if (l.first[0] == '\0')
		return 0;
	return err_set(err_out, "%s is damaged (%s): %s", path, l.first,
	    SPOOL_HINT);
}

int
store_prepare(const char *path, struct err *err_out)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0 && errno == ENOENT)
		return create(path, err_out);
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = err_sys(err_out, "%s", path);
	else if (st.st_size == 0)
		rc = err_set(err_out, "%s is damaged (it is empty): %s", path,
		    SPOOL_HINT);
	else
		rc = examine(fd, path, false, err_out);
	if (fd >= 0)
		close(fd);
	return rc;
}

int
store_verify(const char *path, struct err *err_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? err_sys(err_out, "%s", path)
			: examine(fd, path, true, err_out);

	if (fd >= 0)
		close(fd);
	return rc;
}
