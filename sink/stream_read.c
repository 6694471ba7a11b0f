/* SPDX-License-Identifier: ISC */
/*
 * What a stream receives: offered to its owner as it comes, kept as long as
 * the owner can't take it, up to STREAM_READ_MAX. The subtle rule: what was
 * sent before the end is still answered, so an end of file waits for its turn.
 */
#include "sink/stream_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

/* One buffer a thread: an idle session costs no read buffer. */
static _Thread_local char read_buffer[STREAM_READ_MAX];

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

/* A peer may close its side and still wait for our answers: the stream stays
 * open, so that its owner can let them go out. */
static void
end_by_eof(struct stream *s)
{
	if (s->state != STREAM_OPEN) {
		stream_end_by(s, STREAM_EOF);
		return;
	}
	stream_flush(s);
	if (s->is_dead || s->state != STREAM_OPEN || s->has_told_eof)
		return;
	s->has_told_eof = true;
	s->ops->ended(s->arg, STREAM_EOF);
}

static void
meet_eof(struct stream *s)
{
	s->has_eof = true;
	stream_set_reading(s, false);
	/* What was sent before the end is still answered. */
	if (s->state == STREAM_LINGERING || (s->in.len == 0 && !s->is_held))
		end_by_eof(s);
}

void
stream_read_turn(struct stream *s)
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
				stream_end_by_tls(s);
			else
				stream_end_by_errno(s);
			return;
		}
		total += (size_t)n;
		if (s->state == STREAM_LINGERING)
			continue; /* nobody listens any more */
		offer_fresh(s, read_buffer, (size_t)n);
		if (s->is_dead || s->state != STREAM_OPEN)
			return;
		if (s->in.len >= STREAM_READ_MAX) {
			stream_set_reading(s, false);
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
void
stream_resume_turn(struct stream *s)
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
		stream_set_reading(s, true);
	if (s->ssl != NULL && SSL_has_pending(s->ssl) &&
	    s->in.len < STREAM_READ_MAX)
		stream_read_turn(s);
}
