/* SPDX-License-Identifier: ISC */
/*
 * How a stream begins: around a socket that was accepted, by a connect, and
 * by the handshake that makes it a TLS stream.
 */
#include "sink/stream_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "conf/base/xalloc.h"
#include "sink/tls.h"

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
	event_assign(&s->readable, base, fd, EV_READ | EV_PERSIST,
	    stream_on_readable, s);
	event_assign(&s->writable, base, fd, EV_WRITE | EV_PERSIST,
	    stream_on_writable, s);
	event_assign(&s->turn, base, -1, 0, stream_on_turn, s);
	event_assign(&s->timer, base, -1, 0, stream_on_timer, s);
	return s;
}

struct stream *
stream_new(struct event_base *base, int fd, const struct stream_ops *ops,
    void *arg)
{
	struct stream *s = make(base, fd, ops, arg);

	s->state = STREAM_OPEN;
	stream_set_reading(s, true);
	return s;
}

/* A socket that can't even begin ends from the loop, as any other failure. */
static void
on_refused(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	stream_enter(s);
	stream_end_by(s, STREAM_ERROR);
	stream_leave(s);
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
	stream_set_writing(s, true);
	return s;
}

/* ---- TLS ---- */

static void
fail_handshake(struct stream *s, const char *why)
{
	snprintf(s->error, sizeof(s->error), "%s", why);
	s->state = STREAM_ENDED;
	stream_set_reading(s, false);
	stream_set_writing(s, false);
	s->ops->tls_done(s->arg, false);
}

void
stream_handshake(struct stream *s)
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
		stream_set_writing(s, false);
		s->ops->tls_done(s->arg, true);
		return;
	}
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		stream_set_writing(s, false);
		return;
	case SSL_ERROR_WANT_WRITE:
		stream_set_writing(s, true);
		return;
	default:
		tls_error(s->ssl, why, sizeof(why));
		fail_handshake(s, why);
	}
}

void
stream_start_tls(struct stream *s, SSL *ssl_take, bool is_server)
{
	stream_flush(s); /* the 220 goes out in clear */
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
