/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_AUTH_H
#define FLYBALL_AUTH_H

#include "conf/conf.h"
#include "daemon/smtp_session.h"

/*
 * Who may submit: the users file (name:crypt(3) hash[:key=value,...]), read
 * at start and reload, and a small pool of threads for the hashing (yescrypt
 * takes milliseconds by design). An unknown name costs as much time as a wrong
 * password. Good results are remembered for auth.cache_ttl under a keyed hash
 * (BLAKE2/HMAC with a random key of this process), in memory only.
 */
struct auth;

/* Options of one user: stream=NAME, senders=a.example|b.example, rate=100/min.
 * NULL, -1: the file can't be read or has mistakes (file:line:column: what, as
 * many lines as have room); then the old users stay. */
struct auth *auth_new(const struct conf *conf, struct err *err_out);
int auth_reload(struct auth *a, const struct conf *conf, struct err *err_out);
/* Answers what is queued (temporary) and joins its threads. */
void auth_free(struct auth *a);

/* Called on a thread of the pool: who NULL = refused; temporary = 454. */
typedef void auth_answer_fn(struct auth_identity *who_take, bool temporary,
    void *arg);
/* From any thread. Password is copied and wiped after use. Returns true and
 * calls back at once, on this thread, when the answer is remembered or the
 * queue is full (temporary). */
bool auth_check(struct auth *a, const char *user, const char *password,
    auth_answer_fn *answer, void *arg);

/* A line for the users file with a yescrypt hash and its newline, for
 * `flyballctl passwd`. options may be NULL. */
int auth_make_line(const char *user, const char *password, const char *options,
    struct strbuf *out, struct err *err_out);
/* Checks the users file that conf names, against conf's streams: every mistake
 * with file:line. 0 when it names none. For `flyballd -t`. */
int auth_check_users(const struct conf *conf, struct strbuf *errors_out);

#endif
