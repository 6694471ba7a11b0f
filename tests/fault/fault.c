/* SPDX-License-Identifier: ISC */
/*
 * See fault.h. It stands in for libc's calls and makes the real ones by
 * syscall(2), so it works preloaded and linked alike, and doesn't meet itself.
 * Everything is under one lock: it is slow, and simple enough to be right.
 */
/* A library's flags may ask for it, and then open() is open64() already. */
#undef _FILE_OFFSET_BITS
#include "tests/fault/fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096
#define FD_MAX	65536
#define BUCKETS 1024

/* A page that differs, or may differ, between cache and disk. */
struct page {
	struct page *next;
	uint64_t number;
	bool is_dirty; /* a sync would write it */
	char on_disk[PAGE];
};

struct file {
	struct file *next;
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
	pthread_mutex_t lock;
	struct fault *control;
	char dir[PATH_MAX], events[PATH_MAX];
	uint64_t rng;
	struct file *files;
	struct name *names;
	struct {
		unsigned char target;
		bool is_dsync, is_dir;
		struct file *file;
	} fds[FD_MAX];
	unsigned n_lost;
} layer = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- what goes ---- */

static uint64_t
chance(uint64_t below)
{
	layer.rng ^= layer.rng << 13;
	layer.rng ^= layer.rng >> 7;
	layer.rng ^= layer.rng << 17;
	return (layer.rng >> 11) % below;
}

static void
copy_path(char to[PATH_MAX], const char *from)
{
	snprintf(to, PATH_MAX, "%s", from != NULL ? from : "");
}

static struct fault *
map_control(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(NULL, sizeof(struct fault), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		perror(path);
		abort();
	}
	syscall(SYS_close, fd);
	return at;
}

/* The environment is read at the first call; under the lock. */
static struct fault *
control(void)
{
	const char *path;

	if (layer.control != NULL)
		return layer.control;
	path = getenv("FLYBALL_FAULT");
	layer.control = path != NULL
	    ? map_control(path)
	    : mmap(NULL, sizeof(struct fault), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	copy_path(layer.dir, getenv("FLYBALL_FAULT_DIR"));
	copy_path(layer.events, getenv("FLYBALL_FAULT_EVENTS"));
	return layer.control;
}

struct fault *
fault_layer(void)
{
	struct fault *f;

	pthread_mutex_lock(&layer.lock);
	f = control();
	copy_path(layer.dir, getenv("FLYBALL_FAULT_DIR"));
	pthread_mutex_unlock(&layer.lock);
	return f;
}

static unsigned
target_of(const char *path)
{
	size_t n = strlen(layer.dir);

	if (*layer.events != '\0' && strcmp(path, layer.events) == 0)
		return FAULT_EVENTS;
	if (n == 0 || strncmp(path, layer.dir, n) != 0 ||
	    (path[n] != '\0' && path[n] != '/'))
		return FAULT_ELSE;
	if (strcmp(path + n, "/spool.mdb") == 0)
		return FAULT_DATABASE;
	return strncmp(path + n, "/bodies", 7) == 0 ? FAULT_BODIES
						    : FAULT_STATE;
}

/* The rule that this call meets, or NULL. */
static struct fault_rule *
meet(unsigned op, unsigned target)
{
	struct fault *f = control();

	if (layer.rng == 0)
		layer.rng = f->seed * 0x9e3779b97f4a7c15u + 1;
	for (size_t i = 0; i < FAULT_RULES; i++) {
		struct fault_rule *r = &f->rules[i];

		if (!(r->ops & op) || !(r->targets & target) || r->count == 0)
			continue;
		if (r->permille < 1000 && chance(1000) >= r->permille)
			continue;
		if (r->skip > 0) {
			r->skip--;
			continue;
		}
		if (r->count > 0)
			r->count--;
		r->n_hit++;
		return r;
	}
	return NULL;
}

/* Under the lock, which it leaves while the disk is slow. True: the call
 * fails, errno is set. */
static bool
fails_so(unsigned op, unsigned target, unsigned *fate_out)
{
	struct fault_rule *r = meet(op, target);

	if (r != NULL && r->delay_us > 0) {
		useconds_t us = r->delay_us;

		pthread_mutex_unlock(&layer.lock);
		usleep(us);
		pthread_mutex_lock(&layer.lock);
	}
	if (r == NULL || r->error == 0)
		return false;
	errno = r->error;
	*fate_out = r->fate;
	return true;
}

static bool
fails(unsigned op, unsigned target)
{
	unsigned fate;

	return fails_so(op, target, &fate);
}

/* ---- pages ---- */

static void
forget_pages(struct file *f)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (f->pages[i] != NULL) {
			struct page *p = f->pages[i];

			f->pages[i] = p->next;
			free(p);
		}
}

