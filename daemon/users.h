/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_USERS_H
#define FLYBALL_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/*
 * The users file: one line a user,
 *
 *	name:crypt(3) hash[:key=value,...]
 *
 * with the options stream=NAME, senders=a.example|b.example and
 * rate=100/min. Empty lines and lines that begin with "#" are passed over.
 * What was read is immutable and reference-counted; any thread may read it.
 */
#define USERS_NAME_MAX 255
#define USERS_FILE_MAX (64 << 20)

struct user {
	const char *name;
	const char *hash;
	const char *stream;	   /* "" = by match */
	struct conf_names senders; /* normalised domains; n == 0: any */
	struct rate rate;	   /* unlimited when not given */
	unsigned line;
};

struct users;

/*
 * NULL: the file can't be read or has mistakes, all of them in errors_out, one
 * a line, as "file:line:column: what is wrong". Hashes are never quoted. With
 * conf, the streams that users name must exist; conf may be NULL.
 */
struct users *users_load(const char *file, const struct conf *conf,
    struct strbuf *errors_out);
/* The same for text in memory; `name` stands for the file in messages. */
struct users *users_load_text(const char *name, const char *text, size_t len,
    const struct conf *conf, struct strbuf *errors_out);
struct users *users_ref(struct users *users);
void users_unref(struct users *users); /* NULL is fine; from any thread */

const struct user *users_find(const struct users *users, const char *name);
size_t users_n(const struct users *users);
const struct user *users_nth(const struct users *users, size_t i);
/* How many have a hash that crypt(5) no longer recommends. */
size_t users_n_weak(const struct users *users);

/* The file's bytes, at most USERS_FILE_MAX. */
int users_read_file(const char *file, struct strbuf *out, struct err *err_out);
/* May a user be called so? */
int users_check_name(const char *name, struct err *err_out);

#endif
