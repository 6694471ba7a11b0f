/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_H
#define FLYBALL_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/conf.h"
#include "daemon/histogram.h"
#include "sink/envelope.h"

/*
 * The mail on disk. One writer at a time owns all changes and commits what has
 * gathered in one LMDB transaction (group commit); any thread may read through
 * a reader of its own. 250 is said only after `committed`.
 *
 * On disk below state_dir: lock, spool.mdb + spool.mdb-lock, bodies/XX/ID for
 * contents over SPOOL_INLINE_MAX.
 */
#define SPOOL_INLINE_MAX 65536
/* The stream of the notices that the spool writes. No configuration needs to
 * name it: unknown streams are sent as `default` with priority high. */
#define SPOOL_DSN_STREAM "bounces"

/* What an operator can do about a damaged database. */
#define SPOOL_HINT                                                      \
	"stop flyballd and run `flyballctl spool check`; flyballd(8), " \
	"DAMAGE, says what to do"

struct spool;

/* ---- bodies while they arrive (any thread, one at a time) ---- */
struct body; /* in memory up to SPOOL_INLINE_MAX, then a temporary file */
struct body *body_new(struct spool *spool);
/* -1: our disk failed; the body is broken, everything later fails too. Where
 * only room is missing it goes on for show: the submission gets SPOOL_FULL. */
int body_add(struct body *b, const void *data, size_t len, struct err *err_out);
uint64_t body_len(const struct body *b);
/* Reads back any part; -1 on error. */
ssize_t body_read(struct body *b, uint64_t offset, char *buf, size_t len);
void body_free(struct body *b); /* removes its file if it wasn't submitted */

/* ---- requests to the writer ---- */
enum spool_result {
	SPOOL_OK,
	SPOOL_FULL,   /* 452 4.3.1: max_messages, max_bytes, min_free */
	SPOOL_FAILED, /* 451 4.3.0: the disk; alert */
};

/* What one recipient of a settled delivery comes to. */
enum spool_fate {
	SPOOL_KEEP,	       /* stays in its delivery */
	SPOOL_DELIVERED,       /* gone; a success DSN if asked */
	SPOOL_FAILED_FOR_GOOD, /* gone; a failure DSN if wanted */
	SPOOL_DROPPED,	       /* gone without a word */
	SPOOL_MOVE, /* to a new delivery of its own (attempts, due below) */
};
struct spool_rcpt {
	enum spool_fate fate;
	char status[16]; /* enhanced code for the DSN, "" = derive */
	/* DELIVERED: the next hop offers DSN and was told NOTIFY, so success
	 * is its to report (RFC 3461 5.2.1); else we say "relayed". */
	bool dsn_passed;
	char *reply; /* malloc'd or NULL; the spool frees it */
};

/*
 * What the governor remembers beside the mail (counts, stages, pauses): bytes
 * under a key, written in the commit of the request that brings them.
 */
#define SPOOL_FACT_KEY_MAX 500
/* Facts whose key begins so are an archive: there are many, and nobody needs
 * them at the start. */
#define SPOOL_FACT_ARCHIVE 'h'
struct spool_fact {
	struct spool_fact *next;
	uint32_t key_len, value_len;
	bool is_removed;
	char bytes[]; /* the key, then the value */
};
/* value NULL: what stands under the key goes. */
struct spool_fact *spool_fact_new(const void *key, size_t key_len,
    const void *value, size_t value_len);
void spool_facts_free(struct spool_fact *list);

struct spool_request {
	/* FACTS brings nothing else; as SETTLE it isn't given up when the disk
	 * fails. */
	enum { SPOOL_SUBMIT, SPOOL_SETTLE, SPOOL_FACTS } kind;
	struct spool_fact *facts; /* a list; the spool frees it */
	/* SUBMIT: the spool gives envelope.id, takes envelope and body. */
	struct envelope envelope;
	struct body *body;
	/* SETTLE: rcpts[i] speaks of the i-th pending recipient of the stored
	 * delivery; those behind n_rcpts are kept. */
	uint64_t message;
	uint32_t number;
	struct spool_rcpt *rcpts; /* malloc'd; the spool frees it */
	size_t n_rcpts;
	uint32_t attempts;  /* of what is kept */
	int64_t due_utc_us; /* of what is kept */
	uint32_t move_attempts;
	int64_t move_due_utc_us;
	char *stream;	    /* of what is kept from now on; malloc'd or NULL */
	bool delay_warning; /* write a delayed DSN about what is kept */
	char *next_hop;	    /* for Remote-MTA; malloc'd or NULL */
	/* filled in for `committed` */
	enum spool_result result;
	struct err err;
	void *owner; /* the requester's */
	/* private to the spool */
	struct spool_request *next;
	struct spool_added *added;
	bool is_in_doubt; /* a failed commit may have settled it */
	bool is_settled;  /* and it has */
};

