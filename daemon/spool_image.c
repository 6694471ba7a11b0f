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
#include "daemon/spool_private.h"

/* An envelope or a delivery to very many recipients; more is damage. */
#define RECORD_BYTES_MAX ((uint64_t)64 << 20)

struct piece {
	uint64_t id;
	struct mdb_place place;
	uint32_t number; /* of a delivery */
	uint8_t kind;	 /* enum record_kind */
	bool is_found_apart;
	uint64_t data_len;
};

struct body_file {
	uint64_t id;
	bool is_used;
};

struct spool_image {
	image_tell_fn *tell;
	void *arg;
	char *dir;
	int dir_fd, lock_fd, mdb_fd, bodies_fd;
	struct mdb_file *mdb;
	struct piece *pieces;
	size_t n_pieces, cap_pieces;
	struct body_file *files;
	size_t n_files, cap_files;
	struct mdb_place *facts;
	size_t n_facts, cap_facts;
	struct image_stats stats;
};

/* ---- findings ---- */

static void __attribute__((format(printf, 3, 4)))
tell(struct spool_image *im, enum image_finding kind, const char *fmt, ...)
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
	tell(arg, IMAGE_DAMAGE, "spool.mdb: %s", text);
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
		tell(im, IMAGE_DAMAGE, "bodies: %s", strerror(errno));
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
			tell(im, IMAGE_DAMAGE,
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
		tell(im, IMAGE_DAMAGE,
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
		tell(im, IMAGE_DAMAGE, "spool.mdb: the tree meta is missing");
	if (im->stats.schema > store_schema_version())
		return err_set(err_out,
		    "%s/spool.mdb was made by a newer flyball (schema %" PRIu64
		    ", this one knows %u)",
		    im->dir, im->stats.schema, store_schema_version());
	if (im->stats.schema == 0)
		tell(im, IMAGE_DAMAGE,
		    "spool.mdb: the schema's version can't be read");
	if (!mdb_file_walk(im->mdb, "mail", note_record, im))
		tell(im, IMAGE_DAMAGE, "spool.mdb: the tree mail is missing");
	if (!mdb_file_walk(im->mdb, "fact", note_fact, im))
		tell(im, IMAGE_DAMAGE, "spool.mdb: the tree fact is missing");
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
		tell(im, IMAGE_NOTE, "bodies/%s/%s: not a file of ours", folder,
		    name);
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
		tell(im, IMAGE_DAMAGE, "bodies/%s: %s", folder,
		    strerror(errno));
		return;
	}
	for (errno = 0; (entry = readdir(d)) != NULL; errno = 0)
		note_file(im, folder, entry->d_name);
	if (errno != 0)
		tell(im, IMAGE_DAMAGE, "bodies/%s: %s", folder,
		    strerror(errno));
	closedir(d);
}

static int
by_id(const void *a, const void *b)
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
			tell(im, IMAGE_NOTE,
			    "bodies/%s: of a message that wasn't taken",
			    entry->d_name);
		else if (entry->d_name[0] != '.')
			tell(im, IMAGE_NOTE, "bodies/%s: not a file of ours",
			    entry->d_name);
	}
	closedir(d);
	if (im->n_files > 0)
		qsort(im->files, im->n_files, sizeof(*im->files), by_id);
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

/* ---- one message ---- */

static void __attribute__((format(printf, 3, 4)))
problem(struct spool_image *im, struct image_message *m, const char *fmt, ...)
{
	char id[MESSAGE_ID_SIZE], text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	strbuf_addf(&m->problems, "%s\n", text);
	tell(im, IMAGE_DAMAGE, "message %s: %s", message_id_format(m->id, id),
	    text);
}

static void
add_delivery(struct spool_image *im, struct image_message *m,
    const struct piece *p, const struct strbuf *data)
{
	struct envelope *e = &m->envelope;
	struct delivery d;

	if (delivery_decode(data->data, data->len, &d) < 0) {
		problem(im, m, "delivery %u is damaged", p->number);
		return;
	}
	d.number = p->number;
	if (d.n_recipients == 0)
		problem(im, m, "delivery %u has no recipients", p->number);
	e->deliveries = xrealloc(e->deliveries,
	    (e->n_deliveries + 1) * sizeof(*e->deliveries));
	e->deliveries[e->n_deliveries++] = d;
	im->stats.n_deliveries++;
	im->stats.n_recipients += d.n_recipients;
}

/* Keeps deliveries that are there already: these aren't in the record. */
static void
add_envelope(struct spool_image *im, struct image_message *m,
    const struct strbuf *data)
{
	if (envelope_decode(data->data, data->len, &m->envelope) < 0) {
		problem(im, m, "its envelope is damaged");
		return;
	}
	m->envelope.id = m->id;
	m->has_envelope = true;
}

static void
add_piece(struct spool_image *im, struct image_message *m,
    const struct piece *p)
{
	uint64_t most =
	    p->kind == RECORD_BODY ? SPOOL_INLINE_MAX : RECORD_BYTES_MAX;
	struct strbuf data = { 0 };

	m->is_found_apart |= p->is_found_apart;
	if (p->data_len > most ||
	    mdb_file_read(im->mdb, p->place, NULL, &data) < 0) {
		problem(im, m, "a record of it is damaged");
	} else if (p->kind == RECORD_MESSAGE) {
		add_envelope(im, m, &data);
	} else if (p->kind == RECORD_DELIVERY) {
		add_delivery(im, m, p, &data);
	} else {
		m->content = data;
		m->has_content = true;
		im->stats.n_in_database++;
		return;
	}
	strbuf_fini(&data);
}

