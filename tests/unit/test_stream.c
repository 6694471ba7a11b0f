/* SPDX-License-Identifier: ISC */
/*
 * Streams over real sockets. A SEQPACKET pair shows each write as a packet of
 * its own; TCP on loopback shows connects, resets and last words.
 */
#include "sink/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "sink/tls.h"
#include "tls_fixture.h"

/* ---- an owner that remembers ---- */

struct owner {
	struct stream *stream;
	struct strbuf in;
	bool is_connected, has_ended;
	int n_tls_done;
	bool tls_ok;
	int n_writable;
	enum stream_end how;
	char error[160];
	size_t takes_most; /* of one offer; 0 = all */
	size_t (*on_input)(struct owner *o, const char *data, size_t len);
	void (*on_writable)(struct owner *o);
	void (*on_ended)(struct owner *o);
	void *arg;
};

static size_t
on_input(void *arg, const char *data, size_t len)
{
	struct owner *o = arg;

	if (o->on_input != NULL)
		return o->on_input(o, data, len);
	if (o->takes_most > 0 && len > o->takes_most)
		len = o->takes_most;
	strbuf_add(&o->in, data, len);
	return len;
}

static void
on_connected(void *arg)
{
	((struct owner *)arg)->is_connected = true;
}

static void
on_tls_done(void *arg, bool ok)
{
	struct owner *o = arg;

	o->n_tls_done++;
	o->tls_ok = ok;
	snprintf(o->error, sizeof(o->error), "%s", stream_error(o->stream));
}

static void
on_writable(void *arg)
{
	struct owner *o = arg;

	o->n_writable++;
	if (o->on_writable != NULL)
		o->on_writable(o);
}

static void
on_ended(void *arg, enum stream_end how)
{
	struct owner *o = arg;

	assert_false(o->has_ended);
	o->has_ended = true;
	o->how = how;
	snprintf(o->error, sizeof(o->error), "%s", stream_error(o->stream));
	if (o->on_ended != NULL)
		o->on_ended(o);
}

static const struct stream_ops ops = {
	.input = on_input,
	.connected = on_connected,
	.tls_done = on_tls_done,
	.writable = on_writable,
	.ended = on_ended,
};

/* ---- sockets ---- */

static struct event_base *base;

/* The stream has one end, *peer_out is the other. */
static void
open_pair(struct owner *o, int type, int *peer_out)
{
	int fds[2];

	memset(o, 0, sizeof(*o));
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds), 0);
	o->stream = stream_new(base, fds[0], &ops, o);
	*peer_out = fds[1];
}

static int
listen_on_loopback(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Runs the loop until *what is true, for at most five seconds. */
static void
run_until(const bool *what)
{
	int64_t end_us = clock_mono_us() + 5000000;
	struct timeval tick = { .tv_usec = 10000 };

	while (!*what && clock_mono_us() < end_us) {
		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
	}
	assert_true(*what);
}

static void
run_until_got(struct owner *o, size_t len)
{
	int64_t end_us = clock_mono_us() + 5000000;

	while (o->in.len < len && !o->has_ended && clock_mono_us() < end_us)
		turn();
	assert_true(o->in.len >= len);
}

static void
close_all(struct owner *o, int peer)
{
	stream_free(o->stream);
	strbuf_fini(&o->in);
	if (peer >= 0)
		close(peer);
	turn();
}

/* What the peer receives in one piece, as a string. */
static const char *
peer_reads(int peer)
{
	static char buf[200000];
	ssize_t n = recv(peer, buf, sizeof(buf) - 1, 0);

	if (n < 0)
		return "(nothing)";
	buf[n] = '\0';
	return buf;
}

static void
peer_writes(int peer, const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
}

/* ---- writing ---- */

static size_t
answer_thrice(struct owner *o, const char *data, size_t len)
{
	(void)data;
	stream_write(o->stream, "one ", 4);
	stream_write(o->stream, "two ", 4);
	stream_write(o->stream, "three", 5);
	return len;
}

static void
a_turns_answers_go_out_in_one_write(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_SEQPACKET, &peer);
	o.on_input = answer_thrice;
	peer_writes(peer, "x");
	turn();
	assert_string_equal(peer_reads(peer), "one two three");
	assert_string_equal(peer_reads(peer), "(nothing)");
	close_all(&o, peer);
}

