/* SPDX-License-Identifier: ISC */
/*
 * Any other MTA's log, by a pattern of the operator's with named groups. What
 * the status says is read by its words; without one, by the reply's first
 * digit.
 *
 * The operator chose the pattern, a stranger the line: a match is bounded as
 * for reply rules.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <assert.h>
#include <pcre2.h>
#include <stdlib.h>
#include <strings.h>

#include "conf/base/xalloc.h"
#include "sink/mta_log_private.h"

#define PATTERN_MAX 4096
#define MATCH_LIMIT 50000

enum group {
	GROUP_ID,
	GROUP_RECIPIENT,
	GROUP_STATUS,
	GROUP_RELAY,
	GROUP_IP,
	GROUP_DSN,
	GROUP_REPLY,
	GROUP_IDENT,
	GROUP_TIME,
	GROUP_COUNT,
};
static const char *const groups[GROUP_COUNT] = {
	[GROUP_ID] = "id",
	[GROUP_RECIPIENT] = "recipient",
	[GROUP_STATUS] = "status",
	[GROUP_RELAY] = "relay",
	[GROUP_IP] = "ip",
	[GROUP_DSN] = "dsn",
	[GROUP_REPLY] = "reply",
	[GROUP_IDENT] = "ident",
	[GROUP_TIME] = "time",
};

/* One thread reads with it. */
struct log_pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	int numbers[GROUP_COUNT]; /* < 0: the pattern hasn't got it */
};

static const struct {
	const char *word; /* that the status begins with */
	enum mta_log_kind kind;
} words[] = {
	{ "sent", MTA_LOG_DELIVERED },
	{ "deliver", MTA_LOG_DELIVERED },
	{ "ok", MTA_LOG_DELIVERED },
	{ "success", MTA_LOG_DELIVERED },
	{ "accept", MTA_LOG_DELIVERED },
	{ "defer", MTA_LOG_DEFERRED },
	{ "delay", MTA_LOG_DEFERRED },
	{ "temp", MTA_LOG_DEFERRED },
	{ "retry", MTA_LOG_DEFERRED },
	{ "bounce", MTA_LOG_BOUNCED },
	{ "fail", MTA_LOG_BOUNCED },
	{ "perm", MTA_LOG_BOUNCED },
	{ "reject", MTA_LOG_BOUNCED },
	{ "expire", MTA_LOG_BOUNCED },
	{ "queue", MTA_LOG_RECEIVED },
	{ "receive", MTA_LOG_RECEIVED },
	{ "remove", MTA_LOG_REMOVED },
	{ "complete", MTA_LOG_REMOVED },
	{ "done", MTA_LOG_REMOVED },
};

static bool
look_up(struct log_pattern *p)
{
	for (size_t i = 0; i < GROUP_COUNT; i++)
		p->numbers[i] = pcre2_substring_number_from_name(p->code,
		    (PCRE2_SPTR)groups[i]);
	return p->numbers[GROUP_ID] > 0;
}

struct log_pattern *
log_pattern_new(const char *match, size_t *at_out, struct err *err_out)
{
	uint32_t options =
	    PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
	struct log_pattern *p = xcalloc(1, sizeof(*p));
	PCRE2_UCHAR why[128];
	PCRE2_SIZE at = 0;
	int error;

	*at_out = 0;
	if (strlen(match) > PATTERN_MAX) {
		err_set(err_out, "longer than %d bytes", PATTERN_MAX);
		free(p);
		return NULL;
	}
	p->code = pcre2_compile((PCRE2_SPTR)match, PCRE2_ZERO_TERMINATED,
	    options, &error, &at, NULL);
	if (p->code == NULL) {
		pcre2_get_error_message(error, why, sizeof(why));
		err_set(err_out, "%s", (const char *)why);
		*at_out = at;
		free(p);
		return NULL;
	}
	if (!look_up(p)) {
		err_set(err_out, "has no group (?<id>...) for the queue id");
		log_pattern_free(p);
		return NULL;
	}
	(void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
	p->data = pcre2_match_data_create_from_pattern(p->code, NULL);
	p->limits = pcre2_match_context_create(NULL);
	assert(p->data != NULL && p->limits != NULL);
	pcre2_set_match_limit(p->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(p->limits, MATCH_LIMIT);
	return p;
}

void
log_pattern_free(struct log_pattern *p)
{
	if (p == NULL)
		return;
	pcre2_match_context_free(p->limits);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}

static struct span
group_of(const struct log_pattern *p, enum group g, struct span message)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->data);
	int n = p->numbers[g];

	if (n < 0 || at[2 * n] == PCRE2_UNSET || at[2 * n + 1] < at[2 * n])
		return span_to(message, 0);
	return (struct span){ message.p + at[2 * n],
		at[2 * n + 1] - at[2 * n] };
}

static enum mta_log_kind
kind_of(struct span status, int code)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i].word);

		if (status.len >= len &&
		    strncasecmp(status.p, words[i].word, len) == 0)
			return words[i].kind;
	}
	switch (code / 100) {
	case 2:
		return MTA_LOG_DELIVERED;
	case 4:
		return MTA_LOG_DEFERRED;
	case 5:
		return MTA_LOG_BOUNCED;
	}
	return MTA_LOG_NONE;
}

bool
log_pattern(struct mta_log *log, struct span message, struct mta_record *out)
{
	const struct log_pattern *p = log->pattern;
	struct span reply, when;

	if (pcre2_match(p->code, (PCRE2_SPTR)message.p, message.len, 0, 0,
		p->data, p->limits) < 1)
		return false;
	out->queue_id = group_of(p, GROUP_ID, message);
	out->recipient = group_of(p, GROUP_RECIPIENT, message);
	out->relay = group_of(p, GROUP_RELAY, message);
	out->relay_ip = group_of(p, GROUP_IP, message);
	out->dsn = group_of(p, GROUP_DSN, message);
	out->ident = group_of(p, GROUP_IDENT, message);
	reply = group_of(p, GROUP_REPLY, message);
	if (!log_take_reply(reply, out))
		out->reply = reply;
	out->child = log_queued_as(reply);
	out->kind = kind_of(group_of(p, GROUP_STATUS, message), out->code);
	when = group_of(p, GROUP_TIME, message);
	if (out->utc_us == 0)
		out->utc_us = log_take_time(log, &when);
	if (out->kind == MTA_LOG_RECEIVED || out->kind == MTA_LOG_REMOVED)
		out->recipient.len = 0;
	else if (out->recipient.len == 0)
		out->kind = MTA_LOG_NONE;
	return out->kind != MTA_LOG_NONE && out->queue_id.len > 0;
}
