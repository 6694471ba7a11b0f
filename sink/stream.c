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
#include "sink/stream.h"

#include <assert.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "sink/tls.h"

#define LOW_WATER   STREAM_LOW_WATER
#define LINGER_US   5000000
/* Of one thread, at once. Nobody else counts them any more: beyond, whoever
 * doesn't take our last word goes without it. */
#define LINGER_MAX  256
/* How often a turn asks for more output: a fast peer would take a large
 * message in one go and make all others wait. */
#define TURN_PIECES 16

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_HANDSHAKE,
	STREAM_LINGERING, /* the owner is gone; what is queued goes out */
	STREAM_ENDED,
};

struct stream {
	struct event_base *base;
	const struct stream_ops *ops;
	void *arg;
	int fd;
	enum stream_state state;
	SSL *ssl;
	struct event readable;
	struct event writable;
	struct event turn; /* activated by hand: flush, resume */
	struct event timer;
	struct strbuf in; /* offered but not taken */
	struct strbuf out;
	size_t out_done;     /* of out, already written */
	int64_t deadline_us; /* 0 = none */
	int64_t timer_us;    /* when the timer fires; 0 = not armed */
	unsigned depth;	     /* callbacks on the stack */
	bool is_dead;
	bool is_held;
	bool is_reading;  /* readable is added */
	bool is_writing;  /* writable is added */
	bool wants_input; /* the turn event offers pending input */
	bool has_eof;
	bool is_full; /* out was over the low-water mark */
	char error[160];
};

/* One buffer a thread: an idle session costs no read buffer. */
static _Thread_local char read_buffer[STREAM_READ_MAX];

static _Thread_local unsigned n_lingering;

static void end_stream(struct stream *s, enum stream_end how);
static void flush(struct stream *s);
static void end_turn(struct stream *s);

/* ---- life ---- */

static void
release(struct stream *s)
{
	strbuf_fini(&s->in);
	strbuf_fini(&s->out);
	free(s);
}

static void
enter(struct stream *s)
{
	s->depth++;
}

static void
leave(struct stream *s)
{
	s->depth--;
	if (s->depth == 0 && s->is_dead)
		release(s);
}

static void
set_reading(struct stream *s, bool on)
{
	if (on == s->is_reading)
		return;
	s->is_reading = on;
	if (on)
		event_add(&s->readable, NULL);
	else
		event_del(&s->readable);
}

static void
set_writing(struct stream *s, bool on)
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
	set_reading(s, false);
	set_writing(s, false);
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
stream_free(struct stream *s)
{
	if (s == NULL || s->is_dead)
		return;
	close_socket(s);
	n_lingering -= s->state == STREAM_LINGERING;
	s->state = STREAM_ENDED;
	s->is_dead = true;
	if (s->depth == 0)
		release(s);
}

/* ---- deadlines ---- */

static void
arm_timer(struct stream *s, int64_t at_us, int64_t now_us)
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
		arm_timer(s, s->deadline_us, now_us);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	int64_t now_us = clock_mono_us();

	(void)fd;
	(void)what;
	s->timer_us = 0;
	if (s->deadline_us == 0)
		return;
	if (now_us < s->deadline_us) {
		arm_timer(s, s->deadline_us, now_us);
		return;
	}
	snprintf(s->error, sizeof(s->error), "timed out");
	s->deadline_us = 0;
	enter(s);
	if (s->state == STREAM_OPEN) {
		/* The owner may still say good-bye: 421, QUIT. */
		s->ops->ended(s->arg, STREAM_TIMEOUT);
		if (!s->is_dead)
			end_turn(s);
	} else {
		end_stream(s, STREAM_TIMEOUT);
	}
	leave(s);
}

/* ---- end ---- */

static void
end_stream(struct stream *s, enum stream_end how)
{
	if (s->state == STREAM_LINGERING) {
		stream_free(s);
		return;
	}
	if (s->state == STREAM_ENDED)
		return;
	s->state = STREAM_ENDED;
	set_reading(s, false);
	set_writing(s, false);
	s->ops->ended(s->arg, how);
}

static void
end_by_errno(struct stream *s)
{
	snprintf(s->error, sizeof(s->error), "%s", strerror(errno));
	end_stream(s, STREAM_ERROR);
}

static void
end_by_tls(struct stream *s)
{
	tls_error(s->ssl, s->error, sizeof(s->error));
	end_stream(s, STREAM_ERROR);
}

/* ---- writing ---- */