static void
writes_from_elsewhere_go_out_in_order(void **state)
{
	struct strbuf more = { 0 };
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_SEQPACKET, &peer);
	strbuf_adds(&more, "one ");
	stream_write_all(o.stream, &more);
	assert_int_equal(more.len, 0);
	stream_write(o.stream, "two ", 4);
	strbuf_adds(&more, "three");
	stream_write_all(o.stream, &more);
	assert_int_equal(more.len, 0);
	assert_int_equal(stream_queued(o.stream), 13);
	assert_string_equal(peer_reads(peer), "(nothing)");
	turn();
	assert_string_equal(peer_reads(peer), "one two three");
	assert_int_equal(stream_queued(o.stream), 0);
	/* The buffer that came back is one to use again. */
	strbuf_adds(&more, "four");
	stream_write_all(o.stream, &more);
	turn();
	assert_string_equal(peer_reads(peer), "four");
	strbuf_fini(&more);
	close_all(&o, peer);
}

#define PIECE	 65536
#define N_PIECES 400

struct source {
	unsigned n_written;
	size_t most_queued;
};

static void
fill_piece(char *piece, unsigned number)
{
	for (size_t i = 0; i < PIECE; i++)
		piece[i] = (char)((number * 7 + i) % 251);
}

static void
write_piece(struct owner *o)
{
	static char piece[PIECE];
	struct source *s = o->arg;

	if (s->n_written == N_PIECES)
		return;
	fill_piece(piece, s->n_written++);
	stream_write(o->stream, piece, PIECE);
	if (stream_queued(o->stream) > s->most_queued)
		s->most_queued = stream_queued(o->stream);
}

static size_t
bytes_in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* The peer is slow, so that the queue is never empty: it must not keep what
 * went out long ago. */
