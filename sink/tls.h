/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TLS_H
#define FLYBALL_TLS_H

#include <openssl/ssl.h>

#include "conf/conf.h"

/*
 * TLS contexts from configuration. Server: 1.2+, forward secrecy only, session
 * tickets with a key of this process, certificate and key must match. Client:
 * policy of one route, SNI, sessions kept for resumption. Reference-counted by
 * SSL_CTX itself; make them anew on reload.
 */
SSL_CTX *tls_server_context(const struct conf_tls *tls, struct err *err_out);
SSL_CTX *tls_client_context(const struct conf_route *route,
    struct err *err_out);
void tls_client_context_free(SSL_CTX *context); /* NULL is fine */
/* What the file of tls_ca holds now, to tell a reload whether a context would
 * be another one. All zeros: it names none, or can't be read. */
struct tls_trust {
	unsigned char sha256[32];
};
struct tls_trust tls_trust_of(const char *tls_ca);
/* A connection's SSL for `route` with SNI, name checks as its policy says and
 * the route's last session to resume. */
SSL *tls_client_new(SSL_CTX *context, const struct conf_route *route);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" for Received and logs. */
void tls_describe(const SSL *ssl, char *out, size_t size);
/* Why the last operation on this thread failed, in one line. */
void tls_error(const SSL *ssl, char *out, size_t size);

#endif