/* Returns what went out, 0 when the socket is full, -1 when it is over. */
static ssize_t
write_some(struct stream *s, const char *data, size_t len)
{
	size_t sent = 0;
	ssize_t n;

	if (s->ssl == NULL) {
		n = send(s->fd, data, len, MSG_NOSIGNAL);
		if (n >= 0)
			return n;
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	}
	ERR_clear_error(); /* SSL_get_error() reads the thread's queue */
	if (SSL_write_ex(s->ssl, data, len, &sent) == 1)
		return (ssize_t)sent;
	switch (SSL_get_error(s->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	default:
		return -1;
	}
}

/* All is out and the owner is gone: close, but let a peer that still sends
 * read our last reply before the reset that closing would bring. */
static void
finish_lingering(struct stream *s)
{
	int n_unread = 0;

	if (ioctl(s->fd, FIONREAD, &n_unread) < 0 || n_unread == 0 ||
	    s->has_eof) {
		stream_free(s);
		return;
	}
	shutdown(s->fd, SHUT_WR);
	set_reading(s, true);
}

static void
flush(struct stream *s)
{
	while (s->out_done < s->out.len) {
		ssize_t n = write_some(s, s->out.data + s->out_done,
		    s->out.len - s->out_done);

		if (n < 0) {
			if (s->ssl != NULL)
				end_by_tls(s);
			else
				end_by_errno(s);
			return;
		}
		if (n == 0) {
			set_writing(s, true);
			return;
		}
		s->out_done += (size_t)n;
	}
	strbuf_reset(&s->out);
	s->out_done = 0;
	if (s->out.cap > LOW_WATER)
		strbuf_fini(&s->out);
	set_writing(s, false);
	if (s->state == STREAM_LINGERING)
		finish_lingering(s);
}

static void
tell_writable(struct stream *s)
{
	if (!s->is_full || stream_queued(s) >= LOW_WATER)
		return;
	s->is_full = false;
	if (s->state == STREAM_OPEN && s->ops->writable != NULL)
		s->ops->writable(s->arg);
}

size_t
stream_queued(const struct stream *s)
{
	return s->out.len - s->out_done;
}

static void
note_written(struct stream *s)
{
	if (stream_queued(s) >= LOW_WATER)
		s->is_full = true;
	if (s->depth == 0)
		event_active(&s->turn, EV_WRITE, 0);
}

void
stream_write(struct stream *s, const void *data, size_t len)
{
	if (s->state == STREAM_ENDED || s->is_dead)
		return;
	/* A slow peer's queue may never be empty: what went out makes room. */
	if (s->out_done >= LOW_WATER) {
		strbuf_consume(&s->out, s->out_done);
		s->out_done = 0;
	}
	strbuf_add(&s->out, data, len);
	note_written(s);
}

void
stream_write_all(struct stream *s, struct strbuf *data)
{
	struct strbuf empty = s->out;

	if (s->state == STREAM_ENDED || s->is_dead || s->out.len > 0) {
		stream_write(s, data->data, data->len);
		strbuf_reset(data);
		return;
	}
	s->out = *data;
	*data = empty;
	note_written(s);
}

/* What every entry from the loop does last. */
static void
end_turn(struct stream *s)
{
	bool is_sendable =
	    s->state == STREAM_OPEN || s->state == STREAM_LINGERING;
	int n_pieces = 0;

	while (!s->is_dead && is_sendable && !s->is_writing &&
	    s->out_done < s->out.len) {
		if (n_pieces++ == TURN_PIECES) { /* others want their turn */
			set_writing(s, true);
			return;
		}
		flush(s);
		if (!s->is_dead)
			tell_writable(s);
		is_sendable =
		    s->state == STREAM_OPEN || s->state == STREAM_LINGERING;
	}
}

/* ---- reading ---- */

/* Offers what lies pending; true when some of it was taken. */
static bool
offer_pending(struct stream *s)
{
	size_t used;

	if (s->is_held || s->in.len == 0 || s->state != STREAM_OPEN)
		return false;
	used = s->ops->input(s->arg, s->in.data, s->in.len);
	if (s->is_dead || s->state != STREAM_OPEN)
		return false;
	if (s->in.len > 0) /* start_tls may have thrown it away */
		strbuf_consume(&s->in, used);
	if (s->in.len == 0)
		strbuf_fini(&s->in);
	return used > 0;
}

/* The common case: nothing pending, so the bytes needn't be copied. */
static void
offer_fresh(struct stream *s, const char *data, size_t len)
{
	size_t used = 0;

	if (s->in.len > 0 || s->is_held) {
		strbuf_add(&s->in, data, len);
		offer_pending(s);
		return;
	}
	used = s->ops->input(s->arg, data, len);
	if (!s->is_dead && s->state == STREAM_OPEN && used < len)
		strbuf_add(&s->in, data + used, len - used);
}

/* >0 bytes, 0 nothing now, -1 end of file, -2 broken. */
static ssize_t
read_some(struct stream *s)
{
	size_t got = 0;
	ssize_t n;

	if (s->ssl == NULL) {
		n = recv(s->fd, read_buffer, sizeof(read_buffer), 0);
		if (n > 0)
			return n;
		if (n == 0)
			return -1;
		return errno == EAGAIN || errno == EINTR ? 0 : -2;
	}
	ERR_clear_error();
	if (SSL_read_ex(s->ssl, read_buffer, sizeof(read_buffer), &got) == 1)
		return (ssize_t)got;
	switch (SSL_get_error(s->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -1;
	default:
		return -2;
	}
}

/* A peer may close its side and still wait for our answers. */
static void
end_by_eof(struct stream *s)
{
	if (s->state == STREAM_OPEN)
		flush(s);
	if (!s->is_dead)
		end_stream(s, STREAM_EOF);
}

static void
meet_eof(struct stream *s)
{
	s->has_eof = true;
	set_reading(s, false);
	/* What was sent before the end is still answered. */
	if (s->state == STREAM_LINGERING || (s->in.len == 0 && !s->is_held))
		end_by_eof(s);
}

static void
read_turn(struct stream *s)
{
	size_t total = 0;

	while (!s->is_dead && s->fd >= 0 && total < STREAM_READ_MAX) {
		ssize_t n = read_some(s);

		if (n == 0)
			return;
		if (n == -1) {
			meet_eof(s);
			return;
		}
		if (n < 0) {
			if (s->ssl != NULL)
				end_by_tls(s);
			else
				end_by_errno(s);
			return;
		}
		total += (size_t)n;
		if (s->state == STREAM_LINGERING)
			continue; /* nobody listens any more */
		offer_fresh(s, read_buffer, (size_t)n);
		if (s->is_dead || s->state != STREAM_OPEN)
			return;
		if (s->in.len >= STREAM_READ_MAX) {
			set_reading(s, false);
			return;
		}
		if (s->ssl == NULL && (size_t)n < sizeof(read_buffer))
			return; /* a short read: the socket is empty */
	}
	/* TLS may hold decrypted bytes that epoll doesn't know of. */
	if (!s->is_dead && s->ssl != NULL && SSL_has_pending(s->ssl)) {
		s->wants_input = true;
		event_active(&s->turn, EV_READ, 0);
	}
}

void
stream_hold(struct stream *s)
{
	s->is_held = true;
}

void
stream_resume(struct stream *s)
{
	s->is_held = false;
	if (s->is_dead || s->state != STREAM_OPEN)
		return;
	s->wants_input = true;
	event_active(&s->turn, EV_READ, 0);
}

/* Goes on with input that had to wait for an answer from elsewhere. */
static void
resume_turn(struct stream *s)
{
	s->wants_input = false;
	while (offer_pending(s))
		;
	if (s->is_dead || s->state != STREAM_OPEN)
		return;
	if (s->has_eof) {
		if (s->in.len == 0 && !s->is_held)
			end_by_eof(s);
		return;
	}
	if (s->in.len < STREAM_READ_MAX)
		set_reading(s, true);
	if (s->ssl != NULL && SSL_has_pending(s->ssl) &&
	    s->in.len < STREAM_READ_MAX)
		read_turn(s);
}

/* ---- TLS and connecting ---- */

static void
fail_handshake(struct stream *s, const char *why)
{
	snprintf(s->error, sizeof(s->error), "%s", why);
	s->state = STREAM_ENDED;
	set_reading(s, false);
	set_writing(s, false);
	s->ops->tls_done(s->arg, false);
}

static void
handshake(struct stream *s)
{
	char why[sizeof(s->error)];
	int rc;

	if (s->ssl == NULL) {
		fail_handshake(s, "TLS is not configured any more");
		return;
	}
	ERR_clear_error();
	rc = SSL_do_handshake(s->ssl);
	if (rc == 1) {
		s->state = STREAM_OPEN;
		set_writing(s, false);
		s->ops->tls_done(s->arg, true);
		return;
	}
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		set_writing(s, false);
		return;
	case SSL_ERROR_WANT_WRITE:
		set_writing(s, true);
		return;
	default:
		tls_error(s->ssl, why, sizeof(why));
		fail_handshake(s, why);
	}
}

void
stream_start_tls(struct stream *s, SSL *ssl_take, bool is_server)
{
	flush(s); /* the 220 goes out in clear */
	if (s->state != STREAM_OPEN) {
		SSL_free(ssl_take);
		return;
	}
	/* RFC 3207 4.2: what came before the handshake isn't trusted. */
	strbuf_fini(&s->in);
	s->ssl = ssl_take;
	if (s->ssl != NULL) {
		SSL_set_fd(s->ssl, s->fd);
		if (is_server)
			SSL_set_accept_state(s->ssl);
		else
			SSL_set_connect_state(s->ssl);
	}
	s->state = STREAM_HANDSHAKE;
	s->wants_input = true;
	event_active(&s->turn, EV_READ, 0);
}

static void
finish_connect(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	set_writing(s, false);
	if (error != 0) {
		errno = error;
		end_by_errno(s);
		return;
	}
	s->state = STREAM_OPEN;
	set_reading(s, true);
	s->ops->connected(s->arg);
}

/* ---- callbacks from the loop ---- */

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	enter(s);
	if (s->state == STREAM_HANDSHAKE)
		handshake(s);
	else if (s->state == STREAM_OPEN || s->state == STREAM_LINGERING)
		read_turn(s);
	if (!s->is_dead)
		end_turn(s);
	leave(s);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	enter(s);
	if (s->state == STREAM_CONNECTING) {
		finish_connect(s);
	} else if (s->state == STREAM_HANDSHAKE) {
		handshake(s);
	} else {
		set_writing(s, false);
		flush(s);
		if (!s->is_dead)
			tell_writable(s);
	}
	if (!s->is_dead)
		end_turn(s);
	leave(s);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	enter(s);
	if (s->state == STREAM_HANDSHAKE)
		handshake(s);
	else if (s->state == STREAM_OPEN && s->wants_input)
		resume_turn(s);
	if (!s->is_dead)
		end_turn(s);
	leave(s);
}

