/* SPDX-License-Identifier: ISC */
/* Tables line up, and fit a terminal. */
#include "daemon/ctl_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
prints(unsigned width, bool has_colour, const char *expected)
{
	const struct ctl ctl = { .width = width, .has_colour = has_colour };
	struct table *t = table_new(&ctl);
	char *out = NULL;
	size_t len;
	FILE *to = open_memstream(&out, &len);

	table_column(t, "LANE", false);
	table_max(t, 8);
	table_column(t, "QUEUED", true);
	table_column(t, "FAIL", true);
	table_optional(t);
	table_column(t, "WHY", false);
	table_cell(t, PLAIN, "ip-a/gmail");
	table_cell(t, GREEN, "12");
	table_cell(t, PLAIN, "3");
	table_cell(t, PLAIN, "because it is so, and for no other reason");
	table_cell(t, PLAIN, "b/x");
	table_cell(t, PLAIN, "1,000,000");
	table_cell(t, PLAIN, "0");
	table_cell(t, PLAIN, "");
	assert_int_equal(table_n_rows(t), 2);
	table_print(t, to);
	fclose(to);
	assert_string_equal(out, expected);
	free(out);
	table_free(t);
}

static void
nothing_is_cut_without_a_terminal(void **state)
{
	(void)state;
	prints(0, false,
	    "LANE           QUEUED  FAIL  WHY\n"
	    "ip-a/gmail         12     3  because it is so, and for no other "
	    "reason\n"
	    "b/x         1,000,000     0  \n");
}

static void
a_terminal_cuts_the_last_column_and_wide_ones(void **state)
{
	(void)state;
	prints(50, false,
	    "LANE         QUEUED  FAIL  WHY\n"
	    "ip-a/gm\u2026         12     3  because it is so, and \u2026\n"
	    "b/x       1,000,000     0  \n");
}

static void
a_narrow_one_leaves_optional_columns_out(void **state)
{
	(void)state;
	prints(42, false,
	    "LANE         QUEUED  WHY\n"
	    "ip-a/gm\u2026         12  because it is so, an\u2026\n"
	    "b/x       1,000,000  \n");
}

static void
colours_take_no_room(void **state)
{
	(void)state;
	prints(0, true,
	    "\033[1mLANE\033[0m           \033[1mQUEUED\033[0m  "
	    "\033[1mFAIL\033[0m  \033[1mWHY\033[0m\n"
	    "ip-a/gmail         \033[32m12\033[0m     3  because it is so, and "
	    "for no other reason\n"
	    "b/x         1,000,000     0  \n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_cut_without_a_terminal),
		cmocka_unit_test(a_terminal_cuts_the_last_column_and_wide_ones),
		cmocka_unit_test(a_narrow_one_leaves_optional_columns_out),
		cmocka_unit_test(colours_take_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
