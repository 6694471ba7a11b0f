/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SESSION_IO_PRIVATE_H
#define FLYBALL_SESSION_IO_PRIVATE_H

/*
 * A server session on its socket, shared by session_io.c and session_submit.c.
 * All of it belongs to the session's worker.
 */
#include <sys/socket.h>

#include "daemon/smtp_session.h"
#include "daemon/worker_private.h"
#include "sink/stream.h"

struct session_io {
	struct session_io *prev, *next; /* in worker->sessions */
	struct worker *worker;
	const struct conf *conf; /* as it was at the start */
	const struct conf_listener *listener;
	struct stream *stream; /* NULL: the client is gone */
	struct smtp_session *smtp;
	struct sockaddr_storage peer;
	char client[64];
	int64_t submitted_us;
	unsigned n_awaited;  /* answers under way in other threads */
	int64_t deadline_us; /* the machine's, that the stream's timer is for */
	bool is_closing;     /* after what is written */
	bool is_parting;     /* nothing is heard any more, but it may read */
	bool is_abusive;
	bool is_stepping; /* the machine is on the stack */
};

/* An answer on its way back to the session's worker. */
struct answer {
	struct letter letter; /* kind says which */
	struct session_io *session;
	struct auth_identity *who;
	bool is_temporary;
	enum spool_result result;
	uint64_t message;
	char *refusal; /* not the spool's: a plan is full */
};

/* session_submit.c: struct smtp_session_ops.submit. The answer comes as a
 * letter, never within the call. */
void session_submit(void *arg, struct envelope *envelope_take,
    struct body *body_take);

#endif
