/* SPDX-License-Identifier: ISC */
/*
 * What a reply means and whom it blames, by its code and enhanced code: RFC
 * 5321 4.2.3, RFC 3463, the IANA registry of enhanced status codes, and the
 * few codes that a large provider documents for itself. Anyone may call it.
 *
 * One table, the first row that fits answers. It is cautious: a code that two
 * providers use for two things is `other`, because a good recipient taken for
 * a bad mailbox is the worst mistake. Texts are looked at only where the code
 * alone is known to lie.
 */
#include "scheduler/reply_class.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- the table ---- */

#define PHASE_BIT(p) (1u << (p))
/* Where a word about an address means the recipient's. */
#define ON_RECIPIENT                                     \
	(PHASE_BIT(PHASE_RCPT) | PHASE_BIT(PHASE_DATA) | \
	    PHASE_BIT(PHASE_EOD) | PHASE_BIT(PHASE_UNKNOWN))
#define BEFORE_MAIL                                         \
	(PHASE_BIT(PHASE_CONNECT) | PHASE_BIT(PHASE_HELO) | \
	    PHASE_BIT(PHASE_STARTTLS) | PHASE_BIT(PHASE_AUTH))

/* A row fits when all that it gives fits; what it leaves out is 0. */
struct reply_rule {
	const char *name;
	int code_from, code_to;
	int subject, detail_from, detail_to; /* x.SUBJECT.DETAIL; 0: any */
	const char *text;		     /* contained, in any case */
	unsigned phases;		     /* bits */
	enum reply_class class;
	enum blame blame;
	bool is_never_final; /* although 5xx: it isn't the recipient's fault */
};

#define CODE(from, to) .code_from = (from), .code_to = (to)
#define ENHANCED(s, from, to) \
	.subject = (s), .detail_from = (from), .detail_to = (to)
#define MEANS(c, b) .class = CLASS_##c, .blame = BLAME_##b
#define DEFERS	    CODE(400, 499)
#define REJECTS	    CODE(500, 599)

