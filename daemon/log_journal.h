/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_JOURNAL_H
#define FLYBALL_LOG_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"

/*
 * The system's journal as a source of log lines: `journalctl -o json -f` of
 * the mail facility, through a pipe. A cursor says where the reading stands.
 */
struct log_journal;

struct log_entry {
	int64_t utc_us;
	const char *program; /* "postfix/smtp" */
	const char *message;
	/* The systemd unit that wrote it, as the journal itself found out: no
	 * writer can say another. "" = none. */
	const char *unit;
};

/* NULL: what is written from now on. */
struct log_journal *log_journal_new(const char *cursor);
void log_journal_free(struct log_journal *j);
/* Waits for up to wait_ms. How many entries were given, 0: none at the moment,
 * -1: journalctl doesn't run. each() is false to stop behind that one. */
int64_t log_journal_read(struct log_journal *j,
    bool (*each)(const struct log_entry *e, void *arg), void *arg, int wait_ms,
    struct err *err_out);
/* Behind the last one that was given; at first "@" and the second of the start,
 * which is as good a cursor. */
const char *log_journal_cursor(const struct log_journal *j);

/* One line of its JSON; false: it is no entry. The entry lives until free()
 * of *memory_out. Any bytes may come. */
bool log_entry_parse(const char *line, size_t len, struct log_entry *out,
    const char **cursor_out, void **memory_out);
void log_entry_free(void *memory);

#endif