/* ---- making one ---- */

static struct stream *
make(struct event_base *base, int fd, const struct stream_ops *ops, void *arg)
{
	struct stream *s = xcalloc(1, sizeof(*s));
	int on = 1;

	s->base = base;
	s->fd = fd;
	s->ops = ops;
	s->arg = arg;
	/* Replies are whole when they are written: Nagle only delays them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event_assign(&s->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
	    s);
	event_assign(&s->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
	    s);
	event_assign(&s->turn, base, -1, 0, on_turn, s);
	event_assign(&s->timer, base, -1, 0, on_timer, s);
	return s;
}

struct stream *
stream_new(struct event_base *base, int fd, const struct stream_ops *ops,
    void *arg)
{
	struct stream *s = make(base, fd, ops, arg);

	s->state = STREAM_OPEN;
	set_reading(s, true);
	return s;
}

/* A socket that can't even begin ends from the loop, as any other failure. */
static void
on_refused(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	enter(s);
	end_stream(s, STREAM_ERROR);
	leave(s);
}

struct stream *
stream_connect(struct event_base *base, const struct sockaddr *to,
    socklen_t to_len, const struct sockaddr *source, socklen_t source_len,
    const struct stream_ops *ops, void *arg)
{
	int fd = socket(to->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = errno;
	struct stream *s = make(base, fd, ops, arg);

	s->state = STREAM_CONNECTING;
	errno = error; /* of socket(), for what follows */
	if (fd < 0 || (source != NULL && bind(fd, source, source_len) < 0) ||
	    (connect(fd, to, to_len) < 0 && errno != EINPROGRESS)) {
		snprintf(s->error, sizeof(s->error), "%s", strerror(errno));
		event_assign(&s->turn, base, -1, 0, on_refused, s);
		event_active(&s->turn, EV_READ, 0);
		return s;
	}
	set_writing(s, true);
	return s;
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
	s->state = STREAM_LINGERING;
	if (n_lingering > LINGER_MAX) {
		enter(s);
		flush(s);
		stream_free(s);
		leave(s);
		return;
	}
	strbuf_fini(&s->in);
	set_reading(s, false);
	s->deadline_us = clock_mono_us() + LINGER_US;
	if (s->timer_us == 0 || s->timer_us > s->deadline_us)
		arm_timer(s, s->deadline_us, clock_mono_us());
	if (s->out_done == s->out.len)
		finish_lingering(s);
	else if (s->depth == 0)
		flush(s);
}

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
