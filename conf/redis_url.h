/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REDIS_URL_H
#define FLYBALL_REDIS_URL_H

#include "conf/conf.h"

/*
 * Where a Redis is, as Redis' own clients write it:
 *
 *	redis://[USER@]HOST[:6379][/DATABASE]
 *	rediss://[USER@]HOST[:6379][/DATABASE]		TLS
 *	unix://[USER@]/PATH[?db=DATABASE]
 *	redis-sentinel://[USER@]HOST[:26379][,HOST...][/DATABASE]#NAME
 *	rediss-sentinel://...				TLS to all of them
 *
 * USER and PATH may hold %XX. A password is refused: it isn't for a file that
 * many can read.
 */
enum redis_place { REDIS_AT_HOST, REDIS_AT_SOCKET, REDIS_AT_SENTINELS };

#define REDIS_SENTINELS_MAX 16
#define REDIS_DATABASE_MAX  65535

struct redis_url {
	enum redis_place place;
	bool is_tls;
	struct conf_endpoint hosts[REDIS_SENTINELS_MAX];
	size_t n_hosts; /* 1; the Sentinels; 0 with a socket */
	char *path;	/* of the socket; NULL elsewhere */
	char *user;	/* NULL = "default" */
	char *name;	/* what the Sentinels call it; NULL elsewhere */
	unsigned database;
};

/* -1: not such a URL, and err_out says how to write it; *out is empty then. */
int redis_url_parse(const char *text, struct redis_url *out,
    struct err *err_out);
void redis_url_fini(struct redis_url *url);

#endif
