/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_IMAGE_PRIVATE_H
#define FLYBALL_SPOOL_IMAGE_PRIVATE_H

#include "daemon/spool_image.h"
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

/* A finding: counted, and told to whoever opened the image. */
void image_tell(struct spool_image *im, enum image_finding kind,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The order of im->files. */
int image_by_id(const void *a, const void *b);

#endif
