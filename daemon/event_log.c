/* SPDX-License-Identifier: ISC */
/*
 * The event log's writer. The governor calls it for each event of each
 * recipient, so building a line allocates nothing and asks the kernel nothing:
 * bytes go into one buffer that is written once a turn, or when it is full.
 *
 * It must never hold up the mail: pipes and sockets are written without
 * waiting, and what can't be written is dropped and counted. The subtle rule:
 * lines are dropped whole. The rest of a line whose beginning is out already
 * is kept and tried again, so a full disk leaves no half line behind.
 */
#include "daemon/event_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/json.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"

#define BUFFER_BYTES   65536
/* A reader that is slow may leave so much; then lines are dropped. */
#define HELD_BYTES_MAX (1 << 20)
/* For a slow reader to take the last lines when the daemon ends. */
#define CLOSE_WAIT_MS  500
#define ELLIPSIS       "\u2026"
/* "2026-11-24T05:16:00", to which each event adds its milliseconds. */
#define SECOND_LEN     19

struct event_follower {
	struct event_follower *prev, *next;
	event_follow_fn *fn;
	void *arg;
	bool is_new;  /* came during this event: begins with the next */
	bool is_gone; /* went during this event: freed at its end */
};

struct event_log {
	int fd; /* -1 = nobody but followers */
	bool is_socket;
	bool has_begun; /* `out` begins inside a line */
	bool is_broken; /* the last flush lost something */
	bool is_told;	/* the operator was told of trouble, at: */
	int64_t told_second;
	struct strbuf out;
	size_t line_start; /* of the line that is being built */
	bool is_building;
	bool is_telling; /* followers are being called */
	struct event_follower *followers;
	uint64_t n_dropped;
	int64_t second; /* whose text is: */
	char second_text[CLOCK_RFC3339_SIZE];
};

/* ---- life ---- */

/* An own description of what stdout is: O_NONBLOCK on the shared one would
 * reach whoever else has it. Sockets can't be opened so; they are sent to. */
