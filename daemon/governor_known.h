/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GOVERNOR_KNOWN_H
#define FLYBALL_GOVERNOR_KNOWN_H

#include "daemon/governor_private.h"
#include "daemon/relayed.h"
#include "daemon/told.h"

/*
 * Which mail a report is about, and how far it can be believed. Inside
 * governor_reports.c and governor_known.c only.
 */
struct governor_reports {
	bool has_key;
	struct relayed *relayed; /* NULL until reports are read */
	struct told told;
};

struct found { /* what one recipient's report is about */
	uint64_t message;
	const char *route, *stream; /* "": not known any more */
	const char *by;		    /* "": the mail isn't known */
	/* "envid" or "trace": that mark says that this mail went to this
	 * address. NULL: anybody may have written it. */
	const char *proof;
	const char *address;
	int64_t left_utc_us; /* 0: not known any more */
	uint32_t epoch;
	char provider[ADDRESS_DOMAIN_MAX + 1];
	char site[ADDRESS_DOMAIN_MAX + 1];
	char sender_domain[ADDRESS_DOMAIN_MAX + 1];
};

/* False: it is about no mail of ours; `out` is filled in as far as it goes. */
bool governor_known(struct governor *g, const struct mail_report *r,
    const struct report_recipient *to, struct found *out);

#endif
