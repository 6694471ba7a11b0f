/* SPDX-License-Identifier: ISC */
/*
 * Contents of messages, from their first byte until a commit names them. A
 * session's thread fills one; the writer syncs it and puts it in its place. Up
 * to SPOOL_INLINE_MAX it stays in memory and goes into the database; a larger
 * one goes to a file as it comes, bodies/new-N, and gets its name bodies/XX/ID
 * before the commit that needs it.
 *
 * A file's bytes, its size and its name are on the disk before the database
 * says that they are; a name that the database doesn't know is swept away at
 * the next start.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

/* The disk gets to work on a file after each so many bytes, so that the sync
 * at its end, for which others wait too, is a short one. */
#define WRITEBACK_BYTES (1 << 20)

struct body {
	struct spool *spool;
	struct strbuf memory; /* while fd is -1 */
	int fd;
	char name[48]; /* below bodies/; "" when there is no file of ours */
	uint64_t len;
	uint32_t crc;
	uint64_t started_bytes; /* of these the writeback was begun */
	bool is_broken;
	bool is_over; /* only counted: it will be refused */
};

struct body *
body_new(struct spool *spool)
{
	struct body *b = xcalloc(1, sizeof(*b));

	b->spool = spool;
	b->fd = -1;
	return b;
}

/* No room is no trouble: the writer says so when the message is whole. */
static void
give_up_file(struct body *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	if (*b->name != '\0')
		(void)unlinkat(b->spool->bodies_fd, b->name, 0);
	*b->name = '\0';
	strbuf_fini(&b->memory);
	b->is_over = true;
}

static int
write_all(struct body *b, const char *data, size_t len, struct err *err_out)
{
	if (!space_take(&b->spool->space, len)) {
		give_up_file(b);
		b->len += len;
		return 0;
	}
	while (len > 0) {
		ssize_t n = spool_io.write(b->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) {
			give_up_file(b);
			b->len += len;
			return 0;
		}
		if (n <= 0)
			return err_sys(err_out, "%s/bodies/%s: write",
			    b->spool->dir, b->name);
		data += n;
		len -= (size_t)n;
		b->len += (uint64_t)n;
	}
	if (b->len - b->started_bytes >= WRITEBACK_BYTES) {
		(void)sync_file_range(b->fd, (off_t)b->started_bytes,
		    (off_t)(b->len - b->started_bytes), SYNC_FILE_RANGE_WRITE);
		b->started_bytes = b->len;
	}
	return 0;
}

