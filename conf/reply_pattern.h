/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONF_REPLY_PATTERN_H
#define FLYBALL_CONF_REPLY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/base/err.h"

/*
 * One PCRE2 pattern that looks at replies. Case does not matter unless the
 * pattern says (?-i); . takes newlines too; text is bytes. Immutable once
 * made: any thread may match with it.
 */
#define REPLY_PATTERN_MAX 4096 /* bytes of a pattern */

struct reply_pattern;

/*
 * NULL with err when it doesn't compile; *at_out then is the offset in bytes
 * where PCRE2 stopped. `is_lower`: the subjects are known to be in lower case
 * and so is the pattern, which makes it quicker.
 */
struct reply_pattern *reply_pattern_new(const char *text, bool is_lower,
    size_t *at_out, struct err *err_out);
void reply_pattern_free(struct reply_pattern *p); /* NULL is fine */

/* False also when it gave up: no match may take longer than about a
 * millisecond, whatever pattern and subject are. */
bool reply_pattern_matches(const struct reply_pattern *p, const char *subject,
    size_t len);

#endif
