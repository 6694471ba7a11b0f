/* SPDX-License-Identifier: ISC */
/*
 * See fault.h. It stands in for libc's calls and makes the real ones by
 * syscall(2), so it works preloaded and linked alike, and doesn't meet itself.
 * Everything is under one lock: it is slow, and simple enough to be right.
 */
/* A library's flags may ask for it, and then open() is open64() already. */
#undef _FILE_OFFSET_BITS
#include "tests/fault/fault_private.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FD_MAX 65536

static struct {
	pthread_mutex_t lock;
	struct fault *control;
	char dir[PATH_MAX], events[PATH_MAX];
	uint64_t rng;
	struct {
		unsigned char target;
		bool is_dsync, is_dir;
		struct disk_file *file;
	} fds[FD_MAX];
} layer = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- what goes ---- */

uint64_t
fault_chance(uint64_t below)
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
struct fault *
fault_control(void)
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

void
fault_lock(void)
{
	pthread_mutex_lock(&layer.lock);
}

void
fault_unlock(void)
{
	pthread_mutex_unlock(&layer.lock);
}

struct fault *
fault_layer(void)
{
	struct fault *f;

	pthread_mutex_lock(&layer.lock);
	f = fault_control();
	copy_path(layer.dir, getenv("FLYBALL_FAULT_DIR"));
	pthread_mutex_unlock(&layer.lock);
	return f;
}

