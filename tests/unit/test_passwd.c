/* SPDX-License-Identifier: ISC */
/*
 * The passwd command as a person or a script meets it: run in a child, with
 * stdin from a pipe or from a terminal of its own.
 */
#include "daemon/passwd.h"

#include <crypt.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base/strbuf.h"

static char dir[] = "/tmp/test_passwd.XXXXXX";
static char file[64];

static int
make_dir(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/users", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

/* ---- running it ---- */

struct run {
	int status;	   /* exit status, or -signal */
	char output[2048]; /* stdout and stderr */
};

static int
count(char *const argv[])
{
	int n = 0;

	while (argv[n] != NULL)
		n++;
	return n;
}

/* Never returns; _exit, since the test's own atexit work isn't ours. */
static void
be_passwd(char *const argv[], int in, int out)
{
	int status;

	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	status = passwd_main(count(argv), (char **)argv);
	fflush(NULL);
	_exit(status);
}

static void
wait_status(struct run *run, pid_t child)
{
	int status = 0;

	waitpid(child, &status, 0);
	run->status =
	    WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
run_with_input(struct run *run, const char *input, char *const argv[])
{
	int in[2], out[2];
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(in) | pipe(out), 0);
	child = fork();
	if (child == 0) {
		close(in[1]);
		be_passwd(argv, in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	n = write(in[1], input, strlen(input));
	assert_true(n == (ssize_t)strlen(input) || n < 0);
	close(in[1]);
	while ((n = read(out[0], run->output + used,
		    sizeof(run->output) - 1 - used)) > 0)
		used += (size_t)n;
	run->output[used] = '\0';
	close(out[0]);
	wait_status(run, child);
}

#define RUN(run, input, ...)           \
	run_with_input((run), (input), \
	    (char *[]){ (char *)"passwd", ##__VA_ARGS__, NULL })
#define ARG(s) ((char *)(s))

static char *
slurp(void)
{
	static char text[4096];
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	fputs(text, f);
	fclose(f);
}

/* Does the hash behind "name:" belong to the password? */
static bool
is_hash_of(const char *line, const char *password)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash;
	char stored[256];
	bool is_same;

	line = strchr(line, ':') + 1;
	snprintf(stored, sizeof(stored), "%.*s", (int)strcspn(line, ":\n"),
	    line);
	hash = crypt_rn(password, stored, data, sizeof(*data));
	is_same = hash != NULL && strcmp(hash, stored) == 0;
	free(data);
	return is_same;
}

/* ---- from a pipe ---- */

static void
line_is_printed(void **state)
{
	struct run run;

	(void)state;
	RUN(&run, "s3cret\nnot this\n", ARG("-o"), ARG("rate=5/s"),
	    ARG("shop"));
	assert_int_equal(run.status, 0);
	assert_memory_equal(run.output, "shop:$y$", 8);
	assert_non_null(strstr(run.output, ":rate=5/s\n"));
	assert_true(is_hash_of(run.output, "s3cret"));
	RUN(&run, "no line end", ARG("shop"));
	assert_int_equal(run.status, 0);
	assert_true(is_hash_of(run.output, "no line end"));
	RUN(&run, "from Windows\r\n", ARG("shop"));
	assert_true(is_hash_of(run.output, "from Windows"));
}

static void
file_is_edited(void **state)
{
	struct run run;
	char *text;

	(void)state;
	write_file("# our users\nshop:old:rate=5/s\nother:x\n");
	RUN(&run, "s3cret\n", ARG("-f"), file, ARG("shop"));
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.output, ": shop changed; "));
	text = slurp();
	assert_memory_equal(text, "# our users\nshop:$y$", 20);
	assert_non_null(strstr(text, ":rate=5/s\nother:x\n"));
	assert_true(is_hash_of(text + 12, "s3cret"));

	RUN(&run, "s3cret\n", ARG("-f"), file, ARG("-o"), ARG(""), ARG("shop"));
	assert_int_equal(run.status, 0);
	assert_null(strstr(slurp(), "rate"));

	RUN(&run, "s3cret\n", ARG("-f"), file, ARG("new"));
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.output, ": new added; "));
	assert_non_null(strstr(slurp(), "other:x\nnew:$y$"));

	RUN(&run, "", ARG("-D"), ARG("-f"), file, ARG("shop"));
	assert_int_equal(run.status, 0);
	RUN(&run, "", ARG("-D"), ARG("-f"), file, ARG("new"));
	assert_int_equal(run.status, 0);
	assert_string_equal(slurp(), "# our users\nother:x\n");
	unlink(file);
}

