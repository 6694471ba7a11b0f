/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_PRIVATE_H
#define FLYBALL_SPOOL_PRIVATE_H

#include <dirent.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "conf/base/strbuf.h"
#include "daemon/spool.h"

/*
 * What the spool's files share. Threads: `queue` is under its lock, what is
 * atomic is anyone's, readers come in through store_read_begin(); all else
 * belongs to the writer (who has queue.is_writing; while nobody has it, it may
 * be read under the queue's lock), and before spool_start() to whoever opened
 * it.
 */

/* ---- the world, which a test may replace ---- */
struct spool_io {
	ssize_t (*write)(int fd, const void *data, size_t len); /* bodies */
	int (*sync)(int fd);	     /* of a body, fdatasync(2) */
	int (*sync_dir)(int fd);     /* of a folder, fsync(2) */
	int (*commit)(MDB_txn *txn); /* mdb_txn_commit() */
	int64_t (*utc_us)(void);
};
extern struct spool_io spool_io;
/* Called between every two durable steps; NULL but in the crash test. */
extern void (*spool_test_step)(const char *where);

static inline void
spool_step(const char *where)
{
	if (spool_test_step != NULL)
		spool_test_step(where);
}

/* ---- spool_space.c: room on the file system ---- */
struct space {
	pthread_mutex_t lock; /* guards the look, not the numbers */
	int dir_fd;
	_Atomic int64_t looked_us;
	_Atomic int64_t min_free_bytes;
	_Atomic int64_t free_bytes; /* at the last look, minus what was taken */
};
void space_init(struct space *s, int dir_fd, int64_t min_free_bytes);
void space_fini(struct space *s);
/* Would min_free still be kept? If so the bytes count as taken until the next
 * look. Looks at most once a second. Any thread. */
bool space_take(struct space *s, uint64_t bytes);

/* ---- spool_store.c: the database ---- */
struct spool_reader {
	struct spool *spool;
	MDB_txn *txn; /* reset between reads; NULL: to be begun */
	struct spool_reader *prev, *next;
};

struct store {
	pthread_rwlock_t lock; /* for writing: the environment is replaced */
	struct spool_reader *readers;
	MDB_env *env; /* NULL: couldn't be opened again */
	MDB_dbi meta, mail, fact;
	char *path;
	int fd; /* of the data file, for preallocation and sync */
	size_t map_bytes;
	size_t page_bytes;
	uint64_t file_bytes; /* pages behind the last used one are zeros */
	uint64_t last_id;
	uint64_t id_ceiling; /* no id from here on was given; 0: to be set */
	struct strbuf scratch;
};

/* One transaction, and what else changes when it is committed. */
struct turn {
	struct spool *spool;
	MDB_txn *txn;
	uint64_t id;				   /* of txn */
	bool is_in_doubt;			   /* the commit was begun */
	int64_t n_messages, n_deliveries, n_bytes; /* differences */
	uint64_t *gone; /* messages whose body files go then */
	size_t n_gone;
};

/* LMDB's code in words, with that hint where it speaks of damage; -1. */
int store_err(struct err *err_out, const char *path, int rc);
/* Named 64-bit numbers; LMDB's code. */
int meta_get(const struct store *st, MDB_txn *txn, const char *name,
    uint64_t *value_out);
int meta_put(const struct store *st, MDB_txn *txn, const char *name,
    uint64_t value);
/* spool_migrate.c: brings an older schema up to date, in this transaction. -1:
 * it is newer than we are, or an error. */
int store_migrate(struct store *st, MDB_txn *txn, struct err *err_out);
unsigned store_schema_version(void); /* the newest that is known */
/* spool_prepare.c: makes the file if there is none, and looks at what is there
 * before LMDB, which believes it, does. -1: it is damaged. */
int store_prepare(const char *path, struct err *err_out);
/* After the scan, before anything is written: the tree of the mail and the list
 * of free pages. -1: damaged. */
int store_verify(const char *path, struct err *err_out);
int store_open(struct store *st, const char *dir, size_t map_bytes,
    struct err *err_out);
void store_close(struct store *st);
/* After a failed commit, see store_reopen() in spool_store.c. */
int store_reopen(struct store *st, struct err *err_out);
/* Makes the map larger; never smaller. -1: it is as it was, or where even that
 * couldn't be had again, env is NULL, which is trouble. */
int store_resize(struct store *st, size_t map_bytes, struct err *err_out);
/* So few pages are left that only settlements may have them. Between
 * transactions. */
bool store_is_full(const struct store *st);
/* Extends the file with zeros, so that commits change no file size. */
void store_preallocate(struct store *st, struct space *space);
uint64_t store_last_txn(const struct store *st);

