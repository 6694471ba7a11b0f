/* SPDX-License-Identifier: ISC */
/*
 * `flyballctl top`: the terminal and the daemon around the screen of
 * ctl_top_screen.c. Asks once a second, draws when something changed, and
 * leaves the terminal as it was, however it ends.
 */
#include "daemon/ctl_top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "daemon/command_words.h"

#define EVERY_MS      1000
#define ANSWER_WAIT_S 5

static volatile sig_atomic_t is_told_to_stop;

static void
on_stop(int number)
{
	(void)number;
	is_told_to_stop = 1;
}

/* Only to wake poll(): the size is asked at each drawing. */
static void
on_resize(int number)
{
	(void)number;
}

/* ---- the terminal ---- */

static struct termios as_it_was;

static void
put(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

static void
leave_screen(void)
{
	put("\033[?25h\033[?1049l");
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
}

static int
enter_screen(void)
{
	struct sigaction stop = { .sa_handler = on_stop };
	struct sigaction resize = { .sa_handler = on_resize };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &as_it_was) < 0)
		return -1;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	raw = as_it_was;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	put("\033[?1049h\033[?25l");
	return 0;
}

static size_t
measure(struct ctl *ctl)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) {
		ctl->width = 80;
		return 24;
	}
	ctl->width = size.ws_col;
	return size.ws_row;
}

/* One key out of what was typed; *at moves on. */
static int
next_key(const char *typed, size_t len, size_t *at)
{
	static const struct {
		const char *bytes;
		int key;
	} sequences[] = {
		{ "\033[A", TOP_KEY_UP },
		{ "\033OA", TOP_KEY_UP },
		{ "\033[B", TOP_KEY_DOWN },
		{ "\033OB", TOP_KEY_DOWN },
		{ "\033[5~", TOP_KEY_PAGE_UP },
		{ "\033[6~", TOP_KEY_PAGE_DOWN },
	};

	for (size_t i = 0; i < sizeof(sequences) / sizeof(*sequences); i++) {
		size_t n = strlen(sequences[i].bytes);

		if (len - *at >= n &&
		    memcmp(typed + *at, sequences[i].bytes, n) == 0) {
			*at += n;
			return sequences[i].key;
		}
	}
	return (unsigned char)typed[(*at)++];
}

/* ---- the daemon ---- */

/* NULL: it doesn't answer; the connection is closed then, to be made anew. */
static json_t *
ask_line(const struct ctl *ctl, struct ctl_client **c, const char *line)
{
	json_t *answer = NULL;
	struct words w;

	if (*c == NULL) {
		*c = ctl_client_open(ctl, true);
		if (*c == NULL)
			return NULL;
		ctl_client_wait(*c, ANSWER_WAIT_S);
	}
	if (words_split(line, strlen(line), &w, NULL) < 0)
		return NULL;
	if (ctl_client_send(*c, w.v, w.n, NULL) == 0)
		answer = ctl_client_read(*c);
	words_fini(&w);
	if (answer == NULL) {
		ctl_client_close(*c);
		*c = NULL;
	}
	return answer;
}

static json_t *
result_of(const struct ctl *ctl, struct ctl_client **c, const char *line)
{
	json_t *answer = ask_line(ctl, c, line);
	json_t *result = json_incref(json_object_get(answer, "result"));

	json_decref(answer);
	return result;
}

static void
refresh(struct top *t, const struct ctl *ctl, struct ctl_client **c)
{
	json_t *lanes, *status;

	if (t->is_frozen)
		return;
	lanes = result_of(ctl, c, "lanes");
	status = result_of(ctl, c, "status");
	top_update(t, lanes, status);
}

/* ---- the loop ---- */

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
draw(struct top *t, struct ctl *ctl)
{
	struct strbuf screen = { 0 };
	size_t height = measure(ctl);

	top_draw(t, ctl, height, &screen);
	fwrite(screen.data, 1, screen.len, stdout);
	fflush(stdout);
	strbuf_fini(&screen);
}

/* False: it is to end. */
static bool
take_keys(struct top *t, const struct ctl *ctl, struct ctl_client **c)
{
	char typed[64];
	ssize_t len = read(STDIN_FILENO, typed, sizeof(typed));

	if (len == 0 || (len < 0 && errno != EINTR && errno != EAGAIN))
		return false; /* the terminal is gone */
	for (size_t at = 0; len > 0 && at < (size_t)len;) {
		enum top_want want =
		    top_key(t, next_key(typed, (size_t)len, &at));

		if (want == TOP_QUIT)
			return false;
		if (want == TOP_ASK) {
			top_answer(t, ask_line(ctl, c, t->words.data));
			refresh(t, ctl, c);
		}
	}
	return true;
}

static void
watch(struct top *t, struct ctl *ctl, struct ctl_client **c)
{
	int64_t due_ms = 0;

	while (!is_told_to_stop) {
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		int64_t wait_ms;

		if (now_ms() >= due_ms) {
			refresh(t, ctl, c);
			due_ms = now_ms() + EVERY_MS;
		}
		draw(t, ctl);
		wait_ms = due_ms - now_ms();
		if (poll(&p, 1, wait_ms > 0 ? (int)wait_ms : 0) > 0 &&
		    !take_keys(t, ctl, c))
			return;
	}
}

int
ctl_top(const struct ctl *given, int argc, char **argv)
{
	struct ctl ctl = *given;
	struct ctl_client *c;
	struct top t;

	(void)argc;
	(void)argv;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fputs("flyballctl top: needs a terminal; `lanes` shows the "
		      "same once\n",
		    stderr);
		return CTL_USAGE;
	}
	c = ctl_client_open(&ctl, false);
	if (c == NULL)
		return CTL_NO_DAEMON;
	ctl_client_wait(c, ANSWER_WAIT_S);
	top_init(&t);
	if (enter_screen() == 0) {
		watch(&t, &ctl, &c);
		leave_screen();
	}
	top_fini(&t);
	ctl_client_close(c);
	return CTL_OK;
}
