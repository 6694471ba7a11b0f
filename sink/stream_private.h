/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_STREAM_PRIVATE_H
#define FLYBALL_STREAM_PRIVATE_H

#include <event2/event_struct.h>

#include "sink/stream.h"

/*
 * What the files of stream share: its state, the door in and out of a
 * callback, and the verbs of a turn. stream.c is its life, stream_write.c what
 * goes out, stream_read.c what comes in, stream_open.c how one begins.
 */

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_HANDSHAKE,
	STREAM_LINGERING, /* the owner is gone; what is queued goes out */
	STREAM_ENDED,
};

struct stream {
	struct stream *linger_prev, *linger_next;
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
	int64_t looked_us;   /* the deadline at which it looked again */
	unsigned depth;	     /* callbacks on the stack */
	bool is_dead;
	bool is_held;
	bool is_reading;  /* readable is added */
	bool is_writing;  /* writable is added */
	bool wants_input; /* the turn event offers pending input */
	bool has_eof;
	bool has_told_eof;
	bool is_draining; /* `writable` waits until out is empty */
	bool is_full;	  /* out was over the low-water mark */
	char error[160];
};

/* Every entry from the loop stands between these two: whoever called back may
 * have freed the stream, and then it goes with stream_leave(). */
void stream_enter(struct stream *s);
void stream_leave(struct stream *s);

void stream_set_reading(struct stream *s, bool on);
void stream_set_writing(struct stream *s, bool on);
void stream_arm_timer(struct stream *s, int64_t at_us, int64_t now_us);

/* Over; the owner is told. */
void stream_end_by(struct stream *s, enum stream_end how);
void stream_end_by_errno(struct stream *s);
void stream_end_by_tls(struct stream *s);

/* Writes what the socket takes; the loop does the rest. */
void stream_flush(struct stream *s);
/* All is out and the owner is gone. */
void stream_finish_lingering(struct stream *s);
void stream_tell_writable(struct stream *s);
/* What every entry from the loop does last. */
void stream_end_turn(struct stream *s);

void stream_read_turn(struct stream *s);
/* Goes on with input that had to wait for an answer from elsewhere. */
void stream_resume_turn(struct stream *s);
void stream_handshake(struct stream *s);

/* Of stream.c: what its events call. */
void stream_on_timer(evutil_socket_t fd, short what, void *arg);
void stream_on_readable(evutil_socket_t fd, short what, void *arg);
void stream_on_writable(evutil_socket_t fd, short what, void *arg);
void stream_on_turn(evutil_socket_t fd, short what, void *arg);

#endif
