/* SPDX-License-Identifier: ISC */
/*
 * Edits the users file for `flyballctl passwd`. Works on the text, not on what
 * users.c makes of it, so that an operator's comments and order survive, and
 * a file with a mistake elsewhere can be mended step by step.
 *
 * The subtle rule: the lock is on the file's inode, which the commit replaces.
 * So whoever gets the lock looks whether the name still leads to that inode.
 */
#include "daemon/users_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/users.h"

struct users_edit {
	char *file; /* without symbolic links */
	int fd;	    /* the lock; -1 = the file isn't there yet */
	struct stat st;
	struct strbuf text;
};

/* ---- life ---- */

/* 1 = locked, 0 = it was replaced meanwhile, -1 = an error. */
static int
try_lock(struct users_edit *edit, struct err *err_out)
{
	struct stat now;

	edit->fd = open(edit->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (edit->fd < 0 || flock(edit->fd, LOCK_EX) < 0 ||
	    fstat(edit->fd, &edit->st) < 0)
		return err_sys(err_out, "%s", edit->file);
	if (!S_ISREG(edit->st.st_mode))
		return err_set(err_out, "%s: it is no file", edit->file);
	if (stat(edit->file, &now) == 0 && now.st_ino == edit->st.st_ino &&
	    now.st_dev == edit->st.st_dev)
		return 1;
	close(edit->fd);
	edit->fd = -1;
	return 0;
}

static int
lock_and_read(struct users_edit *edit, struct err *err_out)
{
	int result;

	do
		result = try_lock(edit, err_out);
	while (result == 0);
	if (result < 0)
		return -1;
	return users_read_file(edit->file, &edit->text, err_out);
}

/* A new file in a folder that hands on its group is for that group to read:
 * /etc/flyball as packages make it, so that the daemon can. */
static void
share_with_folder(struct users_edit *edit)
{
	char *copy = xstrdup(edit->file);
	struct stat st;

	if (stat(dirname(copy), &st) == 0 && (st.st_mode & S_ISGID)) {
		edit->st.st_mode = 0640;
		edit->st.st_gid = st.st_gid;
	}
	free(copy);
}

struct users_edit *
users_edit_open(const char *file, bool create, struct err *err_out)
{
	struct users_edit *edit = xcalloc(1, sizeof(*edit));

	edit->fd = -1;
	strbuf_reserve(&edit->text, 0);
	edit->st.st_mode = 0600;
	edit->st.st_uid = geteuid();
	edit->st.st_gid = getegid();
	edit->file = realpath(file, NULL);
	if (edit->file != NULL) {
		if (lock_and_read(edit, err_out) == 0)
			return edit;
	} else if (errno == ENOENT && create) {
		edit->file = xstrdup(file);
		share_with_folder(edit);
		return edit;
	} else {
		err_sys(err_out, "%s", file);
	}
	users_edit_close(edit);
	return NULL;
}

void
users_edit_close(struct users_edit *edit)
{
	if (edit == NULL)
		return;
	if (edit->fd >= 0)
		close(edit->fd); /* and unlocks */
	strbuf_fini(&edit->text);
	free(edit->file);
	free(edit);
}

/* ---- lines ---- */

/* The length of a line with its newline, if it has one. */
static size_t
line_len(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', (size_t)(end - line));

	return (size_t)((newline != NULL ? newline + 1 : end) - line);
}

static bool
is_line_of(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	return len > name_len && memcmp(line, name, name_len) == 0 &&
	    line[name_len] == ':';
}

char *
users_edit_options(const struct users_edit *edit, const char *name)
{
	const char *line = edit->text.data;
	const char *end = line + edit->text.len, *colon;
	size_t len;

	for (; line < end; line += len) {
		len = line_len(line, end);
		if (!is_line_of(line, len, name))
			continue;
		while (len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL)
			len--;
		end = line + len;
		colon = memchr(line, ':', len);
		colon = memchr(colon + 1, ':', (size_t)(end - colon - 1));
		return colon != NULL
		    ? xstrndup(colon + 1, (size_t)(end - colon - 1))
		    : xstrdup("");
	}
	return NULL;
}

bool
users_edit_put(struct users_edit *edit, const char *name, const char *text)
{
	struct strbuf changed = { 0 };
	const char *line = edit->text.data;
	const char *end = line + edit->text.len;
	bool was_there = false;
	size_t len;

	strbuf_reserve(&changed, edit->text.len);
	for (; line < end; line += len) {
		len = line_len(line, end);
		if (!is_line_of(line, len, name)) {
			strbuf_add(&changed, line, len);
			continue;
		}
		if (!was_there && text != NULL)
			strbuf_adds(&changed, text);
		was_there = true; /* a second line of the name goes */
	}
	if (!was_there && text != NULL) {
		if (changed.len > 0 && changed.data[changed.len - 1] != '\n')
			strbuf_addc(&changed, '\n');
		strbuf_adds(&changed, text);
	}
	strbuf_fini(&edit->text);
	edit->text = changed;
	return was_there;
}

/* ---- to the disk ---- */

static int
write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Mode last: a change of owner may take bits away. */
static int
fill(const struct users_edit *edit, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if ((st.st_uid != edit->st.st_uid || st.st_gid != edit->st.st_gid) &&
	    fchown(fd, edit->st.st_uid, edit->st.st_gid) < 0)
		return -1;
	if (fchmod(fd, edit->st.st_mode & 07777) < 0)
		return -1;
	if (write_all(fd, edit->text.data, edit->text.len) < 0)
		return -1;
	return fsync(fd);
}

/* The new name must be on the disk too. */
static int
sync_folder(const char *file)
{
	char *copy = xstrdup(file);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd >= 0 ? fsync(fd) : -1;

	if (fd >= 0)
		close(fd);
	free(copy);
	return result;
}

int
users_edit_commit(struct users_edit *edit, struct err *err_out)
{
	char *temporary = xasprintf("%s.XXXXXX", edit->file);
	int fd = mkostemp(temporary, O_CLOEXEC);
	int result = -1;

	if (fd < 0) {
		err_sys(err_out, "%s", temporary);
		goto out;
	}
	if (fill(edit, fd) < 0 || rename(temporary, edit->file) < 0) {
		err_sys(err_out, "%s", edit->file);
		unlink(temporary);
		goto out;
	}
	result = sync_folder(edit->file);
	if (result < 0)
		err_sys(err_out, "%s: it is written, but not synced",
		    edit->file);
out:
	if (fd >= 0)
		close(fd);
	free(temporary);
	return result;
}