static void
forget_file(struct file *f)
{
	struct file **at = &layer.files;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	for (int fd = 0; fd < FD_MAX; fd++)
		if (layer.fds[fd].file == f)
			layer.fds[fd].file = NULL;
	forget_pages(f);
	syscall(SYS_close, f->fd);
	free(f);
}

/* A file that goes can't lose anything. */
static void
unlinked(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	for (struct file *f = layer.files; f != NULL; f = f->next)
		if (f->dev == st.st_dev && f->ino == st.st_ino) {
			forget_file(f);
			return;
		}
}

static struct file *
find_file(int fd, bool is_new)
{
	struct stat st;
	struct file *f;
	char path[64];

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	for (f = layer.files; f != NULL; f = f->next)
		if (f->dev == st.st_dev && f->ino == st.st_ino)
			break;
	if (f == NULL) {
		f = calloc(1, sizeof(*f));
		f->dev = st.st_dev;
		f->ino = st.st_ino;
		f->next = layer.files;
		layer.files = f;
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
find_page(struct file *f, uint64_t number)
{
	struct page *p = f->pages[number % BUCKETS];

	while (p != NULL && p->number != number)
		p = p->next;
	return p;
}

/* Before bytes are written. */
static void
touch(struct file *f, off_t at, size_t len)
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
put_back(const struct file *f, const struct page *p)
{
	(void)!syscall(SYS_pwrite64, f->fd, p->on_disk, PAGE,
	    (off_t)(p->number * PAGE));
}

static unsigned
fate_by_chance(unsigned fate)
{
	return fate != FAULT_ANY ? fate : FAULT_REACHED + chance(3);
}

/* One dirty page after its sync. True: it is the same again in both places. */
static bool
settle_page(const struct file *f, struct page *p, unsigned fate)
{
	if (!p->is_dirty)
		return false;
	fate = fate_by_chance(fate);
	if (fate == FAULT_GONE)
		put_back(f, p);
	p->is_dirty = false;
	return fate != FAULT_STALE;
}

static void
settle_all(struct file *f, unsigned fate)
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

/* As settle_all(), for what one O_DSYNC write touched. */
static void
settle_range(struct file *f, off_t from, size_t len, unsigned fate)
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

static void
full_path(int dirfd, const char *name, char out[PATH_MAX])
{
	char link[64];
	ssize_t n = 0;

	if (*name != '/' && dirfd != AT_FDCWD) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, out, PATH_MAX - 2);
		if (n < 0)
			n = 0;
		out[n++] = '/';
	}
	snprintf(out + n, (size_t)(PATH_MAX - n), "%s", name);
}

static ino_t
parent_of(const char *path)
{
	char parent[PATH_MAX];
	struct stat st;

	copy_path(parent, path);
	if (strrchr(parent, '/') == NULL)
		return 0;
	*strrchr(parent, '/') = '\0';
	return stat(parent, &st) == 0 ? st.st_ino : 0;
}

static void
forget_name(const char *path)
{
	for (struct name **at = &layer.names; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->path, path) == 0) {
			struct name *n = *at;

			*at = n->next;
			free(n);
			return;
		}
}

static void
note_name(const char *path, const char *from)
{
	struct name *n = calloc(1, sizeof(*n));

	forget_name(path);
	n->parent = parent_of(path);
	copy_path(n->path, path);
	if (from != NULL) {
		forget_name(from);
		n->is_moved = true;
		copy_path(n->from, from);
	}
	n->next = layer.names;
	layer.names = n;
}

