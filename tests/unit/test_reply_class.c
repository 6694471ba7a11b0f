/* SPDX-License-Identifier: ISC */
/* What replies mean: one row for each rule, and for what must not be taken. */
#include "scheduler/reply_class.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct reply_case {
	enum phase phase;
	int code;
	const char *enhanced, *text;
	enum reply_class class;
	enum blame blame;
	bool is_final;
};

#define P(phase)	PHASE_##phase
#define C(class, blame) CLASS_##class, BLAME_##blame

static const struct reply_case cases[] = {
	{ P(EOD), 250, "2.0.0", "ok", C(OK, NOBODY), false },
	{ P(DATA), 354, "", "go ahead", C(OK, NOBODY), false },
	{ P(CONNECT), 0, "", "connection refused", C(SYSTEM, NEXT_HOP), false },
	{ P(EOD), 0, "", "timeout", C(SYSTEM, NEXT_HOP), false },

	/* rates and reputation */
	{ P(EOD), 421, "4.7.28", "unusual rate", C(RATE, LANE), false },
	{ P(EOD), 550, "5.7.28", "unusual rate, blocked",
	    C(REPUTATION_REJECT, LANE), true },
	{ P(MAIL), 451, "4.7.650", "temporarily rate limited",
	    C(REPUTATION_DEFER, LANE), false },
	{ P(MAIL), 451, "4.7.651", "S3114", C(REPUTATION_DEFER, LANE), false },
	{ P(CONNECT), 451, "4.7.652", "exceeded connections",
	    C(RATE, CONNECTIONS), false },
	{ P(CONNECT), 421, "", "Too many concurrent connections",
	    C(RATE, CONNECTIONS), false },
	{ P(CONNECT), 421, "4.7.0", "[TSS04] temporarily deferred",
	    C(REPUTATION_DEFER, LANE), false },
	{ P(RCPT), 451, "4.7.1", "try later", C(REPUTATION_DEFER, LANE),
	    false },
	{ P(EOD), 550, "5.7.1", "blocked", C(REPUTATION_REJECT, LANE), true },
	{ P(CONNECT), 554, "", "no service for you", C(REPUTATION_REJECT, LANE),
	    false },
	{ P(EOD), 550, "5.7.606", "banned IP", C(REPUTATION_REJECT, ROUTE),
	    true },
	{ P(RCPT), 550, "5.2.1", "user is receiving mail at a rate that",
	    C(RATE, RECIPIENT), false },
	{ P(RCPT), 450, "4.2.1", "is receiving mail too quickly",
	    C(RATE, RECIPIENT), false },
	{ P(RCPT), 550, "5.2.121", "limit", C(RATE, RECIPIENT), false },
	{ P(RCPT), 550, "", "Ip frequency limited", C(RATE, LANE), false },
	{ P(RCPT), 550, "5.1.0", "rejected. AUP#In-1310",
	    C(REPUTATION_REJECT, LANE), true },

	/* authentication */
	{ P(EOD), 550, "5.7.26", "unauthenticated", C(AUTH, SENDER_DOMAIN),
	    true },
	{ P(EOD), 421, "4.7.26", "rate limited, unauthenticated",
	    C(AUTH, SENDER_DOMAIN), false },
	{ P(EOD), 421, "4.7.32", "rate limited, alignment",
	    C(AUTH, SENDER_DOMAIN), false },
	{ P(EOD), 550, "5.7.515", "basic requirements", C(AUTH, SENDER_DOMAIN),
	    true },
	{ P(MAIL), 530, "5.7.0", "Must issue STARTTLS", C(AUTH, NEXT_HOP),
	    false },
	{ P(AUTH), 535, "5.7.8", "bad credentials", C(AUTH, NEXT_HOP), false },
	{ P(AUTH), 454, "4.7.0", "temporary failure", C(AUTH, NEXT_HOP),
	    false },
	{ P(MAIL), 550, "5.7.8", "credentials", C(AUTH, NEXT_HOP), false },
	{ P(STARTTLS), 454, "4.7.0", "TLS not available", C(SYSTEM, NEXT_HOP),
	    false },

	/* greylisting: only where it is said */
	{ P(RCPT), 450, "4.7.1", "Greylisted for 60 s", C(GREYLIST, MESSAGE),
	    false },
	{ P(RCPT), 451, "", "greylisting in action", C(GREYLIST, MESSAGE),
	    false },
	{ P(RCPT), 450, "4.2.0", "try again", C(OTHER, MESSAGE), false },

	/* mailboxes */
	{ P(RCPT), 452, "4.2.2", "over quota", C(MAILBOX_FULL, RECIPIENT),
	    false },
	/* he may empty it tomorrow, whatever the digit says */
	{ P(RCPT), 552, "5.2.2", "over quota", C(MAILBOX_FULL, RECIPIENT),
	    false },
	{ P(RCPT), 452, "", "Mailbox is full", C(MAILBOX_FULL, RECIPIENT),
	    false },
	{ P(RCPT), 552, "5.1.1", "extended quota violation",
	    C(MAILBOX_FULL, RECIPIENT), false },
	{ P(RCPT), 550, "5.1.1", "no such user", C(BAD_MAILBOX, RECIPIENT),
	    true },
	{ P(EOD), 550, "5.1.6", "moved", C(BAD_MAILBOX, RECIPIENT), true },
	{ P(RCPT), 550, "5.1.0", "rejected", C(BAD_MAILBOX, RECIPIENT), true },
	{ P(RCPT), 550, "5.2.1", "disabled", C(BAD_MAILBOX, RECIPIENT), true },
	{ P(RCPT), 550, "5.1.10", "RESOLVER.ADR.RecipientNotFound",
	    C(BAD_MAILBOX, RECIPIENT), true },
	{ P(RCPT), 550, "5.1.10", "null MX", C(BAD_DOMAIN, RECIPIENT_DOMAIN),
	    true },
	{ P(RCPT), 550, "5.1.2", "no such host",
	    C(BAD_DOMAIN, RECIPIENT_DOMAIN), true },
	{ P(RCPT), 551, "", "not local", C(BAD_DOMAIN, RECIPIENT_DOMAIN),
	    true },

	/* never taken for a bad mailbox */
	{ P(MAIL), 550, "5.1.1", "sender rejected", C(OTHER, MESSAGE), true },
	{ P(RCPT), 450, "4.1.1", "unverified", C(OTHER, MESSAGE), false },
	{ P(RCPT), 550, "4.1.1", "digits disagree", C(OTHER, MESSAGE), true },
	{ P(RCPT), 550, "", "rejected", C(OTHER, MESSAGE), true },
	{ P(RCPT), 550, "rubbish", "x", C(OTHER, MESSAGE), true },

	/* the message, their system, the rest */
	{ P(EOD), 552, "5.3.4", "too big", C(CONTENT, MESSAGE), true },
	{ P(EOD), 552, "", "message size exceeds maximum", C(CONTENT, MESSAGE),
	    true },
	{ P(RCPT), 552, "5.2.3", "too long", C(CONTENT, MESSAGE), true },
	{ P(EOD), 554, "5.6.1", "media", C(CONTENT, MESSAGE), true },
	{ P(RCPT), 452, "4.5.3", "too many", C(OTHER, MESSAGE), false },
	{ P(RCPT), 452, "", "Too many recipients", C(OTHER, MESSAGE), false },
	{ P(RCPT), 550, "5.5.3", "Too many recipients", C(OTHER, MESSAGE),
	    false },
	{ P(MAIL), 452, "4.3.1", "insufficient storage", C(SYSTEM, NEXT_HOP),
	    false },
	{ P(EOD), 451, "4.3.0", "internal error", C(SYSTEM, NEXT_HOP), false },
	{ P(EOD), 451, "4.4.2", "timeout", C(SYSTEM, NEXT_HOP), false },
	{ P(CONNECT), 421, "", "try later", C(SYSTEM, NEXT_HOP), false },
	{ P(EOD), 421, "", "closing", C(SYSTEM, NEXT_HOP), false },
	{ P(EOD), 451, "", "local error", C(SYSTEM, NEXT_HOP), false },
	{ P(EOD), 554, "", "transaction failed", C(OTHER, MESSAGE), true },
	{ P(HELO), 502, "", "what?", C(OTHER, MESSAGE), false },
	{ P(UNKNOWN), 999, "", "", C(OTHER, MESSAGE), true },
};

