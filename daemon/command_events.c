/* SPDX-License-Identifier: ISC */
/*
 * `events` and `events follow`. The last events come from the end of the log's
 * file, which was just written and so is in memory; nothing is kept for this
 * while nobody asks. Following is the admin socket's business: here only the
 * conditions are read and the answer before the events is given.
 */
#include "daemon/command_private.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"

#define EVENTS_LIMIT	 20
#define EVENTS_LIMIT_MAX 1000
#define TAIL_BYTES	 (1 << 20)

int
command_events_follow(struct command *c)
{
	c->filter = event_filter_new(c->args, c->n_args, &c->err);
	if (c->filter == NULL) {
		c->is_usage = true;
		return -1;
	}
	answer_open(&c->out, NULL, '{');
	answer_bool(&c->out, "follows", true);
	answer_close(&c->out, '}');
	return 0;
}

/* The file's last bytes, from the beginning of a line; malloc'd. */
static char *
read_tail(const char *path, struct err *err_out)
{
	/* Not waiting for the writer of a FIFO, should it be one. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char *tail = NULL, *line;
	off_t from;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err_out, "%s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err_out, "%s is no file: nothing is kept there", path);
		goto out;
	}
	from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
	tail = xmalloc(TAIL_BYTES + 1);
	n = pread(fd, tail, TAIL_BYTES, from);
	tail[n > 0 ? n : 0] = '\0';
	line = strchr(tail, '\n');
	if (from > 0 && line != NULL)
		memmove(tail, line + 1, strlen(line + 1) + 1);
out:
	if (fd >= 0)
		close(fd);
	return tail;
}

/* Where the last `limit` lines that fit begin, oldest first. */
static size_t
find_lines(const struct event_filter *filter, const char *tail,
    const char **lines, size_t limit)
{
	const char *end = tail + strlen(tail);
	size_t n = 0;

	while (n < limit && end > tail) {
		const char *from;

		end--; /* at a newline, or the file lacks its last one */
		from = memrchr(tail, '\n', (size_t)(end - tail));
		from = from != NULL ? from + 1 : tail;
		if (event_filter_fits(filter, from, (size_t)(end - from)))
			lines[n++] = from;
		end = from;
	}
	for (size_t i = 0; i < n / 2; i++) {
		const char *swap = lines[i];

		lines[i] = lines[n - 1 - i];
		lines[n - 1 - i] = swap;
	}
	return n;
}

/* A file that somebody else wrote into mustn't break the answer. */
static void
show_line(struct command *c, const char *line)
{
	size_t len = strcspn(line, "\n");
	json_t *event = json_loadb(line, len, 0, NULL);

	if (event != NULL)
		answer_raw(&c->out, NULL, line, len);
	json_decref(event);
}

int
command_events(struct command *c)
{
	const char *path = governor_conf(c->g)->daemon.event_log;
	const char *lines[EVENTS_LIMIT_MAX];
	int64_t limit = EVENTS_LIMIT;
	char *tail;
	size_t n;

	if (command_take_limit(c, EVENTS_LIMIT_MAX, &limit) < 0)
		return -1;
	c->filter = event_filter_new(c->args, c->n_args, &c->err);
	if (c->filter == NULL) {
		c->is_usage = true;
		return -1;
	}
	if (*path == '\0' || strcmp(path, "-") == 0) {
		err_set(&c->hint, "`events follow` shows those to come");
		return command_refuse(c, "daemon.event_log names no file");
	}
	event_log_flush(governor_events(c->g));
	tail = read_tail(path, &c->err);
	if (tail == NULL)
		return -1;
	n = find_lines(c->filter, tail, lines, (size_t)limit);
	answer_open(&c->out, NULL, '[');
	for (size_t i = 0; i < n; i++)
		show_line(c, lines[i]);
	answer_close(&c->out, ']');
	free(tail);
	return 0;
}
