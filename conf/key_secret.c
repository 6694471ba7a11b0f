/* SPDX-License-Identifier: ISC */
/*
 * Secrets that stand in files of their own, which *_file keys name. They are
 * read with the configuration, so that a missing one is a mistake with its
 * place; they are in no row of the key table, hence in no dump.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "conf/key_types.h"

#define PASSWORD_MAX 1024

char *
key_read_secret(const char *file, struct err *err_out)
{
	char text[PASSWORD_MAX + 2];
	/* Not waiting, should it be a pipe. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	size_t len = got > 0 ? (size_t)got : 0;
	char *password = NULL;

	if (got < 0)
		err_sys(err_out, "can't read \"%.300s\"", file);
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return NULL;
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	text[len] = '\0';
	if (len == 0)
		err_set(err_out, "\"%.300s\" is empty", file);
	else if (strlen(text) != len || strpbrk(text, "\r\n") != NULL)
		err_set(err_out, "\"%.300s\" isn't one line of text", file);
	else if (len > PASSWORD_MAX)
		err_set(err_out, "\"%.300s\" is too long for a password", file);
	else
		password = xstrdup(text);
	explicit_bzero(text, sizeof(text));
	return password;
}

void
key_free_secret(char **secret)
{
	if (*secret != NULL)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}
