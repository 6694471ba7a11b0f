/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REPORT_H
#define FLYBALL_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"

/*
 * What lines of the event log come to, by provider: recipients delivered,
 * deferred and bounced, each kind of refusal with how often it came, and what
 * was done about it. Pure: lines in, numbers out.
 */
struct report;

struct report_reply {
	const char *class;
	const char *code;  /* "421", "" when there was no reply */
	const char *reply; /* the first one of its kind, whole */
	uint64_t n;
	const char *last; /* RFC 3339, of the last one */
};
struct report_provider {
	const char *name;
	uint64_t n_delivered, n_deferred;
	uint64_t n_hard;     /* bounced: no such mailbox or domain */
	uint64_t n_rejected; /* bounced for another reason */
	uint64_t n_soft;     /* mailbox full, or expired */
	const struct report_reply *replies; /* the most frequent first */
	size_t n_replies;
	uint64_t n_changes;	 /* of speed, plan, pause */
	const char *last_change; /* in words; "" = none */
};

struct report *report_new(void);
void report_free(struct report *r);
/* One line of the log; what is no event counts as unread. Lines before `since`
 * (RFC 3339 in UTC; "" = all) are passed over. */
void report_add(struct report *r, const char *line, size_t len,
    const char *since);
uint64_t report_n_events(const struct report *r);
uint64_t report_n_unread(const struct report *r);
/* Sorts; nothing may be added afterwards. The busiest provider first. */
size_t report_finish(struct report *r);
const struct report_provider *report_provider(const struct report *r, size_t i);

/* Two replies that differ in addresses, IDs and numbers only are one kind: the
 * text with those left out. */
void reply_kind(const char *reply, struct strbuf *out);

#endif