static const struct reply_rule rules[] = {
	/* No reply: our own side saw a timeout, a reset, a refusal. */
	{ "no-reply", CODE(INT_MIN, 99), MEANS(SYSTEM, NEXT_HOP) },
	{ "accepted", CODE(100, 399), MEANS(OK, NOBODY) },

	/* What a connection is told before any mail: about our set-up with
	 * the next hop. RFC 4954 6, RFC 3207 4. */
	{ "auth-required", CODE(530, 530), MEANS(AUTH, NEXT_HOP),
	    .is_never_final = true },
	{ "auth-failed", CODE(534, 535), MEANS(AUTH, NEXT_HOP),
	    .is_never_final = true },
	{ "auth-needs-tls", CODE(538, 538), MEANS(AUTH, NEXT_HOP),
	    .is_never_final = true },
	{ "auth-phase", CODE(400, 599), .phases = PHASE_BIT(PHASE_AUTH),
	    MEANS(AUTH, NEXT_HOP) },
	{ "tls-phase", CODE(400, 599), .phases = PHASE_BIT(PHASE_STARTTLS),
	    MEANS(SYSTEM, NEXT_HOP) },

	/* Texts, where the code lies. */
	{ "too-many-recipients", CODE(400, 599), .text = "too many recipients",
	    MEANS(OTHER, MESSAGE), .is_never_final = true },
	{ "recipients-limit", CODE(400, 599), ENHANCED(5, 3, 3),
	    MEANS(OTHER, MESSAGE), .is_never_final = true }, /* RFC 3463 */
	{ "greylisted", DEFERS, .text = "greylist", MEANS(GREYLIST, MESSAGE) },
	{ "graylisted", DEFERS, .text = "graylist", MEANS(GREYLIST, MESSAGE) },
	/* Gmail 450 4.2.1, 550 5.2.1: "receiving mail at a rate that ..."
	 * speaks of one recipient, who exists. */
	{ "recipient-rate", CODE(400, 599), .text = "receiving mail at a rate",
	    MEANS(RATE, RECIPIENT) },
	{ "recipient-too-quickly", CODE(400, 599),
	    .text = "receiving mail too quickly", MEANS(RATE, RECIPIENT) },
	/* Tencent's limits are all 550 and all temporary. */
	{ "frequency", CODE(400, 599), .text = "frequency limited",
	    MEANS(RATE, LANE) },
	/* Spectrum: 550 5.1.0 ... AUP#, never about the mailbox. */
	{ "aup", REJECTS, .text = "AUP#", MEANS(REPUTATION_REJECT, LANE) },
	/* Exchange says 5.1.10 for one unknown user; RFC 7505 for a domain. */
	{ "exchange-unknown-user", REJECTS, .text = "RecipientNotFound",
	    MEANS(BAD_MAILBOX, RECIPIENT) },

	{ "yahoo-tss", DEFERS, .text = "[TSS0", MEANS(REPUTATION_DEFER, LANE) },
	{ "yahoo-ts", DEFERS, .text = "[TS0", MEANS(REPUTATION_DEFER, LANE) },
	{ "connections", DEFERS, .text = "too many connections",
	    MEANS(RATE, CONNECTIONS) },
	{ "concurrent", DEFERS, .text = "too many concurrent",
	    MEANS(RATE, CONNECTIONS) },

	/* Rates and reputation: Gmail's and Microsoft's own details. */
	{ "unusual-rate", DEFERS, ENHANCED(7, 28, 28), MEANS(RATE, LANE) },
	{ "connections-limit", DEFERS, ENHANCED(7, 652, 653),
	    MEANS(RATE, CONNECTIONS) },
	{ "exchange-suspicious", DEFERS, ENHANCED(7, 500, 699),
	    MEANS(REPUTATION_DEFER, LANE) },
	{ "exchange-evaluated", DEFERS, ENHANCED(7, 850, 899),
	    MEANS(REPUTATION_DEFER, LANE) },
	{ "recipient-limit", CODE(400, 599), ENHANCED(2, 121, 122),
	    MEANS(RATE, RECIPIENT) },

	/* Authentication of the sender's domain. RFC 7372: 20..27. Gmail's
	 * 4.7.23 to 4.7.32 say "rate limited", but slowing down is no help. */
	{ "unauthenticated", CODE(400, 599), ENHANCED(7, 20, 27),
	    MEANS(AUTH, SENDER_DOMAIN) },
	{ "unauthenticated-bulk", CODE(400, 599), ENHANCED(7, 29, 32),
	    MEANS(AUTH, SENDER_DOMAIN) },
	{ "exchange-dmarc", REJECTS, ENHANCED(7, 509, 509),
	    MEANS(AUTH, SENDER_DOMAIN) },
	{ "exchange-bulk-auth", REJECTS, ENHANCED(7, 515, 515),
	    MEANS(AUTH, SENDER_DOMAIN) },
	{ "credentials", CODE(400, 599), ENHANCED(7, 8, 9),
	    MEANS(AUTH, NEXT_HOP), .is_never_final = true }, /* RFC 4954 */

	/* Policy. */
	{ "exchange-banned", REJECTS, ENHANCED(7, 606, 649),
	    MEANS(REPUTATION_REJECT, ROUTE) },
	{ "exchange-blocked", REJECTS, ENHANCED(7, 511, 511),
	    MEANS(REPUTATION_REJECT, ROUTE) },
	{ "policy-rejected", REJECTS, ENHANCED(7, 1, 2),
	    MEANS(REPUTATION_REJECT, LANE) },
	{ "unusual-rate-blocked", REJECTS, ENHANCED(7, 28, 28),
	    MEANS(REPUTATION_REJECT, LANE) },
	{ "policy-shutdown", CODE(421, 421), ENHANCED(7, 1, 1),
	    MEANS(REPUTATION_DEFER, LANE) },
	{ "policy-deferred", CODE(450, 451), ENHANCED(7, 1, 1),
	    MEANS(REPUTATION_DEFER, LANE) },

	/* The recipient. */
	{ "mailbox-full", CODE(400, 599), ENHANCED(2, 2, 2),
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "storage", CODE(552, 552), ENHANCED(1, 1, 1), /* Comcast, Orange */
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "unknown-user", REJECTS, ENHANCED(1, 1, 1), .phases = ON_RECIPIENT,
	    MEANS(BAD_MAILBOX, RECIPIENT) },
	{ "bad-address", CODE(550, 550), ENHANCED(1, 0, 0),
	    .phases = ON_RECIPIENT, MEANS(BAD_MAILBOX, RECIPIENT) },
	{ "moved", REJECTS, ENHANCED(1, 6, 6), .phases = ON_RECIPIENT,
	    MEANS(BAD_MAILBOX, RECIPIENT) },
	{ "disabled", REJECTS, ENHANCED(2, 1, 1), .phases = ON_RECIPIENT,
	    MEANS(BAD_MAILBOX, RECIPIENT) },
	{ "bad-domain", REJECTS, ENHANCED(1, 2, 2),
	    MEANS(BAD_DOMAIN, RECIPIENT_DOMAIN) },
	{ "null-mx", REJECTS, ENHANCED(1, 10, 10),
	    MEANS(BAD_DOMAIN, RECIPIENT_DOMAIN) }, /* RFC 7505 */
	{ "not-local", CODE(551, 551), MEANS(BAD_DOMAIN, RECIPIENT_DOMAIN) },

	/* The message. */
	{ "too-large", CODE(400, 599), ENHANCED(3, 4, 4),
	    MEANS(CONTENT, MESSAGE) },
	{ "too-large-for-mailbox", CODE(400, 599), ENHANCED(2, 3, 3),
	    MEANS(CONTENT, MESSAGE) },
	{ "media", CODE(400, 599), ENHANCED(6, 1, 999),
	    MEANS(CONTENT, MESSAGE) },

	/* Their system. */
	{ "mail-system", DEFERS, ENHANCED(3, 1, 999), MEANS(SYSTEM, NEXT_HOP) },
	{ "network", DEFERS, ENHANCED(4, 1, 999), MEANS(SYSTEM, NEXT_HOP) },

	/* No usable enhanced code. */
	{ "over-quota", CODE(450, 452), .text = "over quota",
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "over-quota-final", CODE(550, 552), .text = "over quota",
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "quota-exceeded", CODE(552, 552), .text = "quota exceeded",
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "full", CODE(400, 599), .text = "mailbox full",
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "is-full", CODE(400, 599), .text = "mailbox is full",
	    MEANS(MAILBOX_FULL, RECIPIENT) },
	{ "size", CODE(552, 552), .text = "size", MEANS(CONTENT, MESSAGE) },
	{ "refused-at-connect", CODE(550, 554),
	    .phases = PHASE_BIT(PHASE_CONNECT) | PHASE_BIT(PHASE_HELO),
	    MEANS(REPUTATION_REJECT, LANE) },
	{ "closing", CODE(421, 421), MEANS(SYSTEM, NEXT_HOP) },
	{ "local-error", CODE(451, 452), MEANS(SYSTEM, NEXT_HOP) },
	{ "tls-unavailable", CODE(454, 454), MEANS(SYSTEM, NEXT_HOP) },
	{ "other", CODE(INT_MIN, INT_MAX), MEANS(OTHER, MESSAGE) },
};

