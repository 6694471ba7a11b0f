/* SPDX-License-Identifier: ISC */
/* Each class does what its row says, and nothing else. */
#include "scheduler/blame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Effects as words, so that the table reads like the manual. */
static const char *
effects_text(unsigned effects, char out[256])
{
	out[0] = '\0';
	for (int i = 0; i < EFFECT_COUNT; i++)
		if (effects & 1u << i) {
			strcat(out, out[0] ? " " : "");
			strcat(out, effect_name((enum effect)(1u << i)));
		}
	return out;
}

static void
each_class_does_what_its_row_says(void **state)
{
	static const struct {
		enum reply_class class;
		enum blame blame;
		bool is_final;
		const char *effects;
	} rows[] = {
		{ CLASS_OK, BLAME_NOBODY, false, "" },
		{ CLASS_RATE, BLAME_LANE, false, "slow slowed unpunished" },
		/* a 5xx that is a rate slows, and is deferred as a rule says;
		 * where it is final the message is gone all the same */
		{ CLASS_RATE, BLAME_LANE, true, "slow slowed" },
		{ CLASS_RATE, BLAME_CONNECTIONS, false,
		    "connections unpunished" },
		{ CLASS_RATE, BLAME_SENDER_DOMAIN, false,
		    "sender-now unpunished" },
		{ CLASS_RATE, BLAME_RECIPIENT, false, "" },
		{ CLASS_RATE, BLAME_MESSAGE, false, "" },
		{ CLASS_REPUTATION_DEFER, BLAME_LANE, false,
		    "slow slowed unpunished" },
		{ CLASS_REPUTATION_REJECT, BLAME_LANE, true, "share rejected" },
		{ CLASS_REPUTATION_REJECT, BLAME_ROUTE, true,
		    "suspend rejected alert" },
		{ CLASS_REPUTATION_REJECT, BLAME_SENDER_DOMAIN, true,
		    "sender" },
		{ CLASS_AUTH, BLAME_SENDER_DOMAIN, true, "sender alert" },
		{ CLASS_AUTH, BLAME_SENDER_DOMAIN, false, "sender alert" },
		{ CLASS_REPUTATION_REJECT, BLAME_STREAM, true, "rejected" },
		{ CLASS_AUTH, BLAME_ROUTE, true, "share alert" },
		{ CLASS_AUTH, BLAME_ROUTE, false, "share alert" },
		{ CLASS_AUTH, BLAME_NEXT_HOP, true, "alert" },
		{ CLASS_AUTH, BLAME_NEXT_HOP, false, "next-hop alert" },
		{ CLASS_BAD_DOMAIN, BLAME_SENDER_DOMAIN, true, "sender alert" },
		{ CLASS_GREYLIST, BLAME_MESSAGE, false, "" },
		{ CLASS_MAILBOX_FULL, BLAME_RECIPIENT, false, "soft" },
		{ CLASS_MAILBOX_FULL, BLAME_RECIPIENT, true, "soft" },
		{ CLASS_BAD_MAILBOX, BLAME_RECIPIENT, true, "dirty suppress" },
		/* 450 5.1.1: it may exist tomorrow; never suppressed for it */
		{ CLASS_BAD_MAILBOX, BLAME_RECIPIENT, false, "soft" },
		{ CLASS_BAD_DOMAIN, BLAME_RECIPIENT_DOMAIN, true,
		    "dirty domain" },
		{ CLASS_BAD_DOMAIN, BLAME_RECIPIENT_DOMAIN, false, "" },
		{ CLASS_BAD_DOMAIN, BLAME_NEXT_HOP, true, "dirty alert" },
		{ CLASS_BAD_DOMAIN, BLAME_NEXT_HOP, false, "alert" },
		{ CLASS_CONTENT, BLAME_MESSAGE, true, "" },
		{ CLASS_CONTENT, BLAME_MESSAGE, false, "" },
		{ CLASS_SYSTEM, BLAME_NEXT_HOP, false, "next-hop" },
		{ CLASS_OTHER, BLAME_MESSAGE, false, "" },
		{ CLASS_OTHER, BLAME_MESSAGE, true, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];

		effects_text(blame_effects(rows[i].class, rows[i].blame,
				 rows[i].is_final),
		    text);
		if (strcmp(text, rows[i].effects) != 0)
			print_error("%s, %s: %s\n",
			    reply_class_name(rows[i].class),
			    blame_name(rows[i].blame), text);
		assert_string_equal(text, rows[i].effects);
	}
}

/* For every pair there is: what may never happen. */
static void
no_pair_punishes_the_innocent(void **state)
{
	(void)state;
	for (enum reply_class c = 0; c < CLASS_COUNT; c++)
		for (enum blame b = 0; b < BLAME_COUNT; b++)
			for (int is_final = 0; is_final < 2; is_final++) {
				unsigned e = blame_effects(c, b, is_final);
				bool is_of_speed = c == CLASS_RATE ||
				    c == CLASS_REPUTATION_DEFER;

				if (e & (EFFECT_SLOW | EFFECT_SLOWED))
					assert_true(is_of_speed &&
					    (b == BLAME_LANE ||
						b == BLAME_ROUTE));
				if (e & EFFECT_SUPPRESS)
					assert_true(c == CLASS_BAD_MAILBOX &&
					    b == BLAME_RECIPIENT && is_final);
				if (e & EFFECT_REJECTED)
					assert_true(c ==
					    CLASS_REPUTATION_REJECT);
				if (e & EFFECT_SHARE)
					assert_true(c ==
						CLASS_REPUTATION_REJECT ||
					    (c == CLASS_AUTH &&
						b == BLAME_ROUTE));
				if (e & EFFECT_UNPUNISHED)
					assert_true(is_of_speed && !is_final);
				if (b == BLAME_MESSAGE || b == BLAME_NOBODY)
					assert_int_equal(e, 0);
			}
}

static void
effects_have_names(void **state)
{
	(void)state;
	assert_string_equal(effect_name(EFFECT_ALERT), "alert");
	assert_string_equal(effect_name((enum effect)(1 << EFFECT_COUNT)),
	    "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_class_does_what_its_row_says),
		cmocka_unit_test(no_pair_punishes_the_innocent),
		cmocka_unit_test(effects_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