/* LMDB's code. */
int store_new_id(struct store *st, MDB_txn *txn, uint64_t *id_out);

/* A reader's snapshot; it must be ended soon: it pins freed pages. */
int store_read_begin(struct spool_reader *r, struct err *err_out);
void store_read_end(struct spool_reader *r);

/* ---- spool_record.c: messages, deliveries, contents ---- */
enum record_kind {
	RECORD_MESSAGE,
	RECORD_DELIVERY,
	RECORD_BODY,
	RECORD_ALIEN, /* not ours */
};
#define RECORD_KEY_MAX 13
struct record_name {
	uint64_t id;
	enum record_kind kind;
	uint32_t number; /* of a delivery */
};
struct record_name record_name(const MDB_val *key);

#define RECORD_KEY_SIZE(kind) ((kind) == RECORD_DELIVERY ? 13 : 9)
void record_make_key(uint64_t id, enum record_kind kind, uint32_t number,
    uint8_t out[RECORD_KEY_MAX]);

/* All of these return LMDB's codes; 0 is fine. */
/* The newest message: content NULL when it is in a file. */
int record_add(struct turn *t, const struct envelope *e, const void *content,
    size_t len);
int record_put_delivery(struct turn *t, uint64_t id, const struct delivery *d,
    bool is_new);
/* With its last delivery the message goes too. */
int record_remove_delivery(struct turn *t, const struct envelope *e,
    uint32_t number);
/* MDB_NOTFOUND; MDB_CORRUPTED when it can't be decoded. */
int record_get_message(const struct store *st, MDB_txn *txn, uint64_t id,
    struct envelope *out);
int record_get_delivery(const struct store *st, MDB_txn *txn, uint64_t id,
    uint32_t number, struct delivery *out);
/* Appends all deliveries of the message to the envelope. */
int record_get_deliveries(const struct store *st, MDB_txn *txn,
    struct envelope *e);
/* MDB_NOTFOUND: in a file, or nowhere. */
int record_get_body(const struct store *st, MDB_txn *txn, uint64_t id,
    MDB_val *out);
/* The whole of it. */
int record_remove_message(struct turn *t, uint64_t id);
/* The highest number in use; *any_out: there is a delivery. */
int record_top_number(const struct store *st, MDB_txn *txn, uint64_t id,
    uint32_t *number_out, bool *any_out);
int record_has_file(const struct store *st, MDB_txn *txn, uint64_t id,
    bool *has_out);
/* The oldest and the newest message, and the newest key, which lies in the
 * map; MDB_NOTFOUND. */
int record_ends(const struct store *st, MDB_txn *txn, uint64_t *first_out,
    uint64_t *last_out, const void **key_out);
/* To the first record of this message or a later one. */
int record_seek(MDB_cursor *c, uint64_t id, MDB_val *key, MDB_val *data);

/* ---- spool_facts.c: what the governor remembers ---- */
/* LMDB's code. */
int facts_put(struct turn *t, const struct spool_fact *list);

/* ---- spool_prefetch.c: a cold disk, read in parallel ---- */
#define PREFETCH_THREADS 12
struct prefetch {
	const struct store *st;
	uint64_t first_id, last_id;
	const void *key; /* somewhere in the map */
	bool is_sparse;
	_Atomic unsigned next_chunk;
	_Atomic bool is_stopping;
	pthread_t threads[PREFETCH_THREADS];
	size_t n_threads;
};
/* Ahead of a scan of everything in this snapshot; to be stopped after it. */
void prefetch_start(struct prefetch *p, const struct store *st, MDB_txn *txn);
void prefetch_stop(struct prefetch *p);

/* ---- spool_scan.c ---- */
/* Counts what there is, and calls `added` where it isn't NULL. */
int store_scan(struct spool *spool,
    void (*added)(const struct envelope *e, void *arg), void *arg,
    struct err *err_out);

/* ---- spool_body.c: contents ---- */
/* Where the body of a message lies, below bodies/. */
#define BODY_NAME_SIZE (3 + MESSAGE_ID_SIZE)
char *body_name(uint64_t id, char out[BODY_NAME_SIZE]);
/* CRC-32 of what comes behind what had this one; 0 at the beginning. */
uint32_t content_crc(uint32_t crc, const void *data, size_t len);
uint32_t body_crc(const struct body *b);
bool body_is_file(const struct body *b);
bool body_is_broken(const struct body *b);
bool body_is_over(const struct body *b);     /* there was no room for it */
const void *body_data(const struct body *b); /* when it is none */
/* Syncs the file and gives it its name, durably. */
int body_place(struct body *b, uint64_t id, struct err *err_out);
/* The file is the database's now: body_free() leaves it. */
void body_release(struct body *b);
void body_remove(struct spool *spool, uint64_t id);

