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
 * -1: the file can't be read or has mistakes (file:line: what). */
struct auth *auth_new(const struct conf *conf, struct err *err_out);
int auth_reload(struct auth *a, const struct conf *conf, struct err *err_out);
void auth_free(struct auth *a); /* joins its threads */

/* Called on a thread of the pool: who NULL = refused; temporary = 454. */
typedef void auth_answer_fn(
    struct auth_identity *who_take, bool temporary, void *arg);
/* From any thread. Password is copied and wiped after use. Returns true and
 * calls back at once, on this thread, when the answer is remembered. */
bool auth_check(struct auth *a, const char *user, const char *password,
    auth_answer_fn *answer, void *arg);

/* A line for the users file with a yescrypt hash, for `flyballctl passwd`. */
int auth_make_line(const char *user, const char *password, const char *options,
    struct strbuf *out, struct err *err_out);
/* Checks a users file's text: every mistake with file:line. */
int auth_check_file(const char *file, struct strbuf *errors_out);

#endif
