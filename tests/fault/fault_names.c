/* SPDX-License-Identifier: ISC */
/*
 * See fault.h: the calls that make, move and take away names. As those in
 * fault.c they make the real ones by syscall(2), under the one lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fault/fault_private.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char from_path[PATH_MAX], to_path[PATH_MAX];
	unsigned target;
	int rc = -1;

	fault_lock();
	fault_path(from_dir, from, from_path);
	fault_path(to_dir, to, to_path);
	fault_control();
	target = fault_target_of(to_path);
	fault_change(target);
	if (!fault_fails(FAULT_RENAME, target))
		rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
	if (rc == 0 && fault_control()->is_tracking && target == FAULT_BODIES)
		disk_note_name(to_path, from_path);
	fault_unlock();
	return rc;
}

int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	char path[PATH_MAX];
	int rc = -1;

	fault_lock();
	fault_path(dirfd, name, path);
	fault_control();
	fault_change(fault_target_of(path));
	if (!fault_fails(FAULT_UNLINK, fault_target_of(path))) {
		disk_unlinked(path);
		rc = (int)syscall(SYS_unlinkat, dirfd, name, flags);
	}
	if (rc == 0)
		disk_forget_name(path);
	fault_unlock();
	return rc;
}

int
mkdirat(int dirfd, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int rc = -1;

	fault_lock();
	fault_path(dirfd, name, path);
	fault_control();
	fault_change(fault_target_of(path));
	if (!fault_fails(FAULT_MKDIR, fault_target_of(path)))
		rc = (int)syscall(SYS_mkdirat, dirfd, name, mode);
	if (rc == 0 && fault_control()->is_tracking &&
	    fault_target_of(path) == FAULT_BODIES)
		disk_note_name(path, NULL);
	fault_unlock();
	return rc;
}
