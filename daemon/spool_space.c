/* SPDX-License-Identifier: ISC */
/*
 * How much the file system still holds: spool.min_free is kept for settling
 * what is queued and for the other programs on the machine. statvfs(2) is
 * asked once a second; in between, what was let through is subtracted, so that
 * a burst doesn't run past the mark. Called by bodies (any thread) and by the
 * writer.
 */
#include <sys/statvfs.h>

#include "conf/base/clock.h"
#include "daemon/spool_private.h"

#define LOOK_EVERY_US 1000000

static void
look(struct space *s)
{
	struct statvfs v;

	if (fstatvfs(s->dir_fd, &v) < 0)
		return; /* the write will tell what is wrong */
	atomic_store(&s->free_bytes, (int64_t)(v.f_bavail * v.f_frsize));
}

static void
look_if_due(struct space *s)
{
	int64_t now_us = clock_mono_us();

	if (now_us - atomic_load(&s->looked_us) < LOOK_EVERY_US ||
	    pthread_mutex_trylock(&s->lock) != 0)
		return;
	atomic_store(&s->looked_us, now_us);
	look(s);
	pthread_mutex_unlock(&s->lock);
}

void
space_init(struct space *s, int dir_fd, int64_t min_free_bytes)
{
	pthread_mutex_init(&s->lock, NULL);
	s->dir_fd = dir_fd;
	atomic_store(&s->min_free_bytes, min_free_bytes);
	atomic_store(&s->looked_us, clock_mono_us());
	look(s);
}

void
space_fini(struct space *s)
{
	pthread_mutex_destroy(&s->lock);
}

bool
space_take(struct space *s, uint64_t bytes)
{
	look_if_due(s);
	if (atomic_load(&s->free_bytes) - (int64_t)bytes <
	    atomic_load(&s->min_free_bytes))
		return false;
	atomic_fetch_sub(&s->free_bytes, (int64_t)bytes);
	return true;
}
