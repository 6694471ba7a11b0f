/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MTA_LOG_H
#define FLYBALL_MTA_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"
#include "conf/base/zone.h"
#include "conf/reply_terms.h"

/*
 * What the MTA behind us wrote about a delivery: one line of its log in, one
 * record out. Each format is a file of its own (log_postfix.c, log_exim.c,
 * log_opensmtpd.c, log_pattern.c); none of them does I/O or allocates a byte
 * for a line. Anybody who can send mail decides what stands in a log, so any
 * bytes may come.
 */
struct span { /* a part of the line: lent, not NUL-terminated */
	const char *p;
	size_t len;
};

enum mta_log_kind {
	MTA_LOG_NONE,	   /* nothing that we need */
	MTA_LOG_RECEIVED,  /* the MTA took a message: queue id, ident */
	MTA_LOG_DELIVERED, /* final for one recipient */
	MTA_LOG_DEFERRED,  /* one attempt failed, the MTA tries again */
	MTA_LOG_BOUNCED,   /* final for one recipient */
	MTA_LOG_SOFT, /* a host refused, but the attempt went on elsewhere */
	/* Held back without asking anybody: repeats what was said before. */
	MTA_LOG_ECHO,
	MTA_LOG_EXPIRED, /* final for all that are left of the queue id */
	MTA_LOG_REMOVED, /* the queue id is done with */
	MTA_LOG_GAP,	 /* the system's logger dropped lines */
};
#define MTA_LOG_KIND_COUNT 10
const char *mta_log_kind_name(enum mta_log_kind kind);

struct mta_record {
	enum mta_log_kind kind;
	int64_t utc_us; /* 0: the line has no time that can be read */
	struct span queue_id;
	struct span ident;     /* RECEIVED: our XFORWARD IDENT */
	struct span recipient; /* without angle brackets */
	struct span orig_to;   /* as it was before aliases; empty: the same */
	struct span relay;     /* the host's name; empty: none */
	struct span relay_ip;
	struct span source_ip; /* where the log has it */
	struct span dsn;       /* "4.7.28", as the MTA sees it */
	/* The peer's reply. Where there was none, the MTA's own words. */
	struct span reply;
	int code; /* of the reply; 0: there was none */
	enum phase phase;
	struct span child; /* DELIVERED: the queue id that the peer gave */
	int64_t delay_us;  /* since the MTA took it; -1: not said */
	/* The same for all recipients that one reply fell on. */
	uint64_t event;
	uint64_t n_lost; /* GAP: lines; 0: not said */
};

enum mta_log_format {
	MTA_LOG_POSTFIX,
	MTA_LOG_EXIM,
	MTA_LOG_OPENSMTPD,
	MTA_LOG_PATTERN,
};
#define MTA_LOG_FORMAT_COUNT 4

struct log_pattern;

/* One log's reader. Times without zone are the local ones of `zone` (NULL:
 * UTC), which is lent and must not change while it reads. */
struct mta_log {
	enum mta_log_format format;
	const struct zone *zone;
	const struct log_pattern *pattern; /* PATTERN's; lent */
	int64_t now_utc_us; /* says the year where the line doesn't */
	/* The minute of the last line, which the next one mostly shares. */
	char minute[20];
	size_t minute_len;
	int64_t minute_utc_us;
};

/*
 * One line without its end. False: nothing that we need (out->kind is NONE).
 * The record's spans point into the line.
 */
bool mta_log_read(struct mta_log *log, const char *line, size_t len,
    struct mta_record *out);
/* Where the source has parted it already, as journald does: time, the
 * program's name ("postfix/smtp"), its message. */
bool mta_log_read_parts(struct mta_log *log, int64_t utc_us,
    struct span program, struct span message, struct mta_record *out);

/* The reply as a string, with its lines parted again by \n: MTAs log them as
 * one. Control characters become "?". */
size_t mta_log_reply(const struct mta_record *r, char *out, size_t size);
/* The queue id under which an MTA says it took a message: "250 2.0.0 Ok: queued
 * as 4dF5hC2QpTz9sQx", Exim's "250 OK id=...", OpenSMTPD's. False: none. */
#define MTA_QUEUE_ID_SIZE 65
bool mta_queue_id(const char *reply, char out[MTA_QUEUE_ID_SIZE]);
/* Copies with a NUL, cut to size. */
char *span_copy(struct span s, char *out, size_t size);

/*
 * A pattern of the operator's for any other log: PCRE2 with named groups `id`
 * (queue id), `recipient`, `status`, and `relay`, `ip`, `dsn`, `reply`,
 * `ident`, `time` where there are any. NULL: it doesn't compile, or has no
 * group `id`; *at_out then is the offset in bytes.
 */
struct log_pattern *log_pattern_new(const char *match, size_t *at_out,
    struct err *err_out);
void log_pattern_free(struct log_pattern *p); /* NULL is fine */

#endif
