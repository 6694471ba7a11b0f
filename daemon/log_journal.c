/* SPDX-License-Identifier: ISC */
/*
 * Reads the journal where the MTA has no log file. journalctl follows and
 * parses; this starts it, reads its pipe, and starts it again behind the last
 * cursor when it ends.
 */
#include "daemon/log_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define LINE_MAX_LEN 262144
#define PIECE	     65536

extern char **environ;

struct log_journal {
	char *cursor;
	pid_t pid; /* 0: it doesn't run */
	int fd;	   /* its output; -1 */
	struct strbuf held;
	bool is_skipping; /* an entry that is too long: up to its end */
};

struct log_journal *
log_journal_new(const char *cursor)
{
	struct log_journal *j = xcalloc(1, sizeof(*j));

	j->cursor = cursor != NULL ? xstrdup(cursor)
				   : xasprintf("@%lld", (long long)time(NULL));
	j->fd = -1;
	return j;
}

static void
end(struct log_journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	if (j->pid > 0) {
		kill(j->pid, SIGTERM);
		waitpid(j->pid, NULL, 0);
	}
	j->pid = 0;
	j->is_skipping = false;
	strbuf_reset(&j->held);
}

void
log_journal_free(struct log_journal *j)
{
	if (j == NULL)
		return;
	end(j);
	strbuf_fini(&j->held);
	free(j->cursor);
	free(j);
}

const char *
log_journal_cursor(const struct log_journal *j)
{
	return j->cursor;
}

/* ---- journalctl ---- */

static int
spawn(struct log_journal *j, int out, struct err *err_out)
{
	/* Not --lines=0: what came before journalctl ran would be lost. */
	char *from = xasprintf("--%s=%s",
	    j->cursor[0] == '@' ? "since" : "after-cursor", j->cursor);
	char *args[] = { (char *)(uintptr_t) "journalctl",
		(char *)(uintptr_t) "--follow",
		/* Else it rests after ten entries until another one comes. */
		(char *)(uintptr_t) "--no-tail",
		(char *)(uintptr_t) "--output=json",
		(char *)(uintptr_t) "--quiet", from,
		(char *)(uintptr_t) "SYSLOG_FACILITY=2", NULL };
	posix_spawn_file_actions_t files;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	rc = posix_spawnp(&j->pid, args[0], &files, NULL, args, environ);
	posix_spawn_file_actions_destroy(&files);
	free(from);
	if (rc == 0)
		return 0;
	j->pid = 0;
	return err_set(err_out, "journalctl: %s", strerror(rc));
}

static int
begin(struct log_journal *j, struct err *err_out)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err_out, "pipe: %s", strerror(errno));
	if (spawn(j, fds[1], err_out) < 0) {
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	close(fds[1]);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	j->fd = fds[0];
	return 0;
}

/* ---- entries ---- */

static const char *
field(const json_t *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(entry, name));

	return text != NULL ? text : "";
}

bool
log_entry_parse(const char *line, size_t len, struct log_entry *out,
    const char **cursor_out, void **memory_out)
{
	json_t *entry = json_loadb(line, len, 0, NULL);

	*memory_out = entry;
	if (!json_is_object(entry)) {
		json_decref(entry);
		return false;
	}
	*out = (struct log_entry){
		.utc_us =
		    strtoll(field(entry, "__REALTIME_TIMESTAMP"), NULL, 10),
		.program = field(entry, "SYSLOG_IDENTIFIER"),
		.message = field(entry, "MESSAGE"),
		.unit = field(entry, "_SYSTEMD_UNIT"),
	};
	*cursor_out = field(entry, "__CURSOR");
	return true;
}

void
log_entry_free(void *memory)
{
	json_decref(memory);
}

static bool
give(struct log_journal *j, const char *line, size_t len,
    bool (*each)(const struct log_entry *e, void *arg), void *arg)
{
	struct log_entry e;
	const char *cursor;
	void *memory;
	bool goes_on;

	if (!log_entry_parse(line, len, &e, &cursor, &memory))
		return true;
	goes_on = each(&e, arg);
	if (*cursor != '\0') {
		free(j->cursor);
		j->cursor = xstrdup(cursor);
	}
	log_entry_free(memory);
	return goes_on;
}

/* The whole lines of what is held; how many. */
static int64_t
give_lines(struct log_journal *j,
    bool (*each)(const struct log_entry *e, void *arg), void *arg)
{
	size_t from = 0;
	int64_t n = 0;
	bool goes_on = true;

	while (goes_on && from < j->held.len) {
		const char *line = j->held.data + from;
		const char *lf = memchr(line, '\n', j->held.len - from);

		if (lf == NULL)
			break;
		from += (size_t)(lf - line) + 1;
		if (!j->is_skipping)
			goes_on = give(j, line, (size_t)(lf - line), each, arg);
		j->is_skipping = false;
		n++;
	}
	strbuf_consume(&j->held, from);
	return n;
}

/* Anybody on this machine may log, and as much as he likes in one entry. To
 * begin again behind the last cursor would only meet it again. */
static void
drop_long_line(struct log_journal *j)
{
	if (j->held.len <= LINE_MAX_LEN ||
	    memchr(j->held.data, '\n', j->held.len) != NULL)
		return;
	j->is_skipping = true;
	strbuf_reset(&j->held);
}

int64_t
log_journal_read(struct log_journal *j,
    bool (*each)(const struct log_entry *e, void *arg), void *arg, int wait_ms,
    struct err *err_out)
{
	struct pollfd p;
	char bytes[PIECE];
	int64_t given;
	ssize_t n;

	if (j->fd < 0 && begin(j, err_out) < 0)
		return -1;
	given = give_lines(j, each, arg);
	if (given > 0)
		return given;
	p = (struct pollfd){ .fd = j->fd, .events = POLLIN };
	if (poll(&p, 1, wait_ms) <= 0)
		return 0;
	n = read(j->fd, bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		end(j);
		return err_set(err_out, "journalctl ended");
	}
	strbuf_add(&j->held, bytes, (size_t)n);
	given = give_lines(j, each, arg);
	drop_long_line(j);
	return given;
}