static void
names_synced(int fd)
{
	struct name **at = &layer.names;
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

	if (chance(2) == 0)
		return; /* it was written by itself */
	snprintf(lost, sizeof(lost), "%.3000s/lost-%d-%u", layer.dir,
	    (int)getpid(), layer.n_lost++);
	syscall(SYS_renameat2, AT_FDCWD, n->path, AT_FDCWD,
	    n->is_moved ? n->from : lost, 0);
}

/* In a process of its own, so that nobody sees the files as they will be. */
static void
put_all_back(void)
{
	for (struct file *f = layer.files; f != NULL; f = f->next) {
		bool is_shorter = chance(2) == 0;

		for (size_t i = 0; i < BUCKETS; i++)
			for (struct page *p = f->pages[i]; p; p = p->next)
				if (!p->is_dirty || chance(2) == 0)
					put_back(f, p);
		if (is_shorter)
			syscall(SYS_ftruncate, f->fd, f->size_on_disk);
	}
	for (struct name *n = layer.names; n != NULL; n = n->next)
		lose_name(n);
}

static bool
is_ours(int fd)
{
	for (struct file *f = layer.files; f != NULL; f = f->next)
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

static void
cut_power(void)
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
	control()->power = -1; /* it is over */
	_exit(0);
}

/* Before each call that changes something below the directory. */
static void
change(unsigned target)
{
	struct fault *f = control();

	if (!f->is_tracking || target == FAULT_EVENTS || target == FAULT_ELSE)
		return;
	f->n_changes++;
	if (f->power > 0 && --f->power == 0)
		cut_power();
}

/* ---- descriptors ---- */

static void
opened(int fd, const char *path, int flags, bool is_new)
{
	struct stat st;

	if (fd < 0 || fd >= FD_MAX)
		return;
	layer.fds[fd].target = (unsigned char)target_of(path);
	layer.fds[fd].is_dsync = (flags & O_DSYNC) != 0;
	layer.fds[fd].is_dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	layer.fds[fd].file = NULL;
	if (!control()->is_tracking || (flags & O_ACCMODE) == O_RDONLY ||
	    !(layer.fds[fd].target & (FAULT_DATABASE | FAULT_BODIES)))
		return;
	layer.fds[fd].file = find_file(fd, is_new);
	if (is_new)
		note_name(path, NULL);
}

static int
open_one(int dirfd, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	bool is_new;
	int fd = -1;

	pthread_mutex_lock(&layer.lock);
	full_path(dirfd, name, path);
	control();
	is_new = (flags & O_CREAT) && access(path, F_OK) < 0;
	if (is_new)
		change(target_of(path));
	if (!fails(FAULT_OPEN, target_of(path))) {
		fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
		opened(fd, path, flags, is_new);
	}
	pthread_mutex_unlock(&layer.lock);
	return fd;
}

static unsigned
target_of_fd(int fd)
{
	unsigned t = fd >= 0 && fd < FD_MAX ? layer.fds[fd].target : 0;

	return t != 0 ? t : FAULT_ELSE;
}

/* ---- writing ---- */

enum how { WRITE, PWRITE };

static size_t
total(const struct iovec *v, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += v[i].iov_len;
	return len;
}

static ssize_t
really_write(int fd, const struct iovec *v, int n, enum how how, off_t at)
{
	if (how == WRITE)
		return syscall(SYS_writev, fd, v, n);
	return syscall(SYS_pwrite64, fd, v->iov_base, v->iov_len, at);
}

/* A write that is reported to have failed: an O_DSYNC one has been done. */
static void
write_in_vain(int fd, const struct iovec *v, int n, enum how how, off_t at,
    unsigned fate)
{
	struct file *f = layer.fds[fd].file;
	int error = errno;

	if (f != NULL && layer.fds[fd].is_dsync) {
		really_write(fd, v, n, how, at);
		settle_range(f, at, total(v, n), fate);
	}
	errno = error;
}

