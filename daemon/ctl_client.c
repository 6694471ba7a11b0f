/* SPDX-License-Identifier: ISC */
/* flyballctl's end of the admin socket: words out, lines of JSON in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/command_words.h"
#include "daemon/ctl.h"

struct ctl_client {
	FILE *in;
	int fd;
	char *line;
	size_t cap;
};

static int
connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static void
complain(const char *path, int number)
{
	fprintf(stderr, "flyballctl: %s: %s\n", path, strerror(number));
	if (number == ENOENT || number == ECONNREFUSED)
		fputs("hint: flyballd isn't running, or has another "
		      "daemon.admin_socket: see -s\n",
		    stderr);
	else if (number == EACCES)
		fputs("hint: root and members of the socket's group may use "
		      "it\n",
		    stderr);
}

struct ctl_client *
ctl_client_open(const struct ctl *ctl, bool is_quiet)
{
	struct ctl_client *c;
	int fd = connect_to(ctl->socket);

	if (fd < 0) {
		if (!is_quiet)
			complain(ctl->socket, errno);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	c->in = fdopen(fd, "r");
	if (c->in == NULL)
		abort(); /* no memory */
	return c;
}

void
ctl_client_close(struct ctl_client *c)
{
	if (c == NULL)
		return;
	fclose(c->in);
	free(c->line);
	free(c);
}

void
ctl_client_wait(struct ctl_client *c, unsigned seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

int
ctl_client_send(struct ctl_client *c, char *const *words, size_t n,
    struct err *err_out)
{
	struct strbuf line = { 0 };
	size_t sent = 0;

	if (words_join(words, n, &line, err_out) < 0) {
		strbuf_fini(&line);
		return -1;
	}
	strbuf_addc(&line, '\n');
	while (sent < line.len) {
		ssize_t now = send(c->fd, line.data + sent, line.len - sent,
		    MSG_NOSIGNAL);

		if (now < 0 && errno == EINTR)
			continue;
		if (now < 0)
			break; /* the answer, or its absence, will tell */
		sent += (size_t)now;
	}
	strbuf_fini(&line);
	return 0;
}

const char *
ctl_client_read_line(struct ctl_client *c)
{
	ssize_t len = getline(&c->line, &c->cap, c->in);

	if (len <= 0 || c->line[len - 1] != '\n')
		return NULL;
	c->line[len - 1] = '\0';
	return c->line;
}

json_t *
ctl_client_read(struct ctl_client *c)
{
	const char *line = ctl_client_read_line(c);

	return line != NULL ? json_loads(line, 0, NULL) : NULL;
}

json_t *
ctl_ask(const struct ctl *ctl, const char *word)
{
	struct ctl_client *c = ctl_client_open(ctl, true);
	char *words[] = { (char *)word };
	json_t *answer = NULL, *result = NULL;

	if (c == NULL)
		return NULL;
	if (ctl_client_send(c, words, 1, NULL) == 0)
		answer = ctl_client_read(c);
	if (answer != NULL)
		result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	ctl_client_close(c);
	return result;
}
