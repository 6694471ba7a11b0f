/* SPDX-License-Identifier: ISC */
/*
 * The state directory: made, checked, and locked against a second daemon when
 * the spool is opened; and, once the database was found sound, the sweep of
 * body files that no message names, which a crash between writing a body and
 * committing its message leaves.
 * It never touches a file whose name it doesn't know.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

static int
check_owner(const char *path, int fd, struct err *err_out)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err_out, "%s", path);
	if (st.st_uid != geteuid())
		return err_set(err_out,
		    "%s belongs to user %u, but flyballd runs as user %u", path,
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & 077)
		log_warn("state_dir_is_open", LOG_STR("path", path),
		    LOG_STR("effect", "others can look into it"),
		    LOG_STR("fix", "chmod 700"));
	return 0;
}

/* Names are synced by the caller, but for the state directory's own. */
static int
open_folder(int at, const char *name, const char *shown, struct err *err_out)
{
	int fd;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err_out, "%s", shown);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err_out, "%s", shown);
	return fd;
}

/* All the mail would go with the name of the folder that it is in. Whose
 * folder we can't open isn't ours to make things in either. */
static int
sync_parent(int fd, const char *shown, struct err *err_out)
{
	int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (parent < 0)
		return 0;
	if (spool_io.sync_dir(parent) < 0)
		rc = err_sys(err_out, "%s/..: sync", shown);
	close(parent);
	return rc;
}

char *
dir_holder(int lock_fd, char pid[DIR_HOLDER_SIZE])
{
	ssize_t n = pread(lock_fd, pid, DIR_HOLDER_SIZE - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return *pid != '\0' ? pid : strcpy(pid, "unknown");
}

/* The lock goes with the process, however it ends. */
static int
take_lock(struct spool *spool, struct err *err_out)
{
	char pid[DIR_HOLDER_SIZE];

	spool->lock_fd =
	    openat(spool->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (spool->lock_fd < 0)
		return err_sys(err_out, "%s/lock", spool->dir);
	if (flock(spool->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno != EWOULDBLOCK
		    ? err_sys(err_out, "%s/lock", spool->dir)
		    : err_set(err_out,
			  "%s is in use by another flyballd (process %s)",
			  spool->dir, dir_holder(spool->lock_fd, pid));
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	/* It only serves that message; a full disk is no reason to stop. */
	if (ftruncate(spool->lock_fd, 0) == 0 &&
	    pwrite(spool->lock_fd, pid, strlen(pid), 0) < 0)
		log_debug("lock_without_pid",
		    LOG_STR("error", strerror(errno)));
	return 0;
}

int
dir_open(struct spool *spool, const char *path, struct err *err_out)
{
	char *bodies = xasprintf("%s/bodies", path);

	spool->dir = xstrdup(path);
	spool->dir_fd = open_folder(AT_FDCWD, path, path, err_out);
	if (spool->dir_fd >= 0 &&
	    check_owner(path, spool->dir_fd, err_out) == 0 &&
	    take_lock(spool, err_out) == 0 &&
	    sync_parent(spool->dir_fd, path, err_out) == 0)
		spool->bodies_fd =
		    open_folder(spool->dir_fd, "bodies", bodies, err_out);
	free(bodies);
	return spool->bodies_fd >= 0 ? 0 : -1;
}

void
dir_close(struct spool *spool)
{
	if (spool->bodies_fd >= 0)
		close(spool->bodies_fd);
	if (spool->lock_fd >= 0)
		close(spool->lock_fd);
	if (spool->dir_fd >= 0)
		close(spool->dir_fd);
	free(spool->dir);
}

/* ---- the sweep ---- */

struct sweep {
	struct spool *spool;
	MDB_txn *txn;
	size_t n_removed;
};

static bool
is_orphan(const struct sweep *w, const char *folder, const char *name)
{
	char right[BODY_NAME_SIZE];
	uint64_t id;
	bool has_file = true;

	if (message_id_parse(name, &id) < 0)
		return false;
	body_name(id, right);
	if (strncmp(right, folder, 2) != 0 || strcmp(right + 3, name) != 0)
		return false;
	if (record_has_file(&w->spool->store, w->txn, id, &has_file) != 0)
		return false; /* in doubt it stays */
	return !has_file;
}

DIR *
dir_open_listing(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;

	if (fd < 0)
		return NULL;
	d = fdopendir(fd);
	if (d == NULL)
		close(fd);
	return d;
}

static void
sweep_folder(struct sweep *w, const char *folder)
{
	DIR *d = dir_open_listing(w->spool->bodies_fd, folder);
	struct dirent *entry;

	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		if (!is_orphan(w, folder, entry->d_name))
			continue;
		if (unlinkat(dirfd(d), entry->d_name, 0) == 0)
			w->n_removed++;
	}
	closedir(d);
}

bool
dir_is_body_folder(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

/* Each name in bodies/. */
static int
each_name(struct spool *spool,
    void (*each)(DIR *d, const char *name, void *arg), void *arg,
    struct err *err_out)
{
	DIR *d = dir_open_listing(spool->bodies_fd, ".");
	struct dirent *entry;

	if (d == NULL)
		return err_sys(err_out, "%s/bodies", spool->dir);
	while ((entry = readdir(d)) != NULL)
		each(d, entry->d_name, arg);
	closedir(d);
	return 0;
}

static void
remove_unfinished(DIR *d, const char *name, void *arg)
{
	size_t *n_removed = arg;

	if (strncmp(name, "new-", 4) == 0 && unlinkat(dirfd(d), name, 0) == 0)
		++*n_removed;
}

int
dir_sweep_unfinished(struct spool *spool, struct err *err_out)
{
	size_t n_removed = 0;
	int rc = each_name(spool, remove_unfinished, &n_removed, err_out);

	if (n_removed > 0)
		log_info("bodies_swept", LOG_INT("unfinished", n_removed));
	return rc;
}

static void
remove_orphans(DIR *d, const char *name, void *arg)
{
	(void)d;
	if (dir_is_body_folder(name))
		sweep_folder(arg, name);
}

int
dir_sweep(struct spool *spool, struct err *err_out)
{
	struct sweep w = { .spool = spool };
	int rc;

	/* A content whose record is damaged is no orphan. */
	if (spool->is_damaged)
		return 0;
	rc = mdb_txn_begin(spool->store.env, NULL, MDB_RDONLY, &w.txn);
	if (rc != 0)
		return store_err(err_out, spool->store.path, rc);
	rc = each_name(spool, remove_orphans, &w, err_out);
	mdb_txn_abort(w.txn);
	if (w.n_removed > 0)
		log_info("bodies_swept", LOG_INT("removed", w.n_removed));
	return rc;
}
