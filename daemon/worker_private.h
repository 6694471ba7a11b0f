/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_WORKER_PRIVATE_H
#define FLYBALL_WORKER_PRIVATE_H

#include <event2/event.h>
#include <pthread.h>

#include "daemon/worker.h"

enum worker_letter {
	WORKER_JOB,
	WORKER_COMMITTED,
	WORKER_AUTHENTICATED,
	WORKER_CONFIGURE,
	WORKER_DRAIN,
	WORKER_HALT,
	WORKER_STOP,
};

struct session_io;
struct acceptor;

struct worker {
	unsigned index;
	pthread_t thread;
	bool is_running;
	struct event_base *base;
	struct mailbox *mailbox;
	struct worker_shared *shared;
	struct runtime *rt;
	struct acceptor *acceptors;
	struct pool *pool;
	struct spool_reader *reader;
	struct session_io *sessions;
	unsigned n_sessions;
	struct histogram accept_times;
	bool is_draining;
	bool has_told_drained;
};

/* session_io.c: one server session on its socket. */
void session_io_start(struct worker *w, int fd, const struct sockaddr *peer,
    const struct conf_listener *listener);
/* WORKER_COMMITTED and WORKER_AUTHENTICATED. */
void session_io_answer(struct letter *letter_take);
void session_io_shutdown_all(struct worker *w); /* 421 at the next boundary */
void session_io_close_all(struct worker *w);

/* acceptor.c: the worker's listening sockets. */
void acceptors_configure(struct worker *w);
void acceptors_stop(struct worker *w);

/* After anything that may have ended the last work of a draining worker. */
void worker_check_drained(struct worker *w);

#endif
