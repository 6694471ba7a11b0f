/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_CONN_H
#define FLYBALL_REDIS_CONN_H

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "daemon/redis_link.h"

/*
 * One connection to a Redis or a Sentinel: commands go in, replies come out in
 * the order of the commands, and what is published between them. hiredis
 * writes and reads the protocol; the socket is sink/stream.h's, so that TLS
 * and deadlines are the same as everywhere. It knows how many replies are
 * owed, not for what.
 */
struct redis_conn;

/* What we ask for comes nowhere near: it isn't a Redis, or it is broken. */
#define REDIS_CONN_REPLY_BYTES_MAX (16 * 1024 * 1024)

struct redis_peer { /* where to, found already */
	struct sockaddr_storage address;
	socklen_t len;
	char host[128]; /* whose certificate is wanted */
	char text[160]; /* "10.0.0.7:6379", "/run/redis.sock" */
};

struct redis_conn_ops { /* any of them may free the connection */
	void (*opened)(void *arg);
	void (*replied)(const struct redisReply *reply, void *arg); /* lent */
	/* NULL: where nothing is subscribed to. */
	void (*published)(struct redis_bytes channel,
	    struct redis_bytes payload, void *arg);
	/* Over; it still must be freed, any time. */
	void (*ended)(const char *why, void *arg);
};

/* tls_take NULL: in clear. It ends by itself when it isn't open after
 * timeout_us, or when a reply is owed and nothing was read for so long. */
struct redis_conn *redis_conn_open(struct event_base *base,
    const struct redis_peer *peer, SSL *tls_take, int64_t timeout_us,
    const struct redis_conn_ops *ops, void *arg);
/* Callbacks end. NULL is fine. */
void redis_conn_free(struct redis_conn *c);

/* May be called before it is open. Every command owes one reply, so SUBSCRIBE
 * takes one channel. Returns the bytes that it comes to. */
size_t redis_conn_send(struct redis_conn *c, const struct redis_bytes *argv,
    size_t argc);
/* The same for words without zeros, up to a NULL. */
size_t redis_conn_say(struct redis_conn *c, const char *const *words);
/* Nothing is owed, and nothing was read for a second: is it still there? */
bool redis_conn_is_idle(const struct redis_conn *c, int64_t now_us);
uint64_t redis_conn_received_bytes(const struct redis_conn *c);

#endif
