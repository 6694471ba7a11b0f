/* SPDX-License-Identifier: ISC */
/* Single lines of a users file changed, all other bytes left as they are. */
#include "daemon/users_edit.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/test_users_edit.XXXXXX";
static char file[64], link_name[64];

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/users", dir);
	snprintf(link_name, sizeof(link_name), "%s/link", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	unlink(file);
	unlink(link_name);
	return rmdir(dir); /* fails when a temporary file was left */
}

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
assert_file(const char *wanted)
{
	char text[4096];
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(text, wanted);
}

static struct users_edit *
open_edit(const char *name)
{
	struct err err = { .text = "" };
	struct users_edit *edit = users_edit_open(name, true, &err);

	if (edit == NULL)
		fail_msg("%s", err.text);
	return edit;
}

static const struct {
	const char *what;
	const char *before;
	const char *name;
	const char *line;
	const char *after;
	bool was_there;
} edits[] = {
	{ "empty file", "", "a", "a:1\n", "a:1\n", false },
	{ "at the end", "b:2\n", "a", "a:1\n", "b:2\na:1\n", false },
	{ "after a line without end", "b:2", "a", "a:1\n", "b:2\na:1\n",
	    false },
	{ "in its place", "# x\nb:2\na:old:rate=1/s\n\nc:3\n", "a", "a:1\n",
	    "# x\nb:2\na:1\n\nc:3\n", true },
	{ "last line without end", "b:2\na:old", "a", "a:1\n", "b:2\na:1\n",
	    true },
	{ "indented", " \ta:old\n", "a", "a:1\n", "a:1\n", true },
	{ "twice", "a:old\nb:2\na:older\n", "a", "a:1\n", "a:1\nb:2\n", true },
	{ "longer and shorter names", "ab:1\nA:1\nba:1\n", "a", "a:1\n",
	    "ab:1\nA:1\nba:1\na:1\n", false },
	{ "in a comment", "#a:1\n", "a", "a:1\n", "#a:1\na:1\n", false },
	{ "garbage stays", "???\n:::\na\n", "a", "a:1\n", "???\n:::\na\na:1\n",
	    false },
	{ "removed", "b:2\na:1\nc:3", "a", NULL, "b:2\nc:3", true },
	{ "the only one removed", "a:1\n", "a", NULL, "", true },
	{ "nobody removed", "b:2\n", "a", NULL, "b:2\n", false },
};

static void
lines_are_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		struct users_edit *edit;
		struct err err;

		write_file(edits[i].before);
		edit = open_edit(file);
		if (users_edit_put(edit, edits[i].name, edits[i].line) !=
		    edits[i].was_there)
			fail_msg("%s", edits[i].what);
		assert_file(edits[i].before); /* not yet */
		assert_int_equal(users_edit_commit(edit, &err), 0);
		users_edit_close(edit);
		assert_file(edits[i].after);
	}
}

static const struct {
	const char *text;
	const char *options; /* NULL = no such user */
} lines[] = {
	{ "", NULL },
	{ "b:x:rate=1/s\n", NULL },
	{ "a:x\n", "" },
	{ "a:x:\n", "" },
	{ "a:x:rate=1/s,stream=n \r\n", "rate=1/s,stream=n" },
	{ " a:x:rate=1/s", "rate=1/s" },
	{ "a:\n", "" },
	{ "a:", "" },
	{ "#a:x:y\nb:x\na:x:z\n", "z" },
};

static void
options_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct users_edit *edit;
		char *options;

		write_file(lines[i].text);
		edit = open_edit(file);
		options = users_edit_options(edit, "a");
		if (lines[i].options == NULL)
			assert_null(options);
		else
			assert_string_equal(options, lines[i].options);
		free(options);
		users_edit_close(edit);
	}
}

static void
mode_stays(void **state)
{
	struct users_edit *edit;
	struct err err;
	struct stat st;

	(void)state;
	unlink(file);
	edit = open_edit(file); /* a new one */
	users_edit_put(edit, "a", "a:1\n");
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(users_edit_commit(edit, &err), 0);
	users_edit_close(edit);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	chmod(file, 0640);
	edit = open_edit(file);
	users_edit_put(edit, "b", "b:1\n");
	assert_int_equal(users_edit_commit(edit, &err), 0);
	users_edit_close(edit);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_file("a:1\nb:1\n");
}

static void
links_are_followed(void **state)
{
	struct users_edit *edit;
	struct err err;
	struct stat st;

	(void)state;
	write_file("a:1\n");
	assert_int_equal(symlink("users", link_name), 0);
	edit = open_edit(link_name);
	users_edit_put(edit, "b", "b:1\n");
	assert_int_equal(users_edit_commit(edit, &err), 0);
	users_edit_close(edit);
	assert_int_equal(lstat(link_name, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_file("a:1\nb:1\n");
}

static void
what_can_not_be_opened(void **state)
{
	struct err err;

	(void)state;
	assert_null(users_edit_open(dir, true, &err));
	unlink(file);
	assert_null(users_edit_open(file, false, &err));
	assert_non_null(strstr(err.text, "No such file or directory"));
}

/* Many processes that add a user at the same time: nobody's is lost. */
static void
editors_wait_for_each_other(void **state)
{
	pid_t children[10];
	char wanted[16];
	struct users_edit *edit;

	(void)state;
	write_file("");
	for (int i = 0; i < 10; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			char name[2] = { (char)('a' + i), '\0' };
			char line[] = "?:1\n";
			struct err err;

			line[0] = name[0];
			edit = users_edit_open(file, true, &err);
			usleep(2000);
			users_edit_put(edit, name, line);
			_exit(users_edit_commit(edit, &err) != 0);
		}
	}
	for (int i = 0; i < 10; i++) {
		int status = -1;

		waitpid(children[i], &status, 0);
		assert_int_equal(status, 0);
	}
	edit = open_edit(file);
	for (int i = 0; i < 10; i++) {
		char *options;

		snprintf(wanted, sizeof(wanted), "%c", 'a' + i);
		options = users_edit_options(edit, wanted);
		assert_non_null(options);
		free(options);
	}
	users_edit_close(edit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_changed),
		cmocka_unit_test(options_are_read),
		cmocka_unit_test(mode_stays),
		cmocka_unit_test(links_are_followed),
		cmocka_unit_test(what_can_not_be_opened),
		cmocka_unit_test(editors_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
