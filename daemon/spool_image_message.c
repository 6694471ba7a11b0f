/* SPDX-License-Identifier: ISC */
/*
 * One message after the other out of a spool's image: its pieces are read and
 * decoded as the daemon does it, and what is missing of it is said. Then what
 * the governor remembers.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_image_private.h"

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
	image_tell(im, IMAGE_DAMAGE, "message %s: %s",
	    message_id_format(m->id, id), text);
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
	    : bsearch(&wanted, im->files, im->n_files, sizeof(wanted),
		  image_by_id);
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
check_crc(struct image_message *m, uint32_t crc)
{
	if (m->has_envelope && m->envelope.has_crc &&
	    m->envelope.content_crc != crc)
		problem(m->image, m, "its content isn't what was received");
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
	else if (m->content_fd < 0)
		check_crc(m, content_crc(0, m->content.data, len));
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
			image_tell(im, IMAGE_NOTE,
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
	uint32_t crc = 0;

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
		if (n == 0 && at == m->envelope.size_bytes)
			check_crc(m, crc);
		if (n <= 0)
			return 0;
		crc = content_crc(crc, buf, (size_t)n);
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