/* ---- matching ---- */

struct enhanced {
	int class, subject, detail; /* 0 0 0: none */
};

/* The code's digit must agree, RFC 2034 4: else it isn't believed. */
static struct enhanced
enhanced_of(const struct reply_fact *fact)
{
	struct enhanced e = { 0 };

	if (fact->enhanced == NULL ||
	    sscanf(fact->enhanced, "%1d.%3d.%3d", &e.class, &e.subject,
		&e.detail) != 3 ||
	    e.class != fact->code / 100)
		return (struct enhanced){ 0 };
	return e;
}

static bool
rule_fits(const struct reply_rule *r, const struct reply_fact *fact,
    const struct enhanced *e)
{
	if (fact->code < r->code_from || fact->code > r->code_to)
		return false;
	if (r->phases != 0 && (r->phases & PHASE_BIT(fact->phase)) == 0)
		return false;
	if (r->subject != 0 &&
	    (e->subject != r->subject || e->detail < r->detail_from ||
		e->detail > r->detail_to))
		return false;
	return r->text == NULL ||
	    (fact->text != NULL && strcasestr(fact->text, r->text) != NULL);
}

/* A 5xx ends a recipient, unless it is a rate in disguise, or a full mailbox,
 * which he may empty, or was said before any recipient was named. */
static bool
is_final(const struct reply_rule *r, const struct reply_fact *fact)
{
	return fact->code >= 500 && r->class != CLASS_RATE &&
	    r->class != CLASS_MAILBOX_FULL && !r->is_never_final &&
	    (BEFORE_MAIL & PHASE_BIT(fact->phase)) == 0;
}

struct reply_answer
reply_classify(const struct reply_fact *fact)
{
	struct enhanced e = enhanced_of(fact);
	const struct reply_rule *r = rules;

	while (!rule_fits(r, fact, &e))
		r++; /* the last row fits all */
	return (struct reply_answer){
		.class = r->class,
		.blame = r->blame,
		.is_final = is_final(r, fact),
		.rule = r->name,
	};
}
