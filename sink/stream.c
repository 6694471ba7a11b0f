/* SPDX-License-Identifier: ISC */
/*
 * Bytes over a socket, in clear or TLS. SMTP sessions (daemon/) and the
 * client connections of the pool stand on it; it knows nothing of SMTP.
 *
 * What is written goes out with one write(2) at the end of the turn, without
 * asking the loop first: an SMTP dialogue is small packets both ways, and a
 * trip through epoll for each would double its cost. Read events stay armed;
 * input that nobody takes is kept up to STREAM_READ_MAX, then reading stops.
 *
 * The one subtle rule: any callback may free the stream. Every entry from the
 * loop holds it (enter/leave) and looks at `is_dead` after each callback.
 */
#include "sink/stream_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "sink/tls.h"

#define LINGER_US  5000000
/* Of one thread, at once. Nobody else counts them any more: beyond, whoever
 * doesn't take our last word goes without it. */
#define LINGER_MAX 256

static _Thread_local unsigned n_lingering;
static _Thread_local struct stream *lingering;

/* ---- life ---- */

static void
release(struct stream *s)
{
	strbuf_fini(&s->in);
	strbuf_fini(&s->out);
	free(s);
}

void
stream_enter(struct stream *s)
{
	s->depth++;
}

void
stream_leave(struct stream *s)
{
	s->depth--;
	if (s->depth == 0 && s->is_dead)
		release(s);
}

void
stream_set_reading(struct stream *s, bool on)
{
	if (on == s->is_reading)
		return;
	s->is_reading = on;
	if (on)
		event_add(&s->readable, NULL);
	else
		event_del(&s->readable);
}

void
stream_set_writing(struct stream *s, bool on)
{
	if (on == s->is_writing)
		return;
	s->is_writing = on;
	if (on)
		event_add(&s->writable, NULL);
	else
		event_del(&s->writable);
}

