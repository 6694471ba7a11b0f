/* SPDX-License-Identifier: ISC */
/* Every word reads back as itself; nothing else is a word. */
#include "conf/reply_terms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
every_name_reads_back(void **state)
{
	(void)state;
	for (int i = 0; i < CLASS_COUNT; i++)
		assert_int_equal(reply_class_parse(reply_class_name(i)), i);
	for (int i = 0; i < BLAME_COUNT; i++)
		assert_int_equal(blame_parse(blame_name(i)), i);
	for (int i = 0; i < PHASE_COUNT; i++)
		assert_int_equal(phase_parse(phase_name(i)), i);
}

static void
what_is_no_word_is_refused(void **state)
{
	static const char *const no[] = { "", "any", "Rate", "rate ", "lanes",
		"unknow", "reputation", "sender-domain", "EOD" };

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		assert_int_equal(reply_class_parse(no[i]), -1);
		assert_int_equal(blame_parse(no[i]), -1);
		assert_int_equal(phase_parse(no[i]), -1);
	}
	assert_string_equal(reply_class_name(CLASS_COUNT), "unknown");
	assert_string_equal(blame_name(BLAME_COUNT), "unknown");
	assert_string_equal(phase_name(PHASE_COUNT), "unknown");
}

static void
phases_are_a_list(void **state)
{
	(void)state;
	assert_int_equal(phases_parse("any"), (1u << PHASE_COUNT) - 1);
	assert_int_equal(phases_parse("eod"), 1u << PHASE_EOD);
	assert_int_equal(phases_parse("rcpt, data,eod"),
	    1u << PHASE_RCPT | 1u << PHASE_DATA | 1u << PHASE_EOD);
	assert_int_equal(phases_parse(""), 0);
	assert_int_equal(phases_parse("rcpt, any"), 0);
	assert_int_equal(phases_parse("rcpt; eod"), 0);
	assert_int_equal(phases_parse("rcpt, aVeryLongWordThatIsNone"), 0);
}

static void
classes_blame_whom_the_table_says(void **state)
{
	(void)state;
	assert_int_equal(reply_class_blame(CLASS_RATE), BLAME_LANE);
	assert_int_equal(reply_class_blame(CLASS_AUTH), BLAME_SENDER_DOMAIN);
	assert_int_equal(reply_class_blame(CLASS_BAD_DOMAIN),
	    BLAME_RECIPIENT_DOMAIN);
	assert_int_equal(reply_class_blame(CLASS_SYSTEM), BLAME_NEXT_HOP);
	assert_int_equal(reply_class_blame(CLASS_OK), BLAME_NOBODY);
	assert_int_equal(reply_class_blame(CLASS_CONTENT), BLAME_MESSAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_reads_back),
		cmocka_unit_test(what_is_no_word_is_refused),
		cmocka_unit_test(phases_are_a_list),
		cmocka_unit_test(classes_blame_whom_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
