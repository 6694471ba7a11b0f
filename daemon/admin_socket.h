/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADMIN_SOCKET_H
#define FLYBALL_ADMIN_SOCKET_H

#include <sys/types.h>

#include "conf/base/err.h"

/* The file of a listening Unix socket. */
struct admin_socket {
	int fd;
	char *path;
	dev_t dev; /* which file is ours */
	ino_t ino;
	gid_t gid; /* its group */
};

/*
 * Listens at `path`, whose folder is made if only that is missing. A socket
 * that nobody listens at is replaced; one that is answered, or a file of
 * another kind, is refused. `group` "" leaves it. Nobody can connect before
 * mode and group are right.
 */
int admin_socket_open(struct admin_socket *s, const char *path, mode_t mode,
    const char *group, struct err *err_out);
/* Removes the file if it is still ours. */
void admin_socket_close(struct admin_socket *s);

#endif
