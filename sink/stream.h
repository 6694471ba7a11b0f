/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_STREAM_H
#define FLYBALL_STREAM_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"

/*
 * A byte stream over a socket, in clear or TLS, on one event_base: the one
 * door between protocol machines and the network, for both sides. Writes go
 * out at the end of the turn without waiting for the loop; reads are bounded
 * by STREAM_READ_MAX a turn. Deadlines are absolute: a peer that trickles
 * doesn't move them.
 */
#define STREAM_READ_MAX	 65536
#define STREAM_LOW_WATER 65536

struct stream;

enum stream_end {
	STREAM_EOF,	/* the peer closed */
	STREAM_ERROR,	/* reset, TLS alert: stream_error() says */
	STREAM_TIMEOUT, /* the deadline passed */
};

struct stream_ops {
	/* Bytes are there; returns how many it took. What it leaves is offered
	 * again with the next bytes or by stream_resume(). */
	size_t (*input)(void *arg, const char *data, size_t len);
	/* The handshake is done (both sides) / TCP connected. */
	void (*connected)(void *arg);
	void (*tls_done)(void *arg, bool ok);
	/* Output had reached STREAM_LOW_WATER and fell below it, or all is
	 * out after stream_drain(). May be NULL. */
	void (*writable)(void *arg);
	/* Over; the stream still must be freed, any time. After a TIMEOUT or
	 * an EOF of an open stream last words may go out: stream_drain(),
	 * then `ended` may come once more, or stream_free_flush(). */
	void (*ended)(void *arg, enum stream_end how);
};

/* Takes the connected fd. */
struct stream *stream_new(struct event_base *base, int fd,
    const struct stream_ops *ops, void *arg);
/* Connects; `connected` or `ended` follows. source may be NULL. */
struct stream *stream_connect(struct event_base *base,
    const struct sockaddr *to, socklen_t to_len, const struct sockaddr *source,
    socklen_t source_len, const struct stream_ops *ops, void *arg);
/* Closes now; callbacks end. Its memory goes after the loop's turn. */
void stream_free(struct stream *s);
/* From now on what the peer hasn't got goes nowhere when the stream is freed,
 * and the peer sees a reset instead of an end. */
void stream_discard(struct stream *s);
/* Flushes what is queued (at most 5 s), then closes; callbacks end now. */
void stream_free_flush(struct stream *s);
/* Closes now what of this thread is still flushed: its loop has ended. */
void stream_free_lingering(void);

/* Takes ssl; NULL fails as a handshake does. Input that lies unread in clear
 * is thrown away (RFC 3207 4.2: no command injection). tls_done follows. */
void stream_start_tls(struct stream *s, SSL *ssl_take, bool is_server);
void stream_write(struct stream *s, const void *data, size_t len);
/* The same without a copy where it can: data is empty afterwards. */
void stream_write_all(struct stream *s, struct strbuf *data);
size_t stream_queued(const struct stream *s); /* bytes not yet written */
/* Offers pending input again (after an answer that came from elsewhere). */
void stream_resume(struct stream *s);
/* No input any more; `writable` comes once all that was written is out. False
 * when there is nothing to wait for. */
bool stream_drain(struct stream *s);
/* No input callbacks (back-pressure) until resumed. */
void stream_hold(struct stream *s);
/* Acknowledges what was read without the usual delay of 40 ms: when we have
 * nothing to say, but the peer has, and its Nagle algorithm waits for us. */
void stream_ack_now(struct stream *s);
/* `ended(STREAM_TIMEOUT)` after so long; again moves it; 0 = never. */
void stream_set_timeout(struct stream *s, int64_t timeout_us);

const SSL *stream_ssl(const struct stream *s); /* NULL = in clear */
const char *stream_error(const struct stream *s);
int stream_fd(const struct stream *s);

#endif
