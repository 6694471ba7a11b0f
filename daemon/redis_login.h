/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_LOGIN_H
#define FLYBALL_REDIS_LOGIN_H

#include "conf/redis_url.h"
#include "daemon/redis_conn.h"

/*
 * The first words on a connection: who we are, which database, and what the
 * server says of itself. Everything is sent at once; one reply after the other
 * is judged. No I/O but through the connection, so a test needs no server.
 */
enum redis_login_step {
	LOGIN_AUTH,
	LOGIN_SELECT,
	LOGIN_NAME,
	LOGIN_INFO,
	LOGIN_STEPS,
};

struct redis_login {
	enum redis_login_step steps[LOGIN_STEPS];
	unsigned n_steps, n_done;
	const char *user; /* lent; NULL = default */
	bool has_password;
};

struct redis_facts { /* "" = it didn't say */
	char version[32];
	char run_id[48];
	char policy[32]; /* maxmemory_policy */
};

/* is_listener: for what is published, which is of no database. `user` is
 * lent until the login is done. */
void redis_login_begin(struct redis_login *l, struct redis_conn *c,
    const struct redis_url *url, const char *password, const char *name,
    bool is_listener);

enum redis_login_result {
	REDIS_LOGIN_GOES_ON,
	REDIS_LOGIN_DONE,
	REDIS_LOGIN_REFUSED, /* for now: loading, a replica */
	REDIS_LOGIN_WRONG,   /* until somebody mends it: password, Cluster */
};
/* The next reply; `why` is filled in where it is refused. */
enum redis_login_result redis_login_reply(struct redis_login *l,
    const struct redisReply *r, struct redis_facts *facts, char *why,
    size_t size);

/* What an error reply means for the call that got it, and for the link. */
enum redis_error_effect {
	REDIS_ERROR_KEEP,   /* the next call may fare better */
	REDIS_ERROR_MOVE,   /* it isn't the server that it was: look again */
	REDIS_ERROR_SCRIPT, /* NOSCRIPT: the source is wanted */
};
struct redis_error {
	enum redis_outcome outcome;
	enum redis_error_effect effect;
};
struct redis_error redis_error_classify(const char *text);

#endif
