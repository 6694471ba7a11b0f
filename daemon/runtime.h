/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RUNTIME_H
#define FLYBALL_RUNTIME_H

#include <openssl/ssl.h>

#include "conf/conf.h"
#include "scheduler/destination.h"
#include "scheduler/reply_rules.h"

/*
 * What one configuration needs to run: the snapshot and all that can fail
 * about it (certificates, listening sockets), made before anything is swapped.
 * Immutable, reference-counted; held by the governor and the workers only.
 */
struct listen_socket {
	_Atomic int refs; /* of runtimes */
	char *text;	  /* as configured */
	char *address;	  /* as bound: the real port */
	int *fds;	  /* one a worker (SO_REUSEPORT) */
	unsigned n_fds;
	bool is_given; /* by whoever started us: all are one, and not ours */
};

struct runtime {
	_Atomic int refs;
	const struct conf *conf;
	struct destination_index *index;
	const struct reply_rules *rules;
	SSL_CTX *server_tls;		/* NULL: no certificate given */
	struct listen_socket **sockets; /* by conf_listener_at() */
};

/* Takes over sockets of `old` (may be NULL) that are listened on again. NULL:
 * a certificate or address that can't be used. Takes a reference on conf. */
struct runtime *runtime_new(const struct conf *conf, const struct runtime *old,
    unsigned n_workers, struct err *err_out);
/* All but the listening: certificates, keys, rules, patterns of logs, each
 * route's trust. For `flyballd -t`. */
int runtime_check(const struct conf *conf, struct err *err_out);
struct runtime *runtime_ref(struct runtime *rt);
/* From any thread. A socket closes when the last worker has left it. */
void runtime_unref(struct runtime *rt);

#endif