static void
a_long_text_is_asked_for_piece_by_piece(void **state)
{
	static char buf[30000], piece[PIECE];
	size_t before = bytes_in_use(), most = 0, got = 0;
	struct source s = { 0 };
	struct owner o;
	int peer, size = 4096;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	setsockopt(stream_fd(o.stream), SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	o.arg = &s;
	o.on_writable = write_piece;
	write_piece(&o);
	while (got < (size_t)N_PIECES * PIECE) {
		ssize_t n;

		turn();
		n = recv(peer, buf, sizeof(buf), 0);
		for (ssize_t i = 0; i < n; i++, got++) {
			if (got % PIECE == 0)
				fill_piece(piece, (unsigned)(got / PIECE));
			if (buf[i] != piece[got % PIECE])
				fail_msg("octet %zu", got);
		}
		if (bytes_in_use() - before > most)
			most = bytes_in_use() - before;
	}
	assert_int_equal(s.n_written, N_PIECES);
	assert_in_range(o.n_writable, N_PIECES - 1, N_PIECES);
	assert_true(s.most_queued <= 2 * PIECE);
	assert_true(most < 16 * PIECE);
	close_all(&o, peer);
}

/* A peer that takes all at once can't keep the loop for itself. */
static void
a_fast_peer_lets_others_have_their_turn(void **state)
{
	struct source s = { 0 };
	struct owner o;
	int peer, size = 64 << 20;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	setsockopt(stream_fd(o.stream), SOL_SOCKET, SO_SNDBUFFORCE, &size,
	    sizeof(size));
	o.arg = &s;
	o.on_writable = write_piece;
	write_piece(&o);
	turn();
	assert_in_range(s.n_written, 2, 40);
	close_all(&o, peer);
}

/* ---- reading ---- */

static void
what_is_not_taken_is_offered_again(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	o.takes_most = 3;
	peer_writes(peer, "abcdefgh");
	turn();
	assert_string_equal(o.in.data, "abc");
	peer_writes(peer, "ij");
	turn();
	assert_string_equal(o.in.data, "abcdef");
	stream_resume(o.stream);
	turn();
	assert_string_equal(o.in.data, "abcdefghij");
	close_all(&o, peer);
}

static void
held_input_waits_and_is_bounded(void **state)
{
	static char flood[10000];
	size_t sent = 0;
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	stream_hold(o.stream);
	memset(flood, 'x', sizeof(flood));
	for (int idle = 0; idle < 20; idle++) {
		ssize_t n = send(peer, flood, sizeof(flood), MSG_NOSIGNAL);

		if (n > 0) {
			sent += (size_t)n;
			idle = 0;
		}
		turn();
	}
	/* The kernel's buffers and 64 KiB; then the peer has to wait. */
	assert_int_equal(o.in.len, 0);
	assert_true(sent < 2000000);
	stream_resume(o.stream);
	run_until_got(&o, sent);
	assert_int_equal(o.in.len, sent);
	close_all(&o, peer);
}

static size_t
hold_at_once(struct owner *o, const char *data, size_t len)
{
	strbuf_add(&o->in, data, len);
	stream_hold(o->stream);
	return len;
}

/* RFC 5321 doesn't know half-closed peers, but pipes into nc do. */
static void
a_peer_that_closed_its_side_gets_its_answer(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	o.on_input = hold_at_once;
	peer_writes(peer, "question");
	shutdown(peer, SHUT_WR);
	turn();
	turn();
	assert_string_equal(o.in.data, "question");
	assert_false(o.has_ended); /* we still think about it */
	stream_write(o.stream, "answer", 6);
	stream_resume(o.stream);
	run_until(&o.has_ended);
	assert_int_equal(o.how, STREAM_EOF);
	assert_string_equal(peer_reads(peer), "answer");
	close_all(&o, peer);
}

/* Replies that the peer is slow to read, and a socket that takes few. */
static void
fill_up(struct owner *o)
{
	static char replies[500000];
	int size = 4096;

	setsockopt(stream_fd(o->stream), SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	memset(replies, 'r', sizeof(replies));
	stream_write(o->stream, replies, sizeof(replies));
	turn();
	assert_true(stream_queued(o->stream) > 0);
}

static void
drain_and_wait(struct owner *o)
{
	o->on_ended = NULL;
	o->has_ended = false;
	assert_true(stream_drain(o->stream));
}

static void
flush_and_free(struct owner *o)
{
	stream_free_flush(o->stream);
	o->stream = NULL;
}

static void
a_peer_that_closed_its_side_reads_all_in_its_time(void **state)
{
	struct owner o;
	size_t got = 0;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	o.on_ended = drain_and_wait;
	o.on_writable = flush_and_free;
	fill_up(&o);
	shutdown(peer, SHUT_WR);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(o.how, STREAM_EOF);
	assert_non_null(o.stream);
	for (const char *text = ""; o.stream != NULL; turn()) {
		text = peer_reads(peer);
		if (strcmp(text, "(nothing)") != 0)
			got += strlen(text);
	}
	while (*peer_reads(peer) == 'r')
		;
	assert_true(got > 300000);
	assert_false(o.has_ended); /* told of the end of file alone */
	assert_string_equal(peer_reads(peer), "");
	close_all(&o, peer);
}

/* What ends the wait for a reader. */
static void
draining_ends_with_the_deadline_or_the_peer(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	for (int dies = 0; dies < 2; dies++) {
		open_pair(&o, SOCK_STREAM, &peer);
		fill_up(&o);
		o.on_ended = drain_and_wait;
		shutdown(peer, SHUT_WR);
		for (int i = 0; i < 5; i++)
			turn();
		assert_int_equal(o.how, STREAM_EOF);
		if (dies)
			close(peer);
		else
			stream_set_timeout(o.stream, 1000);
		run_until(&o.has_ended);
		assert_int_equal(o.how, dies ? STREAM_ERROR : STREAM_TIMEOUT);
		assert_int_equal(o.n_writable, 0);
		close_all(&o, dies ? -1 : peer);
	}
}

static void
nothing_written_is_nothing_to_wait_for(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	assert_false(stream_drain(o.stream));
	stream_write(o.stream, "x", 1);
	close(peer);
	run_until(&o.has_ended);
	assert_false(stream_drain(o.stream));
	close_all(&o, -1);
}

/* Held again while a turn from an earlier answer was still to come. */
static void
a_late_turn_doesnt_end_one_that_is_held_again(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	o.on_input = hold_at_once;
	peer_writes(peer, "question");
	shutdown(peer, SHUT_WR);
	turn();
	turn();
	stream_resume(o.stream);
	stream_hold(o.stream);
	turn();
	turn();
	assert_false(o.has_ended);
	stream_write(o.stream, "answer", 6);
	stream_resume(o.stream);
	run_until(&o.has_ended);
	assert_string_equal(peer_reads(peer), "answer");
	close_all(&o, peer);
}

static void
the_end_comes_after_the_last_word(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	o.takes_most = 4;
	peer_writes(peer, "lastword");
	close(peer);
	turn();
	turn();
	assert_string_equal(o.in.data, "last");
	assert_false(o.has_ended);
	stream_resume(o.stream);
	run_until(&o.has_ended);
	assert_string_equal(o.in.data, "lastword");
	assert_int_equal(o.how, STREAM_EOF);
	close_all(&o, -1);
}

/* Peers that send on and don't read are nobody's any more once their owner is
 * gone: they may not fill the table of descriptors. */
static void
last_words_to_the_deaf_are_bounded(void **state)
{
	enum { N = 400 };
	struct owner o;
	int peers[N], n_open = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		open_pair(&o, SOCK_STREAM, &peers[i]);
		peer_writes(peers[i], "unread");
		stream_write(o.stream, "bye", 3);
		stream_free_flush(o.stream);
	}
	turn();
	for (int i = 0; i < N; i++) {
		/* A close with bytes unread is a reset; else it goes on. */
		assert_string_equal(peer_reads(peers[i]), "bye");
		n_open += send(peers[i], "x", 1, MSG_NOSIGNAL) == 1;
	}
	assert_in_range(n_open, 1, 256);
	for (int i = 0; i < N; i++)
		close(peers[i]);
	for (int i = 0; i < 10; i++)
		turn();
	/* Those that went made room. */
	open_pair(&o, SOCK_STREAM, &peers[0]);
	peer_writes(peers[0], "unread");
	stream_free_flush(o.stream);
	turn();
	assert_int_equal(send(peers[0], "x", 1, MSG_NOSIGNAL), 1);
	close(peers[0]);
	turn();
}

/* ---- deadlines ---- */

struct trickle {
	struct event event;
	int peer;
	int n_sent;
};

static void
on_trickle(evutil_socket_t fd, short what, void *arg)
{
	struct trickle *t = arg;

	(void)fd;
	(void)what;
	if (send(t->peer, "x", 1, MSG_NOSIGNAL) == 1)
		t->n_sent++;
}

static void
trickling_moves_no_deadline(void **state)
{
	struct timeval every = { .tv_usec = 5000 };
	int64_t begin_us, took_us;
	struct trickle t = { 0 };
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	t.peer = peer;
	event_assign(&t.event, base, -1, EV_PERSIST, on_trickle, &t);
	event_add(&t.event, &every);
	begin_us = clock_mono_us();
	stream_set_timeout(o.stream, 400000);
	run_until(&o.has_ended);
	took_us = clock_mono_us() - begin_us;
	event_del(&t.event);
	assert_int_equal(o.how, STREAM_TIMEOUT);
	assert_true(took_us >= 400000);
	assert_true(t.n_sent > 1 && o.in.len > 1);
	close_all(&o, peer);
}

static void
say_goodbye(struct owner *o)
{
	stream_write(o->stream, "421 too slow", 12);
	stream_free_flush(o->stream);
	o->stream = NULL;
}

static void
a_last_word_goes_out_after_the_deadline(void **state)
{
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	o.on_ended = say_goodbye;
	stream_set_timeout(o.stream, 1000);
	run_until(&o.has_ended);
	turn();
	assert_string_equal(peer_reads(peer), "421 too slow");
	assert_string_equal(peer_reads(peer), ""); /* the end */
	close_all(&o, peer);
}

static void
a_deadline_can_be_moved_and_lifted(void **state)
{
	struct owner slow, quick, never;
	int peers[3];

	(void)state;
	open_pair(&slow, SOCK_STREAM, &peers[0]);
	open_pair(&quick, SOCK_STREAM, &peers[1]);
	open_pair(&never, SOCK_STREAM, &peers[2]);
	stream_set_timeout(slow.stream, 1000);
	stream_set_timeout(slow.stream, 3600 * INT64_C(1000000));
	stream_set_timeout(quick.stream, 3600 * INT64_C(1000000));
	stream_set_timeout(quick.stream, 20000);
	stream_set_timeout(never.stream, 1000);
	stream_set_timeout(never.stream, 0);
	run_until(&quick.has_ended);
	assert_int_equal(quick.how, STREAM_TIMEOUT);
	assert_false(slow.has_ended);
	assert_false(never.has_ended);
	close_all(&slow, peers[0]);
	close_all(&quick, peers[1]);
	close_all(&never, peers[2]);
}

/* ---- freed within its own callbacks ---- */

static size_t
free_on_input(struct owner *o, const char *data, size_t len)
{
	(void)data;
	stream_write(o->stream, "bye", 3);
	stream_free(o->stream);
	o->stream = NULL;
	return len;
}

static void
free_now(struct owner *o)
{
	stream_free(o->stream);
	o->stream = NULL;
}

static void
an_owner_may_free_it_at_any_time(void **state)
{
	static char piece[PIECE];
	struct owner o;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer); /* on input */
	o.on_input = free_on_input;
	peer_writes(peer, "x");
	turn();
	assert_null(o.stream);
	close_all(&o, peer);

	open_pair(&o, SOCK_STREAM, &peer); /* on end of file */
	o.on_ended = free_now;
	close(peer);
	run_until(&o.has_ended);
	assert_null(o.stream);
	close_all(&o, -1);

	open_pair(&o, SOCK_STREAM, &peer); /* on writable */
	o.on_writable = free_now;
	stream_write(o.stream, piece, PIECE);
	turn();
	assert_null(o.stream);
	close_all(&o, peer);

	open_pair(&o, SOCK_STREAM, &peer); /* with a turn to come */
	stream_write(o.stream, "x", 1);
	stream_resume(o.stream);
	stream_set_timeout(o.stream, 1);
	close_all(&o, peer);

	open_pair(&o, SOCK_STREAM, &peer); /* on an error */
	o.on_ended = free_now;
	close(peer);
	stream_write(o.stream, "x", 1);
	run_until(&o.has_ended);
	close_all(&o, -1);
}

