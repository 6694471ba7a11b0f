/* SPDX-License-Identifier: ISC */
/*
 * The thread that reads one MTA's log. A file is looked at every few
 * milliseconds while it grows and more rarely when it doesn't; the journal is
 * a journalctl that writes to a pipe. The governor sees only batches.
 *
 * The one subtle rule: a batch says where the reading stands behind it, and
 * the governor keeps that together with what it made of the batch. So after a
 * crash both are as of the same line.
 */
#include "daemon/log_reader.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/log_file.h"
#include "daemon/log_journal.h"

#define PIECE_BYTES  262144
#define BATCHES_MOST 32 /* with the governor */
#define LOOK_MS	     5
#define IDLE_LOOK_MS 100
#define BROKEN_MS    1000

struct log_reader {
	char *name, *path; /* path "" = the journal */
	char **units;	   /* whose entries of the journal are read */
	size_t n_units;
	struct mta_log log;
	struct zone *zone;
	struct log_pattern *pattern;
	struct log_file *file; /* one of these two */
	struct log_journal *journal;
	struct mailbox *to;
	int kind;
	struct log_batch *batch; /* being filled */
	uint64_t n_lines, n_foreign;
	bool was_broken;
	pthread_t thread;
	bool is_running;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	unsigned n_out; /* batches that the governor has */
	bool is_stopping;
};

static const char *const formats[MTA_LOG_FORMAT_COUNT] = {
	[MTA_LOG_POSTFIX] = "postfix",
	[MTA_LOG_EXIM] = "exim",
	[MTA_LOG_OPENSMTPD] = "opensmtpd",
	[MTA_LOG_PATTERN] = "pattern",
};

/* As Debian and the makers' own packages name them. */
static const char *const usual_units[MTA_LOG_FORMAT_COUNT][2] = {
	[MTA_LOG_POSTFIX] = { "postfix*" },
	[MTA_LOG_EXIM] = { "exim*" },
	[MTA_LOG_OPENSMTPD] = { "opensmtpd*", "smtpd*" },
};

const char *
log_reader_name(const struct log_reader *r)
{
	return r->name;
}

/* ---- batches ---- */

void
log_batch_free(struct log_batch *b)
{
	struct log_reader *r = b->reader;

	pthread_mutex_lock(&r->lock);
	r->n_out--;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	free(b);
}

static struct log_batch *
batch_of(struct log_reader *r)
{
	if (r->batch == NULL) {
		r->batch = xmalloc(sizeof(*r->batch));
		memset(r->batch, 0, offsetof(struct log_batch, bytes));
		r->batch->reader = r;
	}
	return r->batch;
}

static void
place_now(const struct log_reader *r, char out[LOG_PLACE_TEXT])
{
	struct log_place place;

	if (r->journal != NULL)
		snprintf(out, LOG_PLACE_TEXT, "%s",
		    log_journal_cursor(r->journal));
	else if (log_file_place(r->file, &place))
		log_place_format(&place, out);
	else
		*out = '\0';
}

static void
post(struct log_reader *r)
{
	struct log_batch *b = r->batch;

	place_now(r, b->place);
	if (r->file != NULL)
		b->n_gaps = log_file_n_gaps(r->file);
	b->n_lines = r->n_lines;
	b->n_foreign = r->n_foreign;
	r->n_lines = r->n_foreign = 0;
	r->batch = NULL;
	pthread_mutex_lock(&r->lock);
	r->n_out++;
	pthread_mutex_unlock(&r->lock);
	mailbox_post(r->to, &b->letter, r->kind);
}

static bool
is_full(const struct log_batch *b)
{
	return b->n_records == LOG_BATCH_RECORDS ||
	    b->used > LOG_BATCH_BYTES / 2;
}

/* The line is put where the batch keeps it, and read there: the record's spans
 * point into it. Lines longer than half a batch say nothing to us. */
static char *
keep_line(struct log_batch *b, const char *line, size_t len)
{
	if (len > LOG_BATCH_BYTES - b->used)
		len = LOG_BATCH_BYTES - b->used;
	memcpy(b->bytes + b->used, line, len);
	return b->bytes + b->used;
}

