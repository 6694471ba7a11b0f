/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_IMAGE_H
#define FLYBALL_SPOOL_IMAGE_H

#include "daemon/mdb_file.h"
#include "sink/envelope.h"

/*
 * The mail of a state directory as it can be read without the daemon, from a
 * damaged database too: `flyballctl spool check` and `spool export`. The
 * directory isn't changed; its lock is held meanwhile.
 */
struct spool_image;

enum image_finding {
	IMAGE_DAMAGE, /* something that was accepted may be missing or changed */
	IMAGE_NOTE,   /* left from a crash; the daemon's start mends it */
};
typedef void image_tell_fn(enum image_finding kind, const char *text,
    void *arg);

/* -1 where there is no spool, a flyballd holds it, or nothing is readable. */
struct spool_image *spool_image_open(const char *dir, image_tell_fn *tell,
    void *arg, struct err *err_out);
void spool_image_close(struct spool_image *im);

struct image_message {
	uint64_t id;
	bool has_envelope;	  /* else only id, deliveries, content */
	struct envelope envelope; /* with the deliveries that can be read */
	/* Parts were found outside of the database's trees, because something
	 * there is damaged. */
	bool is_found_apart;
	/* And nothing tells those from what was deleted: it may have been
	 * delivered long ago, or never taken. */
	bool is_uncertain;
	bool has_content;
	int content_fd; /* -1: it is in `content` */
	struct strbuf content;
	struct strbuf problems; /* a line each */
	struct spool_image *image;
};
/* Every message in order of arrival, lent for the call. */
void spool_image_each(struct spool_image *im,
    void (*each)(struct image_message *m, void *arg), void *arg);
/* Reads the content through and writes it to a descriptor, or nowhere (-1).
 * Where it can't be read, `problems` has a line more, and what could be is
 * written. -1: it couldn't be written. */
int image_message_copy(struct image_message *m, int to_fd, struct err *err_out);

/* What the governor remembers, as the spool's facts; lent. */
void spool_image_facts(struct spool_image *im,
    void (*each)(const struct strbuf *key, const struct strbuf *value,
	void *arg),
    void *arg);

struct image_stats {
	uint64_t n_pages;
	unsigned page_bytes;
	uint64_t schema;
	uint64_t n_messages, n_deliveries, n_recipients, n_bytes;
	uint64_t n_in_database, n_in_files; /* contents */
	uint64_t n_found_apart, n_uncertain, n_facts;
	uint64_t n_damages, n_notes;
};
/* After spool_image_each(). */
const struct image_stats *spool_image_stats(const struct spool_image *im);

#endif