unsigned
fault_target_of(const char *path)
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
	struct fault *f = fault_control();

	if (layer.rng == 0)
		layer.rng = f->seed * 0x9e3779b97f4a7c15u + 1;
	for (size_t i = 0; i < FAULT_RULES; i++) {
		struct fault_rule *r = &f->rules[i];

		if (!(r->ops & op) || !(r->targets & target) || r->count == 0)
			continue;
		if (r->permille < 1000 && fault_chance(1000) >= r->permille)
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

bool
fault_fails(unsigned op, unsigned target)
{
	unsigned fate;

	return fails_so(op, target, &fate);
}

bool
fault_refuses(unsigned op)
{
	bool is_refused;

	pthread_mutex_lock(&layer.lock);
	is_refused = fault_fails(op, FAULT_ELSE);
	pthread_mutex_unlock(&layer.lock);
	return is_refused;
}

const struct fault *
fault_clocks(void)
{
	return layer.control;
}

const char *
fault_dir(void)
{
	return layer.dir;
}

void
fault_forget_file(const struct disk_file *f)
{
	for (int fd = 0; fd < FD_MAX; fd++)
		if (layer.fds[fd].file == f)
			layer.fds[fd].file = NULL;
}

void
fault_change(unsigned target)
{
	struct fault *f = fault_control();

	if (!f->is_tracking || target == FAULT_EVENTS || target == FAULT_ELSE)
		return;
	f->n_changes++;
	if (f->power > 0 && --f->power == 0)
		disk_cut_power();
}

void
fault_path(int dirfd, const char *name, char out[PATH_MAX])
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

/* ---- descriptors ---- */

static void
opened(int fd, const char *path, int flags, bool is_new)
{
	struct stat st;

	if (fd < 0 || fd >= FD_MAX)
		return;
	layer.fds[fd].target = (unsigned char)fault_target_of(path);
	layer.fds[fd].is_dsync = (flags & O_DSYNC) != 0;
	layer.fds[fd].is_dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	layer.fds[fd].file = NULL;
	if (!fault_control()->is_tracking || (flags & O_ACCMODE) == O_RDONLY ||
	    !(layer.fds[fd].target & (FAULT_DATABASE | FAULT_BODIES)))
		return;
	layer.fds[fd].file = disk_find(fd, is_new);
	if (is_new)
		disk_note_name(path, NULL);
}

static int
open_one(int dirfd, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	bool is_new;
	int fd = -1;

	pthread_mutex_lock(&layer.lock);
	fault_path(dirfd, name, path);
	fault_control();
	is_new = (flags & O_CREAT) && access(path, F_OK) < 0;
	if (is_new)
		fault_change(fault_target_of(path));
	if (!fault_fails(FAULT_OPEN, fault_target_of(path))) {
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
	struct disk_file *f = layer.fds[fd].file;
	int error = errno;

	if (f != NULL && layer.fds[fd].is_dsync) {
		really_write(fd, v, n, how, at);
		disk_settle_range(f, at, total(v, n), fate);
	}
	errno = error;
}

static ssize_t
write_tracked(int fd, const struct iovec *v, int n, enum how how, off_t at)
{
	unsigned target = target_of_fd(fd);
	bool is_dsync = layer.fds[fd].is_dsync;
	unsigned op = FAULT_WRITE | (is_dsync ? FAULT_DSYNC : 0);
	struct disk_file *f = layer.fds[fd].file;
	struct fault_rule *r;
	struct iovec half;
	ssize_t done;

	fault_change(target);
	if (how == WRITE)
		at = lseek(fd, 0, SEEK_CUR);
	if (f != NULL)
		disk_touch(f, at, total(v, n));
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
		disk_settle_range(f, at, (size_t)done, FAULT_REACHED);
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
	fault_change(target_of_fd(fd));
	if (!fails_so(layer.fds[fd].is_dir ? FAULT_DIR_SYNC : FAULT_SYNC,
		target_of_fd(fd), &fate))
		rc = (int)syscall(call, fd);
	if (layer.fds[fd].file != NULL)
		disk_settle(layer.fds[fd].file, fate);
	if (layer.fds[fd].is_dir && rc == 0)
		disk_names_synced(fd);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}

/* ---- what libc offers ---- */

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static mode_t
mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                     \
	int name(const char *path, int flags, ...)            \
	{                                                     \
		va_list ap;                                   \
		mode_t mode;                                  \
                                                              \
		va_start(ap, flags);                          \
		mode = mode_of(flags, ap);                    \
		va_end(ap);                                   \
		return open_one(AT_FDCWD, path, flags, mode); \
	}
#define DEFINE_OPENAT(name)                                   \
	int name(int dirfd, const char *path, int flags, ...) \
	{                                                     \
		va_list ap;                                   \
		mode_t mode;                                  \
                                                              \
		va_start(ap, flags);                          \
		mode = mode_of(flags, ap);                    \
		va_end(ap);                                   \
		return open_one(dirfd, path, flags, mode);    \
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

int
close(int fd)
{
	forget_fd(fd);
	return (int)syscall(SYS_close, fd);
}

int
closedir(DIR *dir)
{
	static int (*real)(DIR * dir);

	if (real == NULL)
		real = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
	forget_fd(dirfd(dir));
	return real(dir);
}

ssize_t
write(int fd, const void *data, size_t len)
{
	struct iovec v = { (void *)(uintptr_t)data, len };

	return write_one(fd, &v, 1, WRITE, 0);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	return write_one(fd, v, n, WRITE, 0);
}

#define DEFINE_PWRITE(name)                                          \
	ssize_t name(int fd, const void *data, size_t len, off_t at) \
	{                                                            \
		struct iovec v = { (void *)(uintptr_t)data, len };   \
                                                                     \
		return write_one(fd, &v, 1, PWRITE, at);             \
	}
DEFINE_PWRITE(pwrite)
DEFINE_PWRITE(pwrite64)

static ssize_t
read_one(int fd, void *data, size_t len, off_t at)
{
	struct fault_rule *r;
	int error = 0;

	if (target_of_fd(fd) != FAULT_ELSE) {
		pthread_mutex_lock(&layer.lock);
		r = meet(FAULT_READ, target_of_fd(fd));
		if (r != NULL)
			error = r->is_short ? -1 : r->error;
		pthread_mutex_unlock(&layer.lock);
	}
	if (error < 0)
		return 0;
	errno = error;
	return error != 0 ? -1 : syscall(SYS_pread64, fd, data, len, at);
}

#define DEFINE_PREAD(name)                                     \
	ssize_t name(int fd, void *data, size_t len, off_t at) \
	{                                                      \
		return read_one(fd, data, len, at);            \
	}
DEFINE_PREAD(pread)
DEFINE_PREAD(pread64)

int
fsync(int fd)
{
	return sync_one(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return sync_one(fd, SYS_fdatasync);
}

int
ftruncate(int fd, off_t len)
{
	int rc = -1;

	pthread_mutex_lock(&layer.lock);
	fault_change(target_of_fd(fd));
	if (!fault_fails(FAULT_TRUNCATE, target_of_fd(fd)))
		rc = (int)syscall(SYS_ftruncate, fd, len);
	pthread_mutex_unlock(&layer.lock);
	return rc;
}