static int
open_stdout(void)
{
	int fd = open("/proc/self/fd/1",
	    O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* Not waiting for the reader of a FIFO either. The folder may be missing at a
 * first try by hand; one level, so that no mistyped path is built up. */
static int
open_file(const char *path)
{
	char *copy = xstrdup(path);

	(void)mkdir(dirname(copy), 0750); /* if it failed, so will open() */
	free(copy);
	return open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	    0640);
}

/* 0 and *fd_out, which is -1 for no path. */
static int
open_path(const char *path, int *fd_out, struct err *err_out)
{
	*fd_out = -1;
	if (*path == '\0')
		return 0;
	if (strcmp(path, "-") == 0)
		*fd_out = open_stdout();
	else
		*fd_out = open_file(path);
	if (*fd_out < 0)
		return err_sys(err_out, "event log %s",
		    strcmp(path, "-") == 0 ? "stdout" : path);
	return 0;
}

static void
adopt_fd(struct event_log *log, int fd)
{
	struct stat st;

	log->fd = fd;
	log->is_socket = fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

struct event_log *
event_log_open(const char *path, struct err *err_out)
{
	struct event_log *log;
	int fd;

	if (open_path(path, &fd, err_out) < 0)
		return NULL;
	log = xcalloc(1, sizeof(*log));
	log->second = -1;
	strbuf_reserve(&log->out, BUFFER_BYTES);
	adopt_fd(log, fd);
	return log;
}

static size_t
count_lines(const char *data, size_t len)
{
	const char *end = data + len;
	size_t n = 0;

	while (data < end &&
	    (data = memchr(data, '\n', (size_t)(end - data)))) {
		data++;
		n++;
	}
	return n;
}

/* What is left belongs to a file that goes: the new one can't have its end. */
static void
drop_all(struct event_log *log)
{
	log->n_dropped += count_lines(log->out.data, log->out.len);
	strbuf_reset(&log->out);
	log->has_begun = false;
}

static void
flush_and_wait(struct event_log *log)
{
	struct pollfd poller = { .fd = log->fd, .events = POLLOUT };

	event_log_flush(log);
	while (log->fd >= 0 && log->out.len > 0 && !log->is_broken &&
	    poll(&poller, 1, CLOSE_WAIT_MS) > 0)
		event_log_flush(log);
	drop_all(log);
}

int
event_log_reopen(struct event_log *log, const char *path, struct err *err_out)
{
	int fd;

	assert(!log->is_building);
	if (open_path(path, &fd, err_out) < 0)
		return -1;
	flush_and_wait(log);
	if (log->fd >= 0)
		close(log->fd);
	adopt_fd(log, fd);
	log->is_broken = log->is_told = false;
	return 0;
}

void
event_log_close(struct event_log *log)
{
	struct event_follower *f, *next;

	if (log == NULL)
		return;
	assert(!log->is_telling);
	flush_and_wait(log);
	if (log->fd >= 0)
		close(log->fd);
	DL_FOREACH_SAFE(log->followers, f, next)
		free(f);
	strbuf_fini(&log->out);
	free(log);
}

bool
event_log_is_wanted(const struct event_log *log)
{
	return log->fd >= 0 || log->followers != NULL;
}

uint64_t
event_log_n_dropped(const struct event_log *log)
{
	return log->n_dropped;
}

/* ---- building ---- */

static void
add_key(struct event_log *log, const char *key)
{
	size_t len = strlen(key);
	struct strbuf *out = &log->out;

	assert(log->is_building);
	strbuf_reserve(out, len + 4);
	out->data[out->len++] = ',';
	out->data[out->len++] = '"';
	memcpy(out->data + out->len, key, len);
	out->len += len;
	strbuf_add(out, "\":", 2);
}

static void
add_time(struct event_log *log, int64_t utc_us)
{
	int ms = (int)(utc_us / 1000 % 1000);
	char tail[] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
		(char)('0' + ms % 10), 'Z' };

	/* Thousands of events share one second. */
	if (utc_us / 1000000 != log->second) {
		log->second = utc_us / 1000000;
		clock_rfc3339(utc_us, log->second_text);
	}
	strbuf_add(&log->out, log->second_text, SECOND_LEN);
	strbuf_add(&log->out, tail, sizeof(tail));
}

void
event_begin(struct event_log *log, const char *name, int64_t utc_us)
{
	assert(!log->is_building && !log->is_telling);
	log->is_building = true;
	log->line_start = log->out.len;
	strbuf_adds(&log->out, "{\"ts\":\"");
	add_time(log, utc_us);
	strbuf_addc(&log->out, '"');
	event_str(log, "event", name);
}

/* Cut so that with the ellipsis it is no longer than EVENT_FIELD_MAX. */
static void
add_cut(struct event_log *log, const char *text)
{
	size_t ellipsis = sizeof(ELLIPSIS) - 1;
	size_t len = utf8_prefix_len(text, EVENT_FIELD_MAX + 1,
	    EVENT_FIELD_MAX - ellipsis);

	strbuf_add_json_string(&log->out, text, len);
	log->out.len--; /* the closing quote */
	strbuf_adds(&log->out, ELLIPSIS "\"");
}

void
event_str(struct event_log *log, const char *key, const char *text)
{
	size_t len;

	if (text == NULL)
		return;
	add_key(log, key);
	len = strnlen(text, EVENT_FIELD_MAX + 1);
	if (len > EVENT_FIELD_MAX)
		add_cut(log, text);
	else
		strbuf_add_json_string(&log->out, text, len);
}

void
event_int(struct event_log *log, const char *key, int64_t value)
{
	char digits[24];
	char *p = digits + sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	add_key(log, key);
	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		*--p = '-';
	strbuf_add(&log->out, p, (size_t)(digits + sizeof(digits) - p));
}

void
event_bool(struct event_log *log, const char *key, bool value)
{
	add_key(log, key);
	strbuf_adds(&log->out, value ? "true" : "false");
}

/* ---- followers ---- */

struct event_follower *
event_log_follow(struct event_log *log, event_follow_fn *fn, void *arg)
{
	struct event_follower *f = xcalloc(1, sizeof(*f));

	f->fn = fn;
	f->arg = arg;
	f->is_new = log->is_telling;
	DL_APPEND(log->followers, f);
	return f;
}

void
event_log_unfollow(struct event_log *log, struct event_follower *f)
{
	if (log->is_telling) {
		f->is_gone = true;
		return;
	}
	DL_DELETE(log->followers, f);
	free(f);
}

static void
tell_followers(struct event_log *log, const char *line, size_t len)
{
	struct event_follower *f, *next;

	log->is_telling = true;
	DL_FOREACH(log->followers, f) {
		if (!f->is_gone && !f->is_new)
			f->fn(line, len, f->arg);
	}
	log->is_telling = false;
	DL_FOREACH_SAFE(log->followers, f, next) {
		f->is_new = false;
		if (f->is_gone)
			event_log_unfollow(log, f);
	}
}

void
event_end(struct event_log *log)
{
	assert(log->is_building);
	log->is_building = false;
	strbuf_add(&log->out, "}\n", 2);
	if (log->followers != NULL)
		tell_followers(log, log->out.data + log->line_start,
		    log->out.len - log->line_start);
	if (log->fd < 0)
		strbuf_reset(&log->out);
	else if (log->out.len >= BUFFER_BYTES)
		event_log_flush(log);
}

/* ---- writing ---- */

static ssize_t
write_some(const struct event_log *log)
{
	ssize_t n;

	do {
		n = log->is_socket
		    ? send(log->fd, log->out.data, log->out.len,
			  MSG_DONTWAIT | MSG_NOSIGNAL)
		    : write(log->fd, log->out.data, log->out.len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Drops the lines of which nothing is out yet. */
static void
drop_lines(struct event_log *log)
{
	size_t kept = 0;

	if (log->has_begun) {
		const char *end = memchr(log->out.data, '\n', log->out.len);

		kept = end != NULL ? (size_t)(end + 1 - log->out.data) : 0;
	}
	log->n_dropped +=
	    count_lines(log->out.data + kept, log->out.len - kept);
	log->out.len = kept;
}

/* Once for each trouble, and not more often than once a minute: a disk that
 * has a little room now and then would fill itself with this. */
static void
note_trouble(struct event_log *log, const char *why)
{
	if (log->is_broken)
		return;
	log->is_broken = true;
	if (log->is_told && log->second < log->told_second + 60)
		return;
	log->is_told = true;
	log->told_second = log->second;
	log_warn("event_log", LOG_STR("error", why),
	    LOG_INT("dropped", log->n_dropped),
	    LOG_STR("consequence", "events are dropped while it lasts"));
}

static void
give_up(struct event_log *log, int error)
{
	if (error != EAGAIN) {
		drop_lines(log);
		note_trouble(log, strerror(error));
	} else if (log->out.len > HELD_BYTES_MAX) {
		drop_lines(log);
		note_trouble(log, "its reader is too slow");
	}
}

void
event_log_flush(struct event_log *log)
{
	assert(!log->is_building && !log->is_telling);
	while (log->fd >= 0 && log->out.len > 0) {
		ssize_t n = write_some(log);

		if (n <= 0) {
			give_up(log, n < 0 ? errno : EAGAIN);
			return;
		}
		log->has_begun = log->out.data[n - 1] != '\n';
		strbuf_consume(&log->out, (size_t)n);
	}
	log->is_broken = false;
}
