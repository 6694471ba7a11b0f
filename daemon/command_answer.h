/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_COMMAND_ANSWER_H
#define FLYBALL_COMMAND_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"

/*
 * Writes the JSON of one answer straight into its bytes: no tree is built, so
 * a long answer costs its own length. A zeroed struct is an empty one. Past
 * ANSWER_MAX nothing more is added and is_full says so.
 */
#define ANSWER_MAX (16 << 20) /* bytes */

struct answer {
	struct strbuf json;
	bool wants_comma;
	bool is_full;
};

void answer_fini(struct answer *a);
/* Empty again, its memory goes. */
void answer_reset(struct answer *a);

/* `key` is NULL for the elements of an array and for the value itself.
 * `bracket` is '{' or '['; what was opened is closed with '}' or ']'. */
void answer_open(struct answer *a, const char *key, char bracket);
void answer_close(struct answer *a, char bracket);
/* The next value, written without a key, is this key's. */
void answer_key(struct answer *a, const char *key);
void answer_str(struct answer *a, const char *key, const char *text);
void answer_strn(struct answer *a, const char *key, const char *text,
    size_t len);
/* As answer_str; NULL and "" become null. */
void answer_opt(struct answer *a, const char *key, const char *text);
void answer_int(struct answer *a, const char *key, int64_t value);
/* count / divisor, with three digits behind the point at most. */
void answer_ratio(struct answer *a, const char *key, int64_t count,
    int64_t divisor);
void answer_bool(struct answer *a, const char *key, bool value);
void answer_null(struct answer *a, const char *key);
/* What is JSON already. */
void answer_raw(struct answer *a, const char *key, const char *json,
    size_t len);
/* RFC 3339, or null for 0. */
void answer_time(struct answer *a, const char *key, int64_t utc_us);
/* Milliseconds from now_us until due_us: null for INT64_MAX, 0 when over. */
void answer_wait(struct answer *a, const char *key, int64_t due_us,
    int64_t now_us);

#endif