static void
every_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct reply_case *c = &cases[i];
		struct reply_fact fact = {
			.phase = c->phase,
			.code = c->code,
			.enhanced = c->enhanced,
			.text = c->text,
			.provider = "",
		};
		struct reply_answer a = reply_classify(&fact);

		if (a.class != c->class || a.blame != c->blame ||
		    a.is_final != c->is_final)
			fail_msg("%d %s %s: %s, %s, %s by %s", c->code,
			    c->enhanced, c->text, reply_class_name(a.class),
			    blame_name(a.blame), a.is_final ? "final" : "-",
			    a.rule);
	}
}

/* No reply at all may leave the table, whatever it says. */
static void
anything_has_an_answer(void **state)
{
	(void)state;
	for (int code = -1; code < 1001; code++)
		for (int phase = 0; phase < PHASE_COUNT; phase++) {
			struct reply_fact fact = {
				.phase = (enum phase)phase,
				.code = code,
				.enhanced = NULL,
			};
			struct reply_answer a = reply_classify(&fact);

			assert_non_null(a.rule);
			assert_true(a.class != CLASS_BAD_MAILBOX);
			if (code < 500)
				assert_false(a.is_final);
		}
}

static void
names_go_both_ways(void **state)
{
	(void)state;
	for (int p = 0; p < PHASE_COUNT; p++)
		assert_int_equal(phase_parse(phase_name((enum phase)p)), p);
	assert_int_equal(phase_parse("bogus"), -1);
	assert_string_equal(reply_class_name(CLASS_REPUTATION_DEFER),
	    "reputation-defer");
	assert_string_equal(blame_name(BLAME_SENDER_DOMAIN), "sender_domain");
	assert_string_equal(phase_name(PHASE_EOD), "eod");
	for (int c = 0; c < CLASS_COUNT; c++)
		assert_string_not_equal(reply_class_name((enum reply_class)c),
		    "unknown");
	for (int b = 0; b < BLAME_COUNT; b++)
		assert_string_not_equal(blame_name((enum blame)b), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case),
		cmocka_unit_test(anything_has_an_answer),
		cmocka_unit_test(names_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