static ssize_t
write_tracked(int fd, const struct iovec *v, int n, enum how how, off_t at)
{
	unsigned target = target_of_fd(fd);
	bool is_dsync = layer.fds[fd].is_dsync;
	unsigned op = FAULT_WRITE | (is_dsync ? FAULT_DSYNC : 0);
	struct file *f = layer.fds[fd].file;
	struct fault_rule *r;
	struct iovec half;
	ssize_t done;

	change(target);
	if (how == WRITE)
		at = lseek(fd, 0, SEEK_CUR);
	if (f != NULL)
		touch(f, at, total(v, n));
	r = meet(op, target);
	if (r != NULL && r->error != 0) {
		errno = r->error;
		write_in_vain(fd, v, n, how, at, r->fate);
		return -1;
	}
	if (r != NULL && r->is_short && v->iov_len > 1) {
		half = (struct iovec){ v->iov_base, v->iov_len / 2 };
		v = &half;
		n = 1;
	}
	done = really_write(fd, v, n, how, at);
	if (f != NULL && done > 0 && is_dsync)
		settle_range(f, at, (size_t)done, FAULT_REACHED);
	return done;
}

static ssize_t
write_one(int fd, const struct iovec *v, int n, enum how how, off_t at)
{
	ssize_t done;

	if (fd < 0 || fd >= FD_MAX || layer.fds[fd].target == 0 ||
	    layer.fds[fd].target == FAULT_ELSE)
		return really_write(fd, v, n, how, at);
	pthread_mutex_lock(&layer.lock);
	done = write_tracked(fd, v, n, how, at);
	pthread_mutex_unlock(&layer.lock);
	return done;
}

static int
sync_one(int fd, long call)
{
	unsigned fate = FAULT_REACHED;
	int rc = -1;

	if (fd < 0 || fd >= FD_MAX)
		return (int)syscall(call, fd);
	pthread_mutex_lock(&layer.lock);
	change(target_of_fd(fd));
	if (!fails_so(layer.fds[fd].is_dir ? FAULT_DIR_SYNC : FAULT_SYNC,
		target_of_fd(fd), &fate))
		rc = (int)syscall(call, fd);
	if (layer.fds[fd].file != NULL)
		settle_all(layer.fds[fd].file, fate);
	if (layer.fds[fd].is_dir && rc == 0)
		names_synced(fd);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}

/* ---- what libc offers ---- */

#define EXPORT __attribute__((visibility("default")))

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static mode_t
mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                     \
	EXPORT int name(const char *path, int flags, ...)     \
	{                                                     \
		va_list ap;                                   \
		mode_t mode;                                  \
                                                              \
		va_start(ap, flags);                          \
		mode = mode_of(flags, ap);                    \
		va_end(ap);                                   \
		return open_one(AT_FDCWD, path, flags, mode); \
	}
#define DEFINE_OPENAT(name)                                          \
	EXPORT int name(int dirfd, const char *path, int flags, ...) \
	{                                                            \
		va_list ap;                                          \
		mode_t mode;                                         \
                                                                     \
		va_start(ap, flags);                                 \
		mode = mode_of(flags, ap);                           \
		va_end(ap);                                          \
		return open_one(dirfd, path, flags, mode);           \
	}
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* The number means something else from now on. */
static void
forget_fd(int fd)
{
	if (fd < 0 || fd >= FD_MAX || layer.fds[fd].target == 0)
		return;
	pthread_mutex_lock(&layer.lock);
	layer.fds[fd].target = 0;
	layer.fds[fd].file = NULL;
	layer.fds[fd].is_dir = layer.fds[fd].is_dsync = false;
	pthread_mutex_unlock(&layer.lock);
}

EXPORT int
close(int fd)
{
	forget_fd(fd);
	return (int)syscall(SYS_close, fd);
}

EXPORT int
closedir(DIR *dir)
{
	static int (*real)(DIR * dir);

	if (real == NULL)
		real = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
	forget_fd(dirfd(dir));
	return real(dir);
}

