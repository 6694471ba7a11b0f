/* SPDX-License-Identifier: ISC */
/*
 * Follows one log file. log_reader.c calls it on a thread of its own; it knows
 * nothing of what the lines say.
 *
 * A rotated file is read to its end before the new one is begun: its writer
 * goes on with it until it is told to open the log again, so the change is
 * made only when the old one has been silent for some looks. After a restart
 * the file that was read is found by inode and first bytes, under its own name
 * or beside it ("mail.log.1").
 */
#include "daemon/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define PRINT_MAX    256
#define LINE_MAX_LEN 65536
#define PIECE	     65536
#define QUIET_LOOKS  3 /* at a rotated file, before the new one is begun */

struct log_file {
	char *path;
	int fd; /* -1: none open */
	struct log_place at;
	struct strbuf held; /* read, but not given: it begins at at.offset */
	bool is_skipping;   /* a line that is too long */
	bool from_end;	    /* a file that is there at first: only what comes */
	bool has_place;
	unsigned n_quiet, n_gaps;
};

/* ---- places ---- */

char *
log_place_format(const struct log_place *p, char out[LOG_PLACE_SIZE])
{
	snprintf(out, LOG_PLACE_SIZE,
	    "%" PRIu64 " %" PRIu64 " %" PRIx64 " %" PRIu32, p->inode, p->offset,
	    p->print, p->print_len);
	return out;
}

int
log_place_parse(const char *text, struct log_place *out)
{
	int end = 0;

	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNx64 " %" SCNu32 "%n",
		&out->inode, &out->offset, &out->print, &out->print_len,
		&end) != 4 ||
	    text[end] != '\0' || out->print_len > PRINT_MAX)
		return -1;
	return 0;
}

/* FNV-1a: who writes the log decides nothing by a collision. */
static uint64_t
print_of(const char *bytes, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	return hash;
}

/* Begins the file as it did when the place was kept? */
static bool
has_print(int fd, const struct log_place *p)
{
	char bytes[PRINT_MAX];

	return pread(fd, bytes, p->print_len, 0) == (ssize_t)p->print_len &&
	    print_of(bytes, p->print_len) == p->print;
}

static void
take_print(struct log_file *f)
{
	char bytes[PRINT_MAX];
	ssize_t n;

	if (f->at.print_len == PRINT_MAX)
		return;
	n = pread(f->fd, bytes, sizeof(bytes), 0);
	if (n < 0)
		return;
	f->at.print_len = (uint32_t)n;
	f->at.print = print_of(bytes, (size_t)n);
}

/* ---- which file ---- */

static void
leave(struct log_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->n_quiet = 0;
	f->is_skipping = false;
	strbuf_reset(&f->held);
}

static void
begin_at(struct log_file *f, int fd, uint64_t inode, uint64_t offset)
{
	leave(f);
	f->fd = fd;
	f->at = (struct log_place){ .inode = inode, .offset = offset };
	f->has_place = true;
	take_print(f);
}

static int
open_path(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	if (fd >= 0) {
		close(fd);
		errno = EINVAL;
	}
	return -1;
}

/* It stands where the reading did. */
static bool
is_it(int fd, const struct stat *st, const struct log_place *p)
{
	return st->st_ino == p->inode && (uint64_t)st->st_size >= p->offset &&
	    has_print(fd, p);
}

/* Where the rest of what was read before the restart is. -1: nowhere. */
static int
find_rest(const struct log_file *f, struct stat *st)
{
	char *pattern = xasprintf("%s[.-]*", f->path);
	glob_t found = { 0 };
	int fd = -1;

	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; fd < 0 && i < found.gl_pathc; i++) {
			fd = open_path(found.gl_pathv[i], st);
			if (fd >= 0 && !is_it(fd, st, &f->at)) {
				close(fd);
				fd = -1;
			}
		}
	globfree(&found);
	free(pattern);
	return fd;
}

/* Goes on from a kept place: 0, or -1 when that file is gone. */
static int
go_on(struct log_file *f, int fd, const struct stat *st)
{
	struct log_place kept = f->at;
	struct stat rest;

	if (is_it(fd, st, &kept)) {
		begin_at(f, fd, kept.inode, kept.offset);
		return 0;
	}
	close(fd);
	fd = find_rest(f, &rest);
	if (fd < 0)
		return -1;
	begin_at(f, fd, kept.inode, kept.offset);
	return 0;
}

static int
begin(struct log_file *f, struct err *err_out)
{
	struct stat st;
	int fd = open_path(f->path, &st);

	if (fd < 0) {
		/* When it comes, all of it is new; after a restart too. */
		f->from_end = false;
		f->has_place = true;
		return err_set(err_out, "%s: %s", f->path, strerror(errno));
	}
	if (f->has_place && f->at.inode != 0) {
		if (go_on(f, fd, &st) == 0)
			return 0;
		f->n_gaps++;
		fd = open_path(f->path, &st);
		if (fd < 0)
			return err_set(err_out, "%s: %s", f->path,
			    strerror(errno));
	}
	begin_at(f, fd, st.st_ino, f->from_end ? (uint64_t)st.st_size : 0);
	f->from_end = false;
	return 0;
}