static void
open_content(struct spool_image *im, struct image_message *m)
{
	const struct body_file wanted = { .id = m->id };
	struct body_file *file = im->n_files == 0
	    ? NULL
	    : bsearch(&wanted, im->files, im->n_files, sizeof(wanted), by_id);
	char name[BODY_NAME_SIZE];

	if (file != NULL)
		file->is_used = true;
	if (m->has_content)
		return;
	body_name(m->id, name);
	m->content_fd = file == NULL
	    ? -1
	    : openat(im->bodies_fd, name, O_RDONLY | O_CLOEXEC);
	if (m->content_fd < 0) {
		problem(im, m, "its content is missing (bodies/%s)", name);
		return;
	}
	m->has_content = true;
	im->stats.n_in_files++;
}

static void
check_size(struct spool_image *im, struct image_message *m)
{
	uint64_t len = m->content.len;
	struct stat st;

	if (!m->has_content)
		return;
	if (m->content_fd >= 0) {
		if (fstat(m->content_fd, &st) < 0) {
			problem(im, m, "its content: %s", strerror(errno));
			return;
		}
		len = (uint64_t)st.st_size;
	}
	im->stats.n_bytes += len;
	if (m->has_envelope && len != m->envelope.size_bytes)
		problem(im, m,
		    "its content has %" PRIu64 " bytes, not %" PRIu64, len,
		    m->envelope.size_bytes);
}

static void
finish_message(struct spool_image *im, struct image_message *m)
{
	if (!m->has_envelope)
		problem(im, m, "sender and arrival are lost");
	if (m->envelope.n_deliveries == 0)
		problem(im, m, "its recipients are lost");
	open_content(im, m);
	check_size(im, m);
	m->is_uncertain = m->is_found_apart && !mdb_file_knows_free(im->mdb);
	im->stats.n_messages++;
	im->stats.n_found_apart += m->is_found_apart;
	im->stats.n_uncertain += m->is_uncertain;
}

static void
message_fini(struct image_message *m)
{
	envelope_fini(&m->envelope);
	strbuf_fini(&m->content);
	strbuf_fini(&m->problems);
	if (m->content_fd >= 0)
		close(m->content_fd);
}

/* Contents that no record names: of messages that were never answered with
 * 250, unless their records are what is damaged. */
static void
each_orphan(struct spool_image *im,
    void (*each)(struct image_message *m, void *arg), void *arg)
{
	const bool is_damaged = mdb_file_is_damaged(im->mdb);
	char name[BODY_NAME_SIZE];

	for (size_t i = 0; i < im->n_files; i++) {
		struct image_message m = { .id = im->files[i].id,
			.is_found_apart = true,
			.content_fd = -1,
			.image = im };

		if (im->files[i].is_used)
			continue;
		if (!is_damaged) {
			tell(im, IMAGE_NOTE,
			    "bodies/%s: no message has this content",
			    body_name(m.id, name));
			continue;
		}
		finish_message(im, &m);
		each(&m, arg);
		message_fini(&m);
	}
}

void
spool_image_each(struct spool_image *im,
    void (*each)(struct image_message *m, void *arg), void *arg)
{
	for (size_t i = 0; i < im->n_pieces;) {
		struct image_message m = {
			.id = im->pieces[i].id, .content_fd = -1, .image = im
		};

		for (; i < im->n_pieces && im->pieces[i].id == m.id; i++)
			add_piece(im, &m, &im->pieces[i]);
		finish_message(im, &m);
		each(&m, arg);
		message_fini(&m);
	}
	each_orphan(im, each, arg);
}

/* ---- contents ---- */

static int
write_all(int fd, const char *data, size_t len, struct err *err_out)
{
	while (fd >= 0 && len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err_out, "write");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int
image_message_copy(struct image_message *m, int to_fd, struct err *err_out)
{
	char buf[65536];
	uint64_t at = 0;

	if (!m->has_content)
		return 0;
	if (m->content_fd < 0)
		return write_all(to_fd, m->content.data, m->content.len,
		    err_out);
	for (;;) {
		ssize_t n = pread(m->content_fd, buf, sizeof(buf), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			problem(m->image, m,
			    "its content ends at byte %" PRIu64 ": %s", at,
			    strerror(errno));
		if (n <= 0)
			return 0;
		if (write_all(to_fd, buf, (size_t)n, err_out) < 0)
			return -1;
		at += (uint64_t)n;
	}
}

/* ---- facts ---- */

void
spool_image_facts(struct spool_image *im,
    void (*each)(const struct strbuf *key, const struct strbuf *value,
	void *arg),
    void *arg)
{
	struct strbuf key = { 0 }, value = { 0 };

	for (size_t i = 0; i < im->n_facts; i++) {
		strbuf_reset(&key);
		strbuf_reset(&value);
		if (mdb_file_read(im->mdb, im->facts[i], &key, &value) == 0)
			each(&key, &value, arg);
	}
	strbuf_fini(&key);
	strbuf_fini(&value);
}

const struct image_stats *
spool_image_stats(const struct spool_image *im)
{
	return &im->stats;
}