struct spool_ops {
	/* All by whoever writes (spool_write()), in commit order, after the
	 * sync; never two at a time. The request's memory is the callee's
	 * again (spool_request_free). */
	void (*committed)(struct spool_request *request, void *arg);
	/* A delivery came into being: submission, DSN, MOVE, start-up scan.
	 * `e` holds just this delivery, lent for the call. */
	void (*added)(const struct envelope *e, void *arg);
	/* The disk failed (or works again: err == NULL). */
	void (*trouble)(const struct err *err, void *arg);
	/* Where a notice to this mailbox belongs; results are malloc'd, site
	 * "" for a named provider. NULL: `other`, its domain. */
	void (*classify)(const char *mailbox, char **provider_out,
	    char **site_out, void *arg);
	void *arg;
};

/*
 * Opens (creates 0700), takes the lock, checks and migrates the schema. -1:
 * another daemon has it, another owner, another version, it is damaged.
 */
struct spool *spool_open(const struct conf *conf, const struct spool_ops *ops,
    struct err *err_out);
/* Calls ops.added for every stored delivery in order of arrival; before
 * spool_start(). Records that can't be read are logged and passed over; where
 * there are none, orphaned bodies are swept. -1: the database is damaged. */
int spool_scan(struct spool *spool, struct err *err_out);
/* Every fact but the archive, in the order of keys; before spool_start(). The
 * bytes are lent. */
int spool_facts_each(struct spool *spool,
    void (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg, struct err *err_out);
int spool_start(struct spool *spool, struct err *err_out);
void spool_stop(struct spool *spool); /* commits what is queued, joins */
void spool_close(struct spool *spool);
void spool_configure(struct spool *spool, const struct conf *conf); /* reload */

/* Queues; takes the request (malloc'd). From any thread. After spool_stop()
 * it is answered at once, with SPOOL_FAILED, on the caller's thread. */
void spool_submit(struct spool *spool, struct spool_request *request_take);
/* Likewise, and where nobody writes just now the caller does, within the call:
 * for a thread that has nothing else to do until the answer comes. */
void spool_write(struct spool *spool, struct spool_request *request_take);
/* Likewise, after spool_stop(): the caller writes, within the call; answered
 * SPOOL_FAILED where the disk doesn't. */
void spool_write_last(struct spool *spool, struct spool_request *request_take);
void spool_request_free(struct spool_request *request);

/* ---- reading ---- */
struct spool_reader; /* one for each thread */
struct spool_reader *spool_reader_new(struct spool *spool, struct err *err_out);
void spool_reader_free(struct spool_reader *r);

struct spool_message { /* an envelope with the deliveries asked for + content */
	struct envelope envelope;
	char *body;  /* malloc'd inline content, or NULL: body_fd */
	int body_fd; /* -1, or the open body file */
	uint64_t body_len;
};
/* One delivery and the content, for sending. 1 = not there (any more). */
int spool_read_delivery(struct spool_reader *r, uint64_t message,
    uint32_t number, struct spool_message *out, struct err *err_out);
/* Facts in the order of keys, from `from` on, until `each` returns false. The
 * bytes are lent; no other call with this reader from there. */
int spool_facts_read(struct spool_reader *r, const void *from, size_t from_len,
    bool (*each)(const void *key, size_t key_len, const void *value,
	size_t value_len, void *arg),
    void *arg, struct err *err_out);
/* The envelope with all its deliveries, no content. */
int spool_read_message(struct spool_reader *r, uint64_t message,
    struct envelope *out, struct err *err_out);
void spool_message_fini(struct spool_message *m);

/* What happens to single messages is an alert for so long. */
#define SPOOL_LATELY_US INT64_C(300000000)

struct spool_stats {
	uint64_t n_messages, n_deliveries, n_bytes;
	uint64_t n_commits, n_committed; /* requests */
	int64_t commit_us_total, commit_us_max;
	uint64_t free_bytes; /* of the file system, at the last look */
	/* Contents whose file couldn't be written, and when the last one was
	 * (monotonic; 0: never). */
	uint64_t n_body_failures;
	int64_t body_failed_us;
	bool is_failing;
};
void spool_stats(struct spool *spool, struct spool_stats *out); /* any thread */
/* How long commits took. */
const struct histogram *spool_commit_times(const struct spool *spool);

#endif
