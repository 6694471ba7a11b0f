/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GOVERNOR_FEEDBACK_H
#define FLYBALL_GOVERNOR_FEEDBACK_H

#include "daemon/governor.h"

/* What became of one recipient, as an application tells it. */
enum feedback_kind {
	FEEDBACK_DELIVERED,
	FEEDBACK_DEFERRED,
	FEEDBACK_BOUNCED,
	FEEDBACK_COMPLAINED,
};
#define FEEDBACK_KINDS 4
int feedback_kind_parse(const char *name); /* -1: no such kind */

struct feedback {
	enum feedback_kind kind;
	const char *recipient; /* a mailbox */
	const char *route;
	const char *sender, *stream; /* "" = not said */
	const char *reply;	     /* the provider's, lines joined by \n */
	enum phase phase;
};

/* Carries it out. -1: there is no such route. answer_out: what its reply was
 * taken for. */
int governor_feedback(struct governor *g, const struct feedback *f,
    struct reply_answer *answer_out, struct err *err_out);

#endif
