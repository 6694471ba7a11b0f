/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_EVENT_LOG_WORLD_H
#define FLYBALL_EVENT_LOG_WORLD_H

/*
 * An event log in a folder of the test's own. Included by its tests.
 */
#include "daemon/event_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/rng.h"

#define UTC_US 1795497360123999 /* 2026-11-24T05:16:00.123999Z */

static char dir[] = "/tmp/test_event_log.XXXXXX";
static char path[64], other[64];

static inline int
make_dir(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/events", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	return 0;
}

static inline int
remove_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return rmdir(dir);
}

static inline int
clean(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return 0;
}

/* The whole file as a string that the caller frees. */
static inline char *
slurp(const char *file)
{
	struct strbuf b = { 0 };
	char chunk[4096];
	size_t n;
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		strbuf_add(&b, chunk, n);
	fclose(f);
	return strbuf_take(&b);
}

static inline void
assert_file(const char *file, const char *wanted)
{
	char *text = slurp(file);

	assert_string_equal(text, wanted);
	free(text);
}

/* Every line must be JSON by itself; returns how many there are. */
static inline size_t
count_json_lines(const char *file)
{
	char *text = slurp(file), *line = text, *end;
	size_t n = 0;

	while ((end = strchr(line, '\n')) != NULL) {
		json_t *value = json_loadb(line, (size_t)(end - line),
		    JSON_REJECT_DUPLICATES, NULL);

		if (value == NULL)
			fail_msg("no JSON: %.*s", (int)(end - line), line);
		json_decref(value);
		line = end + 1;
		n++;
	}
	assert_string_equal(line, "");
	free(text);
	return n;
}

static inline struct event_log *
open_log(const char *file)
{
	struct err err = { .text = "" };
	struct event_log *log = event_log_open(file, &err);

	if (log == NULL)
		fail_msg("%s", err.text);
	return log;
}

static inline void
make_event(struct event_log *log, int number)
{
	event_begin(log, "delivered", UTC_US + number * INT64_C(1000));
	event_int(log, "number", number);
	event_end(log);
}

#endif
