/* SPDX-License-Identifier: ISC */
/*
 * The machine and the daemon on it: clock, disk, open files, and whether the
 * plans let out in time what is queued. What only the running daemon knows is
 * asked of it, for doctor_logs.c too, and left out when it doesn't run.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/doctor.h"

#define MIB	    (1024 * 1024)
#define OFF_MOST_US 1000000 /* of the clock */
#define SPARE_FILES 256

/* ---- clock ---- */

static void
check_clock(struct doctor *d)
{
	struct timex t = { .modes = 0 };

	if (adjtimex(&t) < 0)
		doctor_say(d, FINDING_NOTE, "clock", "can't be looked at", NULL,
		    "adjtimex: %s", strerror(errno));
	else if (t.status & STA_UNSYNC)
		doctor_say(d, FINDING_WARN, "clock", "isn't kept right",
		    "run chrony or systemd-timesyncd: plan days and signatures "
		    "go by the clock",
		    "the kernel says that it isn't synchronised");
	else
		doctor_say(d,
		    t.maxerror > OFF_MOST_US ? FINDING_WARN : FINDING_OK,
		    "clock",
		    t.maxerror > OFF_MOST_US ? "may be off by seconds"
					     : "is kept right",
		    "look at chrony or systemd-timesyncd", "at most %ld ms off",
		    t.maxerror / 1000);
}

/* ---- disk ---- */

static void
check_disk(struct doctor *d)
{
	const struct conf_spool *s = &d->conf->spool;
	const char *dir = d->conf->daemon.state_dir;
	struct statvfs fs;
	long long free_bytes, all_bytes;

	if (statvfs(dir, &fs) < 0) {
		doctor_say(d, FINDING_NOTE, "disk",
		    "the state directory isn't there yet",
		    "start flyballd once, it makes it", "%s: %s", dir,
		    strerror(errno));
		return;
	}
	free_bytes = (long long)fs.f_bavail * (long long)fs.f_frsize;
	all_bytes = (long long)fs.f_blocks * (long long)fs.f_frsize;
	if (free_bytes < s->min_free_bytes)
		doctor_say(d, FINDING_FAIL, "disk",
		    "no mail is taken: less is free than spool.min_free",
		    "make room, or lower spool.min_free",
		    "%lld MiB free at %s, min_free is %lld MiB",
		    free_bytes / MIB, dir,
		    (long long)(s->min_free_bytes / MIB));
	else if (all_bytes < s->max_bytes)
		doctor_say(d, FINDING_WARN, "disk",
		    "is smaller than what the spool may take",
		    "lower spool.max_bytes below the disk's size",
		    "%lld MiB at %s, spool.max_bytes is %lld MiB",
		    all_bytes / MIB, dir, (long long)(s->max_bytes / MIB));
	else
		doctor_say(d, FINDING_OK, "disk", "has room", NULL,
		    "%lld of %lld MiB free at %s", free_bytes / MIB,
		    all_bytes / MIB, dir);
	if (fs.f_files > 0 && fs.f_favail < 10000)
		doctor_say(d, FINDING_WARN, "disk", "is nearly out of inodes",
		    "remove files: large messages are one file each",
		    "%lld free at %s", (long long)fs.f_favail, dir);
}

/* ---- open files ---- */

/* The running daemon's own limit; -1: it isn't known. */
static long long
limit_of(long long pid)
{
	char path[64], line[256];
	long long limit = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%lld/limits", pid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Max open files %lld", &limit) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return limit;
}

static long long
n_open_files(long long pid)
{
	char path[64];
	long long n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%lld/fd", pid);
	dir = opendir(path);
	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n > 2 ? n - 2 : 0;
}

static void
check_files(struct doctor *d, long long pid)
{
	long long wanted = SPARE_FILES + (long long)d->conf->limits.sessions;
	long long limit = pid > 0 ? limit_of(pid) : -1;
	struct rlimit own;

	for (size_t i = 0; i < d->conf->n_routes; i++)
		wanted += d->conf->routes[i].connections;
	if (limit < 0 && getrlimit(RLIMIT_NOFILE, &own) == 0)
		limit = own.rlim_max > INT64_MAX ? INT64_MAX
						 : (long long)own.rlim_max;
	if (limit < wanted)
		doctor_say(d, FINDING_WARN, "open files",
		    "there may be fewer than the limits promise",
		    "raise LimitNOFILE of the service, or lower "
		    "limits.sessions",
		    "%lld may be open, limits.sessions and the routes' "
		    "connections may need %lld",
		    limit, wanted);
	else
		doctor_say(d, FINDING_OK, "open files", "there are enough",
		    NULL, "%lld of %lld may be needed, %lld are open", wanted,
		    limit, pid > 0 ? n_open_files(pid) : 0);
}

/* ---- the daemon ---- */

/* By the socket of the file that is looked at. */
static json_t *
ask_daemon(struct doctor *d, const char *word)
{
	struct ctl ctl = *d->ctl;

	ctl.socket = d->socket;
	return ctl_ask(&ctl, word);
}

static void
check_backlog(struct doctor *d, const json_t *forecast)
{
	long long expire_ms = (long long)(d->conf->spool.expire_us / 1000);
	const json_t *f;
	size_t i;

	json_array_foreach(forecast, i, f)
	{
		const char *lane =
		    json_string_value(json_object_get(f, "lane"));
		const json_t *done = json_object_get(f, "done_in_ms");
		long long waiting =
		    (long long)json_integer_value(json_object_get(f,
			"waiting"));
		char *subject = xasprintf("lane %s", lane != NULL ? lane : "?");

		if (json_is_integer(done) &&
		    json_integer_value(done) > expire_ms)
			doctor_say(d, FINDING_FAIL, subject,
			    "its queue won't have left before it expires",
			    "lengthen spool.expire, give the stream another "
			    "route, or raise what the plan or rate allows",
			    "%lld recipients wait; the last leaves in %lld h, "
			    "expiry is %lld h",
			    waiting,
			    (long long)json_integer_value(done) / 3600000,
			    expire_ms / 3600000);
		else if (waiting > 0)
			doctor_say(d, FINDING_OK, subject,
			    "its queue leaves in time", NULL,
			    "%lld recipients wait", waiting);
		free(subject);
	}
}

void
doctor_check_host(struct doctor *d)
{
	json_t *status = ask_daemon(d, "status");
	json_t *forecast = status != NULL ? ask_daemon(d, "forecast") : NULL;
	long long pid =
	    (long long)json_integer_value(json_object_get(status, "pid"));

	check_clock(d);
	check_disk(d);
	check_files(d, pid);
	doctor_check_logs(d, status);
	if (status == NULL)
		doctor_say(d, FINDING_NOTE, "daemon", "doesn't answer",
		    "start it; then plans are compared with what is queued",
		    "nobody at %s", d->socket);
	else
		check_backlog(d, forecast);
	json_decref(status);
	json_decref(forecast);
}
