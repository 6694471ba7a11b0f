/* SPDX-License-Identifier: ISC */
/*
 * What a stream sends: one write at the end of the turn, and from the loop
 * what the socket didn't take then. Says nothing of what comes in.
 */
#include "sink/stream_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#define LOW_WATER   STREAM_LOW_WATER
/* How often a turn asks for more output: a fast peer would take a large
 * message in one go and make all others wait. */
#define TURN_PIECES 16

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

void
stream_flush(struct stream *s)
{
	while (s->out_done < s->out.len) {
		ssize_t n = write_some(s, s->out.data + s->out_done,
		    s->out.len - s->out_done);

		if (n < 0) {
			if (s->ssl != NULL)
				stream_end_by_tls(s);
			else
				stream_end_by_errno(s);
			return;
		}
		if (n == 0) {
			stream_set_writing(s, true);
			return;
		}
		s->out_done += (size_t)n;
	}
	strbuf_reset(&s->out);
	s->out_done = 0;
	if (s->out.cap > LOW_WATER)
		strbuf_fini(&s->out);
	stream_set_writing(s, false);
	if (s->state == STREAM_LINGERING)
		stream_finish_lingering(s);
}

void
stream_tell_writable(struct stream *s)
{
	size_t water = s->is_draining ? 1 : LOW_WATER;

	if (!s->is_full || stream_queued(s) >= water)
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

bool
stream_drain(struct stream *s)
{
	if (s->state != STREAM_OPEN || s->is_dead || stream_queued(s) == 0)
		return false;
	strbuf_fini(&s->in);
	stream_hold(s);
	stream_set_reading(s, false);
	s->is_draining = true;
	s->is_full = true;
	if (s->depth == 0)
		event_active(&s->turn, EV_WRITE, 0);
	return true;
}

void
stream_end_turn(struct stream *s)
{
	bool is_sendable =
	    s->state == STREAM_OPEN || s->state == STREAM_LINGERING;
	int n_pieces = 0;

	while (!s->is_dead && is_sendable && !s->is_writing &&
	    s->out_done < s->out.len) {
		if (n_pieces++ == TURN_PIECES) { /* others want their turn */
			stream_set_writing(s, true);
			return;
		}
		stream_flush(s);
		if (!s->is_dead)
			stream_tell_writable(s);
		is_sendable =
		    s->state == STREAM_OPEN || s->state == STREAM_LINGERING;
	}
}