/* ---- connecting, and TCP's ways to end ---- */

static void
connects_from_the_address_that_is_asked_for(void **state)
{
	struct sockaddr_in at, from = { .sin_family = AF_INET }, seen;
	socklen_t len = sizeof(seen);
	struct owner o = { 0 };
	int listener = listen_on_loopback(&at), peer;

	(void)state;
	inet_pton(AF_INET, "127.0.0.77", &from.sin_addr);
	o.stream = stream_connect(base, (struct sockaddr *)&at, sizeof(at),
	    (struct sockaddr *)&from, sizeof(from), &ops, &o);
	stream_write(o.stream, "early", 5); /* goes when it is connected */
	run_until(&o.is_connected);
	peer = accept(listener, (struct sockaddr *)&seen, &len);
	assert_int_equal(seen.sin_addr.s_addr, from.sin_addr.s_addr);
	turn();
	assert_string_equal(peer_reads(peer), "early");
	close(listener);
	close_all(&o, peer);
}

static void
refused_connects_end_from_the_loop(void **state)
{
	static const struct {
		const char *source;
		const char *error;
	} rows[] = {
		{ NULL, "Connection refused" },
		{ "192.0.2.1", "Cannot assign requested address" },
	};
	struct sockaddr_in at, from = { .sin_family = AF_INET };

	(void)state;
	close(listen_on_loopback(&at)); /* a port where nobody is */
	for (size_t i = 0; i < 2; i++) {
		struct owner o = { 0 };
		bool has_source = rows[i].source != NULL;

		if (has_source)
			inet_pton(AF_INET, rows[i].source, &from.sin_addr);
		o.stream = stream_connect(base, (struct sockaddr *)&at,
		    sizeof(at), has_source ? (struct sockaddr *)&from : NULL,
		    has_source ? sizeof(from) : 0, &ops, &o);
		assert_false(o.has_ended);
		run_until(&o.has_ended);
		assert_int_equal(o.how, STREAM_ERROR);
		assert_string_equal(o.error, rows[i].error);
		close_all(&o, -1);
	}
}

