/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_LINK_H
#define FLYBALL_REDIS_LINK_H

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * The way to the Redis that relays share: hiredis on the governor's loop. It
 * finds the server (by name, by socket, by asking Sentinels), logs in, keeps
 * one connection for calls and one for what is published, and comes back by
 * itself after whatever happened, with pauses that grow and differ between
 * nodes. It knows nothing of lanes.
 *
 * All functions are for the loop's thread. Nothing blocks. No callback and no
 * handler runs inside the call that started it, but for redis_link_free().
 * Everything may be called from callbacks and handlers, except
 * redis_link_free().
 */
struct redis_link;
struct redis_script; /* the link's; lives as long as it */

/* Calls that haven't been answered; further ones are REDIS_UNSENT. */
#define REDIS_LINK_CALLS_MAX	  8192
/* What one call may weigh: keys and arguments. */
#define REDIS_LINK_CALL_BYTES_MAX (1024 * 1024)

enum redis_outcome {
	REDIS_ANSWERED, /* `reply` is there, and isn't an error */
	/* It certainly didn't run: the link is down, too much is outstanding,
	 * or Redis refused before it ran anything (LOADING, NOAUTH, NOPERM,
	 * READONLY, MOVED, MISCONF, NOSCRIPT...). */
	REDIS_UNSENT,
	REDIS_FULL, /* OOM: maxmemory is reached; it didn't run */
	/* No answer in time, or the connection was lost meanwhile: it may have
	 * run, and may even run later. */
	REDIS_TIMEOUT,
	REDIS_LOST,
	REDIS_FAILED, /* the script ended in an error; it may have written */
};

struct redis_answer {
	enum redis_outcome outcome;
	const struct redisReply *reply; /* lent; NULL unless ANSWERED */
	const char *error; /* lent, for people, one line; NULL when ANSWERED */
	/* Monotonic. What Redis says in `reply` was true at some moment
	 * between; anything that runs out counts from sent_us. */
	int64_t sent_us;
	int64_t answered_us;
};
typedef void redis_answer_fn(const struct redis_answer *a, void *arg);

struct redis_bytes { /* binary safe */
	const char *v;
	size_t len;
};

struct redis_handlers {
	/* Calls go through from now on. Also after a failover: then the server
	 * is another one, and redis_link_view() says so by `run_id`. */
	void (*on_up)(void *arg);
	/* It went down, or can't be reached from the start. `reason` is one
	 * line for people, lent. Again before it was up only when the reason
	 * became another one, and not more than twice a minute. */
	void (*on_down)(const char *reason, void *arg);
	/* The subscriptions hold from now on; whatever was published before,
	 * since they held last, may have been missed. */
	void (*on_subscribed)(void *arg);
	void (*on_message)(struct redis_bytes channel,
	    struct redis_bytes payload, void *arg);
};

/* conf and handlers are copied. Starts to connect at the loop's next turn.
 * NULL: the location can't be used, see err_out. */
struct redis_link *redis_link_new(struct event_base *base,
    const struct conf_cluster *conf, const struct redis_handlers *handlers,
    void *arg, struct err *err_out);
/* Another location, password or timeout: it moves there when one of them
 * changed. prefix and name stay. conf is copied. -1: it goes on as before. */
int redis_link_configure(struct redis_link *l, const struct conf_cluster *conf,
    struct err *err_out);
/* Calls that are outstanding are answered from inside, as REDIS_LOST (one that
 * is made there isn't); no handler is called any more. NULL is fine. */
void redis_link_free(struct redis_link *l);

/*
 * A script by its source, which is kept. It travels once a server: later
 * calls name it by its SHA-1, and a server that doesn't know it (any more) is
 * given the source in the same call's time. `name` is for errors.
 */
struct redis_script *redis_link_script(struct redis_link *l, const char *name,
    const char *source);

/*
 * Runs a script. Keys and arguments are copied. fn is called exactly once,
 * within timeout_us (0: cluster.timeout), whatever happens. Calls reach Redis
 * in the order in which they were made, as long as one connection lasts;
 * after a NOSCRIPT one of them may come behind later ones.
 */
void redis_link_call(struct redis_link *l, const struct redis_script *script,
    const struct redis_bytes *keys, size_t n_keys,
    const struct redis_bytes *args, size_t n_args, int64_t timeout_us,
    redis_answer_fn *fn, void *arg);
/* The same for a plain command: argv[0] is its name. */
void redis_link_command(struct redis_link *l, const struct redis_bytes *argv,
    size_t argc, int64_t timeout_us, redis_answer_fn *fn, void *arg);
/* Holds until the link's end. What is published in another database of the
 * same server isn't heard, though Redis' channels are of no database: on the
 * way they are called by it, too (see redis_link_channel()). */
void redis_link_subscribe(struct redis_link *l, const char *channel);
/* What a script publishes to, so that those who subscribed to `channel` in
 * this database hear it. */
#define REDIS_LINK_CHANNEL_SIZE 160
void redis_link_channel(const struct redis_link *l, const char *channel,
    char out[REDIS_LINK_CHANNEL_SIZE]);

enum redis_state {
	REDIS_CONNECTING,
	REDIS_UP,
	REDIS_WAITING, /* until it tries again */
};
struct redis_view {
	enum redis_state state;
	bool is_subscribed;
	int64_t since_us;   /* monotonic: in this state, up or not up */
	int64_t due_us;	    /* WAITING: when it tries again */
	const char *reason; /* why it isn't up; "" while it is */
	const char *server; /* "10.0.0.7:6379" or the socket; "" before */
	/* Of the server, as it told when we logged in; "" = it didn't. */
	const char *version; /* "7.0.15" */
	const char *run_id;  /* another one: another process, maybe empty */
	int64_t lag_us;	     /* smoothed time of a call; -1 = none yet */
	int64_t lag_max_us;  /* the longest of the last minute */
	unsigned n_calls;    /* outstanding */
	uint64_t n_sent, n_answered, n_failed; /* calls since start */
	uint64_t n_connects, n_downs;
	uint64_t n_sent_bytes, n_received_bytes;
};
void redis_link_view(const struct redis_link *l, struct redis_view *out);
bool redis_link_is_up(const struct redis_link *l);

#endif
