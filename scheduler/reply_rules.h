/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REPLY_RULES_H
#define FLYBALL_REPLY_RULES_H

#include "conf/conf.h"
#include "scheduler/reply_class.h"

/*
 * What a reply means, by rules: those of the operator for the provider first
 * (providers.NAME.replies), then the built-in ones (conf/replies.yaml), then
 * its code and enhanced code (reply_classify). The first that matches answers.
 *
 * `match` is PCRE2, looked for anywhere in the reply, in any case. It sees the
 * reply as it came, lines joined by \n, and then once more as one line: in
 * lower case, codes only at its beginning ("550 5.7.1 text"), accents taken
 * off; so neither line breaks nor repeated codes need a thought.
 *
 * Immutable once made, reference-counted; any thread may ask. It keeps nothing
 * of the configuration that it was made from.
 */
struct reply_rules;

/* `conf` may be NULL: built-in rules only. NULL is returned for a pattern that
 * doesn't compile; err then says where: "file:line:column: ...". */
const struct reply_rules *reply_rules_new(const struct conf *conf,
    struct err *err_out);
const struct reply_rules *reply_rules_ref(const struct reply_rules *rules);
void reply_rules_unref(const struct reply_rules *rules); /* NULL is fine */

/* The rule's name in the answer lives as long as the process. `rules` may be
 * NULL: by the code alone. */
struct reply_answer reply_rules_ask(const struct reply_rules *rules,
    const struct reply_fact *fact);

#endif