/* The operator is told what it was, not what came of it. */
static void
out_of_descriptors_a_connect_says_so(void **state)
{
	struct rlimit before, none;
	struct sockaddr_in at;
	struct owner o = { 0 };

	(void)state;
	close(listen_on_loopback(&at));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	o.stream = stream_connect(base, (struct sockaddr *)&at, sizeof(at),
	    NULL, 0, &ops, &o);
	setrlimit(RLIMIT_NOFILE, &before);
	run_until(&o.has_ended);
	assert_string_equal(o.error, "Too many open files");
	close_all(&o, -1);
}

static int
connect_blocking(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)at, sizeof(*at)),
	    0);
	return fd;
}

static void
accept_stream(struct owner *o, int listener)
{
	memset(o, 0, sizeof(*o));
	o->stream = stream_new(base,
	    accept4(listener, NULL, NULL, SOCK_NONBLOCK), &ops, o);
}

static void
a_reset_is_an_error(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	struct sockaddr_in at;
	struct owner o;
	int listener = listen_on_loopback(&at);
	int peer = connect_blocking(&at);

	(void)state;
	accept_stream(&o, listener);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(peer);
	run_until(&o.has_ended);
	assert_int_equal(o.how, STREAM_ERROR);
	assert_string_equal(o.error, "Connection reset by peer");
	close(listener);
	close_all(&o, -1);
}

