/* SPDX-License-Identifier: ISC */
/*
 * The `passwd` command of flyballctl. It talks to the person at the terminal
 * and to the users file, never to the daemon: that reads the file at the next
 * reload. The password is read byte by byte and kept in one buffer of ours,
 * wiped at the end; it is no argument, where everybody could read it.
 */
#include "daemon/passwd.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "daemon/auth.h"
#include "daemon/users.h"
#include "daemon/users_edit.h"

#define PASSWORD_SIZE 1024

struct wish {
	const char *file;    /* NULL = print the line */
	const char *options; /* NULL = as they are */
	const char *user;
	bool is_delete;
};

static int
complain(const char *text)
{
	fprintf(stderr, "flyballctl passwd: %s\n", text);
	return 1;
}

/* ---- asking ---- */

static struct termios with_echo;

/* The terminal must not stay silent when the person gives up. */
static void
on_interrupt(int number)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &with_echo);
	signal(number, SIG_DFL);
	raise(number);
}

static const int interrupts[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define N_INTERRUPTS (sizeof(interrupts) / sizeof(*interrupts))

static bool
silence(void)
{
	struct termios silent;

	if (tcgetattr(STDIN_FILENO, &with_echo) < 0)
		return false;
	for (size_t i = 0; i < N_INTERRUPTS; i++)
		signal(interrupts[i], on_interrupt);
	signal(SIGTSTP, SIG_IGN);
	silent = with_echo;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ECHONL;
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
}

static void
unsilence(void)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &with_echo);
	for (size_t i = 0; i < N_INTERRUPTS; i++)
		signal(interrupts[i], SIG_DFL);
	signal(SIGTSTP, SIG_DFL);
}

/* One line without its end; false: there was none, or it is too long. */
static bool
read_line(char line[PASSWORD_SIZE])
{
	size_t len = 0;
	ssize_t n;
	char c = '\0';

	for (;;) {
		n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || c == '\n')
			break;
		if (c == '\0' || len + 1 >= PASSWORD_SIZE)
			return false;
		line[len++] = c;
	}
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	return len > 0 || n > 0;
}

static bool
ask(const char *prompt, char answer[PASSWORD_SIZE])
{
	fputs(prompt, stderr);
	fflush(stderr);
	return read_line(answer);
}

static int
ask_twice(const char *user, char password[PASSWORD_SIZE])
{
	char again[PASSWORD_SIZE], prompt[USERS_NAME_MAX + 64];
	bool is_read, is_same;

	snprintf(prompt, sizeof(prompt), "New password for %s: ", user);
	if (!silence())
		return complain("this terminal can't be made silent");
	is_read = ask(prompt, password) && ask("Once more: ", again);
	unsilence();
	is_same = is_read && strcmp(password, again) == 0;
	explicit_bzero(again, sizeof(again));
	if (!is_read)
		return complain("no password was given");
	return is_same ? 0 : complain("the two passwords differ");
}

static int
read_password(const char *user, char password[PASSWORD_SIZE])
{
	if (isatty(STDIN_FILENO))
		return ask_twice(user, password);
	if (!read_line(password))
		return complain("stdin has no line with a password");
	return 0;
}

/* ---- doing ---- */

static int
print_line(const struct wish *wish, const char *password)
{
	struct strbuf line = { 0 };
	struct err err;

	if (auth_make_line(wish->user, password, wish->options, &line, &err) <
	    0)
		return complain(err.text);
	fputs(line.data, stdout);
	strbuf_fini(&line);
	return fflush(stdout) == 0 ? 0 : complain("stdout: write error");
}

static int
put_line(const struct wish *wish, struct users_edit *edit, const char *password)
{
	char *options = wish->options != NULL
	    ? strdup(wish->options)
	    : users_edit_options(edit, wish->user);
	struct strbuf line = { 0 };
	struct err err;
	bool was_there;
	int result;

	result = auth_make_line(wish->user, password, options, &line, &err);
	free(options);
	if (result < 0)
		return complain(err.text);
	was_there = users_edit_put(edit, wish->user, line.data);
	strbuf_fini(&line);
	if (users_edit_commit(edit, &err) < 0)
		return complain(err.text);
	printf("%s: %s %s; `flyballctl reload` tells the daemon\n", wish->file,
	    wish->user, was_there ? "changed" : "added");
	return 0;
}

static int
remove_line(const struct wish *wish, struct users_edit *edit)
{
	struct err err;

	if (!users_edit_put(edit, wish->user, NULL)) {
		err_set(&err, "%s: there is no user \"%s\"", wish->file,
		    wish->user);
		return complain(err.text);
	}
	if (users_edit_commit(edit, &err) < 0)
		return complain(err.text);
	printf("%s: %s removed; `flyballctl reload` tells the daemon\n",
	    wish->file, wish->user);
	return 0;
}

static int
edit_file(const struct wish *wish, const char *password)
{
	struct err err;
	struct users_edit *edit =
	    users_edit_open(wish->file, !wish->is_delete, &err);
	int result;

	if (edit == NULL)
		return complain(err.text);
	result = wish->is_delete ? remove_line(wish, edit)
				 : put_line(wish, edit, password);
	users_edit_close(edit);
	return result;
}

static int
fulfil(const struct wish *wish)
{
	char password[PASSWORD_SIZE] = "";
	struct err err;
	int result;

	/* Before the person has typed a password in vain. */
	if (users_check_name(wish->user, &err) < 0)
		return complain(err.text);
	if (wish->is_delete)
		return edit_file(wish, NULL);
	result = read_password(wish->user, password);
	if (result == 0)
		result = wish->file != NULL ? edit_file(wish, password)
					    : print_line(wish, password);
	explicit_bzero(password, sizeof(password));
	return result;
}

static int
usage(void)
{
	fputs("usage: flyballctl passwd [-f USERS_FILE] [-o OPTIONS] USER\n"
	      "       flyballctl passwd -D -f USERS_FILE USER\n"
	      "  -f  put the line into this file instead of printing it\n"
	      "  -o  stream=NAME,senders=a.example|b.example,rate=100/min\n"
	      "  -D  remove the user\n",
	    stderr);
	return 2;
}

int
passwd_main(int argc, char **argv)
{
	struct wish wish = { 0 };
	int option;

	optind = 0; /* flyballctl has read options of its own before */
	while ((option = getopt(argc, argv, "+f:o:D")) != -1) {
		switch (option) {
		case 'f':
			wish.file = optarg;
			break;
		case 'o':
			wish.options = optarg;
			break;
		case 'D':
			wish.is_delete = true;
			break;
		default:
			return usage();
		}
	}
	if (argc - optind != 1)
		return usage();
	if (wish.is_delete && (wish.file == NULL || wish.options != NULL))
		return usage();
	wish.user = argv[optind];
	return fulfil(&wish);
}
