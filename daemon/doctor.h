/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DOCTOR_H
#define FLYBALL_DOCTOR_H

#include <event2/event.h>

#include "daemon/ctl.h"
#include "sink/resolver.h"

/*
 * `flyballctl doctor`: what a consultant would look at, each with what was
 * found, the evidence, and the fix in one line. It changes nothing.
 */
enum finding_level {
	FINDING_OK,
	FINDING_NOTE, /* it wasn't looked at, or is a matter of taste */
	FINDING_WARN,
	FINDING_FAIL,
};

struct finding {
	enum finding_level level;
	char *subject;	/* "route ip-a", "sender news.example.com" */
	char *what;	/* "its name doesn't lead back to it" */
	char *evidence; /* what was seen */
	char *fix;	/* "" where there is nothing to mend */
};

struct doctor_question; /* asked already: the answer is kept */

struct doctor {
	const struct conf *conf;
	const struct ctl *ctl;
	const char *socket; /* of the daemon */
	struct event_base *base;
	struct resolver *resolver;
	struct doctor_question *questions;
	struct finding *v;
	size_t n, cap;
};

/* Strings are copied; the evidence is made like printf. */
void doctor_say(struct doctor *d, enum finding_level level, const char *subject,
    const char *what, const char *fix, const char *evidence, ...)
    __attribute__((format(printf, 6, 7)));

/* Asks a name server and waits. Good until the end. */
const struct dns_answer *doctor_ask(struct doctor *d, const char *name,
    enum dns_type type);

void doctor_check_hops(struct doctor *d);    /* doctor_hops.c */
void doctor_check_routes(struct doctor *d);  /* doctor_dns.c */
void doctor_check_senders(struct doctor *d); /* doctor_senders.c */
void doctor_check_host(struct doctor *d);    /* doctor_host.c */
/* doctor_logs.c; status: the daemon's answer, NULL: none. */
void doctor_check_logs(struct doctor *d, const json_t *status);
void doctor_check_redis(struct doctor *d); /* doctor_redis.c */

/* doctor_dns.c: an address or a domain in each zone of blocklists. */
void doctor_check_lists(struct doctor *d, const char *subject,
    const char *address, const char *domain);

#endif