/* Closing with unread input makes the kernel send a reset, which would take
 * our last reply away from a peer that hasn't read it yet. */
static void
a_last_word_survives_unread_input(void **state)
{
	static char flood[100000];
	struct sockaddr_in at;
	struct owner o;
	int listener = listen_on_loopback(&at);
	int peer = connect_blocking(&at);

	(void)state;
	accept_stream(&o, listener);
	assert_int_equal(send(peer, flood, sizeof(flood), 0), sizeof(flood));
	stream_write(o.stream, "554 go away", 11);
	stream_free_flush(o.stream);
	for (int i = 0; i < 20; i++)
		turn();
	assert_string_equal(peer_reads(peer), "554 go away");
	assert_string_equal(peer_reads(peer), "");
	close(peer);
	turn();
	close(listener);
}

/* ---- TLS ---- */

static struct pki pki;

struct tls_pair {
	struct owner client, server;
	SSL_CTX *client_context, *server_context;
	struct conf_route route;
};

static void
tls_pair_open(struct tls_pair *t, enum conf_route_tls policy,
    const char *certificate)
{
	struct conf_tls tls = { .certificate =
				    tls_file(&pki, certificate, ".pem"),
		.key = tls_file(&pki, certificate, ".key"),
		.min_version = (char *)"1.2" };
	struct err err;
	int fds[2];

	memset(t, 0, sizeof(*t));
	t->route =
	    (struct conf_route){ .next_hop = { .host = (char *)"mx.example" },
		    .tls = policy,
		    .tls_ca = tls_file(&pki, "ca", ".pem"),
		    .tls_name = (char *)"" };
	t->client_context = tls_client_context(&t->route, &err);
	t->server_context = tls_server_context(&tls, &err);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     fds),
	    0);
	t->client.stream = stream_new(base, fds[0], &ops, &t->client);
	t->server.stream = stream_new(base, fds[1], &ops, &t->server);
}

static void
tls_pair_start(struct tls_pair *t)
{
	stream_start_tls(t->server.stream, SSL_new(t->server_context), true);
	stream_start_tls(t->client.stream,
	    tls_client_new(t->client_context, &t->route), false);
	for (int i = 0; i < 100 &&
	     (t->client.n_tls_done == 0 || t->server.n_tls_done == 0);
	     i++)
		turn();
}

static void
tls_pair_close(struct tls_pair *t)
{
	close_all(&t->client, -1);
	close_all(&t->server, -1);
	tls_client_context_free(t->client_context);
	SSL_CTX_free(t->server_context);
}

