/* SPDX-License-Identifier: ISC */
/*
 * What is on the disk as opposed to in the page cache, page by page and name by
 * name, as fault.h tells; and the end, when only the former is left. Called by
 * fault.c, under its lock; makes the calls of the system by syscall(2), so that
 * it doesn't meet itself.
 */
#undef _FILE_OFFSET_BITS
#include "tests/fault/fault_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE	4096
#define BUCKETS 1024

/* A page that differs, or may differ, between cache and disk. */
struct page {
	struct page *next;
	uint64_t number;
	bool is_dirty; /* a sync would write it */
	char on_disk[PAGE];
};

struct disk_file {
	struct disk_file *next;
	dev_t dev;
	ino_t ino;
	int fd; /* our own, for putting things back */
	off_t size_on_disk;
	struct page *pages[BUCKETS];
};

/* A name that isn't on the disk yet: made, or moved from elsewhere. */
struct name {
	struct name *next;
	ino_t parent;
	bool is_moved;
	char path[PATH_MAX], from[PATH_MAX];
};

static struct {
	struct disk_file *files;
	struct name *names;
	unsigned n_lost;
} disk;

/* ---- pages ---- */

static void
forget_pages(struct disk_file *f)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (f->pages[i] != NULL) {
			struct page *p = f->pages[i];

			f->pages[i] = p->next;
			free(p);
		}
}

static void
forget_file(struct disk_file *f)
{
	struct disk_file **at = &disk.files;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	fault_forget_file(f);
	forget_pages(f);
	syscall(SYS_close, f->fd);
	free(f);
}

/* A file that goes can't lose anything. */
void
disk_unlinked(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	for (struct disk_file *f = disk.files; f != NULL; f = f->next)
		if (f->dev == st.st_dev && f->ino == st.st_ino) {
			forget_file(f);
			return;
		}
}

struct disk_file *
disk_find(int fd, bool is_new)
{
	struct stat st;
	struct disk_file *f;
	char path[64];

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	for (f = disk.files; f != NULL; f = f->next)
		if (f->dev == st.st_dev && f->ino == st.st_ino)
			break;
	if (f == NULL) {
		f = calloc(1, sizeof(*f));
		f->dev = st.st_dev;
		f->ino = st.st_ino;
		f->next = disk.files;
		disk.files = f;
	} else if (!is_new) {
		return f;
	} else {
		syscall(SYS_close, f->fd); /* the number was used before */
	}
	forget_pages(f);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	f->fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	f->size_on_disk = is_new ? 0 : st.st_size;
	return f;
}

static struct page *
find_page(struct disk_file *f, uint64_t number)
{
	struct page *p = f->pages[number % BUCKETS];

	while (p != NULL && p->number != number)
		p = p->next;
	return p;
}

/* Before bytes are written. */
void
disk_touch(struct disk_file *f, off_t at, size_t len)
{
	if (len == 0)
		return;
	for (uint64_t n = (uint64_t)at / PAGE;
	     n <= ((uint64_t)at + len - 1) / PAGE; n++) {
		struct page *p = find_page(f, n);

		if (p == NULL) {
			p = calloc(1, sizeof(*p));
			p->number = n;
			(void)!syscall(SYS_pread64, f->fd, p->on_disk, PAGE,
			    (off_t)(n * PAGE));
			p->next = f->pages[n % BUCKETS];
			f->pages[n % BUCKETS] = p;
		}
		p->is_dirty = true;
	}
}

static void
put_back(const struct disk_file *f, const struct page *p)
{
	(void)!syscall(SYS_pwrite64, f->fd, p->on_disk, PAGE,
	    (off_t)(p->number * PAGE));
}

static unsigned
fate_by_chance(unsigned fate)
{
	return fate != FAULT_ANY ? fate : FAULT_REACHED + fault_chance(3);
}

/* One dirty page after its sync. True: it is the same again in both places. */
static bool
settle_page(const struct disk_file *f, struct page *p, unsigned fate)
{
	if (!p->is_dirty)
		return false;
	fate = fate_by_chance(fate);
	if (fate == FAULT_GONE)
		put_back(f, p);
	p->is_dirty = false;
	return fate != FAULT_STALE;
}

