/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_SESSION_PRIVATE_H
#define FLYBALL_PROVIDER_SESSION_PRIVATE_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "tests/provider/digest.h"
#include "tests/provider/server.h"

/*
 * One client, shared by session.c (its life, answers, input), session_verbs.c
 * (commands) and session_content.c (messages).
 */
enum state {
	READS_COMMANDS,
	READS_DATA,
	READS_CHUNK,
	STAYS_SILENT,
	IS_CLOSING, /* writes what is left */
	IS_DEAD,
};

struct session {
	struct port *port;
	struct bufferevent *bev;
	struct event *timer;
	enum state state;
	bool is_waiting; /* a delayed answer comes first */
	bool has_eof;	 /* the client's side is closed; answers go out */
	struct provider_verdict answer;
	enum state after; /* that answer */
	bool is_tls;
	struct provider_session door;
	struct provider_session *at; /* a row per provider */
	bool *is_known;		     /* to that provider */
	int provider;		     /* of this transaction; -1: unknown yet */
	char *sender;		     /* NULL: no MAIL */
	bool is_asked;		     /* the model heard of this MAIL */
	char **rcpts;
	size_t n_rcpts;
	struct digest *digest;
	size_t n_content; /* bytes so far */
	size_t n_chunk;	  /* to come */
	bool is_last_chunk;
	bool is_fresh; /* DATA just began */
};

/* session.c: answers, after the verdict's delay, and goes on in `after`. */
void session_answer(struct session *s, const struct provider_verdict *v,
    enum state after);
void session_say(struct session *s, int code, const char *enhanced,
    const char *text);
/* The bufferevent was replaced (TLS): take its callbacks. */
void session_adopt(struct session *s, struct bufferevent *bev);

/* session_verbs.c */
void session_on_line(struct session *s, const char *line);
void session_drop_transaction(struct session *s);
struct provider_model *session_model(const struct session *s);

/* session_content.c; the readers say false when more bytes are needed. */
void session_on_data(struct session *s, const char *line);
void session_on_bdat(struct session *s, const char *line);
bool session_read_data(struct session *s, struct evbuffer *in);
bool session_read_chunk(struct session *s, struct evbuffer *in);

#endif
