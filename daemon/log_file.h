/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_FILE_H
#define FLYBALL_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"

/*
 * A log that another program writes, line by line, through rotation (a new
 * file under the name), truncation and copying away with truncation. Where the
 * reading stands can be kept and gone on from after a restart.
 */
struct log_file;

/* After the last whole line that was given. `print` is of the first print_len
 * bytes: an inode may be used again, a file overwritten in place. */
struct log_place {
	uint64_t inode, offset, print;
	uint32_t print_len;
};
#define LOG_PLACE_SIZE 100
char *log_place_format(const struct log_place *p, char out[LOG_PLACE_SIZE]);
int log_place_parse(const char *text, struct log_place *out);

/* From a place that was kept; NULL: from what is written from now on. */
struct log_file *log_file_new(const char *path, const struct log_place *from);
void log_file_free(struct log_file *f);

/*
 * Gives the lines, without their ends, of up to about max_bytes; each() is
 * false to stop behind that line. Returns how many bytes were read, 0: nothing
 * new at the moment, -1: there is no file, or it can't be read.
 */
int64_t log_file_read(struct log_file *f,
    bool (*each)(const char *line, size_t len, void *arg), void *arg,
    size_t max_bytes, struct err *err_out);
/* False: there is none yet. */
bool log_file_place(const struct log_file *f, struct log_place *out);
/* How often lines may have been lost (a file was gone before its end was
 * read), and lines passed over as too long. */
unsigned log_file_n_gaps(const struct log_file *f);

#endif