static size_t
take_starttls(struct owner *o, const char *data, size_t len)
{
	const char *lf = memchr(data, '\n', len);

	assert_non_null(lf);
	strbuf_add(&o->in, data, (size_t)(lf + 1 - data));
	if (memcmp(data, "STARTTLS", 8) == 0) {
		struct tls_pair *t = o->arg;

		stream_write(o->stream, "220 go\r\n", 8);
		stream_start_tls(o->stream, SSL_new(t->server_context), true);
	}
	return (size_t)(lf + 1 - data);
}

/* A reload took the certificate away while a session was under way. */
static void
tls_without_a_context_fails_as_a_handshake_does(void **state)
{
	struct owner o;
	bool is_done = false;
	int peer;

	(void)state;
	open_pair(&o, SOCK_STREAM, &peer);
	stream_start_tls(o.stream, NULL, true);
	assert_int_equal(o.n_tls_done, 0); /* never from within the call */
	for (int i = 0; i < 100 && !is_done; i++) {
		turn();
		is_done = o.n_tls_done == 1;
	}
	assert_true(is_done);
	assert_false(o.tls_ok);
	assert_string_equal(o.error, "TLS is not configured any more");
	close_all(&o, peer);
}

/* RFC 3207 4.2: neither taken as the client's, nor left for later. */
static void
starttls_discards_what_was_pipelined_in_clear(void **state)
{
	static const char in_clear[] =
	    "STARTTLS\r\nMAIL FROM:<evil@example.com>\r\nRCPT";
	struct tls_pair t;

	(void)state;
	tls_pair_open(&t, ROUTE_TLS_VERIFY, "good");
	t.server.on_input = take_starttls;
	t.server.arg = &t;
	stream_write(t.client.stream, in_clear, sizeof(in_clear) - 1);
	run_until_got(&t.client, 8);
	assert_string_equal(t.client.in.data, "220 go\r\n");
	stream_start_tls(t.client.stream,
	    tls_client_new(t.client_context, &t.route), false);
	stream_write(t.client.stream, "EHLO again\r\n", 12);
	run_until_got(&t.server, 22);
	assert_string_equal(t.server.in.data, "STARTTLS\r\nEHLO again\r\n");
	assert_true(t.client.tls_ok && t.server.tls_ok);
	assert_non_null(stream_ssl(t.server.stream));
	tls_pair_close(&t);
}

static void
much_passes_through_tls_both_ways(void **state)
{
	size_t len = 3000000;
	char *text = xmalloc(len);
	struct tls_pair t;

	(void)state;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(i * 7 % 253);
	tls_pair_open(&t, ROUTE_TLS_REQUIRED, "expired");
	tls_pair_start(&t);
	assert_true(t.client.tls_ok && t.server.tls_ok);
	stream_write(t.client.stream, text, len);
	stream_write(t.server.stream, text, len);
	run_until_got(&t.server, len);
	run_until_got(&t.client, len);
	assert_memory_equal(t.server.in.data, text, len);
	assert_memory_equal(t.client.in.data, text, len);
	free(text);
	tls_pair_close(&t);
}

static void
held_tls_input_is_all_there_afterwards(void **state)
{
	size_t len = 1000000;
	char *text = xcalloc(1, len);
	struct tls_pair t;

	(void)state;
	tls_pair_open(&t, ROUTE_TLS_REQUIRED, "good");
	tls_pair_start(&t);
	stream_hold(t.server.stream);
	stream_write(t.client.stream, text, len);
	for (int i = 0; i < 50; i++)
		turn();
	assert_int_equal(t.server.in.len, 0);
	stream_resume(t.server.stream);
	run_until_got(&t.server, len);
	free(text);
	tls_pair_close(&t);
}