static bool
on_line(const char *line, size_t len, void *arg)
{
	struct log_reader *r = arg;
	struct log_batch *b = batch_of(r);
	char *kept;

	r->n_lines++;
	if (len > LOG_BATCH_BYTES / 2)
		return true;
	kept = keep_line(b, line, len);
	if (!mta_log_read(&r->log, kept, len, &b->records[b->n_records]))
		return true;
	b->n_records++;
	b->used += len;
	return !is_full(b);
}

/* Any local user may write to the mail facility what a lane would believe. */
static bool
is_of_mta(const struct log_reader *r, const char *unit)
{
	for (size_t i = 0; i < r->n_units; i++)
		if (fnmatch(r->units[i], unit, 0) == 0)
			return true;
	return false;
}

static bool
on_entry(const struct log_entry *e, void *arg)
{
	struct log_reader *r = arg;
	struct log_batch *b = batch_of(r);
	struct span message = { e->message, strlen(e->message) };
	struct span program = { e->program, strlen(e->program) };
	char *kept;

	r->n_lines++;
	if (!is_of_mta(r, e->unit)) {
		r->n_foreign++;
		return true;
	}
	if (message.len > LOG_BATCH_BYTES / 2)
		return true;
	kept = keep_line(b, e->message, message.len);
	message.p = kept;
	if (!mta_log_read_parts(&r->log, e->utc_us, program, message,
		&b->records[b->n_records]))
		return true;
	b->n_records++;
	b->used += message.len;
	return !is_full(b);
}

/* ---- the thread ---- */

/* Sleeps, or returns at once when it is to stop: true. */
static bool
pause_ms(struct log_reader *r, int64_t ms)
{
	struct timespec until;
	bool is_stopping;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&r->lock);
	while (!r->is_stopping &&
	    pthread_cond_timedwait(&r->changed, &r->lock, &until) != ETIMEDOUT)
		;
	is_stopping = r->is_stopping;
	pthread_mutex_unlock(&r->lock);
	return is_stopping;
}

/* Until the governor has room for one more batch; true: it is to stop. */
static bool
wait_for_room(struct log_reader *r)
{
	bool is_stopping;

	pthread_mutex_lock(&r->lock);
	while (!r->is_stopping && r->n_out >= BATCHES_MOST)
		pthread_cond_wait(&r->changed, &r->lock);
	is_stopping = r->is_stopping;
	pthread_mutex_unlock(&r->lock);
	return is_stopping;
}

static void
tell_broken(struct log_reader *r, bool is_broken, const struct err *why)
{
	struct log_batch *b;

	if (is_broken == r->was_broken)
		return;
	r->was_broken = is_broken;
	b = batch_of(r);
	b->is_broken = is_broken;
	if (is_broken)
		b->why = *why;
	post(r);
}

static int64_t
look(struct log_reader *r, struct err *why)
{
	r->log.now_utc_us = clock_utc_us();
	if (r->journal != NULL)
		return log_journal_read(r->journal, on_entry, r, IDLE_LOOK_MS,
		    why);
	return log_file_read(r->file, on_line, r, PIECE_BYTES, why);
}

static void *
run(void *arg)
{
	struct log_reader *r = arg;
	int64_t wait_ms = LOOK_MS;
	struct err why;

	while (!wait_for_room(r)) {
		int64_t n = look(r, &why);

		/* Also when nothing in it was ours: the place moves on. */
		if (r->n_lines > 0)
			post(r);
		tell_broken(r, n < 0, &why);
		if (n > 0) {
			wait_ms = LOOK_MS;
			continue;
		}
		if (n == 0 && wait_ms < IDLE_LOOK_MS)
			wait_ms *= 2;
		if (pause_ms(r, n < 0 ? BROKEN_MS : wait_ms))
			break;
	}
	return NULL;
}

/* ---- life ---- */

int
log_reader_check(const struct conf_feedback *f, struct err *err_out)
{
	for (size_t i = 0; i < f->n_pattern_logs; i++) {
		struct err why;
		size_t where;
		struct log_pattern *p =
		    log_pattern_new(f->pattern_logs[i].match, &where, &why);

		if (p == NULL)
			return err_set(err_out,
			    "feedback.pattern_log[%zu].match: %s", i, why.text);
		log_pattern_free(p);
	}
	return 0;
}