static void
close_socket(struct stream *s)
{
	stream_set_reading(s, false);
	stream_set_writing(s, false);
	event_del(&s->turn);
	event_del(&s->timer);
	if (s->ssl != NULL) {
		/* A close_notify, sent once and not waited for. */
		if (SSL_is_init_finished(s->ssl))
			SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
		s->ssl = NULL;
		ERR_clear_error();
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void
stream_discard(struct stream *s)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (s != NULL && s->fd >= 0)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void
stream_free(struct stream *s)
{
	if (s == NULL || s->is_dead)
		return;
	close_socket(s);
	if (s->state == STREAM_LINGERING) {
		n_lingering--;
		DL_DELETE2(lingering, s, linger_prev, linger_next);
	}
	s->state = STREAM_ENDED;
	s->is_dead = true;
	if (s->depth == 0)
		release(s);
}

void
stream_free_lingering(void)
{
	while (lingering != NULL)
		stream_free(lingering);
}

/* All is out and the owner is gone: close, but let a peer that still sends
 * read our last reply before the reset that closing would bring. */
void
stream_finish_lingering(struct stream *s)
{
	int n_unread = 0;

	if (ioctl(s->fd, FIONREAD, &n_unread) < 0 || n_unread == 0 ||
	    s->has_eof) {
		stream_free(s);
		return;
	}
	shutdown(s->fd, SHUT_WR);
	stream_set_reading(s, true);
}

void
stream_free_flush(struct stream *s)
{
	if (s == NULL || s->is_dead)
		return;
	if (s->state != STREAM_OPEN) {
		stream_free(s);
		return;
	}
	n_lingering++;
	DL_APPEND2(lingering, s, linger_prev, linger_next);
	s->state = STREAM_LINGERING;
	if (n_lingering > LINGER_MAX) {
		stream_enter(s);
		stream_flush(s);
		stream_free(s);
		stream_leave(s);
		return;
	}
	strbuf_fini(&s->in);
	stream_set_reading(s, false);
	s->deadline_us = clock_mono_us() + LINGER_US;
	if (s->timer_us == 0 || s->timer_us > s->deadline_us)
		stream_arm_timer(s, s->deadline_us, clock_mono_us());
	if (s->out_done == s->out.len)
		stream_finish_lingering(s);
	else if (s->depth == 0)
		stream_flush(s);
}

/* ---- deadlines ---- */

void
stream_arm_timer(struct stream *s, int64_t at_us, int64_t now_us)
{
	int64_t wait_us = at_us > now_us ? at_us - now_us : 0;
	struct timeval tv = { .tv_sec = wait_us / 1000000,
		.tv_usec = wait_us % 1000000 };

	s->timer_us = at_us;
	event_add(&s->timer, &tv);
}

/* The timer is moved only when it would fire too late; one that fires too
 * early is armed again for what is left. So a busy session costs no timers. */
void
stream_set_timeout(struct stream *s, int64_t timeout_us)
{
	int64_t now_us;

	if (timeout_us <= 0) {
		s->deadline_us = 0;
		return;
	}
	now_us = clock_mono_us();
	s->deadline_us = now_us + timeout_us;
	if (s->timer_us == 0 || s->timer_us > s->deadline_us)
		stream_arm_timer(s, s->deadline_us, now_us);
}

/* Whether the socket has something for us of which the loop hasn't told. */
static bool
has_news(const struct stream *s)
{
	struct pollfd p = { .fd = s->fd };

	p.events = (short)((s->is_reading ? POLLIN : 0) |
	    (s->is_writing ? POLLOUT : 0));
	return p.events != 0 && poll(&p, 1, 0) > 0;
}

/* After a stop, or on a machine that is too busy, a timer may fire before what
 * came in time was read: then the loop looks at the socket first, once. */
static bool
looks_again(struct stream *s, int64_t now_us)
{
	if (s->looked_us == s->deadline_us || !has_news(s))
		return false;
	s->looked_us = s->deadline_us;
	stream_arm_timer(s, now_us, now_us);
	return true;
}

void
stream_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	int64_t now_us = clock_mono_us();

	(void)fd;
	(void)what;
	s->timer_us = 0;
	if (s->deadline_us == 0)
		return;
	if (now_us < s->deadline_us) {
		stream_arm_timer(s, s->deadline_us, now_us);
		return;
	}
	if (looks_again(s, now_us))
		return;
	snprintf(s->error, sizeof(s->error), "timed out");
	s->deadline_us = 0;
	stream_enter(s);
	if (s->state == STREAM_OPEN) {
		/* The owner may still say good-bye: 421, QUIT. */
		s->ops->ended(s->arg, STREAM_TIMEOUT);
		if (!s->is_dead)
			stream_end_turn(s);
	} else {
		stream_end_by(s, STREAM_TIMEOUT);
	}
	stream_leave(s);
}

/* ---- end ---- */

void
stream_end_by(struct stream *s, enum stream_end how)
{
	if (s->state == STREAM_LINGERING) {
		stream_free(s);
		return;
	}
	if (s->state == STREAM_ENDED)
		return;
	s->state = STREAM_ENDED;
	stream_set_reading(s, false);
	stream_set_writing(s, false);
	s->ops->ended(s->arg, how);
}

void
stream_end_by_errno(struct stream *s)
{
	snprintf(s->error, sizeof(s->error), "%s", strerror(errno));
	stream_end_by(s, STREAM_ERROR);
}

void
stream_end_by_tls(struct stream *s)
{
	tls_error(s->ssl, s->error, sizeof(s->error));
	stream_end_by(s, STREAM_ERROR);
}

/* ---- callbacks from the loop ---- */
static void
finish_connect(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	stream_set_writing(s, false);
	if (error != 0) {
		errno = error;
		stream_end_by_errno(s);
		return;
	}
	s->state = STREAM_OPEN;
	stream_set_reading(s, true);
	s->ops->connected(s->arg);
}

void
stream_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	stream_enter(s);
	if (s->state == STREAM_HANDSHAKE)
		stream_handshake(s);
	else if (s->state == STREAM_OPEN || s->state == STREAM_LINGERING)
		stream_read_turn(s);
	if (!s->is_dead)
		stream_end_turn(s);
	stream_leave(s);
}

void
stream_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	stream_enter(s);
	if (s->state == STREAM_CONNECTING) {
		finish_connect(s);
	} else if (s->state == STREAM_HANDSHAKE) {
		stream_handshake(s);
	} else {
		stream_set_writing(s, false);
		stream_flush(s);
		if (!s->is_dead)
			stream_tell_writable(s);
	}
	if (!s->is_dead)
		stream_end_turn(s);
	stream_leave(s);
}

void
stream_on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	stream_enter(s);
	if (s->state == STREAM_HANDSHAKE)
		stream_handshake(s);
	else if (s->state == STREAM_OPEN && s->wants_input)
		stream_resume_turn(s);
	if (!s->is_dead)
		stream_end_turn(s);
	stream_leave(s);
}

/* ---- small verbs ---- */

void
stream_ack_now(struct stream *s)
{
	int on = 1;

	if (s->fd >= 0)
		setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

const SSL *
stream_ssl(const struct stream *s)
{
	return s->ssl;
}

const char *
stream_error(const struct stream *s)
{
	return s->error;
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}
