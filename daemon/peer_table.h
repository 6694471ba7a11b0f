/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PEER_TABLE_H
#define FLYBALL_PEER_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/conf.h"

/*
 * Who is connected, and who has to wait: sessions in all and for each
 * address, and the penalties of addresses whose sessions ended for abuse. An
 * IPv6 peer is its /64, since that is what one customer gets (RFC 6177); IPv4
 * in IPv6 clothes is IPv4. Shared by all I/O workers; guards itself.
 */
struct peer_table;

/* Addresses that are remembered for a penalty alone; the oldest goes. */
#define PEER_TABLE_IDLE_MAX	65536
/* Repeated penalties double up to so many times the configured one. */
#define PEER_PENALTY_FACTOR_MAX 10

enum peer_answer {
	PEER_ADMITTED, /* counted: peer_release() when the session ends */
	PEER_TOO_MANY_SESSIONS,
	PEER_TOO_MANY_FROM_ADDRESS,
	PEER_PENALISED, /* until peer_penalised_until_us() */
};

struct peer_table *peer_table_new(void);
void peer_table_free(struct peer_table *table);

/* May this peer have a session now? By limits.sessions and
 * limits.sessions_per_address; 0 = no limit. */
enum peer_answer peer_admit(struct peer_table *table,
    const struct sockaddr *peer, const struct conf_limits *limits,
    int64_t now_us);
void peer_release(struct peer_table *table, const struct sockaddr *peer);

/*
 * No new session for penalty_us from now on; the ones it has may go on. A
 * penalty that follows within PEER_PENALTY_FACTOR_MAX times penalty_us after
 * the end of the last one is twice as long, up to that factor.
 */
void peer_penalise(struct peer_table *table, const struct sockaddr *peer,
    int64_t now_us, int64_t penalty_us);
/*
 * A password was wrong. Whoever tries but a few in each session is counted too:
 * PEER_FAILURES_FACTOR times limits.auth_failures of one address within
 * PEER_FAILURES_US are a penalty. Not fewer, as many people may share one.
 */
#define PEER_FAILURES_FACTOR 4
#define PEER_FAILURES_US     (10 * 60 * INT64_C(1000000))
void peer_failed_auth(struct peer_table *table, const struct sockaddr *peer,
    const struct conf_limits *limits, int64_t now_us);
/* 0 = it isn't penalised now. */
int64_t peer_penalised_until_us(struct peer_table *table,
    const struct sockaddr *peer, int64_t now_us);

size_t peer_table_n_sessions(struct peer_table *table);
size_t peer_table_n_addresses(struct peer_table *table); /* remembered */

#endif
