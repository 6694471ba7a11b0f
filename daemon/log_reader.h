/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_READER_H
#define FLYBALL_LOG_READER_H

#include "conf/conf.h"
#include "daemon/mailbox.h"
#include "sink/mta_log.h"

/*
 * One MTA's log, read on a thread of its own: lines become records there, and
 * only records reach the governor, in batches. It waits while the governor has
 * enough of them.
 */
struct log_reader;

#define LOG_BATCH_RECORDS 256
#define LOG_BATCH_BYTES	  65536
#define LOG_PLACE_TEXT	  600

/* As names of logs and keys of the configuration have it: "postfix". */
const char *log_format_name(enum mta_log_format format);
/* The i-th log that is configured, of whichever kind; NULL: there are no
 * more. */
const struct conf_mta_log *log_configured(const struct conf_feedback *f,
    size_t i, enum mta_log_format *format_out);
/* Patterns of the units whose entries of the journal are read; lent. */
#define LOG_UNITS_MAX 32
struct log_units {
	const char *v[LOG_UNITS_MAX];
	size_t n;
};
void log_units_of(const struct conf_mta_log *log, enum mta_log_format format,
    struct log_units *out);

/* Letter to the governor; free with log_batch_free(). */
struct log_batch {
	struct letter letter;
	struct log_reader *reader;
	struct mta_record records[LOG_BATCH_RECORDS];
	size_t n_records;
	/* Behind its last line; "" where nothing was read yet. */
	char place[LOG_PLACE_TEXT];
	uint64_t n_lines;   /* read since the last batch */
	uint64_t n_foreign; /* of them, from units that aren't the MTA's */
	unsigned n_gaps;    /* since the start: lines may be missing */
	bool is_broken;	    /* there is nothing to read from: why */
	struct err why;
	size_t used;
	char bytes[LOG_BATCH_BYTES]; /* what the records' spans point into */
};
void log_batch_free(struct log_batch *b);

/* What a reader would refuse of any of the logs; -1: err_out names its key. */
int log_reader_check(const struct conf_feedback *f, struct err *err_out);
/* Times without zone are the system's. NULL: the pattern doesn't compile. */
struct log_reader *log_reader_new(const struct conf_mta_log *log,
    enum mta_log_format format, struct mailbox *to, int kind,
    struct err *err_out);
/* `place` is a log_batch's, or "": what is written from now on. place_out:
 * where the reading begins; to be kept before anything is handed over. */
int log_reader_start(struct log_reader *r, const char *place,
    char place_out[LOG_PLACE_TEXT], struct err *err_out);
/* Joins; batches may lie in the mailbox still. */
void log_reader_stop(struct log_reader *r);
/* Of one that was stopped: behind the last line of the last batch. */
void log_reader_place(const struct log_reader *r, char out[LOG_PLACE_TEXT]);
/* No batch of it is out. */
bool log_reader_is_idle(struct log_reader *r);
void log_reader_free(struct log_reader *r);
/* "postfix /var/log/mail.log": for keys, alerts and people. */
const char *log_reader_name(const struct log_reader *r);

#endif