/* A close_notify closes one side, as an end of file does (RFC 8446 6.1). */
static void
one_that_closed_its_side_of_tls_gets_its_answer(void **state)
{
	size_t len = 300000;
	char *text = xcalloc(1, len);
	struct tls_pair t;

	(void)state;
	tls_pair_open(&t, ROUTE_TLS_REQUIRED, "good");
	tls_pair_start(&t);
	stream_hold(t.server.stream);
	t.server.on_ended = drain_and_wait;
	t.server.on_writable = flush_and_free;
	stream_write(t.client.stream, "question", 8);
	turn();
	SSL_shutdown((SSL *)stream_ssl(t.client.stream));
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(t.server.in.len, 0);
	stream_write(t.server.stream, text, len);
	stream_resume(t.server.stream);
	run_until_got(&t.client, len);
	assert_string_equal(t.server.in.data, "question");
	run_until(&t.client.has_ended);
	assert_int_equal(t.client.how, STREAM_EOF);
	assert_null(t.server.stream);
	free(text);
	tls_pair_close(&t);
}

static void
a_bad_certificate_ends_the_handshake(void **state)
{
	struct tls_pair t;

	(void)state;
	tls_pair_open(&t, ROUTE_TLS_VERIFY, "expired");
	tls_pair_start(&t);
	assert_int_equal(t.client.n_tls_done, 1);
	assert_false(t.client.tls_ok);
	assert_string_equal(t.client.error,
	    "certificate: certificate has expired");
	assert_int_equal(t.server.n_tls_done, 1);
	tls_pair_close(&t);
}

static void
a_silent_handshake_times_out(void **state)
{
	struct tls_pair t;

	(void)state;
	tls_pair_open(&t, ROUTE_TLS_REQUIRED, "good");
	stream_start_tls(t.client.stream,
	    tls_client_new(t.client_context, &t.route), false);
	stream_set_timeout(t.client.stream, 20000);
	run_until(&t.client.has_ended);
	assert_int_equal(t.client.how, STREAM_TIMEOUT);
	assert_int_equal(t.client.n_tls_done, 0);
	tls_pair_close(&t);
}

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	base = event_base_new();
	tls_init(&pki);
	tls_make(&pki, "good", "DNS:mx.example", 10);
	tls_make(&pki, "expired", "DNS:mx.example", -1);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tls_fini(&pki);
	event_base_free(base);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turns_answers_go_out_in_one_write),
		cmocka_unit_test(writes_from_elsewhere_go_out_in_order),
		cmocka_unit_test(a_long_text_is_asked_for_piece_by_piece),
		cmocka_unit_test(a_fast_peer_lets_others_have_their_turn),
		cmocka_unit_test(what_is_not_taken_is_offered_again),
		cmocka_unit_test(held_input_waits_and_is_bounded),
		cmocka_unit_test(a_peer_that_closed_its_side_gets_its_answer),
		cmocka_unit_test(
		    a_peer_that_closed_its_side_reads_all_in_its_time),
		cmocka_unit_test(draining_ends_with_the_deadline_or_the_peer),
		cmocka_unit_test(nothing_written_is_nothing_to_wait_for),
		cmocka_unit_test(
		    one_that_closed_its_side_of_tls_gets_its_answer),
		cmocka_unit_test(a_late_turn_doesnt_end_one_that_is_held_again),
		cmocka_unit_test(last_words_to_the_deaf_are_bounded),
		cmocka_unit_test(the_end_comes_after_the_last_word),
		cmocka_unit_test(trickling_moves_no_deadline),
		cmocka_unit_test(a_last_word_goes_out_after_the_deadline),
		cmocka_unit_test(a_deadline_can_be_moved_and_lifted),
		cmocka_unit_test(an_owner_may_free_it_at_any_time),
		cmocka_unit_test(connects_from_the_address_that_is_asked_for),
		cmocka_unit_test(refused_connects_end_from_the_loop),
		cmocka_unit_test(out_of_descriptors_a_connect_says_so),
		cmocka_unit_test(a_reset_is_an_error),
		cmocka_unit_test(a_last_word_survives_unread_input),
		cmocka_unit_test(
		    tls_without_a_context_fails_as_a_handshake_does),
		cmocka_unit_test(starttls_discards_what_was_pipelined_in_clear),
		cmocka_unit_test(much_passes_through_tls_both_ways),
		cmocka_unit_test(held_tls_input_is_all_there_afterwards),
		cmocka_unit_test(a_bad_certificate_ends_the_handshake),
		cmocka_unit_test(a_silent_handshake_times_out),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
