/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONF_REPLY_BASE_H
#define FLYBALL_CONF_REPLY_BASE_H

#include "conf/conf.h"

/*
 * The built-in reply rules, conf/replies.yaml, in their order. Read at the
 * first call and kept for the life of the process; any thread may ask.
 */
const struct conf_reply_rule *reply_base(size_t *n_out);

/* The same for rules in any text, as the test of bad ones needs it. NULL with
 * err ("line 3: ...") when it isn't a list of rules. */
struct conf_reply_rule *reply_base_read(const char *text, size_t len,
    size_t *n_out, struct err *err_out);
void reply_base_free(struct conf_reply_rule *rules, size_t n);

#endif