void
disk_settle(struct disk_file *f, unsigned fate)
{
	struct stat st;

	for (size_t i = 0; i < BUCKETS; i++) {
		struct page **at = &f->pages[i];

		while (*at != NULL) {
			struct page *p = *at;

			if (!settle_page(f, p, fate)) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p);
		}
	}
	if (fate == FAULT_REACHED && fstat(f->fd, &st) == 0)
		f->size_on_disk = st.st_size;
}

/* As disk_settle(), for what one O_DSYNC write touched. */
void
disk_settle_range(struct disk_file *f, off_t from, size_t len, unsigned fate)
{
	for (uint64_t n = (uint64_t)from / PAGE;
	     n <= ((uint64_t)from + len - 1) / PAGE; n++) {
		struct page **at = &f->pages[n % BUCKETS];

		while (*at != NULL && (*at)->number != n)
			at = &(*at)->next;
		if (*at != NULL && settle_page(f, *at, fate)) {
			struct page *p = *at;

			*at = p->next;
			free(p);
		}
	}
}

/* ---- names ---- */

static ino_t
parent_of(const char *path)
{
	char parent[PATH_MAX];
	struct stat st;

	snprintf(parent, sizeof(parent), "%s", path);
	if (strrchr(parent, '/') == NULL)
		return 0;
	*strrchr(parent, '/') = '\0';
	return stat(parent, &st) == 0 ? st.st_ino : 0;
}

void
disk_forget_name(const char *path)
{
	for (struct name **at = &disk.names; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->path, path) == 0) {
			struct name *n = *at;

			*at = n->next;
			free(n);
			return;
		}
}

void
disk_note_name(const char *path, const char *from)
{
	struct name *n = calloc(1, sizeof(*n));

	disk_forget_name(path);
	n->parent = parent_of(path);
	snprintf(n->path, sizeof(n->path), "%s", path);
	if (from != NULL) {
		disk_forget_name(from);
		n->is_moved = true;
		snprintf(n->from, sizeof(n->from), "%s", from);
	}
	n->next = disk.names;
	disk.names = n;
}

void
disk_names_synced(int fd)
{
	struct name **at = &disk.names;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return;
	while (*at != NULL) {
		struct name *n = *at;

		if (n->parent != st.st_ino) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		free(n);
	}
}

/* ---- the power goes ---- */

static void
lose_name(const struct name *n)
{
	char lost[PATH_MAX];

	if (fault_chance(2) == 0)
		return; /* it was written by itself */
	snprintf(lost, sizeof(lost), "%.3000s/lost-%d-%u", fault_dir(),
	    (int)getpid(), disk.n_lost++);
	syscall(SYS_renameat2, AT_FDCWD, n->path, AT_FDCWD,
	    n->is_moved ? n->from : lost, 0);
}

/* In a process of its own, so that nobody sees the files as they will be. */
static void
put_all_back(void)
{
	for (struct disk_file *f = disk.files; f != NULL; f = f->next) {
		bool is_shorter = fault_chance(2) == 0;

		for (size_t i = 0; i < BUCKETS; i++)
			for (struct page *p = f->pages[i]; p; p = p->next)
				if (!p->is_dirty || fault_chance(2) == 0)
					put_back(f, p);
		if (is_shorter)
			syscall(SYS_ftruncate, f->fd, f->size_on_disk);
	}
	for (struct name *n = disk.names; n != NULL; n = n->next)
		lose_name(n);
}

static bool
is_ours(int fd)
{
	for (struct disk_file *f = disk.files; f != NULL; f = f->next)
		if (f->fd == fd)
			return true;
	return false;
}

static bool
has_died(pid_t pid)
{
	char path[64], line[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
	if (fd < 0)
		return true;
	n = read(fd, line, sizeof(line) - 1);
	syscall(SYS_close, fd);
	if (n <= 0)
		return true;
	line[n] = '\0';
	return strrchr(line, ')') != NULL && strrchr(line, ')')[2] == 'Z';
}

void
disk_cut_power(void)
{
	pid_t pid = getpid();

	if (fork() != 0) {
		for (;;)
			pause();
	}
	for (int fd = 0; fd < 4096; fd++)
		if (!is_ours(fd))
			syscall(SYS_close, fd);
	kill(pid, SIGKILL);
	while (!has_died(pid))
		usleep(1000);
	put_all_back();
	fault_control()->power = -1; /* it is over */
	_exit(0);
}
