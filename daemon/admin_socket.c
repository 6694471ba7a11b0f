/* SPDX-License-Identifier: ISC */
/*
 * Makes and removes the admin socket's file. The subtle rule: mode and group
 * must be right before listen(), as who connects in between is let in by what
 * the file was until then; so it is made for its owner alone.
 */
#include "daemon/admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/base/xalloc.h"

#define BACKLOG 128

static int
address_of(const char *path, struct sockaddr_un *out, struct err *err_out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(out->sun_path))
		return err_set(err_out,
		    "admin socket %s: the path may have %zu bytes", path,
		    sizeof(out->sun_path) - 1);
	strcpy(out->sun_path, path);
	return 0;
}

static int
make_folder(const char *path, struct err *err_out)
{
	char *copy = xstrdup(path);
	int result = 0;

	if (mkdir(dirname(copy), 0755) < 0 && errno != EEXIST)
		result = err_sys(err_out, "admin socket %s: its folder", path);
	free(copy);
	return result;
}

/* 1: somebody listens there. */
static int
is_answered(const struct sockaddr_un *address, struct err *err_out)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return err_sys(err_out, "admin socket");
	result =
	    connect(fd, (const struct sockaddr *)address, sizeof(*address));
	/* EAGAIN: its queue of connections is full. */
	result = result == 0 || (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return result;
}

static int
remove_stale(const struct sockaddr_un *address, struct err *err_out)
{
	const char *path = address->sun_path;
	struct stat st;
	int answered;

	if (lstat(path, &st) < 0)
		return errno == ENOENT
		    ? 0
		    : err_sys(err_out, "admin socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err_out,
		    "admin socket %s: there is a file that is no socket", path);
	answered = is_answered(address, err_out);
	if (answered < 0)
		return -1;
	if (answered)
		return err_set(err_out,
		    "admin socket %s: another daemon answers there", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err_out, "admin socket %s: remove the old one",
		    path);
	return 0;
}

static int
set_group(const char *path, const char *name, struct err *err_out)
{
	const struct group *group;

	if (*name == '\0')
		return 0;
	errno = 0;
	group = getgrnam(name);
	if (group == NULL)
		return err_set(err_out,
		    "admin socket %s: there is no group \"%s\"", path, name);
	if (chown(path, (uid_t)-1, group->gr_gid) < 0)
		return err_sys(err_out, "admin socket %s: give it to group %s",
		    path, name);
	return 0;
}

static int
bind_at(struct admin_socket *s, const struct sockaddr_un *address, mode_t mode,
    const char *group, struct err *err_out)
{
	struct stat st;

	/* Linux makes the file with the descriptor's mode. */
	if (fchmod(s->fd, 0600) < 0 ||
	    bind(s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return err_sys(err_out, "admin socket %s", s->path);
	if (lstat(s->path, &st) < 0)
		return err_sys(err_out, "admin socket %s", s->path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if (set_group(s->path, group, err_out) < 0)
		return -1;
	if (chmod(s->path, mode) < 0 || stat(s->path, &st) < 0 ||
	    listen(s->fd, BACKLOG) < 0)
		return err_sys(err_out, "admin socket %s", s->path);
	s->gid = st.st_gid;
	return 0;
}

int
admin_socket_open(struct admin_socket *s, const char *path, mode_t mode,
    const char *group, struct err *err_out)
{
	struct sockaddr_un address;

	*s = (struct admin_socket){ .fd = -1 };
	if (address_of(path, &address, err_out) < 0 ||
	    make_folder(path, err_out) < 0 ||
	    remove_stale(&address, err_out) < 0)
		return -1;
	s->path = xstrdup(path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		err_sys(err_out, "admin socket");
		admin_socket_close(s);
		return -1;
	}
	if (bind_at(s, &address, mode, group, err_out) < 0) {
		admin_socket_close(s);
		return -1;
	}
	return 0;
}

void
admin_socket_close(struct admin_socket *s)
{
	struct stat st;

	if (s->path != NULL && s->ino != 0 && lstat(s->path, &st) == 0 &&
	    st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	*s = (struct admin_socket){ .fd = -1 };
}
