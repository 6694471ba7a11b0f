/* SPDX-License-Identifier: ISC */
/*
 * The blame table: from a reply's class and blame to what it leads to. Lanes,
 * plans, the suppression list and the daemon's settlements read it; nothing
 * here knows them.
 *
 * A class has a usual blame; a rule may have found another, and then the
 * effects follow the blame: Gmail's 421 4.7.28 that names a DKIM domain pauses
 * that domain and leaves the lane alone.
 */
#include "scheduler/blame.h"

#include <stddef.h>

struct row {
	enum reply_class class;
	enum blame blame;
	unsigned effects;	/* always */
	unsigned when_final;	/* and these, when the recipient is given up */
	unsigned when_deferred; /* or these, when it isn't */
};

#define OF_LANE (EFFECT_SLOW | EFFECT_SLOWED | EFFECT_UNPUNISHED)

/* A pair that isn't here leads to nothing: the message alone waits, or is
 * bounced, as its reply says. */
static const struct row rows[] = {
	{ CLASS_RATE, BLAME_LANE, OF_LANE, 0, 0 },
	{ CLASS_RATE, BLAME_ROUTE, OF_LANE, 0, 0 },
	{ CLASS_RATE, BLAME_CONNECTIONS, EFFECT_CONNECTIONS | EFFECT_UNPUNISHED,
	    0, 0 },
	{ CLASS_RATE, BLAME_SENDER_DOMAIN,
	    EFFECT_SENDER_NOW | EFFECT_UNPUNISHED, 0, 0 },

	{ CLASS_REPUTATION_DEFER, BLAME_LANE, OF_LANE, 0, 0 },
	{ CLASS_REPUTATION_DEFER, BLAME_ROUTE, OF_LANE, 0, 0 },
	{ CLASS_REPUTATION_DEFER, BLAME_SENDER_DOMAIN,
	    EFFECT_SENDER_NOW | EFFECT_UNPUNISHED, 0, 0 },

	{ CLASS_REPUTATION_REJECT, BLAME_LANE, EFFECT_SHARE | EFFECT_REJECTED,
	    0, 0 },
	{ CLASS_REPUTATION_REJECT, BLAME_ROUTE,
	    EFFECT_SUSPEND | EFFECT_REJECTED, EFFECT_ALERT, EFFECT_ALERT },
	{ CLASS_REPUTATION_REJECT, BLAME_SENDER_DOMAIN, EFFECT_SENDER, 0, 0 },
	/* a listed URL: what other streams send there isn't the worse for it */
	{ CLASS_REPUTATION_REJECT, BLAME_STREAM, EFFECT_REJECTED, 0, 0 },

	{ CLASS_AUTH, BLAME_SENDER_DOMAIN, EFFECT_SENDER | EFFECT_ALERT, 0, 0 },
	/* reverse DNS, HELO, TLS: no message will get through until it's mended,
	 * whoever sends it; one server may be pickier than its provider */
	{ CLASS_AUTH, BLAME_ROUTE, EFFECT_SHARE | EFFECT_ALERT, 0, 0 },
	/* a smarthost wants another password */
	{ CLASS_AUTH, BLAME_NEXT_HOP, EFFECT_ALERT, 0, EFFECT_NEXT_HOP },

	{ CLASS_MAILBOX_FULL, BLAME_RECIPIENT, EFFECT_SOFT, 0, 0 },

	{ CLASS_BAD_MAILBOX, BLAME_RECIPIENT, 0, EFFECT_SUPPRESS | EFFECT_DIRTY,
	    EFFECT_SOFT },

	{ CLASS_BAD_DOMAIN, BLAME_RECIPIENT_DOMAIN, 0,
	    EFFECT_DOMAIN | EFFECT_DIRTY, 0 },
	/* it doesn't relay for us, or not to there: says nothing of a domain */
	{ CLASS_BAD_DOMAIN, BLAME_NEXT_HOP, EFFECT_ALERT, EFFECT_DIRTY, 0 },
	{ CLASS_BAD_DOMAIN, BLAME_SENDER_DOMAIN, EFFECT_SENDER | EFFECT_ALERT,
	    0, 0 },

	{ CLASS_SYSTEM, BLAME_NEXT_HOP, 0, 0, EFFECT_NEXT_HOP },
};

unsigned
blame_effects(enum reply_class class, enum blame blame, bool is_final)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].class == class && rows[i].blame == blame)
			return is_final
			    ? (rows[i].effects & ~(unsigned)EFFECT_UNPUNISHED) |
				rows[i].when_final
			    : rows[i].effects | rows[i].when_deferred;
	return 0;
}

static const char *const names[EFFECT_COUNT] = {
	"slow",
	"connections",
	"share",
	"suspend",
	"next-hop",
	"sender",
	"sender-now",
	"slowed",
	"rejected",
	"dirty",
	"suppress",
	"soft",
	"domain",
	"unpunished",
	"alert",
};

const char *
effect_name(enum effect effect)
{
	for (int i = 0; i < EFFECT_COUNT; i++)
		if ((unsigned)effect == 1u << i)
			return names[i];
	return "unknown";
}