static void
refusals_change_nothing(void **state)
{
	static const char before[] = "shop:old:steam=1\n";
	struct run run;

	(void)state;
	write_file(before);
	RUN(&run, "", ARG("shop"));
	assert_int_equal(run.status, 1);
	assert_string_equal(run.output,
	    "flyballctl passwd: stdin has no line with a password\n");
	RUN(&run, "\n", ARG("-f"), file, ARG("shop"));
	assert_int_equal(run.status, 1);
	assert_string_equal(run.output,
	    "flyballctl passwd: the password is empty\n");
	RUN(&run, "x\n", ARG("-f"), file, ARG("a:b"));
	assert_int_equal(run.status, 1);
	RUN(&run, "x\n", ARG("-f"), file, ARG("shop")); /* its old options */
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.output, "no option \"steam\""));
	RUN(&run, "", ARG("-D"), ARG("-f"), file, ARG("nobody"));
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.output, "there is no user \"nobody\""));
	assert_string_equal(slurp(), before);
	RUN(&run, "x\n", ARG("-f"), ARG("/nonexistent/u"), ARG("shop"));
	assert_int_equal(run.status, 1);
	unlink(file);
}

static void
wrong_usage(void **state)
{
	struct run run;

	(void)state;
	RUN(&run, "x\n");
	assert_int_equal(run.status, 2);
	assert_memory_equal(run.output, "usage: ", 7);
	RUN(&run, "x\n", ARG("a"), ARG("b"));
	assert_int_equal(run.status, 2);
	RUN(&run, "x\n", ARG("-D"), ARG("a"));
	assert_int_equal(run.status, 2);
	RUN(&run, "x\n", ARG("-z"), ARG("a"));
	assert_int_equal(run.status, 2);
	RUN(&run, "x\n", ARG("-f"));
	assert_int_equal(run.status, 2);
}

/* ---- at a terminal ---- */

struct terminal {
	int master, slave;
	pid_t child;
	struct strbuf seen;
};

static void
terminal_open(struct terminal *t, char *const argv[])
{
	char *name;

	*t = (struct terminal){ .master = posix_openpt(O_RDWR | O_NOCTTY) };
	assert_true(t->master >= 0);
	assert_int_equal(grantpt(t->master) | unlockpt(t->master), 0);
	name = ptsname(t->master);
	t->slave = open(name, O_RDWR | O_NOCTTY);
	assert_true(t->slave >= 0);
	t->child = fork();
	if (t->child == 0) {
		setsid();
		ioctl(t->slave, TIOCSCTTY, 0);
		close(t->master);
		be_passwd(argv, t->slave, t->slave);
	}
}

/* Waits until the terminal has shown the text. */
static void
expect(struct terminal *t, const char *text)
{
	char chunk[256];
	ssize_t n;

	while (t->seen.data == NULL || strstr(t->seen.data, text) == NULL) {
		n = read(t->master, chunk, sizeof(chunk));
		if (n <= 0)
			fail_msg("no \"%s\" in: %s", text, t->seen.data);
		strbuf_add(&t->seen, chunk, (size_t)n);
	}
}

static void
type(struct terminal *t, const char *text)
{
	assert_int_equal(write(t->master, text, strlen(text)),
	    (ssize_t)strlen(text));
}

static int
terminal_end(struct terminal *t)
{
	struct run run;
	struct termios now;

	wait_status(&run, t->child);
	assert_int_equal(tcgetattr(t->slave, &now), 0);
	assert_true(now.c_lflag & ECHO); /* it speaks again */
	close(t->slave);
	close(t->master);
	strbuf_fini(&t->seen);
	return run.status;
}

static char *const terminal_argv[] = { ARG("passwd"), ARG("shop"), NULL };

static void
terminal_asks_twice_in_silence(void **state)
{
	struct terminal t;

	(void)state;
	terminal_open(&t, terminal_argv);
	expect(&t, "New password for shop: ");
	type(&t, "s3cret\n");
	expect(&t, "Once more: ");
	type(&t, "s3cret\n");
	expect(&t, "shop:$y$");
	assert_null(strstr(t.seen.data, "s3cret"));
	assert_int_equal(terminal_end(&t), 0);
}

static void
terminal_typing_mistake(void **state)
{
	struct terminal t;

	(void)state;
	terminal_open(&t, terminal_argv);
	expect(&t, "New password for shop: ");
	type(&t, "s3cret\n");
	expect(&t, "Once more: ");
	type(&t, "secret\n");
	expect(&t, "the two passwords differ");
	assert_int_equal(terminal_end(&t), 1);
}

static void
terminal_interrupted(void **state)
{
	struct terminal t;

	(void)state;
	terminal_open(&t, terminal_argv);
	expect(&t, "New password for shop: ");
	type(&t, "s3c\003"); /* control-C */
	assert_int_equal(terminal_end(&t), -SIGINT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_is_printed),
		cmocka_unit_test(file_is_edited),
		cmocka_unit_test(refusals_change_nothing),
		cmocka_unit_test(wrong_usage),
		cmocka_unit_test(terminal_asks_twice_in_silence),
		cmocka_unit_test(terminal_typing_mistake),
		cmocka_unit_test(terminal_interrupted),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
