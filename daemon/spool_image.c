/* SPDX-License-Identifier: ISC */
/*
 * Putting a spool together from what its files hold: records by mdb_file.c,
 * decoded as the daemon does, and the folder of contents. First all places are
 * noted and sorted by message, then each message is read: memory holds 40
 * octets a record and one message.
 *
 * It must never take a lock away from a daemon, write into the directory, or
 * believe a length that it hasn't compared with what is there.
 */
#include "daemon/spool_image.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_image_private.h"

/* ---- findings ---- */

void
image_tell(struct spool_image *im, enum image_finding kind, const char *fmt,
    ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (kind == IMAGE_DAMAGE)
		im->stats.n_damages++;
	else
		im->stats.n_notes++;
	im->tell(kind, text, im->arg);
}

static void
on_damage(const char *text, void *arg)
{
	image_tell(arg, IMAGE_DAMAGE, "spool.mdb: %s", text);
}

/* ---- opening ---- */

static int
take_lock(struct spool_image *im, struct err *err_out)
{
	char pid[DIR_HOLDER_SIZE];

	im->lock_fd = openat(im->dir_fd, "lock", O_RDONLY | O_CLOEXEC);
	if (im->lock_fd < 0 && errno == ENOENT)
		return 0; /* a copy, then: the daemon makes it first of all */
	if (im->lock_fd < 0)
		return err_sys(err_out, "%s/lock", im->dir);
	if (flock(im->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(err_out, "%s/lock", im->dir);
	return err_set(err_out,
	    "%s is in use by flyballd (process %s): stop it first", im->dir,
	    dir_holder(im->lock_fd, pid));
}

static int
open_files(struct spool_image *im, struct err *err_out)
{
	struct err why;

	im->dir_fd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->dir_fd < 0)
		return err_sys(err_out, "%s", im->dir);
	if (take_lock(im, err_out) < 0)
		return -1;
	im->mdb_fd = openat(im->dir_fd, "spool.mdb", O_RDONLY | O_CLOEXEC);
	if (im->mdb_fd < 0)
		return err_sys(err_out, "%s/spool.mdb", im->dir);
	im->bodies_fd =
	    openat(im->dir_fd, "bodies", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (im->bodies_fd < 0)
		image_tell(im, IMAGE_DAMAGE, "bodies: %s", strerror(errno));
	im->mdb = mdb_file_open(im->mdb_fd, on_damage, im, &why);
	if (im->mdb == NULL)
		return err_set(err_out, "%s/spool.mdb: %s", im->dir, why.text);
	return 0;
}

/* ---- what is there ---- */

static void
note_record(const struct mdb_record *r, void *arg)
{
	struct spool_image *im = arg;
	MDB_val key = { r->key_len, (void *)(uintptr_t)r->key };
	struct record_name name = record_name(&key);

	if (name.kind == RECORD_ALIEN) {
		if (!r->is_found_apart)
			image_tell(im, IMAGE_DAMAGE,
			    "spool.mdb: page %" PRIu64 ": record %u is of no "
			    "kind that mail has",
			    r->place.page, r->place.node);
		return;
	}
	if (im->n_pieces == im->cap_pieces) {
		im->cap_pieces = im->cap_pieces ? im->cap_pieces * 2 : 1024;
		im->pieces =
		    xrealloc(im->pieces, im->cap_pieces * sizeof(*im->pieces));
	}
	im->pieces[im->n_pieces++] = (struct piece){ .id = name.id,
		.place = r->place,
		.number = name.number,
		.kind = (uint8_t)name.kind,
		.is_found_apart = r->is_found_apart,
		.data_len = r->data_len };
}

/* By message, kind and number; what a tree names comes first. */
static int
by_name(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->is_found_apart != y->is_found_apart)
		return x->is_found_apart ? 1 : -1;
	return x->place.page < y->place.page ? -1
					     : x->place.page > y->place.page;
}

static void
drop_doubles(struct spool_image *im)
{
	size_t to = 0;

	for (size_t i = 0; i < im->n_pieces; i++) {
		const struct piece *p = &im->pieces[i];
		const struct piece *last = to > 0 ? &im->pieces[to - 1] : NULL;

		if (last != NULL && last->id == p->id &&
		    last->kind == p->kind && last->number == p->number)
			continue;
		im->pieces[to++] = *p;
	}
	im->n_pieces = to;
}

static void
read_schema(const struct mdb_record *r, void *arg)
{
	struct spool_image *im = arg;
	struct strbuf value = { 0 };
	uint64_t be;

	if (r->key_len == 6 && memcmp(r->key, "schema", 6) == 0 &&
	    mdb_file_read(im->mdb, r->place, NULL, &value) == 0 &&
	    value.len == sizeof(be)) {
		memcpy(&be, value.data, sizeof(be));
		im->stats.schema = be64toh(be);
	}
	strbuf_fini(&value);
}

static void
note_fact(const struct mdb_record *r, void *arg)
{
	struct spool_image *im = arg;

	if (r->data_len > RECORD_BYTES_MAX) {
		image_tell(im, IMAGE_DAMAGE,
		    "spool.mdb: page %" PRIu64 ": fact %u is damaged",
		    r->place.page, r->place.node);
		return;
	}
	if (im->n_facts == im->cap_facts) {
		im->cap_facts = im->cap_facts ? im->cap_facts * 2 : 256;
		im->facts =
		    xrealloc(im->facts, im->cap_facts * sizeof(*im->facts));
	}
	im->facts[im->n_facts++] = r->place;
	im->stats.n_facts++;
}

static int
read_trees(struct spool_image *im, struct err *err_out)
{
	if (!mdb_file_walk(im->mdb, "meta", read_schema, im))
		image_tell(im, IMAGE_DAMAGE,
		    "spool.mdb: the tree meta is missing");
	if (im->stats.schema > store_schema_version())
		return err_set(err_out,
		    "%s/spool.mdb was made by a newer flyball (schema %" PRIu64
		    ", this one knows %u)",
		    im->dir, im->stats.schema, store_schema_version());
	if (im->stats.schema == 1 && mdb_file_has(im->mdb, "message"))
		return err_set(err_out,
		    "%s/spool.mdb was made by an older flyball (schema 1): "
		    "flyballd brings it up to date when it starts",
		    im->dir);
	if (im->stats.schema == 0)
		image_tell(im, IMAGE_DAMAGE,
		    "spool.mdb: the schema's version can't be read");
	if (!mdb_file_walk(im->mdb, "mail", note_record, im))
		image_tell(im, IMAGE_DAMAGE,
		    "spool.mdb: the tree mail is missing");
	if (!mdb_file_walk(im->mdb, "fact", note_fact, im))
		image_tell(im, IMAGE_DAMAGE,
		    "spool.mdb: the tree fact is missing");
	mdb_file_check_free(im->mdb);
	if (mdb_file_is_damaged(im->mdb))
		mdb_file_rest(im->mdb, note_record, im);
	if (im->n_pieces > 0)
		qsort(im->pieces, im->n_pieces, sizeof(*im->pieces), by_name);
	drop_doubles(im);
	im->stats.n_pages = mdb_file_n_pages(im->mdb);
	im->stats.page_bytes = mdb_file_page_bytes(im->mdb);
	return 0;
}

/* ---- the folder of contents ---- */

static void
note_file(struct spool_image *im, const char *folder, const char *name)
{
	char right[BODY_NAME_SIZE];
	uint64_t id;

	if (*name == '.')
		return;
	if (message_id_parse(name, &id) < 0 ||
	    strncmp(body_name(id, right), folder, 2) != 0 ||
	    strcmp(right + 3, name) != 0) {
		image_tell(im, IMAGE_NOTE, "bodies/%s/%s: not a file of ours",
		    folder, name);
		return;
	}
	if (im->n_files == im->cap_files) {
		im->cap_files = im->cap_files ? im->cap_files * 2 : 64;
		im->files =
		    xrealloc(im->files, im->cap_files * sizeof(*im->files));
	}
	im->files[im->n_files++] = (struct body_file){ .id = id };
}

static void
list_folder(struct spool_image *im, const char *folder)
{
	DIR *d = dir_open_listing(im->bodies_fd, folder);
	struct dirent *entry;

	if (d == NULL) {
		image_tell(im, IMAGE_DAMAGE, "bodies/%s: %s", folder,
		    strerror(errno));
		return;
	}
	for (errno = 0; (entry = readdir(d)) != NULL; errno = 0)
		note_file(im, folder, entry->d_name);
	if (errno != 0)
		image_tell(im, IMAGE_DAMAGE, "bodies/%s: %s", folder,
		    strerror(errno));
	closedir(d);
}

int
image_by_id(const void *a, const void *b)
{
	const struct body_file *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void
list_files(struct spool_image *im)
{
	DIR *d =
	    im->bodies_fd < 0 ? NULL : dir_open_listing(im->bodies_fd, ".");
	struct dirent *entry;

	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		if (dir_is_body_folder(entry->d_name))
			list_folder(im, entry->d_name);
		else if (strncmp(entry->d_name, "new-", 4) == 0)
			image_tell(im, IMAGE_NOTE,
			    "bodies/%s: of a message that wasn't taken",
			    entry->d_name);
		else if (entry->d_name[0] != '.')
			image_tell(im, IMAGE_NOTE,
			    "bodies/%s: not a file of ours", entry->d_name);
	}
	closedir(d);
	if (im->n_files > 0)
		qsort(im->files, im->n_files, sizeof(*im->files), image_by_id);
}

struct spool_image *
spool_image_open(const char *dir, image_tell_fn *tell_fn, void *arg,
    struct err *err_out)
{
	struct spool_image *im = xcalloc(1, sizeof(*im));

	im->tell = tell_fn;
	im->arg = arg;
	im->dir = xstrdup(dir);
	im->dir_fd = im->lock_fd = im->mdb_fd = im->bodies_fd = -1;
	if (open_files(im, err_out) < 0 || read_trees(im, err_out) < 0) {
		spool_image_close(im);
		return NULL;
	}
	list_files(im);
	return im;
}

void
spool_image_close(struct spool_image *im)
{
	const int fds[] = { im->bodies_fd, im->mdb_fd, im->lock_fd,
		im->dir_fd };

	mdb_file_close(im->mdb);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(im->pieces);
	free(im->files);
	free(im->facts);
	free(im->dir);
	free(im);
}