const struct conf_mta_log *
log_configured(const struct conf_feedback *f, size_t i,
    enum mta_log_format *format_out)
{
	const struct {
		const struct conf_mta_log *v;
		size_t n;
		enum mta_log_format format;
	} lists[] = {
		{ f->postfix_logs, f->n_postfix_logs, MTA_LOG_POSTFIX },
		{ f->exim_logs, f->n_exim_logs, MTA_LOG_EXIM },
		{ f->opensmtpd_logs, f->n_opensmtpd_logs, MTA_LOG_OPENSMTPD },
		{ f->pattern_logs, f->n_pattern_logs, MTA_LOG_PATTERN },
	};

	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
		*format_out = lists[k].format;
		if (i < lists[k].n)
			return &lists[k].v[i];
		i -= lists[k].n;
	}
	return NULL;
}

const char *
log_format_name(enum mta_log_format format)
{
	return formats[format];
}

void
log_units_of(const struct conf_mta_log *log, enum mta_log_format format,
    struct log_units *out)
{
	const char *const *usual = usual_units[format];

	out->n = 0;
	for (size_t i = 0; i < log->units.n && out->n < LOG_UNITS_MAX; i++)
		out->v[out->n++] = log->units.v[i];
	for (size_t i = 0; i < 2 && log->units.n == 0 && usual[i] != NULL; i++)
		out->v[out->n++] = usual[i];
}

static void
take_units(struct log_reader *r, const struct conf_mta_log *log,
    enum mta_log_format format)
{
	struct log_units units;

	log_units_of(log, format, &units);
	r->units = xcalloc(units.n + 1, sizeof(*r->units));
	for (size_t i = 0; i < units.n; i++)
		r->units[r->n_units++] = xstrdup(units.v[i]);
}

struct log_reader *
log_reader_new(const struct conf_mta_log *log, enum mta_log_format format,
    struct mailbox *to, int kind, struct err *err_out)
{
	struct log_reader *r = xcalloc(1, sizeof(*r));
	pthread_condattr_t attr;
	size_t where;

	pthread_mutex_init(&r->lock, NULL);
	/* A wall clock that is set back mustn't make a pause of it. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	r->name = xasprintf("%s %s", formats[format],
	    log->journal ? "journal" : log->path);
	r->to = to;
	r->kind = kind;
	take_units(r, log, format);
	r->log.format = format;
	r->zone = zone_open("", err_out);
	if (r->zone == NULL)
		goto failed;
	r->log.zone = r->zone;
	if (format == MTA_LOG_PATTERN) {
		r->pattern = log_pattern_new(log->match, &where, err_out);
		if (r->pattern == NULL)
			goto failed;
		r->log.pattern = r->pattern;
	}
	r->path = xstrdup(log->journal ? "" : log->path);
	return r;
failed:
	log_reader_free(r);
	return NULL;
}

int
log_reader_start(struct log_reader *r, const char *place,
    char place_out[LOG_PLACE_TEXT], struct err *err_out)
{
	struct log_place at;
	int rc;

	if (*r->path == '\0')
		r->journal = log_journal_new(*place != '\0' ? place : NULL);
	else if (log_place_parse(place, &at) == 0)
		r->file = log_file_new(r->path, &at);
	else
		r->file = log_file_new(r->path, NULL);
	place_now(r, place_out);
	rc = pthread_create(&r->thread, NULL, run, r);
	if (rc != 0)
		return err_set(err_out, "log reader: %s", strerror(rc));
	r->is_running = true;
	return 0;
}

void
log_reader_place(const struct log_reader *r, char out[LOG_PLACE_TEXT])
{
	*out = '\0';
	if (r->file != NULL || r->journal != NULL)
		place_now(r, out);
}

void
log_reader_stop(struct log_reader *r)
{
	if (!r->is_running)
		return;
	pthread_mutex_lock(&r->lock);
	r->is_stopping = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	r->is_running = false;
}

bool
log_reader_is_idle(struct log_reader *r)
{
	bool is_idle;

	pthread_mutex_lock(&r->lock);
	is_idle = r->n_out == 0;
	pthread_mutex_unlock(&r->lock);
	return is_idle;
}

void
log_reader_free(struct log_reader *r)
{
	if (r == NULL)
		return;
	log_reader_stop(r);
	free(r->batch);
	log_file_free(r->file);
	log_journal_free(r->journal);
	log_pattern_free(r->pattern);
	zone_close(r->zone);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	for (size_t i = 0; i < r->n_units; i++)
		free(r->units[i]);
	free(r->units);
	free(r->path);
	free(r->name);
	free(r);
}
