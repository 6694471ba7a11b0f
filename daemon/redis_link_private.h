/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_LINK_PRIVATE_H
#define FLYBALL_REDIS_LINK_PRIVATE_H

#include "conf/base/rng.h"
#include "daemon/redis_conn.h"
#include "daemon/redis_finder.h"
#include "daemon/redis_link.h"
#include "daemon/redis_login.h"
#include "sink/tls.h"

struct redis_script {
	char *name;
	char *source;
	char sha1[41];
	struct redis_script *next;
};

enum redis_call_kind {
	CALL_SCRIPT,
	CALL_COMMAND,
	CALL_OURS, /* PING, SCRIPT LOAD, PUBLISH: nobody waits */
};

/*
 * One call, from being made until its reply was read. It stands in one of two
 * lists: `sent`, in the order of the replies to come, and `done`, whose
 * callbacks run in the next turn. One that ran out of time is answered and
 * stays in `sent` as a place-holder (fn NULL) until its reply comes.
 */
struct redis_call {
	enum redis_call_kind kind;
	const struct redis_script *script;
	bool is_source_sent;	  /* EVAL, not EVALSHA */
	char *bytes;		  /* keys and arguments, one behind the other */
	struct redis_bytes *argv; /* point into them */
	size_t argc, n_keys;
	redis_answer_fn *fn;
	void *arg;
	int64_t sent_us, due_us;
	/* Once it is in `done`. */
	struct redis_answer answer;
	struct redisReply *reply;
	char *error;
	struct redis_call *prev, *next;
};

/* redis_link_calls.c */
struct redis_calls {
	struct redis_call *sent, *done;
	unsigned n_sent;
	struct event *timer; /* the earliest due_us */
	int64_t timer_due_us;
	int64_t lag_us;
	int64_t lag_max_us[2]; /* of this half minute and the one before */
	int64_t half_minute_us;
	uint64_t n_calls, n_answered, n_failed, n_sent_bytes;
};

/* redis_link_listen.c: its own connection, for what is published. */
struct redis_listener {
	struct redis_conn *conn;
	struct redis_login login;
	bool is_logged_in;
	unsigned n_held; /* subscriptions that the server confirmed */
	int64_t due_us;	 /* when it is tried again; 0 = it stands */
	unsigned n_tries;
	struct redis_channel *channels;
	unsigned n_channels;
};
struct redis_channel {
	char *name;
	struct redis_channel *next;
};

struct redis_link {
	struct event_base *base;
	struct redis_handlers handlers;
	void *arg;
	char *name;
	int64_t timeout_us;
	/* Where, as it was configured. */
	char *url_text, *password, *sentinel_password, *tls_ca;
	struct redis_url url;
	SSL_CTX *tls;
	struct tls_trust trust;	       /* that it was made with, or before */
	struct conf_route *tls_policy; /* what sink/tls.h wants */

	enum redis_state state;
	int64_t since_us, due_us;
	struct redis_finder *finder;
	struct redis_peer peer;
	struct redis_conn *conn;
	struct redis_login login;
	struct redis_facts facts;
	bool is_logged_in;
	unsigned n_tries; /* since it was up */
	bool is_wrong;	  /* what failed doesn't mend itself */
	char reason[400];
	int64_t watched_us; /* Sentinels were asked last */

	struct redis_calls calls;
	struct redis_script *scripts;
	struct redis_listener listener;

	struct event *tick; /* see arm_tick() */
	struct event *turn; /* handlers, answers */
	/* What the owner was told last. */
	bool is_told_up;
	char told_reason[400]; /* "": nothing since it was up */
	int64_t told_us;
	bool wants_told_subscribed;
	bool is_closing;
	struct rng rng;
	uint64_t n_connects, n_downs, received_bytes;
};

/* redis_link.c */
/* The connection is given up; another attempt follows. */
void redis_link_drop(struct redis_link *l, const char *why, bool is_wrong);
/* Handlers and answers run in the next turn. */
void redis_link_wake(struct redis_link *l);
SSL *redis_link_tls(const struct redis_peer *peer, void *link);
/* Grows with n_tries, and differs between nodes. */
int64_t redis_link_backoff_us(struct redis_link *l, unsigned n_tries,
    bool is_wrong);

/* redis_link_calls.c */
void redis_calls_init(struct redis_link *l);
void redis_calls_fini(struct redis_link *l); /* answers all, as LOST */
void redis_calls_replied(struct redis_link *l, const struct redisReply *r);
/* The connection is gone: what was sent is answered, as LOST. */
void redis_calls_lost(struct redis_link *l, const char *why);
void redis_calls_run_done(struct redis_link *l);
/* We are logged in: the scripts travel ahead of their calls. */
void redis_calls_load_scripts(struct redis_link *l);
void redis_calls_ping(struct redis_link *l);

/* redis_link_listen.c */
void redis_listener_open(struct redis_link *l); /* as the link is up */
void redis_listener_close(struct redis_link *l);
void redis_listener_tick(struct redis_link *l, int64_t now_us);
void redis_listener_fini(struct redis_link *l);

#endif