EXPORT ssize_t
write(int fd, const void *data, size_t len)
{
	struct iovec v = { (void *)(uintptr_t)data, len };

	return write_one(fd, &v, 1, WRITE, 0);
}

EXPORT ssize_t
writev(int fd, const struct iovec *v, int n)
{
	return write_one(fd, v, n, WRITE, 0);
}

#define DEFINE_PWRITE(name)                                                 \
	EXPORT ssize_t name(int fd, const void *data, size_t len, off_t at) \
	{                                                                   \
		struct iovec v = { (void *)(uintptr_t)data, len };          \
                                                                            \
		return write_one(fd, &v, 1, PWRITE, at);                    \
	}
DEFINE_PWRITE(pwrite)
DEFINE_PWRITE(pwrite64)

EXPORT int
fsync(int fd)
{
	return sync_one(fd, SYS_fsync);
}

EXPORT int
fdatasync(int fd)
{
	return sync_one(fd, SYS_fdatasync);
}

EXPORT int
ftruncate(int fd, off_t len)
{
	int rc = -1;

	pthread_mutex_lock(&layer.lock);
	change(target_of_fd(fd));
	if (!fails(FAULT_TRUNCATE, target_of_fd(fd)))
		rc = (int)syscall(SYS_ftruncate, fd, len);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}

EXPORT int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char from_path[PATH_MAX], to_path[PATH_MAX];
	unsigned target;
	int rc = -1;

	pthread_mutex_lock(&layer.lock);
	full_path(from_dir, from, from_path);
	full_path(to_dir, to, to_path);
	control();
	target = target_of(to_path);
	change(target);
	if (!fails(FAULT_RENAME, target))
		rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
	if (rc == 0 && control()->is_tracking && target == FAULT_BODIES)
		note_name(to_path, from_path);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}

EXPORT int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int
unlinkat(int dirfd, const char *name, int flags)
{
	char path[PATH_MAX];
	int rc = -1;

	pthread_mutex_lock(&layer.lock);
	full_path(dirfd, name, path);
	control();
	change(target_of(path));
	if (!fails(FAULT_UNLINK, target_of(path))) {
		unlinked(path);
		rc = (int)syscall(SYS_unlinkat, dirfd, name, flags);
	}
	if (rc == 0)
		forget_name(path);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}

EXPORT int
mkdirat(int dirfd, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int rc = -1;

	pthread_mutex_lock(&layer.lock);
	full_path(dirfd, name, path);
	control();
	change(target_of(path));
	if (!fails(FAULT_MKDIR, target_of(path)))
		rc = (int)syscall(SYS_mkdirat, dirfd, name, mode);
	if (rc == 0 && control()->is_tracking &&
	    target_of(path) == FAULT_BODIES)
		note_name(path, NULL);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}

EXPORT int
clock_gettime(clockid_t id, struct timespec *out)
{
	int rc = (int)syscall(SYS_clock_gettime, id, out);
	int64_t off_us = 0;

	if (rc == 0 && layer.control != NULL && id == CLOCK_REALTIME)
		off_us = layer.control->clock_us;
	else if (rc == 0 && layer.control != NULL && id == CLOCK_BOOTTIME)
		off_us = layer.control->slept_us;
	out->tv_sec += off_us / 1000000;
	return rc;
}

EXPORT int
accept4(int fd, struct sockaddr *restrict to, socklen_t *restrict len,
    int flags)
{
	int rc = -1;
	bool is_refused;

	pthread_mutex_lock(&layer.lock);
	is_refused = fails(FAULT_ACCEPT, FAULT_ELSE);
	pthread_mutex_unlock(&layer.lock);
	if (!is_refused)
		rc = (int)syscall(SYS_accept4, fd, to, len, flags);
	return rc;
}

EXPORT int
socket(int family, int type, int protocol)
{
	int rc = -1;

	pthread_mutex_lock(&layer.lock);
	if (!fails(FAULT_SOCKET, FAULT_ELSE))
		rc = (int)syscall(SYS_socket, family, type, protocol);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}