struct log_file *
log_file_new(const char *path, const struct log_place *from)
{
	struct log_file *f = xcalloc(1, sizeof(*f));
	struct err err;

	f->path = xstrdup(path);
	f->fd = -1;
	f->from_end = from == NULL;
	if (from != NULL) {
		f->at = *from;
		f->has_place = true;
	}
	/* Now, so that nothing which is written from here on is missed. If it
	 * can't be read, reading will say so. */
	(void)begin(f, &err);
	return f;
}

void
log_file_free(struct log_file *f)
{
	if (f == NULL)
		return;
	leave(f);
	strbuf_fini(&f->held);
	free(f->path);
	free(f);
}

bool
log_file_place(const struct log_file *f, struct log_place *out)
{
	*out = f->at;
	return f->has_place;
}

unsigned
log_file_n_gaps(const struct log_file *f)
{
	return f->n_gaps;
}

/* ---- lines ---- */

/* Gives the whole lines of what is held; false: each() had enough. */
static bool
give_lines(struct log_file *f,
    bool (*each)(const char *line, size_t len, void *arg), void *arg)
{
	size_t from = 0;
	bool goes_on = true;

	while (goes_on && from < f->held.len) {
		const char *line = f->held.data + from;
		const char *end = memchr(line, '\n', f->held.len - from);

		if (end == NULL)
			break;
		from += (size_t)(end - line) + 1;
		if (!f->is_skipping)
			goes_on = each(line, (size_t)(end - line), arg);
		f->is_skipping = false;
	}
	f->at.offset += from;
	strbuf_consume(&f->held, from);
	return goes_on;
}

static void
drop_long_line(struct log_file *f)
{
	if (f->held.len < LINE_MAX_LEN || !f->held.data ||
	    memchr(f->held.data, '\n', f->held.len) != NULL)
		return;
	f->is_skipping = true;
	f->at.offset += f->held.len;
	strbuf_reset(&f->held);
}

static ssize_t
read_piece(struct log_file *f)
{
	char bytes[PIECE];
	ssize_t n = pread(f->fd, bytes, sizeof(bytes),
	    (off_t)(f->at.offset + f->held.len));

	if (n > 0)
		strbuf_add(&f->held, bytes, (size_t)n);
	return n;
}

/* Truncated, or written anew in place: from its beginning. */
static void
meet_truncation(struct log_file *f)
{
	struct stat here;
	int fd = f->fd;

	if (fstat(fd, &here) < 0 ||
	    ((uint64_t)here.st_size >= f->at.offset + f->held.len &&
		has_print(fd, &f->at)))
		return;
	f->fd = -1;
	begin_at(f, fd, here.st_ino, 0);
}

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
				      : a->tv_nsec > b->tv_nsec;
}

/* It is compressed, or goes on being read under another name. */
static bool
is_packed(const char *path)
{
	static const char *const ends[] = { ".gz", ".xz", ".bz2", ".zst" };
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]);

		if (len >= n && strcmp(path + len - n, ends[i]) == 0)
			return true;
	}
	return false;
}

/*
 * The file that was begun after this one: the one of our name, but when it was
 * rotated twice since, the first of those beside it that were written later.
 */
static int
open_next(const struct log_file *f, const struct stat *here, struct stat *next)
{
	char *pattern = xasprintf("%s[.-]*", f->path);
	int fd = open_path(f->path, next);
	glob_t found = { 0 };

	glob(pattern, GLOB_NOSORT, NULL, &found);
	for (size_t i = 0; fd >= 0 && i < found.gl_pathc; i++) {
		struct stat st;
		int other = is_packed(found.gl_pathv[i])
		    ? -1
		    : open_path(found.gl_pathv[i], &st);

		if (other < 0)
			continue;
		if (st.st_ino == here->st_ino ||
		    !is_later(&st.st_mtim, &here->st_mtim) ||
		    !is_later(&next->st_mtim, &st.st_mtim)) {
			close(other);
			continue;
		}
		close(fd);
		fd = other;
		*next = st;
	}
	globfree(&found);
	free(pattern);
	return fd;
}

/* Nothing more to read: is this still the file of that name? */
static void
look_around(struct log_file *f)
{
	struct stat here, there;
	int fd;

	if (fstat(f->fd, &here) < 0)
		return;
	if (stat(f->path, &there) < 0 || there.st_ino == here.st_ino) {
		f->n_quiet = 0;
		return;
	}
	if (++f->n_quiet < QUIET_LOOKS)
		return;
	fd = open_next(f, &here, &there);
	if (fd >= 0)
		begin_at(f, fd, there.st_ino, 0);
}

int64_t
log_file_read(struct log_file *f,
    bool (*each)(const char *line, size_t len, void *arg), void *arg,
    size_t max_bytes, struct err *err_out)
{
	int64_t total = 0;

	if (f->fd < 0 && begin(f, err_out) < 0)
		return -1;
	/* Before its new bytes are taken for a continuation. */
	meet_truncation(f);
	/* What each() left the last time. */
	if (!give_lines(f, each, arg))
		return 1;
	while (total < (int64_t)max_bytes) {
		ssize_t n = read_piece(f);

		if (n < 0)
			return err_set(err_out, "%s: %s", f->path,
			    strerror(errno));
		if (n == 0)
			break;
		total += n;
		f->n_quiet = 0;
		take_print(f);
		if (!give_lines(f, each, arg))
			return total;
		drop_long_line(f);
	}
	if (total == 0)
		look_around(f);
	return total;
}