static int
spill(struct body *b, struct err *err_out)
{
	uint64_t n = atomic_fetch_add(&b->spool->n_body_files, 1);

	snprintf(b->name, sizeof(b->name), "new-%" PRIu64, n);
	b->fd = openat(b->spool->bodies_fd, b->name,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (b->fd < 0) {
		err_sys(err_out, "%s/bodies/%s", b->spool->dir, b->name);
		*b->name = '\0';
		return -1;
	}
	b->len = 0;
	if (write_all(b, b->memory.data, b->memory.len, err_out) < 0)
		return -1;
	strbuf_fini(&b->memory);
	return 0;
}

static void
note_failure(struct spool *spool)
{
	atomic_fetch_add(&spool->stats.n_body_failures, 1);
	atomic_store(&spool->stats.body_failed_us, clock_mono_us());
}

int
body_add(struct body *b, const void *data, size_t len, struct err *err_out)
{
	if (b->is_broken)
		return err_set(err_out, "an earlier write failed");
	b->crc = content_crc(b->crc, data, len);
	if (b->fd < 0 && !b->is_over) {
		if (b->len + len <= SPOOL_INLINE_MAX) {
			strbuf_add(&b->memory, data, len);
			b->len += len;
			return 0;
		}
		b->is_broken = spill(b, err_out) < 0;
	}
	if (b->is_over)
		b->len += len;
	else if (!b->is_broken)
		b->is_broken = write_all(b, data, len, err_out) < 0;
	if (!b->is_broken)
		return 0;
	note_failure(b->spool);
	return -1;
}

uint64_t
body_len(const struct body *b)
{
	return b->len;
}

ssize_t
body_read(struct body *b, uint64_t offset, char *buf, size_t len)
{
	if (b->is_broken || b->is_over)
		return -1;
	if (b->fd >= 0)
		return pread(b->fd, buf, len, (off_t)offset);
	if (offset >= b->len)
		return 0;
	if (len > b->len - offset)
		len = (size_t)(b->len - offset);
	memcpy(buf, b->memory.data + offset, len);
	return (ssize_t)len;
}

void
body_free(struct body *b)
{
	if (b == NULL)
		return;
	if (b->fd >= 0)
		close(b->fd);
	if (*b->name != '\0')
		(void)unlinkat(b->spool->bodies_fd, b->name, 0);
	strbuf_fini(&b->memory);
	free(b);
}

/* ---- for the writer ---- */

uint32_t
content_crc(uint32_t crc, const void *data, size_t len)
{
	return (uint32_t)crc32_z(crc, data, len);
}

uint32_t
body_crc(const struct body *b)
{
	return b->crc;
}

bool
body_is_file(const struct body *b)
{
	return b->fd >= 0;
}

bool
body_is_broken(const struct body *b)
{
	return b->is_broken;
}

bool
body_is_over(const struct body *b)
{
	return b->is_over;
}

const void *
body_data(const struct body *b)
{
	return b->memory.data;
}

/* Ids are milliseconds with a counter behind: both stir the folder. */
char *
body_name(uint64_t id, char out[BODY_NAME_SIZE])
{
	char text[MESSAGE_ID_SIZE];

	snprintf(out, BODY_NAME_SIZE, "%02x/%s",
	    (unsigned)((id >> 20) ^ id) & 0xff, message_id_format(id, text));
	return out;
}

/* The folder XX, made durably when it is new. */
static int
open_folder(struct spool *spool, const char *name)
{
	const char folder[3] = { name[0], name[1], '\0' };
	int fd = openat(spool->bodies_fd, folder,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(spool->bodies_fd, folder, 0700) < 0 && errno != EEXIST)
		return -1;
	if (spool_io.sync_dir(spool->bodies_fd) < 0) {
		/* Else the next one would take it for durable. */
		(void)unlinkat(spool->bodies_fd, folder, AT_REMOVEDIR);
		return -1;
	}
	return openat(spool->bodies_fd, folder,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
move_to(struct body *b, const char *name, struct err *err_out)
{
	int folder = open_folder(b->spool, name);
	int result = -1;

	if (folder < 0)
		return err_sys(err_out, "%s/bodies/%.2s", b->spool->dir, name);
	if (renameat(b->spool->bodies_fd, b->name, b->spool->bodies_fd, name) <
	    0) {
		err_sys(err_out, "%s/bodies/%s: rename", b->spool->dir, name);
		goto out;
	}
	snprintf(b->name, sizeof(b->name), "%s", name);
	spool_step("body renamed");
	if (spool_io.sync_dir(folder) < 0) {
		err_sys(err_out, "%s/bodies/%.2s: sync", b->spool->dir, name);
		goto out;
	}
	spool_step("folder synced");
	result = 0;
out:
	close(folder);
	return result;
}

int
body_place(struct body *b, uint64_t id, struct err *err_out)
{
	char name[BODY_NAME_SIZE];

	if (b->is_broken)
		return err_set(err_out, "an earlier write failed");
	spool_step("body written");
	if (spool_io.sync(b->fd) < 0) {
		/* Whatever a second sync says, the bytes may be lost. */
		b->is_broken = true;
		note_failure(b->spool);
		return err_sys(err_out, "%s/bodies/%s: sync", b->spool->dir,
		    b->name);
	}
	spool_step("body synced");
	if (move_to(b, body_name(id, name), err_out) == 0)
		return 0;
	note_failure(b->spool);
	return -1;
}

void
body_release(struct body *b)
{
	*b->name = '\0';
}

void
body_remove(struct spool *spool, uint64_t id)
{
	char name[BODY_NAME_SIZE];

	body_name(id, name);
	if (unlinkat(spool->bodies_fd, name, 0) < 0 && errno != ENOENT)
		log_warn("body_not_removed", LOG_STR("file", name),
		    LOG_STR("error", strerror(errno)));
	spool_step("body removed");
}