/* ---- spool_dir.c: the state directory ---- */
int dir_open(struct spool *spool, const char *path, struct err *err_out);
void dir_close(struct spool *spool);
/* Removes contents that were still arriving; before any does. */
int dir_sweep_unfinished(struct spool *spool, struct err *err_out);
/* Removes body files that no message names; after the scan. */
int dir_sweep(struct spool *spool, struct err *err_out);
/* The process that holds the lock. */
#define DIR_HOLDER_SIZE 24
char *dir_holder(int lock_fd, char pid[DIR_HOLDER_SIZE]);
DIR *dir_open_listing(int at, const char *name);
bool dir_is_body_folder(const char *name); /* below bodies/ */

/* ---- spool_dsn.c ---- */
struct notice {
	struct envelope envelope;
	struct strbuf content;
};
/* What a settlement makes known to the sender; up to 3 notices, freed by
 * notice_fini(). `d` is the delivery as stored. */
#define NOTICES_MAX 3
size_t notices_make(struct turn *t, const struct spool_request *q,
    const struct envelope *e, const struct delivery *d,
    struct notice out[NOTICES_MAX]);
void notice_fini(struct notice *n);

/* ---- spool_settle.c ---- */
/* LMDB's code; q->result says when the request failed alone. */
int settle(struct turn *t, struct spool_request *q);

/* ---- spool_commit.c ---- */
/* A delivery that a settlement made, for ops.added. */
struct spool_added {
	struct envelope envelope;
	struct spool_added *next;
};
void spool_added_free(struct spool_added *list);
/* Commits a list of requests and answers them; what must be tried again is
 * kept. */
void writer_turn(struct spool *spool, struct spool_request *list);
/* When the writer has to run although nothing was queued; INT64_MAX: never. */
int64_t writer_due_us(const struct spool *spool);
/* The last turn: what can't be kept is given up. */
void writer_finish(struct spool *spool);
void spool_answer(struct spool *spool, struct spool_request *q);
void spool_refuse(struct spool_request *q, enum spool_result result,
    const char *why);
void turn_fini(struct turn *t);

/* ---- spool_trouble.c: the disk fails, and works again ---- */
/* The transaction of these requests failed. */
void trouble_undo(struct spool *spool, const struct turn *t,
    struct spool_request *list);
void trouble_begin(struct spool *spool, const struct err *err);
/* Submissions are answered, the rest waits in spool->kept. */
void trouble_hold(struct spool *spool, struct spool_request *list,
    const char *why);
/* False: the disk still fails, and the pause grew. */
bool trouble_recover(struct spool *spool);

/* ---- spool.c ---- */
struct settings {
	int64_t max_messages, max_bytes, expire_us;
	size_t map_bytes;
	char *hostname;
};

struct spool {
	struct spool_ops ops;
	char *dir;
	int dir_fd, lock_fd, bodies_fd;
	struct space space;
	struct store store;
	struct settings settings;
	_Atomic uint64_t n_body_files; /* names of temporary files */

	struct {
		pthread_mutex_t lock;
		pthread_cond_t wake;
		struct spool_request *first, **last;
		size_t n;
		int64_t since_us;     /* of the first */
		bool is_urgent;	      /* somebody waits for one of them */
		struct settings next; /* of a reload */
		bool has_settings;
		bool is_waiting; /* the writer's thread */
		bool is_writing; /* somebody has the writer's role */
		bool is_stopping, is_stopped;
	} queue;
	pthread_t thread;
	bool is_running;
	bool is_counted;
	bool is_damaged; /* a scan passed over records that it can't read */

	int64_t last_commit_us;			 /* how long it took */
	struct spool_request *kept, **kept_last; /* settlements to repeat */
	bool is_failing;
	int64_t failed_us, retry_us, backoff_us;
	uint64_t doubtful_txn; /* whose commit failed; 0 = none */
	uint64_t *doomed;      /* messages in it, which were refused */
	size_t n_doomed;

	struct {
		_Atomic uint64_t n_messages, n_deliveries, n_bytes;
		_Atomic uint64_t n_commits, n_committed;
		_Atomic int64_t commit_us_total, commit_us_max;
		_Atomic bool is_failing;
		_Atomic uint64_t n_body_failures;
		_Atomic int64_t body_failed_us;
	} stats;
	struct histogram commit_times;
};

/* Test seams: 0 = by the configuration, and as it is. */
extern size_t spool_test_map_bytes;
extern int64_t spool_test_company_us;
extern int64_t spool_test_backoff_us; /* the first pause after a failure */

#endif
