/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FAULT_PRIVATE_H
#define FLYBALL_FAULT_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/fault/fault.h"

/* Shared by fault.c, fault_names.c and fault_os.c, which stand in for libc's
 * calls, and fault_disk.c. */
struct disk_file;

/* ---- fault.c ---- */
struct fault *fault_control(void);
uint64_t fault_chance(uint64_t below);
const char *fault_dir(void);			   /* FLYBALL_FAULT_DIR */
void fault_forget_file(const struct disk_file *f); /* by all descriptors */

/* The one lock; the next four are called under it. */
void fault_lock(void);
void fault_unlock(void);
void fault_path(int dirfd, const char *name, char out[PATH_MAX]);
unsigned fault_target_of(const char *path); /* an enum fault_target */
/* Before each call that changes something below the directory. */
void fault_change(unsigned target);
/* Does this call fail now? Then errno says how. */
bool fault_fails(unsigned op, unsigned target);

/* Does a call that is about no file fail now? Then errno says how. */
bool fault_refuses(unsigned op);
/* Without a lock, as everybody asks for the time. NULL: no control file. */
const struct fault *fault_clocks(void);

/* ---- fault_disk.c ---- */
/* The file behind a descriptor; NULL: it is none. */
struct disk_file *disk_find(int fd, bool is_new);
void disk_unlinked(const char *path); /* is going to be */
/* Before bytes are written. */
void disk_touch(struct disk_file *f, off_t at, size_t len);
/* After a sync, by an enum fault_fate; or after an O_DSYNC write. */
void disk_settle(struct disk_file *f, unsigned fate);
void disk_settle_range(struct disk_file *f, off_t from, size_t len,
    unsigned fate);
/* A new name, or one moved from elsewhere. */
void disk_note_name(const char *path, const char *from);
void disk_forget_name(const char *path);
void disk_names_synced(int fd); /* of a folder */
/* Ends the process; doesn't return. */
void disk_cut_power(void);

#endif
